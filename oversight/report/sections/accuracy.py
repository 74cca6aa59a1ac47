"""How often the judge was right, and what became of every planned episode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oversight.measure.accuracy import Accuracy, statements
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    by_label,
    interval_text,
    of_each_task,
    reasons_text,
    who,
)
from oversight.report.terminal import STATUSES, percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def accuracy_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    def drawn(task: str) -> Rows | None:
        dots = tuple(
            Dot(arms.label(r), r.judge, r.accuracy, r.interval.low, r.interval.high, _outer(r))
            for r in by_label(arms, task)
            if r.accuracy is not None
        )
        return Rows(dots, "judge accuracy over decided verdicts", "share") if dots else None

    table = []
    for row in arms.rows:
        numbers = (
            percent(row.accuracy),
            interval_text(row.interval),
            f"{100 * row.worst:.1f}–{100 * row.best:.1f}",
        )
        sizes = f"{row.decided:,}", f"{row.episodes:,}", f"{row.questions:,}", f"{row.groups:,}"
        table.append((row.task, row.judge, arms.label(row), *numbers, *sizes))
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
    head = (*WHO, "accuracy", "95 % interval", "worst–best", "decided", "episodes", "questions", "groups")
    said = (
        "Share of decided verdicts that are right. Interval: t, clustered on the question's group (Miller 2024, "
        "arXiv 2411.00640); w: Wilson's with the groups' design effect, near 0 or 100 % or where there is too little spread.",
        "Worst and best count every undecided verdict as wrong and as right.",
        *reasons_text(
            (arms.label(row), i.reason)
            for row in arms.rows
            for i in (row.interval, *(s.interval for s in row.splits))
        ),
        *(
            ["Fewer than 10 groups in some rows: take those intervals as a rough guide."]
            if any(1 < row.groups < 10 for row in arms.rows)
            else []
        ),
    )
    caption = "Judge accuracy with 95 % intervals"
    caption += "; dotted: worst to best treatment of undecided verdicts." if _undecided(arms) else "."
    figures = of_each_task("accuracy", caption, arms, drawn)
    sql = {name: statements(run)[name] for name in ("accuracy", "clusters")}
    missing = None if figures else "no verdict was decided"
    return Section("accuracy", "Accuracy", said, figures, missing, Grid(head, tuple(table), 3), sql)


def _outer(row: Accuracy) -> tuple[float, float] | None:
    return None if row.decided == row.episodes else (row.worst, row.best)


def _undecided(arms: Arms) -> bool:
    return any(row.decided < row.episodes for row in arms.rows)


def ledger_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    rows = [
        (*who(arms, row), *(f"{getattr(row, status):,}" for status in STATUSES), f"{row.episodes:,}")
        for row in arms.rows
    ]
    sums = [sum(getattr(row, status) for row in arms.rows) for status in (*STATUSES, "episodes")]
    rows.append(("sum", "", "", *(f"{n:,}" for n in sums)))
    said = (
        "What became of every planned episode. Undecided verdicts are scored as nothing: not wrong, not 0.5.",
    )
    sql = {"accuracy": statements(run)["accuracy"]}
    return Section(
        "ledger", "Ledger", said, table=Grid((*WHO, *STATUSES, "episodes"), tuple(rows), 3), sql=sql
    )
