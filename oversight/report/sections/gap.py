"""How much of what the judge misses without the passage a protocol gives back."""

from __future__ import annotations

from oversight.measure.gap import measure_gap
from oversight.report.sections.shared import (
    NO_PROTOCOL,
    WHO,
    Grid,
    Section,
    Source,
    bounds_text,
    reasons_text,
)
from oversight.report.terminal import percent


def gap_section(source: Source) -> Section:
    arms = source.arms
    rows, reasons = [], []
    for one in measure_gap(source.reader, source.run):
        row, g = arms.of(one.task, one.arm), one.of
        shares = percent(g.naive), percent(g.protocol), percent(g.ceiling)
        ceiling = "" if one.ceiling_arm is None else arms.label(arms.of(one.task, one.ceiling_arm))
        value = "undefined" if g.recovered.value is None else percent(g.recovered.value)
        told = value, bounds_text(g.recovered, ".1f", 100), f"{g.recovered.n:,}"
        rows.append((*arms.who(row), ceiling, *shares, *told))
        reasons.append((arms.told(row), g.recovered.reason or g.recovered.caution))
    if not rows:
        return Section("Gap recovered", missing=NO_PROTOCOL)
    said = (
        "(protocol − floor) / (ceiling − floor) over the questions that all three decided (Burns et al. 2023, "
        "arXiv 2312.09390); Fieller's interval, clustered by group.",
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
    return Section("Gap recovered", said, table=Grid(head, tuple(rows), 4))
