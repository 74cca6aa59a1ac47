"""How often the judge was right, what became of every planned episode, and the same judge read in other ways."""

from __future__ import annotations

from oversight.measure.accuracy import Accuracy
from oversight.measure.readings import measure_readings
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    WHO,
    Grid,
    Section,
    Source,
    by_label,
    interval_text,
    of_each_task,
    reasons_text,
)
from oversight.report.terminal import STATUSES, percent


def accuracy_section(source: Source) -> Section:
    arms, measured = source.arms, source.accuracy

    def drawn(task: str) -> Rows | None:
        dots = []
        for arm in by_label(arms, task):
            row = measured[arm.task, arm.arm]
            if row.accuracy is not None:
                bounds = row.interval.low, row.interval.high, _outer(row)
                dots.append(Dot(arms.label(arm), arm.judge, row.accuracy, *bounds))
        return Rows(tuple(dots), "judge accuracy over decided verdicts", "share") if dots else None

    table, reasons = [], []
    for row in arms.ordered(measured.values()):
        numbers = (
            percent(row.accuracy),
            interval_text(row.interval),
            f"{100 * row.worst:.1f}–{100 * row.best:.1f}",
        )
        sizes = f"{row.decided:,}", f"{row.episodes:,}", f"{row.questions:,}", f"{row.groups:,}"
        table.append((*arms.who(row), *numbers, *sizes))
        reasons.append((arms.told(row), row.interval.reason or row.interval.caution))
        for split in row.splits:
            side = f"… argued {'right' if split.argued_right else 'wrong'}"
            rest = (
                percent(split.accuracy),
                interval_text(split.interval),
                "",
                f"{split.decided:,}",
                "",
                "",
                "",
            )
            table.append((row.task, row.judge, side, *rest))
            reasons.append(
                (
                    f"{arms.told(row)}, {side.removeprefix('… ')}",
                    split.interval.reason or split.interval.caution,
                )
            )
    head = (*WHO, "accuracy", "95 % interval", "worst–best", "decided", "episodes", "questions", "groups")
    said = (
        "Share of decided verdicts that are right. Interval: t, clustered on the question's group (Miller 2024, "
        "arXiv 2411.00640); w: Wilson's with the groups' design effect, where few are right or few wrong, or there is no spread.",
        "Worst and best count every undecided verdict as wrong and as right.",
        *reasons_text(reasons),
    )
    caption = "Judge accuracy with 95 % intervals"
    undecided = any(row.decided < row.episodes for row in measured.values())
    caption += "; dotted: worst to best treatment of undecided verdicts." if undecided else "."
    figures = of_each_task("accuracy", caption, arms, drawn)
    missing = None if figures else "no verdict was decided"
    return Section("Accuracy", said, figures, missing, Grid(head, tuple(table), 3))


def _outer(row: Accuracy) -> tuple[float, float] | None:
    return None if row.decided == row.episodes else (row.worst, row.best)


def ledger_section(source: Source) -> Section:
    measured = source.arms.ordered(source.accuracy.values())
    rows = [
        (*source.arms.who(row), *(f"{getattr(row, s):,}" for s in STATUSES), f"{row.episodes:,}")
        for row in measured
    ]
    sums = [sum(getattr(row, status) for row in measured) for status in (*STATUSES, "episodes")]
    rows.append(("sum", "", "", *(f"{n:,}" for n in sums)))
    said = (
        "What became of every planned episode. Undecided verdicts are scored as nothing: not wrong, not 0.5.",
    )
    return Section("Ledger", said, table=Grid((*WHO, *STATUSES, "episodes"), tuple(rows), 3))


def readings_section(source: Source) -> Section:
    rows, reasons = [], []
    for one in source.arms.ordered(measure_readings(source.reader, source.run)):
        statuses = (f"{getattr(one, s):,}" for s in STATUSES)
        numbers = percent(one.accuracy), interval_text(one.interval), *statuses, f"{one.episodes:,}"
        rows.append((*source.arms.who(one), one.elicitation, *numbers))
        label = f"{source.arms.told(one)}, {one.elicitation}"
        reasons.append((label, one.interval.reason or one.interval.caution))
    if not rows:
        return Section("Other readings", missing="no judge was read in several ways (elicit=texts+hard does)")
    said = (
        "The same judge over the same episodes, read in each way it was asked for; the first is its verdict.",
        *reasons_text(reasons),
    )
    head = (*WHO, "read as", "accuracy", "95 % interval", *STATUSES, "episodes")
    return Section("Other readings", said, table=Grid(head, tuple(rows), 4))
