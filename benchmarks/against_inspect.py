"""The same debates by us and by Inspect AI: debates a second and CPU a call, whole processes, all stored.

    python benchmarks/against_inspect.py [--debates 500 5000] [--latency 0.05 1] [--in-flight 100 1000]
                                         [--repeat 3] [--inspect ENVIRONMENT]

Three rounds, two debaters at once and a judge (seven calls), the same file of questions with passages of 590
characters, speeches of 800, models that answer at once or after `--latency` seconds. Inspect is installed in an
environment of its own, made in a temporary folder unless `--inspect` names one. It gets an instant model of its own
instead of its mockllm, which would download a vocabulary and count tokens with it: what is measured is what it does
around the calls.

With a latency the models are those of a server that takes so many calls at once and no more, asked by a run as it is
(1,000 debates under way). The ideal is what a bare event loop reaches that only waits so often.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import subprocess
import tempfile
import time
import venv
from pathlib import Path

from measured import Took, debates, machine, process, verdict

VERSION = "0.3.285"
CALLS = 7
BAR = 0.0005
"""CPU seconds of ours a call."""
SECONDS = 20
"""How long a run with a latency is to take, about."""

INSPECT = '''
"""Three-round debates in Inspect AI: each side hears what was said in the rounds before; the judge reads all."""
import asyncio, json, sys

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelAPI, ModelOutput, get_model, modelapi
from inspect_ai.scorer import answer
from inspect_ai.solver import solver

number, seconds, in_flight = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
SPEECH = ("I argue for my answer because the passage says so in as many words. " * 12)[:800]


class Instant(ModelAPI):
    async def generate(self, input, tools, tool_choice, config):
        if seconds:
            await asyncio.sleep(seconds)
        return ModelOutput.from_content(self.model_name, "ANSWER: A" if self.model_name == "judge" else SPEECH)

    def max_connections(self):
        return 10_000

    def connection_key(self):
        return self.model_name


@modelapi(name="instant")
def instant():
    return Instant


@solver
def debate(rounds=3):
    async def solve(state, generate):
        said = []
        for _ in range(rounds):
            async def speak(side):
                prompt = f"Argue for answer {side}.\\n{state.metadata['passage']}\\n{state.input_text}"
                told = [ChatMessageSystem(content=prompt), *(ChatMessageUser(content=text) for text in said)]
                reply = await get_model(role=f"debater_{side.lower()}").generate(told)
                return f"Debater {side}:\\n{reply.completion}"
            said += await asyncio.gather(speak("A"), speak("B"))
        told = [ChatMessageSystem(content=f"Judge.\\n{state.input_text}"), *(ChatMessageUser(content=t) for t in said)]
        state.output = await get_model(role="judge").generate(told)
        state.messages = [*told, state.output.message]
        state.completed = True
        return state
    return solve


rows = [json.loads(line) for line in open("questions.jsonl")]
assert len(rows) == number
samples = [Sample(input=r["question"], choices=[r["right"], r["wrong"]], target="A", metadata={"passage": r["passage"]}) for r in rows]
roles = {name: get_model(f"instant/{name}") for name in ("judge", "debater_a", "debater_b")}
(log,) = eval(Task(dataset=samples, solver=debate(), scorer=answer("letter")), model="instant/judge", model_roles=roles,
              display="none", log_dir="logs", max_samples=in_flight, max_connections=10_000)
assert log.status == "success", log.error
assert log.results.completed_samples == number
'''


def main() -> None:
    """Print ours, theirs and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--debates", type=int, nargs="*", default=[500, 5000])
    parser.add_argument("--latency", type=float, nargs="*", default=[0.05, 1.0])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--inspect", type=Path, metavar="ENVIRONMENT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = (options.inspect or _environment(folder / "inspect")) / "bin" / "python"
        print(f"{machine()}; Inspect AI {_version(python)}")
        (folder / "theirs.py").write_text(INSPECT)
        started = statistics.median(_ours(folder, 1).wall for _ in range(options.repeat))
        for number in options.debates:
            _instant(folder, python, number, options.repeat)
        for latency in options.latency:
            for in_flight in options.in_flight:
                _waiting(folder, latency, in_flight, started, options.repeat)


def _ours(folder: Path, number: int, latency: float = 0.0, in_flight: int = 0) -> Took:
    (folder / "o.duckdb").unlink(missing_ok=True)
    command = debates(folder, number, "--db", "o.duckdb")
    return process(command, folder, SECONDS=str(latency), IN_FLIGHT=str(in_flight))


def _instant(folder: Path, python: Path, number: int, repeat: int) -> None:
    ours, theirs = [], []
    for _ in range(repeat):  # ours before and after theirs: a shared machine is not always as fast
        ours.append(_ours(folder, number))
        theirs.append(process([python, "theirs.py", str(number), "0", "1000"], folder))
        ours.append(_ours(folder, number))
    wall, other = (statistics.median(took.wall for took in both) for both in (ours, theirs))
    cpu, other_cpu = (
        1000 * statistics.median(t.cpu for t in both) / number / CALLS for both in (ours, theirs)
    )
    peak, other_peak = (max(took.peak for took in both) for both in (ours, theirs))
    print(
        f"{number:,} debates: {number / wall:,.1f}/s against {number / other:,.1f}/s; CPU ms a call {cpu:.2f} "
        f"against {other_cpu:.2f}; peak MiB {peak:.0f} against {other_peak:.0f}"
    )
    print(f"  debates a second, ratio        {verdict(other / wall, 20, least=True)}")
    print(f"  CPU ms a call, start included  {verdict(cpu, 1000 * BAR)}", flush=True)


def _waiting(folder: Path, latency: float, in_flight: int, started: float, repeat: int) -> None:
    """Of the ideal: so many calls in flight all the time; or of the CPU's bound, whichever is lower."""
    pace = min(in_flight / latency, 1 / BAR)
    number = math.ceil(SECONDS * pace / CALLS)
    calls = number * CALLS
    wall = statistics.median(_ours(folder, number, latency, in_flight).wall for _ in range(repeat)) - started
    bare = asyncio.run(_bare(calls, latency, in_flight))
    bound = max(bare, calls * BAR)
    print(
        f"{calls:,} calls of {latency:g} s, {in_flight:,} in flight: {wall:.1f} s; {calls * latency / in_flight:.1f} on "
        f"paper, {bare:.1f} by a bare loop, {calls * BAR:.1f} by the CPU's bound"
    )
    print(f"  share of the bound             {verdict(bound / wall, 0.95, least=True)}", flush=True)


async def _bare(calls: int, latency: float, in_flight: int) -> float:
    """Seconds in which an event loop waits so often, so many at once."""
    gate = asyncio.Semaphore(in_flight)

    async def call() -> None:
        async with gate:
            await asyncio.sleep(latency)

    clock = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(calls)))
    return time.perf_counter() - clock


def _environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"inspect-ai=={VERSION}"], check=True)
    return folder


def _version(python: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('inspect-ai'))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
