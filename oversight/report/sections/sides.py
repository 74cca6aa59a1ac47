"""Open protocols: how often the judge is right where a right and where a wrong answer was chosen to be argued."""

from __future__ import annotations

from oversight.measure.sides import measure_sides
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    WHO,
    Grid,
    Section,
    Source,
    interval_text,
    of_each_task,
    reasons_text,
)
from oversight.report.terminal import percent


def sides_section(source: Source) -> Section:
    arms, title = source.arms, "Open protocols, by choice"
    rows, dots, reasons = [], [], []
    for one in arms.ordered(measure_sides(source.reader, source.run)):
        chose = "right" if one.chose_right else "wrong"
        rate, interval = one.accuracy, one.accuracy.interval
        numbers = f"{one.sides:,}", f"{rate.of:,.0f}", percent(rate.share), interval_text(interval)
        rows.append((*arms.who(one), chose, *numbers))
        label = f"{arms.label(one)}, chose {chose}"
        reasons.append((f"{arms.told(one)}, chose {chose}", interval.reason or interval.caution))
        if rate.share is not None:
            judge = arms.of(one.task, one.arm).judge
            dots.append((one.task, Dot(label, judge, rate.share, interval.low, interval.high)))
    if not rows:
        return Section(title, missing="no protocol was played open (side=open): no seat chose what to argue")

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
    missing = None if figures else "no verdict was decided where a seat chose its side"
    head = (*WHO, "chose", "sides", "decided", "accuracy", "95 % interval")
    return Section(title, said, figures, missing, Grid(head, tuple(rows), 4))
