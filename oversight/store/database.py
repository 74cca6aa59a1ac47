"""Opening the database file for writing: made, checked, migrated or refused, never misread."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path

import duckdb

from oversight.errors import StoreError
from oversight.store import wal
from oversight.store.memory import in_memory, memory_limit

SCHEMA = 3
CATALOG = "oversight_db"
# DuckDB 2 writes a format that 1.x cannot read unless told; this one opens in both.
STORAGE = "v1.4.0"
ROW_GROUP = 10_240
"""Rows that are compressed together. The last group is written anew at every checkpoint, and held in memory for it:
a group of DuckDB's own 122,880 prompts is 100 MB."""
BLOCK = 131_072
"""Bytes of a new file's blocks, of which each column of a group takes one or more: of DuckDB's own 262,144 most would
be empty, in memory as in the file. Smaller ones scatter what says where all the others are, and a file that is cut
off is lost with that."""
MEMORY = 1
"""GiB that DuckDB may hold in the writing process, for the readers it serves too, if its own bound (four fifths of
the machine) is higher; what is more goes through files beside the database."""


BROKEN = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
"""Errors of DuckDB's that a damaged file may have brought, and no statement."""


class HeldFile(StoreError):
    """A database that another process has open for writing; `pid` is None where it is not known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is open for writing in {who}: wait for that run to end, give both --share to work on it together, "
            "or name another --db"
        )
        self.pid = pid


def attach(con: duckdb.DuckDBPyConnection, path: Path, catalog: str, *options: str) -> None:
    """Attach the DuckDB file at `path`. Left to guess, DuckDB would fetch what opens another kind of file, or what a
    name such as `md:x` stands for."""
    con.execute(f"ATTACH {literal(path.absolute())} AS {catalog} ({', '.join(('TYPE duckdb', *options))})")


def sql_file(name: str) -> str:
    """One of our .sql files: schema.sql, views.sql."""
    return resources.files("oversight.store").joinpath(name).read_text(encoding="utf-8")


def literal(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def open_for_writing(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection whose default catalog is the file, made with our schema if it is not there.

    Raises `StoreError`, in one line with the way out, for a file another process has open, one that
    is not a DuckDB database or not ours, a newer schema, a folder that is missing or read-only.
    """
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise StoreError(f"no folder {folder}: make it, or name another --db")
    refuse_what_is_no_file(path)
    wal.refuse_what_is_left_alone(path)
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise StoreError(f"{path} cannot be written: mend its permissions or name another --db")
    con = in_memory()
    try:
        con.execute("SET allow_persistent_secrets=false")
        con.execute(f"SET default_block_size={BLOCK}")
        if _gibibytes(con) > MEMORY:
            con.execute(f"SET memory_limit='{MEMORY}GiB'")
        con.execute(f"SET temp_directory={literal(f'{path}.tmp')}")
        if wal.log_of(path).exists() and path.exists():  # opened to write, a log is written over
            attach(con, path, CATALOG, "READ_ONLY")
            wal.refuse_what_is_unread(con, CATALOG, path)
            con.execute(f"DETACH {CATALOG}")
        attach(con, path, CATALOG, f"STORAGE_VERSION '{STORAGE}', ROW_GROUP_SIZE {ROW_GROUP}")
        con.execute(f"USE {CATALOG}")
        _prepare(con, path)
    except BaseException as error:
        leave_as_it_is(con)
        con.close()
        if isinstance(error, duckdb.Error):
            raise cannot_open(path, error) from None
        raise
    return con


def leave_as_it_is(con: duckdb.DuckDBPyConnection) -> None:
    """Closing the connection is to write nothing back into its files."""
    with suppress(duckdb.Error):
        con.execute("PRAGMA disable_checkpoint_on_shutdown")


def _gibibytes(con: duckdb.DuckDBPyConnection) -> float:
    """GiB that DuckDB may hold in memory."""
    number, unit = memory_limit(con).split()
    return float(number) * {"KiB": 2**-20, "MiB": 2**-10, "GiB": 1.0, "TiB": 2**10}.get(unit, 0.0)


def refuse_what_is_no_file(path: Path) -> None:
    """Raise `StoreError` for a folder, and for a pipe, socket or device: opening one may wait for ever."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file with --db")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is a pipe, socket or device, not a file: name another --db")


def _prepare(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    check_ours(con, path, CATALOG)
    if tables(con, CATALOG):
        return
    con.execute("BEGIN")
    con.execute(sql_file("schema.sql"))
    con.execute(f"INSERT INTO meta VALUES ('schema', '{SCHEMA}'), ('made_by', {literal(_version())})")
    con.execute(sql_file("views.sql"))
    con.execute("COMMIT")


def tables(con: duckdb.DuckDBPyConnection, catalog: str) -> set[str]:
    """Names of the tables in a catalog."""
    # A literal: the first parameter a process binds makes DuckDB import pandas, a third of a second.
    rows = con.execute(
        f"SELECT table_name FROM duckdb_tables() WHERE database_name = {literal(catalog)}"
    ).fetchall()
    return {name for (name,) in rows}


def _views(con: duckdb.DuckDBPyConnection, catalog: str) -> set[str]:
    rows = con.execute(
        f"SELECT view_name FROM duckdb_views() WHERE database_name = {literal(catalog)} AND NOT internal"
    ).fetchall()
    return {name for (name,) in rows}


@cache
def our_tables() -> frozenset[str]:
    """Names of the tables that a database of ours has."""
    return frozenset(re.findall(r"^CREATE TABLE (\w+)", sql_file("schema.sql"), re.MULTILINE))


def check_ours(con: duckdb.DuckDBPyConnection, path: Path, catalog: str) -> None:
    """Raise `StoreError` unless the attached file is empty or an oversight database we can read."""
    found = tables(con, catalog)
    if not found:
        return
    if "meta" not in found or "episodes" not in found:
        raise StoreError(f"{path} is a DuckDB database but not one of oversight's: name another --db")
    if stands_in := _views(con, catalog) & our_tables():
        raise StoreError(
            f"{path} has a view for the table {min(stands_in)}, which no oversight made, and which may lead to other "
            "files: name another --db"
        )
    row = con.execute(f"SELECT value FROM {catalog}.meta WHERE name = 'schema'").fetchone()
    schema = int(row[0]) if row else 0
    if schema > SCHEMA:
        raise StoreError(
            f"{path} has schema {schema}, written by a newer oversight; this one knows {SCHEMA}: "
            "upgrade with `pip install -U oversight`, or name another --db"
        )
    if schema < SCHEMA:
        raise StoreError(
            f"{path} has schema {schema}, which this oversight no longer reads: name another --db"
        )


def cannot_open(path: Path, error: duckdb.Error) -> StoreError:
    """DuckDB's error on opening, as one line that says what to do."""
    text = str(error)
    if damage := wal.refused(path, error):
        return damage
    if re.search(r"\block\b", text.lower()):
        found = re.search(r"PID (\d+)", text)
        return HeldFile(path, int(found.group(1)) if found else None)
    if (
        "not a valid DuckDB" in text
        or "not a DuckDB" in text
        or "magic bytes" in text.lower()
        or "sqlite" in text
    ):
        return StoreError(f"{path} is not a DuckDB database: name another --db")
    if "newer" in text.lower() and "version" in text.lower():
        return StoreError(
            f"{path} was written by a newer DuckDB than {duckdb.__version__}: `pip install -U duckdb`"
        )
    return _refused(path, "opened", error)


def cannot_read(path: Path, error: BaseException) -> StoreError:
    """The same for an error on reading."""
    return _refused(path, "read", error)


@contextmanager
def damage_told(path: Path, done: str) -> Iterator[None]:
    """Where a block of that file cannot be read, say which file it is."""
    try:
        yield
    except duckdb.Error as error:
        if "Corrupt database file" not in str(error):
            raise
        raise StoreError(
            f"{path} is damaged and nothing was {done}: save what there is, "
            f"oversight check --salvage NEW.duckdb {shlex.quote(str(path))}, and take that"
        ) from None


def _refused(path: Path, what: str, error: BaseException) -> StoreError:
    said = f"{path} cannot be {what}: {first_line(str(error))}"
    if isinstance(error, BROKEN):
        said += "; if it is damaged, `oversight check` says what is left of it"
    return StoreError(said)


def first_line(text: str) -> str:
    """The first line of an error, shortened."""
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return line if len(line) <= 300 else line[:297] + "…"


def _version() -> str:
    from oversight import __version__

    return f"oversight {__version__}, duckdb {duckdb.__version__}"
