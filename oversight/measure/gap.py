"""How much of what the judge misses without the passage a protocol gives back."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from oversight.measure.arms import ArmRow, beside, measure_arms
from oversight.measure.columns import group_numbers, sums
from oversight.measure.measured import LEVEL, NO_SPREAD, Measured, few, mean_of, undefined
from oversight.measure.paired import Questions, measure_answered, statement

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
    naive: Sequence[float], protocol: Sequence[float], ceiling: Sequence[float], groups: Iterable[Hashable]
) -> Gap:
    """The share of the gap recovered on shared questions, each of shape (questions,) with repeats averaged.

    (mean protocol − mean naive) / (mean ceiling − mean naive), "performance gap recovered" (Burns et al.
    2023, arXiv 2312.09390). Interval: Fieller's of a ratio of means (Fieller 1954, J. R. Stat. Soc. B 16), clustered
    by group: all shares r for which the t interval of the mean of (protocol − naive) − r · (ceiling − naive) holds
    zero. `error` is the delta method's. Undefined where the clustered interval of the gap itself touches zero, for
    the interval has no end there, or where the ceiling is below the floor.
    """
    import numpy as np

    n, p, c = (np.asarray(shares, dtype=float) for shares in (naive, protocol, ceiling))
    if not len(n):
        return _none(undefined("no question was decided in all three arms"))
    place, count = group_numbers(groups)
    gap = mean_of(c - n, place)
    means = [math.fsum(x.tolist()) / len(x) for x in (n, p, c)]
    if gap.low is None or gap.high is None:
        return Gap(undefined(f"the gap: {gap.reason}", gap.n, gap.groups), gap, *means)
    if gap.touches_zero:
        reason = "the gap's own interval touches zero"
        return Gap(undefined(reason, gap.n, gap.groups), gap, *means)
    if gap.high < 0:
        return Gap(undefined("the ceiling is below the floor", gap.n, gap.groups), gap, *means)
    over, under, sizes = (sums(place, count, x) for x in (p - n, c - n, np.ones(len(n))))
    return Gap(_ratio(over, under, sizes, len(n)), gap, *means)


def _none(why: Measured) -> Gap:
    return Gap(why, why, None, None, None)


def _ratio(over: Any, under: Any, sizes: Any, n: int) -> Measured:
    """Σover / Σunder with Fieller's clustered interval, given both and the number of questions per group; the t
    interval of the mean of `under` is above zero."""
    from scipy.special import stdtrit

    count = len(sizes)
    a, b = math.fsum(over.tolist()) / n, math.fsum(under.tolist()) / n
    rest = over - sizes * a, under - sizes * b
    scale = count / (count - 1) / n**2
    aa, ab, bb = (scale * math.fsum((rest[i] * rest[j]).tolist()) for i, j in ((0, 0), (0, 1), (1, 1)))
    value = a / b
    error = math.sqrt(max(0.0, aa - 2 * value * ab + value**2 * bb)) / b
    if error <= NO_SPREAD:
        return undefined("no spread: every group recovers the same share", n, count, value)
    squared = float(stdtrit(count - 1, (1 + LEVEL) / 2)) ** 2
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


def _of_arm(arm: ArmRow, arms: Sequence[ArmRow], answered: dict[tuple[str, int], Questions]) -> ArmGap:
    import numpy as np

    floor, no_floor = beside(arm, arms, 0)
    ceiling, no_ceiling = beside(arm, arms, 2)
    if floor is None or ceiling is None:
        ids = (floor.arm if floor else None, ceiling.arm if ceiling else None)
        return ArmGap(arm.task, arm.arm, *ids, _none(undefined(no_floor or no_ceiling or "")))
    asked = [answered[a.task, a.arm] for a in (floor, arm, ceiling)]
    decided = [of.question[~np.isnan(of.mean)] for of in asked]
    shared = reduce(np.intersect1d, decided)
    at = [np.argsort(of.question)[np.isin(np.sort(of.question), shared)] for of in asked]
    naive, protocol, top = (of.mean[places] for of, places in zip(asked, at, strict=True))
    of = gap_recovered(naive, protocol, top, asked[0].group[at[0]])
    return ArmGap(arm.task, arm.arm, floor.arm, ceiling.arm, of)
