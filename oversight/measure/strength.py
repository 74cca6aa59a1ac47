"""How strong the debaters are, and what truth, place and length are worth: Bradley–Terry with terms.

A match is a decided debate of two answers. Ratings are on the Elo scale of `SCALE` points per factor ten in
the odds of winning: 400, as in chess. Kenton 2024 (arXiv 2407.04622) divides by 500: multiply by 1.25 to
compare. Only differences mean anything; the players' mean is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oversight.measure.arms import beside, measure_arms
from oversight.measure.columns import Columns, group_numbers, means, runs
from oversight.measure.judged import judged
from oversight.measure.logistic import logistic
from oversight.measure.measured import Measured, few, t_bounds, undefined
from oversight.measure.scores import CLIP, measure_forecasts
from oversight.measure.scores import statements as forecast_statements
from oversight.measure.seats import player_names

if TYPE_CHECKING:
    from oversight.store.reading import Reader

SCALE = 400.0
PRIOR = 0.1
"""Weight of the prior where there must be one: log-odds ~ N(0, 1 / PRIOR), by choix."""

TERMS = ("right", "first", "longer", "alone")

# Decided debates of two answers with a debater for each, the side shown first before the other.
_MATCHES = """sides AS (
  SELECT *, regexp_extract(part, '^(.*)=', 1) AS seat, regexp_extract(part, '=(\\d+)$', 1)::BIGINT AS side
  FROM (SELECT *, unnest(string_split(assignment, ',')) AS part FROM judged
        WHERE status = 'decided' AND answers = 2 AND len(string_split(assignment, ',')) = 2)
),
said AS (
  SELECT episode, seat, any_value(role) AS role, sum(words) AS words
  FROM turns GROUP BY episode, seat
),
spoke AS (
  SELECT s.*, d.words, coalesce(a.players -> ('$."' || d.seat || '"'), a.players -> ('$."' || d.role || '"')) AS player
  FROM sides s JOIN said d ON d.episode = s.episode AND d.seat = s.seat JOIN arms a USING (arm)
)
SELECT f.task, f.arm, f.question, f."group", f.player::VARCHAR AS first, o.player::VARCHAR AS second,
       f.choice = f.side AS won, f.label = f.side AS "right",
       coalesce(f.words, 0)::BIGINT AS first_words, coalesce(o.words, 0)::BIGINT AS second_words
FROM spoke f JOIN spoke o ON o.episode = f.episode AND o.side <> f.side
WHERE f.answer_order[1] = f.side
ORDER BY f.task, f.arm, f."group", f.question, f.answer_order, f.sample"""


@dataclass(frozen=True)
class Match:
    """One decided debate, seen from the side whose answer was shown first.

    `right`: its answer is the right one; `longer`: log2 of its words over the other's; `alone`: the log-odds
    that the judge alone gives its answer (the question's term), None where unknown.
    """

    first: str
    second: str
    won: bool
    right: bool
    group: str
    longer: float = 0.0
    alone: float | None = None


@dataclass(frozen=True)
class Rating:
    """A player's strength in Elo, the mean of all players being 0, and how many matches it had with others."""

    player: str
    elo: Measured
    matches: int


@dataclass(frozen=True)
class Strength:
    """Ratings and terms, all in Elo points of `scale` per factor ten in the odds.

    `right` is the advantage of arguing the truth, `first` of being shown first, `longer` of each doubling of
    the words, `alone` of each nat of the judge's own log-odds. `regularised` says why strengths are choix's
    penalised ones, without intervals: separated or disconnected.
    """

    ratings: tuple[Rating, ...]
    right: Measured
    first: Measured
    longer: Measured
    alone: Measured
    matches: int
    groups: int
    scale: float
    regularised: str | None = None


@dataclass(frozen=True)
class JudgeStrength:
    """The strength of debaters before one judge on one task."""

    task: str
    judge: str
    of: Strength


def debater_strength(matches: Sequence[Match], scale: float = SCALE) -> Strength:
    """Bradley–Terry 1952 as a binomial GLM without intercept:

    logit P(first wins) = θ_first − θ_second ± β_right/2 + β_first + β_longer·log₂(words ratio) + β_alone·(the
    judge's own log-odds), with + where the first one's answer is the right one.

    Errors are clustered on the group, t intervals on groups − 1 degrees of freedom. A term that is the same
    in every match, or a mixture of the others, is undefined. Where the players are not all connected by
    matches, or wins are separated (some have no finite strength), strengths are choix's maximum a posteriori.
    """
    import numpy as np

    players, at = _players({p for m in matches for p in (m.first, m.second)})
    return _strength(
        players,
        {
            "first": np.array([at[m.first] for m in matches], dtype=int),
            "second": np.array([at[m.second] for m in matches], dtype=int),
            "group": group_numbers(m.group for m in matches)[0],
            "won": np.array([m.won for m in matches], dtype=bool),
            "right": np.array([m.right for m in matches], dtype=bool),
            "longer": np.array([m.longer for m in matches], dtype=float),
            "alone": np.array([np.nan if m.alone is None else m.alone for m in matches], dtype=float),
        },
        scale,
    )


def _players(names: set[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    players = tuple(sorted(names))
    return players, {name: i for i, name in enumerate(players)}


def _strength(players: tuple[str, ...], of: Columns, scale: float) -> Strength:
    """As `debater_strength`, of matches in columns: players and groups by number, what is not known NaN."""
    group, groups = group_numbers(of["group"])
    field = _Field(players, {**of, "group": group}, groups, scale)
    if not len(group):
        return field.undefined("there was no debate of two answers")
    islands = _islands(field)
    if len(islands) > 1:
        apart = " and ".join(", ".join(island) for island in islands)
        return _regularised(field, f"disconnected: nobody of {apart} met the others")
    columns, left_out = _design(field)
    if groups < 2:
        return field.undefined("one group only: its spread cannot be told")
    return _fitted(field, columns, left_out)


@dataclass(frozen=True)
class _Field:
    """Who played, what, and on which scale it is told."""

    players: tuple[str, ...]
    of: Columns
    groups: int
    scale: float

    @property
    def points(self) -> float:
        """Elo points a nat of log-odds."""
        return self.scale / math.log(10)

    @property
    def matches(self) -> int:
        return len(self.of["won"])

    def none(self, reason: str, value: float | None = None) -> Measured:
        return undefined(reason, self.matches, self.groups, value)

    def undefined(self, reason: str) -> Strength:
        none = self.none(reason)
        return self.told([none] * len(self.players), dict.fromkeys(TERMS, none))

    def told(
        self, elo: Sequence[Measured], terms: Mapping[str, Measured], regularised: str | None = None
    ) -> Strength:
        import numpy as np

        met = self.of["first"] != self.of["second"]
        who = np.concatenate([self.of[side][met] for side in ("first", "second")])
        many = np.bincount(who, minlength=len(self.players))
        ratings = tuple(Rating(*each) for each in zip(self.players, elo, many.tolist(), strict=True))
        return Strength(
            ratings,
            terms["right"],
            terms["first"],
            terms["longer"],
            terms["alone"],
            self.matches,
            self.groups,
            self.scale,
            regularised,
        )


def _design(field: _Field) -> tuple[dict[str, Any], dict[str, str]]:
    """The columns that can be told apart, by name, and why the other terms cannot.

    Each player but the first: +1 where it is shown first, −1 where second. right: ±1/2, so that its
    coefficient is the log-odds between arguing the truth and not. first: 1. longer, alone: as they are.
    """
    import numpy as np

    of = field.of
    offered = {
        f"player {p}": (of["first"] == i).astype(float) - (of["second"] == i)
        for i, p in enumerate(field.players)
        if i
    }
    offered |= {"right": of["right"] - 0.5, "first": np.ones(field.matches), "longer": of["longer"]}
    left_out: dict[str, str] = {}
    if np.isnan(of["alone"]).any():
        left_out["alone"] = "the judge alone gave no probabilities on these questions"
    else:
        offered["alone"] = of["alone"]
    # The columns' triangle has their ranks, and as few rows as there are columns.
    triangle: Any = np.linalg.qr(np.column_stack(list(offered.values())), mode="r")
    kept: list[int] = []
    for place, (name, column) in enumerate(offered.items()):
        if not np.any(column):
            left_out[name] = "it is the same in every match"
        elif _rank(triangle[:, [*kept, place]], field.matches) <= len(kept):
            left_out[name] = "it cannot be told from the other terms"
        else:
            kept.append(place)
    return {name: offered[name] for i, name in enumerate(offered) if i in kept}, left_out


def _rank(triangle: Any, rows: int) -> int:
    """numpy's matrix_rank of the matrix of so many rows that has this triangle."""
    import numpy as np

    values = np.linalg.svd(triangle, compute_uv=False)
    return int(np.sum(values > values.max() * max(rows, triangle.shape[1]) * np.finfo(float).eps))


def _fitted(field: _Field, columns: Mapping[str, Any], left_out: Mapping[str, str]) -> Strength:
    import numpy as np

    fit = logistic(np.column_stack(list(columns.values())), field.of["won"].astype(float), field.of["group"])
    if fit is None:
        return _regularised(field, "separated: some odds have no finite value")
    params, cov = np.asarray(fit.params), np.asarray(fit.cov_params())
    names = np.array(list(columns))

    def measured(contrast: Any) -> Measured:
        value = float(contrast @ params) * field.points
        error = math.sqrt(max(0.0, float(contrast @ cov @ contrast))) * field.points
        bounds = t_bounds(value, error, field.groups)
        return Measured(value, error, *bounds, field.matches, field.groups, caution=few(field.groups))

    terms = {
        t: field.none(left_out[t]) if t in left_out else measured((names == t).astype(float)) for t in TERMS
    }
    mean = np.char.startswith(names, "player ") / len(field.players)
    elo = [measured((names == f"player {p}").astype(float) - mean) for p in field.players]
    if len(field.players) == 1:
        elo = [field.none("it met no other player")]
    return field.told(elo, terms)


def _regularised(field: _Field, why: str) -> Strength:
    """Strengths without terms or intervals, drawn towards each other by a prior that a report must name."""
    import choix

    terms = dict.fromkeys(TERMS, field.none(why))
    of, none = field.of, [field.none(why)] * len(field.players)
    met = of["first"] != of["second"]
    if not met.any():
        return field.told(none, terms, why)
    first, second, won = of["first"][met].tolist(), of["second"][met].tolist(), of["won"][met].tolist()
    wins = sorted((a, b) if of_first else (b, a) for a, b, of_first in zip(first, second, won, strict=True))
    theta = choix.opt_pairwise(len(field.players), wins, alpha=PRIOR)
    elo = [field.none(why, float(x) * field.points) for x in theta - theta.mean()]
    return field.told(elo, terms, why)


def _islands(field: _Field) -> list[list[str]]:
    """The players, by who is connected with whom through matches."""
    import numpy as np

    n = len(field.players)
    island = np.arange(n)
    for met in np.unique(field.of["first"] * n + field.of["second"]).tolist():
        island[island == island[met % n]] = island[met // n]
    names = dict.fromkeys(island.tolist())  # in the order of their first players
    return [[p for p, i in zip(field.players, island.tolist(), strict=True) if i == k] for k in names]


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one a decided debate of two answers, and the forecasts of the judge alone."""
    return {"matches": f"{judged(run)},\n{_MATCHES}", **forecast_statements(run)}


def measure_strength(reader: Reader, run: int | None = None, scale: float = SCALE) -> list[JudgeStrength]:
    """Of the debaters before each judge on each task. Raises `StoreError`."""
    import numpy as np

    arms = {(a.task, a.arm): a for a in measure_arms(reader, run)}
    table = reader.columns(statements(run)["matches"])
    if not len(table["won"]):
        return []
    forecasts = measure_forecasts(reader, run)
    names = player_names({*table["first"], *table["second"]})
    table["group"] = group_numbers(table["group"])[0]
    found: dict[tuple[str, str], list[Columns]] = {}
    for key, of in runs(table, "task", "arm"):
        arm = arms[key]
        floor, _ = beside(arm, list(arms.values()), 0)
        alone = _alone(forecasts.get((floor.task, floor.arm)) if floor else None, of["question"])
        words = [np.maximum(1, of[side]) for side in ("first_words", "second_words")]
        signed = {"alone": np.where(of["right"], alone, -alone), "longer": np.log2(words[0] / words[1])}
        found.setdefault((arm.task, arm.judge), []).append({**of, **signed})
    rated = []
    for who, parts in found.items():
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        players, at = _players({names[text] for side in ("first", "second") for text in {*whole[side]}})
        for side in ("first", "second"):
            whole[side] = np.array([at[names[text]] for text in whole[side]])
        rated.append(JudgeStrength(*who, _strength(players, whole, scale)))
    return rated


def _alone(forecasts: Columns | None, questions: Any) -> Any:
    """The log-odds that the judge alone gives the right answer of each of the questions, repeats averaged; NaN where it
    gave none."""
    import numpy as np

    if forecasts is None:
        return np.full(len(questions), np.nan)
    of_right = forecasts["answer"] == forecasts["label"]
    p = np.clip(forecasts["p"][of_right], CLIP, 1 - CLIP)
    known, place = np.unique(forecasts["question"][of_right], return_inverse=True)
    odds = means(place, len(known), np.log(p / (1 - p)))
    at = np.minimum(np.searchsorted(known, questions), len(known) - 1)
    return np.where(known[at] == questions, odds[at], np.nan)
