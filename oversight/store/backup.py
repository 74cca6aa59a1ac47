"""A copy of a database as it is at one moment, also while a run is writing it.

Where nobody writes, the copy is made from the file, which is held meanwhile. A run is asked for all its
tables in one statement, for one statement sees one moment; it goes on writing.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from oversight.errors import StoreError
from oversight.store.database import CATALOG, attach, check_ours, damage_told, literal, open_for_writing
from oversight.store.draft import new_file
from oversight.store.reading import open_reader

SOURCE = "source"


def backup(path: Path, out: Path) -> dict[str, int]:
    """Rows copied of each table into the new file `out`. Raises `StoreError`; then there is no `out`."""
    with new_file(out) as draft:
        with open_reader(path) as reader:  # refuses what is no database of ours, in its own words
            live = reader.live
            if live:
                reader.fetch_all(draft.with_name("fetched.duckdb"))
        new = open_for_writing(draft)
        try:
            if live:
                fetched = draft.with_name("fetched.duckdb")
                new.execute(f"ATTACH {literal(fetched)} AS {SOURCE} (READ_ONLY)")
                rows = _copied(new, "SELECT unnest({table}) FROM source.fetched WHERE {table} IS NOT NULL")
            else:
                with damage_told(path, "copied"):
                    _attach(new, path)
                    rows = _copied(new, "FROM source.{table}")
            new.execute(f"DETACH {SOURCE}")
            new.execute(f"CHECKPOINT {CATALOG}")
        finally:
            new.close()
    return rows


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        attach(con, path, SOURCE, "READ_ONLY")
    except duckdb.Error:
        raise StoreError(f"a run has just begun to write {path}: make the backup again") from None
    check_ours(con, path, SOURCE)


def _copied(con: duckdb.DuckDBPyConnection, rows_of: str) -> dict[str, int]:
    """Fill every table of ours that the source has."""
    source = f"database_name = '{SOURCE}' AND schema_name = 'main'"
    theirs = con.execute(
        f"SELECT table_name FROM duckdb_tables() WHERE {source} UNION "
        f"SELECT column_name FROM duckdb_columns() WHERE {source} AND table_name = 'fetched'"
    ).fetchall()
    copied = {}
    con.execute("DELETE FROM meta")  # the copy's rows say who made the original
    for (table,) in con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1", [CATALOG]
    ).fetchall():
        if (table,) in theirs:
            copied[table] = con.execute(
                f"INSERT INTO {CATALOG}.{table} BY NAME {rows_of.format(table=table)}"
            ).fetchall()[0][0]
    return copied
