"""A run stops before the call that would break its limits, and goes on from there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import REPLIES, content, rows

from oversight.api import run as run_from_python
from oversight.engine.batches import Batches
from oversight.engine.budget import Budget
from oversight.engine.calls import Caller
from oversight.engine.tokens import most_dollars, most_tokens
from oversight.episode import Run
from oversight.errors import OverBudget, Transport, UserError
from oversight.models.interface import (
    BatchModel,
    Completion,
    Manners,
    Message,
    Model,
    Price,
    Request,
    Sampling,
)
from oversight.store.log import Log

Play = Callable[..., Run]

PRICED = '''
import asyncio, os
from oversight import Completion, Model, Transport
from oversight.models.interface import Price

class Priced(Model):
    """A thousandth of a dollar a call, of which the estimate is always dearer."""
    identity = "priced"
    price = Price(2e-5, 0.0)
    most = now = 0

    async def generate(self, request):
        type(self).now += 1
        type(self).most = max(self.most, self.now)
        await asyncio.sleep(float(os.environ.get("TAKES", "0.01")))
        type(self).now -= 1
        view = request.view
        said = "Answer: A" if view.seat.role == "judge" else f"It was {view.answer.text}."
        return Completion(said, prompt_tokens=1, completion_tokens=0, cost=0.001)

class Unpriced(Priced):
    identity = "unpriced"
    price = None
'''


@pytest.fixture
def priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of known cost, as a name."""
    (tmp_path / "pricedmodels.py").write_text(PRICED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "pricedmodels", raising=False)
    return "pricedmodels:Priced"


def made(db: Path) -> int:
    return int(rows(db, "SELECT count(*) FROM calls")[0][0])


@pytest.mark.parametrize("limit", [0, 1, 37, 99])
def test_max_calls_is_kept_to_the_call_with_a_hundred_in_flight(
    play: Play, priced: str, tmp_path: Path, limit: int
) -> None:
    played = play("direct", judge=priced, limit=100, concurrency=100, max_calls=limit)
    assert made(tmp_path / "db.duckdb") == played.calls == limit
    assert played.stopped
    assert played.limit == f"{limit} of at most {limit} calls made"
    assert played.statuses == ({"decided": limit} if limit else {})
    assert rows(tmp_path / "db.duckdb", "SELECT status FROM runs") == [("stopped",)]


def test_calls_in_flight_at_the_limit_finish_and_are_committed(
    play: Play, priced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKES", "1")
    played = play("direct", judge=priced, limit=100, concurrency=100, max_calls=60)
    import pricedmodels  # type: ignore[import-not-found]

    assert pricedmodels.Priced.most == 60  # all at once
    assert sum(played.statuses.values()) == 60


def test_a_limit_that_is_not_reached_stops_nothing(play: Play, priced: str) -> None:
    played = play("direct", judge=priced, limit=10, max_calls=10, max_cost=1)
    assert not played.stopped and not played.limit
    assert played.statuses == {"decided": 10}


def test_the_same_command_goes_on_until_all_is_played_as_without_a_limit(
    play: Play, priced: str, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.duckdb"
    arms: dict[str, Any] = {"judge": priced, "debater": priced, "limit": 6}
    play("debate:ask=all", "consultancy:rounds=2,ask=false", "direct", db=whole, **arms)
    runs = 0
    while play("debate:ask=all", "consultancy:rounds=2,ask=false", "direct", max_calls=9, **arms).stopped:
        runs += 1
        assert made(tmp_path / "db.duckdb") == 9 * runs
    assert runs == (made(whole) - 1) // 9
    assert content(tmp_path / "db.duckdb") == content(whole)


def test_calls_in_the_store_are_free(play: Play, priced: str, tmp_path: Path) -> None:
    play("direct", judge=priced, limit=5)
    with_order = play("direct", judge=priced, limit=10, max_calls=0)
    assert with_order.already_done == 5
    # Another arm of the same calls: the budget of its speeches is of no matter to a judge alone.
    again = play("direct", judge=f"{priced}:words=99", limit=5, max_calls=0, max_cost=0)
    assert again.statuses == {"decided": 5} and again.calls == 0 and not again.stopped


def test_a_shared_call_that_does_not_fit_fails_no_episode(play: Play, priced: str, tmp_path: Path) -> None:
    play("debate:rounds=1", judge=[priced, f"{priced}:words=99"], debater=priced, limit=4, max_calls=5)
    assert rows(tmp_path / "db.duckdb", "SELECT count(*) FROM verdicts WHERE status = 'failed'") == [(0,)]
    assert made(tmp_path / "db.duckdb") == 5


def test_max_cost_is_never_passed_and_nearly_spent(play: Play, priced: str, tmp_path: Path) -> None:
    db = tmp_path / "db.duckdb"
    played = play("direct", judge=priced, limit=100, concurrency=100, max_cost=0.0205)
    spent = rows(db, "SELECT sum(cost) FROM calls")[0][0]
    assert played.stopped and "of at most $0.0205 spent" in played.limit
    assert spent == pytest.approx(0.001 * made(db))
    assert 0.0165 < spent <= 0.0205  # what is left is less than the estimate of one call


def test_a_model_of_unknown_price_is_refused_before_anything(play: Play, priced: str, tmp_path: Path) -> None:
    name = priced.replace("Priced", "Unpriced")
    with pytest.raises(UserError, match=r"'pricedmodels:Unpriced' costs.*price_in=….price_out=…"):
        play("direct", judge=name, max_cost=1)
    assert not (tmp_path / "db.duckdb").exists()
    assert play("direct", judge=f"{name}:price_in=1,price_out=1", max_cost=1).statuses == {"decided": 4}


def test_limits_are_no_part_of_what_is_played(play: Play, priced: str, tmp_path: Path) -> None:
    play("direct", judge=priced)
    again = play("direct", judge=f"{priced}:price_in=9,price_out=9", max_cost=5, max_calls=3)
    assert again.already_done == 4 and again.calls == 0


def test_python_hears_of_it_as_an_error(toy: str, priced: str, tmp_path: Path) -> None:
    with pytest.raises(OverBudget, match="2 of at most 2 calls made; everything committed is in"):
        run_from_python("direct", toy, priced, limit=4, db=tmp_path / "db.duckdb", max_calls=2)
    assert made(tmp_path / "db.duckdb") == 2


@pytest.mark.parametrize("wrong", [{"max_cost": -1}, {"max_cost": float("inf")}, {"max_calls": -1}])
def test_limits_that_are_none_are_refused(play: Play, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        play("direct", **wrong)


def test_the_command_line_says_so_in_one_line_and_goes_on(tmp_path: Path, toy: str) -> None:
    """The command line: exit status 3, one line, and the same command again."""
    (tmp_path / "replies.yaml").write_text(REPLIES)
    command = [sys.executable, "-m", "oversight", "run", "debate:rounds=2", "--task", toy, "--limit", "5"]
    command += ["--judge", "scripted/replies.yaml", "--debater", "scripted/replies.yaml", "--max-calls", "10"]
    statuses = []
    for _ in range(3):
        done = subprocess.run(
            [*command, "-q"], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}, check=False
        )
        statuses.append(done.returncode)
        if done.returncode == 3:
            assert done.stderr.count("\n") == 1
            assert "10 of at most 10 calls made" in done.stderr and "--max-calls 10" in done.stderr
    assert statuses == [3, 3, 0]
    assert made(tmp_path / "oversight.duckdb") == 5 * 5


DEADLY = """
import os, signal
from pathlib import Path

def reply(request):
    made = Path("made.txt")
    with made.open("a") as file:
        file.write("x")
    if made.stat().st_size == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return "Answer: A" if request.view.seat.role == "judge" else "said"
"""


def test_a_killed_run_goes_on_within_the_limit_of_the_next(tmp_path: Path, toy: str) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    command = [sys.executable, "-m", "oversight", "run", "debate:rounds=2", "--task", toy, "--limit", "5"]
    command += ["--judge", "scripted/deadly:reply", "--debater", "scripted/deadly:reply", "-q"]
    command += ["--concurrency", "1", "--max-calls", "12"]

    def go() -> int:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert go() == -9
    committed = made(tmp_path / "oversight.duckdb")
    assert go() == 3
    assert made(tmp_path / "oversight.duckdb") == committed + 12
    assert go() == 0
    assert made(tmp_path / "oversight.duckdb") == 5 * 5


# the budget alone


class Costs(Model):
    """Costs what it is told."""

    name = "costs"
    price = Price(0.0, 1.0)


def request(most: int) -> Request:
    """A call that may cost `most` dollars."""
    return Request((Message("user", ""),), Sampling(max_tokens=most))


@given(
    st.integers(0, 60),
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 5), st.integers(0, 3)), max_size=30
    ),
)
def test_spent_and_reserved_never_pass_the_limit(limit: int, calls: list[tuple[int, int, int, int]]) -> None:
    """Calls of (most, share of it in twentieths, when it ends) dollars, all at once, that lose so many replies."""
    budget = Budget(float(limit))
    refused: list[int] = []

    async def one(most: int, share: int, turns: int, losses: int) -> None:
        try:
            async with budget.reserve(Costs(), request(most)) as charge:
                for lost in range(losses + 1):
                    assert budget.spent + budget.reserved <= limit
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    if lost < losses:
                        budget.lose(charge)
                        await budget.again(charge)
                charge.settle(Completion(cost=most * share / 20))
        except OverBudget:
            refused.append(most)

    async def all_() -> None:
        await asyncio.gather(*(one(*call) for call in calls))

    asyncio.run(all_())
    assert budget.spent <= limit and budget.reserved == 0
    if refused:  # only where it really did not fit
        assert budget.over == "cost"
    elif sum(most * (losses + 1) for most, _, _, losses in calls) <= limit:
        assert budget.calls == len(calls)


def test_a_call_in_a_batch_reserves_what_it_costs_there() -> None:
    class Half(Costs):
        price = Price(0.0, 1.0, batch=0.5)

    async def reserved(model: Model, batched: bool) -> float:
        budget = Budget(100.0)
        async with budget.reserve(model, request(8), batched) as charge:
            now = budget.reserved
            charge.settle(Completion())  # nobody says what it cost
        assert budget.spent == now and budget.reserved == 0
        return now

    assert asyncio.run(reserved(Half(), False)) == 8.0
    assert asyncio.run(reserved(Half(), True)) == 4.0
    assert asyncio.run(reserved(Costs(), True)) == 8.0


def test_a_call_waits_for_those_in_flight_to_leave_room() -> None:
    async def both() -> list[str]:
        budget, order = Budget(10.0), list[str]()

        async def one(name: str, most: int, cost: float) -> None:
            async with budget.reserve(Costs(), request(most)) as charge:
                order.append(f"{name} sent")
                await asyncio.sleep(0)
                charge.settle(Completion(cost=cost))
                order.append(f"{name} back")

        await asyncio.gather(one("a", 8, 1.0), one("b", 8, 1.0), one("c", 2, 1.0))
        assert budget.spent == 3.0
        return order

    assert asyncio.run(both())[:3] == ["a sent", "a back", "b sent"]


def test_a_reply_of_unknown_cost_counts_as_the_most_it_can_be_and_so_does_a_lost_one() -> None:
    async def calls() -> float:
        budget = Budget(10.0)
        async with budget.reserve(Costs(), request(3)) as charge:
            charge.settle(Completion())
        with pytest.raises(Transport):
            async with budget.reserve(Costs(), request(3)):
                raise Transport("turned away")
        assert budget.spent == 3.0
        async with budget.reserve(Costs(), request(2)) as charge:
            budget.lose(charge)
            budget.lose(charge)  # the same attempt, told twice
            assert (budget.spent, budget.reserved) == (5.0, 0.0)
            await budget.again(charge)
            assert (budget.spent, budget.reserved) == (5.0, 2.0)
            charge.settle(Completion(cost=1.0))
        assert (budget.spent, budget.reserved) == (6.0, 0.0)
        async with budget.reserve(Costs(), request(3)) as charge:
            budget.lose(charge)
            said = r"\$9.00 of at most \$10.00 spent \(\$5.00 of it for replies that were lost\)"
            with pytest.raises(OverBudget, match=said):
                await budget.again(charge)
        assert budget.calls == 4
        return budget.spent

    assert asyncio.run(calls()) == 9.0


def test_another_attempt_waits_for_room_before_the_calls_that_wait_and_is_no_call_more() -> None:
    """Most of what is reserved comes back: a reply that is lost where all room is reserved fails nothing."""

    async def all_() -> list[int]:
        budget, order = Budget(100.0, max_calls=80), list[int]()

        async def one(n: int) -> None:
            async with budget.reserve(Costs(), request(10)) as charge:
                await asyncio.sleep(0)
                if n in (5, 12):
                    budget.lose(charge)
                    await budget.again(charge)
                    await asyncio.sleep(0)
                order.append(n)
                charge.settle(Completion(cost=0.1))

        await asyncio.gather(*map(one, range(80)))
        assert budget.calls == 80 and budget.spent == pytest.approx(20 + 8.0) and budget.reserved == 0
        return order

    order = asyncio.run(all_())
    assert sorted(order) == list(range(80)) and order.index(5) < 25 and order.index(12) < 35


class Unheard(Costs):
    """Takes requests and never answers."""

    name = identity = "unheard"
    in_flight = 1

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def generate(self, request: Request) -> Completion:
        self.asked.set()
        await asyncio.sleep(3600)
        raise AssertionError


def test_a_call_that_is_dropped_counts_once_it_was_sent(tmp_path: Path) -> None:
    """As when the lease of its episode runs out. The other waits for its turn."""
    log, budget = Log(tmp_path / "db.duckdb"), Budget(10.0)

    async def go() -> None:
        caller, model = Caller(log, budget), Unheard()
        calls = [asyncio.create_task(caller.make(model, request(most), 0)) for most in (3, 2)]
        await model.asked.wait()
        assert budget.reserved == 5.0
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

    asyncio.run(go())
    log.close()
    assert (budget.spent, budget.reserved) == (3.0, 0.0)


class Answers(Costs):
    """The run is stopped as it answers."""

    name = identity = "answers"
    in_flight = 1

    async def generate(self, request: Request) -> Completion:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        return Completion("heard", cost=3.0)


def test_a_reply_that_came_is_kept_though_the_run_is_stopped_in_that_moment(tmp_path: Path) -> None:
    """Between a reply and its row in the log those are sent that waited for its place."""
    log, budget = Log(tmp_path / "db.duckdb"), Budget(10.0)
    log.run = 1

    async def go() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(Caller(log, budget).make(Answers(), request(3), 0))

    asyncio.run(go())
    log.close()
    assert rows(tmp_path / "db.duckdb", "SELECT text FROM calls") == [("heard",)]
    assert (budget.spent, budget.reserved) == (3.0, 0.0)


class OneAtATime(Costs):
    """Says when it is asked."""

    name = identity = "one at a time"
    in_flight = 1

    def __init__(self, said: list[str]) -> None:
        self.said = said

    async def generate(self, request: Request) -> Completion:
        self.said.append("asked")
        return Completion("heard", cost=0.1)


def test_who_waits_for_a_place_is_sent_before_the_reply_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, said = Log(tmp_path / "db.duckdb"), list[str]()
    log.run, add_call = 1, log.add_call

    def told(*row: Any) -> None:
        said.append("written")
        add_call(*row)

    monkeypatch.setattr(log, "add_call", told)

    async def go() -> None:
        caller, model = Caller(log), OneAtATime(said)
        await asyncio.gather(*(caller.make(model, request(most), 0) for most in (1, 2)))

    asyncio.run(go())
    log.close()
    assert said == ["asked", "asked", "written", "written"]


class Doubtful:
    """A run shared with an owner that is not heard: nothing may be sent."""

    async def claim(self, *of: object) -> None:
        return None

    async def sure(self) -> None:
        await asyncio.sleep(3600)

    def release(self, key: int) -> None:
        pass


def test_a_call_that_waits_for_leave_to_be_sent_costs_nothing(tmp_path: Path) -> None:
    log, budget, model = Log(tmp_path / "db.duckdb"), Budget(10.0), Unheard()
    log.run, model.manners = 1, Manners(attempts=1, attempt=0.05)

    async def go() -> None:
        shared: Any = Doubtful()
        with pytest.raises(Transport, match="no reply within"):
            await Caller(log, budget, shared=shared).make(model, request(3), 0)

    asyncio.run(go())
    log.close()
    assert not model.asked.is_set() and (budget.spent, budget.reserved) == (0.0, 0.0)


class Unsent(Costs, BatchModel):
    """Whose batches are lost on their way there."""

    name = identity = "unsent"
    price = Price(0.0, 1.0, batch=0.5)

    async def send_batch(self, tag: str, requests: Mapping[int, Request]) -> str:
        raise Transport("cut off", charged=True)

    async def find_batch(self, tag: str, sent: datetime, keys: Collection[int]) -> str | None:
        return None


def test_a_batch_that_never_came_to_be_costs_nothing(tmp_path: Path) -> None:
    log, budget = Log(tmp_path / "db.duckdb"), Budget(10.0)
    log.run = 1

    async def go() -> None:
        batches = Batches(log, poll=(0.01, 0.01))
        with pytest.raises(Transport, match="cut off"):
            await Caller(log, budget, batches).make(Unsent(), request(8), 0)
        await batches.stop()

    asyncio.run(go())
    log.close()
    assert (budget.spent, budget.reserved) == (0.0, 0.0)


def test_a_call_given_up_while_it_waits_leaves_its_room_to_others() -> None:
    async def calls() -> int:
        budget = Budget(10.0)

        async def one(most: int) -> None:
            async with budget.reserve(Costs(), request(most)) as charge:
                await asyncio.sleep(0.01)
                charge.settle(Completion(cost=0.0))

        first = asyncio.create_task(one(6))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(one(10))
        await asyncio.sleep(0)
        last = asyncio.create_task(one(4))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(first, last)
        return budget.calls

    assert asyncio.run(calls()) == 2


def test_the_most_a_call_can_cost_takes_nothing_for_cached() -> None:
    price = Price(2.0, 3.0, cached=0.5, cache_write=2.5)
    assert most_dollars(price, 10, 4) == 10 * 2.5 + 4 * 3.0
    hidden = Costs()
    hidden.hidden = 7
    assert most_tokens(hidden, request(5)) == (8, 12)
