"""The same debates by us and by Inspect AI: debates a second and CPU a call, whole processes, all stored.

    python benchmarks/against_inspect.py [--debates 500 5000] [--latency 0.05 1] [--in-flight 100 1000]
                                         [--repeat 3] [--inspect ENVIRONMENT]

Three rounds, two debaters at once and a judge (seven calls), the same file of questions with passages of 590
characters, the same speeches of 800, models that answer at once or after `--latency` seconds. Inspect is installed in
an environment of its own, made in a temporary folder unless `--inspect` names one. It plays twice: with its own
mockllm, which counts tokens with a vocabulary it would download (litellm's package brings the file), and with an
instant model that only returns what Inspect's providers do: the text, its usage and the call as it was made.

With a latency the models are those of a server that takes so many calls at once and no more, asked by a run as it is
(1,000 debates under way). The ideal is what a bare event loop reaches that only waits so often.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import statistics
import subprocess
import tempfile
import time
import venv
from importlib.util import find_spec
from pathlib import Path

from measured import SPEECHES, Took, debates, machine, process, verdict

VERSION = "0.3.285"
VOCABULARY = "vocabulary"
VOCABULARY_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""tiktoken's name for o200k_base: the SHA-1 of its address."""
CALLS = 7
BAR = 0.0005
"""CPU seconds of ours a call."""
SECONDS = 20
"""How long a run with a latency is to take, about."""

INSPECT = (
    SPEECHES
    + '''
"""Three-round debates in Inspect AI: each side hears what was said in the rounds before; the judge reads all."""
import asyncio, json, sys

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelAPI, ModelCall, ModelOutput, ModelUsage
from inspect_ai.model import get_model, modelapi
from inspect_ai.scorer import answer
from inspect_ai.solver import solver

number, kind, at_once = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
seeds = random.Random(3)


def reply(name):
    return ModelOutput.from_content(name, "ANSWER: A" if name == "judge" else speech(seeds.getrandbits(62)))


class Instant(ModelAPI):
    async def generate(self, input, tools, tool_choice, config):
        output = reply(self.model_name)
        tokens = len(output.completion) // 4
        output.usage = ModelUsage(input_tokens=100, output_tokens=tokens, total_tokens=100 + tokens)
        request = {"model": self.model_name, "messages": [m.model_dump() for m in input]}
        return output, ModelCall.create(request, {"content": output.completion})

    def max_connections(self):
        return 10_000

    def connection_key(self):
        return self.model_name


@modelapi(name="instant")
def instant():
    return Instant


def model(name):
    outputs = {"custom_outputs": lambda *asked: reply(name)} if kind == "mockllm" else {}
    return get_model(f"{kind}/{name}", **outputs)


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
roles = {name: model(name) for name in ("judge", "debater_a", "debater_b")}
(log,) = eval(Task(dataset=samples, solver=debate(), scorer=answer("letter")), model=roles["judge"], model_roles=roles,
              display="none", log_dir="logs", max_samples=at_once, max_connections=10_000)
assert log.status == "success", log.error.message
assert log.results.completed_samples == number
'''
)


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
        _vocabulary(folder)
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


def _theirs(folder: Path, python: Path, number: int, kind: str) -> Took:
    return process(
        [python, "theirs.py", str(number), kind, "1000"], folder, TIKTOKEN_CACHE_DIR=str(folder / VOCABULARY)
    )


def _instant(folder: Path, python: Path, number: int, repeat: int) -> None:
    kinds = ["mockllm", "instant"] if (folder / VOCABULARY).exists() else ["instant"]
    ours: list[Took] = []
    theirs: dict[str, list[Took]] = {kind: [] for kind in kinds}
    for _ in range(repeat):  # ours before and after theirs: a shared machine is not always as fast
        ours.append(_ours(folder, number))
        for kind in kinds:
            theirs[kind].append(_theirs(folder, python, number, kind))
            ours.append(_ours(folder, number))
    wall, cpu = _medians(ours, number)
    print(f"{number:,} debates: {_told(ours, number)}")
    for kind in kinds:
        print(f"  Inspect, {kind}: {_told(theirs[kind], number)}")
        ratio = _medians(theirs[kind], number)[0] / wall
        print(f"    debates a second, ratio      {verdict(ratio, 20, least=True)}")
    print(f"  CPU ms a call, start included  {verdict(cpu, 1000 * BAR)}", flush=True)


def _medians(took: list[Took], number: int) -> tuple[float, float]:
    """Seconds, and CPU milliseconds a call."""
    cpu = statistics.median(t.cpu for t in took)
    return statistics.median(t.wall for t in took), 1000 * cpu / number / CALLS


def _told(took: list[Took], number: int) -> str:
    wall, cpu = _medians(took, number)
    return f"{number / wall:,.1f}/s, CPU ms a call {cpu:.2f}, peak MiB {max(t.peak for t in took):.0f}"


def _vocabulary(folder: Path) -> None:
    """Put the vocabulary of Inspect's mockllm into a folder, from litellm's package."""
    found = find_spec("litellm")
    if found is None or found.origin is None:
        return
    file = Path(found.origin).parent / "litellm_core_utils" / "tokenizers" / VOCABULARY_FILE
    if file.exists():
        (folder / VOCABULARY).mkdir()
        shutil.copy(file, folder / VOCABULARY)


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
