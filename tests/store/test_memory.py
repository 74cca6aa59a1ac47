"""What DuckDB holds in memory."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from oversight.store.database import CATALOG, open_for_writing
from oversight.store.memory import forget_blocks, give_back, memory_limit


def held(con: duckdb.DuckDBPyConnection) -> int:
    """Bytes of the file's blocks."""
    return int(
        con.execute("SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'BASE_TABLE'").fetchall()[0][
            0
        ]
    )


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    con = open_for_writing(tmp_path / "db.duckdb")
    text = " || ".join(["uuid()::VARCHAR"] * 40)  # which hardly compresses
    con.execute(f"INSERT INTO passages SELECT i, {text} FROM range(20_000) r(i)")
    con.execute(f"CHECKPOINT {CATALOG}")
    con.execute("SELECT sum(length(text)) FROM passages").fetchall()
    return con


def test_blocks_of_the_file_are_let_go_and_the_limit_stays(con: duckdb.DuckDBPyConnection) -> None:
    limit, before = memory_limit(con), held(con)
    assert before > 8 * 2**20
    forget_blocks(con, limit, before)  # it is not twice as much
    assert held(con) == before
    forget_blocks(con, limit, 2**20)
    assert held(con) <= 2 * 2**20 and memory_limit(con) == limit


def test_what_a_statement_holds_stays(con: duckdb.DuckDBPyConnection) -> None:
    """A reader's rows are still there after the blocks they came from are let go."""
    limit, reader = memory_limit(con), con.cursor()
    reader.execute(f"USE {CATALOG}")
    reader.execute("SELECT passage, text FROM passages ORDER BY text")
    first = reader.fetchmany(10)
    forget_blocks(con, limit, 0)
    assert len(first + reader.fetchall()) == 20_000
    assert memory_limit(con) == limit


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what is resident")
def test_what_a_statement_used_is_given_back_to_the_system(con: duckdb.DuckDBPyConnection) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    limit = memory_limit(con)
    give_back(con, limit)
    before = resident()
    wide = "SELECT i, " + " || ".join(["md5(i::VARCHAR)"] * 10) + " AS text FROM range(500_000) r(i)"
    con.execute(f"SELECT text FROM ({wide}) ORDER BY text DESC LIMIT 1 OFFSET 400_000").fetchall()
    after = resident()
    give_back(con, limit)
    assert memory_limit(con) == limit
    if after - before < 100 * 2**20:
        pytest.skip("DuckDB's allocator on this system keeps nothing")
    assert resident() - before < (after - before) / 2
