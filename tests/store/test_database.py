"""A database file is ours and readable, or refused in one line that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from support import rows

from oversight.errors import StoreError
from oversight.store.database import SCHEMA, open_for_writing


def test_a_new_file_has_the_schema_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    open_for_writing(path).close()
    open_for_writing(path).close()
    assert rows(path, "SELECT value FROM meta WHERE name = 'schema'") == [(str(SCHEMA),)]
    assert rows(path, "SELECT count(*) FROM judgements") == [(0,)]


def test_a_file_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.duckdb"
    con = open_for_writing(path)
    con.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    con.close()
    with pytest.raises(
        StoreError, match=r"schema 99, written by a newer oversight.*pip install -U oversight"
    ):
        open_for_writing(path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 2000)
    with pytest.raises(StoreError, match=r"notes.txt is not a DuckDB database"):
        open_for_writing(path)
    assert path.read_text() == "my notes " * 2000


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE sales AS SELECT 1 AS n")
    with pytest.raises(StoreError, match="not one of oversight's"):
        open_for_writing(path)
    assert rows(path, "SELECT table_name FROM duckdb_tables()") == [("sales",)]


def test_a_folder_or_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        open_for_writing(tmp_path)
    with pytest.raises(StoreError, match="no folder"):
        open_for_writing(tmp_path / "no" / "x.duckdb")


def test_a_name_with_a_quote_in_it_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "it's; DROP.duckdb"
    open_for_writing(path).close()
    assert path.exists()


READING = """
import resource, sys
from pathlib import Path
from oversight.store.reading import open_reader
with open_reader(Path(sys.argv[1])) as reader:
    reader.sql("SELECT 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for table, column in (("turns", "full"), ("verdicts", "raw"), ("choices", "first_raw"), ("calls", "notes")):
        ((size,),) = reader.sql(f'SELECT sum(length("{column}")) FROM {table}').rows
        assert size == 4 * 300_000, (table, size)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_few_huge_replies_are_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.duckdb"
    con = open_for_writing(path)
    for table, column in (
        ("turns", "full"),
        ("verdicts", "raw"),
        ("choices", "first_raw"),
        ("calls", "notes"),
    ):
        con.execute(
            f"INSERT INTO {table} (\"{column}\") SELECT CASE WHEN i % 500 = 7 THEN rpad(i::VARCHAR, 300000, i || '.') END "
            "FROM range(2000) t(i)"
        )
    con.execute("CHECKPOINT oversight_db")
    con.close()
    done = subprocess.run([sys.executable, "-c", READING, path], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 100 * 1024, "KiB: DuckDB reads a text again for every NULL after it"


def test_no_connection_draws_a_progress_bar_where_python_runs_without_a_file(tmp_path: Path) -> None:
    """DuckDB takes `python -c` for a person at a prompt."""
    code = """
import sys, duckdb
from pathlib import Path
from oversight.store.database import open_for_writing
from oversight.store.reading import closed
shown = "SELECT current_setting('enable_progress_bar')"
assert duckdb.connect().execute(shown).fetchone()[0]
for con in (open_for_writing(Path(sys.argv[1])), closed()):
    print(con.execute(shown).fetchone()[0], con.cursor().execute(shown).fetchone()[0])
"""
    argv = [sys.executable, "-c", code, str(tmp_path / "o.duckdb")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False"] * 4
