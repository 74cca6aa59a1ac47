"""An estimate with its interval, and the mean of values that come in groups: what most measures end in."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oversight.measure.columns import group_numbers, sums

LEVEL = 0.95
"""Of every interval."""

FEW_GROUPS = 10
"""Below this many groups a clustered interval covers less than it says (Cameron and Miller 2015)."""

SKEW = 15
"""Groups a squared unit of skewness, below which a t interval covers less than it says (`skewed`)."""

NO_SPREAD = 1e-12
"""A standard error below this is the rounding of zero."""

DRAWN = 1 << 15
"""Groups that are drawn at a time: a matrix that stays in the cache, and in one thread."""


@dataclass(frozen=True)
class Measured:
    """A number with its standard error and 95 % interval, all in the number's own unit.

    `n` values in `groups` groups went into it. What cannot be told is None, and `reason` says why;
    `caution` says why an interval that is given is rough.
    """

    value: float | None
    error: float | None
    low: float | None
    high: float | None
    n: int
    groups: int
    reason: str | None = None
    caution: str | None = None

    @property
    def touches_zero(self) -> bool | None:
        """Whether 0 lies in the interval; None where there is none."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def undefined(reason: str, n: int = 0, groups: int = 0, value: float | None = None) -> Measured:
    """An estimate without an interval (and, without `value`, no number at all), and why."""
    return Measured(value, None, None, None, n, groups, reason)


def mean_of(
    values: Iterable[float], groups: Iterable[Hashable], weights: Iterable[float] | None = None
) -> Measured:
    """The (weighted) mean Σwᵢxᵢ / Σwᵢ with its clustered t interval.

    Standard error √(G/(G−1) · Σ_g (Σ_{i∈g} wᵢ(xᵢ − mean))²) / Σwᵢ, on G − 1 degrees of freedom, G groups
    (Miller 2024, arXiv 2411.00640). `values`, `groups` and `weights` are all of shape (n,). The
    order of the rows changes no digit.
    """
    import numpy as np

    x, (place, count) = _floats(values), group_numbers(groups)
    if len(x) != len(place):
        raise ValueError(f"{len(x)} values in {len(place)} groups")
    w = np.ones(len(x)) if weights is None else _floats(weights)
    if not np.all(w > 0):
        x, w, (place, count) = x[w > 0], w[w > 0], group_numbers(place[w > 0])
    return mean_of_sums(sums(place, count, w), sums(place, count, w * x), len(x))


def mean_of_sums(sizes: Any, totals: Any, n: int) -> Measured:
    """As `mean_of`, given Σw and Σwx of each group (both of shape (groups,)), and how many values there were."""
    groups = len(sizes)
    if not groups:
        return undefined("there is nothing to average")
    if groups == 1:
        return undefined("one group only: its spread cannot be told", n, 1, float(totals[0] / sizes[0]))
    mean, error, low, high = clustered(sizes, totals)
    if error <= NO_SPREAD * max(1.0, abs(mean)):
        return undefined("no spread: every group has the same mean", n, groups, mean)
    caution = few(groups) or skewed((totals - sizes * mean).tolist())
    return Measured(mean, error, low, high, n, groups, caution=caution)


def _floats(values: Iterable[float]) -> Any:
    import numpy as np

    return np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=float)


def within(measured: Measured, low: float, high: float) -> Measured:
    """The estimate of a quantity that lies between `low` and `high`, its interval cut there, which `caution` says.

    What is cut away is impossible, so that the interval holds as often as before.
    """
    if measured.low is None or measured.high is None or (low <= measured.low and measured.high <= high):
        return measured
    cut = "the t interval reached beyond what is possible and is cut there"
    caution = cut if measured.caution is None else f"{measured.caution}; {cut}"
    return replace(measured, low=max(low, measured.low), high=min(high, measured.high), caution=caution)


def few(groups: int) -> str | None:
    """The caution that belongs to an interval over few groups."""
    return f"fewer than {FEW_GROUPS} groups: a rough guide" if groups < FEW_GROUPS else None


def skewed(parts: Sequence[float]) -> str | None:
    """The caution that belongs to a t interval whose groups' deviations from the mean, `parts`, are skewed.

    With n groups of skewness g an interval misses the more the larger g²/n. Cochran (1977, Sampling Techniques) asks
    for n > 25·g² where it may miss 6 % of the time; `SKEW` allows 7 %. Of g² as found, 6/n is chance.
    """
    n = len(parts)
    square = math.fsum(p * p for p in parts) / n
    skewness = math.fsum(p**3 for p in parts) / n / square**1.5
    return f"skewed, for {n} groups: a rough guide" if n < SKEW * (skewness**2 - 6 / n) else None


def clustered(sizes: Sequence[float], sums: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean Σsums / Σsizes of two or more groups, its clustered standard error, and the t interval.

    The sandwich of statsmodels' WLS of the groups' means on a constant, written out: that library takes a second to
    load. Whatever order the groups come in, no digit changes.
    """
    weight, total = _floats(sizes), _floats(sums)
    whole = math.fsum(weight.tolist())
    mean = math.fsum(total.tolist()) / whole
    rests = (total - mean * weight).tolist()
    groups = len(rests)
    error = math.sqrt(groups / (groups - 1) * math.fsum(rest * rest for rest in rests)) / whole
    return mean, error, *t_bounds(mean, error, groups)


def t_bounds(value: float, error: float, groups: int) -> tuple[float, float]:
    """`value` ∓ t · `error`, on groups − 1 degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats' t.ppf, which takes four times as long to load

    half = float(stdtrit(groups - 1, (1 + LEVEL) / 2)) * error
    return value - half, value + half


def resampled(sums: Any, draws: int, seed: int) -> Any:
    """Sums over each of `draws` cluster-bootstrap samples, which draw as many groups as there are with replacement.

    `sums` of shape (groups, k) are the groups' own; returns (draws, k).
    """
    import numpy as np

    draw, groups = np.random.default_rng(seed), len(sums)
    found = np.empty((draws, sums.shape[1]))
    for start in range(0, draws, step := max(1, DRAWN // groups)):
        drawn = draw.integers(0, groups, size=(min(step, draws - start), groups))
        drawn += groups * np.arange(len(drawn))[:, None]  # a row of its own for each sample
        often = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        found[start : start + step] = often.astype(float) @ sums
    return found
