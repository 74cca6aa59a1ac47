"""Whether the judge is right as often as it says.

A forecast is the probability that a verdict gives to one answer, with whether that answer is right: of each
answer but the one shown last, whose probability the others imply. With two answers, then, it is the
probability of the answer shown first, and a slope below 1 is overconfidence, an intercept above 0 means
that the first answer is right more often than it is given. No bare "ECE" is reported: it depends on the bins
and is never zero for a calibrated judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oversight.measure.accuracy import Interval, wilson
from oversight.measure.columns import Columns, group_numbers, numbered
from oversight.measure.logistic import logistic
from oversight.measure.measured import Measured, few, mean_of, t_bounds, undefined, within
from oversight.measure.scores import CLIP, measure_forecasts
from oversight.measure.scores import statements as forecast_statements

if TYPE_CHECKING:
    from oversight.store.reading import Reader

BINS = 10


@dataclass(frozen=True)
class Judged:
    """A verdict with probabilities over the answers, the order they were shown in, and the right one."""

    group: str
    order: tuple[int, ...]
    label: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Bin:
    """Forecasts between two probabilities: how many, their mean, the share of answers that were right, with
    Wilson's interval (effective n by the groups' design effect)."""

    low: float
    high: float
    n: int
    forecast: float
    right: float
    interval: Interval


@dataclass(frozen=True)
class Decomposition:
    """Murphy's parts of the mean (p − y)² over forecasts, in squared probability.

    brier = reliability − resolution + uncertainty + within. `within` is what binning forecasts of different
    sizes together adds (Stephenson, Coelho and Jolliffe 2008); it is 0 where each bin holds one value.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


@dataclass(frozen=True)
class Calibration:
    """Of `verdicts` with probabilities: `brier`, the mean Σⱼ(pⱼ − [j right])² (0 best, 2 worst), `log_loss`, the
    mean −ln p(right) in nats (p below 0.01 counts as 0.01; `clipped` verdicts), `slope` and `intercept` of
    the outcome's log-odds in the forecast's (1 and 0 when calibrated; Cox 1958), and the reliability curve."""

    verdicts: int
    brier: Measured
    log_loss: Measured
    clipped: int
    slope: Measured
    intercept: Measured
    decomposition: Decomposition | None
    curve: tuple[Bin, ...]


@dataclass(frozen=True)
class ArmCalibration:
    """The calibration of one arm's judge."""

    task: str
    arm: int
    of: Calibration


@dataclass(frozen=True)
class Forecasts:
    """Forecasts as arrays of shape (n,): the probability, whether the answer was right, and the number of the group
    (from 0, of `groups`)."""

    p: Any
    right: Any
    group: Any
    groups: int


Rows = Forecasts | Sequence[tuple[float, bool, str]]
"""Forecasts, or rows of (probability, whether the answer was right, group)."""


def _forecasts(rows: Rows) -> Forecasts:
    import numpy as np

    if isinstance(rows, Forecasts):
        return rows
    p, right = np.array([p for p, *_ in rows], dtype=float), np.array([r for _, r, _ in rows], dtype=bool)
    return Forecasts(p, right, *group_numbers(group for *_, group in rows))


def calibration(rows: Sequence[Judged], bins: int = BINS) -> Calibration:
    """How well calibrated these verdicts are; clustered by group throughout."""
    import numpy as np

    lengths = [len(row.probabilities) for row in rows]
    columns = {
        "group": np.repeat(group_numbers(row.group for row in rows)[0], lengths),
        "label": np.repeat([row.label for row in rows], lengths),
        "shown_last": np.repeat([row.order[-1] for row in rows], lengths),
        "answer": np.array([j for n in lengths for j in range(n)], dtype=int),
        "p": np.array([p for row in rows for p in row.probabilities]),
    }
    return _calibration(columns, bins)


def _calibration(of: Columns, bins: int = BINS) -> Calibration:
    """As `calibration`, of verdicts in columns: the rows of `statements`."""
    import numpy as np

    p, right, (group, groups) = of["p"], of["answer"] == of["label"], group_numbers(of["group"])
    verdict = (of["answer"] == 0).cumsum() - 1
    brier = np.bincount(verdict, weights=(p - right) ** 2)
    loss = -np.log(np.maximum(p[right], CLIP))
    told = of["answer"] != of["shown_last"]
    forecasts = Forecasts(p[told], right[told], group[told], groups)
    curve = reliability(forecasts, bins)
    return Calibration(
        len(brier),
        within(mean_of(brier, group[of["answer"] == 0]), 0, 2),
        within(mean_of(loss, group[right]), 0, -math.log(CLIP)),
        int(np.sum(p[right] < CLIP)),
        *slope_and_intercept(forecasts),
        decomposition(forecasts, curve) if len(forecasts.p) else None,
        curve,
    )


def reliability(forecasts: Rows, bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability curve over `bins` bins of equal width; empty ones are left out. 1 falls in the last."""
    import numpy as np

    of = _forecasts(forecasts)
    place = np.minimum(bins - 1, (of.p * bins).astype(int))
    return tuple(_bin(of, place == i, i / bins, (i + 1) / bins) for i in np.unique(place).tolist())


def _bin(of: Forecasts, inside: Any, low: float, high: float) -> Bin:
    import numpy as np

    p, right, group = of.p[inside], of.right[inside], of.group[inside]
    sizes = np.bincount(group, minlength=of.groups)
    ones = np.bincount(group, weights=right, minlength=of.groups)[sizes > 0]
    one_group = Interval(None, None, None, "one group only: its spread cannot be told")
    interval = wilson(sizes[sizes > 0], ones) if len(ones) > 1 else one_group
    return Bin(low, high, len(p), math.fsum(p.tolist()) / len(p), int(right.sum()) / len(p), interval)


def decomposition(forecasts: Rows, curve: Sequence[Bin]) -> Decomposition:
    """Murphy 1973 over the bins of `curve`, with n_b of n forecasts, mean forecast f_b and share right o_b:
    reliability Σ n_b (f_b − o_b)² / n, resolution Σ n_b (o_b − ō)² / n, uncertainty ō(1 − ō)."""
    of = _forecasts(forecasts)
    n = len(of.p)
    mean = int(of.right.sum()) / n
    brier = math.fsum(((of.p - of.right) ** 2).tolist()) / n
    reliable = math.fsum(b.n * (b.forecast - b.right) ** 2 for b in curve) / n
    resolved = math.fsum(b.n * (b.right - mean) ** 2 for b in curve) / n
    uncertain = mean * (1 - mean)
    return Decomposition(brier, reliable, resolved, uncertain, brier - (reliable - resolved + uncertain))


def slope_and_intercept(forecasts: Rows) -> tuple[Measured, Measured]:
    """logit P(right) = intercept + slope · logit p, by binomial GLM with errors clustered on the group and t
    intervals on groups − 1 degrees of freedom; p is held within 0.01 and 0.99.

    Undefined for fewer than two groups, forecasts that are all equal, and where forecasts tell right from wrong
    answers without error (there the slope has no finite value).
    """
    import numpy as np

    of = _forecasts(forecasts)
    n, p = len(of.p), np.clip(of.p, CLIP, 1 - CLIP)
    if reason := _no_slope(of, p):
        none = undefined(reason, n, of.groups)
        return none, none
    fit = logistic(np.column_stack([np.ones(n), np.log(p / (1 - p))]), of.right.astype(float), of.group)
    if fit is None:
        none = undefined("the forecasts tell right from wrong without error", n, of.groups)
        return none, none
    parts = []
    for b, e in zip(fit.params.tolist(), fit.bse.tolist(), strict=True):
        parts.append(Measured(b, e, *t_bounds(b, e, of.groups), n, of.groups, caution=few(of.groups)))
    return parts[1], parts[0]


def _no_slope(of: Forecasts, held: Any) -> str | None:
    if not len(held):
        return "no verdict has probabilities"
    if of.groups < 2:
        return "one group only: its spread cannot be told"
    if held.max() - held.min() < 1e-9:
        return "all forecasts are equal"
    return "all outcomes are equal" if of.right.all() or not of.right.any() else None


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one an answer of each verdict with probabilities (ties have them too)."""
    return {"calibration": forecast_statements(run)["forecasts"]}


def measure_calibration(reader: Reader, run: int | None = None) -> list[ArmCalibration]:
    """Of every arm whose judge gives probabilities. Raises `StoreError`."""
    found = measure_forecasts(reader, run)
    return [
        ArmCalibration(task, arm, _calibration({**of, "group": numbered(of["group"])}))
        for (task, arm), of in found.items()
    ]
