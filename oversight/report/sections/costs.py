"""What accuracy costs, and what the calls cost by model and seat."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oversight.measure import frontier, money
from oversight.measure.accuracy import Accuracy
from oversight.report.figures import Panel, Panels, Point
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    interval_text,
    of_each_task,
    reasons_text,
    told_bounds,
    who,
)
from oversight.report.terminal import count, dollars, percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def costs_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    unit, found = _frontiers(reader, run)
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
            rows.append((*who(arms, row), *numbers, on, percent(place.confidence)))
            reasons.append((arms.label(row), place.reason or place.cost.caution))

    def drawn(task: str) -> Panels | None:
        panels = tuple(
            p for one in found if one.task == task for p in [_frontier_panel(one, arms)] if p.points
        )
        axis = "US dollars an episode" if unit == "cost" else "tokens an episode (prompt and completion)"
        return Panels(panels, axis, "judge accuracy", "number") if panels else None

    free = bool(found) and all(not p.cost.value for one in found for p in one.places)
    caption = "Accuracy against cost; grey: the frontier, on which no arm is beaten in both."
    figures = () if free else of_each_task("cost", caption, arms, drawn)
    missing = None
    if not figures:
        missing = (
            "no call cost anything: no money and no tokens are known"
            if free
            else "what the calls cost is unknown, in money (price_in, price_out) and in tokens"
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
    table = Grid(head, tuple(rows), 3) if rows else None
    return Section(
        "cost", "Cost and accuracy", said if rows else (), figures, missing, table, frontier.statements(run)
    )


def _frontiers(reader: Reader, run: int | None) -> tuple[frontier.Unit, list[frontier.Frontier]]:
    """In dollars where every arm's are known and some cost anything, else in tokens."""
    found = frontier.measure_frontier(reader, run, "cost")
    costs = [place.cost.value for one in found for place in one.places]
    if None not in costs and any(costs):
        return "cost", found
    return "tokens", frontier.measure_frontier(reader, run, "tokens")


def _labelled(arms: Arms, row: Accuracy) -> str:
    """With the judge, where the database has others of its name."""
    alike = arms.stored[row.task, row.arm] == row.judge
    return arms.label(row) if alike else f"{arms.label(row)} · {row.judge}"


def _frontier_panel(one: frontier.Frontier, arms: Arms) -> Panel:
    known = [p for p in one.places if p.cost.value is not None and p.accuracy is not None]
    points = tuple(
        Point(
            _labelled(arms, arms.of(one.task, p.arm)),
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


def spending_section(reader: Reader, run: int | None, arms: Arms) -> Section:
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
        for row in money.measure_money(reader, run)
    )
    said = ("Found calls were in the store or shared; saved is what they had cost.",) if rows else ()
    head = ("model", "seat", "paid", "found", "tokens in", "tokens out", "cost $", "saved $")
    table = Grid(head, rows, 2) if rows else None
    missing = None if rows else "no call was made (imported transcripts have none)"
    return Section("spending", "Spending", said, (), missing, table, money.statements(run))
