"""One judge read in several ways over the same episodes: accuracy and ledger of each, measured as the
episodes' own verdicts are (`oversight.measure.accuracy`)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.accuracy import Interval, of_groups, scope

if TYPE_CHECKING:
    from oversight.store.reading import Reader

_READ = """asked AS (  -- the ways in which a judge was to be read, in order, where there are several
  SELECT arm, string_split(players ->> '$.judge.elicit', '+') AS ways FROM arms
),
ways AS (
  SELECT arm, unnest(range(len(ways))) AS place, unnest(ways) AS elicitation FROM asked WHERE len(ways) > 1
),
read AS (
  SELECT e.task, e.arm, w.place, w.elicitation, q."group", coalesce(v.status, 'unfinished') AS status,
         v.choice = l.label AS correct
  FROM scope JOIN episodes e USING (episode) JOIN questions q USING (question)
       JOIN labels l USING (question) JOIN ways w USING (arm)
       LEFT JOIN verdicts v ON v.episode = e.episode AND v.closing AND v.elicitation = w.elicitation
)"""

_LEDGER = """SELECT task, arm, elicitation,
       count(*) FILTER (status = 'decided' AND correct)
         / nullif(count(*) FILTER (status = 'decided'), 0) AS accuracy,
       count(*) AS episodes,
       count(*) FILTER (status = 'decided') AS decided,
       count(*) FILTER (status = 'tie') AS tie,
       count(*) FILTER (status = 'unparsable') AS unparsable,
       count(*) FILTER (status = 'refused') AS refused,
       count(*) FILTER (status = 'failed') AS failed,
       count(*) FILTER (status = 'unfinished') AS unfinished
FROM read GROUP BY task, arm, place, elicitation ORDER BY task, arm, place"""

_CLUSTERS = """SELECT task, arm, elicitation, "group", count(*) AS decided, count(*) FILTER (correct) AS "right"
FROM read WHERE status = 'decided' GROUP BY ALL ORDER BY ALL"""


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL behind them, by name: over the whole database, or over what one run planned."""
    head = f"WITH {scope(run)},\n{_READ}\n"
    return {"readings": head + _LEDGER, "reading clusters": head + _CLUSTERS}


@dataclass(frozen=True)
class Reading:
    """One arm on one task, its judge read in one of several ways. `accuracy` is over decided verdicts, None
    where there are none; the counts are of planned episodes."""

    task: str
    arm: int
    elicitation: str
    accuracy: float | None
    episodes: int
    decided: int
    tie: int
    unparsable: int
    refused: int
    failed: int
    unfinished: int
    interval: Interval


def measure_readings(reader: Reader, run: int | None = None) -> list[Reading]:
    """Of every arm whose judge is read in several ways, each way in the order it was asked for. Raises
    `StoreError`."""
    sql = statements(run)
    groups: dict[tuple[str, int, str], list[tuple[str, int, int]]] = defaultdict(list)
    for task, arm, way, group, decided, right in reader.sql(sql["reading clusters"]).rows:
        groups[task, arm, way].append((group, decided, right))
    found = reader.sql(sql["readings"])
    return [
        Reading(
            **dict(zip(found.columns, row, strict=True)), interval=of_groups(groups[row[0], row[1], row[2]])
        )
        for row in found.rows
    ]
