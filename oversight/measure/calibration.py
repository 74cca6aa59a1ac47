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
from typing import TYPE_CHECKING

from oversight.measure.accuracy import Interval, wilson
from oversight.measure.judged import judged
from oversight.measure.logistic import logistic
from oversight.measure.measured import Measured, few, mean_of, t_bounds, undefined, within
from oversight.measure.scores import CLIP, brier_score, log_score

if TYPE_CHECKING:
    from oversight.store.reading import Reader

BINS = 10

_FORECASTS = """SELECT task, arm, "group", answer_order, label, probabilities
FROM judged WHERE probabilities IS NOT NULL
ORDER BY task, arm, "group", question, argued, answer_order, sample"""


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


def calibration(rows: Sequence[Judged], bins: int = BINS) -> Calibration:
    """How well calibrated these verdicts are; clustered by group throughout."""
    groups = [row.group for row in rows]
    brier = within(mean_of([-brier_score(r.probabilities, r.label) for r in rows], groups), 0, 2)
    loss = within(mean_of([-log_score(r.probabilities, r.label) for r in rows], groups), 0, -math.log(CLIP))
    clipped = sum(r.probabilities[r.label] < CLIP for r in rows)
    forecasts = [(row.probabilities[j], j == row.label, row.group) for row in rows for j in row.order[:-1]]
    curve = reliability(forecasts, bins)
    slope, intercept = slope_and_intercept(forecasts)
    parts = decomposition(forecasts, curve) if forecasts else None
    return Calibration(len(rows), brier, loss, clipped, slope, intercept, parts, curve)


Forecasts = Sequence[tuple[float, bool, str]]
"""Rows of (probability, whether the answer was right, group)."""


def reliability(forecasts: Forecasts, bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability curve over `bins` bins of equal width; empty ones are left out. 1 falls in the last."""
    found: dict[int, list[tuple[float, bool, str]]] = {}
    for row in forecasts:
        found.setdefault(min(bins - 1, int(row[0] * bins)), []).append(row)
    return tuple(_bin(found[i], i / bins, (i + 1) / bins) for i in sorted(found))


def _bin(rows: Forecasts, low: float, high: float) -> Bin:
    groups: dict[str, tuple[int, int]] = {}
    for _, right, group in rows:
        n, k = groups.get(group, (0, 0))
        groups[group] = (n + 1, k + right)
    sizes, ones = [groups[g][0] for g in sorted(groups)], [groups[g][1] for g in sorted(groups)]
    one_group = Interval(None, None, None, "one group only: its spread cannot be told")
    interval = wilson(sizes, ones) if len(groups) > 1 else one_group
    mean = math.fsum(p for p, *_ in rows) / len(rows)
    return Bin(low, high, len(rows), mean, sum(right for _, right, _ in rows) / len(rows), interval)


def decomposition(forecasts: Forecasts, curve: Sequence[Bin]) -> Decomposition:
    """Murphy 1973 over the bins of `curve`, with n_b of n forecasts, mean forecast f_b and share right o_b:
    reliability Σ n_b (f_b − o_b)² / n, resolution Σ n_b (o_b − ō)² / n, uncertainty ō(1 − ō)."""
    n = len(forecasts)
    mean = sum(right for _, right, _ in forecasts) / n
    brier = math.fsum((p - right) ** 2 for p, right, _ in forecasts) / n
    reliable = math.fsum(b.n * (b.forecast - b.right) ** 2 for b in curve) / n
    resolved = math.fsum(b.n * (b.right - mean) ** 2 for b in curve) / n
    uncertain = mean * (1 - mean)
    return Decomposition(brier, reliable, resolved, uncertain, brier - (reliable - resolved + uncertain))


def slope_and_intercept(forecasts: Forecasts) -> tuple[Measured, Measured]:
    """logit P(right) = intercept + slope · logit p, by binomial GLM with errors clustered on the group and t
    intervals on groups − 1 degrees of freedom; p is held within 0.01 and 0.99.

    Undefined for fewer than two groups, forecasts that are all equal, and where forecasts tell right from wrong
    answers without error (there the slope has no finite value).
    """
    import numpy as np

    n, groups = len(forecasts), sorted({g for *_, g in forecasts})
    if reason := _no_slope(forecasts, len(groups)):
        none = undefined(reason, n, len(groups))
        return none, none
    p = np.clip([p for p, *_ in forecasts], CLIP, 1 - CLIP)
    x = np.column_stack([np.ones(n), np.log(p / (1 - p))])
    y = np.array([right for _, right, _ in forecasts], dtype=float)
    at = {g: i for i, g in enumerate(groups)}
    place = np.array([at[g] for *_, g in forecasts])
    fit = logistic(x, y, place)
    if fit is None:
        none = undefined("the forecasts tell right from wrong without error", n, len(groups))
        return none, none
    parts = [
        Measured(
            float(b),
            float(e),
            *t_bounds(float(b), float(e), len(groups)),
            n,
            len(groups),
            caution=few(len(groups)),
        )
        for b, e in zip(fit.params, fit.bse, strict=True)
    ]
    return parts[1], parts[0]


def _no_slope(forecasts: Forecasts, groups: int) -> str | None:
    if not forecasts:
        return "no verdict has probabilities"
    if groups < 2:
        return "one group only: its spread cannot be told"
    held = {min(max(p, CLIP), 1 - CLIP) for p, *_ in forecasts}
    if max(held) - min(held) < 1e-9:
        return "all forecasts are equal"
    if len({right for _, right, _ in forecasts}) < 2:
        return "all outcomes are equal"
    return None


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one a verdict with probabilities (ties have them too)."""
    return {"calibration": f"{judged(run)}\n{_FORECASTS}"}


def measure_calibration(reader: Reader, run: int | None = None) -> list[ArmCalibration]:
    """Of every arm whose judge gives probabilities. Raises `StoreError`."""
    found: dict[tuple[str, int], list[Judged]] = {}
    for task, arm, group, order, label, probabilities in reader.sql(statements(run)["calibration"]).rows:
        row = Judged(group, tuple(order), label, tuple(probabilities))
        found.setdefault((task, arm), []).append(row)
    return [ArmCalibration(task, arm, calibration(rows)) for (task, arm), rows in found.items()]
