"""Whom the judge believes: win rates of the right and the wrong side, and what a protocol does to a judge
that alone would have been right, or wrong."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oversight.measure.accuracy import Interval, of_sums
from oversight.measure.arms import beside, measure_arms
from oversight.measure.columns import group_numbers, numbered, runs, sums
from oversight.measure.judged import judged

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# One row a verdict and answer argued in it: "A=1,B=0" are the arguing seats with their answers.
_SIDES = """sides AS (
  SELECT *, unnest(list_distinct(regexp_extract_all(assignment, '=(\\d+)', 1)))::BIGINT AS side
  FROM judged WHERE status = 'decided'
)
SELECT task, arm, "group", side = label AS "right", answer_order[1] = side AS shown_first,
       count(*) AS argued, count(*) FILTER (choice = side) AS won
FROM sides GROUP BY ALL ORDER BY ALL"""

_CELLS = """SELECT task, arm, "group", question, answer_order::VARCHAR AS answer_order, avg(correct::INTEGER) AS "right"
FROM judged WHERE status = 'decided' GROUP BY ALL ORDER BY ALL"""


@dataclass(frozen=True)
class Rate:
    """A share with its interval: `won` of `of` (averages over repeats need not be whole); None where `of` is 0."""

    won: float
    of: float
    share: float | None
    interval: Interval


@dataclass(frozen=True)
class WinRate:
    """How often the judge chose the argued answer: where it was `right` or wrong, shown first or not
    (None: both orders). Of the wrong side it is how often the judge was convinced of a wrong answer."""

    task: str
    arm: int
    right: bool
    shown_first: bool | None
    rate: Rate


@dataclass(frozen=True)
class Turned:
    """What a protocol did to the judge. `rescue`: right with it, of what the judge alone got wrong; `harm`: wrong
    with it, of what the judge alone got right. `reason` where there is nothing to compare with."""

    task: str
    arm: int
    floor_arm: int | None
    rescue: Rate
    harm: Rate
    reason: str | None = None


def rate(rows: Iterable[tuple[str, float, float]]) -> Rate:
    """The share Σwon / Σof of rows (group, of, won), with the interval of `accuracy.interval`."""
    import numpy as np

    names, of, won = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
    return rate_of(group_numbers(names), np.asarray(of), np.asarray(won))


def rate_of(groups: tuple[Any, int], of: Any, won: Any) -> Rate:
    """As `rate`, of columns of shape (rows,): the groups by number (and how many there are), `of` (None: 1 each) and
    `won`."""
    place, count = groups
    sizes, wins = sums(place, count, of), sums(place, count, won)
    all_of, all_won = (
        math.fsum(total.tolist()) if values is not None and values.dtype.kind == "f" else int(total.sum())
        for values, total in ((of, sizes), (won, wins))
    )
    if not all_of:
        return Rate(0, 0, None, Interval(None, None, None, "there were none"))
    return Rate(all_won, all_of, all_won / all_of, of_sums(sizes, wins))


def rescue_and_harm(
    alone: Sequence[float], helped: Sequence[float], groups: Iterable[Hashable]
) -> tuple[Rate, Rate]:
    """Rescue Σ(1−aᵢ)hᵢ / Σ(1−aᵢ) and harm Σaᵢ(1−hᵢ) / Σaᵢ.

    aᵢ, hᵢ of shape (cells,): the share of right verdicts alone and with the protocol on one question in
    one answer order, repeats averaged. The two are independent draws given the cell, so the product of
    the averages is the chance of both at once.
    """
    import numpy as np

    a, h, of = np.asarray(alone, dtype=float), np.asarray(helped, dtype=float), group_numbers(groups)
    return rate_of(of, 1 - a, (1 - a) * h), rate_of(of, a, a * (1 - h))


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: sides won, and right verdicts by question and answer order."""
    return {
        "win rates": f"{judged(run)},\n{_SIDES}",
        "rescue and harm": f"{judged(run)}\n{_CELLS}",
    }


def measure_win_rates(reader: Reader, run: int | None = None) -> list[WinRate]:
    """Of every arm in which somebody argues: both sides, in both orders and in each. Raises `StoreError`."""
    found = []
    for (task, arm), of in runs(reader.columns(statements(run)["win rates"]), "task", "arm"):
        group = numbered(of["group"])
        for right in (True, False):
            for first in (None, True, False):
                at = of["right"] == right
                at &= True if first is None else of["shown_first"] == first
                won = rate_of((group[at], group[-1] + 1), of["argued"][at], of["won"][at])
                found.append(WinRate(task, arm, right, first, won))
    return found


def measure_rescue_and_harm(reader: Reader, run: int | None = None) -> list[Turned]:
    """Of every arm that is neither floor nor ceiling, against the same judge alone on the same questions in the
    same answer orders. Raises `StoreError`."""
    import numpy as np

    arms = measure_arms(reader, run)
    table = reader.columns(statements(run)["rescue and harm"])
    order = group_numbers(table["answer_order"])[0]
    table["cell"] = group_numbers(table["question"])[0] * (order.max(initial=0) + 1) + order
    cells = dict(runs(table, "task", "arm"))
    found = []
    for row in (a for a in arms if a.place == 1):
        floor, reason = beside(row, arms, 0)
        alone = cells.get((floor.task, floor.arm)) if floor else None
        helped = cells.get((row.task, row.arm))
        if alone is None or helped is None:
            alone = helped = {name: column[:0] for name, column in table.items()}
        _, one, other = np.intersect1d(alone["cell"], helped["cell"], assume_unique=True, return_indices=True)
        if floor and not len(one):
            reason = "no question was decided in both, in the same answer order"
        rates = rescue_and_harm(alone["right"][one], helped["right"][other], alone["group"][one])
        found.append(Turned(row.task, row.arm, floor.arm if floor else None, *rates, reason))
    return found
