"""Replies that are in the file, found again: those of late in memory, the others by few queries, beside the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import StoreError
from oversight.models.interface import Completion
from oversight.recent import Recent
from oversight.store.database import CATALOG, cannot_read
from oversight.store.memory import Reads, patiently

LATELY = 10_000_000
"""Characters of replies that are remembered, twice over: judges of one debate play it within a short time of each
other."""
AT_ONCE = 10_000
"""Rows of which DuckDB, given their places, unpacks only what holds them; without, all of the table."""

_COLUMNS = (
    "call, model, messages, text, private, stop_reason, scores, token_ids, logprobs, prompt_tokens, completion_tokens, "
    "cached_tokens, cost, provider_id, cache_write_tokens, reasoning_tokens, unlisted, served, notes"
)

_Row = tuple[Any, ...]
_Kept = tuple[int, list[int], Completion]


class Replies:
    """Looks calls up by their keys. All but what its own thread does on the event loop."""

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path, reads: Reads) -> None:
        self._con, self._path, self._reads = con.cursor(), path, reads
        with suppress(duckdb.CatalogException):  # it is only quicker so
            self._con.execute(f"SET dynamic_or_filter_threshold = {AT_ONCE}")
        self._lately: Recent[int, _Kept] = Recent(_size, LATELY)
        self._wanted: dict[int, asyncio.Future[_Row | None]] = {}
        self._asking = False
        self._thread = ThreadPoolExecutor(1, "oversight-reader")

    def keep(self, key: int, model: int, messages: Sequence[int], completion: Completion) -> None:
        """Remember for a while what a call that is committed came to."""
        self._lately.put(key, (model, list(messages), completion))

    async def get(self, key: int, model: int, messages: Sequence[int]) -> Completion | None:
        """What a call came to; None where it is not in the file. Raises `StoreError` for one of another model or
        prompt, and where the file cannot be read."""
        kept = self._lately.find(key)
        if kept is None:
            row = await self._row_of(key)
            if row is None:
                return None
            kept = self._lately.put(key, (row[1], list(row[2]), _completion(row)))
        if kept[:2] != (model, list(messages)):
            raise StoreError(
                f"two calls in {self._path} share the key {key:016x}: please report this; use a new --db"
            )
        return kept[2]

    async def _row_of(self, key: int) -> _Row | None:
        future = self._wanted.get(key)
        if future is None:
            future = self._wanted[key] = asyncio.get_running_loop().create_future()
            if not self._asking:
                self._asking = True
                asyncio.get_running_loop().call_soon(self._ask)
        return await asyncio.shield(future)

    def _ask(self) -> None:
        """Read what is wanted, in a thread: keys are hashes, so a query looks through the whole table however few it
        is asked for. What is wanted meanwhile gathers for the next one."""
        wanted, self._wanted = self._wanted, {}
        asked = asyncio.get_running_loop().run_in_executor(self._thread, self._rows_of, list(wanted))
        asked.add_done_callback(partial(self._told, wanted))

    def _rows_of(self, keys: Sequence[int]) -> dict[int, _Row]:
        calls = f"{CATALOG}.calls"
        places = f"SELECT rowid FROM {calls} WHERE call IN ({', '.join(map(str, keys))})"

        def read() -> dict[int, _Row]:
            with self._reads.one():
                rows = self._con.execute(
                    f"SELECT {_COLUMNS} FROM {calls} WHERE rowid IN ({places})"
                ).fetchall()
                return {row[0]: row for row in rows}

        return patiently(read)

    def _told(
        self, wanted: Mapping[int, asyncio.Future[_Row | None]], asked: asyncio.Future[dict[int, _Row]]
    ) -> None:
        if asked.cancelled():  # as the loop ends
            return
        error = asked.exception()
        for key, future in wanted.items():
            if future.done():
                continue
            if error is None:
                future.set_result(asked.result().get(key))
            else:
                future.set_exception(cannot_read(self._path, error))
                future.exception()  # there may be nobody left to hear it
        self._asking = bool(self._wanted)
        if self._asking:
            self._ask()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown()
        self._con.close()


def _size(key: int, kept: _Kept) -> int:
    """What a remembered completion takes, in characters."""
    c = kept[2]
    return 1000 + len(c.text) + len(c.private) + 40 * (len(c.token_ids or ()) + len(c.logprobs or ()))


def _completion(row: _Row) -> Completion:
    return Completion(
        text=row[3], private=row[4], stop=row[5], scores=_tuple(row[6]), token_ids=_tuple(row[7]),
        logprobs=_tuple(row[8]), prompt_tokens=row[9], completion_tokens=row[10], cached_tokens=row[11],
        cost=row[12], provider_id=row[13], cache_write_tokens=row[14], reasoning_tokens=row[15],
        unlisted=_tuple(row[16]) or (), served=row[17], notes=row[18] or "",
    )  # fmt: skip


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values is not None else None
