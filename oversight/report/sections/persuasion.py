"""Whom the judge believes, and what a protocol does to a judge that alone would have been right, or wrong."""

from __future__ import annotations

from oversight.measure.persuasion import Rate, WinRate, measure_rescue_and_harm, measure_win_rates
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    NO_PROTOCOL,
    NOBODY_ARGUED,
    WHO,
    Grid,
    Section,
    Source,
    interval_text,
    of_each_task,
    reasons_text,
)
from oversight.report.terminal import percent


def win_rates_section(source: Source) -> Section:
    arms = source.arms
    found: dict[tuple[str, int, bool], dict[bool | None, WinRate]] = {}
    for one in arms.ordered(measure_win_rates(source.reader, source.run)):
        found.setdefault((one.task, one.arm, one.right), {})[one.shown_first] = one
    rows, reasons, dots = [], [], []
    for places in found.values():
        both, rate = places[None], places[None].rate
        if rate.share is None:
            continue
        side = "right" if both.right else "wrong"
        told = [cell for place in (None, True, False) for cell in _cells(places[place].rate)]
        rows.append((*arms.who(both), side, *told, f"{rate.of:,.0f}"))
        for place, where in ((None, ""), (True, ", shown first"), (False, ", shown later")):
            interval = places[place].rate.interval
            reasons.append((f"{arms.told(both)}, {side}{where}", interval.reason or interval.caution))
        judge = arms.of(both.task, both.arm).judge
        bounds = rate.interval.low, rate.interval.high
        dots.append((both.task, Dot(f"{arms.label(both)}, {side}", judge, rate.share, *bounds)))
    if not rows:
        return Section("Win rates", missing=f"{NOBODY_ARGUED}, or no verdict in it was decided")

    def drawn(task: str) -> Rows | None:
        of_task = tuple(dot for of, dot in dots if of == task)
        return Rows(of_task, "share of decided verdicts for the argued answer", "share") if of_task else None

    caption = "How often the judge chose the answer argued, by whether it is the right one."
    said = (
        "How often the judge chose the argued answer, where that is the right one or a wrong one; in both orders, where it "
        "was shown first, and where it was not. Intervals as for accuracy.",
        *reasons_text(reasons),
    )
    places_head = (
        "win rate",
        "95 % interval",
        "shown first",
        "95 % interval",
        "shown later",
        "95 % interval",
    )
    table = Grid((*WHO, "argued", *places_head, "times argued"), tuple(rows), 4)
    return Section("Win rates", said, of_each_task("win-rates", caption, arms, drawn), table=table)


def _cells(rate: Rate) -> tuple[str, str]:
    return percent(rate.share), interval_text(rate.interval)


def rescue_and_harm_section(source: Source) -> Section:
    arms = source.arms
    title, name = "Rescue and harm", "rescue-and-harm"
    rows, reasons, dots = [], [], []
    for one in arms.ordered(measure_rescue_and_harm(source.reader, source.run)):
        rates = (("rescue", one.rescue), ("harm", one.harm))
        rows.append((*arms.who(one), *(cell for _, r in rates for cell in (f"{r.of:,.4g}", *_cells(r)))))
        for what, r in rates:
            reasons.append(
                (f"{arms.told(one)}, {what}", one.reason or r.interval.reason or r.interval.caution)
            )
            if r.share is not None:
                dots.append((one.task, Dot(arms.judged(one), what, r.share, r.interval.low, r.interval.high)))
    if not rows:
        return Section(title, missing=NO_PROTOCOL)

    def drawn(task: str) -> Rows | None:
        of_task = tuple(dot for of, dot in dots if of == task)
        return (
            Rows(of_task, "share of what the judge alone got wrong, and right", "share") if of_task else None
        )

    caption = "Rescue: right with the protocol, of what the judge alone got wrong. Harm: wrong with it, of what it got right."
    figures = of_each_task(name, caption, arms, drawn)
    said = (
        "Against the same judge alone (the floor) on the same questions in the same answer orders. Alone wrong and alone "
        "right count questions in one order, repeats averaged. Intervals as for accuracy.",
        *reasons_text(reasons),
    )
    head = (*WHO, "alone wrong", "rescued", "95 % interval", "alone right", "harmed", "95 % interval")
    missing = None if figures else "there is nothing to compare with (the reasons stand below)"
    return Section(title, said, figures, missing, Grid(head, tuple(rows), 3))
