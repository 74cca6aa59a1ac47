"""A database that a run is writing is exported as it is at one moment."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from oversight.cli import main
from oversight.store.exports.source import open_source
from tests.store.test_backup import WRITER
from tests.store.test_serve import Run


def test_a_database_that_is_being_written_is_exported_as_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.store.test_serve.WRITER", WRITER)
    path, out = tmp_path / "run.duckdb", tmp_path / "out"
    run = Run(path)
    try:
        least = run.wait_for(100)
        with open_source(path) as source:
            sql = "SELECT (SELECT count(*) FROM passages), (SELECT count(*) FROM images)"
            ((passages, images),) = source.con.execute(sql).fetchall()
        assert passages == images >= least
        least = run.wait_for(passages + 100)
        assert main(["export", "parquet", "--out", str(out), "--db", str(path)]) == 0
    finally:
        run.kill()
    with duckdb.connect() as con:
        counts = [
            con.execute(f"SELECT count(*) FROM '{out}/**/{t}.parquet'").fetchall()[0][0]
            for t in ("passages", "images")
        ]
    assert counts[0] == counts[1] >= least
