"""The record of a run: what the engine writes down, and what it finds there when it goes on.

Rows are in the column order of schema.sql. What is content-addressed (messages, images, passages,
questions, models, templates, arms) is written once for the whole file.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from oversight.episode import Arm, Episode
from oversight.errors import CallFailed, StoreError
from oversight.models.interface import Completion, Model, Request
from oversight.moves import Choose, Estimate, Quote, Seat, Turn, Verdict
from oversight.player import Player
from oversight.prompts import Template
from oversight.question import Image, Label, content_key
from oversight.secrecy import without_keys
from oversight.store.database import CATALOG, cannot_read, literal
from oversight.store.keys import Keys, Statuses, read_keys
from oversight.store.memory import SHORT, patiently
from oversight.store.replies import Replies
from oversight.store.writer import Writer
from oversight.text import count_words


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict and whose it is."""

    player: Player
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a seat chose or estimated after `index` turns, by which model and calls."""

    index: int
    move: Choose | Estimate
    model: str
    verdict: Verdict
    uses: list[int]


class Log:
    """The database as the engine uses it."""

    def __init__(self, path: Path) -> None:
        self.writer = Writer(path)
        self.path = path
        self.run = 0
        self._reading = self.writer.con.cursor()
        self._reading.execute(f"USE {CATALOG}")
        self._replies = Replies(self.writer.con, path, self.writer.reads)
        self._models: dict[int, int] = {}
        self._used: dict[int, set[tuple[int, str, int]]] = {}
        self.standing: Counter[str] = Counter()
        """Final verdicts of the plan that an earlier run had reached, by status."""
        try:
            self._look()
        except BaseException:
            self._replies.close()
            self._reading.close()
            self.writer.leave()
            raise

    def _look(self) -> None:
        """Read what the file holds."""
        self._known = {name: self._keys(name) for name in _ONCE}
        self._calls = self._keys("calls")
        self._labels: dict[int, int] = dict(self._read("SELECT question, label FROM labels"))
        unused = "SELECT call FROM calls WHERE call NOT IN (SELECT call FROM uses WHERE paid)"
        self._unused = {key for (key,) in self._read(unused)}
        with self._told():
            final = Statuses.read(self._reading, "SELECT episode, status FROM verdicts WHERE final")
        self.finished = final
        """Final verdicts there were when the run began: episode key → status."""
        failed = "SELECT DISTINCT episode FROM verdicts WHERE NOT final AND status = 'failed'"
        found = {key for (key,) in self._read(failed)}
        self.unread = {key for key in found if self.finished.get(key) != "failed"}
        """Episodes that have a verdict, but of which a further reading failed."""
        self._episodes = self._keys("episodes")
        self._played = self._open_turns()

    def begin(self, run: int, seed: int, command: str, config: str, code: str, planned: int) -> None:
        """Write down that a run has begun."""
        from oversight import __version__

        self.run = run
        row = (run, _now(), None, "running", command, config, seed, __version__, code, planned, None, None)
        # Whoever was "running" is not any more, or the file would not be ours to write.
        self.writer.write_now({"runs": [row]}, ["UPDATE runs SET status = 'killed' WHERE status = 'running'"])

    def end(self, status: str, already_done: int, played: int) -> None:
        """Write down how the run ended. A killed run gets its status from the next one."""
        if self.writer.failed:
            return
        ended = (
            f"UPDATE runs SET ended = '{_now()}', status = {literal(status)}, already_done = {already_done}, "
            f"played = {played} WHERE run = {self.run}"
        )
        self.writer.write_now({}, [ended])

    @property
    def failed(self) -> StoreError | None:
        """What keeps the file from being written, once something has."""
        return self.writer.failed

    @property
    def messages(self) -> Keys:
        """Keys of the messages whose text is in the file."""
        return self._known["messages"]

    # a run that another process plays of the same plan, through this one

    def joined(self, run: int, seed: int, command: str, config: str, code: str, planned: int) -> None:
        """Write down that another process has joined this run: a run of its own, with the same plan."""
        from oversight import __version__

        row = (run, _now(), None, "running", command, config, seed, __version__, code, planned, None, None)
        self.writer.add("runs", row)
        plans = f"SELECT {run}::UBIGINT, episode FROM plans WHERE run = {self.run}"
        self.writer.before(f"INSERT INTO plans {plans}")

    def left(self, run: int, status: str, already_done: int | None, played: int) -> None:
        """Write down how a run that had joined ended; "running": that it is back."""
        ended = "NULL" if status == "running" else f"'{_now()}'"
        done = "NULL" if already_done is None else already_done
        self.writer.before(
            f"UPDATE runs SET ended = {ended}, status = {literal(status)}, already_done = {done}, played = {played:d} "
            f"WHERE run = {run:d}"
        )

    @contextmanager
    def written_by(self, run: int) -> Iterator[None]:
        """What is added in the block belongs to that run."""
        own, self.run = self.run, run
        try:
            yield
        finally:
            self.run = own

    def read_turns(self, episodes: Sequence[int]) -> None:
        """Read anew which turns of unfinished episodes are stored, for `played`."""
        for episode in episodes:
            self._played.pop(episode, None)
        self._played.update(self._open_turns(f"AND episode IN ({', '.join(map(str, episodes))})"))

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""

        def read() -> list[tuple[Any, ...]]:
            with self.writer.reads.one():
                return self._reading.execute(sql).fetchall()

        with self._told():
            return patiently(read, SHORT)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """DuckDB's errors in the block are told in one line."""
        try:
            yield
        except duckdb.Error as error:
            raise cannot_read(self.path, error) from None

    def _keys(self, table: str) -> Keys:
        with self._told():
            return read_keys(self._reading, f"SELECT {_ONCE.get(table) or table[:-1]} FROM {table}")

    def _open_turns(self, only: str = "") -> dict[int, dict[int, Turn]]:
        """Turns of episodes that have no verdict yet, or a failed one: what a resumed run goes on from."""
        done = "SELECT episode FROM verdicts GROUP BY episode HAVING NOT bool_or(status = 'failed')"
        unfinished = f"episode NOT IN ({done}) {only}"  # nosec: no input
        quotes: dict[tuple[int, int], list[Quote]] = {}
        for episode, turn, *rest in self._read(
            'SELECT episode, turn, "start", "end", verified, passage_start, passage_end, cut FROM quotes '
            f"WHERE {unfinished} ORDER BY episode, turn, quote"
        ):
            quotes.setdefault((episode, turn), []).append(Quote(*rest))
        turns: dict[int, dict[int, Turn]] = {}
        for (
            episode, turn, kind, seat, round_, text, private, full, cut, visible, to, placebo
        ) in self._read(
            'SELECT episode, turn, kind, seat, round, text, private, "full", cut, visible_to, addressed, placebo '
            f"FROM turns WHERE {unfinished}"
        ):  # fmt: skip
            turns.setdefault(episode, {})[turn] = Turn(
                kind, seat, round_, text, private, full, cut, tuple(quotes.get((episode, turn), ())),
                tuple(visible) if visible is not None else None, to, bool(placebo),
            )  # fmt: skip
        return turns

    # calls

    def has_call(self, key: int) -> bool:
        return key in self._calls

    def has_scores(self, model: Model) -> bool:
        """Whether a stored reply of a model has log-probs."""
        wanted = f"model = {content_key('model', model.identity)} AND scores IS NOT NULL"
        return bool(self._read(f"SELECT 1 FROM calls WHERE {wanted} LIMIT 1"))

    async def get_call(self, key: int, model: Model, messages: Sequence[int]) -> Completion:
        """A stored completion."""
        found = await self._replies.get(key, self._model(model), messages)
        if found is None:  # another process brought it a moment ago: it is being committed
            await self.durable()
            found = await self._replies.get(key, self._model(model), messages)
        if found is None:
            raise StoreError(f"call {key:016x} has gone from {self.path}; is something else writing to it?")
        return found

    def keep(self, key: int, model: Model, messages: Sequence[int], completion: Completion) -> None:
        """Remember for a while what a call in the file came to."""
        self._replies.keep(key, self._model(model), messages, completion)

    def add_call(
        self,
        key: int,
        model: Model,
        kind: str,
        request: Request,
        messages: list[int],
        sample: int,
        completion: Completion,
        started: datetime,
        seconds: float,
        attempts: int,
    ) -> None:
        known = self._known["messages"]
        for one, message in zip(messages, request.messages, strict=True):
            if one not in known:
                images = self._images(message.images)
                self._once("messages", one, (one, message.role, message.content, images))
        s, c = request.sampling, completion
        self.writer.add(
            "calls",
            (
                key, self.run, self._model(model), kind, messages, list(request.continuations) or None, s.temperature, s.top_p,
                s.max_tokens or None, list(s.stop) or None, sample, c.text, c.private, c.stop,
                _list(c.scores), _list(c.token_ids), _list(c.logprobs), c.prompt_tokens, c.completion_tokens,
                c.cached_tokens, c.cache_write_tokens, c.reasoning_tokens, c.cost, started, seconds, c.provider_id,
                request.schema or None, list(request.letters) or None, list(c.unlisted) or None, c.served, c.notes or None,
                attempts,
            ),
        )  # fmt: skip
        self.writer.expect(seconds)
        self._calls.add(key)
        self._unused.add(key)

    def add_batch(
        self, tag: str, model: Model, sent: datetime, provider_id: str | None, calls: list[int]
    ) -> None:
        """Write down that a batch is about to be sent, or what the provider calls it."""
        self.writer.add("batches", (tag, self.run, self._model(model), sent, provider_id, calls))

    def batches_of(self, model: Model) -> list[tuple[str, datetime, str | None, list[int]]]:
        """Batches of a model with calls that never came: tag, time, the provider's name and those calls."""
        rows = self._read(
            "SELECT batch, min(sent), max(provider_id), flatten(list(calls)) FROM batches "
            f"WHERE model = {content_key('model', model.identity)} GROUP BY batch ORDER BY min(sent)"
        )
        failed = dict(self._read("SELECT call, max(happened) FROM failures GROUP BY call"))
        left = []
        for tag, sent, name, keys in rows:
            # A call that came to nothing there is made anew.
            open_ = [k for k in keys if k not in self._calls and not (k in failed and failed[k] >= sent)]
            if open_:
                left.append((tag, sent, name, open_))
        return left

    def add_failure(self, key: int, model: Model, at: datetime, error: CallFailed) -> None:
        said = without_keys(str(error))
        self.writer.add("failures", (key, self.run, self._model(model), at, error.reason, said))

    def _model(self, model: Model) -> int:
        key = self._models.get(id(model))
        if key is None:
            key = self._models[id(model)] = content_key("model", model.identity)
            self._once("models", key, (key, model.name, model.identity, model.kind))
        return key

    def _images(self, images: Sequence[Image]) -> list[int] | None:
        """Their keys; each is written once."""
        for image in images:
            self._once("images", image.key, (image.key, image.media_type, image.data))
        return [image.key for image in images] or None

    def _once(self, table: str, key: int, row: Sequence[Any]) -> None:
        known = self._known[table]
        if key not in known:
            known.add(key)
            self.writer.add(table, row)

    # episodes

    def add_episode(self, episode: Episode, label: Label, publish: bool) -> None:
        """Write an episode down as planned in this run, with all it refers to."""
        q = episode.question
        known = self._labels.setdefault(q.key, label.index)
        if known != label.index:
            raise StoreError(
                f"question {q.source_id or q.id} has label {label.index} now and {known} in {self.path}: "
                "verdicts on both do not belong together; name another --db"
            )
        if q.key not in self._known["questions"]:
            passage = None
            if q.passage is not None:
                passage = content_key("passage", q.passage)
                self._once("passages", passage, (passage, q.passage))
            meta = json.dumps(dict(q.meta), ensure_ascii=False, sort_keys=True, default=str)
            self._once(
                "questions",
                q.key,
                (
                    q.key,
                    q.source_id,
                    q.text,
                    list(q.answers),
                    passage,
                    q.cluster,
                    q.stem,
                    meta,
                    publish,
                    self._images(q.images),
                    q.images_hidden,
                    q.passage_name,
                ),
            )
            self.writer.add("labels", (q.key, label.index))
        self.add_arm(episode.arm)
        self.writer.add("plans", (self.run, episode.key))
        if episode.key not in self._episodes:
            self._episodes.add(episode.key)
            a = episode.assignment
            seats = ",".join(f"{s.name}={a.order[s.answer]}" for s in episode.seats if s.answer is not None)
            self.writer.add(
                "episodes",
                (
                    episode.key,
                    episode.arm.key,
                    episode.task,
                    q.key,
                    list(a.order),
                    seats,
                    a.argued,
                    episode.sample,
                    *(episode.origin or (None, None)),
                ),
            )
            for index, turn in enumerate(episode.given):
                seat = next(s for s in episode.seats if s.name == turn.seat)
                self._add_turn(episode, index, turn, seat, None)

    def add_arm(self, arm: Arm) -> None:
        if arm.key in self._known["arms"]:
            return
        for player in arm.players.values():
            for member in (player, *player.judging.panel):
                self._template(member.template)
        params = json.dumps(dict(arm.params), sort_keys=True)
        self._once(
            "arms",
            arm.key,
            (arm.key, arm.protocol.name, params, arm.judge.name, arm.speaker, arm.describe()),
        )

    def _template(self, template: Template) -> int:
        key = int(template.hash, 16)
        self._once("templates", key, (key, template.name, template.source))
        return key

    def played(self, episode: int) -> Mapping[int, Turn]:
        """Turns an earlier run played of an episode it did not finish."""
        return self._played.pop(episode, {})

    def add_turn(self, episode: Episode, index: int, turn: Turn, seat: Seat, uses: Sequence[int]) -> None:
        """A turn with its quotes, its drafts and the calls it used."""
        self._add_turn(episode, index, turn, seat, int(episode.arm.player(seat).template.hash, 16))
        self.add_uses(episode, index, turn.seat, uses)

    def _add_turn(self, episode: Episode, index: int, turn: Turn, seat: Seat, prompt: int | None) -> None:
        visible = list(turn.visible_to) if turn.visible_to is not None else None
        words = count_words(turn.text)
        self.writer.add(
            "turns",
            (
                episode.key, index, turn.kind, turn.seat, seat.role, turn.round, turn.text, turn.private, turn.full, turn.cut,
                words, visible, turn.to, prompt, turn.placebo,
            ),
        )  # fmt: skip
        for n, draft in enumerate(turn.drafts):
            row = (episode.key, index, n, draft.kind, draft.text, draft.score, draft.shown)
            self.writer.add("drafts", row)
        for n, q in enumerate(turn.quotes):
            self.writer.add(
                "quotes",
                (episode.key, index, n, q.start, q.end, q.verified, q.passage_start, q.passage_end, q.cut),
            )

    def forget_failure(self, episode: Episode, turns: int) -> None:
        """Before a failed episode is tried again: the uses of the act that failed, after `turns` turns, go.
        Those of verdicts on the way stay, and are not written twice."""
        of, tail = f"episode = {episode.key}", f"episode = {episode.key} AND turn >= {turns}"
        kept = f"SELECT turn, seat, call FROM uses WHERE {of} AND turn < {turns}"
        self._used[episode.key] = set(self._read(kept))
        self._unused.update(call for (call,) in self._read(f"SELECT call FROM uses WHERE paid AND {tail}"))
        self.writer.before(f"DELETE FROM uses WHERE {tail}")

    def add_uses(self, episode: Episode, index: int, seat: str, uses: Sequence[int], first: int = 0) -> None:
        """The calls that a seat's turn, choice or verdict at `index` came from, numbered from `first`; the first
        use of each is the paid one."""
        kept = self._used.get(episode.key, ())
        for n, call in enumerate(uses, start=first):
            if (index, seat, call) in kept:
                continue
            paid = call in self._unused
            self._unused.discard(call)
            self.writer.add("uses", (episode.key, index, seat, n, call, self.run, paid))

    def add_choices(self, episode: Episode, chosen: Sequence[Chosen]) -> None:
        """What seats chose and estimated on the way. Answers are put back into the question's own order; those
        of an earlier run give way."""
        if episode.key in self.finished:
            self.writer.before(f"DELETE FROM choices WHERE episode = {episode.key}")
        answers = episode.case.answers
        for n, one in enumerate(chosen):
            move, v = one.move, one.verdict
            among = move.claims if isinstance(move, Estimate) else move.among
            own = among in ((), answers)
            kind = "estimate" if isinstance(move, Estimate) else "answer" if own else "choice"
            choice, probabilities = (
                _in_order(v, episode.assignment.order) if own else (v.choice, v.probabilities)
            )
            self.writer.add(
                "choices",
                (
                    episode.key, one.index, n, move.seat.name, move.seat.role, one.model, kind,
                    None if own else list(among), choice, _list(probabilities), v.elicitation, v.detail, v.raw,
                    v.first_raw,
                ),
            )  # fmt: skip
            # A seat may choose and then speak at one place: each use has a number of its own.
            self.add_uses(episode, one.index, move.seat.name, one.uses, CHOSEN * (n + 1))

    def add_verdicts(self, episode: Episode, verdicts: Sequence[tuple[int, Sequence[Reading]]]) -> None:
        """An episode's verdicts: at each place, given as the number of turns before it, one for each way in
        which the judge is read. The last place closes the episode, and its first verdict is the final one.

        Their answers are put back into the question's own order. Those of an earlier run that failed give way.
        """
        if episode.key in self.finished:
            self.writer.before(f"DELETE FROM verdicts WHERE episode = {episode.key}")
        for n, (index, readings) in enumerate(verdicts, start=1):
            closing = n == len(verdicts)
            for way, reading in enumerate(readings):
                v, prompt = reading.verdict, int(reading.player.template.hash, 16)
                choice, probabilities = _in_order(v, episode.assignment.order)
                self.writer.add(
                    "verdicts",
                    (
                        episode.key, index, reading.player.name, prompt, v.elicitation, closing and way == 0, closing,
                        v.status, v.reason, v.detail, choice, _list(probabilities), v.raw, v.first_raw,
                    ),
                )  # fmt: skip

    def durable(self) -> asyncio.Future[None]:
        """Done when all that was added is committed."""
        return self.writer.durable()

    def close(self) -> None:
        self._replies.close()
        self._reading.close()
        self.writer.close()


CHOSEN, READ = 1_000_000, 1_000
"""What uses of choices, and of verdicts, are numbered in steps of; those of a turn begin with 0."""

_ONCE = {
    "messages": "message",
    "images": "image",
    "passages": "passage",
    "questions": "question",
    "models": "model",
    "templates": "template",
    "arms": "arm",
}


def _in_order(verdict: Verdict, order: Sequence[int]) -> tuple[int | None, list[float] | None]:
    """A verdict's choice and probabilities over the question's answers, instead of the order shown."""
    probabilities = None
    if verdict.probabilities is not None:
        probabilities = [0.0] * len(order)
        for shown, p in enumerate(verdict.probabilities):
            probabilities[order[shown]] = p
    return (order[verdict.choice] if verdict.choice is not None else None), probabilities


def _now() -> datetime:
    """UTC, as the store keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
