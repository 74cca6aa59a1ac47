"""A run can be killed, interrupted or starved of disk at any moment; nothing committed is lost or paid twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TASK, content, rows

MODEL = '''
"""Replies after a moment, and leaves a line for each call it was paid for."""
import asyncio

from oversight import Completion


async def reply(request):
    with open("paid.txt", "a") as file:
        file.write(f"{request.seed}\\n")
    await asyncio.sleep(0.002 + (request.seed % 7) * 0.004)
    if request.view.act == "judge":
        return "Answer: " + "AB"[request.seed % 2]
    return f"Speech {request.seed}. <quote>{request.view.question.split(',')[0][3:]}</quote>"
'''

DRIVER = """
import sys
from oversight.engine.plan import make_plan
from oversight.engine.run import play_plan
from oversight.experiment import experiment_from

plan = make_plan(experiment_from(dict(
    protocols=["debate", "consultancy:rounds=2", "direct"], tasks=["./toy"], judge="scripted/slow:reply:elicit=hard",
    debater="scripted/slow:reply:temperature=1", limit=12, order="both", concurrency=16, db=sys.argv[1])))
try:
    run = play_plan(plan)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
print(run.planned, run.played, run.calls, run.stopped)
sys.exit(130 if run.stopped else run.failed > 0)
"""


def furnish(folder: Path) -> Path:
    (folder / "slow.py").write_text(MODEL)
    (folder / "driver.py").write_text(DRIVER)
    (folder / "toy").mkdir(exist_ok=True)
    (folder / "toy" / "task.py").write_text(TASK)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return furnish(tmp_path)


def start(folder: Path, db: str, **settings: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "driver.py", db],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )  # type: ignore[call-overload]


def paid(folder: Path) -> Counter[str]:
    path = folder / "paid.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def stored(db: Path) -> set[str]:
    """The calls in a database, as the model names them that was paid for them."""
    return {str(call >> 1) for (call,) in rows(db, "SELECT call FROM calls")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = furnish(tmp_path_factory.mktemp("undisturbed"))
    out, err = (process := start(folder, "whole.duckdb")).communicate(timeout=120)
    assert process.returncode == 0, out + err
    return content(folder / "whole.duckdb")


def test_a_killed_run_resumed_equals_one_that_was_not(
    folder: Path, undisturbed: dict[str, list[str]]
) -> None:
    kills = 0
    committed: set[str] = set()
    for wait in (0.15, 0.3, 0.05, 0.45, 0.2, 0.6):
        process = start(folder, "killed.duckdb")
        before = sum(paid(folder).values())
        deadline = time.monotonic() + 60
        while sum(paid(folder).values()) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(wait)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        there = stored(folder / "killed.duckdb")
        assert committed <= there, "a committed call is gone"
        committed = there
        # What was paid and not committed was under way at the kill: at most one call for each place.
        assert len(set(paid(folder)) - there) <= 2 * 16 + 4
    assert kills >= 3
    times_paid = paid(folder)
    process = start(folder, "killed.duckdb")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    for call in committed:
        assert paid(folder)[call] == times_paid[call], "a committed call was made again"
    assert content(folder / "killed.duckdb") == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_stops_in_seconds_keeps_everything_and_goes_on(
    folder: Path, undisturbed: dict[str, list[str]], number: int
) -> None:
    process = start(folder, "stopped.duckdb")
    while sum(paid(folder).values()) < 60:
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert rows(folder / "stopped.duckdb", "SELECT status FROM runs") == [("stopped",)]
    committed, times_paid = stored(folder / "stopped.duckdb"), paid(folder)
    assert len(committed) >= 60 - 2 * 16 and len(set(times_paid) - committed) <= 2 * 16, (
        "lost beside what was in flight"
    )
    process = start(folder, "stopped.duckdb")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert content(folder / "stopped.duckdb") == undisturbed
    assert all(paid(folder)[call] == times_paid[call] == 1 for call in committed), (
        "a committed call is paid again"
    )


def test_a_full_disk_is_one_line_and_loses_nothing_committed(
    folder: Path, undisturbed: dict[str, list[str]]
) -> None:
    import resource

    def no_large_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = start(folder, "full.duckdb", preexec_fn=no_large_files)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, out + err
    assert out.startswith("StoreError") and "full.duckdb" in out and out.count("\n") == 1, out
    process = start(folder, "full.duckdb")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert content(folder / "full.duckdb") == undisturbed


def test_a_file_that_a_run_has_open_is_refused_to_a_second_run_in_one_line(folder: Path) -> None:
    first = start(folder, "one.duckdb")
    while sum(paid(folder).values()) < 10:
        time.sleep(0.005)
    second = start(folder, "one.duckdb")
    out, err = second.communicate(timeout=60)
    assert second.returncode == 3 and f"process {first.pid}" in out and out.count("\n") == 1, out + err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)


def test_a_folder_that_is_not_there_is_said_in_one_line(folder: Path) -> None:
    process = start(folder, "no/such/place.duckdb")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3 and out.startswith("StoreError no folder"), out + err


READ_ONLY = """
import os, pathlib, sys
from oversight.errors import StoreError
from oversight.store.database import open_for_writing
from oversight.store.reading import open_reader

done = pathlib.Path(sys.argv[1]) / "done.duckdb"
open_reader(done).close()  # loads what nobody else may be able to read
if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name in ("new.duckdb", "done.duckdb"):
    try:
        open_for_writing(pathlib.Path(sys.argv[1]) / name)
    except StoreError as error:
        print(error)
with open_reader(done) as reader:
    print(reader.sql("SELECT count(*) FROM judgements").rows[0][0])
"""


def test_a_read_only_folder_is_said_in_one_line_and_still_read(folder: Path, shared_folder: Path) -> None:
    _, err = start(folder, str(shared_folder / "done.duckdb")).communicate(timeout=120)
    before = (shared_folder / "done.duckdb").read_bytes()
    shared_folder.chmod(0o555)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(shared_folder)], capture_output=True, text=True, cwd="/"
        )
    finally:
        shared_folder.chmod(0o755)
    assert asked.returncode == 0, asked.stderr
    new, done, judged = asked.stdout.splitlines()
    for line, name in ((new, "new"), (done, "done")):
        assert (
            line
            == f"{shared_folder / name}.duckdb cannot be written: mend its permissions or name another --db"
        )
    assert int(judged) > 0 and err == "" and asked.stderr == ""
    assert [path.name for path in shared_folder.iterdir()] == ["done.duckdb"]
    assert (shared_folder / "done.duckdb").read_bytes() == before


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that anybody may look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)
