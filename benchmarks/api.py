"""Our whole path (engine, limits, SDK, store) against the bare SDK, over the same loopback server.

    python benchmarks/api.py [--provider openai anthropic] [--calls 4200] [--in-flight 64 256]
                             [--latency 0 0.05 1] [--rate 200]

The same prompts in both: those of three-round debates (seven calls each), ours first, then each of its
calls again by the SDK alone with its fastest transport. CPU is that of the client's process. With --rate:
how near the pace of a server that allows so many calls a second comes, and how many are turned away.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from oversight.engine.plan import make_plan
from oversight.engine.run import play_plan
from oversight.experiment import experiment_from

KEY = "sk-test"
NAMES = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-haiku-4-5"}
WIRE = Path(__file__).parent.parent / "tests" / "wire.py"


@contextmanager
def server(latency: float, rate: float = 0.0) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, str(WIRE), "--port", "0", "--latency", str(latency)]
    command += ["--rate", str(rate)] if rate else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+?:\d+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.kill()
        process.wait()


def ours(provider: str, url: str, calls: int, in_flight: int | None, db: Path) -> tuple[float, float, int]:
    """Play debates; seconds, CPU seconds and calls made."""
    base = url if provider == "anthropic" else f"{url}/v1"
    options = {"base_url": base, "key_env": "WIRE_KEY", "elicit": "hard"}
    options |= {"in_flight": in_flight} if in_flight else {}
    model = {"model": NAMES[provider], **options}
    plan = make_plan(
        experiment_from(
            {
                "protocols": "debate:rounds=3",
                "task": "dossier:words=60",
                "judge": model,
                "debater": model,
                "limit": max(1, calls // 7),
                "db": db,
            }
        )
    )
    clock, cpu = time.perf_counter(), time.process_time()
    played = play_plan(plan)
    took = time.perf_counter() - clock, time.process_time() - cpu, played.calls
    assert not played.failed, played.statuses
    plan.close()
    return took


def prompts(db: Path) -> list[tuple[list[dict[str, str]], int]]:
    """The messages and the token limit of every call in a database."""
    with duckdb.connect(str(db), read_only=True) as con:
        told = {
            k: {"role": r, "content": c}
            for k, r, c in con.execute("SELECT message, role, content FROM messages").fetchall()
        }
        rows = con.execute("SELECT messages, max_tokens FROM calls").fetchall()
    return [([told[m] for m in messages], most) for messages, most in rows]


def bare(
    provider: str, url: str, asked: Sequence[tuple[list[dict[str, str]], int]], in_flight: int
) -> tuple[float, float]:
    """The same calls by the SDK alone; seconds and CPU seconds."""

    async def calls() -> tuple[float, float]:
        client, send = _openai(url) if provider == "openai" else _anthropic(url)
        queue = iter(asked)

        async def work() -> None:
            for messages, most in queue:
                await send(messages, most)

        await send(*asked[0])  # connects
        clock, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        took = time.perf_counter() - clock, time.process_time() - cpu
        await client.close()
        return took

    return asyncio.run(calls())


def _openai(url: str) -> Any:
    import openai

    client = openai.AsyncOpenAI(
        api_key=KEY, base_url=f"{url}/v1", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )

    async def send(messages: list[dict[str, str]], most: int) -> None:
        done = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=messages,
            max_tokens=most,
            temperature=0,
            seed=1,  # type: ignore[arg-type]
        )
        assert done.choices[0].message.content

    return client, send


def _anthropic(url: str) -> Any:
    import anthropic

    client = anthropic.AsyncAnthropic(
        api_key=KEY, base_url=url, max_retries=0, http_client=anthropic.DefaultAioHttpClient()
    )

    async def send(messages: list[dict[str, str]], most: int) -> None:
        system = [m["content"] for m in messages if m["role"] == "system"]
        turns = [m for m in messages if m["role"] != "system"]
        done = await client.messages.create(
            model="claude-haiku-4-5",
            messages=turns,  # type: ignore[arg-type]
            max_tokens=most,
            **({"system": "\n".join(system)} if system else {}),  # type: ignore[arg-type]
            extra_body={"temperature": 0},
        )
        assert done.content

    return client, send


def against_bare(options: argparse.Namespace) -> None:
    """Print throughput and CPU a call, ours and the bare SDK's."""
    print(
        f"{'':10}{'latency':>8}{'in flight':>10}{'calls':>7}{'ours/s':>9}{'bare/s':>9}{'ratio':>7}{'of ideal':>9}",
        end="",
    )
    print(f"{'ours ms':>9}{'bare ms':>9}{'more':>7}   (CPU a call)")
    for provider in options.provider:
        for latency in options.latency:
            for in_flight in options.in_flight:
                calls = max(options.calls, 7 * in_flight * 6 if latency >= 1 else 0)
                with server(latency) as url, tempfile.TemporaryDirectory() as folder:
                    db = Path(folder) / "o.duckdb"
                    took, cpu, made = ours(provider, url, calls, in_flight, db)
                    other, other_cpu = bare(provider, url, prompts(db), in_flight)
                ideal = in_flight / latency if latency else float("nan")
                mine, theirs = 1000 * cpu / made, 1000 * other_cpu / made
                print(
                    f"{provider:10}{latency:8.2f}{in_flight:10}{made:7}{made / took:9.1f}{made / other:9.1f}"
                    f"{other / took:7.2f}{made / took / ideal:9.2f}{mine:9.2f}{theirs:9.2f}{mine - theirs:7.2f}",
                    flush=True,
                )


def against_a_limit(options: argparse.Namespace) -> None:
    """Print the pace held against a server that allows `--rate` calls a second."""
    rate = options.rate
    print(
        f"\n{'a server that allows':22}{'calls':>7}{'pace/limit':>12}{'429s in the first 10 s':>25}{'later, of calls':>18}"
    )
    for provider in options.provider:
        with server(0.2, rate) as url, tempfile.TemporaryDirectory() as folder:
            db = Path(folder) / "o.duckdb"
            _, _, made = ours(provider, url, int(rate * 45), None, db)
            with duckdb.connect(str(db), read_only=True) as con:
                ((first, last),) = con.execute("SELECT min(started), max(started) FROM calls").fetchall()
                ((n, span),) = con.execute(
                    "SELECT count(*), date_diff('ms', min(started), max(started)) / 1000 FROM calls "
                    "WHERE started > $1 + INTERVAL 10 SECOND AND started < $2 - INTERVAL 2 SECOND",
                    [first, last],
                ).fetchall()
                ((early, late),) = con.execute(
                    "SELECT count(*) FILTER (happened <= $1 + INTERVAL 10 SECOND), "
                    "count(*) FILTER (happened > $1 + INTERVAL 10 SECOND) FROM failures",
                    [first],
                ).fetchall()
        print(
            f"{provider:12}{rate:8.0f}/s{made:8}{n / span / rate:12.3f}{early:25}{late:10} of {n}", flush=True
        )


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--provider", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--calls", type=int, default=4200)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.05, 1.0])
    parser.add_argument("--rate", type=float, default=0.0)
    options = parser.parse_args()
    os.environ["WIRE_KEY"] = KEY
    for provider in options.provider:  # what is loaded once is no part of a call
        with server(0.0) as url, tempfile.TemporaryDirectory() as folder:
            ours(provider, url, 70, 64, Path(folder) / "o.duckdb")
    against_bare(options)
    if options.rate:
        against_a_limit(options)


if __name__ == "__main__":
    main()
