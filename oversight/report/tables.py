"""The one look of our small tables: a rule under the heads, no frame, cells on one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import IO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

ANY_WIDTH = 10_000_000
GAP = 2
"""Blanks between two columns."""
READABLE = 12
"""Characters of a cell below which a shortened one says too little."""


def plain_table(*columns: str) -> Table:
    """A table whose cells end in "…" where they do not fit."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    return table


def print_table(table: Table, file: IO[str] | None = None, flexible: str = "") -> None:
    """Print it. Only a terminal has a width: a file or a pipe gets every cell whole.

    Where it is too wide for the terminal, the column named `flexible` gives way first, then the widest.
    Where that leaves cells too short to read, and nothing is flexible, each row is printed as a record.
    """
    file = file or sys.stdout
    if not file.isatty():
        file.writelines(_whole(table))
        return
    console = Console(file=file, highlight=False)
    wanted = [max(map(_width, [column.header, *column.cells])) for column in table.columns]
    room = console.width - GAP * (len(wanted) - 1)
    given = _shared(
        wanted, room, next((i for i, c in enumerate(table.columns) if c.header == flexible), None)
    )
    if not flexible and any(got < min(width, READABLE) for got, width in zip(given, wanted, strict=True)):
        _print_records(table, console)
        return
    for column, width in zip(table.columns, given, strict=True):
        column.width = width
    console.print(table)


def _whole(table: Table) -> Iterator[str]:
    """Its lines as rich prints them where there is room for every cell, in a twentieth of the time: a thousand rows of
    twenty columns took it a second."""
    lines, wide = [], 0
    for column in table.columns:
        cells = [str(cell) for cell in (column.header, *column.cells)]
        width = max(map(cell_len, cells))
        right = column.justify == "right"
        shown = [cell.rstrip() for cell in cells] if right else cells
        blanks = [" " * (width - cell_len(cell)) for cell in shown]
        lines.append([b + c if right else c + b for b, c in zip(blanks, shown, strict=True)])
        wide += width + GAP
    for n, row in enumerate(zip(*lines, strict=True)):
        yield (" " * GAP).join(row) + "\n"
        if n == 0:
            yield "─" * (wide - GAP) + "\n"


def _shared(wanted: Sequence[int], room: int, flexible: int | None) -> list[int]:
    """The columns' widths in `room` characters: the flexible one gives way first, then the widest."""
    given = list(wanted)
    if flexible is not None:
        over = sum(given) - room
        given[flexible] -= min(max(over, 0), max(given[flexible] - READABLE, 0))
    widest = max(given, default=0)
    while sum(given) > room and widest > 1:
        widest -= 1
        given = [min(width, widest) for width in given]
    return given


def _print_records(table: Table, console: Console) -> None:
    """A line a cell, under a rule a row. Nothing is left out."""
    names = [column.header for column in table.columns]
    for n, row in enumerate(zip(*(column.cells for column in table.columns), strict=True), start=1):
        console.print(Text(f"── {n} ".ljust(console.width, "─"), "dim"))
        record = Table.grid(padding=(0, GAP, 0, 0))
        record.add_column(no_wrap=True)
        record.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            record.add_row(name, value)
        console.print(record)


def _width(cell: object) -> int:
    return cell_len(cell.plain if isinstance(cell, Text) else str(cell))
