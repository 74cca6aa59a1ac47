"""What accuracy costs: which arms no other arm beats in both, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from oversight.measure.accuracy import Interval, of_sums
from oversight.measure.columns import Columns, group_numbers, runs
from oversight.measure.judged import judged
from oversight.measure.measured import Measured, mean_of_sums, resampled, undefined
from oversight.measure.seats import judge_names

if TYPE_CHECKING:
    from oversight.store.reading import Reader

DRAWS = 2000
NOT_KNOWN = "what some call took is unknown, or there was none"
SAME = 1e-12
"""Costs whose ratio is nearer to 1 are the same: sums of one thing in two orders differ so little."""

Unit = Literal["cost", "tokens"]

# What it takes to play an episode by itself: every call it uses, whoever paid for it. Costs are added by size, so that
# their order changes no digit.
_COSTS = """took AS (
  SELECT episode, CASE WHEN bool_or(cost IS NULL) THEN NULL ELSE list_sum(list_sort(list(cost))) END AS cost,
         CASE WHEN bool_or(prompt_tokens IS NULL OR completion_tokens IS NULL) THEN NULL
              ELSE sum(prompt_tokens + completion_tokens)::BIGINT END AS tokens
  FROM (SELECT DISTINCT episode, call FROM uses) JOIN calls USING (call) GROUP BY episode
)
SELECT j.task, a.judge, j.arm, j."group", count(*) AS episodes, count(*) FILTER (j.status = 'decided') AS decided,
       count(*) FILTER (j.status = 'decided' AND j.correct) AS "right",
       CASE WHEN count(t.cost) = count(t.episode) THEN list_sum(list_sort(list(t.cost))) END AS cost,
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

    rows = [(arm, row) for arm, of in arms.items() for row in of]
    group, groups = group_numbers(row.group for _, row in rows)
    took = [
        (row.episodes, row.decided, row.right, np.nan if row.cost is None else row.cost) for _, row in rows
    ]
    sums = {arm: np.zeros((groups, 4)) for arm in arms}
    for (arm, _), place, numbers in zip(rows, group, took, strict=True):
        sums[arm][place] += numbers
    return _frontier(sums, draws, seed)


def _frontier(sums: Mapping[int, Any], draws: int = DRAWS, seed: int = 0) -> tuple[Place, ...]:
    """As `frontier`: of each arm what its episodes took, of shape (groups, 4: episodes, decided, right, cost), NaN what
    is unknown. Groups in which no arm with a place has episodes are not drawn."""
    import numpy as np

    known = [arm for arm, of in sums.items() if not _missing(of)]
    best: dict[int, bool] = {}
    confident: dict[int, float] = {}
    if known:
        whole = np.stack([sums[arm] for arm in known], axis=1)
        whole = whole[whole[:, :, 0].any(axis=1)]  # (groups, arms, 4)
        best = dict(zip(known, _undominated(whole.sum(axis=0)[None])[0].tolist(), strict=True))
        if len(whole) > 1:
            drawn = resampled(whole.reshape(len(whole), -1), draws, seed).reshape(draws, len(known), 4)
            confident = dict(zip(known, _undominated(drawn).mean(axis=0).tolist(), strict=True))
    places = [_place(arm, of, best.get(arm), confident.get(arm)) for arm, of in sums.items()]
    return tuple(
        sorted(places, key=lambda p: (p.cost.value is None, p.cost.value or 0.0, -(p.accuracy or 0.0), p.arm))
    )


def _undominated(sums: Any) -> Any:
    """Of shape (draws, arms, 4: episodes, decided, right, cost): which arms nothing beats, (draws, arms)."""
    import numpy as np

    episodes, decided, right, cost = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        price, accuracy = cost / episodes, right / decided  # NaN: an arm that no drawn group has
    cheaper = price[:, :, None] <= price[:, None, :] * (1 + SAME)
    better = accuracy[:, :, None] >= accuracy[:, None, :]
    strictly = price[:, :, None] * (1 + SAME) < price[:, None, :]
    strictly |= accuracy[:, :, None] > accuracy[:, None, :]
    beaten = (cheaper & better & strictly).any(axis=1)
    return ~beaten & ~np.isnan(price) & ~np.isnan(accuracy)


def _missing(of: Any) -> str | None:
    if not of[:, 1].any():
        return "no verdict was decided"
    return NOT_KNOWN if (of[:, 3] != of[:, 3]).any() else None


def _place(arm: int, of: Any, best: bool | None, confidence: float | None) -> Place:
    episodes, decided, right, cost = of[of[:, 0] > 0].T
    accuracy = float(right.sum() / decided.sum()) if decided.any() else None
    took = undefined(NOT_KNOWN) if (cost != cost).any() else mean_of_sums(episodes, cost, len(episodes))
    return Place(arm, took, accuracy, of_sums(decided, right), best, confidence, _missing(of))


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one a group of each arm."""
    return {"frontier": f"{judged(run)},\n{_COSTS}"}


def measure_frontier(reader: Reader, run: int | None = None, unit: Unit | None = None) -> list[Frontier]:
    """Of each judge on each task; what episodes take in US dollars, or in tokens (prompt and completion); without
    `unit` in dollars where every arm's are known and some cost anything, else in tokens. Episodes without a
    verdict are left out. Raises `StoreError`."""
    import numpy as np

    table = reader.columns(statements(run)["frontier"])
    if unit is None:
        costs = _known(table["cost"])
        unit = "cost" if not np.isnan(costs).any() and costs.any() else "tokens"
    judges = judge_names(reader)
    found: dict[tuple[str, str], dict[int, Columns]] = {}
    for (task, arm), of in runs(table, "task", "arm"):
        found.setdefault((task, judges[arm]), {})[arm] = of
    return [Frontier(*key, unit, _frontier(_numbered(arms, unit))) for key, arms in found.items()]


def _numbered(arms: Mapping[int, Columns], unit: Unit) -> dict[int, Any]:
    """What the episodes of each arm took, by groups that have one number in all arms: as `_frontier` wants it."""
    import numpy as np

    places, groups = group_numbers(np.concatenate([of["group"] for of in arms.values()]))
    took, at = {}, 0
    for arm, of in arms.items():
        took[arm] = np.zeros((groups, 4))
        place = places[at : at + len(of["group"])]
        took[arm][place] = np.array((of["episodes"], of["decided"], of["right"], _known(of[unit]))).T
        at += len(place)
    return took


def _known(column: Any) -> Any:
    """Numbers, NaN for NULL."""
    import numpy as np

    return np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
