"""What the writer writes is what is read, and it lives with little memory."""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hostile import TEXTS
from support import lack_of_memory

from oversight.errors import StoreError
from oversight.store import memory
from oversight.store import writer as module
from oversight.store.reading import open_reader
from oversight.store.serve import serve
from oversight.store.writer import Writer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)


def _lone(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def draft(n: int, text: str, score: float | None = 0.5) -> tuple[object, ...]:
    return (2**64 - 1 - n, 1, n, "sample", text, score, False)


@pytest.fixture(params=["as it is", "as SQL", "by memory", "by a file"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How rows come to DuckDB."""
    how = str(request.param)
    if how != "as it is":
        monkeypatch.setattr(module, "LITERAL", 10**9 if how == "as SQL" else 0)
    if how == "by a file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    return how


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("finite", [True, False], ids=["finite", "with infinities"])
def test_every_text_and_number_comes_back_as_it_was(tmp_path: Path, finite: bool):
    writer = Writer(tmp_path / "w.duckdb")
    texts = [
        *(text for text in TEXTS.values() if not _lone(text)),
        "",
        "\0",
        "a\0b",
        "'",
        "''",
        "\\",
        "\u2028\u202e",
        "\ufffe\uffff",
        "$1; --",
        "x" * 1_000_000,
        random.Random(1).randbytes(700_000).hex(),
    ]
    numbers = [0.1 + 0.2, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 1e-05, 1e16, None]
    numbers += [] if finite else [math.inf, -math.inf]
    least = -700.5 if finite else -math.inf
    rows = [draft(n, text, numbers[n % len(numbers)]) for n, text in enumerate(texts)]
    data = bytes(range(256)) * 40
    call = (1, 2, 3, "generate", [4, 2**64 - 1], None, 1.0, 1.0, None, ["'"], 0, "a\0", "", "stop", [-0.5, least],
            [1, 2], [-0.25], 1, 2, None, None, None, 0.1, NOW, 0.5, None, None, None, None, None, None, 1)  # fmt: skip
    question = (
        9,
        "s",
        "q?",
        ["a", "'\0"],
        None,
        "g",
        "",
        '{"n": 1e400, "t": "\\u0000"}',
        True,
        None,
        False,
        "text",
    )
    writer.write_now(
        {"drafts": rows, "images": [(7, "image/png", data)], "calls": [call], "questions": [question]}
    )
    for reopened in (False, True):  # as it lies in the log, and compressed
        if reopened:
            writer.close()
            writer = Writer(tmp_path / "w.duckdb")
        con = writer.con
        found = con.execute("SELECT * FROM oversight_db.drafts ORDER BY n").fetchall()
        assert [tuple(map(repr, row)) for row in found] == [tuple(map(repr, row)) for row in rows]
        assert con.execute("SELECT data FROM oversight_db.images").fetchall() == [(data,)]
        assert con.execute("SELECT * FROM oversight_db.calls").fetchall() == [call]
        assert con.execute("SELECT * FROM oversight_db.questions").fetchall() == [question]
    kinds = con.execute(
        "SELECT DISTINCT compression FROM pragma_storage_info('drafts') WHERE column_name = 'text' "
    )
    assert ("ZSTD",) in kinds.fetchall()
    writer.close()


def test_no_number_is_lost_between_two_that_are_finite(tmp_path: Path):
    writer = Writer(tmp_path / "w.duckdb")
    scores = [0.5, math.nan, -0.5, None, math.inf]
    writer.write_now({"drafts": [draft(n, "x", score) for n, score in enumerate(scores)]})
    found = writer.con.execute("SELECT score FROM oversight_db.drafts ORDER BY n").fetchall()
    assert list(map(repr, (score for (score,) in found))) == list(map(repr, scores))
    writer.close()


@dataclass
class Thing:
    text: str = "x"


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("wrong", ["\ud800", Thing(), 1j, UUID(int=1), date(2026, 1, 2), Colour.RED])
def test_what_is_no_text_is_not_written_as_one(tmp_path: Path, wrong: Any):
    """Beside what is one, and by the thread that commits."""
    writer = Writer(tmp_path / "w.duckdb")

    async def write() -> None:
        writer.add("drafts", draft(0, "good"))
        writer.add("drafts", draft(1, wrong))
        await writer.durable()

    with pytest.raises(StoreError, match="could not be written"):
        asyncio.run(write())
    assert writer.con.execute("SELECT count(*) FROM oversight_db.drafts").fetchall() == [(0,)]
    writer.close()


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("wrong", [-1, 2**64, "seven", math.nan, math.inf, [1]])
def test_a_value_that_does_not_fit_its_column_is_no_null(tmp_path: Path, wrong: object):
    writer = Writer(tmp_path / "w.duckdb")
    with pytest.raises(StoreError, match="could not be written"):
        writer.write_now({"labels": [(1, 1), (wrong, 1)]})
    assert writer.con.execute("SELECT count(*) FROM oversight_db.labels").fetchall() == [(0,)]
    writer.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there is no file of memory here")
def test_rows_that_come_by_memory_are_in_no_file(tmp_path: Path, by: str):
    writer = Writer(tmp_path / "w.duckdb")
    page = Path(writer._page.path)
    assert page.is_relative_to("/proc/self/fd") == (by != "by a file")
    assert by == "by a file" or str(page.readlink()).startswith("/memfd:")
    writer.close()
    assert not page.exists()


def test_many_rows_are_written_by_several_statements_of_one_transaction(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "MOST_TEXT", 1_000)
    writer = Writer(tmp_path / "w.duckdb")
    rows = [draft(n, "word " * (n % 50)) for n in range(333)]
    writer.write_now({"drafts": rows})
    assert writer.con.execute("SELECT * FROM oversight_db.drafts ORDER BY n").fetchall() == rows
    with pytest.raises(StoreError):
        writer.write_now({"drafts": [*rows, draft(-1, "x", "no number")]})  # type: ignore[arg-type]
    assert writer.con.execute("SELECT count(*) FROM oversight_db.drafts").fetchall() == [(333,)]
    writer.close()


def test_a_commit_waits_for_memory_that_a_reader_holds(tmp_path: Path, monkeypatch):
    """Really: there is none, and half a second later there is."""
    monkeypatch.setattr(memory, "PAUSES", (0.05,) * 1000)
    writer = Writer(tmp_path / "w.duckdb")
    with lack_of_memory(writer.con) as over:

        async def go() -> None:
            writer.add("drafts", draft(0, "said " * 100_000))
            await writer.durable()

        asyncio.run(go())
        assert over.is_set()
    assert writer.con.execute("SELECT count(*) FROM oversight_db.drafts").fetchall() == [(1,)]
    writer.close()


def test_duckdb_forgets_blocks_where_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Who reads would be told that there is no memory, were it in just that moment."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    looked: list[int] = []
    monkeypatch.setattr(module, "forget_blocks", lambda *told: looked.append(1))
    writer = Writer(tmp_path / "w.duckdb")

    done, forget = threading.Event(), writer._forget

    def forgotten() -> None:
        forget()
        done.set()

    monkeypatch.setattr(writer, "_forget", forgotten)

    def forgets() -> bool:
        async def go() -> None:
            writer.add("drafts", draft(0, "said"))
            await writer.durable()

        looked.clear()
        done.clear()
        asyncio.run(go())
        assert done.wait(60)
        return bool(looked)

    assert forgets()
    with writer.reads.one():
        assert not forgets()
    server = serve(writer.con, writer.path)
    assert server is not None and forgets()
    with open_reader(writer.path) as reader:
        assert reader.sql("SELECT 1").rows == [(1,)] and not forgets()
    for _ in range(100):  # the server hears of it when it does
        if forgets():
            break
        time.sleep(0.1)
    assert looked
    server.stop()
    writer.close()


def test_what_is_ready_is_committed_while_the_loop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A thousand episodes may add rows in one turn of the loop: nobody's wait for the last of them."""
    monkeypatch.setattr(module, "ENOUGH", 10)
    writer = Writer(tmp_path / "w.duckdb")
    sizes: list[int] = []
    commit, committed = writer._commit, threading.Event()

    def counted(rows: dict[str, list[Any]], first: list[str]) -> None:
        sizes.append(sum(map(len, rows.values())))
        commit(rows, first)
        committed.set()

    monkeypatch.setattr(writer, "_commit", counted)

    async def add() -> None:
        waiting = []
        for n in range(40):
            writer.add("drafts", draft(n, "x"))
            waiting.append(writer.durable())
            if n == 9:  # the tenth was enough: without a turn of the loop it is on its way
                assert committed.wait(60)
                assert not any(one.done() for one in waiting)
        waiting[3].cancel()
        await asyncio.gather(*waiting[:3], *waiting[4:])

    asyncio.run(add())
    writer.close()
    assert sizes[0] == 10 and sum(sizes) == 40
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM drafts").fetchall() == [(40,)]


@pytest.mark.parametrize(("seconds", "at_a_turn"), [(0.0, module.AT_A_TURN), (0.05, module.FEW)])
def test_those_who_go_on_after_a_commit_let_others_in_between_and_are_one_group_again(
    seconds: float, at_a_turn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A reply that comes while a thousand episodes go on is heard before the last of them, sooner where calls take
    time; and what they bring is not written a handful at a time."""
    monkeypatch.setattr(module, "ENOUGH", 10_000)
    many, rounds = 40 * module.AT_A_TURN, 5
    writer = Writer(tmp_path / "w.duckdb")
    writer.expect(seconds)
    sizes: list[int] = []
    commit = writer._commit

    def counted(rows: dict[str, list[Any]], first: list[str]) -> None:
        sizes.append(len(rows["drafts"]))
        commit(rows, first)

    monkeypatch.setattr(writer, "_commit", counted)
    turns, went_on = 0, []

    async def episode(n: int) -> None:
        for _ in range(rounds):
            writer.add("drafts", draft(n, "x"))
            await writer.durable()
            went_on.append(turns)

    async def main() -> None:
        nonlocal turns
        playing = asyncio.gather(*map(episode, range(many)))
        while not playing.done():
            await asyncio.sleep(0)
            turns += 1

    asyncio.run(main())
    writer.close()
    assert sizes == [many] * rounds
    most = max(went_on.count(turn) for turn in set(went_on))
    assert most == at_a_turn


def test_the_first_commit_makes_the_views_anew_and_an_opened_file_keeps_its_own(tmp_path: Path):
    path = tmp_path / "db.duckdb"
    Writer(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute("DROP VIEW sides; CREATE OR REPLACE VIEW transcripts AS SELECT 'old' AS id")
    Writer(path).close()
    with duckdb.connect(str(path)) as con:
        assert con.execute("FROM transcripts").fetchall() == [("old",)]
    writer = Writer(path)
    writer.write_now({"plans": [(1, 2)]})
    writer.close()
    with duckdb.connect(str(path)) as con:
        assert con.execute("FROM transcripts").fetchall() == con.execute("FROM sides").fetchall() == []


def test_whoever_waits_hears_that_a_commit_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = Writer(tmp_path / "w.duckdb")

    async def add() -> None:
        writer.add("drafts", draft(1, "x"))
        await writer.durable()
        monkeypatch.setattr(writer, "_commit", _full)
        writer.add("drafts", draft(2, "x"))
        others = [writer.durable(), writer.durable()]
        heard = await asyncio.gather(*others, return_exceptions=True)
        assert [type(one) for one in heard] == [StoreError] * 2
        with pytest.raises(StoreError, match="disk of"):
            writer.durable()

    asyncio.run(add())
    writer.close()
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM drafts").fetchall() == [(1,)]


def _full(*_: object) -> None:
    raise duckdb.IOException("No space left on device")
