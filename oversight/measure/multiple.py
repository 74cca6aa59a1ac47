"""Many comparisons at once: p-values adjusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Method = Literal["holm", "fdr_bh"]


def adjusted(p_values: Sequence[float | None], method: Method = "holm") -> tuple[float | None, ...]:
    """The p-values, adjusted for how many they are; None stays None and counts for nothing.

    `holm` bounds the chance of any false claim (Holm 1979), for comparisons that were declared; `fdr_bh`
    the expected share of false ones among those claimed (Benjamini and Hochberg 1995), for exploring.
    """
    known = sorted(p for p in p_values if p is not None)
    m, found = len(known), dict[float, float]()
    if method == "holm":  # the largest so far of (m − rank) · p, ranks from 0
        highest = 0.0
        for rank, p in enumerate(known):
            highest = max(highest, min(1.0, (m - rank) * p))
            found[p] = highest
    else:  # the smallest from here on of p · m / rank, ranks from 1
        lowest = 1.0
        for rank, p in reversed(list(enumerate(known, start=1))):
            lowest = min(lowest, p / (rank / m))
            found.setdefault(p, lowest)
    return tuple(None if p is None else found[p] for p in p_values)
