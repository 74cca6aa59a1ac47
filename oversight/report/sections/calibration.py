"""Whether the judge is right as often as it says."""

from __future__ import annotations

from oversight.measure.calibration import measure_calibration
from oversight.report.figures import Panels, Point
from oversight.report.sections.shared import (
    NO_PROBABILITIES,
    WHO,
    Grid,
    Section,
    Source,
    estimate_text,
    of_each_task,
    panels_by_label,
    reasons_text,
)


def calibration_section(source: Source) -> Section:
    arms = source.arms
    found = {(one.task, one.arm): one.of for one in measure_calibration(source.reader, source.run)}

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
        rows.append((*arms.who(row), f"{one.verdicts:,}", *numbers))
        parts = (
            ("Brier", one.brier),
            ("log loss", one.log_loss),
            ("slope", one.slope),
            ("intercept", one.intercept),
        )
        reasons += [(f"{arms.told(row)}, {what}", m.reason or m.caution) for what, m in parts]
    said = (
        "Brier: the mean of Σ(p − right)² over the answers (0 best, 2 worst); log loss in nats; slope and intercept of the "
        "outcome's log-odds in the forecast's, 1 and 0 for a calibrated judge; clustered 95 % intervals in brackets. "
        "Bars of the curves: Wilson's, with the groups' design effect.",
        *reasons_text(reasons),
    )
    if not rows:
        return Section("Calibration", missing=NO_PROBABILITIES)
    caption = "Reliability: tenths of the probabilities; dashed: calibrated."
    figures = of_each_task("calibration", caption, arms, drawn)
    head = (*WHO, "verdicts", "Brier", "log loss", "slope", "intercept")
    return Section("Calibration", said, figures, table=Grid(head, tuple(rows), 3))
