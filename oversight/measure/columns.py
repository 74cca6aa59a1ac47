"""Rows as columns: numpy arrays of shape (rows,), cut where a key changes. What measures of many rows work on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

Columns = Mapping[str, Any]
"""Of each column's name an array of shape (rows,)."""


def changes(*columns: Any) -> Any:
    """Where a row differs from the one before in any of the columns: bools of shape (rows,), the first true."""
    import numpy as np

    changed = np.zeros(len(columns[0]), dtype=bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def numbered(*columns: Any) -> Any:
    """Consecutive rows that agree in all the columns have one number, from 0: of shape (rows,)."""
    return changes(*columns).cumsum() - 1


def runs(table: Columns, *keys: str) -> Iterator[tuple[tuple[Any, ...], Columns]]:
    """The rows of a table that is ordered by `keys`, in parts that agree in them: the keys' values, and the part."""
    import numpy as np

    starts = np.flatnonzero(changes(*(table[key] for key in keys))).tolist()
    for start, end in pairwise([*starts, len(table[keys[0]])]):
        values = tuple(table[key][start : start + 1].tolist()[0] for key in keys)
        yield values, {name: column[start:end] for name, column in table.items()}


def group_numbers(groups: Iterable[Hashable]) -> tuple[Any, int]:
    """A number for each row, from 0 in the groups' order (integers by size, else by text), and how many groups there
    are. Integer arrays of shape (rows,) are numbered without a loop."""
    import numpy as np

    if isinstance(groups, np.ndarray) and groups.dtype.kind in "iu":
        names, place = np.unique(groups, return_inverse=True)
        return place, len(names)
    rows = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    at = {name: i for i, name in enumerate(sorted(set(rows), key=str))}
    return np.fromiter((at[row] for row in rows), dtype=np.int64, count=len(rows)), len(at)


def sums(place: Any, count: int, values: Any = None) -> Any:
    """Of each group, numbered by `place`, the sum of its values (of shape (rows,)), or how many rows where there are
    none. Rounded once, at the end, so the order of the rows changes no digit."""
    import numpy as np

    if values is None or values.dtype.kind != "f":
        return np.bincount(place, weights=values, minlength=count)  # whole numbers: exact in any order
    order = np.argsort(place, kind="stable")
    ordered, ends = values[order].tolist(), np.bincount(place, minlength=count).cumsum().tolist()
    return np.array([math.fsum(ordered[start:end]) for start, end in pairwise([0, *ends])])


def means(place: Any, count: int, values: Any) -> Any:
    """Of each group the mean of its values, NaN where it has none. They are added by size, so the order of the rows
    changes no digit; quicker than `sums` where there are many groups."""
    import numpy as np

    order = np.lexsort((values, place))
    with np.errstate(invalid="ignore"):
        return np.bincount(place[order], weights=values[order], minlength=count) / np.bincount(
            place, minlength=count
        )
