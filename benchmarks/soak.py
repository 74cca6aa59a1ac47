"""A long run against a bad network: whether it stays as small and as fast as it began, and loses nothing.

    python benchmarks/soak.py [--minutes 30 | --questions N] [--every 5] [--trace] [--keep DIR]

Four judges and two debaters play nine protocols against a loopback server that turns calls away, fails,
hangs, cuts connections, says nothing, nonsense or far too much, and goes away for a while; a reader asks the
database all the time. A short run first shows how many questions fill the minutes and leaves its failures to
the long one, which goes on in its file. Printed are samples of the run's process, their slopes over the last
two thirds, and the ledger against the server's own count. Exit status 1 where something is not as it should be.

--trace: where memory grew, by line and by type (slow: rates are then no measure of anything).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

TESTS = str(Path(__file__).resolve().parent.parent / "tests")
sys.path.insert(0, TESTS)

from measured import machine  # noqa: E402

from oversight import Completion, Model  # noqa: E402

PROTOCOLS = [
    "direct",
    "direct:passage=true",
    "consultancy:rounds=2",
    "consultancy:rounds=1,side=open",
    "debate:rounds=2",
    "debate:rounds=1,order=sequential,ask=all",
    "double_consultancy:rounds=1",
    "proposer_critic:replies=1",
    "propaganda",
]
AWAY_EVERY, AWAY_FOR = 20.0, 1.5
"""Seconds between two times when the second address is not there, and how long nobody listens."""
CROWDED_EVERY = 30.0
"""Seconds between two in which a quarter of the requests is turned away."""
PATIENCE = 45.0
"""Seconds an attempt may take: a hanging reply costs so many, and no other may come near it."""
LOG = 20.0
"""MB that the write-ahead log may have."""
HELD = 1.05
"""How much larger the last third's median may be than that of the third before it."""


class Here(Model):
    """A judge within the process; and how the sampler finds the run's event loop."""

    identity = "here"
    loop: asyncio.AbstractEventLoop | None = None

    async def generate(self, request: Any) -> Completion:
        Here.loop = asyncio.get_running_loop()
        await asyncio.sleep(0.01)
        return Completion(f"Answer: {'AB'[request.seed % 2]}", prompt_tokens=100, completion_tokens=3)


# the server


class Trouble:
    """Answers, and does every harm in turn: what it does to a request follows from the request and from how
    often that was asked. `good` counts whole replies by the request's content, `harm` what else was done."""

    def __init__(self) -> None:
        from hostile import TEXTS

        self.texts = [text[:20_000] for text in TEXTS.values()]
        self.good: Counter[bytes] = Counter()
        self.asked: Counter[bytes] = Counter()
        self.harm: Counter[tuple[str, str]] = Counter()
        self.going = False
        self.lock = threading.Lock()  # two servers answer, each in its thread

    def __call__(self, seen: Any) -> Any:
        from hashlib import blake2b

        content = json.dumps(seen.body, sort_keys=True).encode()
        name = blake2b(content, digest_size=16).digest()
        with self.lock:
            self.asked[name] += 1
            draw = int.from_bytes(blake2b(name + bytes([self.asked[name] % 256]), digest_size=8).digest())
            outcome, what = self._outcome(seen, draw)
            if what:
                self.harm[seen.body["model"], what] += 1
            else:
                self.good[name] += 1
        return outcome

    def _outcome(self, seen: Any, draw: int) -> tuple[Any, str]:
        """What the request gets, and what it is called where it is no whole reply."""
        from wire import Fault, Reply

        may_go = seen.body["model"].endswith("-away")
        if may_go and self.going:
            return Fault("drop"), "drop"
        crowded = time.monotonic() % CROWDED_EVERY < 1.0
        chance, rest = draw % 10_000, draw // 10_000
        harms: list[tuple[int, Any]] = [
            (0 if may_go else 4, Fault("hang")),
            (60, Fault("drop")),
            (60, Fault("drop body")),
            (60, Fault("malformed")),
            (60, Fault("wrong type")),
            (60, Fault("empty")),
            (60, Fault("truncated")),
            (150, Fault(500)),
            (1000 if crowded else 0, Fault(529, retry_after=0.1)),
            (1000 if crowded else 0, Fault(429, retry_after=0.3)),
            (500 if crowded else 0, Fault(429)),
            (50, Fault(408)),
        ]
        for share, fault in harms:
            if chance < share:
                return fault, str(fault.what)
            chance -= share
        said = self._said(seen, rest)
        scores = ({"AB"[rest % 2]: -0.25, "BA"[rest % 2]: -1.5},)  # sent where they were asked for
        odd: list[tuple[int, dict[str, Any]]] = [
            (150, {"delay": 1 + rest % 30 / 10}),
            (50, {"pace": 0.1}),
            (20, {"text": ""}),
            (20, {"stop": "length"}),
            (20, {"stop": "filter"}),
            (20, {"usage": None}),
            (8, {"text": f"{said} " + "far too much " * 25_000}),
            (100, {"text": self.texts[rest % len(self.texts)]}),
        ]
        for share, other in odd:
            if chance < share:
                return Reply(**{"text": said, "logprobs": scores, **other}), ""
            chance -= share
        return Reply(said, logprobs=scores), ""

    def _said(self, seen: Any, draw: int) -> str:
        letter = "AB"[draw % 2]
        if seen.body.get("logprobs"):
            return letter
        if "How probable" in seen.last:
            return '{"A": 0.7, "B": 0.3}' if letter == "A" else '{"A": 0.2, "B": 0.8}'
        if "Answer: " in seen.last:  # how a choice is asked for
            return f"Answer: {letter}"
        words = " ".join(f"point {draw // 7**n % 997}" for n in range(20))
        return f"The passage decides it for {letter}. {words}. <quote>{seen.last[:40]}</quote>"


def serve() -> None:
    """Two addresses, of which the second is not always there, until stdin ends; then the counts as JSON."""
    from wire import Wire

    trouble = Trouble()
    steady = Wire(answer=trouble, latency=0.02, remember=False, models=("gpt-soak", "claude-soak"))
    away = Wire(answer=trouble, latency=0.02, remember=False, models=("gpt-away",))
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            with away:
                up.set()
                over.wait(AWAY_EVERY)
                trouble.going = True
                while away._in_flight and not over.is_set():  # no whole reply is cut when the server goes
                    time.sleep(0.1)
                time.sleep(0.5)
            trouble.going = False
            over.wait(AWAY_FOR)
            away.__init__(trouble, 0.02, remember=False, models=away.models, port=away.port)  # type: ignore[misc]

    up = threading.Event()
    thread = threading.Thread(target=come_and_go)
    with steady:
        thread.start()
        up.wait()
        print(json.dumps([steady.url, away.url]), flush=True)
        sys.stdin.read()
        over.set()
        thread.join()
    print(
        json.dumps(
            {
                "requests": len(trouble.good),
                "replies": trouble.good.total(),
                "twice": sum(n > 1 for n in trouble.good.values()),
                "harm": [[*what, n] for what, n in sorted(trouble.harm.items())],
            }
        )
    )


# the run


def play(settings: dict[str, Any], samples: Path, every: float, trace: float) -> None:
    """One run in this process, sampled; what came of it as JSON."""
    from oversight.engine.plan import make_plan
    from oversight.engine.run import Progress, play_plan
    from oversight.experiment import experiment_from

    grown = Grown(trace) if trace else None
    progress = Progress()
    over = threading.Event()
    with contextlib.closing(make_plan(experiment_from(settings))) as plan:
        thread = threading.Thread(target=_sample, args=(progress, samples, every, over, grown), daemon=True)
        thread.start()
        cpu = time.process_time()
        played = play_plan(plan, progress)
        over.set()
        thread.join()
    told = {
        "planned": played.planned,
        "already_done": played.already_done,
        "played": played.played,
        "statuses": played.statuses,
        "calls": played.calls,
        "found": played.calls_from_store,
        "seconds": played.seconds,
        "cpu": time.process_time() - cpu,
        "stopped": played.stopped,
        "grown": grown.told() if grown else [],
    }
    print(json.dumps(told))


def _sample(progress: Any, out: Path, every: float, over: threading.Event, grown: Grown | None) -> None:
    began = time.monotonic()
    with out.open("w") as file:
        while not over.wait(every):
            caller = progress.caller
            found = {
                "at": time.monotonic() - began,
                "calls": caller.made if caller else 0,
                "rss": _resident(),
                "duckdb": _held_by_duckdb(caller),
                "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
                "threads": threading.active_count(),
                "tasks": len(asyncio.all_tasks(Here.loop)) if Here.loop else 0,
                "cpu": time.process_time(),
            }
            file.write(json.dumps(found) + "\n")
            file.flush()
            if grown:
                grown.look(found["at"], found["calls"])


def _resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _held_by_duckdb(caller: Any) -> float:
    """MiB of it that DuckDB says are its own."""
    if caller is None:
        return 0.0
    with caller.log.writer.con.cursor() as own:
        held = own.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()[0][0]
    return float(held) / 2**20


class Grown:
    """Where memory is held at a third of the minutes and towards their end: by line and by type."""

    def __init__(self, minutes: float) -> None:
        self.times = [20 * minutes, 50 * minutes]
        self.kept: list[tuple[int, Any, Counter[str]]] = []

    def look(self, at: float, calls: Any) -> None:
        """Look if it is time. Nothing is traced before the first call: plans take too long so."""
        import gc
        import tracemalloc

        if not tracemalloc.is_tracing() and calls:
            tracemalloc.start(5)
            self.times = [at + time for time in self.times]
        if self.times and at >= self.times[0]:
            self.times.pop(0)
            counted = Counter(type(one).__qualname__ for one in gc.get_objects())
            self.kept.append((calls, tracemalloc.take_snapshot(), counted))

    def told(self) -> list[str]:
        """What has grown in between."""
        if len(self.kept) < 2:
            return ["over before memory could be compared"]
        (early, first, before), (late, last, after) = self.kept
        lines = [f"in the {late - early:,} calls between, by line, in KiB and blocks more:"]
        for stat in last.compare_to(first, "traceback")[:25]:
            frames = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(stat.traceback))
            lines.append(f"{stat.size_diff / 1024:10.0f}{stat.count_diff:9}  {frames}")
        lines.append("by type, objects more:")
        lines += [f"{n:10}  {name}" for name, n in (after - before).most_common(15)]
        return lines


# the whole


@dataclass
class Reader:
    """Asks the database in a thread, until told to stop: how often, how long at most, and what went wrong."""

    db: Path
    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    QUESTIONS = (
        "SELECT protocol, judge, status, count(*), avg(correct::int) FROM judgements GROUP BY ALL",
        "SELECT * FROM accuracy",
        "SELECT count(*), sum(attempts), sum(completion_tokens) FROM calls",
        "SELECT * FROM transcripts ORDER BY episode, turn LIMIT 50",
        "SELECT reason, count(*) FROM failures GROUP BY ALL",
    )

    def run(self) -> None:
        """Ask on one connection fifty times, then on a new one."""
        from oversight.errors import StoreError
        from oversight.store.reading import open_reader

        while not self.over.wait(0.5):
            try:
                with open_reader(self.db) as reader:
                    for question in islice(cycle(self.QUESTIONS), 50):
                        if not reader.live or self.over.wait(0.2):
                            break
                        clock = time.perf_counter()
                        reader.sql(question, timeout=60)
                        self.times.append(time.perf_counter() - clock)
            except StoreError as error:
                self.errors.append(str(error))


def run_child(
    folder: Path, urls: list[str], limit: int, options: argparse.Namespace
) -> tuple[Any, list[Any]]:
    """Play `limit` questions in a process of its own, printing samples; what came of it, and they."""
    db, samples = folder / "soak.duckdb", folder / "samples.jsonl"
    samples.unlink(missing_ok=True)
    steady, away = urls
    more = {
        "key_env": "SOAK_KEY",
        "in_flight": 64,
        "attempts": 12,
        "attempt_timeout": PATIENCE,
        "check": False,
    }
    settings = {
        "protocols": PROTOCOLS,
        "task": "dossier:words=60",
        "judges": [
            {"model": "openai/gpt-soak", "base_url": f"{steady}/v1", "elicit": "hard", **more},
            {"model": "openai/gpt-away", "base_url": f"{away}/v1", "elicit": "logprobs", **more},
            {"model": "anthropic/claude-soak", "base_url": steady, "elicit": "credence", **more},
            {"model": "soak:Here", "elicit": "hard"},
        ],
        "debaters": [
            {"model": "openai/gpt-soak", "base_url": f"{steady}/v1", "temperature": 0.7, **more},
            {"model": "openai/gpt-away", "base_url": f"{away}/v1", "temperature": 0.7, **more},
        ],
        "limit": limit,
        "db": str(db),
    }
    command = [sys.executable, __file__, "--play", json.dumps(settings), "--samples", str(samples)]
    command += ["--every", str(options.every)] + ["--trace"] * options.trace
    command += ["--minutes", str(options.minutes)]
    environment = {**os.environ, "SOAK_KEY": "sk-test", "PYTHONPATH": _path()}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    taken: list[dict[str, Any]] = []
    reader = Reader(db)
    thread = threading.Thread(target=reader.run)
    while child.poll() is None:
        time.sleep(options.every / 4)
        lines = samples.read_text().splitlines() if samples.exists() else []
        for line in lines[len(taken) :]:
            if not thread.ident:
                thread.start()
            taken.append({**json.loads(line), **_sizes(db)})
            _print(taken, reader)
    reader.over.set()
    if thread.ident:
        thread.join()
    assert child.stdout is not None
    out = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"the run ended with status {child.returncode}\n{out}")
    told = json.loads(out.splitlines()[-1])
    told["reads"], told["slowest"], told["read_errors"] = (
        len(reader.times),
        max(reader.times, default=0),
        reader.errors,
    )
    return told, taken


def _path() -> str:
    here = [str(Path(__file__).resolve().parent), TESTS, os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, here))


def _sizes(db: Path) -> dict[str, float]:
    log = Path(f"{db}.wal")
    return {
        "db": db.stat().st_size / 1e6 if db.exists() else 0.0,
        "wal": log.stat().st_size / 1e6 if log.exists() else 0.0,
    }


def _print(taken: list[dict[str, Any]], reader: Reader) -> None:
    now, before = taken[-1], taken[-2] if len(taken) > 1 else {"at": 0, "calls": 0}
    if len(taken) == 1:
        print(
            f"{'minute':>7}{'calls':>9}{'calls/s':>9}{'RSS MiB':>9}{'DuckDB':>8}{'files':>7}{'threads':>9}{'tasks':>7}"
            f"{'file MB':>9}{'log MB':>8}{'reads':>7}{'ms':>6}"
        )
    now["rate"] = (now["calls"] - before["calls"]) / (now["at"] - before["at"])
    recent = statistics.median(reader.times[-20:] or [0.0])
    print(
        f"{now['at'] / 60:7.1f}{now['calls']:9}{now['rate']:9.0f}{now['rss']:9.0f}{now['duckdb']:8.0f}{now['files']:7}"
        f"{now['threads']:9}{now['tasks']:7}{now['db']:9.1f}{now['wal']:8.1f}{len(reader.times):7}{1000 * recent:6.0f}",
        flush=True,
    )


def slopes(taken: list[dict[str, Any]]) -> bool:
    """Print how the last third compares with the one before; whether what should be flat is."""
    busy = [s for s in taken if s["rate"] > 0]
    third = len(busy) // 3
    if third < 3:
        print("too few samples to tell what grows")
        return True
    middle, last = busy[third : 2 * third], busy[2 * third : 3 * third]
    thousands = [s["calls"] / 1000 for s in (*middle, *last)]
    flat = True
    print(f"\n{'':10}{'2nd third':>11}{'last third':>12}{'ratio':>8}{'per 1,000 calls':>17}")
    for name, unit in (  # the log is written back whenever it has 16 MiB, so its size goes up and down
        ("rss", "MiB"), ("duckdb", "MiB"), ("files", ""), ("threads", ""), ("tasks", ""), ("wal", "MB"), ("rate", "calls/s"), ("db", "MB"),
    ):  # fmt: skip
        a, b = (statistics.median(s[name] for s in part) for part in (middle, last))
        slope = statistics.linear_regression(thousands, [s[name] for s in (*middle, *last)]).slope
        ratio = b / a if a else float(b > 0)
        wrong = (
            b > LOG if name == "wal" else name not in ("rate", "db", "duckdb") and ratio > HELD and b - a > 2
        )
        flat = flat and not wrong
        print(f"{name:10}{a:11.1f}{b:12.1f}{ratio:8.2f}{slope:+17.3f} {unit}{'   GROWS' if wrong else ''}")
    return flat


def ledger(db: Path, told: dict[str, Any], server: dict[str, Any]) -> bool:
    """Print what the database says beside what the server counted; whether they agree."""
    import duckdb

    from oversight.store.check import check

    checked = check(db)
    for flaw in checked.flaws:
        print(f"  {flaw.table}: {flaw.rows:,}: {flaw.what} {', '.join(flaw.named[:3])}")
    with duckdb.connect(str(db), read_only=True) as con:

        def one(sql: str) -> int:
            return int(con.execute(sql).fetchall()[0][0])

        over_network = "JOIN models m USING (model) WHERE m.kind = 'api'"
        steady = (
            f"{over_network} AND m.name NOT LIKE '%-away'"  # the other's failures need not have met a server
        )
        claims: list[tuple[str, int, int]] = [
            ("flaws found by `oversight check`", len(checked.flaws), 0),
            ("requests the server answered twice", server["twice"], 0),
            (
                "calls stored = replies it gave",
                one(f"SELECT count(*) FROM calls {over_network}"),
                server["replies"],
            ),
            (
                "failures stored = harm done, where there always was a server",
                one(f"SELECT count(*) FROM failures {steady}"),
                sum(n for model, _, n in server["harm"] if not model.endswith("-away")),
            ),
            (
                "planned episodes with exactly one final verdict = planned",
                one(
                    "SELECT count(*) FROM (SELECT episode FROM (SELECT DISTINCT episode FROM plans) "
                    "JOIN verdicts USING (episode) WHERE final GROUP BY episode HAVING count(*) = 1)"
                ),
                told["planned"],
            ),
            ("statuses of the run = planned", sum(told["statuses"].values()), told["planned"]),
        ]
    for name, found, wanted in claims:
        print(f"{name:62}{found:12,} {'=' if found == wanted else '≠'} {wanted:,}")
    print("verdicts: " + ", ".join(f"{status} {n:,}" for status, n in sorted(told["statuses"].items())))
    harm: Counter[str] = Counter()
    for _, what, n in server["harm"]:
        harm[what] += n
    print("harm: " + ", ".join(f"{what} {n:,}" for what, n in harm.items()))
    return all(found == wanted for _, found, wanted in claims)


@contextmanager
def server() -> Iterator[tuple[list[str], Callable[[], dict[str, Any]]]]:
    """Its addresses, and what ends it and tells its counts."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None

    def end() -> dict[str, Any]:
        out, _ = child.communicate(timeout=60)
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told

    try:
        yield json.loads(child.stdout.readline()), end
    finally:
        child.kill()
        child.wait()


def soak(options: argparse.Namespace, folder: Path) -> int:
    """A short run for the pace, the long one, and what they show."""
    print(machine())
    with server() as (urls, end):
        print("\na first run, for the pace")
        first, taken = run_child(folder, urls, 6, options)
        pace = statistics.mean(
            [s["rate"] for s in taken if s["tasks"] > 100] or [first["calls"] / first["seconds"]]
        )
        limit = options.questions or max(12, round(options.minutes * 60 * pace / (first["calls"] / 6)))
        print(f"{pace:.0f} calls/s; {limit:,} questions\n")
        told, taken = run_child(folder, urls, limit, options)
        counts = end()
    flat = slopes(taken)
    print(
        f"\n{told['calls']:,} calls in {told['seconds'] / 60:.1f} minutes, {1000 * told['cpu'] / told['calls']:.2f} CPU ms each; "
        f"{told['found']:,} found in the store; {told['reads']:,} reads, the slowest {told['slowest']:.1f} s, "
        f"{len(told['read_errors'])} refused"
    )
    for error in sorted(set(told["read_errors"])):
        print(f"  {error}")
    agrees = ledger(folder / "soak.duckdb", told, counts)
    print("\n".join(told["grown"]))
    print(f"{'flat' if flat else 'NOT FLAT'}; {'the ledger is right' if agrees else 'THE LEDGER IS WRONG'}")
    return 0 if flat and agrees else 1


def main() -> None:
    """Soak; or, in a child of it, serve or play."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--questions", type=int, help="about 200 calls each; instead of --minutes")
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--trace", action="store_true", help="also say where memory grew")
    parser.add_argument("--keep", type=Path, help="leave database and samples in this folder")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.play:
        sys.modules["soak"] = sys.modules["__main__"]  # the judge's class is this one, not a second one
        play(json.loads(options.play), options.samples, options.every, options.minutes * options.trace)
    elif options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        sys.exit(soak(options, options.keep))
    else:
        with tempfile.TemporaryDirectory() as name:
            sys.exit(soak(options, Path(name)))


if __name__ == "__main__":
    main()
