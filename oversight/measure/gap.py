"""How much of what the judge misses without the passage a protocol gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.arms import ArmRow, beside, measure_arms
from oversight.measure.measured import LEVEL, Measured, few, group_counts, mean_of, undefined
from oversight.measure.paired import Answered, measure_answered, statement

if TYPE_CHECKING:
    from oversight.store.reading import Reader

DRAWS = 2000


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
    naive: Sequence[float],
    protocol: Sequence[float],
    ceiling: Sequence[float],
    groups: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> Gap:
    """The share of the gap recovered on shared questions, each of shape (questions,) with repeats averaged.

    (mean protocol − mean naive) / (mean ceiling − mean naive), "performance gap recovered" (Burns et al.
    2023, arXiv 2312.09390, §3). Interval: percentile bootstrap that draws whole groups (`draws` times, by
    `seed`); its standard deviation is the `error`. Undefined where the clustered interval of the gap
    itself touches zero, for the ratio has no mean there, or where the ceiling is below the floor.
    """
    if not len(groups):
        return _none(undefined("no question was decided in all three arms"))
    gap = mean_of([c - n for n, c in zip(naive, ceiling, strict=True)], groups)
    means = [sum(x) / len(x) for x in (naive, protocol, ceiling)]
    if gap.low is None or gap.high is None:
        return Gap(undefined(f"the gap: {gap.reason}", gap.n, gap.groups), gap, *means)
    if gap.touches_zero:
        reason = "the gap's own interval touches zero"
        return Gap(undefined(reason, gap.n, gap.groups), gap, *means)
    if gap.high < 0:
        return Gap(undefined("the ceiling is below the floor", gap.n, gap.groups), gap, *means)
    value = (means[1] - means[0]) / (means[2] - means[0])
    return Gap(_bootstrapped(value, naive, protocol, ceiling, groups, draws, seed), gap, *means)


def _none(why: Measured) -> Gap:
    return Gap(why, why, None, None, None)


def _bootstrapped(
    value: float,
    naive: Sequence[float],
    protocol: Sequence[float],
    ceiling: Sequence[float],
    groups: Sequence[str],
    draws: int,
    seed: int,
) -> Measured:
    import numpy as np

    names = sorted(set(groups))
    at = {g: i for i, g in enumerate(names)}
    sums = np.zeros((len(names), 2))
    for n, p, c, g in sorted(zip(naive, protocol, ceiling, groups, strict=True)):
        sums[at[g]] += (p - n, c - n)
    over, under = (group_counts(len(names), draws, seed) @ sums).T
    if np.any(under <= 0):  # rare, since the gap's interval is above zero; the ratio has no sign there
        share = float(np.mean(under <= 0))
        if share > (1 - LEVEL) / 2:
            return undefined("the gap is too uncertain", len(groups), len(names), value)
    ratio = over[under > 0] / under[under > 0]
    low, high = np.quantile(ratio, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if high - low < 1e-12:
        return undefined("no spread: every group recovers the same share", len(groups), len(names), value)
    return Measured(
        value, float(ratio.std()), float(low), float(high), len(groups), len(names), caution=few(len(names))
    )


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
