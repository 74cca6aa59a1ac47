"""Playing episodes: thousands of protocol generators driven at once, each move one or more calls.

A protocol is re-driven from the turns that are stored, then goes on with calls; a stored turn that
does not fit the move now asked for is an error. What several moves of a `Together` say becomes
visible when all are done, in the order the protocol gave them, whatever order they finished in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from oversight.elicit import judge
from oversight.engine.calls import Caller, Made
from oversight.engine.rehearse import MOST_MOVES, too_long
from oversight.episode import Episode
from oversight.errors import BadProtocol, CallFailed, StoreError
from oversight.library import broken
from oversight.models.interface import Completion, Model, Request
from oversight.moves import Ask, Judge, Move, Script, Seat, Speak, Together, Turn, Verdict
from oversight.player import Act, Player, T
from oversight.secrecy import without_keys
from oversight.speech import speak
from oversight.store.log import Log
from oversight.views import View, view

Uses = list[int]
Readings = tuple[Verdict, ...]
"""A judge's verdicts at one place, one for each way it is read; the first is the episode's."""


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

    def seen(self) -> tuple[Turn, ...]:
        return (*self.known, *(turn for turn, _ in self.turns))


class Play:
    """One episode being played. `run()` plays it to its end and writes it down."""

    def __init__(self, episode: Episode, caller: Caller, log: Log) -> None:
        self.episode = episode
        self.arm = episode.arm
        self.caller = caller
        self.log = log
        self.stored: Mapping[int, Turn] = log.played(episode.key)
        self.lost: _Lost | None = None
        self.unread = False
        """Whether there is a verdict but a further reading failed."""
        self.moves = 0

    async def run(self) -> Verdict:
        """The final verdict, which is also what is stored: a call that failed makes a failed verdict."""
        main = _Branch()
        if self.episode.key in self.log.finished:
            self.log.forget_failure(self.episode, len(self.stored))
        try:
            await self._drive(
                self.arm.protocol.script(self.episode.case, **self.arm.params), main, written=True
            )
            if not main.verdicts:
                raise BadProtocol(f"protocol {self.arm.protocol.name!r} ended without a Judge move")
            verdicts = [(index, readings) for index, readings, _ in main.verdicts]
            self.unread = any(v.status == "failed" for _, readings in verdicts for v in readings)
        except CallFailed as error:
            readings = self.lost.readings if self.lost else ()
            failures = tuple(_failure(way, error) for way in self.arm.judge.elicit)
            verdicts = [(len(main.turns), readings or failures)]
            if self.lost:
                self.log.add_uses(self.episode, len(main.turns), self.lost.seat, self.lost.uses)
        else:
            for index, _, uses in main.verdicts:
                self.log.add_uses(self.episode, index, "judge", uses)
        self.log.add_verdicts(self.episode, verdicts)
        await self.log.durable()
        return verdicts[-1][1][0]

    async def _drive(self, script: Script, branch: _Branch, written: bool = False) -> None:
        """Drive a generator of moves. With `written`, turns are stored as they are played."""
        answer: Any = None
        while True:
            try:
                move = script.send(answer)
            except StopIteration:
                return
            except (Exception, SystemExit) as error:
                raise broken(self.arm.protocol, error) from error
            self.moves += 1
            if self.moves > MOST_MOVES:
                raise too_long(self.arm.protocol)
            before = len(branch.turns)
            answer = await self._move(move, branch, written)
            if written:
                for index in range(before, len(branch.turns)):
                    turn, uses = branch.turns[index]
                    if index not in self.stored:
                        role = next(s.role for s in self.episode.seats if s.name == turn.seat)
                        self.log.add_turn(self.episode, index, turn, role, uses)

    async def _move(self, move: Move, branch: _Branch, written: bool) -> Any:
        if isinstance(move, Speak | Ask):
            index = len(branch.turns)
            if written and index in self.stored:
                branch.turns.append((self._again(move, self.stored[index]), []))
            else:
                branch.turns.append(await self._say(move, branch.seen()))
            return branch.turns[-1][0]
        if isinstance(move, Judge):
            seen = branch.seen()
            readings, uses = await self._read(move, seen)
            branch.verdicts.append((len(seen), readings, uses))
            return readings[0]
        if isinstance(move, Together):
            return await self._together(move, branch, written)
        raise BadProtocol(f"protocol {self.arm.protocol.name!r} yielded {move!r}, which is no move")

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

        if len(parts) == 1:
            answers = [await one(move.parts[0], parts[0])]
        else:
            # return_exceptions: the others' calls may be paid for; they are let finish and are stored.
            answers = await asyncio.gather(
                *(one(p, own) for p, own in zip(move.parts, parts, strict=True)), return_exceptions=True
            )
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
        for own in parts:
            branch.turns += own.turns
            branch.verdicts += own.verdicts
        return tuple(answers)

    def _again(self, move: Speak | Ask, turn: Turn) -> Turn:
        kind = "ask" if isinstance(move, Ask) else "speak"
        if (turn.seat, turn.kind) != (move.seat.name, kind):
            raise StoreError(
                f"episode {self.episode.id} was played differently before: {turn.kind} by {turn.seat} is stored where "
                f"the protocol now asks for {kind} by {move.seat.name}; is protocol {self.arm.protocol.name!r} changed "
                "or not deterministic? Use a new --db"
            )
        return turn

    async def _say(self, move: Speak | Ask, seen: tuple[Turn, ...]) -> tuple[Turn, Uses]:
        player = self._player(move.seat)
        seeing = self._view(move.seat, "ask" if isinstance(move, Ask) else "speak", seen, None)
        uses: Uses = []
        try:
            turn = await self._perform(speak(seeing, player, self.arm.params), player, uses)
        except CallFailed:
            self.lost = _Lost(move.seat.name, uses)
            raise
        if isinstance(move, Ask) and move.to is not None:
            turn = _addressed(turn, move.to)
        return turn, uses

    async def _read(self, move: Judge, seen: tuple[Turn, ...]) -> tuple[Readings, Uses]:
        """A judge's verdict in each of its ways, side by side.

        Raises `CallFailed` where the first, which is the episode's, failed; another that did is a failed
        verdict.
        """
        player = self._player(move.seat)
        acts = judge(self._view(move.seat, "judge", seen, move.passage), player, self.arm.params)
        used: list[Uses] = [[] for _ in acts]
        performed = (self._perform(act, player, own) for act, own in zip(acts, used, strict=True))
        # All are let finish before one that failed is heard: they may be paid for already.
        made = await asyncio.gather(*performed, return_exceptions=True)
        readings = tuple(_reading(way, one) for way, one in zip(player.elicit, made, strict=True))
        uses = [call for own in used for call in own]
        if isinstance(made[0], CallFailed):
            self.lost = _Lost(move.seat.name, uses, readings)
            raise made[0]
        return readings, uses

    def _player(self, seat: Seat) -> Player:
        if seat not in self.episode.seats:
            raise BadProtocol(
                f"protocol {self.arm.protocol.name!r} moves a seat it did not declare: {seat!r}"
            )
        return self.arm.players[seat.role]

    def _view(self, seat: Seat, act: Any, seen: tuple[Turn, ...], passage: bool | None) -> View:
        e = self.episode
        reads = e.role_reads(seat.role) if passage is None else passage
        return view(e.question, e.assignment.order, e.seats, seen, seat, act, reads=reads)

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
            elif len(wanted) == 1:
                answer = (await self._call(player.model, wanted[0], uses),)
            else:
                # All are let finish before one that failed is heard: they may be paid for already.
                made = await asyncio.gather(
                    *(self.caller.make(player.model, request, self.episode.sample) for request in wanted),
                    return_exceptions=True,
                )
                uses += [m.call for m in made if isinstance(m, Made)]
                answer = tuple(_completion(m) for m in made)

    async def _call(self, model: Model, request: Request, uses: Uses) -> Completion:
        made = await self.caller.make(model, request, self.episode.sample)
        uses.append(made.call)
        return made.completion


def _failure(way: str, error: CallFailed) -> Verdict:
    return Verdict("failed", way, reason=error.reason, detail=without_keys(str(error)))


def _reading(way: str, made: Verdict | BaseException) -> Verdict:
    """What a way of reading came to, a failure included. Raises what is none of a call's failures."""
    if isinstance(made, CallFailed):
        return _failure(way, made)
    if isinstance(made, BaseException):
        raise made
    return made


def _completion(made: Made | BaseException) -> Completion:
    if isinstance(made, BaseException):
        raise made
    return made.completion


def _addressed(turn: Turn, to: Seat) -> Turn:
    values = {name: getattr(turn, name) for name in turn.__slots__}
    return Turn(**{**values, "to": to.name})
