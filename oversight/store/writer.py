"""The one writer: rows are collected, committed in groups, and durable before anybody relies on them.

The event loop adds rows and awaits `durable()`. A thread takes all that has gathered whenever it is
free and commits it in one transaction, so a commit follows a reply within milliseconds and there is
no timer: while one group is being committed the next one gathers.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import StoreError
from oversight.store.database import CATALOG, first_line, open_for_writing

Row = Sequence[Any]
_Group = tuple[dict[str, list[Row]], list[tuple[str, list[Any]]], asyncio.Future[None] | None]


class Writer:
    """Owns the file. `add` and `before` from the event loop only; `close` when done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.con = open_for_writing(path)
        self._insert = self._statements()
        self._rows: dict[str, list[Row]] = {}
        self._first: list[tuple[str, list[Any]]] = []
        self._waiting: asyncio.Future[None] | None = None
        self._busy = False
        self._queue: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed: StoreError | None = None
        self._thread = threading.Thread(target=self._work, name="oversight-writer", daemon=True)
        self._thread.start()

    def _statements(self) -> dict[str, str]:
        rows = self.con.execute(
            "SELECT table_name, list(data_type ORDER BY column_index) FROM duckdb_columns() "
            "WHERE database_name = ? AND table_name IN (SELECT table_name FROM duckdb_tables()) GROUP BY table_name",
            [CATALOG],
        ).fetchall()
        made = {}
        for table, types in rows:
            columns = ", ".join(f"unnest(${i}::{kind}[])" for i, kind in enumerate(types, start=1))
            made[table] = f"INSERT INTO {CATALOG}.{table} SELECT {columns}"
        return made

    def add(self, table: str, row: Row) -> None:
        """A row for the next group; its values in the table's column order."""
        rows = self._rows.get(table)
        if rows is None:
            self._rows[table] = [row]
            self._soon()
        else:
            rows.append(row)

    def before(self, statement: str, values: list[Any]) -> None:
        """A statement to run before the rows of the next group, in the same transaction."""
        self._first.append((statement, values))

    def durable(self) -> asyncio.Future[None]:
        """Done when everything added until now is committed. Raises `StoreError` if that failed."""
        if self.failed:
            raise self.failed
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            self._soon()
        return self._waiting

    def _soon(self) -> None:
        """Commit what gathers, one turn of the loop later, so that all that is ready now is one group."""
        if not self._busy:
            self._busy = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        group = (self._rows, self._first, self._waiting)
        self._rows, self._first, self._waiting = {}, [], None
        self._queue.put(group)

    def _work(self) -> None:
        while (group := self._queue.get()) is not None:
            rows, first, done = group
            error: StoreError | None = None
            try:
                self._commit(rows, first)
            except Exception as problem:  # whatever it was, those who wait must hear of it
                error = self.failed = _as_store_error(self.path, problem)
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._committed, done, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _committed(self, done: asyncio.Future[None] | None, error: StoreError | None) -> None:
        if done is not None and not done.done():
            if error:
                done.set_exception(error)
                done.exception()  # several may wait or none: never "exception was never retrieved"
            else:
                done.set_result(None)
        if (self._waiting is not None or self._rows) and not self.failed:
            assert self._loop is not None
            self._loop.call_soon(self._send)
        else:
            self._busy = False
            if self._waiting is not None and self.failed:
                self._waiting.set_exception(self.failed)
                self._waiting.exception()

    def _commit(self, rows: dict[str, list[Row]], first: list[tuple[str, list[Any]]]) -> None:
        con = self.con
        con.execute("BEGIN")
        try:
            for statement, values in first:
                con.execute(statement, values)
            for table, added in rows.items():
                con.execute(self._insert[table], [list(column) for column in zip(*added, strict=True)])
            con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # where the commit itself failed, DuckDB has rolled back
                con.execute("ROLLBACK")
            raise

    def write_now(self, rows: dict[str, list[Row]], first: list[tuple[str, list[Any]]] | None = None) -> None:
        """Commit rows at once, from outside the event loop (a run's first and last row)."""
        try:
            self._commit(rows, first or [])
        except duckdb.Error as error:
            raise _as_store_error(self.path, error) from None

    def close(self) -> None:
        """Commit what is left and let the file go."""
        self._queue.put(None)
        self._thread.join()
        try:
            if not self.failed and (self._rows or self._first):
                self._commit(self._rows, self._first)
            self.con.execute(f"CHECKPOINT {CATALOG}")
        except duckdb.Error as error:
            self.failed = self.failed or _as_store_error(self.path, error)
        finally:
            self.con.close()


def _as_store_error(path: Path, error: Exception) -> StoreError:
    text = str(error)
    if "No space left" in text or "disk is full" in text.lower() or "Out of disk" in text:
        return StoreError(
            f"the disk of {path} is full: free some space and run the same command again; nothing committed is lost"
        )
    return StoreError(f"{path} could not be written: {first_line(text)}")
