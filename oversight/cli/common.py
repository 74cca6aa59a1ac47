"""What several commands share: the --db option and opening it for reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oversight.store.reading import Reader

DEFAULT_DB = Path("oversight.duckdb")
Db = Annotated[Path, typer.Option("--db", metavar="FILE", help="The database.")]
OfRun = Annotated[
    str,
    typer.Option("--run", metavar="ID", help="Only what this run planned (id or its beginning, or last)."),
]

Share = Annotated[
    bool, typer.Option("--share", help="Let the same command in other terminals work on this run with it.")
]
Listen = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where --share listens for them; default this machine alone."),
]
Join = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Work on a run that another machine shares (OVERSIGHT_TOKEN)."),
]
Lease = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Until a worker that is not heard loses its episodes; default 60."),
]


def open_db(path: Path) -> Reader:
    """The database, for reading. Raises `StoreError` that says to run first where there is none."""
    from oversight.errors import StoreError
    from oversight.store.reading import open_reader

    if not path.exists():
        raise StoreError(f"no database at {path}: make it with `oversight run`, or name another with --db")
    reader = open_reader(path)
    if not reader.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'episodes'").rows:
        reader.close()
        raise StoreError(f"{path} is empty: fill it with `oversight run`, or name another with --db")
    return reader


def run_key(reader: Reader, wanted: str) -> int | None:
    """The key of the run that --run names; None without one. Raises `UserError` where it names none, or several."""
    from oversight.errors import UserError

    if not wanted:
        return None
    prefix = "" if wanted == "last" else wanted.lower()
    rows = reader.sql(
        "SELECT run FROM runs WHERE starts_with(lower(lpad(to_hex(run), 16, '0')), ?) ORDER BY started DESC",
        [prefix],
    ).rows
    if not rows:
        raise UserError(f"no run {wanted!r} in {reader.path} (see `oversight list runs`)")
    if len(rows) > 1 and prefix:
        raise UserError(f"{wanted!r} is the beginning of {len(rows)} runs: give more of it")
    return int(rows[0][0])


def db_option(path: Path) -> str:
    """` --db FILE` for a command to be typed next, nothing where it is the default."""
    import shlex

    return "" if path == DEFAULT_DB else f" --db {shlex.quote(str(path))}"
