"""`oversight check`: whether a database is whole; `--salvage` copies what a damaged one still gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oversight.cli.common import DEFAULT_DB

if TYPE_CHECKING:
    from oversight.store.check import Checked, Kept

File = Annotated[Path, typer.Argument(metavar="DB", help="The database.")]


def check(
    db: File = DEFAULT_DB,
    out: Annotated[
        Path | None,
        typer.Option("--salvage", metavar="OUT", help="Copy every row that can be read into this new file."),
    ] = None,
) -> int:
    """Read all of a database and work out every key, reference and sum anew.

    Writes nothing to it. Exit status 1 where something is wrong.
    """
    from oversight.store import check as store

    if out is not None:
        return _salvaged(store.salvage(db, out), out)
    checked = store.check(db)
    _print_flaws(checked, db)
    return 1 if checked.flaws else 0


def backup(
    db: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file; nothing is overwritten.")],
) -> int:
    """Copy a database as it is at one moment, also while a run is writing it."""
    from oversight.store.backup import backup as copy

    rows = copy(db, out)
    print(f"{sum(rows.values()):,} rows of {len(rows)} tables copied into {_shown(out)}")
    return 0


def _print_flaws(checked: Checked, db: Path) -> None:
    from oversight.report.safe import one_line

    for flaw in checked.flaws:
        rows = f" {flaw.rows:,} {'row' if flaw.rows == 1 else 'rows'}:" if flaw.rows else ""
        print(f"{one_line(flaw.table)}:{rows} {one_line(flaw.what)}")
        for named in flaw.named:
            print(f"  {one_line(named)}")
        if (left := flaw.rows - len(flaw.named)) > 0 and flaw.named:
            print(f"  … and {left:,} more")
    rows_read = sum(checked.rows.values())
    unkeyed = f" ({checked.unkeyed:,} calls' keys cannot be worked out)" if checked.unkeyed else ""
    verdict = f"{len(checked.flaws)} kinds of flaws" if checked.flaws else "whole"
    print(
        f"{_shown(db)}: {verdict}; {rows_read:,} rows of {len(checked.rows)} tables read, "
        f"{checked.keys:,} keys right{unkeyed}"
    )
    if any("damaged" in flaw.what or "cannot be read" in flaw.what for flaw in checked.flaws):
        print("Copy what can be read: oversight check --salvage NEW.duckdb " + _quoted(db))


def _salvaged(kept: list[Kept], out: Path) -> int:
    """Say what of each table was saved; the exit status is 1 where some was not."""
    for one in kept:
        held = "an unknown number of" if one.held is None else f"{one.held:,}"
        lost = "" if one.held == one.kept else "   LOST: the rest"
        print(f"{one.table:12}{one.kept:>12,} of {held} rows{lost}")
    print(f"Copied into {_shown(out)}. What is still wrong with it: oversight check {_quoted(out)}")
    return 1 if any(one.held != one.kept for one in kept) else 0


def _shown(path: Path) -> str:
    from oversight.report.safe import one_line

    return one_line(str(path))


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(_shown(path))
