"""What accuracy costs, and what the calls cost by model and seat."""

from __future__ import annotations

from collections.abc import Callable

from oversight.measure import frontier, money
from oversight.report.figures import Panel, Panels, Point
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    Source,
    interval_text,
    of_each_task,
    reasons_text,
    told_bounds,
)
from oversight.report.terminal import count, dollars, percent


def frontier_section(source: Source) -> Section:
    arms, title = source.arms, "Cost and accuracy"
    found = frontier.measure_frontier(source.reader, source.run)
    if not found:
        return Section(title, missing="nothing was played to its end")
    unit = found[0].unit
    told: Callable[[float | None], str] = dollars if unit == "cost" else _tokens
    rows, reasons = [], []
    for one in found:
        for place in one.places:
            row = arms.of(one.task, place.arm)
            numbers = (
                told(place.cost.value),
                told_bounds(place.cost, told),
                percent(place.accuracy),
                interval_text(place.interval),
            )
            on = {None: "none", True: "yes", False: "no"}[place.on_frontier]
            rows.append((*arms.who(row), *numbers, on, percent(place.confidence)))
            reasons.append((arms.told(row), place.reason or place.cost.caution or place.interval.caution))

    def drawn(task: str) -> Panels | None:
        panels = tuple(
            p for one in found if one.task == task for p in [_frontier_panel(one, arms)] if p.points
        )
        axis = "US dollars an episode" if unit == "cost" else "tokens an episode (prompt and completion)"
        return Panels(panels, axis, "judge accuracy", "number") if panels else None

    free = all(p.cost.value == 0 for one in found for p in one.places)
    caption = "Accuracy against cost; grey: the frontier, on which no arm is beaten in both."
    figures = () if free else of_each_task("frontier", caption, arms, drawn)
    missing = None
    if not figures:
        missing = (
            "no call cost anything: no money and no tokens are known"
            if free
            else "what the calls cost is unknown, in money (price_in, price_out) and in tokens, or there were none"
        )
    what = "US dollars" if unit == "cost" else "Tokens (money is unknown or nothing)"
    said = (
        f"{what}, the mean of an episode: every call it uses, whoever paid for it. Certainty: the share of cluster-bootstrap "
        "samples in which the arm is on the frontier.",
        *reasons_text(reasons),
    )
    head = (
        *WHO,
        "cost $" if unit == "cost" else "tokens",
        "95 % interval",
        "accuracy",
        "95 % interval",
        "on frontier",
        "certainty",
    )
    return Section(title, said, figures, missing, Grid(head, tuple(rows), 3))


def _frontier_panel(one: frontier.Frontier, arms: Arms) -> Panel:
    known = [p for p in one.places if p.cost.value is not None and p.accuracy is not None]
    points = tuple(
        Point(
            arms.label(arms.of(one.task, p.arm)),
            p.cost.value or 0.0,
            p.accuracy or 0.0,
            p.interval.low,
            p.interval.high,
            p.cost.low,
            p.cost.high,
        )
        for p in known
    )
    steps = tuple((p.cost.value or 0.0, p.accuracy or 0.0) for p in known if p.on_frontier)
    return Panel(f"judge {one.judge}", points, steps)


def _tokens(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def spending_section(source: Source) -> Section:
    rows = tuple(
        (
            row.model or "sum",
            "" if row.total else row.seat or "used by nothing yet",
            f"{row.made:,}",
            f"{row.found:,}",
            count(row.prompt_tokens),
            count(row.completion_tokens),
            dollars(row.cost),
            dollars(row.saved),
        )
        for row in money.measure_money(source.reader, source.run)
    )
    if not rows:
        return Section("Spending", missing="no call was made (imported transcripts have none)")
    said = ("Found calls were in the store or shared; saved is what they had cost.",)
    head = ("model", "seat", "paid", "found", "tokens in", "tokens out", "cost $", "saved $")
    return Section("Spending", said, table=Grid(head, rows, 2))
