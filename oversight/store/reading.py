"""Reading the database, whether or not a run is writing it: one `Reader`, the same SQL.

Where nobody has the file open it is opened read-only, in a DuckDB that can reach no other file. Where a run
has it open, the run is asked over the quack server of `serve.py`, which executes the statement in its own
process. Either way only statements that read pass, and every failure is a `StoreError` of one line.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import duckdb

from oversight.errors import StoreError
from oversight.store import wal
from oversight.store.database import (
    BROKEN,
    CATALOG,
    attach,
    cannot_open,
    cannot_read,
    check_ours,
    first_line,
    literal,
    refuse_what_is_no_file,
)
from oversight.store.memory import in_memory
from oversight.store.parameters import Params, inlined
from oversight.store.serve import (
    FILTER,
    HOST,
    CannotServe,
    Note,
    address,
    filter_sql,
    load_quack,
    note_path,
    read_note,
    withdraw,
)
from oversight.store.unsorted import unsorted

T = TypeVar("T")
Fetch = Callable[[duckdb.DuckDBPyConnection], T]
_Answer = queue.SimpleQueue[tuple[T | None, Exception | None]]

LIVE = "live"
WHEELS = "duckdb==1.5.5 duckdb-extension-quack==1.5.5 duckdb-extension-httpfs==1.5.5"
"""The newest DuckDB whose extensions are on PyPI."""

PATIENCE = 1.5
"""Seconds to wait for a run that has the file open and is about to serve it, or about to close it."""

REFUSED = "a query may only read this database: no other files, no settings, nothing that changes anything"


@dataclass(frozen=True)
class Table:
    """A query's result: column names, DuckDB type names, and rows in order."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


def open_reader(path: str | Path, patience: float = PATIENCE) -> Reader:
    """Open the database at `path` for reading; use as a context manager. `patience`: seconds to wait for whoever
    has the file open and does not say yet, or no more, that it can be asked.

    While a reader has the file open directly (`reader.live` is false) no run can start on it, so close it
    soon. Raises StoreError where the file is missing, is no database of ours, or is being written by a
    process that offers no reading.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"no database at {path}: name another --db, or make one with a run")
    refuse_what_is_no_file(path)
    if not os.access(path, os.R_OK):
        raise StoreError(f"{path} cannot be read: permission denied")
    return Reader(path, patience)


class Reader:
    """An open database. Ask it with `sql`; threads may share it, one question is answered at a time."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self.path, self.patience = path, patience
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None
        self._con, self._port = _open(path, patience)

    @property
    def live(self) -> bool:
        """Whether a run answers, rather than the file itself."""
        return self._port is not None

    def sql(self, query: str, params: Params = None, timeout: float | None = None) -> Table:
        """Run one reading statement and fetch all its rows.

        `params` are for `?` and `$1` (a sequence) or `$name` (a mapping). After `timeout` seconds a
        StoreError is raised; a file opened directly then stops work, while a run works the statement to
        its end: quack 1.5 has no way to cancel it.
        """
        return self._ask(query, params, timeout, _table)

    def execute(
        self, query: str, params: Params = None, timeout: float | None = None
    ) -> duckdb.DuckDBPyConnection:
        """As `sql`, but returns DuckDB's cursor (`fetchall`, `df`), to be emptied before the next query."""
        return self._ask(query, params, timeout, lambda con: con)

    def first(self, query: str, most: int, timeout: float | None = None) -> Table:
        """As `sql`, but at most so many rows: DuckDB works out no more than it must to know them."""
        with self._lock:
            if self._con is None:
                self._con, self._port = _open(self.path, self.patience)
            _must_read(self._con, query)
            plain = unsorted(self._con, query.strip().rstrip(";"))
        try:
            described = self.sql(f"DESCRIBE {plain}", timeout=timeout).rows
        except StoreError:  # no SELECT (SHOW, EXPLAIN), or wrong: then this says so
            return self._ask(query, None, timeout, lambda con: _table(con, most))
        table = self.sql(f"SELECT * FROM (\n{plain}\n) LIMIT {most}", timeout=timeout)
        return Table([name for name, *_ in described], table.types, table.rows)  # two of one name keep it

    def batches(self, query: str, timeout: float | None = None, size: int = 10_000) -> Iterator[Table]:
        """As `sql`, a part of the rows at a time; at least one part, which may have none. Only one such query at a
        time, and no other before it is done."""
        until = None if timeout is None else time.monotonic() + timeout
        con = self.execute(query, timeout=timeout)
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            with self._lock:
                try:
                    part = self._wait(con, lambda: _table(con, size), left)
                except duckdb.Error as error:
                    raise self._refused(error) from None
            yield part
            if len(part.rows) < size:
                return

    def columns(self, query: str, params: Params = None, timeout: float | None = None) -> dict[str, Any]:
        """As `sql`, but the result as numpy arrays by column name, each of shape (rows,): masked where a column holds
        NULLs, of Python objects where it holds text or lists. For results of many rows."""
        return self._ask(query, params, timeout, lambda con: con.fetchnumpy())

    def fetch_all(self, out: Path) -> None:
        """Copy all tables of a run that is writing into the table `fetched` of a new file, as they are at one
        moment: a column for each table, in which a row of it is a STRUCT. Raises `StoreError`."""
        tables = [
            table
            for (table,) in self.sql(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1", [CATALOG]
            ).rows
        ]
        whole = " UNION ALL BY NAME ".join(f"SELECT {table} FROM {table}" for table in tables)
        with self._lock:
            assert self._con is not None
            self._con.execute(f"ATTACH {literal(out)} AS fetched")
            into = f"CREATE TABLE fetched.fetched AS FROM quack_query_by_name('{LIVE}', {literal(whole)})"
            try:
                self._con.execute(into)
            except duckdb.Error as error:
                raise StoreError(
                    f"the run that writes {self.path} ended meanwhile, or cannot be asked: "
                    f"{first_line(str(error))}; make the backup again"
                ) from None
            self._con.execute("DETACH fetched")

    def close(self) -> None:
        """Let go of the file, or of the run."""
        if self._con is not None:
            self._con.close()
            self._con = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, query: str, params: Params, timeout: float | None, fetch: Fetch[T]) -> T:
        with self._lock:
            for _ in range(2):
                if self._con is None:
                    self._con, self._port = _open(self.path, self.patience)
                _must_read(self._con, query)
                asked = unsorted(self._con, query)
                try:
                    if self.live:
                        asked = inlined(self._con, asked, params)
                        return self._wait(self._con, _through_run(self._con, asked, fetch), timeout)
                    return self._wait(self._con, _directly(self._con, asked, params, fetch), timeout)
                except duckdb.Error as error:
                    text = first_line(str(error))
                    if self.live and "Authorization failed" in text:
                        raise StoreError(REFUSED) from None
                    if not (self.live and "Failed to send message" in text):
                        raise self._refused(error) from None
                    self.close()  # the run has ended, or died: the file is free, or another run has it
            raise StoreError(f"the run that writes {self.path} stopped answering: try again")

    def _refused(self, error: duckdb.Error) -> StoreError:
        if isinstance(error, BROKEN):
            return cannot_read(self.path, error)
        return StoreError(re.sub(r"^[A-Z][\w ]* Error: ", "", first_line(str(error))))

    def _wait(self, con: duckdb.DuckDBPyConnection, work: Callable[[], T], timeout: float | None) -> T:
        """What the work gives; stopped where it takes too long, or by Ctrl-C."""
        answer, worker = _asked(work)
        try:
            told = answer.get(timeout=timeout)
        except BaseException as stopped:
            if not self.live:
                _stop(con, worker)
                if isinstance(stopped, queue.Empty):
                    raise StoreError(f"stopped: no answer within {timeout} s") from None
                raise
            self._con = None  # its session is busy until the run is done with the statement: ask on a new one
            # A process that ends while DuckDB waits in a thread may crash on its way out.
            for _ in range(50):
                _hang_up(self._port)  # again, because it may have been about to connect
                worker.join(0.1)
                if not worker.is_alive():
                    break
            if isinstance(stopped, queue.Empty):
                raise StoreError(f"no answer within {timeout} s; the run still works on it") from None
            raise
        return _told(told)


def _table(con: duckdb.DuckDBPyConnection, most: int | None = None) -> Table:
    description = con.description or ()
    return Table(
        [column[0] for column in description],
        [str(column[1]) for column in description],
        con.fetchall() if most is None else con.fetchmany(most),
    )


def _through_run(con: duckdb.DuckDBPyConnection, query: str, fetch: Fetch[T]) -> Callable[[], T]:
    return lambda: fetch(con.execute(f"FROM quack_query_by_name('{LIVE}', ?)", [query]))


def _directly(con: duckdb.DuckDBPyConnection, query: str, params: Params, fetch: Fetch[T]) -> Callable[[], T]:
    refused = con.execute(f"SELECT NOT {FILTER}('', {literal(query)})").fetchall()[0][0]
    if refused:
        raise StoreError(REFUSED)
    whole = inlined(con, query, params)
    return lambda: fetch(con.execute(whole))


def _asked(work: Callable[[], T]) -> tuple[_Answer[T], threading.Thread]:
    """Have it done in a thread of its own: one that waits inside DuckDB hears no Ctrl-C."""
    answer: _Answer[T] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((work(), None))
        except Exception as error:  # it is raised again, in the thread that asked
            answer.put((None, error))

    worker = threading.Thread(target=run, name="oversight reader", daemon=True)
    worker.start()
    return answer, worker


def _told(answer: tuple[T | None, Exception | None]) -> T:
    result, error = answer
    if error is not None:
        raise error
    return cast(T, result)


def _stop(con: duckdb.DuckDBPyConnection, worker: threading.Thread) -> None:
    """Interrupt a statement until it has ended: again, because it may not have begun."""
    while worker.is_alive():
        con.interrupt()
        worker.join(0.05)


def _must_read(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Refuse by the kind of the parsed statement, with a message that names it."""
    if "\0" in query:
        raise StoreError("a query cannot hold a null character")
    try:
        query.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise StoreError("a query must be UTF-8 text") from None
    try:
        kinds = [statement.type.name for statement in con.extract_statements(query)]
    except duckdb.Error as error:
        raise StoreError(first_line(str(error))) from None
    other = next((kind for kind in kinds if kind not in ("SELECT", "EXPLAIN")), None)
    if other == "CREATE" and re.match(r"\s*(pivot|with|from|select)\b", query, re.IGNORECASE):
        raise StoreError("list the values of PIVOT: PIVOT t ON column IN ('a', 'b') USING …")
    if other:
        raise StoreError(
            f"only statements that read are allowed here (SELECT, DESCRIBE, EXPLAIN), not {other}"
        )
    if len(kinds) != 1:
        raise StoreError(f"one statement at a time, not {len(kinds)}")


def _open(path: Path, patience: float) -> tuple[duckdb.DuckDBPyConnection, int | None]:
    """A connection to read `path` through, and the port where it leads to a run.

    The file is tried first: only where somebody holds it is the note beside it worth believing, so the token
    of a run that crashed is never sent to whoever has its port now.
    """
    until = time.monotonic() + patience
    while True:
        try:
            con = _open_file(path)
        except duckdb.Error as error:
            held = held_by(str(error))
            if held is None:
                raise cannot_open(path, error) from None
        else:
            _clear(path)
            return con, None
        note = read_note(note_path(path))
        final, why, then = False, "it offers no reading", ""
        if note is not None and note.port is not None:
            try:
                return _open_live(note), note.port
            except CannotServe as error:
                final, why, then = True, f"here {error}", f", or `pip install {WHEELS}`"
            except duckdb.Error:
                why = "it does not answer"
        elif note is not None:
            final, why, then = True, f"there {note.reason}", f", or for the next run `pip install {WHEELS}`"
        if final or time.monotonic() > until:
            raise StoreError(
                f"{held} has {path} open, and cannot be asked ({why}): wait until it has ended{then}"
            )
        time.sleep(0.1)


def _hang_up(port: int | None) -> None:
    """Break this process's connections to the run, so that a thread waiting for an answer returns.

    Quack offers no timeout and DuckDB does not show its socket, so it is looked for. Where the system does
    not list open files (Windows) the thread waits on.
    """
    if not Path("/dev/fd").is_dir():
        return
    for file in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        with contextlib.suppress(OSError):  # not a socket, not connected, or closed since it was listed
            copy = os.dup(file)
            try:
                with socket.socket(fileno=copy) as line:
                    copy = -1
                    if line.family == socket.AF_INET and line.getpeername() == (HOST, port):
                        line.shutdown(socket.SHUT_RDWR)
            finally:
                if copy >= 0:
                    os.close(copy)


def _clear(path: Path) -> None:
    """Remove the note of a writer that is gone, as is certain while we hold the file."""
    note = read_note(note_path(path))
    if note is not None:
        with contextlib.suppress(OSError):  # a folder we may only read: the note misleads nobody
            withdraw(note_path(path), note)


def held_by(error: str) -> str | None:
    """Who has the file open, out of DuckDB's message; None where that is not the trouble."""
    if "Unique file handle conflict" in error:
        return "this process"
    if "Could not set lock" not in error and "being used by another process" not in error:
        return None
    found = re.search(r"PID (\d+)", error)
    return f"another process (pid {found.group(1)})" if found else "another process"


def closed() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that fetches nothing by itself and takes no Python variable for a table."""
    return in_memory(
        {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "allow_persistent_secrets": "false",
        }
    )


def _open_live(note: Note) -> duckdb.DuckDBPyConnection:
    con = closed()
    try:
        load_quack(con)
        con.execute(
            f"ATTACH '{address(note.port)}' AS {LIVE} (TYPE quack, TOKEN {literal(note.token or '')})"
        )
        con.execute(f"FROM quack_query_by_name('{LIVE}', 'USE {CATALOG}')")
    except BaseException:
        con.close()
        raise
    return con


def _open_file(path: Path) -> duckdb.DuckDBPyConnection:
    con = closed()
    try:
        attach(con, path, CATALOG, "READ_ONLY")
        wal.refuse_what_is_unread(con, CATALOG, path)
        check_ours(con, path, CATALOG)
        con.execute(f"CREATE MACRO {FILTER}(sid, query) AS ({filter_sql(con)})")
        con.execute(f"USE {CATALOG}")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
    except BaseException:
        con.close()
        raise
    return con
