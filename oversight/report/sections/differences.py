"""Which arm is right more often than which, on the same questions."""

from __future__ import annotations

from itertools import combinations, groupby

from oversight.measure import paired
from oversight.measure.accuracy import Accuracy
from oversight.measure.multiple import adjusted
from oversight.report import compared
from oversight.report.compared import bounds, p_text, points
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import Grid, Section, Source, of_each_task

ALL_PAIRS = 7
"""Arms of one judge on one task up to which every pair is compared: 21."""


HEAD = (
    "task",
    "judge",
    "accuracy of",
    "less",
    "difference",
    "95 % interval",
    "p",
    "p Holm",
    "questions",
    "groups",
)


def differences_section(source: Source) -> Section:
    title = "Paired differences"
    found, left_out = differences(source)
    if not found:
        return Section(title, missing="there is only one arm for each task and judge: a comparison needs two")

    def drawn(task: str) -> Rows | None:
        dots = tuple(
            Dot(f"{one.titles[0]} less {one.titles[1]}", one.a.judge, d.value, d.low, d.high)
            for one in found
            if one.a.task == task and (d := one.difference.difference).value is not None
        )
        return Rows(dots, "difference in accuracy, percentage points", "points") if dots else None

    rows = tuple(_row(one) for one in found)
    caption = "Paired differences in accuracy with 95 % intervals."
    figures = of_each_task("differences", caption, source.arms, drawn)
    missing = None if figures else "no two arms can be compared (the reasons stand below)"
    return Section(
        title, (*compared.notes(found, every_pair=True), *left_out), figures, missing, Grid(HEAD, rows, 4)
    )


def _row(one: compared.Compared) -> tuple[str, ...]:
    d = one.difference.difference
    p = p_text(one.difference.test.p), p_text(one.adjusted)
    numbers = points(d.value), bounds(d.low, d.high), *p, f"{d.n:,}", f"{d.groups:,}"
    return one.a.task, one.a.judge, *one.titles, *numbers


def differences(source: Source) -> tuple[list[compared.Compared], list[str]]:
    """Every pair of arms before one judge on one task, the later less the earlier; of more than `ALL_PAIRS` arms each
    less the first (the floor) only, and a line that says so. p is adjusted for how many there are in all."""
    answered = paired.measure_answered(source.reader, run=source.run)
    label = source.arms.label
    rows = source.arms.ordered(source.accuracy.values())
    chosen: list[tuple[Accuracy, Accuracy]] = []
    said = []
    for (task, judge), section in groupby(rows, key=lambda row: (row.task, row.judge)):
        first, *others = section
        if len(others) < ALL_PAIRS:
            chosen += [(later, earlier) for earlier, later in combinations([first, *others], 2)]
        else:
            chosen += [(later, first) for later in others]
            said.append(
                f"Task {task}, judge {judge}: {len(others) + 1} arms, each compared with {label(first)} only; "
                "`oversight compare` has every pair."
            )
    taken = [
        paired.difference(
            answered.get((a.task, a.arm), []), answered.get((b.task, b.arm), []), source.reader.live
        )
        for a, b in chosen
    ]
    holm = adjusted([d.test.p for d in taken])
    found = [
        compared.Compared(a, b, (label(a), label(b)), d, p)
        for (a, b), d, p in zip(chosen, taken, holm, strict=True)
    ]
    return found, said
