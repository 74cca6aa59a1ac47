"""Imported episodes as rows: keyed by their content, written in one transaction, each once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import StoreError, UserError
from oversight.question import content_key
from oversight.secrecy import masked
from oversight.store.database import CATALOG, cannot_read
from oversight.store.imports.records import Author, Imported, Judged
from oversight.store.writer import Writer
from oversight.text import count_words

Row = Mapping[str, Any]

_ONCE = {"passages": "passage", "images": "image", "questions": "question", "labels": "question"} | {
    "models": "model",
    "arms": "arm",
}


@dataclass(frozen=True)
class Brought:
    """What an import wrote: episodes, turns and verdicts; `there` episodes the file had already."""

    episodes: int
    turns: int
    verdicts: int
    there: int


def write(path: Path, source: str, episodes: Sequence[Imported], command: str = "") -> Brought:
    """Write what the file does not have yet. Raises `UserError`, and has then written nothing."""
    named: dict[str, int] = {}
    for episode in episodes:
        episode.check()
        key = episode_key(source, episode)
        if named.setdefault(episode.name, key) != key:
            raise UserError(f"importer {source!r} gives two different episodes called {episode.name!r}")
    writer = Writer(path)
    try:
        there = dict(_rows(writer, "SELECT name, episode FROM imports WHERE source = ?", [source]))
        for name, key in named.items():
            if there.get(name, key) != key:
                raise StoreError(
                    f"{name!r} of {source!r} is not what was imported into {path} before: name another --db"
                )
        new = [e for e in {e.name: e for e in episodes}.values() if e.name not in there]
        rows = _Rows(writer, path)
        if new:
            run = content_key("import", source, sorted(named[e.name] for e in new))
            for episode in new:
                rows.add_episode(run, source, named[episode.name], episode)
            rows.add_run(run, command, source, sum(e.expected for e in new), len(new))
            writer.write_now(rows.complete())
    except StoreError:
        writer.leave()
        raise
    except BaseException:
        writer.close()
        raise
    writer.close()
    if writer.failed:
        raise writer.failed
    turns, verdicts = sum(len(e.turns) for e in new), sum(len(e.verdicts) for e in new)
    return Brought(len(new), turns, verdicts, len(named) - len(new))


def episode_key(source: str, e: Imported) -> int:
    """Content key of an imported episode: of all that was said and judged in it."""
    said = [[asdict(s.turn), asdict(s.by), s.role] for s in e.turns]
    judged = [[asdict(j.verdict), asdict(j.by), j.after, j.final] for j in e.verdicts]
    head = [e.name, e.task, e.question.key, e.label.index, list(e.shown), dict(e.argues), e.sample]
    return content_key("imported", source, arm_key(source, e), head, said, judged, e.expected, dict(e.meta))


def arm_key(source: str, e: Imported) -> int:
    """Content key of the arm it belongs to. It names the source: what was played there was not played here."""
    return content_key("imported arm", source, e.protocol, dict(e.params), e.judge, e.speaker)


def _rows(writer: Writer, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    try:
        writer.con.execute(f"USE {CATALOG}")
        return writer.con.execute(sql, list(values)).fetchall()
    except duckdb.Error as error:
        raise cannot_read(writer.path, error) from None


class _Rows:
    """Rows by table and column name; what is content-addressed once for the whole file."""

    def __init__(self, writer: Writer, path: Path) -> None:
        self._path = path
        self._known = {
            table: {key for (key,) in _rows(writer, f"SELECT {key} FROM {table}")}
            for table, key in _ONCE.items()
        }
        self._labels = dict(_rows(writer, "SELECT question, label FROM labels"))
        columns = "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        self._columns = dict(_rows(writer, f"{columns} WHERE database_name = ? GROUP BY ALL", [CATALOG]))
        self._tables: dict[str, list[Row]] = {}

    def complete(self) -> dict[str, list[Sequence[Any]]]:
        """For the writer: values in each table's column order, NULL for columns that imports know nothing of."""
        return {
            table: [tuple(row.get(column) for column in self._columns[table]) for row in rows]
            for table, rows in self._tables.items()
        }

    def _add(self, table: str, **row: Any) -> None:
        assert not set(row) - set(self._columns[table]), (table, row)
        self._tables.setdefault(table, []).append(row)

    def _once(self, table: str, key: int, **row: Any) -> int:
        if key not in self._known[table]:
            self._known[table].add(key)
            self._add(table, **{_ONCE[table]: key, **row})
        return key

    def add_run(self, run: int, command: str, source: str, planned: int, played: int) -> None:
        """The import, as an invocation of its own."""
        from oversight import __version__

        now = datetime.now(UTC).replace(tzinfo=None)
        self._add(
            "runs", run=run, started=now, ended=now, status="finished", command=masked(command),
            config=json.dumps({"import": source}), version=__version__, planned=planned, already_done=0, played=played,
        )  # fmt: skip

    def add_episode(self, run: int, source: str, key: int, e: Imported) -> None:
        """An episode with all it refers to."""
        self._add_question(e)
        roles = {said.turn.seat: _role(said.turn.seat, said.role) for said in e.turns}
        roles |= {seat: _role(seat, roles.get(seat, "")) for seat in e.argues}
        players = {
            role: {"model": e.judge if role == "judge" else e.speaker} for role in ("judge", *roles.values())
        }
        self._once(
            "arms", arm_key(source, e), protocol=e.protocol, params=json.dumps(dict(e.params), sort_keys=True),
            judge=e.judge, speaker=e.speaker, players=json.dumps(players, sort_keys=True),
        )  # fmt: skip
        assignment = ",".join(f"{seat}={answer}" for seat, answer in e.argues.items())
        self._add(
            "episodes", episode=key, arm=arm_key(source, e), task=e.task, question=e.question.key,
            answer_order=list(e.shown), assignment=assignment, argued=e.argued, sample=e.sample,
        )  # fmt: skip
        if e.expected:
            self._add("plans", run=run, episode=key)
        meta = json.dumps(dict(e.meta), ensure_ascii=False, sort_keys=True)
        self._add("imports", episode=key, run=run, source=source, name=e.name, meta=meta)
        for number, said in enumerate(e.turns):
            t = said.turn
            self._add(
                "turns", episode=key, turn=number, kind=t.kind, seat=t.seat, role=_role(t.seat, said.role), round=t.round,
                text=t.text, private=t.private, full=t.full, cut=t.cut, words=count_words(t.text),
                visible_to=None if t.visible_to is None else list(t.visible_to), addressed=t.to,
            )  # fmt: skip
            self._add("authors", episode=key, turn=number, model=self._author(source, said.by))
            for n, q in enumerate(t.quotes):
                self._add("quotes", episode=key, turn=number, quote=n, **asdict(q))
        for judged in e.verdicts:
            self._author(source, judged.by)
            self._add("verdicts", episode=key, **_verdict(judged, e.shown))

    def _add_question(self, e: Imported) -> None:
        q = e.question
        if self._labels.setdefault(q.key, e.label.index) != e.label.index:
            raise StoreError(
                f"imported episode {e.name!r}: its question has label {e.label.index} now and "
                f"{self._labels[q.key]} in {self._path}: verdicts on both do not belong together; name another --db"
            )
        passage = None
        if q.passage is not None:
            passage = self._once("passages", content_key("passage", q.passage), text=q.passage)
        images = [self._once("images", i.key, media_type=i.media_type, data=i.data) for i in q.images]
        self._once(
            "questions", q.key, source_id=q.source_id, text=q.text, answers=list(q.answers), passage=passage,
            group=q.cluster, stem=q.stem, meta=json.dumps(dict(q.meta), ensure_ascii=False, sort_keys=True, default=str),
            publish=e.publish, images=images or None, images_hidden=q.images_hidden,
        )  # fmt: skip
        self._once("labels", q.key, label=e.label.index)

    def _author(self, source: str, by: Author) -> int:
        identity = f"{source}:{by.name}"
        return self._once(
            "models", content_key("model", identity), name=by.name, identity=identity, kind=by.kind
        )


def _role(seat: str, role: str) -> str:
    return role or ("debater" if len(seat) == 1 and seat.isupper() else seat)


def _verdict(judged: Judged, order: Sequence[int]) -> dict[str, Any]:
    """Its row, with the answers put back into the question's own order."""
    v = judged.verdict
    probabilities = None
    if v.probabilities is not None:
        placed = dict(zip(order, v.probabilities, strict=True))
        probabilities = [placed[answer] for answer in range(len(order))]
    return {
        "turn": judged.after,
        "judge": judged.by.name,
        "elicitation": v.elicitation,
        "final": judged.final,
        "closing": judged.final,
        "status": v.status,
        "reason": v.reason,
        "detail": v.detail,
        "choice": None if v.choice is None else order[v.choice],
        "probabilities": probabilities,
        "raw": v.raw,
        "first_raw": v.first_raw,
    }
