"""DuckDB in memory, to which files are attached, and what it holds there."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import duckdb

T = TypeVar("T")

KEPT = 16 * 2**20
"""Bytes of a file's blocks that `forget_blocks` leaves in memory."""
PAUSES = (0.05, 0.2, 1.0, 5.0, 15.0, 30.0)
"""Seconds before that is tried again for which there was no memory."""
SHORT = PAUSES[:3]
"""The same for what the event loop waits for."""


def in_memory(config: Mapping[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory. It prints nothing: in a shell, a notebook or `python -c`, DuckDB would draw a progress
    bar on standard output for whatever takes two seconds."""
    con = duckdb.connect(":memory:", config=dict(config or {}))
    con.execute("SET enable_progress_bar = false")
    return con


def memory_limit(con: duckdb.DuckDBPyConnection) -> str:
    """What DuckDB may hold in memory, as it says it: "18.8 GiB"."""
    return str(con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


class Reads:
    """Who of this process reads a file: meanwhile DuckDB is not made to forget it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Somebody reads while the block runs."""
        with self._lock:
            self._now += 1
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    @contextlib.contextmanager
    def none(self) -> Iterator[bool]:
        """Whether nobody reads; then nobody begins to while the block runs."""
        with self._lock:
            yield not self._now


def patiently(act: Callable[[], T], pauses: Sequence[float] | None = None) -> T:
    """What it comes to; where the statement of a reader holds all the memory there is, as soon as it lets some go."""
    for pause in PAUSES if pauses is None else pauses:
        try:
            return act()
        except duckdb.OutOfMemoryException:
            time.sleep(pause)
    return act()


def give_back(con: duckdb.DuckDBPyConnection, limit: str) -> None:
    """Have DuckDB's allocator give the system back what statements used and nobody uses now: by itself it keeps it (of
    a sort of a million turns, 1.1 GiB). Setting the limit does that, here to what it is."""
    con.execute(f"SET memory_limit = '{limit}'")


def forget_blocks(con: duckdb.DuckDBPyConnection, limit: str, kept: int = KEPT) -> None:
    """Have DuckDB let go of the blocks of files that it holds for whoever may read them again, but for `kept` bytes,
    where there are twice as many: it would hold them up to its limit, which is `limit` before and after.

    The limit is lower for a moment, in which no other statement may be under way: one that takes more than `kept`
    would be told that there is no memory.
    """
    held = dict(con.execute("SELECT tag, memory_usage_bytes FROM duckdb_memory()").fetchall())
    if held["BASE_TABLE"] <= 2 * kept:
        return
    lower = sum(held.values()) - held["BASE_TABLE"] + kept
    try:
        with contextlib.suppress(duckdb.OutOfMemoryException):  # DuckDB would not lower it: it is as it was
            con.execute(f"SET memory_limit = '{lower}B'; SET memory_limit = '{limit}'")
    finally:
        patiently(lambda: give_back(con, limit))
