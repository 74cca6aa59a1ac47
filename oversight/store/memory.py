"""DuckDB in memory, to which files are attached, and what it holds there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import duckdb

KEPT = 16 * 2**20
"""Bytes of a file's blocks that `forget_blocks` leaves in memory."""


def in_memory(config: Mapping[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory. It prints nothing: in a shell, a notebook or `python -c`, DuckDB would draw a progress
    bar on standard output for whatever takes two seconds."""
    con = duckdb.connect(":memory:", config=dict(config or {}))
    con.execute("SET enable_progress_bar = false")
    return con


def memory_limit(con: duckdb.DuckDBPyConnection) -> str:
    """What DuckDB may hold in memory, as it says it: "18.8 GiB"."""
    return str(con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def forget_blocks(con: duckdb.DuckDBPyConnection, limit: str, kept: int = KEPT) -> None:
    """Have DuckDB let go of the blocks of files that it holds for whoever may read them again, but for `kept` bytes,
    where there are twice as many: it would hold them up to its limit, which is `limit` before and after. What
    statements under way hold stays."""
    held = dict(con.execute("SELECT tag, memory_usage_bytes FROM duckdb_memory()").fetchall())
    if held["BASE_TABLE"] <= 2 * kept:
        return
    try:
        with contextlib.suppress(duckdb.OutOfMemoryException):  # a statement has just taken more
            con.execute(f"SET memory_limit = '{sum(held.values()) - held['BASE_TABLE'] + kept}B'")
    finally:
        con.execute(f"SET memory_limit = '{limit}'")
