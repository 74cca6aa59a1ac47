"""Commands as real processes, forked from one that has imported what takes long and opened nothing.

A forked process has its own folder, environment and output; what is printed when garbage is collected and exit
handlers run is part of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = """
import atexit, gc, json, os, sys, traceback
import aiohttp, anthropic, duckdb, httpx_aiohttp, openai, openai.types.chat, pandas
import oversight.engine.plan, oversight.engine.run, oversight.report.terminal
from oversight.cli import main
from oversight.models.prices import look_up

look_up("openai/gpt-4o-mini")  # reads the table of prices
gc.freeze()
for line in sys.stdin:
    told = json.loads(line)
    if "wait" in told:
        found, status = os.waitpid(told["wait"], os.WNOHANG)
        print("null" if not found else os.waitstatus_to_exitcode(status), flush=True)
        continue
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(told[name], os.O_WRONLY | os.O_CREAT), number)
    os.chdir(told["cwd"])
    sys.path[0] = told["cwd"]
    os.environ.clear()
    os.environ.update(told["env"])
    status = 70
    try:
        status = main(told["argv"])
    except BaseException:
        traceback.print_exc()
    gc.collect()
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)  # not by the interpreter's end: C++ threads of the parent are not there to be joined
"""


class Forked:
    """Starts commands of `oversight`. Use as a context manager."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="forked-")
        self._started = 0
        without = {k: v for k, v in os.environ.items() if not k.endswith(("_KEY", "_TOKEN"))}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=without,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def start(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> Process:
        """Start a command."""
        self._started += 1
        out, err = (Path(self._folder.name) / f"{self._started}.{end}" for end in ("out", "err"))
        told = {"argv": argv, "cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err)}
        return Process(self, self.ask(told), out, err)

    def ask(self, told: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Process:
    """One command, with what of `subprocess.Popen` the tests use."""

    def __init__(self, forked: Forked, pid: int, out: Path, err: Path) -> None:
        self._forked, self.pid, self._out, self._err = forked, pid, out, err
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forked.ask({"wait": self.pid})
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        until = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < until, f"it has not ended in {timeout} s: {self._err.read_text()}"
            time.sleep(0.01)
        return self._out.read_text(), self._err.read_text()
