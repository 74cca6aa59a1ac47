"""How much of what the judge misses without the passage a protocol gives back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.arms import ArmRow, beside, measure_arms
from oversight.measure.measured import LEVEL, NO_SPREAD, Measured, few, mean_of, undefined
from oversight.measure.paired import Answered, measure_answered, statement

if TYPE_CHECKING:
    from oversight.store.reading import Reader


@dataclass(frozen=True)
class Gap:
    """`recovered`: (protocol − naive) / (ceiling − naive), a share (1 is all of it). `gap` is ceiling − naive,
    in accuracy. The three accuracies are over the questions that all three arms decided."""

    recovered: Measured
    gap: Measured
    naive: float | None
    protocol: float | None
    ceiling: float | None


@dataclass(frozen=True)
class ArmGap:
    """The gap recovered by one arm; `ceiling_arm` names the ceiling that was taken."""

    task: str
    arm: int
    floor_arm: int | None
    ceiling_arm: int | None
    of: Gap


def gap_recovered(
    naive: Sequence[float], protocol: Sequence[float], ceiling: Sequence[float], groups: Sequence[str]
) -> Gap:
    """The share of the gap recovered on shared questions, each of shape (questions,) with repeats averaged.

    (mean protocol − mean naive) / (mean ceiling − mean naive), "performance gap recovered" (Burns et al.
    2023, arXiv 2312.09390). Interval: Fieller's of a ratio of means (Fieller 1954, J. R. Stat. Soc. B 16), clustered
    by group: all shares r for which the t interval of the mean of (protocol − naive) − r · (ceiling − naive) holds
    zero. `error` is the delta method's. Undefined where the clustered interval of the gap itself touches zero, for
    the interval has no end there, or where the ceiling is below the floor.
    """
    if not len(groups):
        return _none(undefined("no question was decided in all three arms"))
    over = [p - n for n, p in zip(naive, protocol, strict=True)]
    under = [c - n for n, c in zip(naive, ceiling, strict=True)]
    gap = mean_of(under, groups)
    means = [math.fsum(x) / len(x) for x in (naive, protocol, ceiling)]
    if gap.low is None or gap.high is None:
        return Gap(undefined(f"the gap: {gap.reason}", gap.n, gap.groups), gap, *means)
    if gap.touches_zero:
        reason = "the gap's own interval touches zero"
        return Gap(undefined(reason, gap.n, gap.groups), gap, *means)
    if gap.high < 0:
        return Gap(undefined("the ceiling is below the floor", gap.n, gap.groups), gap, *means)
    return Gap(_ratio(over, under, groups), gap, *means)


def _none(why: Measured) -> Gap:
    return Gap(why, why, None, None, None)


def _ratio(over: Sequence[float], under: Sequence[float], groups: Sequence[str]) -> Measured:
    """Σover / Σunder with Fieller's clustered interval; the t interval of the mean of `under` is above zero."""
    from scipy.stats import t

    sums: dict[str, list[tuple[float, float]]] = {}
    for a, b, g in zip(over, under, groups, strict=True):
        sums.setdefault(g, []).append((a, b))
    parts = [[math.fsum(column) for column in zip(*sums[g], strict=True)] for g in sorted(sums)]
    sizes = [len(sums[g]) for g in sorted(sums)]
    n, count = len(groups), len(parts)
    a, b = (math.fsum(column) / n for column in zip(*parts, strict=True))
    rest = [(x - m * a, y - m * b) for (x, y), m in zip(parts, sizes, strict=True)]
    scale = count / (count - 1) / n**2
    aa, ab, bb = (scale * math.fsum(p[i] * p[j] for p in rest) for i, j in ((0, 0), (0, 1), (1, 1)))
    value = a / b
    error = math.sqrt(max(0.0, aa - 2 * value * ab + value**2 * bb)) / b
    if error <= NO_SPREAD:
        return undefined("no spread: every group recovers the same share", n, count, value)
    squared = float(t.ppf((1 + LEVEL) / 2, count - 1)) ** 2
    # The shares r with (a − rb)² ≤ t²(aa − 2r·ab + r²·bb); the coefficient of r² is positive, as the gap is above zero.
    lead, middle, end = b**2 - squared * bb, a * b - squared * ab, a**2 - squared * aa
    half = math.sqrt(max(0.0, middle**2 - lead * end))
    low, high = (middle - half) / lead, (middle + half) / lead
    return Measured(value, error, low, high, n, count, caution=few(count))


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: each arm's questions, repeats averaged."""
    return {"gap": statement(run=run)}


def measure_gap(reader: Reader, run: int | None = None) -> list[ArmGap]:
    """The gap recovered by every arm that is neither floor nor ceiling. Raises `StoreError`."""
    arms = measure_arms(reader, run)
    answered = measure_answered(reader, run=run)
    return [_of_arm(arm, arms, answered) for arm in arms if arm.place == 1]


def _of_arm(arm: ArmRow, arms: Sequence[ArmRow], answered: dict[tuple[str, int], list[Answered]]) -> ArmGap:
    floor, no_floor = beside(arm, arms, 0)
    ceiling, no_ceiling = beside(arm, arms, 2)
    if floor is None or ceiling is None:
        ids = (floor.arm if floor else None, ceiling.arm if ceiling else None)
        return ArmGap(arm.task, arm.arm, *ids, _none(undefined(no_floor or no_ceiling or "")))
    means = [
        {
            row.question: (row.mean, row.group)
            for row in answered.get((a.task, a.arm), [])
            if row.mean is not None
        }
        for a in (floor, arm, ceiling)
    ]
    shared = sorted(means[0].keys() & means[1].keys() & means[2].keys())
    naive, protocol, top = ([of[q][0] for q in shared] for of in means)
    groups = [means[0][q][1] for q in shared]
    return ArmGap(arm.task, arm.arm, floor.arm, ceiling.arm, gap_recovered(naive, protocol, top, groups))
