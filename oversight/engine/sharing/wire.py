"""What owner and workers tell each other, as JSON takes it; `oversight.store.share` carries it.

Plain data in, the engine's own small types out, checked by pydantic: what comes over the wire is never run.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter

from oversight.episode import Episode
from oversight.errors import CallFailed
from oversight.models.interface import Message, Request, Sampling
from oversight.moves import Choose, Estimate, Seat, Verdict
from oversight.player import Player
from oversight.question import Image
from oversight.store.keys import Keys
from oversight.store.log import Chosen, Reading

T = TypeVar("T")
Key = Annotated[int, Field(ge=0, lt=2**64)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
LARGEST = 3e38
"""The store keeps some numbers in 32 bits. Log-probs may be minus infinity."""
Op = list[Any]
"""One thing for the owner to write down: its name and its arguments. An episode is named by its place in the plan,
which all have made alike."""


def plain(value: Any) -> Any:
    """A value of small types as JSON takes it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def read(kind: type[T], value: Any) -> T:
    """The value of a small type that `plain` made JSON of. Raises `ValueError` where it is none, or where a number in
    it fits no column."""
    made: T = _adapter(kind).validate_python(value)
    if is_dataclass(kind):
        _check_numbers(value)
    return made


def read_time(value: Any) -> datetime:
    """A time in UTC, as the store keeps it. Raises `ValueError` for anything else."""
    made = datetime.fromisoformat(read(str, value))
    if made.tzinfo is not None:
        raise ValueError(f"a time with an offset, {value!r}")
    return made


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"a number of {value}")
        return
    elif isinstance(value, float):
        if value != -math.inf and not abs(value) < LARGEST:
            raise ValueError(f"a number of {value}")
        return
    elif not isinstance(value, list | tuple):
        return
    for one in value:
        _check_numbers(one)


class Told(CallFailed):
    """A call's failure, as another process tells it."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


# requests: a message's text is sent once, its key thereafter


def plain_request(request: Request, keys: Sequence[int], known: Keys | set[int]) -> dict[str, Any]:
    """What is stored of a request. Messages of `known` keys go without their text."""
    return {
        "messages": [
            [key, None if key in known else _plain_message(message)]
            for key, message in zip(keys, request.messages, strict=True)
        ],
        "sampling": plain(request.sampling),
        "continuations": plain(request.continuations),
        "letters": plain(request.letters),
        "schema": request.schema,
    }


def read_request(told: Mapping[str, Any], known: Keys | set[int]) -> tuple[Request, list[int]]:
    """The request and its messages' keys. Raises `ValueError` for a message that is not what its key says, or
    whose text neither comes along nor is `known`."""
    messages, keys = [], []
    for key, text in told["messages"]:
        if text is not None:
            message = _read_message(text)
            if message.key != key:
                raise ValueError(f"message {key:016x} is not what its key says")
        elif key in known:
            message = Message("user", "")  # it is written already, and not written again
        else:
            raise ValueError(f"message {key:016x} came without its text")
        messages.append(message)
        keys.append(read(Key, key))
    drawn = read(Sampling, told["sampling"])
    # A whole number stays one, for the call's key tells 0 from 0.0.
    whole = {name: told["sampling"][name] for name in ("temperature", "top_p")}
    made = Request(
        tuple(messages),
        replace(drawn, **whole),
        read(tuple[str, ...], told["continuations"]),
        read(tuple[str, ...], told["letters"]),
        read(str, told["schema"]),
    )
    return made, keys


def _plain_message(message: Message) -> list[Any]:
    images = [[image.media_type, base64.b64encode(image.data).decode()] for image in message.images]
    return [message.role, message.content, images]


def _read_message(told: Sequence[Any]) -> Message:
    role, content, images = told
    shown = tuple(Image(str(kind), base64.b64decode(data, validate=True)) for kind, data in images)
    return Message(role, read(str, content), shown)


# verdicts: a judge or a member of its panel is named by its place


def plain_readings(episode: Episode, readings: Sequence[Reading]) -> list[Any]:
    judges = [(one.name, one.template.hash) for one in _judges(episode)]
    return [[judges.index((r.player.name, r.player.template.hash)), plain(r.verdict)] for r in readings]


def read_readings(episode: Episode, told: Sequence[Any]) -> tuple[Reading, ...]:
    judges, answers = _judges(episode), len(episode.assignment.order)
    return tuple(Reading(judges[read(Count, place)], _verdict(verdict, answers)) for place, verdict in told)


def _verdict(told: Any, options: int) -> Verdict:
    """A verdict over so many options. Raises `ValueError` for one over others."""
    verdict = read(Verdict, told)
    chosen, probabilities = verdict.choice, verdict.probabilities
    if chosen is not None and not 0 <= chosen < options:
        raise ValueError(f"a choice of {chosen} among {options}")
    if probabilities is not None and len(probabilities) != options:
        raise ValueError(f"{len(probabilities)} probabilities for {options}")
    return verdict


def _judges(episode: Episode) -> list[Player]:
    from oversight.engine.play import member_of

    judge = episode.arm.judge
    return [judge, member_of(judge), *judge.judging.panel]


def plain_chosen(chosen: Chosen) -> dict[str, Any]:
    kind = "estimate" if isinstance(chosen.move, Estimate) else "choose"
    return {**plain(chosen), "kind": kind}


def read_chosen(episode: Episode, told: Mapping[str, Any]) -> Chosen:
    move: Any = read(Estimate if told["kind"] == "estimate" else Choose, told["move"])
    options = (move.claims if isinstance(move, Estimate) else move.among) or episode.assignment.order
    return Chosen(
        read(Count, told["index"]),
        move,
        read(str, told["model"]),
        _verdict(told["verdict"], len(options)),
        read(list[Key], told["uses"]),
    )


def seat_of(episode: Episode, name: str) -> Seat:
    """A seat of an episode, by its name. Raises `KeyError` where it has none."""
    return {seat.name: seat for seat in episode.seats}[name]
