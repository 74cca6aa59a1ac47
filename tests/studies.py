"""Many independent studies in one run of the real engine, and whether a truth is held as often as it should be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom, chi2

from oversight.engine.plan import make_plan
from oversight.engine.run import play_plan
from oversight.experiment import experiment_from
from oversight.models.dials import DebaterDials, JudgeDials
from oversight.question import hex_id

TASK = '''
"""Questions of which each study has its own, three on a passage."""
import random
from oversight import Label, Question, task


@task(asymmetry="the judge does not see the passage", source="invented", licence="CC0", generated=True)
def studied(*, seed: int, study: int = 0, answers: int = 2):
    """A study's questions.

    study: which
    answers: how many each question has
    """
    i = 0
    while True:
        label = random.Random(f"{seed}/{study}/{i}").randrange(answers)
        yield (
            Question(
                f"Study {study}, question {i}?",
                tuple(f"answer {'pqrstu'[j]}" for j in range(answers)),
                passage=f"Passage {i // 3} of study {study}.",
                group=f"{study}.{i // 3}",
                source_id=f"{study}-{i}",
            ),
            Label(label),
        )
        i += 1
'''

SELDOM = 1e-5
"""How often a correct measure may fail a bound here, before the fixed seeds are drawn."""


def spelt(name: str, dials: JudgeDials | DebaterDials | str) -> str:
    """A simulated player as the command line writes it."""
    if isinstance(dials, str):
        return dials
    return f"simulated/{name}:" + ",".join(f"{d}={v!r}" for d, v in vars(dials).items() if v is not None)


def play_studies(
    folder: Path,
    arms: Sequence[str],
    studies: int,
    judge: JudgeDials | Sequence[JudgeDials | str] | str,
    debater: DebaterDials | Sequence[DebaterDials | str] | None = None,
    options: str = "",
    answers: int = 2,
    **settings: Any,
) -> Path:
    """Plays each study as a task of its own, so that every measure tells of each alone; the database's path.

    `options` are added to the judge's dials.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "studied").mkdir()
    (folder / "studied" / "task.py").write_text(TASK)
    more = f",answers={answers}" if answers != 2 else ""
    debater = DebaterDials() if debater is None else debater
    judges = [judge] if isinstance(judge, JudgeDials | str) else list(judge)
    debaters = [debater] if isinstance(debater, DebaterDials | str) else list(debater)
    plan = make_plan(
        experiment_from(
            {
                "protocols": list(arms),
                "tasks": [f"{folder}/studied:study={i}{more}" for i in range(studies)],
                "judge": [spelt("judge", j) + options for j in judges],
                "debater": [spelt("debater", d) for d in debaters],
                "db": folder / "db.duckdb",
                **settings,
            }
        )
    )
    try:
        run = play_plan(plan)
    finally:
        plan.close()
    assert run.played == run.planned
    return folder / "db.duckdb"


@dataclass(frozen=True)
class Held:
    """How estimates of one truth, of as many studies, went: the intervals that missed it, the estimates' mean
    distance from it in its own standard error, and their mean squared distance in the mean squared error they state
    (1 if errors are right; None without errors)."""

    studies: int
    missed: int
    off: float
    squares: float | None


def held(found: Sequence[Any], truth: float | Sequence[float]) -> Held:
    """`found` have value (or share, or accuracy), low and high, some an error. Each must have an interval."""
    truths = [truth] * len(found) if isinstance(truth, int | float) else list(truth)
    missed, apart, errors = 0, [], []
    for one, true in zip(found, truths, strict=True):
        interval = getattr(one, "interval", one)
        value = next(getattr(one, name) for name in ("value", "share", "accuracy") if hasattr(one, name))
        assert interval.low is not None and interval.high is not None, one
        missed += not interval.low <= true <= interval.high
        apart.append(value - true)
        if getattr(one, "error", None):
            errors.append(one.error)
    spread = float(np.std(apart, ddof=1))
    off = float(np.mean(apart)) / (spread / math.sqrt(len(apart)))
    squares = float(np.mean(np.square(apart)) / np.mean(np.square(errors))) if errors else None
    return Held(len(found), missed, off, squares)


def fits(found: Sequence[Any], truth: float | Sequence[float], biased: bool = False) -> bool:
    """Whether a truth is missed by about one interval in twenty, by no more and with errors of the right size, and
    by the mean of all estimates hardly at all (unless the estimate is known to be `biased` in small studies)."""
    of = held(found, truth)
    import os

    if os.environ.get("SEE"):
        print(of, truth if isinstance(truth, (int, float)) else "")
    n = of.studies
    often = of.missed <= binom.isf(SELDOM, n, 0.05)
    sized = of.squares is None or chi2.ppf(1e-6, n) / n <= of.squares <= chi2.isf(1e-6, n) / n
    return bool(often and sized and (biased or abs(of.off) < 4.5))


def by_protocol(arms: Mapping[str, str], rows: Sequence[Any], **where: Any) -> dict[str, list[Any]]:
    """Rows of a measure by their arm's name in `arms` (id → name), those whose fields are as in `where`."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        if all(getattr(row, k) == v for k, v in where.items()):
            found.setdefault(arms[hex_id(row.arm)], []).append(row)
    return found


def fitted_log_odds(x: Any, chance: Any) -> Any:
    """The coefficients that logistic regression tends to, by Newton's method: outcomes on the rows of `x`, of shape
    (n, columns), are 1 with these chances, of shape (n,), whatever model they come from."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        beta = beta + np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (chance - p))
    return beta
