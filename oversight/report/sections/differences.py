"""Which arm is right more often than which, on the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, groupby
from typing import TYPE_CHECKING

from oversight.measure import paired
from oversight.measure.accuracy import Accuracy
from oversight.measure.multiple import adjusted
from oversight.report import compared
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import Arms, Grid, Section, of_each_task

if TYPE_CHECKING:
    from oversight.store.reading import Reader


ALL_PAIRS = 7
"""Arms of one judge on one task up to which every pair is compared: 21."""


def differences_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    name, title = "differences", "Paired differences"
    sql = {"questions": paired.statement(run=run)}
    found, left_out = _pairs(arms, paired.measure_answered(reader, run=run))
    if not found:
        reason = "there is only one arm for each task and judge: a comparison needs two"
        return Section(name, title, (), missing=reason)

    def drawn(task: str) -> Rows | None:
        dots = tuple(
            Dot(f"{arms.label(one.a)} less {arms.label(one.b)}", one.a.judge, d.value, d.low, d.high)
            for one in found
            if one.a.task == task and (d := one.difference.difference).value is not None
        )
        return Rows(dots, "difference in accuracy, percentage points", "points") if dots else None

    rows = tuple(
        (
            one.a.task,
            one.a.judge,
            arms.label(one.a),
            arms.label(one.b),
            compared.points(one.difference.difference.value),
            compared.bounds(one.difference.difference.low, one.difference.difference.high),
            compared.p_text(one.difference.test.p),
            compared.p_text(one.holm),
            f"{one.difference.difference.n:,}",
            f"{one.difference.difference.groups:,}",
        )
        for one in found
    )
    head = (
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
    figures = of_each_task(name, "Paired differences in accuracy with 95 % intervals.", arms, drawn)
    missing = None if figures else "no two arms can be compared (the reasons stand below)"
    said = (*compared.notes(found), *left_out)
    return Section(name, title, said, figures, missing, Grid(head, rows, 4), sql)


def _pairs(
    arms: Arms, answered: Mapping[tuple[str, int], paired.Questions]
) -> tuple[list[compared.Compared], list[str]]:
    """Every pair of arms before one judge on one task, the later less the earlier; of more than `ALL_PAIRS` arms each
    less the first (the floor) only, and a line that says so. p is adjusted for how many there are in all."""
    chosen: list[tuple[Accuracy, Accuracy]] = []
    said = []
    for (task, judge), section in groupby(arms.rows, key=lambda row: (row.task, row.judge)):
        first, *others = section
        if len(others) < ALL_PAIRS:
            chosen += [(later, earlier) for earlier, later in combinations([first, *others], 2)]
        else:
            chosen += [(later, first) for later in others]
            said.append(
                f"Task {task}, judge {judge}: {len(others) + 1} arms, each compared with {arms.label(first)} only; "
                "`oversight compare` has every pair."
            )
    differences = [
        paired.difference(answered.get((a.task, a.arm), []), answered.get((b.task, b.arm), []))
        for a, b in chosen
    ]
    holm = adjusted([d.test.p for d in differences])
    found = [
        compared.Compared(a, b, (arms.label(a), arms.label(b)), d, p)
        for (a, b), d, p in zip(chosen, differences, holm, strict=True)
    ]
    return found, said
