"""What several commands share: the --db option and opening it for reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oversight.store.reading import Reader

DEFAULT_DB = Path("oversight.duckdb")
Db = Annotated[Path, typer.Option("--db", metavar="FILE", help="The database.")]


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


def db_option(path: Path) -> str:
    """` --db FILE` for a command to be typed next, nothing where it is the default."""
    import shlex

    return "" if path == DEFAULT_DB else f" --db {shlex.quote(str(path))}"
