"""Whether the judge is right as often as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oversight.measure.calibration import measure_calibration, statements
from oversight.report.figures import Panels, Point
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    estimate_text,
    of_each_task,
    panels_by_label,
    reasons_text,
    who,
)

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def calibration_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    found = {(one.task, one.arm): one.of for one in measure_calibration(reader, run)}

    def drawn(task: str) -> Panels | None:
        panels = panels_by_label(
            arms,
            task,
            lambda row: [
                Point(row.judge, b.forecast, b.right, b.interval.low, b.interval.high)
                for b in (found[task, row.arm].curve if (task, row.arm) in found else ())
            ],
        )
        axes = "probability that the judge gave", "share that was right"
        return Panels(panels, *axes, "share", joined=True, diagonal=True) if panels else None

    rows, reasons = [], []
    for row in arms.rows:
        if (one := found.get((row.task, row.arm))) is None:
            continue
        numbers = [estimate_text(m, ".3f") for m in (one.brier, one.log_loss, one.slope, one.intercept)]
        rows.append((*who(arms, row), f"{one.verdicts:,}", *numbers))
        parts = (
            ("Brier", one.brier),
            ("log loss", one.log_loss),
            ("slope", one.slope),
            ("intercept", one.intercept),
        )
        reasons += [(f"{arms.label(row)}, {what}", m.reason or m.caution) for what, m in parts]
    said = (
        "Brier: the mean of Σ(p − right)² over the answers (0 best, 2 worst); log loss in nats; slope and intercept of the "
        "outcome's log-odds in the forecast's, 1 and 0 for a calibrated judge; clustered 95 % intervals in brackets. "
        "Bars of the curves: Wilson's, with the groups' design effect.",
        *reasons_text(reasons),
    )
    figures = of_each_task(
        "reliability", "Reliability: tenths of the probabilities; dashed: calibrated.", arms, drawn
    )
    missing = (
        None
        if figures
        else "no judge gave probabilities (elicit=letters, texts, logprobs, credence or votes do)"
    )
    head = (*WHO, "verdicts", "Brier", "log loss", "slope", "intercept")
    table = Grid(head, tuple(rows), 3) if rows else None
    sql = statements(run)
    return Section("reliability", "Calibration", said if rows else (), figures, missing, table, sql)
