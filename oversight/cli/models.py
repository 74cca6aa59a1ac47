"""`oversight models get`: fetch a model that runs here, ahead of its first use."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Models that run on this machine.", no_args_is_help=True, rich_markup_mode=None)

FETCHED = ("smollm2",)


@app.callback()
def _group() -> None:
    pass


@app.command()
def get(name: Annotated[str, typer.Argument(help=f"Which: {', '.join(FETCHED)}.")]) -> int:
    """Download a model, check its hash, and make it ready."""
    from oversight.errors import unknown

    if name not in FETCHED:
        raise unknown("model to get", name, FETCHED, "(others are fetched by the hub when first used)")
    from oversight.models.local import smollm2

    print(f"{name} is ready in {smollm2.get()}")
    return 0
