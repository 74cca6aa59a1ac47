"""kill -9 at many random moments: what is committed stays, is never paid again, and the end is the same.

The run is a real process that pays a real server on loopback, which keeps the bill. So that many processes
take little time, they are forked from one that has loaded everything and opened nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import content, rows
from wire import Fault, Reply, Seen, Wire
from wire_shapes import default_answer

from oversight.store.check import check

KILLS = int(os.environ.get("OVERSIGHT_KILLS", "100"))
IN_FLIGHT = 8

NURSERY = """
import os, sys
import aiohttp, openai, numpy, httpx_aiohttp
from oversight.engine.plan import make_plan
from oversight.engine.run import play_plan
from oversight.experiment import experiment_from
from oversight.models.api import openai as _

def plan(db):
    return make_plan(experiment_from(dict(
        protocols=["debate:rounds=2", "consultancy:rounds=1", "direct"], tasks=["./toy"], judge=sys.argv[1],
        debater=sys.argv[2], limit=24, order="both", concurrency=16, db=db)))

plan("loaded.duckdb").close()  # prices, protocols
for db in sys.stdin:
    child = os.fork()
    if child == 0:
        status = 70
        try:
            played = play_plan(plan(db.strip()))
            status = 130 if played.stopped else 0
        finally:
            os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Bill:
    """Answers as the server does of itself, and keeps what each call was paid, by the seed in its request."""

    def __init__(self) -> None:
        self.paid: Counter[int] = Counter()

    def __call__(self, seen: Seen) -> Reply | Fault:
        self.paid[seen.body["seed"]] += 1
        return default_answer(seen)


class Nursery:
    """Starts runs, one at a time."""

    def __init__(self, folder: Path, wire: Wire) -> None:
        seat = f":key_env=TEST_KEY,base_url={wire.openai},in_flight={IN_FLIGHT}"
        argv = [f"openai/gpt-test{seat},elicit=hard", f"openai/gpt-4o-mini{seat},temperature=1"]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", NURSERY, *argv],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, db: Path) -> int:
        """The process of a new run."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{db}\n")
        self.process.stdin.flush()
        return self._line()

    def end(self) -> int:
        """Wait for the run; its exit status, -9 where it was killed."""
        return self._line()

    def _line(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setenv("TEST_KEY", "sk-test")
    with Wire(answer=Bill(), latency=0.004, remember=False) as server:
        yield server


@pytest.fixture
def nursery(wire: Wire, toy: str, tmp_path: Path) -> Iterator[Nursery]:
    found = Nursery(tmp_path, wire)
    yield found
    found.process.communicate()


def kill_when(happened: Callable[[], bool], process: int) -> None:
    """Kill it a random moment after something has happened, or let it end before."""
    with contextlib.suppress(ProcessLookupError):
        while not happened():
            os.kill(process, 0)
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.02))
        os.kill(process, signal.SIGKILL)


def committed(db: Path) -> set[int]:
    """The seeds of the calls in a database."""
    if not db.exists():
        return set()
    found = rows(db, "SELECT table_name FROM duckdb_tables() WHERE table_name = 'calls'")
    return {(key >> 1) & (2**31 - 1) for (key,) in rows(db, "SELECT call FROM calls")} if found else set()


def test_kills_at_any_moment_lose_nothing_committed_and_pay_nothing_committed_again(
    nursery: Nursery, wire: Wire, tmp_path: Path
) -> None:
    random.seed(17)
    bill: Any = wire.answer
    nursery.start(tmp_path / "whole.duckdb")
    assert nursery.end() == 0
    whole, calls = content(tmp_path / "whole.duckdb"), len(bill.paid)
    kills, again, most, finished = 0, 0, 0, 0
    while kills < KILLS or not finished:
        db = tmp_path / f"killed{finished}.duckdb"
        bill.paid.clear()
        safe: dict[
            int, int
        ] = {}  # calls that were committed at some kill, and how often they had been paid then
        uncommitted = 0
        while True:
            process = nursery.start(db)
            if kills < KILLS:
                # Any moment: as it opens the file, as it plays, as it closes it.
                until = bill.paid.total() + random.choice([0, 0, random.randrange(1, calls // 4)])
                kill_when(lambda: bill.paid.total() >= until, process)  # noqa: B023
            status = nursery.end()
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
            paid, stored = Counter(bill.paid), committed(db)
            assert safe.keys() <= stored, "a committed call is gone"
            assert all(paid[seed] == times for seed, times in safe.items()), "a committed call was paid again"
            safe = {seed: paid[seed] for seed in stored}
            lost = paid.total() - len(stored) - uncommitted
            uncommitted += lost
            most = max(most, lost)
        assert content(db) == whole
        assert not check(db).flaws
        assert len(bill.paid) == calls
        assert bill.paid.total() - calls <= uncommitted  # what was paid again was not committed at a kill
        again += bill.paid.total() - calls
        finished += 1
    # In flight at the kill, for two models, and as much again whose replies were being committed.
    assert most <= 2 * 2 * IN_FLIGHT
    print(
        f"{kills} kills, {finished} runs finished, {calls} calls each; {again} paid again, at most {most} a kill"
    )
