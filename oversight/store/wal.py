"""The write-ahead log beside a database file: whether all commits in it are read, and what can be saved of it.

DuckDB (1.5) refuses a log in which a checksum is wrong, and passes in silence over all that follows a header or
an entry's length that it cannot make sense of: the next commit then writes over it. So whoever opens a file
looks here first. Commits are counted by the entry that ends each, beside how far DuckDB has read.

After a header, which ends in two bytes 0xff, a log is entries: a length and a checksum (64 bits each,
little-endian) and so many bytes. What a killed process was writing stands at the end, and no entry ends it.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from oversight.errors import StoreError
from oversight.store.memory import in_memory

COMMITTED = re.compile(rb"\x05\x00{7}.{8}d\x00d\xff\xff", re.DOTALL)
"""The entry that ends a commit, which holds nothing else."""

FLIPPED = 8
"""Bytes in which a damaged header may differ from the right one: another database's differs in twice as many."""


@dataclass(frozen=True)
class Log:
    """A log as it is read: its bytes, how many of them are read, the commits in it, and those that are not read."""

    size: int
    read: int
    commits: int
    unread: int


def log_of(path: Path) -> Path:
    """Where a database's log is."""
    return Path(f"{path.resolve()}.wal")


def look(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> Log | None:
    """The log of the file that `con` has attached read-only as `catalog`; None where there is none."""
    log = log_of(path)
    data = log.read_bytes() if log.exists() else b""
    if not data:
        return None
    size = f"SELECT wal_size FROM pragma_database_size() WHERE database_name = '{catalog}'"
    read = 0 if con.execute(size).fetchall()[0][0] == "0 bytes" else _end_of_entries(data)
    return _counted(data, read)


def refuse_what_is_unread(con: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Raise `StoreError` where DuckDB has passed over commits in the log of the file it has attached."""
    log = look(con, catalog, path)
    if log is not None and log.unread:
        raise StoreError(
            _damaged(path, f"{log.unread:,} of the {log.commits:,} commits in it cannot be read")
        )


def refuse_what_is_left_alone(path: Path) -> None:
    """Raise `StoreError` for a log whose file is not there: DuckDB would make the file anew and remove the log."""
    log = log_of(path)
    if not path.exists() and log.exists() and log.stat().st_size:
        raise StoreError(
            f"{path} is not there but its write-ahead log {log} is, with what a run committed last: bring the file back "
            "under that name, or move the log to where the file went"
        )


def is_about_a_log(error: duckdb.Error) -> bool:
    """Whether DuckDB refuses a file because of its log."""
    return "replaying WAL file" in str(error) or "This WAL was created" in str(error)


def refused(path: Path, error: duckdb.Error) -> StoreError | None:
    """DuckDB's refusal of a log, as one line that says what to do; None where something else is the matter."""
    text = str(error)
    if not is_about_a_log(error):
        return None
    if other := _belongs_elsewhere(text):
        return StoreError(
            f"{path}.wal is {other}, so it was not read and nothing was changed: move it away, or bring back the "
            "file that it was written for"
        )
    log, found = log_of(path), re.search(r"entry at byte position (\d+)", text)
    data = log.read_bytes() if log.exists() else b""
    seen = _counted(data, int(found[1]) if found else 0)
    return StoreError(_damaged(path, f"{seen.unread:,} of the {seen.commits:,} commits in it cannot be read"))


def _belongs_elsewhere(text: str) -> str:
    if "does not match database file" in text:
        return "the write-ahead log of another database"
    return (
        "the write-ahead log of an older or newer state of this file"
        if "checkpoint iteration" in text
        else ""
    )


def _damaged(path: Path, what: str) -> str:
    return (
        f"the write-ahead log {path}.wal is damaged: {what}. Nothing was changed; writing to the file would lose "
        f"them. Save what there is, oversight check --salvage NEW.duckdb {shlex.quote(str(path))}, and go on with "
        "--db NEW.duckdb"
    )


def _counted(data: bytes, read: int) -> Log:
    ends = [found.end() for found in COMMITTED.finditer(data)]
    return Log(len(data), read, len(ends), sum(end > read for end in ends))


def _end_of_header(data: bytes) -> int:
    return data.find(b"\xff\xff") + 2


def _end_of_entries(data: bytes) -> int:
    """Where the last entry ends that is all there."""
    at = _end_of_header(data)
    while (
        at + 16 <= len(data)
        and 0 < (size := int.from_bytes(data[at : at + 8], "little")) <= len(data) - at - 16
    ):
        at += 16 + size
    return at


# what can be saved


def readable(path: Path, folder: Path, error: duckdb.Error | None) -> tuple[Path, Log, bool]:
    """The file under another name in `folder`, beside the longest beginning of its log that DuckDB takes; what of
    the log that is, and whether its header had to be made anew. `error` is what DuckDB says of the log, if anything.
    """
    file, cut = folder / "linked.duckdb", folder / "linked.duckdb.wal"
    try:
        file.hardlink_to(path.resolve())  # not a symbolic one, of which DuckDB would find the log
    except OSError:  # the temporary folder is on another disk
        shutil.copy(path, file)
    data, mended = log_of(path).read_bytes(), False
    good = _longest(data, file, cut)
    if good == 0 and not (error and _belongs_elsewhere(str(error))):
        header = _header_for(file, folder)
        if sum(a != b for a, b in zip(data, header, strict=False)) <= FLIPPED:
            data = header + data[len(header) :]
            good = _longest(data, file, cut)
            mended = good > 0
    if good == 0:
        cut.unlink(missing_ok=True)
    else:
        cut.write_bytes(data[:good])
    return file, _counted(data, good), mended


def _longest(log: bytes, file: Path, cut: Path) -> int:
    """How many bytes DuckDB reads of the longest beginning that it takes.

    One that breaks off is read up to its last whole commit, so the longest is found by halving.
    """

    def reads(size: int) -> int | None:
        cut.write_bytes(log[:size])
        try:
            with in_memory() as con:
                con.execute(f"ATTACH {_literal(file)} AS looked_at (READ_ONLY)")
                found = look(con, "looked_at", file)
        except duckdb.Error:
            return None
        return found.read if found else 0

    good, bad = 0, len(log) + 1
    while bad - good > 1:
        middle = len(log) if bad > len(log) else (good + bad) // 2
        good, bad = (good, middle) if reads(middle) is None else (middle, bad)
    return reads(good) or 0


def _header_for(file: Path, folder: Path) -> bytes:
    """The header that DuckDB gives a log of this file, found by writing to a copy."""
    copy = folder / "copy.duckdb"
    shutil.copy(file, copy)
    with in_memory() as con:
        con.execute(f"ATTACH {_literal(copy)} AS copied")
        con.execute("CREATE TABLE copied.written (nothing INTEGER)")
        log = log_of(copy).read_bytes()
    return log[: _end_of_header(log)]


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
