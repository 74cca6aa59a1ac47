"""`oversight list`: what there is to name, with parameters and one-line docs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, open_db

if TYPE_CHECKING:
    from pathlib import Path

    from oversight.protocol import Protocol
    from oversight.task import Task


class Kind(StrEnum):
    protocols = "protocols"
    tasks = "tasks"
    models = "models"
    runs = "runs"
    styles = "styles"
    elicitations = "elicitations"


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|FOLDER]…", help="Only these protocols or tasks; folders of your own."),
    ] = None,
    db: Db = DEFAULT_DB,
) -> int:
    """Protocols, tasks, models, speaking styles, ways to read a verdict, or the runs of a database."""
    if names and kind not in (Kind.protocols, Kind.tasks):
        from oversight.errors import UserError

        raise UserError(f"only protocols and tasks are listed by name: oversight list {kind.value}")
    if kind is Kind.runs:
        _runs(db)
    elif kind is Kind.models:
        from oversight.engine.about import about_providers
        from oversight.report.models import print_providers

        print_providers(about_providers())
    elif kind in (Kind.protocols, Kind.tasks):
        _things(kind, names or [])
    else:
        _pairs(list(_named(kind)))
    return 0


def _named(kind: Kind) -> list[tuple[str, str]]:
    if kind is Kind.styles:
        from oversight.speech import STYLES

        return list(STYLES.items())
    return _elicitations()


def _elicitations() -> list[tuple[str, str]]:
    """Names with their docs, which stand as a table in the module's docstring."""
    import inspect
    import re

    from oversight import elicit

    docs: dict[str, str] = {}
    for line in (inspect.getdoc(elicit) or "").splitlines():
        named = re.match(r"([a-z-]+) {2,}(\S.*)", line)
        if named and named.group(1) in elicit.ELICITATIONS:
            last = named.group(1)
            docs[last] = named.group(2).replace("… of", "the same of")
        elif docs and line.startswith("   "):
            docs[last] += " " + line.strip()
    return [(name, docs.get(name, "")) for name in elicit.ELICITATIONS]


def _pairs(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from oversight.report.safe import cell

    table = Table.grid(padding=(0, 2))
    for name, doc in rows:
        table.add_row(cell(name, "bold"), cell(doc))
    Console(highlight=False).print(table)


def _things(kind: Kind, wanted: list[str]) -> None:
    """Those that are wanted, or all that have a name."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from oversight.errors import OversightError
    from oversight.library import find_protocol, find_task, names, one_line, params_of
    from oversight.report.safe import cell

    console = Console(highlight=False)
    find = find_protocol if kind is Kind.protocols else find_task
    for name in wanted or names(kind.value):
        try:
            thing: Protocol | Task = find(name)
        except OversightError as error:  # one broken package must not hide the others
            if wanted:
                raise
            console.print(Text.assemble(cell(name, "bold"), "  cannot be loaded: ", cell(str(error))))
            continue
        console.print(Text.assemble(cell(name, "bold"), "  ", cell(one_line(thing.doc))))
        if kind is Kind.tasks:
            from oversight.task import Task

            assert isinstance(thing, Task)
            size = "endless" if thing.generated else "finite"
            about = f"asymmetry: {thing.asymmetry}; {size}; {thing.licence}; {thing.source}"
            console.print(
                Padding(
                    cell(about + ("" if thing.publish else "; questions not to be published")), (0, 0, 0, 4)
                )
            )
        table = Table.grid(padding=(0, 2))
        for param in params_of(thing).values():
            table.add_row(
                cell(f"{param.name}={_default(param.default)}"), cell(param.type_name, "dim"), cell(param.doc)
            )
        if table.row_count:
            console.print(Padding(table, (0, 0, 0, 4)))


def _default(value: object) -> str:
    import inspect

    if value is inspect.Parameter.empty:
        return "…"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _runs(db: Path) -> None:
    from oversight.report.safe import one_line

    with open_db(db) as reader:
        live = reader.live
        rows = reader.sql(
            "SELECT lower(lpad(to_hex(run), 16, '0')), started, status, planned, already_done, played, "
            "command FROM runs ORDER BY started"
        ).rows
    for n, (run, started, status, planned, before, played, command) in enumerate(rows, start=1):
        if status == "running" and not (live and n == len(rows)):
            status = "killed"
        counts = f"{planned:,} planned"
        if played is not None:
            counts += f", {before:,} done before, {played:,} played"
        print(f"{run}  {started:%Y-%m-%d %H:%M} UTC  {status}: {counts}\n    {one_line(command or '')}")
