"""From Python: the same run, the same numbers, as dataframes."""

from __future__ import annotations

import asyncio

import pytest

import oversight as package

SETTINGS = {"task": "./toy", "judge": "scripted/rep.yaml", "debater": "scripted/rep.yaml"}


def test_run_gives_dataframes_of_its_own_rows(folder):
    first = package.run("direct", **SETTINGS, limit=10)
    both = package.run(["direct", "debate:rounds=1"], **SETTINGS, limit=6)
    assert both.run.already_done == 6
    assert len(first.judgements) == 10
    assert len(both.judgements) == 12
    assert len(both.transcripts) == len(both.turns) == 12
    assert list(both.accuracy["episodes"]) == [6, 6]
    debates = both.judgements[both.judgements["protocol"] == "debate"]
    assert debates["correct"].mean() == both.accuracy.set_index("protocol")["accuracy"]["debate"]


def test_a_database_can_be_asked(folder):
    package.run("direct", **SETTINGS, limit=10, db="a.duckdb")
    database = package.open_database("a.duckdb")
    assert database.sql("SELECT count(*) AS n FROM episodes WHERE sample = ?", [0])["n"][0] == 10
    assert database.accuracy["episodes"][0] == 10
    assert len(database.judgements) == 10


def test_it_works_where_a_loop_runs(folder):
    async def cell():
        return package.run("direct", **SETTINGS, limit=2)

    assert asyncio.run(cell()).run.played == 2


def test_errors_are_of_ours(folder):
    with pytest.raises(package.StoreError, match="no database"):
        package.open_database("none.duckdb")
    with pytest.raises(package.UserError, match="'debate'"):
        package.run("debat", **SETTINGS, limit=2)
    with pytest.raises(package.UserError, match="no setting 'lmit'"):
        package.run("direct", **SETTINGS, lmit=2)
