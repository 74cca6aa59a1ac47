"""The owner's desk: what workers bring is read here, all of a message before any of it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import Field

from oversight.engine.calls import call_key, check_reply, kind_of
from oversight.engine.plan import Plan
from oversight.engine.sharing.wire import (
    Count,
    Key,
    Op,
    Told,
    read,
    read_chosen,
    read_readings,
    read_request,
    read_time,
    seat_of,
)
from oversight.episode import Episode
from oversight.models.interface import Completion, Model
from oversight.moves import Turn
from oversight.store.log import Log

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LENT = 4096
"""Episodes that are kept at hand while workers play them; others are made anew from the plan."""


@dataclass(frozen=True)
class Judged:
    """An episode's final status, and whether a further reading failed."""

    status: str
    unread: bool


@dataclass(frozen=True)
class Entry:
    """One thing to write down. It counts only while whoever brought it holds the lease on `episode`, if it is of one."""

    write: Callable[[], None]
    episode: int | None = None
    call: int | None = None
    """The key of the call that it brings."""
    judged: Judged | None = None


class Desk:
    """Reads what workers say of a plan's episodes and calls, and writes it with the owner's log."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self._plan, self._log = plan, log
        self.episode: Callable[[int], Episode] = lru_cache(LENT)(lambda place: plan.at(place).episode)

    def model(self, place: Any) -> Model:
        """The model at a place in the plan. Raises `IndexError` or `ValueError` where there is none."""
        return self._plan.models[read(Count, place)]

    def read(self, op: Op) -> Entry:
        """What a worker wants written. Raises `ValueError`, `TypeError` or `LookupError` where that cannot be read."""
        name, *told = op
        if name == "call":
            return self._call(*told)
        if name == "failure":
            key, model, at, reason, said = told
            error = Told(read(str, reason), read(str, said))
            return Entry(
                partial(self._log.add_failure, read(Key, key), self.model(model), read_time(at), error)
            )
        place = read(Count, told[0])
        return self._of(name, place, self.episode(place), *told[1:])

    def _of(self, name: str, place: int, episode: Episode, *told: Any) -> Entry:
        log = self._log
        if name == "turn":
            index, turn, uses = told
            made = read(Turn, turn)
            row = episode, read(Count, index), made, seat_of(episode, made.seat), read(list[Key], uses)
            return Entry(partial(log.add_turn, *row), place)
        if name == "uses":
            index, seat, uses, first = told
            used = read(Count, index), read(str, seat), read(list[Key], uses), read(Count, first)
            return Entry(partial(log.add_uses, episode, *used), place)
        if name == "choices":
            (chosen,) = told
            return Entry(
                partial(log.add_choices, episode, [read_chosen(episode, one) for one in chosen]), place
            )
        if name == "forget":
            (turns,) = told
            return Entry(partial(log.forget_failure, episode, read(Count, turns)), place)
        if name == "verdicts":
            (found,) = told
            verdicts = [(read(Count, index), read_readings(episode, readings)) for index, readings in found]
            status = verdicts[-1][1][0].verdict.status
            failed = any(r.verdict.status == "failed" for _, readings in verdicts for r in readings)
            judged = Judged(status, failed and status != "failed")
            return Entry(partial(log.add_verdicts, episode, verdicts), place, judged=judged)
        raise ValueError(f"no operation {name!r}")

    def _call(
        self, key: int, place: int, request: Any, drawn: int, made: Any, at: str, took: float, tried: int
    ) -> Entry:
        log, model = self._log, self.model(place)
        asked, messages = read_request(request, log.messages)
        drawn = read(Count, drawn)
        if model.reuse and call_key(model, asked, messages, drawn) != read(Key, key):
            raise ValueError(f"call {key:016x} is not what its key says")
        completion = read(Completion, made)
        check_reply(completion, asked, model)
        row = (
            read(Key, key), model, kind_of(asked), asked, messages, drawn, completion, read_time(at), read(Seconds, took),
            read(Count, tried),
        )  # fmt: skip

        def write() -> None:
            if not log.has_call(key):  # a worker that slept has paid for what another paid for meanwhile
                log.add_call(*row)

        return Entry(write, call=key)
