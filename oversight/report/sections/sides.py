"""Open protocols: how often the judge is right where a right and where a wrong answer was chosen to be argued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oversight.measure.accuracy import of_groups, scope
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    interval_text,
    of_each_task,
    reasons_text,
    who,
)
from oversight.report.terminal import percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader


# A row an arm, side and group: how often the judge was right where the seat that chose its side chose right, or not.
_SIDES = """SELECT s.task, s.arm, s.chose_right, q."group", count(*) AS sides,
       count(*) FILTER (s.status = 'decided') AS decided, count(*) FILTER (s.correct) AS "right"
FROM scope JOIN sides s USING (episode) JOIN episodes e USING (episode) JOIN questions q USING (question)
WHERE s.chose_right IS NOT NULL
GROUP BY ALL ORDER BY ALL"""


def sides_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    sql = {"sides": f"WITH {scope(run)}\n{_SIDES}"}
    found: dict[tuple[str, int, bool], list[tuple[str, int, int, int]]] = {}
    for task, arm, chose_right, *rest in reader.sql(sql["sides"]).rows:
        found.setdefault((task, arm, chose_right), []).append(tuple(rest))
    rows, dots, reasons = [], [], []
    for row in arms.rows:
        for chose_right in (True, False):
            groups = found.get((row.task, row.arm, chose_right), [])
            sides, decided, right = (
                (sum(ns) for ns in zip(*((n, m, k) for _, n, m, k in groups), strict=True))
                if groups
                else (0, 0, 0)
            )
            if not sides:
                continue
            interval = of_groups([(group, n, k) for group, _, n, k in groups])
            share = right / decided if decided else None
            chose = "right" if chose_right else "wrong"
            rows.append(
                (
                    *who(arms, row),
                    chose,
                    f"{sides:,}",
                    f"{decided:,}",
                    percent(share),
                    interval_text(interval),
                )
            )
            label = f"{arms.label(row)}, chose {chose}"
            reasons.append((label, interval.reason))
            if share is not None:
                dots.append((row.task, Dot(label, row.judge, share, interval.low, interval.high)))

    def drawn(task: str) -> Rows | None:
        of_task = tuple(dot for of, dot in dots if of == task)
        return Rows(of_task, "judge accuracy over decided verdicts", "share") if of_task else None

    said = (
        "Judge accuracy of open protocols by whether the seat that chose its side chose the right answer; one a side, "
        "where several seats choose. Intervals as for accuracy.",
        *reasons_text(reasons),
    )
    caption = "Open protocols: judge accuracy where the right and where a wrong answer was chosen."
    figures = of_each_task("sides", caption, arms, drawn)
    missing = None if figures else "no protocol was played open (side=open): no seat chose what to argue"
    if rows and not figures:
        missing = "no verdict was decided where a seat chose its side"
    head = (*WHO, "chose", "sides", "decided", "accuracy", "95 % interval")
    table = Grid(head, tuple(rows), 4) if rows else None
    return Section("sides", "Open protocols, by choice", said if rows else (), figures, missing, table, sql)
