"""Searching turns by their words: all that match are found, the best first, and new ones at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from oversight.errors import StoreError, UserError
from oversight.store import search
from oversight.store.database import open_for_writing
from oversight.store.reading import open_reader
from oversight.store.search import Found, find, index_path

SAID = [
    "The clock was repaired.",
    "She repairs clocks; clocks, always clocks.",
    "Nobody slept.",
    "Ärger im Café 北京",
]


def add(path: Path, texts: Sequence[str], episode: int = 1) -> None:
    """A turn for each text."""
    con = open_for_writing(path)
    con.execute("INSERT INTO arms(arm, protocol) VALUES (1, 'debate')")
    con.execute("INSERT INTO episodes(episode, arm, task) VALUES (?, 1, 'toy')", [episode])
    for n, text in enumerate(texts):
        con.execute("INSERT INTO turns(episode, turn, seat, text) VALUES (?, ?, 'A', ?)", [episode, n, text])
    con.close()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    add(tmp_path / "db.duckdb", SAID)
    return tmp_path / "db.duckdb"


def turns(path: Path, words: str, **how: bool) -> list[int]:
    return [hit.turn for hit in _found(path, words, **how).hits]


def _found(path: Path, words: str, **how: bool) -> Found:
    with open_reader(path) as reader:
        return find(reader, words, **how)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("clock", [1, 0]),  # said more often
        ("CLOCKS repairing", [1, 0]),
        ("slept clock", [2, 1, 0]),  # the rarer word counts for more
        ("arger cafe", [3]),
        ("北京", [3]),
        ("nothing", []),
        ("'; DROP TABLE turns; --", []),
    ],
)
def test_words_find_turns_whatever_their_form(words: str, found: list[int], db: Path) -> None:
    assert turns(db, words) == found


def test_all_words_may_be_asked_for(db: Path) -> None:
    assert turns(db, "repaired clock", all_words=True) == [1, 0]
    assert turns(db, "slept clock", all_words=True) == []
    assert turns(db, "slept unheard", all_words=True) == []


def test_no_word_is_an_error(db: Path) -> None:
    with pytest.raises(UserError, match="holds no word"):
        turns(db, "?! …")


def test_scores_are_bm25s(db: Path) -> None:
    from math import log

    hits = {hit.turn: hit.score for hit in _found(db, "clock").hits}
    lengths = [4, 6, 2, 4]
    mean = sum(lengths) / 4
    weight = log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    for turn, n in ((0, 1), (1, 3)):
        assert hits[turn] == pytest.approx(
            weight * n * 2.2 / (n + 1.2 * (0.25 + 0.75 * lengths[turn] / mean))
        )


def test_new_turns_are_found_by_the_next_search_and_score_as_if_indexed_at_once(
    db: Path, tmp_path: Path
) -> None:
    turns(db, "clock")
    add(db, ["A clock struck.", "Struck dumb."], episode=2)
    add(tmp_path / "other.duckdb", SAID)
    add(tmp_path / "other.duckdb", ["A clock struck.", "Struck dumb."], episode=2)
    later, once = _found(db, "clock struck"), _found(tmp_path / "other.duckdb", "clock struck")
    assert later == once and later.matches == 4 and later.turns == 6


def test_another_file_of_the_same_name_gets_an_index_of_its_own(db: Path) -> None:
    turns(db, "clock")
    db.unlink()
    add(db, ["Another story."], episode=9)
    assert turns(db, "clock") == [] and turns(db, "story") == [0]


def test_the_database_is_not_written_to_and_the_index_holds_no_text(db: Path) -> None:
    before = db.read_bytes()
    turns(db, "clock")
    assert db.read_bytes() == before
    with duckdb.connect(str(index_path(db)), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM docs").fetchall() == [(4,)]
    assert b"Nobody slept" not in index_path(db).read_bytes()


def test_an_index_that_is_broken_is_said_with_the_way_out(db: Path) -> None:
    index_path(db).write_text("no index " * 2000)
    with pytest.raises(StoreError, match=r"search\.duckdb cannot be used .*: delete it"):
        turns(db, "clock")


@pytest.mark.parametrize(
    "made", ["TABLE mine AS SELECT 42", "TABLE layout AS SELECT 7 AS layout", "VIEW v AS SELECT 1"]
)
def test_a_file_in_the_indexs_place_that_is_none_is_left_as_it_is(made: str, db: Path) -> None:
    with duckdb.connect(str(index_path(db))) as con:
        con.execute(f"CREATE {made}")
    before = index_path(db).read_bytes()
    with pytest.raises(StoreError, match=r"db\.duckdb\.search\.duckdb is where the index belongs.*move it away"), open_reader(db) as reader:  # fmt: skip
        find(reader, "clock")
    assert index_path(db).read_bytes() == before


def test_an_index_of_an_older_layout_is_made_anew(db: Path) -> None:
    with duckdb.connect(str(index_path(db))) as con:
        con.execute("CREATE TABLE docs(x INT); CREATE TABLE words(x INT); CREATE TABLE terms(x INT)")
    with open_reader(db) as reader:
        assert find(reader, "clock").matches == 2


def test_wherever_an_index_is_damaged_the_way_out_is_to_delete_it(db: Path) -> None:
    add(db, [f"word{n} of many, and the clock" for n in range(20_000)], episode=2)
    with open_reader(db) as reader:
        find(reader, "clock")
        whole, told = index_path(db).read_bytes(), 0
        for at in range(20_000, len(whole), 65_536):
            index_path(db).write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            try:
                find(reader, "clock")
            except StoreError as error:
                assert "search.duckdb" in str(error) and "delete it" in str(error)
                told += 1
    assert told > 2


def test_without_the_extension_it_is_said_and_nothing_else_is_done(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.load_extension.__globals__["duckdb"], "__version__", "9.9.9")
    with pytest.raises(StoreError, match=r"full-text search is not to be had: .*not made for DuckDB 9\.9\.9"):
        turns(db, "clock")


def test_a_hit_shows_the_text_around_the_word(tmp_path: Path) -> None:
    add(tmp_path / "db.duckdb", ["word " * 100 + "Clockmaker spoke " + "more " * 100])
    (hit,) = _found(tmp_path / "db.duckdb", "clockmakers").hits
    assert "Clockmaker spoke" in hit.around and hit.around.startswith("…") and hit.around.endswith("…")
