"""Sets of 64-bit keys that stay small: what a file holds is known by millions of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import duckdb

NEWEST = 65_536
"""Keys that are kept as a set before they are sorted in among the others."""


class Keys:
    """A set of keys of which the newest are a Python set (about 90 bytes each) and the others a sorted array
    (8 bytes). Nothing is ever taken out."""

    def __init__(self) -> None:
        self._newest: set[int] = set()
        self._sorted: Sequence[int] = array("Q")

    def __contains__(self, key: int) -> bool:
        if key in self._newest:
            return True
        at = bisect_left(self._sorted, key)
        return at < len(self._sorted) and self._sorted[at] == key

    def __len__(self) -> int:
        return len(self._newest) + len(self._sorted)

    def add(self, key: int) -> None:
        """Put in a key that is not there yet."""
        self._newest.add(key)
        if len(self._newest) > max(NEWEST, len(self._sorted) // 8):
            self._sort_in(self._newest)
            self._newest = set()

    def _sort_in(self, keys: Iterable[int]) -> None:
        import numpy as np  # by now there are enough of them to be worth the wait

        merged = np.concatenate([np.asarray(self._sorted, np.uint64), np.fromiter(keys, np.uint64)])
        merged.sort()
        self._sorted = merged.data  # bisect is faster in it than in the array itself


def read_keys(con: duckdb.DuckDBPyConnection, sql: str) -> Keys:
    """The keys that a statement yields in one column."""
    keys = Keys()
    rows = con.execute(sql).fetchmany(NEWEST)
    keys._newest.update(key for (key,) in rows)
    if len(rows) == NEWEST:
        keys._newest.clear()
        keys._sort_in(con.execute(sql).fetchnumpy().popitem()[1])
    return keys


def _keys_of(keys: Iterable[int]) -> Keys:
    found = Keys()
    for key in keys:
        found.add(key)
    return found


class Statuses:
    """Which status each episode has, for those that have one."""

    def __init__(self, found: Mapping[str, Keys]) -> None:
        self._of = found

    @classmethod
    def told(cls, found: Mapping[str, Iterable[int]]) -> Statuses:
        """Those of which another process tells."""
        return cls({name: _keys_of(keys) for name, keys in found.items()})

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, sql: str) -> Statuses:
        """Those in a database; `sql` yields (key, status)."""
        names = con.execute(f"SELECT status FROM ({sql}) GROUP BY ALL ORDER BY count(*) DESC").fetchall()
        return cls(
            {
                name: read_keys(con, f"SELECT episode FROM ({sql}) WHERE status = '{name}'")
                for (name,) in names
            }
        )

    def get(self, key: int) -> str | None:
        """The status; None where there is none."""
        return next((name for name, keys in self._of.items() if key in keys), None)

    def __contains__(self, key: int) -> bool:
        return self.get(key) is not None
