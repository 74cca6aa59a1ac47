"""What a long run meets beside kills: sleep, clocks that jump, disks that fill, servers and readers that hang."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import content, rows
from wire import Wire

from oversight.store.check import check
from oversight.store.reading import open_reader
from oversight.store.serve import note_path, read_note
from tests.engine.test_surviving import furnish, paid, start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = furnish(tmp_path_factory.mktemp("undisturbed"))
    finish(start(folder, "whole.duckdb"))
    return content(folder / "whole.duckdb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return furnish(tmp_path)


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, out + err
    return out


def until_paid(folder: Path, calls: int) -> None:
    while sum(paid(folder).values()) < calls:
        time.sleep(0.005)


def test_a_machine_that_sleeps_wakes_up_and_goes_on(folder: Path, undisturbed: dict[str, list[str]]) -> None:
    process = start(folder, "slept.duckdb")
    until_paid(folder, 30)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    process.send_signal(signal.SIGCONT)
    finish(process)
    assert content(folder / "slept.duckdb") == undisturbed
    assert max(paid(folder).values()) == 1


JUMPING = """
import random, time
from datetime import datetime, timedelta

real = time.time
time.time = lambda: real() + random.choice([-86400, 0, 86400 * 365])

import oversight.engine.calls, oversight.store.log
for module in (oversight.engine.calls, oversight.store.log):
    module._now = lambda now=module._now: now() + timedelta(days=random.choice([-10, 0, 4000]))
"""


def test_a_clock_that_jumps_changes_times_and_nothing_else(
    folder: Path, undisturbed: dict[str, list[str]]
) -> None:
    (folder / "driver.py").write_text(JUMPING + (folder / "driver.py").read_text())
    finish(start(folder, "jumped.duckdb"))
    assert content(folder / "jumped.duckdb") == undisturbed
    ((days,),) = rows(
        folder / "jumped.duckdb", "SELECT date_diff('day', min(started), max(started)) FROM calls"
    )
    assert days > 1000
    report = [sys.executable, "-m", "oversight", "report", "--db", "jumped.duckdb"]
    assert subprocess.run(report, cwd=folder, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of a few tens of megabytes."""
    disk = folder / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no disk can be mounted here (that takes the superuser)")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_disk_that_fills_up_stops_the_run_in_one_line_and_room_lets_it_go_on(
    folder: Path, small_disk: Path, undisturbed: dict[str, list[str]]
) -> None:
    ballast = small_disk / "ballast"
    process = start(folder, "disk/full.duckdb")
    until_paid(folder, 40)
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass  # full
    out = finish(process, 3)
    assert "the disk of" in out and "is full: free some space" in out and out.count("\n") == 1
    committed = {str(call >> 1) for (call,) in rows(small_disk / "full.duckdb", "SELECT call FROM calls")}
    assert committed
    before = paid(folder)
    ballast.unlink()
    finish(start(folder, "disk/full.duckdb"))
    assert content(small_disk / "full.duckdb") == undisturbed
    assert all(paid(folder)[call] == before[call] for call in committed), "a committed call was paid again"
    assert not check(small_disk / "full.duckdb").flaws


def test_a_disk_that_may_only_be_read_is_said_in_one_line_and_still_read(
    folder: Path, small_disk: Path, undisturbed: dict[str, list[str]]
) -> None:
    finish(start(folder, "disk/done.duckdb"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for db in ("disk/done.duckdb", "disk/new.duckdb"):
        out = finish(start(folder, db), 3)
        assert out.startswith("StoreError") and "cannot be written" in out and out.count("\n") == 1, out
    assert not check(small_disk / "done.duckdb").flaws
    with open_reader(small_disk / "done.duckdb") as reader:
        assert reader.sql("SELECT count(*) FROM judgements").rows[0][0] > 0


READER = """
import sys
from oversight.store.reading import open_reader
with open_reader(sys.argv[1]) as reader:
    print(reader.live, flush=True)
    while True:
        reader.sql("SELECT * FROM calls a, range(1000)")
"""


def test_readers_that_hang_hold_up_neither_the_run_nor_its_end(
    folder: Path, undisturbed: dict[str, list[str]]
) -> None:
    process = start(folder, "read.duckdb")
    until_paid(folder, 20)
    stopped = subprocess.Popen(
        [sys.executable, "-c", READER, "read.duckdb"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert stopped.stdout is not None and stopped.stdout.readline() == "True\n"
    stopped.send_signal(signal.SIGSTOP)  # in the middle of a question, or of its answer
    note = read_note(note_path(folder / "read.duckdb"))
    assert note is not None and note.port is not None
    silent = [socket.create_connection(("127.0.0.1", note.port)) for _ in range(5)]
    silent[0].sendall(b"POST /quack HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nx")
    try:
        finish(process)
    finally:
        stopped.kill()
        stopped.communicate()
        for line in silent:
            line.close()
    assert content(folder / "read.duckdb") == undisturbed


def test_a_note_that_was_left_is_replaced_by_the_next_run(folder: Path) -> None:
    process = start(folder, "stale.duckdb")
    until_paid(folder, 10)
    while not note_path(folder / "stale.duckdb").exists():  # it comes while the run begins
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    stale = read_note(note_path(folder / "stale.duckdb"))
    assert stale is not None and stale.pid == process.pid
    finish(start(folder, "stale.duckdb"))
    assert not note_path(folder / "stale.duckdb").exists()


def test_a_closed_terminal_stops_the_run_in_good_order(
    folder: Path, undisturbed: dict[str, list[str]]
) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = start(folder, "closed.duckdb", stdin=theirs, start_new_session=True, preexec_fn=_own_terminal)
    os.close(theirs)
    until_paid(folder, 40)
    os.close(ours)  # the window is gone: the kernel hangs up on the session
    finish(process, 130)
    assert rows(folder / "closed.duckdb", "SELECT status FROM runs") == [("stopped",)]
    finish(start(folder, "closed.duckdb"))
    assert content(folder / "closed.duckdb") == undisturbed


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_model_server_that_dies_for_a_minute_and_comes_back_costs_time_only(
    toy: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test")
    argv = [sys.executable, "-m", "oversight", "run", "debate:rounds=2", "--task", toy, "--limit", "12", "-q"]
    with Wire(latency=0.05) as wire:
        seat = f"openai/gpt-4o-mini:key_env=TEST_KEY,base_url={wire.openai},in_flight=4"
        process = subprocess.Popen(
            [*argv, "--judge", seat, "--debater", seat], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        while len(wire.seen) < 20:
            time.sleep(0.005)
    answered = len(wire.seen)
    time.sleep(60.0)  # nobody listens
    assert process.poll() is None
    with Wire(latency=0.01, port=wire.port) as again:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    db = tmp_path / "oversight.duckdb"
    assert rows(db, "SELECT status, count(*) FROM verdicts WHERE final GROUP BY 1") == [("decided", 12)]
    # Of those answered as it died some were not heard: at most those in flight, and as they were tried again
    # before it was quite dead.
    ((calls,),) = rows(db, "SELECT count(*) FROM calls")
    assert calls <= answered + len(again.seen) <= calls + 8
    assert rows(db, "SELECT count(*) > 0, bool_and(reason = 'transport') FROM failures") == [(True, True)]
    assert not check(db).flaws
