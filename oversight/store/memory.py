"""DuckDB in memory, to which files are attached."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb


def in_memory(config: Mapping[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory. It prints nothing: in a shell, a notebook or `python -c`, DuckDB would draw a progress
    bar on standard output for whatever takes two seconds."""
    con = duckdb.connect(":memory:", config=dict(config or {}))
    con.execute("SET enable_progress_bar = false")
    return con
