"""An estimate in a terminal: what a plan would play, and call and cost at most."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from oversight.engine.estimate import Estimate, Part
from oversight.models.prices import FREE, WAY_OUT
from oversight.report.safe import cell

NOTE = (
    "Upper estimates: replies and speeches as long as they may be, a token for every three letters, nothing "
    "read from a provider's cache. Equal calls count once. Not in it: attempts that are repeated, and "
    "verdicts that are asked for again."
)


def print_estimate(estimate: Estimate) -> None:
    """Print it to standard output."""
    console = Console(highlight=False)
    done = f", {estimate.done:,} already done" if estimate.done else ""
    console.print(f"{estimate.episodes:,} episodes to play{done}; no call was made.\n")
    if not estimate.episodes:
        return
    episodes = _table("task", "protocol", "judge", "speaker", "episodes")
    for share in estimate.shares:
        names = (share.task, share.protocol, share.judge, share.speaker or "")
        episodes.add_row(*map(cell, names), f"{share.episodes:,}")
    console.print(episodes)
    console.print()
    console.print(_calls(estimate))
    console.print(f"\n{NOTE}", style="dim")
    unknown = sorted({part.model for part in estimate.parts if part.price is None})
    for model in unknown:
        console.print(cell(f"The price of {model} is unknown: {WAY_OUT}."))
    if unknown and (known := [p.cost for p in estimate.parts if p.cost]):
        console.print(f"The others come to ${sum(known):,.4f} at most.")


def _calls(estimate: Estimate) -> Table:
    parts = estimate.parts
    priced = any(part.price != FREE for part in parts)
    batches = any(part.saved_by_batch is not None for part in parts)
    heads = ["model", "seat", "calls", "shared", "tokens in", "tokens out"]
    table = _table(*heads, *(["cost $"] if priced else []), *(["by batch $"] if batches else []))
    for part in parts:
        money = [_dollars(part.cost), _dollars(_by_batch([part]))]
        table.add_row(cell(part.model), cell(part.role), *_counts([part]), *money[: priced + batches])
    if len(parts) > 1:
        table.add_section()
        money = [_dollars(estimate.cost), _dollars(_by_batch(parts))]
        table.add_row("sum", "", *_counts(parts), *money[: priced + batches])
    return table


def _counts(parts: Sequence[Part]) -> list[str]:
    sums = (
        sum(p.calls for p in parts),
        sum(p.shared for p in parts),
        sum(p.prompt_tokens for p in parts),
        sum(p.completion_tokens for p in parts),
    )
    return [f"{n:,}" for n in sums]


def _by_batch(parts: Sequence[Part]) -> float | None:
    """What calls cost where those that can be are made in batches."""
    costs = [None if p.cost is None else p.cost - (p.saved_by_batch or 0.0) for p in parts]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _dollars(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.4f}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        text = column in ("task", "protocol", "judge", "speaker", "model", "seat")
        table.add_column(column, justify="left" if text else "right", overflow="fold")
    return table
