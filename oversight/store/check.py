"""Whether a database is whole: every content key, every reference, and the sums of its ledger.

`check` reads and says what is wrong, row by row. `salvage` copies what a damaged file still gives into a
new one. Neither writes to the file it looks at.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import BadQuestion, StoreError
from oversight.question import Image, Question, content_key, hex_id
from oversight.store import wal
from oversight.store.database import (
    CATALOG,
    attach,
    check_ours,
    first_line,
    open_for_writing,
    our_tables,
    refuse_what_is_no_file,
    tables,
)
from oversight.store.draft import new_file
from oversight.store.memory import in_memory
from oversight.store.reading import held_by

SHOWN = 20
"""Rows that are named of each kind of flaw; all are counted."""
PIECE = 122_880
"""Rows that DuckDB stores together."""
VECTOR = 2048
"""Rows that it reads at once: what is lost with a damaged block is counted in these."""


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong: in which table, what, in how many rows, and the first of them."""

    table: str
    what: str
    rows: int
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What was looked at: rows of each table, keys worked out anew (and those that cannot be), and the flaws."""

    rows: Mapping[str, int]
    keys: int
    unkeyed: int
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True)
class Kept:
    """Of a table, how many rows were copied, and of how many (None: that cannot be read any more)."""

    table: str
    kept: int
    held: int | None


def check(path: Path) -> Checked:
    """Look at all of a database. Raises `StoreError` where it cannot be opened at all, or while a run writes it."""
    with _opened(path) as (con, flaws):
        known = _columns(con)
        flaws += [Flaw(table, "is not there", 0) for table in sorted(our_tables() - known.keys())]
        whole, rows = {}, {}
        for table in known:
            rows[table], problem = _read_through(con, table)
            if problem:
                flaws.append(Flaw(table, f"cannot be read in full ({problem})", rows[table]))
            else:
                whole[table] = known[table]
        keys, unkeyed = 0, 0
        for table, key_of in _KEYS.items():
            if table in whole and _needs(table) <= whole.keys():
                right, cannot, flaw = _rehashed(con, table, key_of, whole)
                keys, unkeyed = keys + right, unkeyed + cannot
                flaws += [flaw] if flaw else []
        for table, what, sql in itertools.chain(_references(whole), _ledger(whole)):
            if flaw := _flaw(con, table, what, sql):
                flaws.append(flaw)
    return Checked(rows, keys, unkeyed, tuple(flaws))


# opening


@contextmanager
def _opened(path: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Flaw]]]:
    """The file attached read-only as our catalog. A log that is damaged is read as far as it goes, from a copy."""
    if not path.exists():
        raise StoreError(f"no database at {path}")
    refuse_what_is_no_file(path)
    with tempfile.TemporaryDirectory(prefix="oversight-") as folder, in_memory() as con:
        con.execute("SET allow_persistent_secrets=false")
        flaws: list[Flaw] = []
        try:
            _attach(con, path)
        except duckdb.Error as error:
            if who := held_by(str(error)):
                raise StoreError(
                    f"{who} is writing {path}: look at it when that has ended, or at a copy by `oversight backup`"
                ) from None
            if not wal.is_about_a_log(error):
                raise StoreError(f"{path} cannot be opened, and nothing read: {_short(error)}") from None
            flaws.append(_attach_what_is_readable(con, path, Path(folder), error))
        else:
            log = wal.look(con, CATALOG, path)
            if log and log.unread:
                con.execute(f"DETACH {CATALOG}")
                flaws.append(_attach_what_is_readable(con, path, Path(folder), None))
            elif log and log.read < log.size:
                what = f"breaks off: {log.read:,} of {log.size:,} bytes are read; what was being committed then is lost"
                flaws.append(Flaw("write-ahead log", what, 1))
        try:
            check_ours(con, path, CATALOG)
        except duckdb.Error:  # its own description is lost
            if not {"episodes", "turns", "calls"} <= tables(con, CATALOG):
                raise StoreError(f"{path} is damaged, and what it was cannot be told") from None
        if not tables(con, CATALOG):
            raise StoreError(f"{path} is empty: nothing was ever written to it")
        con.execute(f"USE {CATALOG}")
        yield con, flaws


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    attach(con, path, CATALOG, "READ_ONLY")


def _attach_what_is_readable(
    con: duckdb.DuckDBPyConnection, path: Path, folder: Path, error: duckdb.Error | None
) -> Flaw:
    """Attach the file with what can be read of its log; the flaw that the log has."""
    copy, log, mended = wal.readable(path, folder, error)
    _attach(con, copy)
    header = "its header had to be made anew, " if mended else ""
    lost = f"{log.unread:,} of the {log.commits:,} commits in it are lost"
    what = f"is damaged: {header}{log.read:,} of {log.size:,} bytes can be read; {lost}"
    return Flaw("write-ahead log", what, 1, (_short(error),) if error else ())


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Type by column by table, in the file's order."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in con.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c "
        "JOIN duckdb_tables() t USING (database_name, table_name) "
        "WHERE database_name = ? ORDER BY c.table_name, c.column_index",
        [CATALOG],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _read_through(con: duckdb.DuckDBPyConnection, table: str) -> tuple[int, str]:
    """How many rows a table says it has, and what kept them from being read; "" for nothing."""
    rows = 0
    try:
        rows = con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        con.execute(f"SELECT hash(COLUMNS(*)) FROM {table}")
        while con.fetchmany(PIECE):  # every block has a checksum, looked at as it is read
            pass
    except duckdb.Error as error:
        return rows, _short(error)
    return rows, ""


# content keys


def _message(row: Mapping[str, Any], _: Any) -> int:
    return content_key("message", row["role"], row["content"], *([row["images"]] if row["images"] else []))


def _image(row: Mapping[str, Any], _: Any) -> int:
    return content_key("image", row["media_type"], hashlib.sha256(row["data"]).hexdigest())


def _question(row: Mapping[str, Any], pictures: Callable[[int], Image]) -> int | None:
    images = tuple(pictures(key) for key in row["images"] or ())
    more = {"passage_name": row["passage_name"]} if row.get("passage_name") else {}
    try:
        return Question(
            row["text"],
            tuple(row["answers"]),
            passage=row["passage_text"],
            stem=row["stem"],
            source_id=row["source_id"],
            images=images,
            images_hidden=bool(row["images_hidden"]),
            **more,
        ).key
    except BadQuestion:
        return None


def _call(row: Mapping[str, Any], _: Any) -> tuple[int, ...]:
    """Keys that the call may have. A number the experiment gave as 0 or 1 is stored as 0.0 or 1.0."""
    shape = (tuple(row["letters"] or ()), row["schema"] or "")
    return tuple(
        content_key(
            "call",
            row["identity"],
            row["kind"],
            row["messages"],
            temperature,
            top_p,
            row["max_tokens"] or 0,
            row["stop"] or (),
            row["continuations"] or (),
            row["sample"],
            *(shape if any(shape) else ()),
        )
        for temperature, top_p in itertools.product(_spellings(row["temperature"]), _spellings(row["top_p"]))
    )


def _spellings(number: float) -> tuple[float, ...]:
    return (number, int(number)) if number == int(number) else (number,)


_KEYS: dict[str, Callable[[Mapping[str, Any], Any], int | tuple[int, ...] | None]] = {
    "messages": _message,
    "passages": lambda row, _: content_key("passage", row["text"]),
    "images": _image,
    "models": lambda row, _: content_key("model", row["identity"]),
    "templates": lambda row, _: content_key("template", row["source"]),
    "questions": _question,
    "calls": _call,
}
_FROM = {
    "questions": "SELECT q.*, p.text AS passage_text FROM questions q LEFT JOIN passages p USING (passage)",
    "calls": "SELECT c.*, m.identity, m.kind AS model_kind FROM calls c JOIN models m USING (model)",
}


def _needs(table: str) -> set[str]:
    return {"questions": {"passages", "images"}, "calls": {"models"}}.get(table, set())


def _rehashed(
    con: duckdb.DuckDBPyConnection, table: str, key_of: Callable[..., Any], known: Mapping[str, Any]
) -> tuple[int, int, Flaw | None]:
    """Rows whose key was worked out and is right, rows of which it cannot be, and the others."""
    key = table[:-1]
    ours = con.cursor()
    ours.execute(f"USE {CATALOG}")

    def picture(wanted: int) -> Image:
        found = ours.execute("SELECT media_type, data FROM images WHERE image = ?", [wanted]).fetchall()
        return Image(*found[0]) if found else Image("", b"")

    cursor = con.execute(_FROM.get(table, f"SELECT * FROM {table}"))
    names = [column[0] for column in cursor.description or ()]
    right, unkeyed, wrong = 0, 0, 0
    named: list[str] = []
    while rows := cursor.fetchmany(10_000):
        for values in rows:
            row = dict(zip(names, values, strict=True))
            found = key_of(row, picture)
            if row[key] in (found if isinstance(found, tuple) else (found,)):
                right += 1
            elif table == "calls" and row["model_kind"] not in _REUSED:
                unkeyed += (
                    1  # a person is never answered from the store: their calls' keys hold the run as well
                )
            else:
                wrong += 1
                named += [hex_id(row[key])] if wrong <= SHOWN else []
    flaw = Flaw(table, "is not what its key says", wrong, tuple(named)) if wrong else None
    return right, unkeyed, flaw


_REUSED = frozenset(["api", "local", "scripted", "simulated"])


# references and sums, each a statement whose rows are the flawed ones, named by its first column

Check = tuple[str, str, str]

_REFERENCES = (
    ("plans", "run", "runs"), ("plans", "episode", "episodes"), ("questions", "passage", "passages"),
    ("questions", "images", "images"), ("labels", "question", "questions"), ("episodes", "arm", "arms"),
    ("episodes", "question", "questions"), ("episodes", "parent", "episodes"), ("turns", "episode", "episodes"),
    ("turns", "prompt", "templates"), ("verdicts", "episode", "episodes"), ("verdicts", "prompt", "templates"),
    ("messages", "images", "images"), ("calls", "run", "runs"), ("calls", "model", "models"),
    ("calls", "messages", "messages"), ("batches", "run", "runs"), ("batches", "model", "models"),
    ("failures", "run", "runs"), ("failures", "model", "models"), ("uses", "episode", "episodes"),
    ("uses", "call", "calls"), ("uses", "run", "runs"), ("imports", "episode", "episodes"),
    ("imports", "run", "runs"), ("authors", "episode", "episodes"), ("authors", "model", "models"),
)  # fmt: skip
_ONCE = (
    "runs",
    "passages",
    "images",
    "questions",
    "models",
    "templates",
    "arms",
    "episodes",
    "messages",
    "calls",
)


def _references(known: Mapping[str, Mapping[str, str]]) -> Iterator[Check]:
    for table, column, target in _REFERENCES:
        if column not in known.get(table, ()) or target not in known:
            continue
        many = known[table][column].endswith("[]")
        own = f"SELECT *, unnest({column}) AS wanted" if many else f"SELECT *, {column} AS wanted"
        yield (
            table,
            f"names {target} that are not there ({column})",
            f"SELECT {_name(table, known)}, wanted FROM ({own} FROM {table}) WHERE wanted IS NOT NULL "
            f"AND wanted NOT IN (SELECT {target[:-1]} FROM {target})",
        )
    if {"quotes", "turns"} <= known.keys():
        yield (
            "quotes",
            "is of a turn that is not there",
            "SELECT episode, turn FROM quotes ANTI JOIN turns USING (episode, turn)",
        )
    if {"questions", "labels"} <= known.keys():
        yield (
            "questions",
            "has no label, or several",
            "SELECT question, count(l.label) FROM questions LEFT JOIN labels l USING (question) "
            "GROUP BY question HAVING count(l.label) <> 1",
        )
    for table in _ONCE:
        if table in known:
            key = table[:-1]
            yield (
                table,
                "is there more than once",
                f"SELECT {key}, count(*) FROM {table} GROUP BY {key} HAVING count(*) > 1",
            )


def _name(table: str, known: Mapping[str, Mapping[str, str]]) -> str:
    """The column that rows of a table are called by."""
    own = table[:-1]
    return own if own in known[table] else next(iter(known[table]))


_LEDGER = (
    ("verdicts", "is final for an episode that has another",
     "SELECT episode, count(*) FROM verdicts WHERE final GROUP BY episode HAVING count(*) > 1"),
    ("verdicts", "is there for an episode without a final one",
     "SELECT episode, count(*) FROM verdicts GROUP BY episode HAVING NOT bool_or(final)"),
    ("verdicts", "is final and does not close its episode", "SELECT episode FROM verdicts WHERE final AND NOT closing"),
    ("verdicts", "is decided without a choice, or chosen without a decision",
     "SELECT episode, status FROM verdicts WHERE (status = 'decided') <> (choice IS NOT NULL)"),
    ("verdicts", "failed without a reason", "SELECT episode FROM verdicts WHERE status = 'failed' AND reason IS NULL"),
    ("verdicts", "has a choice or probabilities for answers that are not there",
     "SELECT episode, choice FROM verdicts JOIN episodes USING (episode) JOIN questions q USING (question) "
     "WHERE choice >= len(q.answers) OR len(probabilities) <> len(q.answers)"),
    ("verdicts", "has probabilities that do not sum to 1",
     "SELECT episode, list_sum(probabilities) FROM verdicts WHERE abs(list_sum(probabilities) - 1) > 1e-6"),
    ("labels", "names an answer that is not there",
     "SELECT question, label FROM labels JOIN questions USING (question) WHERE label >= len(answers)"),
    ("episodes", "shows other answers than its question has",
     "SELECT episode FROM episodes JOIN questions q USING (question) "
     "WHERE list_sort(answer_order) <> range(len(q.answers))::UTINYINT[]"),
    ("turns", "is missing from the middle, or there twice",
     "SELECT episode, count(*), max(turn) FROM turns GROUP BY episode "
     "HAVING count(*) <> max(turn) + 1 OR count(DISTINCT turn) <> count(*)"),
    ("quotes", "lies outside its turn's text",
     'SELECT q.episode, q.turn FROM quotes q JOIN turns t USING (episode, turn) WHERE q."end" > length(t."text") '
     'OR q."start" >= q."end" OR q."start" < 0'),
    ("uses", "pays for a call that another paid for",
     "SELECT call, count(*) FROM uses WHERE paid GROUP BY call HAVING count(*) > 1"),
    ("uses", "is of a call that nobody paid for",
     "SELECT call FROM uses GROUP BY call HAVING NOT bool_or(paid) AND "
     "(SELECT bool_and(status IN ('finished', 'failed')) FROM runs)"),
    ("plans", "holds other episodes than its run planned",
     "SELECT run, count(DISTINCT episode), any_value(planned) FROM plans JOIN runs USING (run) "
     "WHERE status IN ('finished', 'failed') GROUP BY run HAVING count(DISTINCT episode) <> any_value(planned)"),
    ("plans", "has an episode without a verdict in a run that finished",
     "SELECT p.episode FROM plans p JOIN runs r USING (run) ANTI JOIN (FROM verdicts WHERE final) v "
     "ON v.episode = p.episode WHERE r.status IN ('finished', 'failed')"),
)  # fmt: skip


def _ledger(known: Mapping[str, Mapping[str, str]]) -> Iterator[Check]:
    everything = {"runs", "plans", "episodes", "questions", "labels", "turns", "quotes", "verdicts", "uses"}
    for table, what, sql in _LEDGER:
        if {word for word in everything if f" {word} " in f"{sql} "} <= known.keys():
            yield table, what, sql


def _flaw(con: duckdb.DuckDBPyConnection, table: str, what: str, sql: str) -> Flaw | None:
    rows = con.execute(f"SELECT *, count(*) OVER () FROM ({sql}) ORDER BY ALL LIMIT {SHOWN}").fetchall()
    if not rows:
        return None
    return Flaw(table, what, rows[0][-1], tuple(_said(row[:-1]) for row in rows))


def _said(row: Sequence[Any]) -> str:
    first, *rest = row
    name = hex_id(first) if isinstance(first, int) else str(first)
    return " ".join([name, *(hex_id(v) if isinstance(v, int) and v > 2**32 else str(v) for v in rest)])


# salvage


def salvage(path: Path, out: Path) -> list[Kept]:
    """Copy every row of `path` that can be read into a new database. Raises `StoreError` where `out` is there."""
    with new_file(out) as draft, _opened(path) as (con, _):
        new = open_for_writing(draft)
        try:
            theirs = _columns(con)
            return [
                _copied(con, new, table, [name for name in own if name in theirs[table]])
                for table, own in _columns(new).items()
                if table != "meta" and table in theirs
            ]
        finally:
            new.close()


def _copied(
    con: duckdb.DuckDBPyConnection, new: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]
) -> Kept:
    """Piece by piece, and where a piece has a damaged block, by what DuckDB reads at once."""
    try:
        held: int = con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    except duckdb.Error:
        return Kept(table, 0, None)
    names = ", ".join(f'"{column}"' for column in columns)
    types = _columns(new)[table]
    put = ", ".join(f"unnest(${i}::{types[name]}[])" for i, name in enumerate(columns, start=1))

    def take(first: int, last: int) -> int:
        try:
            rows = con.execute(
                f"SELECT {names} FROM {table} WHERE rowid >= {first} AND rowid < {last}"
            ).fetchall()
        except duckdb.Error:
            if last - first <= VECTOR:
                return 0
            middle = first + (last - first) // 2 // VECTOR * VECTOR
            return take(first, middle) + take(middle, last)
        if rows:
            new.execute(
                f"INSERT INTO {table} ({names}) SELECT {put}", [list(v) for v in zip(*rows, strict=True)]
            )
        return len(rows)

    kept = 0
    for first in range(0, held, PIECE // 4):
        kept += take(first, min(first + PIECE // 4, held))
    return Kept(table, kept, held)


def _short(error: Exception) -> str:
    return first_line(str(error).split(": ", 1)[-1])
