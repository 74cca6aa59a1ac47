"""A worker and an owner that talk in one process: what a worker does when its lease has run out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from support import rows

from oversight import Completion
from oversight.engine.calls import call_key
from oversight.engine.plan import Plan, make_plan
from oversight.engine.run import Progress
from oversight.engine.sharing.guest import Guest
from oversight.engine.sharing.host import Host, agreed
from oversight.experiment import experiment_from
from oversight.models.interface import Message, Request, Sampling
from oversight.moves import Turn
from oversight.store.log import Log
from oversight.store.share import Link

WORKER = 77


class Direct:
    """A line to an owner in the same process."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def ask(self, message: Any) -> Any:
        return self.host.answer(message)

    def close(self) -> None: ...


@dataclass
class Pair:
    """An owner of three debates with its log, and a worker that has joined."""

    plan: Plan
    log: Log
    host: Host
    guest: Guest

    def late(self) -> None:
        """The worker was not heard for too long."""
        self.host._leases.members[WORKER].heard -= 1000
        assert self.host._leases.expire() == [WORKER]


@pytest.fixture
def meeting(toy: str, replies: Callable[[str], str], tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Pair]:
        db = tmp_path / "db.duckdb"
        experiment = {"protocols": ["debate:rounds=1"], "tasks": [toy], "limit": 3, "db": db}
        player = replies('judge: "Answer: A"\nspeak: "It was {answer}."')
        plan = make_plan(experiment_from({**experiment, "judge": player, "debater": player}))
        log, digest = Log(db), agreed(plan, True)[0]
        log.begin(1, 0, "command", "{}", "{}", len(plan))
        host = Host(plan, log, Progress(), True, 60.0)
        link = cast(Link, Direct(host))
        guest = Guest(plan, Progress(), digest, link, "run", lambda: False, lambda n: None)
        todo = list(plan.episodes())
        for planned in todo:
            log.add_episode(planned.episode, planned.label, True)
        await host.open(enumerate(todo))
        await asyncio.to_thread(guest.begin, WORKER, 0, "", "{}", "{}", len(plan))
        await guest.open(enumerate(todo))
        try:
            yield Pair(plan, log, host, guest)
            await guest.durable()
            await log.durable()
            await asyncio.to_thread(guest.end, "stopped", 0, 0)
        finally:
            guest.close()
            log.end("stopped", 0, 0)
            log.close()
            plan.close()

    return opened


def test_an_episode_whose_lease_ran_out_before_it_was_begun_is_not_played(
    meeting: Callable[..., Any], tmp_path: Path
) -> None:
    """A model may load for longer than a lease lasts. What was taken before may by then be leased to the same
    worker anew: played twice it would be stored twice."""

    async def meet() -> None:
        async with meeting() as pair:
            guest = pair.guest
            (line,) = guest.lines
            taken = await guest.take(line)
            assert taken is not None and guest.holds(taken.episode)
            pair.late()
            again = await guest.take(line)
            assert again is not None and again.episode.key == taken.episode.key
            assert guest.holds(again.episode) and not guest.holds(taken.episode)
            for episode, n in ((taken.episode, 0), (again.episode, 1)):
                seat = next(seat for seat in episode.seats if seat.name == "A")
                guest.add_turn(episode, 0, Turn("speak", "A", 1, f"Speech {n}."), seat, [])

    asyncio.run(meet())
    assert rows(tmp_path / "db.duckdb", "SELECT text FROM turns") == [("Speech 1.",)]


def test_what_was_paid_for_late_gives_way_to_who_makes_it_and_its_messages_are_told_again(
    meeting: Callable[..., Any], tmp_path: Path
) -> None:
    """Written by both, a call would be in the file twice."""
    when, sampling, hello = datetime(2026, 1, 1), Sampling(), Message("user", "hello")
    one, other = Request((hello,), sampling), Request((hello, Message("assistant", "hi")), sampling)

    async def meet() -> None:
        async with meeting() as pair:
            (model,) = pair.plan.models

            def made(request: Request, text: str) -> tuple[Any, ...]:
                messages = [message.key for message in request.messages]
                key = call_key(model, request, messages, 0)
                return key, model, "generate", request, messages, 0, Completion(text), when, 0.1, 1

            key, *_ = late = made(one, "late")
            assert await pair.guest.claim(key, model, late[4]) is None  # the worker's to make
            pair.late()
            assert await pair.host.claim(key, model, late[4]) is None  # the owner's now
            pair.guest.add_call(*late)
            await pair.guest.durable()
            pair.guest.add_call(*made(other, "with a message that is not in the file yet"))
            await pair.guest.durable()
            pair.log.add_call(*made(one, "the owner's"))
            pair.host.release(key)
            assert await pair.guest.claim(key, model, late[4]) == Completion("the owner's")

    asyncio.run(meet())
    found = rows(tmp_path / "db.duckdb", "SELECT text FROM calls ORDER BY text")
    assert found == [("the owner's",), ("with a message that is not in the file yet",)]
    assert rows(tmp_path / "db.duckdb", "SELECT content FROM messages ORDER BY 1") == [("hello",), ("hi",)]
