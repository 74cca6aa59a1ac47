"""The one look of our small tables: a rule under the heads, no frame, cells on one line."""

from __future__ import annotations

import sys
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table

ANY_WIDTH = 10_000_000


def plain_table(*columns: str, flexible: str = "") -> Table:
    """A table whose cells end in "…" where they do not fit; on a terminal, the `flexible` column gives
    way first."""
    fits = bool(flexible) and sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, expand=fits)
    for column in columns:
        ratio = 1 if fits and column == flexible else None
        table.add_column(column, overflow="ellipsis", no_wrap=True, ratio=ratio)
    return table


def print_table(table: Table, file: IO[str] | None = None) -> None:
    """Print it. Only a terminal has a width: a file or a pipe gets every cell whole."""
    file = file or sys.stdout
    width = None if file.isatty() else ANY_WIDTH
    Console(file=file, highlight=False, width=width).print(table, crop=False)
