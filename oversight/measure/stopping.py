"""When a comparison could have been stopped: its groups' differences in the order of the plan, looked at one by one.

The plan's order is fixed before the first call, so it cannot depend on what came out. The order in which groups were
finished can: a long reply, a retry or a refusal comes late.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from oversight.measure.judged import chosen, judged
from oversight.measure.paired import statement
from oversight.measure.power import Look, Sequential, confidence_sequence, sequential

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# The arms' episodes on shared questions, numbered as they were first planned.
_PLACED = """mine AS (
  SELECT episode, question, arm, "group", status FROM judged{where}
),
shared AS (
  SELECT question FROM mine GROUP BY question HAVING count(DISTINCT arm) = {arms}
),
planned AS (
  SELECT m.episode, m."group", m.status, min({{'started': r.started, 'run': r.run, 'n': p.rowid}}) AS first
  FROM mine m JOIN shared USING (question) LEFT JOIN plans p USING (episode) LEFT JOIN runs r USING (run)
  GROUP BY m.episode, m."group", m.status
),
placed AS (
  SELECT episode, "group", status, row_number() OVER (ORDER BY first NULLS LAST, episode) AS place FROM planned
)"""

_GROUPS = """SELECT "group", max(place) AS done, count(*) AS episodes, bool_and(status <> 'unfinished') AS finished
FROM placed GROUP BY ALL ORDER BY done"""

_SPENT = """SELECT place, sum(cost ORDER BY call) AS cost, count(*) FILTER (cost IS NULL) AS unknown
FROM (SELECT call, min(place) AS place FROM placed JOIN uses USING (episode) GROUP BY call) JOIN calls USING (call)
GROUP BY place ORDER BY place"""


@dataclass(frozen=True)
class Stopping:
    """A comparison looked at after each group. `found` has the looks, and that at which it could stop; `episodes` and
    `spent` (US dollars of the calls they use, each once, whoever paid; None where some are unknown) are those planned up
    to that look, `all_episodes` and `all_spent` those planned in all, in `groups` groups with a difference. `now`: the last look."""

    found: Sequential
    now: Look | None
    groups: int
    episodes: int | None
    all_episodes: int
    spent: float | None
    all_spent: float | None


def statements(task: str, a: int, b: int, run: int | None = None) -> dict[str, str]:
    """The SQL of the groups in the plan's order (`done`: how many episodes were planned up to the group's last), and of
    what the calls cost that an episode is the first to use."""
    arms = tuple(sorted({a, b}))
    placed = f"{judged(run)},\n{_PLACED.format(where=chosen(arms, task), arms=len(arms))}"
    return {"groups": f"{placed}\n{_GROUPS}", "spent": f"{placed}\n{_SPENT}"}


def measure_stopping(
    reader: Reader,
    task: str,
    a: int,
    b: int,
    *,
    width: float | None = None,
    spend: float | None = None,
    effect: bool = False,
    run: int | None = None,
) -> Stopping:
    """When the difference of arm `a` less arm `b` could have been stopped (`power.sequential`). A group's difference is the mean
    over its shared questions that both arms decided; it is known when the last of its planned episodes is played,
    and groups that are not finished are not looked at. Raises `StoreError`."""
    sql = statements(task, a, b, run)
    order = reader.sql(sql["groups"]).rows
    paid = reader.sql(sql["spent"]).rows
    of_group = _differences(reader, task, a, b, run)
    known = [(group, done) for group, done, _, finished in order if finished and group in of_group]
    unknown = any(n for *_, n in paid)
    places, sums = [place for place, *_ in paid], [0.0, *accumulate(cost or 0.0 for _, cost, _ in paid)]
    spent = [sums[bisect_right(places, done)] for _, done in known]
    costs = None if unknown else [after - before for before, after in zip([0.0, *spent], spent, strict=False)]
    values = [of_group[group] for group, _ in known]
    found = sequential(values, width=width, spend=spend, costs=costs, effect=effect)
    at = None if found.stopped is None else found.stopped.groups - 1
    looks = found.looks or confidence_sequence(values)
    return Stopping(
        found,
        looks[-1] if looks else None,
        len(values),
        None if at is None else known[at][1],
        sum(n for *_, n, _ in order),
        None if at is None or unknown else spent[at],
        None if unknown else sums[-1],
    )


def _differences(reader: Reader, task: str, a: int, b: int, run: int | None) -> dict[str, float]:
    """The mean difference of each group."""
    means: tuple[dict[int, float], ...] = {}, {}
    groups: dict[int, str] = {}
    sql = f'SELECT arm, question, "group", mean FROM ({statement((a, b), task, run)}) WHERE mean IS NOT NULL'
    for arm, question, group, mean in reader.sql(sql).rows:
        means[arm == b][question] = mean
        groups[question] = group
    parts: dict[str, list[float]] = {}
    for question in sorted(means[0].keys() & means[1].keys()):
        parts.setdefault(groups[question], []).append(means[0][question] - means[1][question])
    return {group: math.fsum(part) / len(part) for group, part in parts.items()}
