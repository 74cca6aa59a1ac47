"""Turns are sorted once: by the view, or by the query that says how."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from oversight.store.database import CATALOG, open_for_writing
from oversight.store.reading import Reader, open_reader
from oversight.store.unsorted import unsorted

SORTED = [
    "SELECT * FROM transcripts ORDER BY episode, turn LIMIT 3",
    "FROM transcripts ORDER BY turn DESC, id",
    "select t.text from transcripts t where episode > 1 order by t.turn desc, t.EPISODE",
    "-- the longest\nSELECT id, words FROM transcripts ORDER BY words DESC, id, turn;",
    "SELECT DISTINCT ON (id) id, turn FROM transcripts ORDER BY id, turn DESC",
]
NOT_SORTED = [
    "FROM transcripts",
    "SELECT id FROM transcripts LIMIT 2",
    "SELECT 'order by transcripts'",
    "SELECT count(*) FROM transcripts",
    "SELECT row_number() OVER () AS n, text FROM transcripts ORDER BY episode, turn DESC",
    "SELECT protocol, list(text) FROM transcripts GROUP BY protocol ORDER BY protocol",
    "SELECT turn FROM turns ORDER BY (SELECT count(*) FROM transcripts), turn, episode",
    "SELECT * FROM (FROM transcripts) ORDER BY id, turn",
    "WITH transcripts AS (SELECT 1 AS id) SELECT * FROM transcripts ORDER BY id",
    "SELECT a.id, b.turn FROM transcripts a JOIN transcripts b USING (id) ORDER BY 1, 2",
    f"SELECT id, turn FROM {CATALOG}.transcripts ORDER BY id, turn",
]

TIED = [
    "SELECT id, turn FROM transcripts ORDER BY turn",
    "SELECT words // 40 AS turn, id, text FROM transcripts ORDER BY id, turn",
]
"""Which DuckDB may answer in several orders."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Three episodes, whose turns were stored mixed."""
    con = open_for_writing(tmp_path / "db.duckdb")
    con.execute("INSERT INTO arms(arm, protocol) VALUES (1, 'debate')")
    con.execute("INSERT INTO questions(question, text) VALUES (9, 'Why?')")
    con.execute(
        "INSERT INTO episodes(episode, arm, task, question) SELECT 3 - range, 1, 'toy', 9 FROM range(3)"
    )
    con.execute(
        "INSERT INTO turns(episode, turn, seat, text, words) "
        "SELECT 3 - n % 3, n // 3, 'A', 'said ' || n, 40 - n FROM range(12) t(n)"
    )
    con.close()
    with open_reader(tmp_path / "db.duckdb") as opened:
        yield opened


def plain(reader: Reader, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{reader.path}' AS {CATALOG} (READ_ONLY)")
        con.execute(f"USE {CATALOG}")
        return con.execute(query).fetchall()


def plan(reader: Reader, query: str) -> str:
    return str(reader.sql(f"EXPLAIN {query}").rows)


@pytest.mark.parametrize("query", [*SORTED, *NOT_SORTED])
def test_what_is_answered_is_what_the_view_answers(query: str, reader: Reader) -> None:
    assert reader.sql(query).rows == reader.first(query, 100).rows == plain(reader, query)


@pytest.mark.parametrize("query", SORTED)
def test_who_sorts_is_spared_the_views_sorting(query: str, reader: Reader) -> None:
    with duckdb.connect() as con:
        asked = unsorted(con, query.rstrip(";"))
    assert plan(reader, query.rstrip(";")).count("ORDER_BY") > plan(reader, asked).count("ORDER_BY")


@pytest.mark.parametrize("query", [*NOT_SORTED, *TIED])
def test_another_query_is_as_it_is(query: str) -> None:
    with duckdb.connect() as con:
        assert unsorted(con, query) == query


def test_it_may_have_parameters(reader: Reader) -> None:
    asked = "SELECT text FROM transcripts WHERE episode = ? ORDER BY turn LIMIT ?"
    assert reader.sql(asked, [2, 2]).rows == [("said 1",), ("said 4",)]


def test_the_view_is_in_order(reader: Reader) -> None:
    assert reader.sql("SELECT episode, turn FROM transcripts").rows == [
        (e, t) for e in (1, 2, 3) for t in range(4)
    ]
