"""The bias audit: place, length and kinship, speeches that tell their role, and what the judge knew beforehand."""

from __future__ import annotations

from oversight.measure import bias
from oversight.measure.measured import Measured
from oversight.report.compared import bounds, points
from oversight.report.sections.shared import (
    NOBODY_ARGUED,
    WHO,
    Grid,
    Section,
    Source,
    bounds_text,
    interval_text,
    reasons_text,
)
from oversight.report.terminal import percent


def knew_already_section(source: Source) -> Section:
    title, rows, reasons = "Bias audit: what the judge knew already", [], []
    for one in source.arms.ordered(bias.measure_knew_already(source.reader, source.run)):
        m = one.beyond_chance
        numbers = points(m.value), bounds(m.low, m.high), f"{m.n:,}", f"{m.groups:,}"
        rows.append((*source.arms.who(one), *numbers))
        reasons.append((source.arms.told(one), m.reason or m.caution))
    if not rows:
        return Section(title, missing="the judge alone (direct) was not played, or decided nothing")
    said = (
        "Accuracy of the judge alone less guessing (one over the number of answers). Above 0 it knew, or could guess from "
        "the answers, without passage or transcript: that part of a protocol's accuracy is no oversight.",
        *reasons_text(reasons),
    )
    head = (*WHO, "beyond guessing", "95 % interval", "verdicts", "groups")
    return Section(title, said, table=Grid(head, tuple(rows), 3))


def position_section(source: Source) -> Section:
    title, rows, reasons = "Bias audit: the answer shown first", [], []
    for one in source.arms.ordered(bias.measure_position_bias(source.reader, source.run)):
        first, label = one.first, source.arms.told(one)
        audited = (
            ("swapped", one.swapped, _percent(one.swapped)),
            ("repeated", one.repeated, _percent(one.repeated)),
            ("net", one.net, points(one.net.value)),
        )
        told = [
            text if m.low is None else f"{text} {bounds_text(m, '+.1f' if what == 'net' else '.1f', 100)}"
            for what, m, text in audited
        ]
        rows.append(
            (
                *source.arms.who(one),
                percent(first.share),
                interval_text(first.interval),
                f"{first.of:,.0f}",
                *told,
            )
        )
        reasons.append((f"{label}, first", first.interval.reason or first.interval.caution))
        reasons += [(f"{label}, {what}", m.reason or m.caution) for what, m, _ in audited]
    if not rows:
        return Section(title, missing="no verdict was decided")
    said = (
        "How often the judge chose the answer shown first (without bias one over the number of answers, where orders are "
        "both or random); how often two verdicts on one question differ when its answers are swapped, and when nothing is "
        "(noise); net: the first less the second, the flips that place alone makes (after Zheng et al. 2023, arXiv "
        "2306.05685, §3.3). Clustered 95 % intervals in brackets.",
        *reasons_text(reasons),
    )
    head = (*WHO, "chose first", "95 % interval", "verdicts", "swapped", "repeated", "net")
    return Section(title, said, table=Grid(head, tuple(rows), 3))


def _percent(measured: Measured) -> str:
    return percent(measured.value)


def preferences_section(source: Source) -> Section:
    title, rows, reasons = "Bias audit: length and kinship", [], []
    for one in bias.measure_preferences(source.reader, source.run):
        what = "the longer side" if one.kind == "longer" else "the side of its own model family"
        share, interval = percent(one.rate.share), one.rate.interval
        rows.append((one.task, one.judge, what, share, interval_text(interval), f"{one.rate.of:,.0f}"))
        reasons.append((f"{one.judge}, {what}", interval.reason or interval.caution))
    if not rows:
        return Section(title, missing="no debate of two answers by two debaters was decided")
    said = (
        "How often the judge chose that side, over debates in which just one side has it. Half is no preference only where "
        "truth is on either side as often; the terms of debater strength hold truth, place and length apart.",
        *reasons_text(reasons),
    )
    head = ("task", "judge", "chose", "share", "95 % interval", "debates")
    return Section(title, said, table=Grid(head, tuple(rows), 3))


def leaks_section(source: Source) -> Section:
    title, rows, reasons = "Bias audit: speeches that tell their role", [], []
    found = sorted(
        bias.measure_leaks(source.reader, source.run),
        key=lambda one: (one.of_right is None, not one.of_right),
    )
    for one in source.arms.ordered(found):
        side = {None: "each", True: "right", False: "wrong"}[one.of_right]
        share, interval = percent(one.rate.share), one.rate.interval
        numbers = f"{one.rate.won:,.0f}", f"{one.rate.of:,.0f}", share, interval_text(interval)
        rows.append((*source.arms.who(one), side, *numbers))
        reasons.append((f"{source.arms.told(one)}, argued {side}", interval.reason or interval.caution))
    if not rows:
        return Section(title, missing=NOBODY_ARGUED)
    said = (
        "Speeches with a phrase by which a role in the experiment shows (“I was assigned to argue …”, “the honest "
        "debater”; the pattern stands in the SQL), by whether the one answer argued is right.",
        *reasons_text(reasons),
    )
    head = (*WHO, "argued", "tell", "speeches", "share", "95 % interval")
    return Section(title, said, table=Grid(head, tuple(rows), 4))
