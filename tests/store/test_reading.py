"""The same SQL reads the database whether a run writes it, has ended, or was killed."""

# Fixtures are imported, and then named as arguments.
# ruff: noqa: F401, F811

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from oversight.errors import StoreError
from oversight.store import reading
from oversight.store.reading import Reader, open_reader
from oversight.store.serve import note_path
from tests.store.test_serve import HOSTILE, READING, Run, database, paused

RUNAWAY = "SELECT count(*) FROM range(10_000_000_000_000) a"  # hours


@pytest.fixture(params=["live", "direct"])
def reader(request: pytest.FixtureRequest, database: Path, paused: Run):
    if request.param == "direct":
        paused.end()
    with open_reader(database) as opened:
        assert opened.live == (request.param == "live")
        yield opened


def one_line(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_reader(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_reads_is_answered_alike_live_and_directly(reader: Reader) -> None:
    for statement in READING:
        assert reader.sql(statement).rows, statement
    table = reader.sql("SELECT episode, texts, params, mark FROM episodes ORDER BY episode LIMIT 1")
    assert table.columns == ["episode", "texts", "params", "mark"]
    assert table.types == ["BIGINT", "VARCHAR[]", "JSON", "STRUCT(a INTEGER)"]
    assert table.rows == [(0, ["a", "b"], '{"k": 1}', {"a": 7})]
    assert reader.execute("FROM doubled ORDER BY twice").fetchmany(2) == [(0,), (2,)]


def test_what_does_more_is_refused_in_one_line(reader: Reader, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    for hostile in [
        *HOSTILE,
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "not sql",
        "PIVOT meta ON name USING count(*)",
    ]:
        with pytest.raises(StoreError) as caught:
            reader.sql(hostile.format(folder=tmp_path, secret=secret))
            pytest.fail(f"answered: {hostile}")
        assert "\n" not in str(caught.value)
    assert reader.sql("SELECT count(*) FROM episodes").rows == [(100,)]


def test_where_the_filter_fails_the_connection_itself_reaches_nothing(
    database: Path, paused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused.end()
    (tmp_path / "secret").write_text("SECRET")
    monkeypatch.setattr(reading, "filter_sql", lambda con: "true")
    with open_reader(database) as reader:
        assert reader.sql("SELECT 1").rows == [(1,)]
        for query in ("FROM read_text('{}/secret')", "FROM glob('{}/*')", "FROM '{}/secret'"):
            with pytest.raises(StoreError, match=r"disabled by configuration|does not exist"):
                reader.sql(query.format(tmp_path))
        for statement in (
            "SET enable_external_access = true",
            "SET threads = 1",
            "DELETE FROM episodes",
            "LOAD fts",
        ):
            with pytest.raises(duckdb.Error):
                reader._con.execute(statement)  # type: ignore[union-attr]


def test_the_refusal_names_the_kind_of_statement(reader: Reader) -> None:
    with pytest.raises(StoreError, match="not INSERT"):
        reader.sql("WITH x AS (SELECT 1) INSERT INTO episodes(episode) SELECT * FROM x")


def test_a_mistake_in_the_query_is_one_line(reader: Reader) -> None:
    with pytest.raises(StoreError, match=r"^Table with name nowhere does not exist!$"):
        reader.sql("FROM nowhere")


def test_parameters_mean_the_same_live_and_directly(reader: Reader) -> None:
    values = [
        1,
        -2.5,
        "it's ?",
        None,
        True,
        [1, 2],
        Decimal("1.50"),
        date(2024, 2, 1),
        datetime(2024, 2, 1, 3, 4, 5),
    ]
    marks = ", ".join("?" for _ in values)
    assert reader.sql(f"SELECT {marks}, '?' AS mark", values).rows == [(*values, "?")]
    assert reader.sql("FROM episodes WHERE episode >= $low LIMIT $n", {"low": 50, "n": 2}).rows[0][0] == 50
    assert reader.sql("SELECT $2, $1", ["a", "b"]).rows == [("b", "a")]
    hostile = "'; DROP TABLE episodes; --"
    assert reader.sql("SELECT ?", [hostile]).rows == [(hostile,)]
    for query, params in (("SELECT ?, ?", [1]), ("SELECT ?", [1, 2])):
        with pytest.raises(StoreError):
            reader.sql(query, params)


def test_a_timeout_frees_the_reader(reader: Reader) -> None:
    with pytest.raises(StoreError, match=r"0\.3 s"):
        reader.sql(RUNAWAY, timeout=0.3)
    assert reader.sql("SELECT count(*) FROM episodes", timeout=30).rows == [(100,)]


def test_threads_may_share_a_reader(reader: Reader) -> None:
    seen: list[object] = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(reader.sql("SELECT ?", [n]).rows[0][0]))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == sorted(map(str, range(20)))


def test_counts_grow_while_the_run_goes_on_writing(database: Path) -> None:
    run = Run(database)
    try:
        with open_reader(database) as reader:
            counts = [reader.sql("SELECT count(*) FROM episodes").rows[0][0] for _ in range(50)]
            assert reader.live and counts == sorted(counts) and counts[-1] > counts[0] >= 100
            run.wait_for(counts[-1] + 200)
    finally:
        run.kill()


def test_a_killed_run_loses_no_committed_row_and_its_note_is_cleared(database: Path) -> None:
    run = Run(database)
    committed = run.wait_for(500)
    with open_reader(database) as reader:
        assert reader.live
        run.kill()
        assert note_path(database).exists() and database.with_name(database.name + ".wal").exists()
        assert reader.sql("SELECT count(*) FROM episodes").rows[0][0] >= committed  # the open reader goes on
        assert not reader.live
    assert not note_path(database).exists()
    with open_reader(database) as reader:
        assert not reader.live and reader.sql("SELECT count(*) FROM episodes").rows[0][0] >= committed


def test_a_note_whose_port_is_somebody_elses_misleads_nobody(database: Path, paused: Run) -> None:
    paused.end()
    note_path(database).write_text(json.dumps({"pid": 1, "started": "", "port": 1, "token": "abcdef"}))
    with open_reader(database) as reader:
        assert not reader.live
    assert not note_path(database).exists()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--without-quack", "there duckdb-extension-quack is not installed"),
        ("--silent", "it offers no reading"),
    ],
)
def test_a_run_that_does_not_serve_is_named(tmp_path: Path, option: str, reason: str) -> None:
    run = Run(tmp_path / "run.duckdb", "--pause", option)
    try:
        line = one_line(tmp_path / "run.duckdb")
        assert f"another process (pid {run.process.pid})" in line and reason in line and "wait" in line
    finally:
        run.kill()


def test_a_reader_without_the_extension_is_told_what_to_install(
    database: Path,
    paused: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(con: duckdb.DuckDBPyConnection) -> None:
        raise reading.CannotServe("duckdb-extension-quack is not installed")

    monkeypatch.setattr(reading, "load_quack", missing)
    line = one_line(database)
    assert "here duckdb-extension-quack is not installed" in line and "pip install duckdb==" in line


def test_files_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    assert "no database at" in one_line(tmp_path / "missing.duckdb")
    assert "is a folder" in one_line(tmp_path)
    (tmp_path / "text").write_text("hello " * 5000)
    (tmp_path / "empty").touch()
    assert "is not a DuckDB database" in one_line(tmp_path / "text")
    assert "is not a DuckDB database" in one_line(tmp_path / "empty")
    duckdb.connect(str(tmp_path / "other.duckdb")).execute("CREATE TABLE t(i INT)").close()
    assert "not one of oversight's" in one_line(tmp_path / "other.duckdb")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").touch(mode=0o000)
    assert "permission denied" in one_line(tmp_path / "x.duckdb")


def test_a_process_that_timed_out_on_a_run_ends_at_once(database: Path, paused: Run) -> None:
    code = f"""
import sys
from oversight.errors import StoreError
from oversight.store.reading import open_reader
try:
    with open_reader(sys.argv[1]) as reader:
        reader.sql({RUNAWAY!r}, timeout=0.3)
except StoreError as error:
    sys.exit(str(error))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1 and "0.3 s" in ended.stderr
