"""`oversight doctor`: try a model with a few tiny calls, and say what works and which option to set."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oversight.engine.doctor import Probe
    from oversight.models.interface import Model


def doctor(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for a seat: name:key=value,key=value.")],
) -> int:
    """Try a model: its key, its address, one plain call, then one or two for each thing it may be able to do.

    Nothing is stored. Exit status 1 if the plain call fails.
    """
    from oversight.engine.doctor import probes
    from oversight.engine.seating import temperature_of
    from oversight.experiment import seat_from
    from oversight.models import open_model
    from oversight.models.contract import let_go
    from oversight.models.interface import Sampling

    seat = seat_from(model)
    opened = open_model(seat.model, seat.options)
    try:
        sampling = Sampling(temperature_of(seat, opened), seat.top_p, seat.max_tokens, tuple(seat.stop))
        return 0 if asyncio.run(_examine(opened, probes(opened, sampling))) else 1
    finally:
        let_go([opened])


def _announce(model: Model, tried: list[Probe]) -> None:
    """Say what is going to be asked, and what it can cost."""
    from oversight.engine.doctor import calls_of, dearest

    calls, cost = calls_of(tried), dearest(model, tried)
    money = "of unknown cost" if cost is None else f"${cost:.4f} at most" if cost else "free"
    line = (
        f"doctor: {calls} tiny calls to {model.name} ({money}), fewer if the first fails; nothing is stored"
    )
    print(_shown(line), file=sys.stderr, flush=True)


async def _examine(model: Model, tried: list[Probe]) -> bool:
    """Whether the plain call worked."""
    from oversight.engine.doctor import examine
    from oversight.models.contract import finish, make_ready
    from oversight.report.models import print_finding

    works = []
    try:
        await make_ready([model])  # key, name and address, before a call is announced
        _announce(model, tried)
        async for finding in examine(model, tried):
            print_finding(finding)
            works.append(finding.works)
    finally:
        await finish([model])
    return works[0]


def _shown(line: str) -> str:
    from oversight.report.safe import one_line
    from oversight.secrecy import without_keys

    return one_line(without_keys(line))
