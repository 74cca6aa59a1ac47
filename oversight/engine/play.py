"""Playing episodes: thousands of protocol generators driven at once, each move one or more calls.

A protocol is re-driven from the turns that are stored, then goes on with calls; a stored turn that
does not fit the move now asked for is an error. What several moves of a `Together` say becomes
visible when all are done, in the order the protocol gave them, whatever order they finished in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oversight.elicit import judge, pool
from oversight.engine.calls import Caller, Made
from oversight.engine.rehearse import MOST_MOVES, too_long
from oversight.engine.stage import Stage, decided, script_of, turn_of
from oversight.episode import Episode
from oversight.errors import BadProtocol, CallFailed, StoreError
from oversight.library import broken
from oversight.models.interface import Completion, Model, Request
from oversight.moves import Ask, Choose, Estimate, Judge, Move, Pool, Script, Speak, Together, Turn, Verdict
from oversight.player import Act, Elsewhere, Player, T
from oversight.sandbox import remembering
from oversight.secrecy import without_keys
from oversight.store.log import READ, Chosen, Log, Reading
from oversight.views import View

Uses = list[int]
Readings = tuple[Reading, ...]
"""A judge's verdicts at one place, one for each way it is read; the first is the episode's. Those of a panel's
members follow."""


@dataclass(frozen=True)
class _Lost:
    """The act that failed its episode: whose it was, the calls it used, and what a judge's readings came to."""

    seat: str
    uses: Uses
    readings: Readings = ()


@dataclass
class _Branch:
    """What one line of play (the protocol itself, or a part of a `Together`) has brought so far.

    `known` are the turns before it; `turns` its own. Indices of turns are known once the branch has
    been joined to what went before it.
    """

    known: tuple[Turn, ...] = ()
    turns: list[tuple[Turn, Uses]] = field(default_factory=list)
    verdicts: list[tuple[int, Readings, Uses]] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)

    def seen(self) -> tuple[Turn, ...]:
        return (*self.known, *[turn for turn, _ in self.turns])


class Play:
    """One episode being played. `run()` plays it to its end and writes it down."""

    def __init__(self, episode: Episode, caller: Caller, log: Log) -> None:
        self.episode = episode
        self.arm = episode.arm
        self.stage = Stage(episode)
        self.caller = caller
        self.log = log
        self.stored: Mapping[int, Turn] = log.played(episode.key)
        self.lost: _Lost | None = None
        self.unread = False
        """Whether there is a verdict but a further reading failed."""
        self.calls = 0
        self.moves = 0
        self.places = list(range(len(episode.given) + 1))
        """Numbers of turns after which somebody can believe something new."""

    async def run(self) -> Verdict:
        """The final verdict, which is also what is stored: a call that failed makes a failed verdict."""
        with remembering():
            return await self._run()

    async def _run(self) -> Verdict:
        main = _Branch(known=self.episode.given)
        if self.episode.key in self.log.finished:
            self.log.forget_failure(self.episode, len(self.stored))
        try:
            try:
                script = script_of(self.episode)
            except (Exception, SystemExit) as error:  # a function that is no generator runs here already
                raise broken(self.arm.protocol, error) from error
            await self._drive(script, main, written=True)
            if not main.verdicts:
                raise BadProtocol(f"protocol {self.arm.protocol.name!r} ended without a Judge move")
            if self.arm.judge.judging.beliefs:
                main.verdicts[:0] = await self._beliefs(main)
            verdicts = [(index, readings) for index, readings, _ in main.verdicts]
            self.unread = any(r.verdict.status == "failed" for _, readings in verdicts for r in readings)
        except CallFailed as error:
            readings = self.lost.readings if self.lost else ()
            player = self.arm.judge
            failures = tuple(Reading(player, _failure(way, error)) for way in player.elicit)
            verdicts = [(len(main.seen()), readings or failures)]
            if self.lost:
                self.log.add_uses(self.episode, len(main.seen()), self.lost.seat, self.lost.uses)
        else:
            *before, (last, _, closing) = main.verdicts
            for n, (index, _, uses) in enumerate(before, start=1):
                # At such a place the judge may have asked as well.
                self.log.add_uses(self.episode, index, "judge", uses, READ * n)
            self.log.add_uses(self.episode, last, "judge", closing)
        self.log.add_choices(self.episode, main.chosen)
        self.log.add_verdicts(self.episode, verdicts)
        await self.log.durable()
        return verdicts[-1][1][0].verdict

    async def _beliefs(self, main: _Branch) -> list[tuple[int, Readings, Uses]]:
        """The judge's verdict before the first turn and after every move that brought turns; the final one is
        there already. One that failed is a failed reading."""
        seen = main.seen()
        places = [place for place in self.places if place < len(seen)]
        judge = next(seat for seat in self.episode.seats if seat.role == "judge")

        async def one(place: int) -> tuple[int, Readings, Uses]:
            readings, uses = await self._readings(Judge(judge), seen[:place])
            return place, readings, uses

        return list(await asyncio.gather(*map(one, places)))

    async def _drive(self, script: Script, branch: _Branch, written: bool = False) -> Any:
        """Drive a generator of moves; what it returns. With `written`, turns are stored as they are played."""
        answer: Any = None
        while True:
            try:
                move = script.send(answer)
            except StopIteration as stop:
                return stop.value
            except (Exception, SystemExit) as error:
                raise broken(self.arm.protocol, error) from error
            self.moves += 1
            if self.moves > MOST_MOVES:
                raise too_long(self.arm.protocol)
            before = len(branch.turns)
            answer = await self._move(move, branch, written)
            if written:
                if len(branch.turns) > before:
                    self.places.append(len(branch.seen()))
                for index in range(before, len(branch.turns)):
                    turn, uses = branch.turns[index]
                    if index not in self.stored:
                        seat = next(s for s in self.episode.seats if s.name == turn.seat)
                        self.log.add_turn(self.episode, index, turn, seat, uses)

    async def _move(self, move: Move, branch: _Branch, written: bool) -> Any:
        if isinstance(move, Together):
            return await self._together(move, branch, written)
        if isinstance(move, Pool):
            verdict = pool(move.verdicts, move.how)
            branch.verdicts.append((len(branch.seen()), (Reading(self.arm.judge, verdict),), []))
            return verdict
        if not isinstance(move, Speak | Ask | Judge | Choose | Estimate):
            raise BadProtocol(f"protocol {self.arm.protocol.name!r} yielded {move!r}, which is no move")
        self.stage.check(move)
        if isinstance(move, Speak | Ask):
            index = len(branch.turns)
            if written and index in self.stored:
                branch.turns.append((self._again(move, self.stored[index]), []))
            else:
                branch.turns.append(await self._say(move, branch.seen()))
            turn = branch.turns[-1][0]
            return replace(turn, drafts=()) if turn.drafts else turn
        seen = branch.seen()
        if isinstance(move, Judge):
            readings, uses = await self._readings(move, seen)
            self._heed(move, readings, uses)
            branch.verdicts.append((len(seen), readings, uses))
            return readings[0].verdict
        chosen = await self._choose(move, seen)
        branch.chosen.append(chosen)
        return chosen.verdict

    async def _together(self, move: Together, branch: _Branch, written: bool) -> tuple[Any, ...]:
        known = branch.seen()
        parts = [_Branch(known) for _ in move.parts]
        if written and all(isinstance(p, Speak | Ask) for p in move.parts):
            first = len(branch.turns)
            if all(first + i in self.stored for i in range(len(move.parts))):
                again = tuple(self._again(p, self.stored[first + i]) for i, p in enumerate(move.parts))  # type: ignore[arg-type]
                branch.turns += [(turn, []) for turn in again]
                return again

        async def one(part: Move | Script, own: _Branch) -> Any:
            if isinstance(part, Generator):
                return await self._drive(part, own)
            return await self._move(part, own, written=False)

        answers = await _at_once([one(part, own) for part, own in zip(move.parts, parts, strict=True)])
        _raise_first(answers)
        for own in parts:
            # Behind the turns of the parts before it: places are those of the whole transcript.
            by = len(branch.seen()) - len(known)
            branch.turns += own.turns
            branch.verdicts += [(index + by, readings, uses) for index, readings, uses in own.verdicts]
            branch.chosen += [replace(one, index=one.index + by) for one in own.chosen]
        return tuple(answers)

    def _again(self, move: Speak | Ask, turn: Turn) -> Turn:
        kind = "ask" if isinstance(move, Ask) else "answer" if move.reply else "speak"
        if (turn.seat, turn.kind) != (move.seat.name, kind):
            raise StoreError(
                f"episode {self.episode.id} was played differently before: {turn.kind} by {turn.seat} is stored where "
                f"the protocol now asks for {kind} by {move.seat.name}; is protocol {self.arm.protocol.name!r} changed "
                "or not deterministic? Use a new --db"
            )
        return turn

    async def _say(self, move: Speak | Ask, seen: tuple[Turn, ...]) -> tuple[Turn, Uses]:
        uses: Uses = []
        player, act = self.stage.act(move, self.stage.look(move, seen), seen)
        try:
            turn = await self._perform(act, player, uses)
        except CallFailed:
            self.lost = _Lost(move.seat.name, uses)
            raise
        assert isinstance(turn, Turn)
        return turn_of(move, turn), uses

    async def _choose(self, move: Choose | Estimate, seen: tuple[Turn, ...]) -> Chosen:
        """What a seat chooses or estimates. Raises `Undecided` where it does neither."""
        uses: Uses = []
        looking = self.stage.look(move, seen)
        player, act = self.stage.act(move, looking, seen)
        try:
            verdict = await self._perform(act, player, uses)
            assert isinstance(verdict, Verdict)
            decided(move, verdict)
        except CallFailed:
            self.lost = _Lost(move.seat.name, uses)
            raise
        return Chosen(len(seen), move, player.model.name, verdict, uses)

    async def _readings(self, move: Judge, seen: tuple[Turn, ...]) -> tuple[Readings, Uses]:
        """A judge's verdict in each of its ways, side by side; those of a panel pooled, and each of them. One
        that failed is a failed verdict."""
        judge_ = self.arm.judge
        looking = self.stage.look(move, seen)
        if not judge_.judging.panel:
            return await self._read(judge_, looking)
        members = (judge_, *judge_.judging.panel)
        read = await asyncio.gather(*(self._read(player, looking) for player in members))
        uses = [call for _, used in read for call in used]
        pooled = pool([readings[0].verdict for readings, _ in read], judge_.judging.pool)
        return (Reading(judge_, pooled), *(one for readings, _ in read for one in readings)), uses

    async def _read(self, player: Player, looking: View) -> tuple[Readings, Uses]:
        acts = judge(looking, player, self.arm.params)
        used: list[Uses] = [[] for _ in acts]
        made = await _at_once([self._perform(act, player, own) for act, own in zip(acts, used, strict=True)])
        _raise_first(made, but=CallFailed)
        readings = tuple(
            Reading(member_of(player), one if isinstance(one, Verdict) else _failure(way, one))
            for way, one in zip(player.elicit, made, strict=True)
        )
        return readings, [call for own in used for call in own]

    def _heed(self, move: Judge, readings: Readings, uses: Uses) -> None:
        """Raise `Lost` where the verdict that counts failed."""
        first = readings[0].verdict
        if first.status == "failed":
            self.lost = _Lost(move.seat.name, uses, readings)
            raise CallFailed(first.detail or first.reason or "")

    async def _perform(self, act: Act[T], player: Player, uses: Uses) -> T:
        """What an act comes to. The calls it makes are added to `uses`, also where it fails."""
        answer: Any = None
        while True:
            try:
                wanted = act.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if isinstance(wanted, Request):
                answer = await self._call(player.model, wanted, uses)
            elif isinstance(wanted, Elsewhere):
                answer = await self._calls(wanted.model, wanted.requests, uses)
            else:
                answer = await self._calls(player.model, wanted, uses)

    async def _calls(self, model: Model, wanted: tuple[Request, ...], uses: Uses) -> tuple[Completion, ...]:
        if len(wanted) == 1:
            return (await self._call(model, wanted[0], uses),)
        made = await _at_once([self.caller.make(model, request, self.episode.sample) for request in wanted])
        self._heard(len(wanted))
        uses += [m.call for m in made if isinstance(m, Made)]
        _raise_first(made)
        return tuple(m.completion for m in made if isinstance(m, Made))

    async def _call(self, model: Model, request: Request, uses: Uses) -> Completion:
        made = await self.caller.make(model, request, self.episode.sample)
        self._heard(1)
        uses.append(made.call)
        return made.completion

    def _heard(self, calls: int) -> None:
        self.calls += calls
        self.caller.heard += calls


async def _at_once(parts: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
    """What several come to, or what they raised: all are let finish before one that failed is heard, for their
    calls may be paid for already."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    others = [asyncio.create_task(part) for part in parts[1:]]  # the first needs no task of its own
    made: list[T | BaseException] = []
    try:
        for part in (*parts[:1], *others):
            made.append(await _outcome(part))
            if task.cancelling() > before:  # all the same: a part may have kept it to itself
                raise asyncio.CancelledError
    except BaseException:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        raise
    return made


async def _outcome(part: Awaitable[T]) -> T | BaseException:
    """What it comes to, or the error it raised, which refers to this frame: no variable here may refer to it."""
    try:
        return await part
    except (Exception, asyncio.CancelledError) as error:
        return error
    finally:
        del part  # a task holds its error


def member_of(player: Player) -> Player:
    """A panel's judge as one of its members."""
    return replace(player, judging=replace(player.judging, panel=())) if player.judging.panel else player


def _failure(way: str, error: BaseException) -> Verdict:
    assert isinstance(error, CallFailed)
    return Verdict("failed", way, reason=error.reason, detail=without_keys(str(error)))


def _raise_first(made: list[T | BaseException], but: type[BaseException] | tuple[()] = ()) -> None:
    """Raise the first of the errors there are among what several came to, but for those of a kind. The list is then
    emptied: an error holds the frames it came through, and they would hold it, until the garbage collector comes."""
    error = next((one for one in made if isinstance(one, BaseException) and not isinstance(one, but)), None)
    if error is not None:
        made.clear()
        try:
            raise error
        finally:
            del error
