"""`check` finds whatever is wrong with a database and changes nothing; `salvage` saves what can be read."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support import content, rows

from oversight.errors import StoreError
from oversight.store.backup import backup
from oversight.store.check import check, salvage
from oversight.store.database import BLOCK, open_for_writing
from oversight.store.imports.write import write
from oversight.store.reading import open_reader

Play = Callable[..., Any]


@pytest.fixture
def db(play: Play, tmp_path: Path) -> Path:
    """A database with every protocol in it."""
    play("debate", "consultancy:rounds=1", "direct", judge={"model": "simulated/judge", "elicit": "letters"})
    return tmp_path / "db.duckdb"


def test_what_a_run_leaves_is_whole_and_looking_at_it_changes_no_byte(db: Path) -> None:
    before = db.read_bytes()
    checked = check(db)
    assert checked.flaws == () and checked.unkeyed == 0
    assert checked.rows["calls"] == rows(db, "SELECT count(*) FROM calls")[0][0] > 10
    keyed = ("messages", "passages", "images", "models", "templates", "questions", "calls")
    assert checked.keys == sum(checked.rows[table] for table in keyed)
    assert db.read_bytes() == before and sorted(p.name for p in db.parent.glob("db.*")) == ["db.duckdb"]


TAMPERED = {
    "a message said something else": ("UPDATE messages SET content = content || '!'", "messages", "its key"),
    "a passage is another": ("UPDATE passages SET text = 'x' WHERE rowid = 0", "passages", "its key"),
    "an answer is another": ("UPDATE questions SET answers = ['x', 'y'] WHERE rowid = 0", "questions", "its key"),
    "a template is another": ("UPDATE templates SET source = 'x'", "templates", "its key"),
    "a model is another": ("UPDATE models SET identity = identity || 'x'", "models", "its key"),
    "a call was asked otherwise": ("UPDATE calls SET temperature = 0.25", "calls", "its key"),
    "a message has gone": ("DELETE FROM messages WHERE rowid = 0", "calls", "messages that are not there"),
    "a call has gone": ("DELETE FROM calls WHERE rowid = 0", "uses", "calls that are not there"),
    "an episode has gone": ("DELETE FROM episodes WHERE rowid = 0", "plans", "episodes that are not there"),
    "a label has gone": ("DELETE FROM labels WHERE rowid = 0", "questions", "no label"),
    "a label names nothing": ("UPDATE labels SET label = 9", "labels", "answer that is not there"),
    "a turn has gone": ("DELETE FROM turns WHERE turn = 1", "turns", "missing from the middle"),
    "a turn is there twice": ("INSERT INTO turns FROM turns WHERE turn = 1", "turns", "there twice"),
    "a call is there twice": ("INSERT INTO calls FROM calls LIMIT 1", "calls", "more than once"),
    "a call is paid twice": ("INSERT INTO uses FROM uses WHERE paid LIMIT 1", "uses", "another paid for"),
    "a call is paid by nobody": ("UPDATE uses SET paid = false", "uses", "nobody paid for"),
    "two verdicts are final": ("INSERT INTO verdicts FROM verdicts LIMIT 1", "verdicts", "has another"),
    "no verdict is final": ("UPDATE verdicts SET final = false", "verdicts", "without a final one"),
    "a verdict has gone": ("DELETE FROM verdicts WHERE rowid = 0", "plans", "without a verdict"),
    "probabilities sum to 2": ("UPDATE verdicts SET probabilities = [1, 1]", "verdicts", "do not sum to 1"),
    "a choice is no answer": ("UPDATE verdicts SET choice = 7", "verdicts", "answers that are not there"),
    "a plan has shrunk": ("DELETE FROM plans WHERE rowid = 0", "plans", "other episodes than"),
    "an order shows an answer twice": ("UPDATE episodes SET answer_order = [0, 0]", "episodes", "other answers"),
    "a table has gone": ("DROP TABLE failures", "failures", "is not there"),
    "a quote is outside its turn": ('UPDATE quotes SET "end" = 9999', "quotes", "outside its turn"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_whatever_is_changed_is_found_and_named_row_by_row(case: str, db: Path) -> None:
    statement, table, what = TAMPERED[case]
    with duckdb.connect(str(db)) as con:
        con.execute(statement)
    found = [flaw for flaw in check(db).flaws if flaw.table == table and what in flaw.what]
    assert len(found) == 1, check(db).flaws
    assert (found[0].rows >= 1) != (case == "a table has gone") and len(found[0].named) == min(
        found[0].rows, 20
    )


def test_a_damaged_block_is_said_and_what_else_there_is_is_saved(db: Path, tmp_path: Path) -> None:
    whole = content(db)
    with db.open("r+b") as file:  # the 64-bit keys of the verdicts' episodes stand in this block
        file.seek(db.stat().st_size - 200_000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
    before = db.read_bytes()
    broken = {flaw.table for flaw in check(db).flaws if "cannot be read in full" in flaw.what}
    assert broken
    kept = {one.table: one for one in salvage(db, tmp_path / "saved.duckdb")}
    assert {name for name, one in kept.items() if one.kept != one.held} == broken
    saved = content(tmp_path / "saved.duckdb")
    for table in whole.keys() - broken:
        assert saved[table] == whole[table], table
    assert db.read_bytes() == before


def test_who_comes_upon_a_damaged_block_names_the_file_and_the_way_out(play: Play, tmp_path: Path) -> None:
    """Block by block: a run that goes on, an import, a reader, a backup, of what a killed process left. File and log stay
    as they were, but where a run came upon the damage only after it had committed."""
    arms = ("debate", "consultancy:rounds=1", "direct")
    living, db = tmp_path / "living.duckdb", tmp_path / "broken.duckdb"
    play(*arms, db=living, limit=2)
    con = open_for_writing(living)
    con.execute("INSERT INTO passages VALUES (1, 'what was said last')")
    whole, log = living.read_bytes(), Path(f"{living}.wal").read_bytes()
    con.close()

    def there() -> tuple[bytes, bytes]:
        return db.read_bytes(), Path(f"{db}.wal").read_bytes()

    def read() -> None:
        with open_reader(db) as reader:
            reader.sql("FROM transcripts")
            list(reader.batches("FROM calls"))

    came_upon = {
        "run": lambda: play(*arms, db=db, limit=3),
        "import": lambda: write(db, "elsewhere", []),
        "read": read,
        "backup": lambda: backup(db, tmp_path / "copy.duckdb"),
    }
    told = Counter[str]()
    for at in range(12_288 + BLOCK // 2, len(whole), BLOCK):
        for who, act in came_upon.items():
            db.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            Path(f"{db}.wal").write_bytes(log)
            before = there()
            try:
                act()
            except StoreError as error:
                told[who] += 1
                said = rf"{re.escape(str(db))} (cannot be opened:|cannot be read:|is damaged) .*oversight check.*"
                assert re.fullmatch(said, str(error))
                assert "Checkpoint failed" in str(error) or there() == before
                assert not (tmp_path / "copy.duckdb").exists()
            (tmp_path / "copy.duckdb").unlink(missing_ok=True)
    assert len(told) == 4 and min(told.values()) > 2, told


def test_of_a_table_with_a_damaged_block_the_other_blocks_are_saved(tmp_path: Path) -> None:
    con = open_for_writing(tmp_path / "many.duckdb")
    con.execute("INSERT INTO plans SELECT i, hash(i) FROM range(500_000) t(i)")
    con.close()
    size = (tmp_path / "many.duckdb").stat().st_size
    with (tmp_path / "many.duckdb").open("r+b") as file:
        file.seek(size // 2)
        damaged = bytes(byte ^ 0xFF for byte in file.read(8))
        file.seek(size // 2)
        file.write(damaged)
    kept = {one.table: one for one in salvage(tmp_path / "many.duckdb", tmp_path / "saved.duckdb")}["plans"]
    assert kept.held == 500_000 and 350_000 < kept.kept < 500_000
    saved = "SELECT count(*), count(DISTINCT run), bool_and(episode = hash(run::BIGINT)) FROM plans"
    assert rows(tmp_path / "saved.duckdb", saved) == [(kept.kept, kept.kept, True)]


@pytest.mark.parametrize("share", [0.97, 0.6, 0.3])
def test_of_a_file_that_was_cut_off_the_tables_that_are_left_are_saved(
    share: float, db: Path, tmp_path: Path
) -> None:
    whole = content(db)
    os.truncate(db, int(db.stat().st_size * share))
    assert check(db).flaws
    kept = {one.table: one for one in salvage(db, tmp_path / "saved.duckdb")}
    saved = content(tmp_path / "saved.duckdb")
    for table, one in kept.items():
        if one.kept == one.held and table not in ("runs", "meta"):
            assert saved[table] == whole[table], table
    assert any(one.kept != one.held for one in kept.values())


def test_a_file_of_which_nothing_is_left_is_refused_in_one_line(db: Path, tmp_path: Path) -> None:
    os.truncate(db, 5000)
    for attempt in (lambda: check(db), lambda: salvage(db, tmp_path / "saved.duckdb")):
        with pytest.raises(StoreError, match=r"cannot be opened, and nothing read") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir() if "saved" in p.name] == []


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """What a killed process leaves: a file, and a log with ten commits that are not in it yet."""
    con = open_for_writing(tmp_path / "living.duckdb")
    con.execute("CHECKPOINT oversight_db")
    for n in range(10):
        con.execute("INSERT INTO passages VALUES (?, ?)", [n, f"passage {n} " * 50])
    for end in ("", ".wal"):
        shutil.copy(tmp_path / f"living.duckdb{end}", tmp_path / f"left.duckdb{end}")
    con.close()
    return tmp_path / "left.duckdb"


def test_a_log_is_read_with_its_file(logged: Path) -> None:
    assert check(logged).rows["passages"] == 10


def test_a_log_that_breaks_off_is_said(logged: Path) -> None:
    log = Path(f"{logged}.wal")
    os.truncate(log, log.stat().st_size - 30)
    checked = check(logged)
    (flaw,) = [flaw for flaw in checked.flaws if flaw.table == "write-ahead log"]
    assert "breaks off" in flaw.what
    assert checked.rows["passages"] == 9


@pytest.mark.parametrize("place", [0.3, 0.45, 0.5, 0.55, 0.7])
def test_a_damaged_log_is_read_as_far_as_it_goes_and_left_as_it_is(
    place: float, logged: Path, tmp_path: Path
) -> None:
    log = Path(f"{logged}.wal")
    data = bytearray(log.read_bytes())
    data[int(len(data) * place)] ^= 0xFF
    log.write_bytes(data)
    checked = check(logged)
    (flaw,) = [flaw for flaw in checked.flaws if flaw.table == "write-ahead log"]
    assert f"of {len(data):,} bytes" in flaw.what
    assert 0 < checked.rows["passages"] < 10
    salvage(logged, tmp_path / "saved.duckdb")
    there = checked.rows["passages"]
    assert rows(tmp_path / "saved.duckdb", "SELECT count(*) FROM passages") == [(there,)]
    assert log.read_bytes() == bytes(data)


def test_nothing_is_overwritten(db: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(StoreError, match="is there already, and nothing is overwritten"):
        salvage(db, tmp_path / "there")
    with pytest.raises(StoreError, match="no folder"):
        salvage(db, tmp_path / "no" / "saved.duckdb")
    assert (tmp_path / "there").read_text() == "mine"
