"""Which of two arms is right more often: the difference in accuracy on the questions both were asked.

Repeats of a question are averaged first, so that a question counts once however often it was played:
samples within each cell (assigned answer × answer order), then the cells. A question whose cells do not
all have a decided verdict is left out, and counted: what is left of it would be another measurement (a
consultancy of honest consultants alone, a judge of one answer order).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from oversight.measure.judged import chosen, judged
from oversight.measure.measured import Measured, few, mean_of, undefined, within

if TYPE_CHECKING:
    from oversight.store.reading import Reader

EXACT_GROUPS = 20
"""Up to so many groups every pattern of signs is counted (2²⁰ are a million)."""
DRAWS = 10_000
FEW_DIFFERING = 10
"""A t interval needs so many questions on which the arms differ."""

_ANSWERED = """cells AS (
  SELECT task, arm, question, "group", argued, answer_order,
         count(*) AS episodes, count(*) FILTER (status = 'decided') AS decided,
         avg(correct::INTEGER) FILTER (status = 'decided') AS mean,
         count(*) FILTER (status = 'decided' AND correct) / count(*) AS worst,
         count(*) FILTER (status <> 'decided' OR correct) / count(*) AS best
  FROM judged{where}
  GROUP BY ALL
)
SELECT task, arm, question, "group",
       CASE WHEN count(mean) = count(*) THEN avg(mean ORDER BY argued, answer_order) END AS mean,
       avg(worst ORDER BY argued, answer_order) AS worst, avg(best ORDER BY argued, answer_order) AS best,
       sum(episodes)::BIGINT AS episodes, sum(decided)::BIGINT AS decided
FROM cells GROUP BY ALL ORDER BY task, arm, "group", question"""


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


def difference(a: Sequence[Answered], b: Sequence[Answered], unmatched: bool = False) -> Difference:
    """The paired difference of two arms' questions.

    The mean of the per-question differences with its clustered t interval (Miller 2024, arXiv
    2411.00640), and a sign-flip permutation test on the groups' sums (`sign_flips`). Where the arms
    were not planned on the same questions there is none, unless `unmatched` takes the shared ones.
    """
    of_a, of_b = {row.question: row for row in a}, {row.question: row for row in b}
    shared = sorted(of_a.keys() & of_b.keys())
    pairs = [(of_a[q], of_b[q]) for q in shared]
    both = [(x.mean, y.mean, x.group) for x, y in pairs if x.mean is not None and y.mean is not None]
    only_a, only_b = len(of_a) - len(shared), len(of_b) - len(shared)
    values, groups = [x - y for x, y, _ in both], [group for *_, group in both]
    differing = sum(abs(v) > 1e-12 for v in values)
    reason = _why_not(len(shared), only_a, only_b, len(both), unmatched)
    estimate = undefined(reason) if reason else mean_of(values, groups)
    if estimate.low is not None and differing < FEW_DIFFERING:
        few_differ = f"they differ on fewer than {FEW_DIFFERING} questions"
        estimate = replace(estimate, caution=few(estimate.groups) or few_differ)
    known = bool(both) and reason is None
    return Difference(
        within(estimate, -1, 1),
        sign_flips(values, groups) if known else Flips(None, None, 0, reason),
        math.fsum(x for x, _, _ in both) / len(both) if known else None,
        math.fsum(y for _, y, _ in both) / len(both) if known else None,
        math.fsum(x.worst - y.best for x, y in pairs) / len(pairs) if known else None,
        math.fsum(x.best - y.worst for x, y in pairs) / len(pairs) if known else None,
        len(shared),
        only_a,
        only_b,
        len(shared) - len(both),
        differing,
    )


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
    if len(values) == 0:
        return Flips(None, None, 0, "there is nothing to flip")
    parts: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        parts.setdefault(group, []).append(value)
    sums = [math.fsum(parts[g]) for g in sorted(parts)]
    moved = [s for s in sums if abs(s) > 1e-12]
    if len(moved) <= EXACT_GROUPS:
        return _all_patterns(moved)
    return _drawn_patterns(moved, seed)


def _all_patterns(sums: Sequence[float]) -> Flips:
    import numpy as np

    reached = np.zeros(1)
    for s in sums:
        reached = np.concatenate([reached + s, reached - s])
    return Flips(float(np.mean(np.abs(reached) >= _threshold(sums))), "exact", len(reached))


def _drawn_patterns(sums: Sequence[float], seed: int) -> Flips:
    import numpy as np

    draw, at = np.random.default_rng(seed), np.asarray(sums)
    hits = 0
    for _ in range(10):  # in tenths: a matrix of all signs could be large
        signs = draw.integers(0, 2, size=(DRAWS // 10, len(at))) * 2.0 - 1
        hits += int(np.sum(np.abs(signs @ at) >= _threshold(sums)))
    return Flips((1 + hits) / (1 + DRAWS), "drawn", DRAWS)


def _threshold(sums: Sequence[float]) -> float:
    """|Σ s|, less the rounding that sums of another order may have."""
    return abs(math.fsum(sums)) - 1e-9 * math.fsum(abs(s) for s in sums)


def measure_answered(
    reader: Reader, arms: tuple[int, ...] | None = None, task: str | None = None, run: int | None = None
) -> dict[tuple[str, int], list[Answered]]:
    """The questions of each (task, arm), repeats averaged. Raises `StoreError`."""
    found: dict[tuple[str, int], list[Answered]] = {}
    for of_task, arm, *rest, _, _ in reader.sql(statement(arms, task, run)).rows:
        found.setdefault((of_task, arm), []).append(Answered(*rest))
    return found


def measure_difference(
    reader: Reader, task: str, a: int, b: int, run: int | None = None, unmatched: bool = False
) -> Difference:
    """The paired difference of two arms on a task, in the database or in what one run planned. Raises `StoreError`."""
    rows = measure_answered(reader, (a, b), task, run)
    return difference(rows.get((task, a), []), rows.get((task, b), []), unmatched)
