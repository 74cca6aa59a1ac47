"""An estimate with its interval, and the mean of values that come in groups: what most measures end in."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

LEVEL = 0.95
"""Of every interval."""

FEW_GROUPS = 10
"""Below this many groups a clustered interval covers less than it says (Cameron and Miller 2015)."""

SKEW = 15
"""Groups a squared unit of skewness, below which a t interval covers less than it says (`skewed`)."""

NO_SPREAD = 1e-12
"""A standard error below this is the rounding of zero."""


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
    rows = list(zip(values, groups, strict=True))
    heavy = [1.0] * len(rows) if weights is None else list(weights)
    parts: dict[Hashable, list[tuple[float, float]]] = {}
    for (value, group), weight in zip(rows, heavy, strict=True):
        if weight > 0:
            parts.setdefault(group, []).append((weight, value))
    n = sum(len(part) for part in parts.values())
    if not n:
        return undefined("there is nothing to average")
    names = sorted(parts, key=str)
    sizes = [math.fsum(w for w, _ in parts[g]) for g in names]
    sums = [math.fsum(w * x for w, x in parts[g]) for g in names]
    mean = math.fsum(sums) / math.fsum(sizes)
    if len(names) == 1:
        return undefined("one group only: its spread cannot be told", n, 1, mean)
    _, error, low, high = clustered(sizes, sums)
    if error <= NO_SPREAD * max(1.0, abs(mean)):
        return undefined("no spread: every group has the same mean", n, len(names), mean)
    caution = few(len(names)) or skewed([x - w * mean for w, x in zip(sizes, sums, strict=True)])
    return Measured(mean, error, low, high, n, len(names), caution=caution)


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

    A group enters as its mean with its size for weight: the sandwich of that regression is the clustered
    one over the values themselves.
    """
    import numpy as np
    from statsmodels.regression.linear_model import WLS

    weight = np.asarray(sizes, dtype=float)
    y = np.asarray(sums, dtype=float) / weight
    place = np.arange(len(weight))
    fit = WLS(y, np.ones_like(y), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": place}, use_t=True
    )
    low, high = fit.conf_int(alpha=1 - LEVEL)[0]
    return float(fit.params[0]), float(fit.bse[0]), float(low), float(high)


def t_bounds(value: float, error: float, groups: int) -> tuple[float, float]:
    """`value` ∓ t · `error`, on groups − 1 degrees of freedom."""
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, groups - 1)) * error
    return value - half, value + half


def group_counts(groups: int, draws: int, seed: int) -> Any:
    """How often each of `groups` groups stands in each of `draws` cluster-bootstrap samples: (draws, groups)."""
    import numpy as np

    drawn = np.random.default_rng(seed).integers(0, groups, size=(draws, groups))
    drawn += groups * np.arange(draws)[:, None]  # a row of its own for each sample
    return np.bincount(drawn.ravel(), minlength=draws * groups).reshape(draws, groups)
