"""The one writer: rows are collected, committed in groups, and durable before anybody relies on them.

The event loop adds rows and awaits `durable()`. A thread commits all that has gathered in one transaction,
so a commit follows a reply within milliseconds and there is no timer: while one group is being committed
the next one gathers. It is sent off when the loop has nothing more to add to it, or as soon as it is large:
where thousands of episodes are ready at once, those whose rows are committed go on while others' are.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import os
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import duckdb
import orjson

from oversight.errors import StoreError
from oversight.store.database import (
    CATALOG,
    cannot_read,
    first_line,
    leave_as_it_is,
    literal,
    open_for_writing,
    sql_file,
)
from oversight.store.memory import Reads, forget_blocks, give_back, memory_limit, patiently
from oversight.store.serve import anybody_connected

Row = Sequence[Any]
_Group = tuple[dict[str, list[Row]], list[str], list[asyncio.Future[None]]]

MOST_ROWS, MOST_TEXT = 500, 4_000_000
"""Rows of one statement, and their characters (which DuckDB holds several times over as it reads them); more are
written by several statements in one transaction."""
LITERAL = 100_000
"""Characters that a statement holds itself. DuckDB reads a statement while it keeps Python from running, at some ten
nanoseconds a character; a longer text lies in a file of memory, which it reads beside the loop."""
ENOUGH = 1_000
"""Waiters of a group that is not kept back for more: a commit then costs little beside its rows."""

AT_A_TURN, FEW = 16, 2
"""Of those whose rows are committed, how many go on at one turn of the loop: a turn costs some time itself, but a
reply that comes, and who waits for its place, wait for the turn's end."""
INSTANT = 0.001
"""Seconds below which a call took no time: nobody waits for its place."""

EVERY = 5.0
"""Seconds after which the writer looks again how much of the file DuckDB holds in memory."""


class Writer:
    """Owns the file. `add` and `before` from the event loop only; `close` when done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.con = open_for_writing(path)
        self._written = False
        self._columns = self._types()
        self._prepared: set[str] = set()
        self._page = _Page()
        self._limit, self._looked = memory_limit(self.con), time.monotonic()
        self._rows: dict[str, list[Row]] = {}
        self._first: list[str] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._to_wake: deque[asyncio.Future[None]] = deque()
        self._at_a_turn = AT_A_TURN
        self._waking = False
        self._coming = False
        self._free = True
        self.reads = Reads()
        self._aside = self.con.cursor()  # the writer's thread's own
        self._queue: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed: StoreError | None = None
        self._thread = threading.Thread(target=self._work, name="oversight-writer", daemon=True)
        self._thread.start()

    def _types(self) -> dict[str, list[str]]:
        """The types of each table's columns, in order."""
        rows = self.con.execute(
            "SELECT table_name, list(data_type ORDER BY column_index) FROM duckdb_columns() WHERE database_name = "
            f"{literal(CATALOG)} AND table_name IN (SELECT table_name FROM duckdb_tables()) GROUP BY table_name"
        ).fetchall()
        return dict(rows)

    def _prepare(self, name: str, table: str, source: str) -> None:
        """Have DuckDB plan an insert into a table once: rows come to it as one JSON text, a list for each column,
        from `source`. It raises where a value does not fit its column."""
        types = self._columns[table]
        form = json.dumps({f"c{i}": [_FORMS.get(kind, kind)] for i, kind in enumerate(types)})
        columns = ", ".join(
            f"from_base64(unnest(c{i}))" if kind == "BLOB" else f"unnest(c{i})"
            for i, kind in enumerate(types)
        )
        self.con.execute(
            f"PREPARE {name} AS INSERT INTO {CATALOG}.{table} SELECT {columns} "
            f"FROM (SELECT unnest(from_json_strict(content, {literal(form)})) FROM {source})"
        )
        self._prepared.add(name)

    def add(self, table: str, row: Row) -> None:
        """A row for the next group; its values in the table's column order."""
        rows = self._rows.get(table)
        if rows is None:
            self._rows[table] = [row]
            self._send_soon()
        else:
            rows.append(row)

    def expect(self, seconds: float) -> None:
        """A call took so long; those to come will take about as long."""
        self._at_a_turn = AT_A_TURN if seconds < INSTANT else FEW

    def before(self, statement: str) -> None:
        """A statement to run before the rows of the next group, in the same transaction."""
        self._first.append(statement)

    def durable(self) -> asyncio.Future[None]:
        """Done when everything added until now is committed; each who asks has one of their own. Raises
        `StoreError` if that failed."""
        if self.failed:
            raise self.failed
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        if self._free and len(self._waiting) >= ENOUGH:
            self._send()
        else:
            self._send_soon()
        return done

    def _send_soon(self) -> None:
        """Commit what gathers, one turn of the loop later, so that all that is ready now is one group."""
        if not self._coming and self._free:
            self._coming = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._no_more)

    def _no_more(self) -> None:
        """Send what gathered, unless some are still to go on and add to it."""
        self._coming = False
        if self._free and not self._waking and (self._waiting or self._rows):
            self._send()

    def _send(self) -> None:
        group = (self._rows, self._first, self._waiting)
        self._rows, self._first, self._waiting = {}, [], []
        self._free = False
        self._queue.put(group)

    def _work(self) -> None:
        while (group := self._queue.get()) is not None:
            rows, first, waiting = group
            try:
                self._commit(rows, first)
            except Exception as problem:  # whatever it was, those who wait must hear of it
                self.failed = _as_store_error(self.path, problem)
            assert self._loop is not None
            error = self.failed
            self._free = not error
            try:
                self._loop.call_soon_threadsafe(self._committed, waiting, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            if not error:
                self._forget()

    def _committed(self, waiting: list[asyncio.Future[None]], error: StoreError | None) -> None:
        if error:
            waiting += self._waiting  # nothing is committed any more
            self._waiting = []
            for done in waiting:
                if not done.done():
                    done.set_exception(error)
                    done.exception()  # nobody may be left to hear it: never "exception was never retrieved"
            return
        self._to_wake.extend(waiting)
        if not self._waking:
            self._waking = True
            self._wake()

    def _wake(self) -> None:
        """Let those go on whose rows are committed, a few at each turn of the loop: replies that come meanwhile, and
        the calls that wait for their places, would else wait until all have."""
        if not self._to_wake:
            self._waking = False
            self._no_more()
            return
        for _ in range(min(self._at_a_turn, len(self._to_wake))):
            done = self._to_wake.popleft()
            if not done.done():  # cancelled
                done.set_result(None)
        asyncio.get_running_loop().call_soon(self._wake)

    def _forget(self) -> None:
        """Every few seconds, have DuckDB let go of memory that nobody uses, and of blocks of the file that nobody
        reads."""
        if time.monotonic() - self._looked < EVERY:
            return
        with contextlib.suppress(duckdb.Error):  # it is not worth a run
            with self.reads.none() as alone:
                if not alone:
                    return
                self._looked = time.monotonic()
                if not anybody_connected(self._aside):
                    forget_blocks(self._aside, self._limit)
            give_back(self._aside, self._limit)

    def _commit(self, rows: dict[str, list[Row]], first: list[str]) -> None:
        patiently(lambda: self._try_commit(rows, first))

    def _try_commit(self, rows: dict[str, list[Row]], first: list[str]) -> None:
        con = self.con
        con.execute("BEGIN")
        try:
            if not self._written:
                con.execute(sql_file("views.sql"))
            for statement in first:
                con.execute(statement)
            for table, added in rows.items():
                for at in range(0, len(added), MOST_ROWS):
                    self._write(table, added[at : at + MOST_ROWS])
            con.execute("COMMIT")
            self._written = True
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # where the commit itself failed, DuckDB has rolled back
                con.execute("ROLLBACK")
            raise

    def _write(self, table: str, rows: Sequence[Row]) -> None:
        text = _encoded(list(zip(*rows, strict=True)))
        if len(text) > MOST_TEXT and len(rows) > 1:
            half = len(rows) // 2
            self._write(table, rows[:half])
            self._write(table, rows[half:])
            return
        if len(text) > LITERAL:
            self._page.write(text)
            name, told, source = f"read_{table}", "", f"read_text({literal(self._page.path)})"
        else:
            name, told, source = (
                f"insert_{table}",
                f"({literal(text.decode())})",
                "(SELECT $1::VARCHAR AS content)",
            )
        if name not in self._prepared:
            self._prepare(name, table, source)
        self.con.execute(f"EXECUTE {name}{told}")

    def write_now(self, rows: dict[str, list[Row]], first: list[str] | None = None) -> None:
        """Commit rows at once, from outside the event loop (a run's first and last row)."""
        try:
            self._commit(rows, first or [])
        except duckdb.Error as error:
            self.failed = _as_store_error(self.path, error)
            raise self.failed from None

    def close(self) -> None:
        """Commit what is left and let the file go."""
        self._end_thread()
        try:
            if not self.failed and (self._rows or self._first):
                self._commit(self._rows, self._first)
            with contextlib.suppress(duckdb.TransactionException):  # a reader is at it: all is in the log
                self.con.execute(f"CHECKPOINT {CATALOG}")
        except duckdb.Error as error:
            self.failed = self.failed or _as_store_error(self.path, error)
        finally:
            self._let_go()

    def leave(self) -> None:
        """Let a file go that cannot be read, and its log, as they are."""
        self._end_thread()
        leave_as_it_is(self.con)
        self._let_go()

    def _end_thread(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _let_go(self) -> None:
        self._aside.close()
        self.con.close()
        self._page.close()


class _Page:
    """A text in memory that DuckDB reads as a file; where there is no such memory, a temporary file. Nobody else can
    read it."""

    def __init__(self) -> None:
        try:
            self._file: IO[bytes] = os.fdopen(os.memfd_create("oversight"), "w+b", buffering=0)
            self.path = f"/proc/self/fd/{self._file.fileno()}"
            Path(self.path).stat()
        except (AttributeError, OSError):  # not Linux, or a corner of it
            self._file = tempfile.NamedTemporaryFile(buffering=0)  # noqa: SIM115
            self.path = self._file.name
        self._length = 0

    def write(self, whole: bytes) -> None:
        """Put a text in the place of the one before. Each step lets other threads run, so there are few."""
        at, file = 0, self._file.fileno()
        while at < len(whole):
            at += os.pwrite(file, whole[at:] if at else whole, at)
        if at < self._length:
            os.ftruncate(file, at)
        self._length = at

    def close(self) -> None:
        self._file.close()


_FORMS = {"BLOB": "VARCHAR", "JSON": "VARCHAR"}
"""As what a column's values stand in the JSON text, where that is not their own type."""


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"no column holds a {type(value).__name__}")


def _encoded(columns: Sequence[Sequence[Any]]) -> bytes:
    """Columns as one JSON text. What orjson would write otherwise than Python (an infinity as null, things of classes
    that are none of ours), Python writes or refuses."""
    named = {f"c{i}": column for i, column in enumerate(columns)}
    with contextlib.suppress(TypeError, OverflowError):  # a number beyond 64 bits, half of a surrogate pair
        if all(map(_ordinary, columns)):
            return orjson.dumps(named, _plain, orjson.OPT_PASSTHROUGH_DATETIME)
    return _by_itself(named).encode()


def _ordinary(values: Sequence[Any]) -> bool:
    """Whether both write them alike. Raises `TypeError` for what may be anything."""
    if _ALIKE.issuperset(map(type, values)):
        return True
    return all(
        type(value) in _ALIKE or (_ordinary(value) if isinstance(value, list) else math.isfinite(value))
        for value in values
    )


_ALIKE = frozenset((str, int, bool, type(None), datetime, bytes))


_by_itself = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_plain
).encode


def _as_store_error(path: Path, error: Exception) -> StoreError:
    text = str(error)
    if "No space left" in text or "disk is full" in text.lower() or "Out of disk" in text:
        return StoreError(
            f"the disk of {path} is full: free some space and run the same command again; nothing committed is lost"
        )
    if "Corrupt database file" in text:
        return cannot_read(path, error)
    return StoreError(f"{path} could not be written: {first_line(text)}")
