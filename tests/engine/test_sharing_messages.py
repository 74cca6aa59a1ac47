"""What a worker says wrongly is refused, and harms neither the file nor the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support import rows

from oversight import Completion, __version__
from oversight.engine.calls import call_key
from oversight.engine.plan import Plan, make_plan
from oversight.engine.run import Progress
from oversight.engine.sharing import TTL, host
from oversight.engine.sharing.host import Host, agreed
from oversight.engine.sharing.leases import LEAST
from oversight.engine.sharing.wire import plain, plain_request
from oversight.experiment import experiment_from
from oversight.models.interface import Message, Request
from oversight.store.log import Log

WORKER = 77
JOIN = {"do": "join", "run": WORKER, "seed": 0, "command": "c", "config": "{}", "code": "{}"}
TURN = {"kind": "speak", "seat": "judge", "round": 1, "text": "x"}
VERDICT = {"status": "decided", "elicitation": "hard", "probabilities": [1.0, 0.0], "choice": 0}
DECIDED = [[0, [[0, VERDICT]]]]


@dataclass
class Talk:
    """A worker's side of a talk with the owner of a run of twenty episodes, and the owner's parts."""

    plan: Plan
    log: Log
    host: Host
    progress: Progress
    number: int = -1
    epoch: int = 0
    heard: list[Any] = field(default_factory=list)

    async def say(self, *ops: list[Any], **more: Any) -> dict[str, Any]:
        self.number += 1
        return await self.repeat(*ops, **more)

    async def repeat(self, *ops: list[Any], **more: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"do": "go", "run": WORKER, "number": self.number, "epoch": self.epoch}
        message |= {"ops": list(ops), "release": [], "give_back": [], "calls": [], "places": [], **more}
        answer: dict[str, Any] = await self.host._answer(message)
        return answer

    async def join(self, **more: Any) -> dict[str, Any]:
        digest = agreed(self.plan, True)[0]
        answer: dict[str, Any] = await self.host._answer(
            {**JOIN, "version": __version__, "digest": digest, **more}
        )
        return answer

    @property
    def request(self) -> Request:
        """What the call of `call` asks."""
        return Request((Message("user", "hello"),), self.plan.arms[0].judge.sampling)

    def call(self, made: dict[str, Any] | None = None, **more: Any) -> list[Any]:
        """A call as a worker brings it, with parts of its completion or of its record changed."""
        (model,), request = self.plan.models, self.request
        messages = [message.key for message in request.messages]
        key = call_key(model, request, messages, 0)
        told = plain_request(request, messages, set()) | more.pop("request", {})
        completion = {**plain(Completion("Answer: A", prompt_tokens=5, completion_tokens=2)), **(made or {})}
        record = {"at": "2026-01-01T00:00:00", "took": 0.1, "tried": 1, "place": 0, "drawn": 0, **more}
        row = [key, record["place"], told, record["drawn"], completion, record["at"], record["took"]]
        return ["call", *row, record["tried"]]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "db.duckdb"


@pytest.fixture
def talking(toy: str, replies: Callable[[str], str], db: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(ttl: float = TTL) -> AsyncIterator[Talk]:
        experiment = {"protocols": ["direct"], "tasks": [toy], "judge": replies('judge: "Answer: A"')}
        plan = make_plan(experiment_from({**experiment, "limit": 20, "db": db}))
        log, progress = Log(db), Progress()
        log.begin(1, 0, "command", "{}", "{}", len(plan))
        owner = Host(plan, log, progress, True, ttl)
        todo = list(plan.episodes())
        for planned in todo:
            log.add_episode(planned.episode, planned.label, True)
        await owner.open(enumerate(todo))
        try:
            yield Talk(plan, log, owner, progress)
            await log.durable()
        finally:
            log.end("stopped", 0, 0)
            log.close()
            plan.close()
        assert log.failed is None

    return opened


def written(db: Path) -> list[int]:
    tables = ("calls", "turns", "uses", "verdicts", "failures")
    return [rows(db, f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_who_joins_must_plan_the_same_with_the_same_version(talking: Callable[..., Any]) -> None:
    async def converse() -> None:
        async with talking() as talk:
            assert "plans other episodes" in (await talk.join(digest="another"))["error"]
            assert "all must be the same" in (await talk.join(version="0.1"))["error"]
            assert "did not join" in (await talk.say())["error"]
            joined = await talk.join()
            assert joined["members"] == 2 and joined["finished"] == {}
            talk.number = -1
            first = await talk.say(places=[[0, 100]])
            assert [place for place, _ in first["episodes"]] == list(range(LEAST))
            assert await talk.repeat(places=[[0, 100]]) == first  # asked again
            assert "out of order" in (await talk.repeat(number=9))["error"]

    asyncio.run(converse())


def test_a_message_that_is_wrong_writes_nothing_and_the_next_is_heard(
    talking: Callable[..., Any], db: Path
) -> None:
    async def converse() -> None:
        async with talking() as talk:
            await talk.join()
            held = [place for place, _ in (await talk.say(places=[[0, 100]]))["episodes"]]
            place, other = held[0], max(held) + 1
            wrong: list[list[Any]] = [
                ["nonsense", place],
                ["turn", -1, 0, TURN, []],
                ["turn", 20, 0, TURN, []],
                ["turn", place, -1, TURN, []],
                ["turn", place, 2**40, TURN, []],
                ["turn", place, 0, {**TURN, "text": 5}, []],
                ["turn", place, 0, {**TURN, "round": 2**31}, []],
                ["turn", place, 0, {**TURN, "seat": "nobody"}, []],
                ["turn", place, 0, TURN, [-1]],
                ["turn", place, 0, TURN],
                ["uses", place, 0, "judge", [2**64], 0],
                ["verdicts", place, []],
                ["verdicts", place, [[0, []]]],
                ["verdicts", place, [[0, [[9, VERDICT]]]]],
                ["verdicts", place, [[0, [[0, {**VERDICT, "status": "perhaps"}]]]]],
                ["verdicts", place, [[0, [[0, {**VERDICT, "choice": 2}]]]]],
                ["verdicts", place, [[0, [[0, {**VERDICT, "probabilities": [1]}]]]]],
                ["verdicts", place, [[0, [[0, {**VERDICT, "probabilities": [float("nan"), 0]}]]]]],
                ["failure", 2**64, 0, "2026-01-01", "transport", "x"],
                ["failure", 5, 0, 1e9, "transport", "x"],
                ["failure", 5, -1, "2026-01-01", "transport", "x"],
                ["call", 5, *talk.call()[2:]],
                ["call", 5],
                talk.call(place=1),
                talk.call(place=-1),
                talk.call(drawn=2**31),
                talk.call(at="2026-01-01T00:00:00+02:00"),
                talk.call(took=float("inf")),
                talk.call(took=-1),
                talk.call(tried=2**31),
                talk.call({"text": None}),
                talk.call({"cost": float("nan")}),
                talk.call({"reasoning_tokens": 2**31}),
                talk.call({"cache_write_tokens": 2**40}),
                talk.call({"token_ids": [2**31]}),
                talk.call({"logprobs": [1e300]}),
                talk.call(request={"messages": [[6, None]]}),
                talk.call(request={"messages": [[6, ["user", "hello", []]]]}),
                [],
            ]
            good = ["uses", place, 0, "judge", [5], 0]
            for op in wrong:
                told = await talk.say(good, op)
                assert "cannot be read" in told.get("error", "") or "returned" in told.get("error", ""), op
                assert "\n" not in told["error"]
            for do in ("dance", "join me"):
                assert "error" in await talk.repeat(do=do)
            assert "error" not in await talk.say(["verdicts", other, DECIDED])  # not its own
            told = await talk.say(talk.call({"logprobs": [float("-inf")]}), talk.call())
            assert "error" not in told
            assert "error" not in await talk.say(["verdicts", place, DECIDED], ["verdicts", place, DECIDED])
            assert "error" not in await talk.say(["verdicts", place, DECIDED])
            assert talk.progress.elsewhere == {"decided": 1}
            told = await talk.say(do="leave", status="finished", already_done=0)
            assert told == await talk.repeat(do="leave", status="finished", already_done=0)
            assert "leave" in (await talk.say())["error"]

    asyncio.run(converse())
    assert written(db) == [1, 0, 0, 1, 0]
    assert rows(db, f"SELECT status, played FROM runs WHERE run = {WORKER}") == [("finished", 1)]


def test_a_call_that_another_makes_meanwhile_is_written_once_as_whoever_holds_it_made_it(
    talking: Callable[..., Any], db: Path
) -> None:
    async def converse() -> None:
        async with talking() as talk:
            await talk.join()
            late = talk.call({"text": "Answer: B"})
            key, (model,), request = late[1], talk.plan.models, talk.request
            messages = [message.key for message in request.messages]
            assert await talk.host.claim(key, model, messages) is None  # the owner's to make
            told = await talk.say(late)  # paid for before its lease ran out
            assert told["unwritten"] == [key]
            assert not talk.log.has_call(key)
            row = "generate", request, messages, 0, Completion("Answer: A"), datetime(2026, 1, 1), 0.1, 1
            talk.log.add_call(key, model, *row)
            talk.host.release(key)
            assert (await talk.say(late))["unwritten"] == []  # its messages are there, and so is a reply

    asyncio.run(converse())
    assert rows(db, "SELECT text FROM calls") == [("Answer: A",)]


def test_who_waits_for_the_owner_loses_nothing_however_long_it_takes(talking: Callable[..., Any]) -> None:
    async def converse() -> None:
        async with talking(ttl=0.2) as talk:
            await talk.join()
            attending = asyncio.ensure_future(talk.host.attend())
            durable, slow = talk.log.durable, asyncio.Event()

            async def waiting() -> None:
                await slow.wait()
                await durable()

            talk.log.durable = waiting
            asking = asyncio.ensure_future(talk.say(talk.call(), places=[[0, 5]]))
            for _ in range(12):  # three times what a lease lasts
                await asyncio.sleep(0.05)
            talk.log.durable = durable
            slow.set()
            first = await asking
            assert len(first["episodes"]) == 5
            again = await talk.say(places=[[0, 1]])
            assert again["epoch"] == first["epoch"] == 0 and len(again["episodes"]) == 1
            attending.cancel()

    asyncio.run(converse())


def test_between_two_parts_who_comes_early_is_told_to_come_again(
    talking: Callable[..., Any], db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next part is another plan: while the owner waits for the last to leave, nobody is refused for that."""
    monkeypatch.setattr(host, "FAREWELL", 30.0)

    async def converse() -> None:
        async with talking(ttl=30.0) as talk:
            await talk.join()
            talk.host._leases.left = 0  # as if all were played
            assert (await talk.join(run=79, digest="of the next part"))["ended"]  # it has not noticed yet
            attending = asyncio.ensure_future(talk.host.attend())
            while not talk.host._closing:
                await asyncio.sleep(0.01)
            assert (await talk.join(run=78, digest="of the next part"))["ended"]
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    asyncio.run(converse())
    assert rows(db, f"SELECT status FROM runs WHERE run = {WORKER}") == [("killed",)]
