"""What tests call: queries over a database file, its comparable content, the toy task and replies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from oversight.store.memory import memory_limit, patiently

KEY = "sk-test-0123456789abcdef"
"""Of a provider that is none."""

TASK = '''
"""Invented questions about who did what, with a passage that says so."""
import random
from oversight import Label, Question, task

NAMES = ["Mira Tan", "Jo Bell", "Ada Quist", "Ned Orme", "Ivo Lark", "Sue Pike"]
DEEDS = ["repaired the clock", "painted the gate", "lost the key", "sold the boat"]


@task(asymmetry="the judge does not see the passage", source="invented", licence="CC0", generated=True)
def toy(*, seed: int, answers: int = 2, flip: bool = False):
    """Who did what.

    answers: how many answers each question has
    flip: labels moved by one (for tests of the label wall)
    """
    i = 0
    while True:
        group = random.Random(f"{seed}/{i // 4}")
        names = group.sample(NAMES, 4)
        passage = f"Chronicle {i // 4}. " + " ".join(f"{n} {d}." for n, d in zip(names, DEEDS))
        own = random.Random(f"{seed}/{i}/own")
        right = names[i % 4]
        others = own.sample([n for n in NAMES if n != right], answers - 1)
        shown = [right, *others]
        own.shuffle(shown)
        label = (shown.index(right) + flip) % answers
        text = f"In chronicle {i // 4}, who {DEEDS[i % 4]}?"
        yield Question(text, tuple(shown), passage=passage, group=f"c{i // 4}", source_id=f"toy-{i}"), Label(label)
        i += 1
'''

REPLIES = """
judge: "Answer: A"
judge ask: "How do you know?"
speak: "<thinking>Win.</thinking>It was {answer}, round {round}. <quote>Mira Tan repaired the clock.</quote>"
"""


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a query finds in a database file."""
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


# Columns that may differ between two runs of the same thing: times, provider's ids, and who paid.
NOT_COMPARED = {
    "runs": None,
    "meta": None,
    "plans": {"run"},
    "calls": {"run", "started", "seconds", "provider_id"},
    "uses": {"run", "paid"},
    "failures": {"run", "happened"},
}


def content(path: Path) -> dict[str, list[str]]:
    """Every row of every table as sorted text, without the columns that may differ."""
    tables = [t for (t,) in rows(path, "SELECT table_name FROM duckdb_tables() ORDER BY 1")]
    found = {}
    for table in tables:
        left_out = NOT_COMPARED.get(table, set())
        if left_out is None:
            continue
        names = [
            n for (n,) in rows(path, f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'")
        ]
        columns = ", ".join(f'"{n}"' for n in names if n not in left_out)
        found[table] = sorted(repr(r) for r in rows(path, f"SELECT DISTINCT {columns} FROM {table}"))
        if table != "plans":
            assert len(found[table]) == rows(path, f"SELECT count(*) FROM {table}")[0][0], (
                f"{table} has equal rows"
            )
    return found


@contextmanager
def lack_of_memory(con: duckdb.DuckDBPyConnection, seconds: float = 0.5) -> Iterator[threading.Event]:
    """DuckDB has none for whoever wants some, for so long from the block's beginning; then the event is set."""
    limit, over, own = memory_limit(con), threading.Event(), con.cursor()
    held = dict(own.execute("SELECT tag, memory_usage_bytes FROM duckdb_memory()").fetchall())
    used = sum(held.values()) - held["BASE_TABLE"] + 64 * 1024
    own.execute(f"SET memory_limit = '{used}B'")

    def end() -> None:
        time.sleep(seconds)
        over.set()
        patiently(lambda: own.execute(f"SET memory_limit = '{limit}'"))

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield over
    finally:
        thread.join()
        own.close()
