"""`oversight make`: a model writes what a task needs; every call is durable, and made once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from support import rows

from oversight.library import find_task

Ran = tuple[int, str, str]
WRITERS = '''
import asyncio
from oversight import Completion, Model, Transport

def said(request):
    with open("made.txt", "a") as made:
        made.write("x\\n")

def solve(request):
    """Right in one draw of three, by the call's own seed; problem 2 is always right."""
    said(request)
    right = request.seed % 3 == 0 or "Problem: Sum 2?" in request.messages[0].content
    return f"1 + 1\\n#### {7 if right else 8}"

def flaky(request):
    """No answer for problem 1, and the reply for problem 3 is cut off."""
    text = request.messages[0].content
    if "Sum 1?" in text:
        raise Transport("the server is away", again=False)
    if "Sum 3?" in text:
        return Completion("1 +", stop="length")
    return solve(request)

waiting = 0
async def slow(request):
    """Replies one after the other."""
    global waiting
    waiting += 1
    await asyncio.sleep(waiting % 6 * 0.1)
    return solve(request)

class Unpriced(Model):
    identity = "unpriced"

def empty(request):
    return "I do not know."

def down(request):
    raise Transport("the server is away", again=False)
'''


def made(folder: Path) -> int:
    """How many calls the model was asked for."""
    path = folder / "made.txt"
    return len(path.read_text().split()) if path.exists() else 0


@pytest.fixture
def sums(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with six problems in the hub's columns, all of which come to 7, and some writers."""
    (folder / "writers.py").write_text(WRITERS)
    monkeypatch.setenv("OVERSIGHT_DATA", str(folder))
    hub = folder / "openai__gsm8k" / "main"
    hub.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(
            "create table t as select 'Sum ' || n || '?' as question, '#### 7' as answer from range(6) r(n)"
        )
        connection.execute(f"copy t to '{hub / 'test-00000-of-00001.parquet'}' (format parquet)")
    return folder


MAKE = ("make", "gsm8k:style=prose,samples=6", "--out", "pairs.json", "--model")


def test_what_is_made_is_read_by_the_task_and_its_calls_are_kept(
    oversight: Callable[..., Ran], sums: Path
) -> None:
    status, out, err = oversight(*MAKE, "scripted/writers:solve")
    assert status == 0, err
    pairs = json.loads((sums / "pairs.json").read_text())
    assert {p["made_by"] for p in pairs} == {"scripted/writers:solve"} and len(pairs) >= 3
    assert "Sum 2?" not in {p["question"] for p in pairs}, "it was never got wrong"
    assert all(p["answer_correct"]["numeric"] == 7 != p["answer_incorrect"]["numeric"] for p in pairs)
    items = list(find_task("gsm8k").questions(seed=0, wrong=str(sums / "pairs.json")))
    assert {q.text for q, _ in items} == {p["question"] for p in pairs}
    db = sums / "pairs.json.duckdb"
    assert rows(db, "SELECT count(*), count(DISTINCT call), min(temperature) FROM calls") == [
        (made(sums), made(sums), pytest.approx(0.8))
    ]
    assert rows(db, "SELECT status, planned FROM runs") == [("finished", 0)]
    assert f"{made(sums):>8,}  calls made, 0 found" in out and "draw 2, " in err


def test_the_same_command_makes_the_same_file_and_no_call(oversight: Callable[..., Ran], sums: Path) -> None:
    oversight(*MAKE, "scripted/writers:solve")
    first, calls = (sums / "pairs.json").read_bytes(), made(sums)
    status, out, _ = oversight(*MAKE, "scripted/writers:solve")
    assert status == 0 and made(sums) == calls and (sums / "pairs.json").read_bytes() == first
    assert f"{0:>8,}  calls made, {calls:,} found in pairs.json.duckdb" in out


def test_more_problems_pay_only_for_themselves(oversight: Callable[..., Ran], sums: Path) -> None:
    oversight(*MAKE, "scripted/writers:solve", "--limit", "2")
    few, pairs = made(sums), json.loads((sums / "pairs.json").read_text())
    oversight(*MAKE, "scripted/writers:solve")
    every = made(sums)
    assert pairs == json.loads((sums / "pairs.json").read_text())[: len(pairs)]
    (sums / "pairs.json.duckdb").unlink()
    oversight(*MAKE, "scripted/writers:solve")
    assert made(sums) - every == every > few, "as many as in one go"


def test_a_kill_costs_at_most_the_calls_under_way(oversight: Callable[..., Ran], sums: Path) -> None:
    command = [sys.executable, "-m", "oversight", *MAKE, "scripted/writers:slow"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while made(sums) < 8 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lost = made(sums)
    assert lost >= 8 and not (sums / "pairs.json").exists()
    ((kept,),) = rows(sums / "pairs.json.duckdb", "SELECT count(*) FROM calls")
    assert 6 <= kept <= lost, "the second draw began when the six replies of the first were committed"
    status, out, err = oversight(*MAKE, "scripted/writers:slow")
    assert status == 0, err
    assert f"calls made, {kept} found in" in out
    ((calls, distinct),) = rows(
        sums / "pairs.json.duckdb", "SELECT count(*), count(DISTINCT call) FROM calls"
    )
    assert calls == distinct == kept + made(sums) - lost
    assert rows(sums / "pairs.json.duckdb", "SELECT status FROM runs ORDER BY started") == [
        ("killed",),
        ("finished",),
    ]


def test_calls_that_fail_make_the_status_1_and_are_tried_again(
    oversight: Callable[..., Ran], sums: Path
) -> None:
    status, out, err = oversight(*MAKE, "scripted/writers:flaky")
    assert status == 1
    assert "12 calls gave no usable reply (transport: 6, truncated: 6)" in err
    assert "12  calls that failed" in out
    ((kept,),) = rows(sums / "pairs.json.duckdb", "SELECT count(*) FROM calls")
    status, out, err = oversight(*MAKE, "scripted/writers:flaky")
    assert status == 1 and f"0  calls made, {kept} found" in out, out + err
    assert rows(sums / "pairs.json.duckdb", "SELECT reason, count(*) FROM failures GROUP BY ALL") == [
        ("transport", 12)
    ]


def test_a_limit_stops_it_and_what_was_paid_is_kept(oversight: Callable[..., Ran], sums: Path) -> None:
    status, _, err = oversight(*MAKE, "scripted/writers:solve", "--max-calls", "4")
    assert status == 3 and "stopped at the limit, 4 of at most 4 calls made" in err
    assert made(sums) == 4 and not (sums / "pairs.json").exists()
    assert rows(sums / "pairs.json.duckdb", "SELECT status FROM runs") == [("stopped",)]
    status, out, _ = oversight(*MAKE, "scripted/writers:solve")
    assert status == 0 and "calls made, 4 found" in out


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("make", "quality", "--model", "scripted/writers:solve", "--out", "p"), "task 'quality' has no make.py"),
        (("make", "gsm9k", "--model", "scripted/writers:solve", "--out", "p"), "did you mean 'gsm8k'?"),
        (("make", "gsm8k:stile=prose", "--model", "x/y", "--out", "p"), "did you mean 'style'? (of make 'gsm8k')"),
        (("make", "gsm8k:style=verse", "--model", "x/y", "--out", "p"), "style='verse' is not prose|python"),
        (("make", "gsm8k:samples=0", "--model", "scripted/writers:solve", "--out", "p"), "samples is 0"),
        (("make", "gsm8k", "--model", "simulated/judge", "--out", "p"), "writes no solutions"),
        (("make", "gsm8k", "--model", "scripted/writers:solve:temperature=0", "--out", "p"), "a temperature above 0"),
        (("make", "gsm8k", "--model", "scripted/writers:solve", "--out", "no/such/p"), "no folder no/such"),
        (("make", "gsm8k", "--model", "scripted/writers:solve", "--out", "toy"), "toy is a folder: name a file"),
        (("make", "gsm8k", "--model", "writers:Unpriced", "--out", "p", "--max-cost", "1"), "max_cost needs to know"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_any_call(
    oversight: Callable[..., Ran], folder: Path, command: tuple[str, ...], says: str
) -> None:
    status, out, err = oversight(*command)
    assert status == 2 and says in err and err.count("\n") == 1 and not out
    assert made(folder) == 0 and not (folder / "p").exists()


@pytest.mark.usefixtures("sums")
def test_nothing_is_written_where_nothing_came_of_it(oversight: Callable[..., Ran], folder: Path) -> None:
    (folder / "pairs.json").write_text("kept")
    status, out, err = oversight(*MAKE, "scripted/writers:empty")
    last = err.splitlines()[-1]
    assert (
        status == 2
        and "nothing came of it" in last
        and "no reply was of use; draw more often, gsm8k:samples=" in last
    )
    assert "36  replies without a number" in out and (folder / "pairs.json").read_text() == "kept"


@pytest.mark.usefixtures("sums")
def test_a_model_that_fails_is_said_with_its_reason(oversight: Callable[..., Ran], folder: Path) -> None:
    status, _, err = oversight(*MAKE, "scripted/writers:down")
    last = err.splitlines()[-1]
    assert status == 1 and "nothing came of it, and pairs.json is not written" in last
    assert "calls gave no usable reply (transport: 36), e.g. the server is away" in last
    assert "samples" not in last.split("; the same command")[0] and not (folder / "pairs.json").exists()
