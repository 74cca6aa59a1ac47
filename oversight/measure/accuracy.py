"""How often the judge was right, what became of every planned episode, and what it took.

Accuracy is the mean over decided verdicts. Its interval clusters on the question's group, so that
repeats of a question (both answer orders, a consultant on either side, several samples) and
questions on one passage count for what they are worth (Miller 2024, arXiv 2411.00640).

Each table is one SQL statement (`statements`); only the intervals are added here.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from oversight.measure.columns import group_numbers, sums
from oversight.measure.measured import LEVEL, NO_SPREAD, clustered, few
from oversight.measure.seats import judge_names, judged_again

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from oversight.store.reading import Reader

FEW_EITHER_WAY = 10
"""Fewer right or wrong verdicts than this, after the design effect, and a t interval of their share is too narrow."""

_NEWEST = """newest AS (  -- of each arm on each task, the run that planned it last
  SELECT e.arm, e.task, arg_max(r.run, r.started) AS run
  FROM plans p JOIN runs r USING (run) JOIN episodes e USING (episode) JOIN questions q USING (question)
  GROUP BY ALL
),
scope AS (  -- all that have a verdict, and those the newest run planned
  SELECT episode FROM verdicts WHERE final
  UNION
  SELECT p.episode
  FROM plans p JOIN episodes e USING (episode) JOIN questions q USING (question)
       JOIN newest n ON n.run = p.run AND n.arm = e.arm AND n.task = e.task
)"""

_ONE_RUN = """scope AS (  -- what this run planned
  SELECT DISTINCT episode FROM plans WHERE run = {run}
)"""

_ROWS = """played AS (
  SELECT e.task, e.arm, q.question, q."group", e.argued = l.label AS argued_right,
         coalesce(v.status, 'unfinished') AS status, v.choice = l.label AS correct
  FROM scope JOIN episodes e USING (episode) JOIN questions q USING (question)
       JOIN labels l USING (question)
       LEFT JOIN verdicts v ON v.episode = e.episode AND v.final
)"""

_ACCURACY = """SELECT task, a.protocol, a.params, a.judge, a.speaker, a.players, arm,
       count(*) FILTER (status = 'decided' AND correct)
         / nullif(count(*) FILTER (status = 'decided'), 0) AS accuracy,
       count(*) FILTER (status = 'decided' AND correct) / count(*) AS worst,
       count(*) FILTER (status <> 'decided' OR correct) / count(*) AS best,
       count(*) AS episodes,
       count(*) FILTER (status = 'decided') AS decided,
       count(*) FILTER (status = 'tie') AS tie,
       count(*) FILTER (status = 'unparsable') AS unparsable,
       count(*) FILTER (status = 'refused') AS refused,
       count(*) FILTER (status = 'failed') AS failed,
       count(*) FILTER (status = 'unfinished') AS unfinished,
       count(DISTINCT question) AS questions, count(DISTINCT "group") AS groups
FROM played JOIN arms a USING (arm)
GROUP BY ALL ORDER BY task, a.judge, a.protocol, a.params, a.speaker, a.players, arm"""

_CLUSTERS = """SELECT task, arm, "group", argued_right,
       count(*) AS decided, count(*) FILTER (correct) AS "right"
FROM played WHERE status = 'decided'
GROUP BY ALL ORDER BY ALL"""

# What a turn or verdict used without paying was found in the store; unknown tokens or cost stay unknown.
_SPENDING = """SELECT e.task, e.arm, count(*) FILTER (u.paid) AS made, count(*) FILTER (NOT u.paid) AS found,
       CASE WHEN bool_or(u.paid AND c.prompt_tokens IS NULL) THEN NULL
            ELSE coalesce(sum(c.prompt_tokens) FILTER (u.paid), 0)::BIGINT END AS prompt_tokens,
       CASE WHEN bool_or(u.paid AND c.completion_tokens IS NULL) THEN NULL
            ELSE coalesce(sum(c.completion_tokens) FILTER (u.paid), 0)::BIGINT END AS completion_tokens,
       CASE WHEN bool_or(u.paid AND c.cost IS NULL) THEN NULL
            ELSE coalesce(sum(c.cost) FILTER (u.paid), 0) END AS cost,
       coalesce(sum(c.seconds) FILTER (u.paid), 0) AS seconds
FROM scope JOIN episodes e USING (episode) JOIN questions q USING (question)
     JOIN uses u USING (episode) JOIN calls c USING (call)
GROUP BY ALL ORDER BY e.task, e.arm"""

_RUNS = """SELECT lower(lpad(to_hex(r.run), 16, '0')) AS id, r.status, r.started, r.ended, r.planned,
       coalesce((SELECT count(DISTINCT p.episode) FROM plans p JOIN verdicts v USING (episode)
                 WHERE p.run = r.run AND v.final), 0) AS judged
FROM runs r{where} ORDER BY r.started DESC LIMIT 1"""


def scope(run: int | None) -> str:
    """The episodes a report is on, as the SQL of a table `scope`: of the whole database, or of one run's plan."""
    return _NEWEST if run is None else _ONE_RUN.format(run=run)


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL behind each table, by name: over the whole database, or over what one run planned."""
    within = scope(run)
    return {
        "accuracy": f"WITH {within},\n{_ROWS}\n{_ACCURACY}",
        "clusters": f"WITH {within},\n{_ROWS}\n{_CLUSTERS}",
        "spending": f"WITH {within}\n{_SPENDING}",
        "run": _RUNS.format(where="" if run is None else f" WHERE r.run = {run}"),
    }


def place(protocol: str, params: Mapping[str, Any]) -> int:
    """Where reports put an arm: the judge alone (the floor) 0, protocols 1, the judge with the passage 2."""
    if protocol != "direct":
        return 1
    return 2 if params.get("passage") else 0


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a proportion, or None and the reason why there is none; `caution` where it is rough."""

    low: float | None
    high: float | None
    method: Literal["t", "wilson"] | None
    reason: str | None = None
    caution: str | None = None


@dataclass(frozen=True)
class Split:
    """Accuracy where the one argued answer was right, or where it was wrong."""

    argued_right: bool
    decided: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Spending:
    """Calls of an arm: made for it or found in the store. None is unknown; `cost` in US dollars.

    `seconds` is the sum of what each call took from being asked for to its reply, waiting for a place
    in a batch included: calls made side by side count each.
    """

    made: int
    found: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    seconds: float


@dataclass(frozen=True)
class Accuracy:
    """One arm on one task. `accuracy` is over decided verdicts, None where there are none; `worst`
    and `best` count every other planned episode as wrong and as right. `judge`: its name among all
    (`seats.judge_names`); `again`: what was judged was played in another arm."""

    task: str
    protocol: str
    params: dict[str, Any]
    judge: str
    speaker: str | None
    players: dict[str, dict[str, Any]]
    arm: int
    accuracy: float | None
    worst: float
    best: float
    episodes: int
    decided: int
    tie: int
    unparsable: int
    refused: int
    failed: int
    unfinished: int
    questions: int
    groups: int
    interval: Interval
    splits: tuple[Split, ...]
    spending: Spending
    again: bool = False

    @property
    def place(self) -> int:
        """Where reports put it: the floor 0, protocols 1, the ceiling 2."""
        return place(self.protocol, self.params)


def measure(reader: Reader, run: int | None = None) -> list[Accuracy]:
    """Accuracy of every arm on every task, floor first and ceiling last: of the whole database, or of
    what one run planned. Raises `StoreError`."""
    sql = statements(run)
    clusters: dict[tuple[str, int], list[tuple[bool | None, int, int, str]]] = defaultdict(list)
    for task, arm, group, argued_right, decided, right in reader.sql(sql["clusters"]).rows:
        clusters[task, arm].append((argued_right, decided, right, group))
    spent = {(task, arm): Spending(*rest) for task, arm, *rest in reader.sql(sql["spending"]).rows}
    found = reader.sql(sql["accuracy"])
    judges, again = judge_names(reader), judged_again(reader)
    rows = []
    for values in (dict(zip(found.columns, row, strict=True)) for row in found.rows):
        key = (values["task"], values["arm"])
        rows.append(
            Accuracy(
                **{
                    **values,
                    "judge": judges[values["arm"]],
                    "params": json.loads(values["params"]),
                    "players": json.loads(values["players"]),
                },
                interval=of_strata(clusters[key]),
                splits=tuple(_splits(clusters[key])),
                spending=spent.get(key, Spending(0, 0, 0, 0, 0.0, 0.0)),
                again=values["arm"] in again,
            )
        )
    return sorted(rows, key=lambda row: (row.task, row.judge, row.place, row.again))


def _splits(clusters: Sequence[tuple[bool | None, int, int, str]]) -> list[Split]:
    splits = []
    for side in (True, False):
        of_side = [(group, n, k) for argued_right, n, k, group in clusters if argued_right is side]
        decided = sum(n for _, n, _ in of_side)
        if decided:
            splits.append(Split(side, decided, sum(k for *_, k in of_side) / decided, of_groups(of_side)))
    return splits


def of_groups(rows: Iterable[tuple[str, float, float]]) -> Interval:
    """The interval of rows of (group, decided, right); a group may come several times."""
    import numpy as np

    names, decided, right = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
    place, count = group_numbers(names)
    return of_sums(sums(place, count, np.asarray(decided)), sums(place, count, np.asarray(right)))


def of_sums(decided: Any, right: Any) -> Interval:
    """As `interval`, of arrays, with a caution where the groups are few."""
    found = interval(decided, right)
    return found if found.low is None else replace(found, caution=few(int((decided > 0).sum())))


def of_strata(rows: Sequence[tuple[bool | None, int, int, str]]) -> Interval:
    """The interval of rows of (argued_right, decided, right, group), as consultancies have them.

    Each question is played for the right answer and for a wrong one, and its average over both is the unit,
    so what the sides do to the judge is no spread between questions. Where the groups' averages do not
    differ at all (a consultant who is always believed), they hold no error to go by, and each side's own
    limits take its place: the sums of shareₛ · lowₛ and shareₛ · highₛ. That is MOVER (Zou and Donner 2008, Stat. Med. 27)
    for sides that depend on each other as closely as they can, so no dependence makes it too narrow.
    """
    import numpy as np

    if not rows:
        return interval((), ())
    side = np.array([-1 if of is None else int(of) for of, *_ in rows])
    place, count = group_numbers(group for *_, group in rows)
    decided, right = np.array([n for _, n, *_ in rows]), np.array([k for _, _, k, _ in rows])

    def sized(of: Any) -> tuple[Any, Any]:
        return sums(place[of], count, decided[of]), sums(place[of], count, right[of])

    whole = sized(side > -2)
    pooled = interval(*whole)
    sides = np.unique(side)
    if pooled.method != "wilson" or len(sides) < 2 or _spread(*whole):
        return pooled
    low = high = 0.0
    for one in sides:
        part = sized(side == one)
        share, of_side = float(part[0].sum() / decided.sum()), interval(*part)
        if of_side.low is None or of_side.high is None:
            return pooled
        low, high = low + share * of_side.low, high + share * of_side.high
    return Interval(low, high, "wilson", caution=pooled.caution)


def _floats(values: ArrayLike) -> Any:
    import numpy as np

    return np.asarray(values, dtype=float)


def _spread(decided: Any, right: Any) -> bool:
    """Whether the groups' shares differ."""
    mean = math.fsum(right.tolist()) / math.fsum(decided.tolist())
    return bool((abs(right - decided * mean) > NO_SPREAD * decided).any())


def interval(decided: ArrayLike, right: ArrayLike) -> Interval:
    """The interval of sum(right) / sum(decided), given both per group (each of shape (groups,)).

    The t interval of an intercept with clustered errors, on groups − 1 degrees of freedom. Where right or wrong
    verdicts are effectively fewer than `FEW_EITHER_WAY` it would be too narrow, for their share is skewed: there,
    and where the groups do not differ at all, it is Wilson's (`wilson`). Shares of verdicts may stand for counts.
    """
    sizes, ones = _floats(decided), _floats(right)
    sizes, ones = sizes[sizes > 0], ones[sizes > 0]
    n, k = math.fsum(sizes.tolist()), math.fsum(ones.tolist())
    if not len(sizes):
        return Interval(None, None, None, "no verdict was decided")
    if len(sizes) == 1:
        return Interval(None, None, None, "one group only: its spread cannot be told")
    if not (0 < k < n and _spread(sizes, ones)):
        return _wilson(min(1.0, k / n), min(float(len(sizes)), n))
    share, error, low, high = clustered(sizes, ones)
    size = _effective(share, error, n, len(sizes))
    if size * min(share, 1 - share) >= FEW_EITHER_WAY and low > 0 and high < 1:
        return Interval(low, high, "t")
    return _wilson(share, size)


def wilson(decided: ArrayLike, right: ArrayLike) -> Interval:
    """Wilson's interval of sum(right) / sum(decided) with an effective n, given both for two or more groups.

    n over the design effect (at least 1), and adjusted to the degrees of freedom as in Korn and Graubard
    1998, Surv. Methodol. 24; where there is no spread to take a design effect from, the number of groups.
    """
    sizes, ones = _floats(decided), _floats(right)
    n = math.fsum(sizes.tolist())
    share = min(1.0, math.fsum(ones.tolist()) / n)
    size = min(float(len(sizes)), n)
    if 0 < share < 1 and _spread(sizes, ones):
        _, error, *_ = clustered(sizes, ones)
        size = _effective(share, error, n, len(sizes))
    return _wilson(share, size)


def _effective(share: float, error: float, n: float, groups: int) -> float:
    """How many independent verdicts would tell as much as these n with their clustered error."""
    from scipy.special import ndtri, stdtrit  # quantiles of the normal and of t

    tail = (1 + LEVEL) / 2
    widened = float(ndtri(tail) / stdtrit(groups - 1, tail)) ** 2
    return n * min(1.0, share * (1 - share) / n / error**2) * widened


def _wilson(share: float, size: float) -> Interval:
    from scipy.special import ndtri

    z2 = float(ndtri((1 + LEVEL) / 2)) ** 2
    middle = (share + z2 / (2 * size)) / (1 + z2 / size)
    half = math.sqrt(z2 * (share * (1 - share) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return Interval(max(0.0, middle - half), min(1.0, middle + half), "wilson")
