"""`oversight models`: what there is to seat and what each can do; `models get` fetches one ahead of its use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from oversight.engine.about import AboutModel

FETCHED = ("smollm2",)


class _ListsByDefault(TyperGroup):
    """`models` lists, `models NAME` says what is known of NAME: both without the word list."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        named = args and (args[0] in self.commands or args[0] in ("-h", "--help"))
        return super().parse_args(ctx, args if named else ["list", *args])


app = typer.Typer(
    help="Models: which there are, what each can do, and getting one. Makes no call.",
    cls=_ListsByDefault,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]…", help="Models, with options if you like.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Every way of naming a model, or what is known of those named. The word list may be left out."""
    import json
    from dataclasses import asdict

    from oversight.engine.about import about_providers
    from oversight.models.api.keys import env_file
    from oversight.report.models import print_models, print_providers
    from oversight.report.safe import one_line

    if models:
        known = [_about(spec) for spec in models]
        if as_json:
            print(json.dumps([asdict(row) for row in known], indent=2))
        else:
            print_models(known)
        return 0
    rows = about_providers()
    if as_json:
        print(json.dumps({"env_file": env_file() or None, "providers": [asdict(r) for r in rows]}, indent=2))
        return 0
    print_providers(rows)
    found = env_file()
    print(f"\nKeys: the environment, then {one_line(found) if found else 'a .env file (there is none)'}.")
    print("More of one: oversight models MODEL. Try it with a few tiny calls: oversight doctor MODEL.")
    return 0


def _about(spec: str) -> AboutModel:
    from oversight.engine.about import about_model
    from oversight.experiment import seat_from
    from oversight.models import open_model
    from oversight.models.contract import let_go

    if spec.startswith("torch/"):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # what the hub would have to send is not here
    seat = seat_from(spec)
    model = open_model(seat.model, seat.options)
    try:
        return about_model(model)
    finally:
        let_go([model])


@app.command()
def get(name: Annotated[str, typer.Argument(help=f"Which: {', '.join(FETCHED)}.")]) -> int:
    """Download a model that runs here, check its hash, and make it ready."""
    from oversight.errors import unknown

    if name not in FETCHED:
        raise unknown("model to get", name, FETCHED, "(others are fetched by the hub when first used)")
    from oversight.models.local import smollm2

    print(f"{name} is ready in {smollm2.get()}")
    return 0
