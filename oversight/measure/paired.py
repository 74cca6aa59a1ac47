"""Which of two arms is right more often: the difference in accuracy on the questions both were asked.

Repeats of a question are averaged first, so that a question counts once however often it was played:
samples within each cell (assigned answer × answer order), then the cells. A question whose cells do not
all have a decided verdict is left out, and counted: what is left of it would be another measurement (a
consultancy of honest consultants alone, a judge of one answer order).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from oversight.measure.columns import group_numbers, runs, sums
from oversight.measure.judged import chosen, judged
from oversight.measure.measured import DRAWN, Measured, few, mean_of, undefined, within

if TYPE_CHECKING:
    from oversight.store.reading import Reader

EXACT_GROUPS = 20
"""Up to so many groups every pattern of signs is counted (2²⁰ are a million)."""
DRAWS = 10_000
FEW_DIFFERING = 10
"""A t interval needs so many questions on which the arms differ."""

# Sums of sorted lists: the same to the last digit however the rows come, and quicker than ordered sums.
_ANSWERED = """cells AS (
  SELECT task, arm, question, any_value("group") AS "group", argued, answer_order,
         count(*) AS episodes, count(*) FILTER (status = 'decided') AS decided,
         avg(correct::INTEGER) FILTER (status = 'decided') AS mean,
         count(*) FILTER (status = 'decided' AND correct) / count(*) AS worst,
         count(*) FILTER (status <> 'decided' OR correct) / count(*) AS best
  FROM judged{where}
  GROUP BY task, arm, question, argued, answer_order
)
SELECT task, arm, question, any_value("group") AS "group",
       CASE WHEN count(mean) = count(*) THEN list_sum(list_sort(list(mean))) / count(*) END AS mean,
       list_sum(list_sort(list(worst))) / count(*) AS worst, list_sum(list_sort(list(best))) / count(*) AS best,
       sum(episodes)::BIGINT AS episodes, sum(decided)::BIGINT AS decided
FROM cells GROUP BY task, arm, question ORDER BY task, arm, "group", question"""


def statement(arms: tuple[int, ...] | None = None, task: str | None = None, run: int | None = None) -> str:
    """The SQL of the rows: one a question of each arm, its repeats averaged."""
    return f"{judged(run)},\n{_ANSWERED.format(where=chosen(arms, task))}"


@dataclass(frozen=True)
class Answered:
    """A question in one arm. `mean` is the share of right verdicts, repeats averaged, None where a cell has no
    decided one; `worst` and `best` count every undecided verdict as wrong, and as right."""

    question: int
    group: str
    mean: float | None
    worst: float
    best: float


@dataclass(frozen=True)
class Questions:
    """The questions of one arm as columns of shape (questions,): as `Answered` has them, groups by number (one for all
    arms), NaN where there is no mean."""

    question: Any
    group: Any
    mean: Any
    worst: Any
    best: Any


@dataclass(frozen=True)
class Flips:
    """A sign-flip test: its two-sided `p`, over how many `patterns` of signs, all there are or drawn ones."""

    p: float | None
    method: Literal["exact", "drawn"] | None
    patterns: int
    reason: str | None = None


@dataclass(frozen=True)
class Difference:
    """Accuracy of arm A less that of arm B, as a share (0.06 is six points).

    `test` is the sign-flip test that there is none. `shared` questions were planned for both arms, `only_a`
    and `only_b` for one; `left_out` of the shared have no complete set of decided verdicts in one of them.
    `a` and `b` are the accuracies on the questions compared. `worst` and `best`: the difference over all
    shared questions if every undecided verdict spoke against A, or for it. `differing`: questions on which
    the arms are not equal.
    """

    difference: Measured
    test: Flips
    a: float | None
    b: float | None
    worst: float | None
    best: float | None
    shared: int
    only_a: int
    only_b: int
    left_out: int
    differing: int

    @property
    def matched(self) -> bool:
        """Whether both arms were planned on the same questions."""
        return not self.only_a and not self.only_b


Asked = Questions | Sequence[Answered]


def difference(a: Asked, b: Asked, unmatched: bool = False) -> Difference:
    """The paired difference of two arms' questions.

    The mean of the per-question differences with its clustered t interval (Miller 2024, arXiv
    2411.00640), and a sign-flip permutation test on the groups' sums (`sign_flips`). Where the arms
    were not planned on the same questions there is none, unless `unmatched` takes the shared ones.
    """
    import numpy as np

    one, other = columns(a, b)
    _, of_a, of_b = np.intersect1d(one.question, other.question, assume_unique=True, return_indices=True)
    shared, only_a, only_b = len(of_a), len(one.question) - len(of_a), len(other.question) - len(of_b)
    x, y, group = one.mean[of_a], other.mean[of_b], one.group[of_a]
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y, group = x[both], y[both], group[both]
    differing = int(np.sum(abs(x - y) > 1e-12))
    reason = _why_not(shared, only_a, only_b, len(x), unmatched)
    estimate = undefined(reason) if reason else mean_of(x - y, group)
    if estimate.low is not None and differing < FEW_DIFFERING:
        few_differ = f"they differ on fewer than {FEW_DIFFERING} questions"
        estimate = replace(estimate, caution=few(estimate.groups) or few_differ)

    def mean(values: Any) -> float | None:
        return math.fsum(values.tolist()) / len(values) if reason is None else None

    return Difference(
        within(estimate, -1, 1),
        sign_flips(x - y, group) if reason is None else Flips(None, None, 0, reason),
        mean(x),
        mean(y),
        mean(one.worst[of_a] - other.best[of_b]),
        mean(one.best[of_a] - other.worst[of_b]),
        shared,
        only_a,
        only_b,
        shared - len(x),
        differing,
    )


def columns(*arms: Asked) -> list[Questions]:
    """The questions of some arms, all given as rows or all as columns (or empty), as columns."""
    import numpy as np

    rows = [[] if isinstance(arm, Questions) else list(arm) for arm in arms]
    numbers = iter(group_numbers(row.group for of in rows for row in of)[0].tolist())
    return [
        arm
        if isinstance(arm, Questions)
        else Questions(
            np.array([row.question for row in of], dtype=np.uint64),
            np.array([next(numbers) for _ in of], dtype=int),
            *(
                np.array([np.nan if (x := getattr(row, name)) is None else x for row in of], dtype=float)
                for name in ("mean", "worst", "best")
            ),
        )
        for arm, of in zip(arms, rows, strict=True)
    ]


def _why_not(shared: int, only_a: int, only_b: int, complete: int, unmatched: bool) -> str | None:
    if not shared:
        return "no question was asked in both"
    if (only_a or only_b) and not unmatched:
        return (
            f"they were played on different questions ({shared:,} shared, {only_a:,} only in the first, "
            f"{only_b:,} only in the second)"
        )
    return None if complete else "no shared question has decided verdicts in both"


def sign_flips(values: Sequence[float], groups: Sequence[str], seed: int = 0) -> Flips:
    """Two-sided p of "no difference": how often |Σ ±s_g| ≥ |Σ s_g| when each group's sum s_g of `values`
    may as well have had the other sign (Fisher 1935; the paired permutation of Kenton 2024, by group).

    All 2^G patterns are counted for up to 20 groups that differ; else 10,000 are drawn by `seed`, and
    p = (1 + hits) / (1 + draws) (Phipson and Smyth 2010). Needs no spread: all differences zero is p = 1.
    """
    import numpy as np

    if len(values) == 0:
        return Flips(None, None, 0, "there is nothing to flip")
    of_groups = sums(*group_numbers(groups), np.asarray(values, dtype=float))
    moved = of_groups[abs(of_groups) > 1e-12].tolist()
    if len(moved) <= EXACT_GROUPS:
        return _all_patterns(moved)
    return _drawn_patterns(moved, seed)


def _all_patterns(sums: Sequence[float]) -> Flips:
    import numpy as np

    reached = np.zeros(1)
    for s in sums:
        reached = np.concatenate([reached + s, reached - s])
    return Flips(float(np.mean(np.abs(reached) >= _threshold(sums))), "exact", len(reached))


def _drawn_patterns(moved: Sequence[float], seed: int) -> Flips:
    import numpy as np

    draw, at, least = np.random.default_rng(seed).bit_generator, np.asarray(moved), _threshold(moved)
    whole, hits, step = math.fsum(moved), 0, max(1, DRAWN // len(moved))
    for start in range(0, DRAWS, 2 * step):  # a part at a time: a matrix of all signs could be large
        rows = min(2 * step, DRAWS - start)
        # The upper bit of each half of a draw is a sign: what Generator.integers(0, 2) gives, in a third of the time.
        bits = draw.random_raw(rows * len(at) // 2).astype("<u8", copy=False).view("<u4") >> 31
        hits += int(np.sum(np.abs(2 * (bits.reshape(rows, -1).astype(float) @ at) - whole) >= least))
    return Flips((1 + hits) / (1 + DRAWS), "drawn", DRAWS)


def _threshold(sums: Sequence[float]) -> float:
    """|Σ s|, less the rounding that sums of another order may have."""
    return abs(math.fsum(sums)) - 1e-9 * math.fsum(abs(s) for s in sums)


def measure_answered(
    reader: Reader, arms: tuple[int, ...] | None = None, task: str | None = None, run: int | None = None
) -> dict[tuple[str, int], Questions]:
    """The questions of each (task, arm), repeats averaged. Raises `StoreError`."""
    import numpy as np

    table = reader.columns(statement(arms, task, run))
    table["group"] = group_numbers(table["group"])[0]
    table["mean"] = np.ma.filled(table["mean"], np.nan)
    names = [field.name for field in fields(Questions)]
    return {
        (of_task, arm): Questions(*(of[name] for name in names))
        for (of_task, arm), of in runs(table, "task", "arm")
    }


def measure_difference(
    reader: Reader, task: str, a: int, b: int, run: int | None = None, unmatched: bool = False
) -> Difference:
    """The paired difference of two arms on a task, in the database or in what one run planned. Raises `StoreError`."""
    rows = measure_answered(reader, (a, b), task, run)
    return difference(rows.get((task, a), []), rows.get((task, b), []), unmatched)
