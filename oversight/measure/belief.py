"""How the judge's belief moves while it reads, where a protocol asks for it more than once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from oversight.measure.judged import judged
from oversight.measure.measured import Measured, mean_of, within
from oversight.measure.scores import CLIP

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# The judge's own verdicts, read as its final one was; of two at one place the final one counts.
_BELIEFS = """beliefs AS (
  SELECT j.task, j.arm, j.episode, j."group", j.label, v.turn,
         arg_max(v.probabilities, (v.final, v.closing)) AS probabilities
  FROM judged j
       JOIN verdicts f ON f.episode = j.episode AND f.final
       JOIN verdicts v ON v.episode = j.episode AND v.judge = f.judge AND v.elicitation = f.elicitation
  WHERE v.probabilities IS NOT NULL
  GROUP BY ALL
)
SELECT task, arm, any_value("group") AS "group", any_value(label) AS label, list(turn ORDER BY turn) AS turns,
       list(probabilities ORDER BY turn) AS beliefs
FROM beliefs GROUP BY task, arm, episode HAVING count(*) > 1 ORDER BY task, arm, "group", episode"""


@dataclass(frozen=True)
class Path:
    """One judge's beliefs in one episode, in order: each the probabilities of all answers."""

    group: str
    label: int
    beliefs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Step:
    """From belief `number` − 1 to belief `number`: the mean change of ln p(right), in nats."""

    number: int
    change: Measured


@dataclass(frozen=True)
class Movement:
    """Over `paths`: the change of ln p(right) at each step, and in squared probability the mean `movement`,
    `reduction` of uncertainty, and `excess`: the first less the second, 0 for a calibrated Bayesian judge,
    above 0 for one that overreacts, below 0 for one that moves too little."""

    paths: int
    steps: tuple[Step, ...]
    movement: Measured
    reduction: Measured
    excess: Measured


@dataclass(frozen=True)
class ArmMovement:
    """The belief movement of one arm's judge."""

    task: str
    arm: int
    of: Movement


def belief_movement(paths: Sequence[Path]) -> Movement:
    """Belief movement and uncertainty reduction (Augenblick and Rabin 2021, QJE 136).

    Of one path π₀ … π_T over answers j: movement Σ_t Σⱼ (π_t,j − π_{t−1},j)², reduction Σⱼ π₀,j(1 − π₀,j) −
    Σⱼ π_T,j(1 − π_T,j). For beliefs that are right about their own future the two have one mean,
    whatever the signals were. Steps: ln p_t(right) − ln p_{t−1}(right), with p below 0.01 taken as 0.01. Means and
    clustered intervals over paths.
    """
    groups = [path.group for path in paths]
    moved = [movement(path.beliefs) for path in paths]
    reduced = [uncertainty(path.beliefs[0]) - uncertainty(path.beliefs[-1]) for path in paths]
    return Movement(
        len(paths),
        _steps(paths),
        within(mean_of(moved, groups), 0, math.inf),
        within(mean_of(reduced, groups), -1, 1),
        mean_of([m - r for m, r in zip(moved, reduced, strict=True)], groups),
    )


def movement(beliefs: Sequence[Sequence[float]]) -> float:
    """Σ_t Σⱼ (π_t,j − π_{t−1},j)²."""
    return math.fsum(
        (b - a) ** 2 for before, after in pairwise(beliefs) for a, b in zip(before, after, strict=True)
    )


def uncertainty(belief: Sequence[float]) -> float:
    """Σⱼ πⱼ(1 − πⱼ): the variance of "which answer is right" as believed."""
    return math.fsum(p * (1 - p) for p in belief)


def _steps(paths: Sequence[Path]) -> tuple[Step, ...]:
    changes: dict[int, list[tuple[float, str]]] = {}
    for path in paths:
        logs = [math.log(max(belief[path.label], CLIP)) for belief in path.beliefs]
        for number, (before, after) in enumerate(pairwise(logs), start=1):
            changes.setdefault(number, []).append((after - before, path.group))
    return tuple(
        Step(
            number,
            within(
                mean_of([c for c, _ in changes[number]], [g for _, g in changes[number]]),
                math.log(CLIP),
                -math.log(CLIP),
            ),
        )
        for number in sorted(changes)
    )


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one an episode with more than one belief."""
    return {"beliefs": f"{judged(run)},\n{_BELIEFS}"}


def measure_belief(reader: Reader, run: int | None = None) -> list[ArmMovement]:
    """Of every arm whose judge was asked more than once. Raises `StoreError`."""
    found: dict[tuple[str, int], list[Path]] = {}
    for task, arm, group, label, _, beliefs in reader.sql(statements(run)["beliefs"]).rows:
        path = Path(group, label, tuple(tuple(b) for b in beliefs))
        found.setdefault((task, arm), []).append(path)
    return [ArmMovement(task, arm, belief_movement(paths)) for (task, arm), paths in found.items()]
