"""What accuracy costs: which arms no other arm beats in both, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from oversight.measure.accuracy import Interval, of_groups
from oversight.measure.judged import judged
from oversight.measure.measured import Measured, group_counts, mean_of, undefined
from oversight.measure.seats import judge_names

if TYPE_CHECKING:
    from oversight.store.reading import Reader

DRAWS = 2000
NOT_KNOWN = "what some call took is unknown, or there was none"

Unit = Literal["cost", "tokens"]

# What it takes to play an episode by itself: every call it uses, whoever paid for it.
_COSTS = """took AS (
  SELECT episode, CASE WHEN bool_or(cost IS NULL) THEN NULL ELSE sum(cost ORDER BY call) END AS cost,
         CASE WHEN bool_or(prompt_tokens IS NULL OR completion_tokens IS NULL) THEN NULL
              ELSE sum(prompt_tokens + completion_tokens)::BIGINT END AS tokens
  FROM (SELECT DISTINCT episode, call FROM uses) JOIN calls USING (call) GROUP BY episode
)
SELECT j.task, a.judge, j.arm, j."group", count(*) AS episodes, count(*) FILTER (j.status = 'decided') AS decided,
       count(*) FILTER (j.status = 'decided' AND j.correct) AS "right",
       CASE WHEN count(t.cost) = count(t.episode) THEN sum(t.cost ORDER BY j.episode) END AS cost,
       CASE WHEN count(t.tokens) = count(t.episode) THEN sum(t.tokens)::DOUBLE END AS tokens
FROM judged j JOIN arms a USING (arm) LEFT JOIN took t USING (episode)
WHERE j.status <> 'unfinished'
GROUP BY ALL ORDER BY j.task, a.judge, j.arm, j."group\""""


@dataclass(frozen=True)
class Took:
    """What one group's episodes of an arm took together (`cost`, None if unknown), and came to."""

    group: str
    episodes: int
    decided: int
    right: int
    cost: float | None


@dataclass(frozen=True)
class Place:
    """One arm. `cost` is the mean of an episode (US dollars or tokens), `accuracy` a share over decided verdicts.

    `on_frontier`: no other arm is as cheap and more accurate, or as accurate and cheaper. `confidence` is the
    share of cluster-bootstrap samples in which that is so. Both None, with `reason`, where it is not known.
    """

    arm: int
    cost: Measured
    accuracy: float | None
    interval: Interval
    on_frontier: bool | None
    confidence: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Frontier:
    """The arms of one judge on one task, cheapest first."""

    task: str
    judge: str
    unit: Unit
    places: tuple[Place, ...]


def frontier(arms: Mapping[int, Sequence[Took]], draws: int = DRAWS, seed: int = 0) -> tuple[Place, ...]:
    """Where each arm stands, cheapest first; arms without accuracy or with a call of unknown cost last.

    Groups are drawn with replacement `draws` times, the same ones for every arm (they share questions),
    and the frontier is found anew in each sample.
    """
    import numpy as np

    known = {arm: rows for arm, rows in arms.items() if not _missing(rows)}
    names = sorted({row.group for rows in known.values() for row in rows})
    confident: dict[int, float | None] = dict.fromkeys(known)
    best: dict[int, bool] = {}
    if known:
        sums = np.zeros((len(known), len(names), 4))
        at = {g: i for i, g in enumerate(names)}
        for a, rows in enumerate(known.values()):
            for row in rows:
                sums[a, at[row.group]] += (row.cost, row.episodes, row.right, row.decided)
        best = dict(zip(known, _undominated(sums.sum(axis=1)[None])[0].tolist(), strict=True))
        if len(names) > 1:
            counts = group_counts(len(names), draws, seed)
            drawn = np.einsum("dg,agk->dak", counts, sums, optimize=True)
            confident = dict(zip(known, _undominated(drawn).mean(axis=0).tolist(), strict=True))
    places = [_place(arm, rows, best.get(arm), confident.get(arm)) for arm, rows in arms.items()]
    return tuple(
        sorted(places, key=lambda p: (p.cost.value is None, p.cost.value or 0.0, -(p.accuracy or 0.0), p.arm))
    )


def _undominated(sums: Any) -> Any:
    """Of shape (draws, arms, 4: cost, episodes, right, decided): which arms nothing beats, (draws, arms)."""
    import numpy as np

    cost, episodes, right, decided = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        price, accuracy = cost / episodes, right / decided  # NaN: an arm that no drawn group has
    cheaper = price[:, :, None] <= price[:, None, :]
    better = accuracy[:, :, None] >= accuracy[:, None, :]
    strictly = (price[:, :, None] < price[:, None, :]) | (accuracy[:, :, None] > accuracy[:, None, :])
    beaten = (cheaper & better & strictly).any(axis=1)
    return ~beaten & ~np.isnan(price) & ~np.isnan(accuracy)


def _missing(rows: Sequence[Took]) -> str | None:
    if not sum(row.decided for row in rows):
        return "no verdict was decided"
    return NOT_KNOWN if any(row.cost is None for row in rows) else None


def _place(arm: int, rows: Sequence[Took], best: bool | None, confidence: float | None) -> Place:
    reason = _missing(rows)
    decided = sum(row.decided for row in rows)
    accuracy = sum(row.right for row in rows) / decided if decided else None
    interval = of_groups([(row.group, row.decided, row.right) for row in rows])
    if any(row.cost is None for row in rows):
        cost = undefined(NOT_KNOWN)
    else:
        cost = mean_of(
            [(row.cost or 0.0) / row.episodes for row in rows],
            [row.group for row in rows],
            [row.episodes for row in rows],
        )
    return Place(arm, cost, accuracy, interval, best, confidence, reason)


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one a group of each arm."""
    return {"frontier": f"{judged(run)},\n{_COSTS}"}


def measure_frontier(reader: Reader, run: int | None = None, unit: Unit | None = None) -> list[Frontier]:
    """Of each judge on each task; what episodes take in US dollars, or in tokens (prompt and completion); without
    `unit` in dollars where every arm's are known and some cost anything, else in tokens. Episodes without a
    verdict are left out. Raises `StoreError`."""
    rows = reader.sql(statements(run)["frontier"]).rows
    if unit is None:
        costs = [row[7] for row in rows]
        unit = "cost" if None not in costs and any(costs) else "tokens"
    judges = judge_names(reader)
    found: dict[tuple[str, str], dict[int, list[Took]]] = {}
    for task, _, arm, group, episodes, decided, right, cost, tokens in rows:
        took = Took(group, episodes, decided, right, cost if unit == "cost" else tokens)
        found.setdefault((task, judges[arm]), {}).setdefault(arm, []).append(took)
    return [Frontier(*key, unit, frontier(arms)) for key, arms in found.items()]
