"""Hosts that share a run over a network: each in a network namespace of its own, joined by virtual wires."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from nursery import Nursery
from support import TASK, content, rows

from oversight.store.check import check

MODEL = '''
"""Replies after a moment, and leaves a line for each call it was paid for."""
import asyncio

async def reply(request):
    with open("paid.txt", "a") as file:
        file.write(f"{request.seed}\\n")
    await asyncio.sleep(0.3)
    if request.view.act == "judge":
        return "Answer: " + "AB"[request.seed % 2]
    return f"Speech {request.seed}."
'''
CONCURRENCY = 4
TOKEN = "a token that both hosts were given"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def namespaces_can_be_made() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"ov{os.getpid()}t"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except subprocess.CalledProcessError:
        return False
    return True


pytestmark = pytest.mark.skipif(
    not namespaces_can_be_made(), reason="needs root, iproute2 and leave to make network namespaces"
)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Three namespaces: the second reaches the first at 10.203.1.1, the third at 10.203.2.1."""
    names = [f"ov{os.getpid()}{letter}" for letter in "abc"]
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for n, name in enumerate(names[1:], start=1):
            ip(
                "link",
                "add",
                f"{name}0",
                "netns",
                names[0],
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            ip("-n", names[0], "addr", "add", f"10.203.{n}.1/24", "dev", f"{name}0")
            ip("-n", names[0], "link", "set", f"{name}0", "up")
            ip("-n", name, "addr", "add", f"10.203.{n}.2/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def paid(folder: Path) -> Counter[str]:
    path = folder / "paid.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def test_hosts_share_a_run_and_one_that_dies_or_is_cut_off_is_taken_over(
    hosts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "task.py").write_text(TASK)
    (tmp_path / "slow.py").write_text(MODEL)
    argv = (
        "debate:rounds=2", "consultancy:rounds=1", "direct", "--task", "./toy", "--limit", "8", "--order", "both",
        "--judge", "scripted/slow:reply:elicit=hard", "--debater", "scripted/slow:reply:temperature=1",
        "--concurrency", "16", "-q",
    )  # fmt: skip
    with ExitStack() as stack:
        a, b, c = (
            stack.enter_context(Nursery(tmp_path, *argv, before=("ip", "netns", "exec", name)))
            for name in hosts
        )
        alone = a.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        calls = len(paid(tmp_path))
        (tmp_path / "paid.txt").unlink()

        few = ("--concurrency", str(CONCURRENCY))
        owner = a.start(
            "--db",
            "shared.duckdb",
            "--listen",
            "http://0.0.0.0:9494",
            "--lease",
            "1",
            *few,
            OVERSIGHT_TOKEN=TOKEN,
        )
        owner.hear("is shared")
        wrong = b.start("--join", "http://10.203.1.1:9494", OVERSIGHT_TOKEN="of another run, surely")
        dies = b.start("--join", "http://10.203.1.1:9494", *few, OVERSIGHT_TOKEN=TOKEN)
        cut = c.start("--join", "http://10.203.2.1:9494", *few, OVERSIGHT_TOKEN=TOKEN)
        dies.hear("joined the run")
        cut.hear("joined the run")
        until = time.monotonic() + 60
        begun = len(paid(tmp_path))
        while len(paid(tmp_path)) < begun + 20:
            assert time.monotonic() < until
            time.sleep(0.01)
        dies.kill()
        ip("-n", hosts[0], "link", "set", f"{hosts[2]}0", "down")
        time.sleep(2.5)
        ip("-n", hosts[0], "link", "set", f"{hosts[2]}0", "up")
        assert owner.end() == 0, owner.said
        assert cut.end() == 0, cut.said
        assert "episodes were played here" in cut.said
        assert wrong.end() == 2 and "does not take this token" in wrong.said, wrong.said
    db = tmp_path / "shared.duckdb"
    assert content(db) == content(tmp_path / "whole.duckdb")
    assert not check(db).flaws
    assert Counter(rows(db, "SELECT status FROM runs")) == {("finished",): 2, ("killed",): 1}
    assert len(paid(tmp_path)) == calls
    assert (
        paid(tmp_path).total() - calls <= 2 * 2 * CONCURRENCY
    )  # in flight on the two, debaters speak in pairs
    said = owner.said + dies.said + cut.said + "".join(map(str, rows(db, "SELECT command, config FROM runs")))
    assert TOKEN not in said
