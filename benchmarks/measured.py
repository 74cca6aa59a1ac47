"""What the benchmarks share: a whole process measured, an instant model, and the machine's name."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Speeches of 800 characters, no two alike, that compress as English does, the same in every run.
SPEECHES = """
import random

draw = random.Random(7)
WORDS = ["".join(draw.choices("etaoinshrdlcum", k=draw.randint(2, 9))) for _ in range(4000)]
PARTS = [" ".join(draw.choices(WORDS, k=30))[:100] for _ in range(5000)]

def speech(seed):
    return " ".join([PARTS[(seed >> n) % 4999] for n in (0, 7, 14, 21, 28, 35, 42, 49)])[:800]
"""
# SECONDS is what a call waits, IN_FLIGHT how many there may be at once (without: any number).
MODEL = f"""
import asyncio, os, time
from oversight import Completion, Model
{SPEECHES}
SECONDS = float(os.environ.get("SECONDS") or 0)
IN_FLIGHT = int(os.environ.get("IN_FLIGHT") or 0)
FIRST_CALL = os.environ.get("FIRST_CALL")


class Instant(Model):
    identity = "instant"
    in_flight = IN_FLIGHT or None
    first = True

    async def generate(self, request):
        if FIRST_CALL and Instant.first:
            Instant.first = False
            with open(FIRST_CALL, "w") as file:
                file.write(repr(time.time()))
        if SECONDS:
            await asyncio.sleep(SECONDS)
        judging = request.view.act == "judge"
        said = "Answer: A" if judging else speech(request.seed)
        return Completion(said, prompt_tokens=100, completion_tokens=len(said) // 4)
"""


@dataclass(frozen=True)
class Took:
    """A whole process: wall and CPU seconds, and its largest resident size in MiB."""

    wall: float
    cpu: float
    peak: float


def process(command: Sequence[str | Path], folder: Path, **environment: str) -> Took:
    """Run a command to its end. Raises `SystemExit` with what it said where it fails.

    Python may keep what it compiled, as in any installation: else a checkout's modules are compiled at every start.
    """
    around = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    clock = time.perf_counter()
    with (folder / "said.txt").open("w+") as said:
        child = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env={**around, **environment})
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - clock
        child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}\n{said.read()}")
    per_mib = 1024 if sys.platform != "darwin" else 1024 * 1024
    return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / per_mib)


QUESTIONS = "questions.jsonl"


def write_questions(folder: Path, number: int) -> None:
    """Questions, five about each passage of 590 characters."""
    draw = random.Random(11)
    words = ["".join(draw.choices("etaoinshrdlcum", k=draw.randint(2, 9))) for _ in range(4000)]
    with (folder / QUESTIONS).open("w") as file:
        for n in range(number):
            if n % 5 == 0:
                passage = " ".join(draw.choices(words, k=200))[:590]
            row = {
                "passage": passage,
                "question": f"Was it so in the year {n}?",
                "right": "yes",
                "wrong": "no",
            }
            file.write(json.dumps(row) + "\n")


def debates(folder: Path, number: int, *options: str) -> list[str]:
    """The command that plays three-round debates (seven calls each) about that many questions with the instant
    model."""
    (folder / "instant.py").write_text(MODEL)
    write_questions(folder, number)
    seats = ["--judge", "instant:Instant", "--debater", "instant:Instant:temperature=1"]
    argv = [
        "run",
        "debate:rounds=3",
        "--task",
        f"custom:file={QUESTIONS},answers=right+wrong,label=right,label_is=text,passage=passage",
        *seats,
        "--limit",
        str(number),
        "-q",
        *options,
    ]
    return [sys.executable, "-m", "oversight", *argv]


def median(times: int, measure: Callable[[], float]) -> float:
    """The median of several measurements."""
    return statistics.median(measure() for _ in range(times))


def machine() -> str:
    """Which machine the numbers are of."""
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        models = [
            line.split(":", 1)[1].strip()
            for line in cpus.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{name}, {os.cpu_count()} CPUs{busy}, Python {platform.python_version()}"


def verdict(ratio: float, limit: float, *, least: bool = False) -> str:
    """A ratio beside its limit."""
    held = ratio >= limit if least else ratio <= limit
    return f"{ratio:8.2f} {'≥' if least else '≤'} {limit:g} {'held' if held else 'MISSED'}"
