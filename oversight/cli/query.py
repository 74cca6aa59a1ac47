"""`oversight query`: read-only SQL over the database, also while a run is writing it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, open_db


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT statement; `SHOW TABLES` lists what there is.")],
    db: Db = DEFAULT_DB,
    format: Annotated[
        Format | None, typer.Option(help="Default: table, or what --out's name ends in.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here instead of printing it.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Give up after so long.")
    ] = None,
) -> int:
    """Ask the database in SQL.

    Views made for people: judgements (one row a verdict), transcripts (one row a turn), accuracy.
    """
    from oversight.errors import UserError
    from oversight.report import results

    if format is None:
        ending = out.suffix.lstrip(".") if out else ""
        format = Format(ending) if ending in ("csv", "json", "parquet") else Format.table
    if format is Format.parquet and out is None:
        raise UserError("parquet is no text: name a file with --out FILE")
    if out is not None and out.exists() and db.exists() and out.samefile(db):
        raise UserError(f"--out {out} is the database itself: name another file")
    with open_db(db) as reader:
        if out is None:
            results.write_out(reader, sql, format.value, timeout)
        else:
            results.write_file(reader, sql, format.value, out, timeout)
    return 0
