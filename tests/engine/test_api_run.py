"""Whole runs over the network when it is bad: everything is decided, nothing is paid twice, Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import rows
from wire import Fault, Reply, Seen, Wire
from wire_shapes import default_answer

import oversight
from oversight.errors import OverBudget, UserError
from oversight.store.reading import open_reader

FINAL = "SELECT episode, status, choice, raw FROM verdicts WHERE final ORDER BY ALL"


@pytest.fixture(autouse=True)
def poll(key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERSIGHT_BATCH_POLL", "60")


def judge(wire: Wire, model: str = "gpt-4o-mini", **options: Any) -> str:
    return _spelt(f"openai/{model}", {"base_url": wire.openai, **options})


def debater(wire: Wire, **options: Any) -> str:
    return _spelt("anthropic/claude-haiku-4-5", {"base_url": wire.url, **options})


def _spelt(name: str, options: dict[str, Any]) -> str:
    return f"{name}:key_env=TEST_KEY," + ",".join(f"{k}={v}" for k, v in options.items())


class Flaky:
    """Answers as the server does of itself, but for a share of the requests; counts what was paid."""

    def __init__(self, share: float, seed: int = 7) -> None:
        self.share, self.random = share, random.Random(seed)
        self.paid: Counter[str] = Counter()
        self.faults = 0

    def __call__(self, seen: Seen) -> Reply | Fault:
        if self.random.random() < self.share:
            self.faults += 1
            return self.random.choice(
                (
                    Fault(429, retry_after=0.2),
                    Fault(429),
                    Fault(500),
                    Fault(529),
                    Fault("drop body"),
                    Fault("drop"),
                )
            )
        self.paid[json.dumps(seen.body, sort_keys=True)] += 1
        return default_answer(seen)


def test_a_bad_network_costs_time_and_nothing_else(wire: Wire, toy: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"judge": judge(wire), "debater": debater(wire), "limit": 6}
    calm, rough = tmp_path / "calm.duckdb", tmp_path / "rough.duckdb"
    oversight.run("debate:rounds=2", toy, db=calm, **settings)
    wire.answer = flaky = Flaky(0.2)
    played = oversight.run("debate:rounds=2", toy, db=rough, **settings)
    assert played.run.statuses == {"decided": 6}
    assert flaky.faults > 3
    assert max(flaky.paid.values()) == 1
    stored = rows(rough, "SELECT count(*), count(DISTINCT call), sum(attempts) FROM calls")
    assert stored == [(flaky.paid.total(), flaky.paid.total(), flaky.paid.total() + flaky.faults)]
    failures = rows(rough, "SELECT reason, count(*), count(detail) FROM failures GROUP BY ALL")
    assert failures == [("transport", flaky.faults, flaky.faults)]
    assert rows(rough, FINAL) == rows(calm, FINAL)


def start(tmp_path: Path, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oversight", "run", *argv],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert happened()


def test_killed_again_and_again_it_comes_to_the_same(wire: Wire, toy: str, tmp_path: Path) -> None:
    at_once = 4
    seats = ("--judge", judge(wire, in_flight=at_once), "--debater", debater(wire, in_flight=at_once))
    argv = ("debate:rounds=2", "--task", toy, "--limit", "10", *seats, "-q", "--db")
    whole = start(tmp_path, *argv, "whole.duckdb")
    _, err = whole.communicate(timeout=120)
    assert whole.returncode == 0, err
    wire.answer, wire.latency = (flaky := Flaky(0.1)), 0.03
    kills = 0
    for step in (5, 9, 12):
        process, before = start(tmp_path, *argv, "killed.duckdb"), flaky.paid.total()
        wait_for(lambda: flaky.paid.total() >= before + step, process)  # noqa: B023
        kills += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills == 3
    last = start(tmp_path, *argv, "killed.duckdb")
    _, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert rows(tmp_path / "killed.duckdb", FINAL) == rows(tmp_path / "whole.duckdb", FINAL)
    ((stored, different),) = rows(
        tmp_path / "killed.duckdb", "SELECT count(*), count(DISTINCT call) FROM calls"
    )
    assert stored == different == len(flaky.paid)
    # Lost at a kill: what two models had in flight, and as much again that was being committed.
    assert flaky.paid.total() - stored <= kills * 2 * 2 * at_once


@pytest.mark.parametrize("during", ["a long pause", "a request that hangs", "a batch", "the first look"])
def test_ctrl_c_ends_it_whatever_is_waited_for(during: str, wire: Wire, toy: str, tmp_path: Path) -> None:
    argv = ["direct", "--task", toy, "--limit", "3", "--judge", judge(wire, batches="true")]
    posted = lambda: any(seen.method == "POST" for seen in wire.seen)  # noqa: E731
    silent = socket.create_server(("127.0.0.1", 0))
    if during == "a long pause":
        wire.answer = lambda seen: Fault(429, retry_after=900)
    elif during == "a request that hangs":
        wire.answer = lambda seen: Fault("hang")
    elif during == "a batch":
        wire.batches.polls = 10**9
        argv.append("--batch")
        posted = lambda: any(seen.path.startswith("/v1/batches/") for seen in wire.seen)  # noqa: E731
    else:
        argv[-1] = f"openai/x:base_url=http://127.0.0.1:{silent.getsockname()[1]}/v1"
    process = start(tmp_path, *argv)
    if during == "the first look":
        connection, _ = silent.accept()  # and never a word
    else:
        wait_for(posted, process)
        connection = socket.socket()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    connection.close()
    silent.close()
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("oversight: stopped; 0 of 3 episodes have a verdict"), err
    assert rows(tmp_path / "oversight.duckdb", "SELECT status FROM runs") == [("stopped",)]


@pytest.mark.parametrize("places", [1000, 4])
def test_a_model_out_of_quota_holds_up_no_episode_that_needs_another(
    places: int, wire: Wire, toy: str, tmp_path: Path
) -> None:
    wire.answer = lambda seen: (
        Fault(429, retry_after=900) if seen.body["model"] == "gpt-test" else Reply("Answer: A")
    )
    judges = ("--judge", judge(wire, "gpt-test"), "--judge", judge(wire, "gpt-4o-mini"))
    argv = ("direct", "--task", toy, "--limit", "20", *judges, "--concurrency", str(places))
    process = start(tmp_path, *argv)

    def judged() -> bool:
        try:
            with open_reader(tmp_path / "oversight.duckdb") as reader:
                return bool(reader.sql("SELECT count(*) FROM verdicts").rows[0][0] >= 20)
        except UserError:  # there is nothing to read yet
            return False

    wait_for(judged, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert "20 of 40 episodes have a verdict" in err


def test_replies_that_were_lost_count_against_the_limit_as_the_provider_may_charge_them(
    wire: Wire, toy: str, tmp_path: Path
) -> None:
    """Half of the replies are lost on their way or make no sense. What the server would charge for all it was asked
    stays within `max_cost`."""
    asked: Counter[str] = Counter()
    chance = random.Random(3)

    def answer(seen: Seen) -> Reply | Fault:
        fault = chance.choice((None, None, None, "drop", "drop body", "malformed", "429"))
        asked["turned away" if fault == "429" else "charged"] += 1
        return default_answer(seen) if fault is None else Fault(429) if fault == "429" else Fault(fault)

    wire.answer = answer
    name = judge(wire, price_in=1000, price_out=1000)
    db = tmp_path / "db.duckdb"
    with pytest.raises(OverBudget, match=r"\$[\d.]+ of it for replies that were lost"):
        oversight.run("direct", toy, db=db, judge=name, limit=200, max_cost=4.0)
    one = rows(db, "SELECT max(cost) FROM calls")[0][0]
    assert 0 < asked["charged"] * one <= 4.0 and asked["turned away"]
    assert rows(db, "SELECT count(*) FROM calls")[0][0] < asked["charged"]
