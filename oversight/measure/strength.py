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

from oversight.measure.arms import ArmRow, beside, measure_arms
from oversight.measure.judged import judged
from oversight.measure.logistic import logistic
from oversight.measure.measured import Measured, few, t_bounds, undefined
from oversight.measure.scores import CLIP, Forecast, measure_forecasts
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
       f.choice = f.side AS won, f.label = f.side AS "right", f.words AS first_words, o.words AS second_words
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
    field = _Field(
        tuple(sorted({p for m in matches for p in (m.first, m.second)})),
        tuple(matches),
        tuple(sorted({m.group for m in matches})),
        scale,
    )
    if not matches:
        return field.undefined("there was no debate of two answers")
    islands = _islands(field.players, matches)
    if len(islands) > 1:
        apart = " and ".join(", ".join(island) for island in islands)
        return _regularised(field, f"disconnected: nobody of {apart} met the others")
    columns, left_out = _design(field)
    if len(field.groups) < 2:
        return field.undefined("one group only: its spread cannot be told")
    return _fitted(field, columns, left_out)


@dataclass(frozen=True)
class _Field:
    """Who played, what, and on which scale it is told."""

    players: tuple[str, ...]
    matches: tuple[Match, ...]
    groups: tuple[str, ...]
    scale: float

    @property
    def points(self) -> float:
        """Elo points a nat of log-odds."""
        return self.scale / math.log(10)

    def none(self, reason: str, value: float | None = None) -> Measured:
        return undefined(reason, len(self.matches), len(self.groups), value)

    def undefined(self, reason: str) -> Strength:
        none = self.none(reason)
        return self.told([none] * len(self.players), dict.fromkeys(TERMS, none))

    def told(
        self, elo: Sequence[Measured], terms: Mapping[str, Measured], regularised: str | None = None
    ) -> Strength:
        met = [(m.first, m.second) for m in self.matches if m.first != m.second]
        ratings = tuple(
            Rating(p, e, sum(p in pair for pair in met)) for p, e in zip(self.players, elo, strict=True)
        )
        return Strength(
            ratings,
            terms["right"],
            terms["first"],
            terms["longer"],
            terms["alone"],
            len(self.matches),
            len(self.groups),
            self.scale,
            regularised,
        )


def _design(field: _Field) -> tuple[dict[str, Any], dict[str, str]]:
    """The columns that can be told apart, by name, and why the other terms cannot.

    Each player but the first: +1 where it is shown first, −1 where second. right: ±1/2, so that its
    coefficient is the log-odds between arguing the truth and not. first: 1. longer, alone: as they are.
    """
    import numpy as np

    matches = field.matches
    offered: dict[str, list[float]] = {
        f"player {p}": [(m.first == p) - (m.second == p) for m in matches] for p in field.players[1:]
    }
    offered["right"] = [0.5 if m.right else -0.5 for m in matches]
    offered["first"] = [1.0] * len(matches)
    offered["longer"] = [m.longer for m in matches]
    left_out: dict[str, str] = {}
    if all(m.alone is not None for m in matches):
        offered["alone"] = [m.alone or 0.0 for m in matches]
    else:
        left_out["alone"] = "the judge alone gave no probabilities on these questions"
    columns: dict[str, Any] = {}
    for name, values in offered.items():
        column = np.array(values, dtype=float)
        if not np.any(column):
            left_out[name] = "it is the same in every match"
        elif np.linalg.matrix_rank(np.column_stack([*columns.values(), column])) <= len(columns):
            left_out[name] = "it cannot be told from the other terms"
        else:
            columns[name] = column
    return columns, left_out


def _fitted(field: _Field, columns: Mapping[str, Any], left_out: Mapping[str, str]) -> Strength:
    import numpy as np

    at = {g: i for i, g in enumerate(field.groups)}
    place = np.array([at[m.group] for m in field.matches])
    won = np.array([m.won for m in field.matches], dtype=float)
    x = np.column_stack(list(columns.values()))
    fit = logistic(x, won, place)
    if fit is None:
        return _regularised(field, "separated: some odds have no finite value")
    params, cov = np.asarray(fit.params), np.asarray(fit.cov_params())
    names = np.array(list(columns))

    def measured(contrast: Any) -> Measured:
        value = float(contrast @ params) * field.points
        error = math.sqrt(max(0.0, float(contrast @ cov @ contrast))) * field.points
        bounds = t_bounds(value, error, len(field.groups))
        n, groups = len(field.matches), len(field.groups)
        return Measured(value, error, *bounds, n, groups, caution=few(groups))

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
    at = {p: i for i, p in enumerate(field.players)}
    met = [
        (at[m.first], at[m.second]) if m.won else (at[m.second], at[m.first])
        for m in field.matches
        if m.first != m.second
    ]
    if not met:
        return field.told([field.none(why)] * len(at), terms, why)
    theta = choix.opt_pairwise(len(at), sorted(met), alpha=PRIOR)
    elo = [field.none(why, float(x) * field.points) for x in theta - theta.mean()]
    return field.told(elo, terms, why)


def _islands(players: Sequence[str], matches: Sequence[Match]) -> list[list[str]]:
    """The players, by who is connected with whom through matches."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    at = {p: i for i, p in enumerate(players)}
    ends = [at[m.first] for m in matches], [at[m.second] for m in matches]
    graph = coo_matrix(([1] * len(matches), ends), shape=(len(players), len(players)))
    n, island = connected_components(graph, directed=False)
    return [[p for p, i in zip(players, island, strict=True) if i == k] for k in range(n)]


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one a decided debate of two answers, and the forecasts of the judge alone."""
    return {"matches": f"{judged(run)},\n{_MATCHES}", **forecast_statements(run)}


def measure_strength(reader: Reader, run: int | None = None, scale: float = SCALE) -> list[JudgeStrength]:
    """Of the debaters before each judge on each task. Raises `StoreError`."""
    arms = {(a.task, a.arm): a for a in measure_arms(reader, run)}
    rows = reader.sql(statements(run)["matches"]).rows
    names = player_names({player for row in rows for player in row[4:6]})
    beliefs = _beliefs(list(arms.values()), measure_forecasts(reader, run)) if rows else {}
    found: dict[tuple[str, str], list[Match]] = {}
    for task, arm, question, group, first, second, won, right, *words in rows:
        alone = beliefs.get((task, arm), {}).get(question)
        signed = None if alone is None else alone if right else -alone
        longer = math.log2(max(1, words[0] or 0) / max(1, words[1] or 0))
        match = Match(names[first], names[second], won, right, group, longer, signed)
        found.setdefault((task, arms[task, arm].judge), []).append(match)
    return [JudgeStrength(*key, debater_strength(matches, scale)) for key, matches in found.items()]


def _beliefs(
    arms: Sequence[ArmRow], forecasts: Mapping[tuple[str, int], Sequence[Forecast]]
) -> dict[tuple[str, int], dict[int, float]]:
    """Per arm and question, the log-odds that its judge alone gives the right answer, repeats averaged."""
    found: dict[tuple[str, int], dict[int, float]] = {}
    for arm in arms:
        floor, _ = beside(arm, arms, 0)
        odds: dict[int, list[float]] = {}
        for f in forecasts.get((arm.task, floor.arm), []) if floor else []:
            p = min(max(f.probabilities[f.label], CLIP), 1 - CLIP)
            odds.setdefault(f.question, []).append(math.log(p / (1 - p)))
        found[arm.task, arm.arm] = {q: math.fsum(v) / len(v) for q, v in odds.items()}
    return found
