"""Many runs as real processes in little time: forked from one that has loaded everything and opened nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wire import Fault, Reply, Seen
from wire_shapes import default_answer

PROGRAM = """
import json, os, sys
from oversight.cli import main
if "openai/" in sys.argv[1]:
    import aiohttp, openai, numpy, httpx_aiohttp
    from oversight.models.api import openai as _

keep, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1), os.dup2(null, 2)
assert main(json.loads(sys.argv[1]) + ["--dry-run", "--db", "loaded.duckdb"]) == 0  # prices, protocols
sys.stdout.flush()
os.dup2(keep, 1)
for line in sys.stdin:
    told = json.loads(line)
    if "wait" in told:
        print(os.waitstatus_to_exitcode(os.waitpid(told["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.close(keep)
        status = 70
        try:
            os.environ.update(told["environment"])
            out = os.open(told["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1), os.dup2(out, 2)
            status = main(told["argv"])
            sys.stdout.flush()
        finally:
            os._exit(status)
    print(child, flush=True)
"""


CRASHED = 70
"""The exit status of a run that raised what is nobody's to mend."""


GATE = """
import asyncio, os
from oversight.engine.sharing.guest import Guest
from oversight.engine.sharing.host import Host

def gated(take):
    async def waits(self, line):
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
        return await take(self, line)
    return waits

Guest.take, Host.take = gated(Guest.take), gated(Host.take)
"""
"""Part of a module of a task or model: no process of a shared run takes an episode until there is a file `go`."""


class Bill:
    """Answers as the test server does of itself, and keeps what each call was paid, by the seed in its request."""

    def __init__(self) -> None:
        self.paid: Counter[int] = Counter()
        self.open = threading.Event()
        """Cleared, nothing is answered until it is set again."""
        self.open.set()

    def __call__(self, seen: Seen) -> Reply | Fault:
        self.open.wait(120)
        self.paid[seen.body["seed"]] += 1
        return default_answer(seen)


class Nursery:
    """Starts `oversight run` (or another `command` that plays) with these arguments, as often as asked, in a folder;
    `before` goes before the command."""

    def __init__(self, folder: Path, *argv: str, before: tuple[str, ...] = (), command: str = "run") -> None:
        self.folder, self.argv = folder, [command, *argv]
        self._started = 0
        self._processes: list[Process] = []
        self._process = subprocess.Popen(
            [*before, sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(self.argv)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *argv: str, **environment: str) -> Process:
        """A new run with further arguments."""
        self._started += 1
        out = self.folder / f"out{self._process.pid}.{self._started}.txt"
        told = {"argv": [*self.argv, *argv], "out": str(out), "environment": environment}
        self._processes.append(Process(self, self.ask(told), out))
        return self._processes[-1]

    def ask(self, told: dict[str, Any]) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.stop()
        self._process.communicate()


class Process:
    """One run. `out` is the file with what it prints, errors too."""

    def __init__(self, nursery: Nursery, pid: int, out: Path) -> None:
        self.nursery, self.pid, self.out = nursery, pid, out
        self._status: int | None = None

    @property
    def said(self) -> str:
        return self.out.read_text() if self.out.exists() else ""

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.end() == -signal.SIGKILL

    def stop(self) -> None:
        """See to it that it is gone."""
        if self._status is None:
            self.send(signal.SIGKILL)
            self.end()

    def end(self) -> int:
        """Wait for it; its exit status, -9 where it was killed."""
        if self._status is None:
            self._status = self.nursery.ask({"wait": self.pid})
        return self._status

    def hear(self, text: str, seconds: float = 60) -> None:
        """Wait until it has said something."""
        until = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < until, f"never said {text!r}: {self.said}"
            time.sleep(0.01)
