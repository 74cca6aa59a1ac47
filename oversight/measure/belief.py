"""How the judge's belief moves while it reads, where a protocol asks for it more than once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.columns import Columns, changes, group_numbers, numbered, runs
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
SELECT task, arm, "group", episode, label::INTEGER AS label, turn,
       (generate_subscripts(probabilities, 1) - 1)::INTEGER AS answer, unnest(probabilities) AS p
FROM (SELECT * FROM beliefs QUALIFY count(*) OVER (PARTITION BY task, arm, episode) > 1)
ORDER BY task, arm, "group", episode, turn, answer"""


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
    import numpy as np

    group = group_numbers(path.group for path in paths)[0].tolist()
    rows = [
        (group[n], n, path.label, answer, p)
        for n, path in enumerate(paths)
        for belief in path.beliefs
        for answer, p in enumerate(belief)
    ]
    columns = np.array(rows, dtype=float).reshape(-1, 5).T
    whole = dict(zip(("group", "episode", "label", "answer"), columns[:4].astype(int), strict=True))
    return _movement({**whole, "p": columns[4]})


def _movement(of: Columns) -> Movement:
    """As `belief_movement`, of paths in columns: the rows of `statements`."""
    import numpy as np

    p, answer, right = of["p"], of["answer"], of["answer"] == of["label"]
    starts, path = np.flatnonzero(answer == 0), numbered(of["episode"])  # of each belief the first row
    belief, of_path, group = (answer == 0).cumsum() - 1, path[starts], of["group"][starts]
    opens = changes(of_path)  # whether a belief is the first of its path
    later = ~opens[belief]
    before = starts[belief[later] - 1] + answer[later]  # the same answer, one belief ago
    moved = np.bincount(path[later], weights=(p[later] - p[before]) ** 2)
    uncertain = np.bincount(belief, weights=p * (1 - p))
    closes = np.append(opens[1:], True)[: len(opens)]
    reduced = uncertain[opens] - uncertain[closes]
    change = np.diff(np.log(np.maximum(p[right], CLIP)), prepend=0.0)
    number = np.arange(len(starts)) - np.flatnonzero(opens)[of_path]
    steps = [(i, number == i) for i in range(1, number.max(initial=0) + 1)]
    groups = group[opens]
    return Movement(
        len(groups),
        tuple(
            Step(i, within(mean_of(change[at], group[at]), math.log(CLIP), -math.log(CLIP)))
            for i, at in steps
        ),
        within(mean_of(moved, groups), 0, math.inf),
        within(mean_of(reduced, groups), -1, 1),
        mean_of(moved - reduced, groups),
    )


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one an answer of each belief, in episodes with more than one."""
    return {"beliefs": f"{judged(run)},\n{_BELIEFS}"}


def measure_belief(reader: Reader, run: int | None = None) -> list[ArmMovement]:
    """Of every arm whose judge was asked more than once. Raises `StoreError`."""
    table = reader.columns(statements(run)["beliefs"])
    return [
        ArmMovement(task, arm, _movement({**of, "group": numbered(of["group"])}))
        for (task, arm), of in runs(table, "task", "arm")
    ]
