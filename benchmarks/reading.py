"""Reading a large database: every measure, and the commands that read, each beside its limit.

    python benchmarks/reading.py [--turns 1000000] [--repeat 3] [--db FILE]

The database is made up (`made.py`), or FILE from an earlier run is read (it is made there if it is not there yet).
Commands are whole processes; measures and the SQL of each are timed in one process that has its libraries loaded.
Seconds on the clock, medians, with CPU seconds beside them: on a busy machine only these tell.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made import make
from measured import machine, process, verdict

from oversight.measure import accuracy, money, readings
from oversight.measure.every import MEASURES
from oversight.report import compared
from oversight.store.reading import Reader, open_reader
from oversight.store.search import index_path

QUERY, REPORT, MEASURE = 1.0, 5.0, 2.0
"""Seconds: a query, show or search; a report; a measure or all comparisons."""

VIEWS = "judgements", "readings", "transcripts", "accuracy", "queries", "beliefs", "sides", "spending"
QUERIES = (
    "SELECT protocol, avg(p_right) FROM judgements GROUP BY ALL",
    "SELECT seat, count(*), avg(words) FROM turns GROUP BY seat",
    *(f"FROM {view}" for view in VIEWS),
)
SEARCHES = "wzzzb", "waaaa", "waaaa wbcba wzzaa"  # a rare word, one that is in nearly every turn, three
WRITTEN = 60.0
"""Seconds: a written report, with its figures."""


def say(what: str, wall: float, cpu: float, limit: float) -> None:
    """A line of the table."""
    print(f"{what:<42}{verdict(wall, limit)}   {cpu:6.2f} CPU", flush=True)


def of_commands(folder: Path, db: Path, repeat: int) -> None:
    """Whole commands."""

    def timed(*argv: str, limit: float = QUERY, times: int = repeat) -> None:
        command = [sys.executable, "-m", "oversight", *argv, "--db", str(db)]
        took = [process(command, folder) for _ in range(times)]
        middle = sorted(took, key=lambda one: one.wall)[len(took) // 2]
        say(" ".join(argv)[:41], middle.wall, middle.cpu, limit)

    for query in QUERIES:
        timed("query", query)
    for argv in (["show"], ["show", "last"], ["show", "last", "--as", "judge"], ["show", "last", "--calls"]):
        timed(*argv)
    timed("report", limit=REPORT)
    timed("report", "--json", limit=REPORT)
    timed("compare", limit=REPORT)
    timed("power", limit=REPORT)
    timed("report", "--out", "written", "--force", limit=WRITTEN, times=1)
    index = index_path(db)
    if not index.exists():
        took = process([sys.executable, "-m", "oversight", "search", "waaaa", "--db", str(db)], folder)
        share = index.stat().st_size / db.stat().st_size
        print(f"the index of search: {took.wall:.0f} s, {took.cpu:.0f} CPU, {share:.2f} of the file")
    for words in SEARCHES:
        timed("search", words)


def of_measures(db: Path, repeat: int) -> None:
    """Each measure and the SQL of its rows, in this process."""
    with open_reader(db) as reader:
        asked: dict[str, Callable[[], Any]] = {
            f"measure {name}": lambda measure=measure: measure(reader, None)
            for name, (measure, _) in MEASURES.items()
        }
        asked["measure accuracy"] = lambda: accuracy.measure(reader)
        asked["measure readings"] = lambda: readings.measure_readings(reader)
        asked["measure money"] = lambda: money.measure_money(reader)
        asked["compare every pair"] = lambda: compared.compare(reader, compared.Wanted())
        for what, ask in asked.items():
            timed(what, ask, MEASURE, repeat)
        sql = {name: text for _, text_of in MEASURES.values() for name, text in text_of(None).items()}
        sql |= {**accuracy.statements(), **readings.statements(), **money.statements()}
        for name, text in sql.items():
            timed(f"SQL of {name}", lambda text=text: _rows(reader, text), QUERY, repeat)


def _rows(reader: Reader, text: str) -> None:
    reader.columns(text)


def timed(what: str, ask: Callable[[], Any], limit: float, repeat: int) -> None:
    """Say how long it takes, after a first time that loads libraries and fills caches."""
    ask()
    walls, cpus = [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), _cpu()
        ask()
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu() - cpu)
    say(what, statistics.median(walls), statistics.median(cpus), limit)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)  # DuckDB's threads too
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print seconds against their limits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--db", type=Path, help="keep the database here, or read the one that is here")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = (options.db or folder / "made.duckdb").resolve()
        if not db.exists():
            clock = time.perf_counter()
            make(db, options.turns)
            size = db.stat().st_size / 1e6
            print(f"{options.turns:,} turns made in {time.perf_counter() - clock:.0f} s, {size:,.0f} MB")
        of_commands(folder, db, options.repeat)
        of_measures(db, options.repeat)


if __name__ == "__main__":
    main()
