"""How much of what the judge misses without the passage a protocol gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oversight.measure.gap import measure_gap, statements
from oversight.report.sections.shared import WHO, Arms, Grid, Section, bounds_text, reasons_text, who
from oversight.report.terminal import percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def gap_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    rows, reasons = [], []
    for one in measure_gap(reader, run):
        row, g = arms.of(one.task, one.arm), one.of
        shares = percent(g.naive), percent(g.protocol), percent(g.ceiling)
        ceiling = "" if one.ceiling_arm is None else arms.label(arms.of(one.task, one.ceiling_arm))
        value = "undefined" if g.recovered.value is None else percent(g.recovered.value)
        told = value, bounds_text(g.recovered, ".1f", 100), f"{g.recovered.n:,}"
        rows.append((*who(arms, row), ceiling, *shares, *told))
        reasons.append((f"{arms.label(row)} · {row.judge}", g.recovered.reason or g.recovered.caution))
    said = (
        "(protocol − floor) / (ceiling − floor) over the questions that all three decided (Burns et al. 2023, "
        "arXiv 2312.09390); percentile bootstrap over groups.",
        *reasons_text(reasons),
    )
    head = (
        *WHO,
        "ceiling taken",
        "floor",
        "protocol",
        "ceiling",
        "gap recovered",
        "95 % interval",
        "questions",
    )
    table = Grid(head, tuple(rows), 4) if rows else None
    missing = None if rows else "no protocol but the judge alone was played"
    return Section("gap", "Gap recovered", said if rows else (), (), missing, table, statements(run))
