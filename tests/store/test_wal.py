"""A damaged write-ahead log: said in one line by whoever opens the file, never written over, and mostly saved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from support import rows

from oversight.errors import StoreError
from oversight.question import content_key
from oversight.store.check import check, salvage
from oversight.store.database import CATALOG, open_for_writing
from oversight.store.reading import open_reader

COMMITS = 10
COUNT = "SELECT count(*) FROM passages"


def written(folder: Path, name: str, commits: int = COMMITS) -> Path:
    """What a killed process leaves: a file without a row, and a log with one passage a commit."""
    con = open_for_writing(folder / "living.duckdb")
    con.execute(f"CHECKPOINT {CATALOG}")
    for n in range(commits):
        text = f"passage {n} of {name} " * 50
        con.execute("INSERT INTO passages VALUES (?, ?)", [content_key("passage", text), text])
    for end in ("", ".wal"):
        shutil.copy(folder / f"living.duckdb{end}", folder / f"{name}.duckdb{end}")
    con.close()
    (folder / "living.duckdb").unlink()
    return folder / f"{name}.duckdb"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("source"), "db")


@pytest.fixture
def db(source: Path, tmp_path: Path) -> Path:
    for end in ("", ".wal"):
        shutil.copy(f"{source}{end}", tmp_path / f"db.duckdb{end}")
    return tmp_path / "db.duckdb"


def log(db: Path) -> Path:
    return Path(f"{db}.wal")


def flip(db: Path, place: int, mask: int = 0xFF) -> None:
    data = bytearray(log(db).read_bytes())
    data[place] ^= mask
    log(db).write_bytes(data)


def header_of(db: Path) -> int:
    return log(db).read_bytes().find(b"\xff\xff") + 2


def believed(db: Path) -> int | None:
    """How many passages DuckDB alone would go on with; None where it refuses."""
    try:
        with duckdb.connect(str(db), read_only=True) as con:
            return int(con.execute(COUNT).fetchall()[0][0])
    except duckdb.Error:
        return None


def refusals(db: Path) -> list[str]:
    """What those say that open a damaged file, which leave every byte and file as it was."""
    before = {p.name: p.read_bytes() for p in db.parent.iterdir()}
    said = []
    for attempt in (open_for_writing, open_reader):
        with pytest.raises(StoreError) as refused:
            attempt(db)
        said.append(str(refused.value))
    assert {p.name: p.read_bytes() for p in db.parent.iterdir()} == before
    assert all("\n" not in line and f"{db}.wal" in line for line in said)
    return said


def test_every_byte_of_the_header_that_is_wrong_is_noticed(db: Path) -> None:
    whole = log(db).read_bytes()
    silent = 0
    for place in range(header_of(db)):
        log(db).write_bytes(whole)
        flip(db, place)
        silent += believed(db) == 0
        for line in refusals(db):
            assert (
                f"{COMMITS} of the {COMMITS} commits in it cannot be read" in line
                or "another database" in line
                or "older or newer state" in line
            ), (place, line)
    assert silent > 20, "DuckDB passes over a damaged header: if it does no longer, this is no test"


@pytest.mark.parametrize("place", [0, 4, -1, -2, -4])  # at its beginning, and before its end
def test_under_a_damaged_header_all_commits_are_saved(place: int, db: Path, tmp_path: Path) -> None:
    flip(db, place % header_of(db))
    bad = log(db).read_bytes()
    checked = check(db)
    (flaw,) = checked.flaws
    assert flaw.table == "write-ahead log" and f"; 0 of the {COMMITS} commits in it are lost" in flaw.what
    assert checked.rows["passages"] == COMMITS
    salvage(db, tmp_path / "new.duckdb")
    assert rows(tmp_path / "new.duckdb", COUNT) == [(COMMITS,)]
    assert log(db).read_bytes() == bad
    open_for_writing(tmp_path / "new.duckdb").close()


def entries(db: Path) -> list[int]:
    """Where each entry of the log begins."""
    data, at, found = log(db).read_bytes(), header_of(db), []
    while at < len(data):
        found.append(at)
        at += 16 + int.from_bytes(data[at : at + 8], "little")
    assert at == len(data)
    return found


@pytest.mark.parametrize("share", [0.25, 0.5, 0.95])
@pytest.mark.parametrize("byte", [1, 12, 20])  # of an entry's length, of its checksum, of its content
def test_a_byte_in_the_middle_costs_the_commits_from_there_on_and_they_are_counted(
    share: float, byte: int, db: Path, tmp_path: Path
) -> None:
    found = entries(db)
    flip(db, found[int(share * len(found))] + byte)
    silent = believed(db)
    assert (silent is not None) == (byte == 1), "DuckDB passes over what follows a wrong length"
    checked = check(db)
    kept = checked.rows["passages"]
    assert 0 < kept < COMMITS and silent in (None, kept)
    (flaw,) = checked.flaws
    assert f"{COMMITS - kept} of the {COMMITS} commits in it are lost" in flaw.what
    for line in refusals(db):
        assert f"{COMMITS - kept} of the {COMMITS} commits in it cannot be read" in line
        assert f"oversight check --salvage NEW.duckdb {db}" in line
    salvage(db, tmp_path / "new.duckdb")
    assert rows(tmp_path / "new.duckdb", COUNT) == [(kept,)]


@pytest.mark.parametrize("missing", [1, 30, 300])
def test_what_a_killed_process_was_writing_is_no_damage(missing: int, db: Path) -> None:
    os.truncate(log(db), log(db).stat().st_size - missing)
    (flaw,) = check(db).flaws
    assert "breaks off" in flaw.what
    con = open_for_writing(db)
    assert con.execute(COUNT).fetchall() == [(COMMITS - 1,)]
    con.close()


@pytest.mark.parametrize("left", [0, 1, 20, 60])
def test_a_log_with_no_whole_commit_holds_nothing_to_lose(left: int, db: Path) -> None:
    os.truncate(log(db), left)
    con = open_for_writing(db)
    con.execute("INSERT INTO passages VALUES (?, 'x')", [content_key("passage", "x")])
    con.close()
    assert rows(db, COUNT) == [(1,)] and check(db).flaws == ()


def test_zeros_over_the_beginning_are_noticed(db: Path) -> None:
    data = log(db).read_bytes()
    log(db).write_bytes(bytes(200) + data[200:])
    assert believed(db) == 0
    for line in refusals(db):
        assert f"{COMMITS} of the {COMMITS} commits in it cannot be read" in line
    assert f"{COMMITS} of the {COMMITS} commits in it are lost" in check(db).flaws[0].what


def test_the_log_of_another_database_is_said_to_be_one(db: Path, tmp_path: Path) -> None:
    other = written(tmp_path, "other", 3)
    shutil.copy(log(other), log(db))
    for line in refusals(db):
        assert "is the write-ahead log of another database" in line and "move it away" in line
    checked = check(db)
    assert "3 of the 3 commits in it are lost" in checked.flaws[0].what and checked.rows["passages"] == 0


def test_the_log_of_an_earlier_state_is_said_to_be_one(db: Path) -> None:
    old = log(db).read_bytes()
    open_for_writing(db).close()  # reads the log into the file
    assert not log(db).exists()
    log(db).write_bytes(old)
    for line in refusals(db):
        assert "an older or newer state of this file" in line
    assert check(db).rows["passages"] == COMMITS


def test_without_its_log_a_file_is_what_it_was_when_the_log_began(db: Path) -> None:
    log(db).unlink()  # nothing tells that there was one
    assert check(db).flaws == () and check(db).rows["passages"] == 0


def test_a_run_and_a_report_say_it_in_one_line(db: Path) -> None:
    flip(db, 0)
    model = "simulated/judge"
    for command in (
        ["run", "direct", "--task", "dossier", "--judge", model, "--limit", "1", "--db", str(db)],
        ["report", "--db", str(db)],
        ["check", str(db)],
    ):
        done = subprocess.run([sys.executable, "-m", "oversight", *command], capture_output=True, text=True)
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr
        told = done.stdout if command[0] == "check" else done.stderr
        assert "write-ahead log" in told and f"of the {COMMITS} commits" in told
        assert "oversight check --salvage NEW.duckdb" in told
        if command[0] != "check":
            assert told.count("\n") == 1


def test_a_log_whose_file_was_moved_away_is_not_removed(tmp_path: Path) -> None:
    """As after a kill and `mv db.duckdb old.duckdb`: the log has what was committed last."""
    db, old = tmp_path / "db.duckdb", tmp_path / "old.duckdb"
    dying = (
        "import os, sys; from pathlib import Path; from oversight.store.database import open_for_writing; "
        "con = open_for_writing(Path(sys.argv[1])); con.execute('INSERT INTO labels VALUES (1, 0)'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", dying, str(db)], check=False)
    db.rename(old)
    log = Path(f"{db}.wal").read_bytes()
    with pytest.raises(StoreError, match=r"db.duckdb is not there but its write-ahead log"):
        open_for_writing(db)
    assert not db.exists() and Path(f"{db}.wal").read_bytes() == log
    Path(f"{db}.wal").rename(f"{old}.wal")
    open_for_writing(old).close()
    assert rows(old, "FROM labels") == [(1, 0)]
    open_for_writing(db).close()
