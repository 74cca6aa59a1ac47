"""A query's rows as a table, CSV, JSON or Parquet.

On a terminal, control characters are shown as escapes in every format; a file or a pipe gets CSV
and JSON to the byte.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from oversight.errors import UserError
from oversight.report.safe import visible
from oversight.store.memory import in_memory

if TYPE_CHECKING:
    from oversight.store.reading import Reader, Table

MOST_ROWS = 1000
"""Rows a printed table shows; the other formats have no limit."""


def write_out(reader: Reader, query: str, format: str, timeout: float | None = None) -> None:
    """Print a query's rows to standard output: those a table shows, or all as they come. Raises `StoreError`."""
    if format == "table":
        _print_table(reader.first(query, MOST_ROWS + 1, timeout))
        return
    for text in _text(reader.batches(query, timeout), format):
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


def write_file(reader: Reader, query: str, format: str, path: Path, timeout: float | None = None) -> None:
    """Write a query's rows to a file. Raises `StoreError`, and `UserError` where it cannot be written."""
    batches = reader.batches(query, timeout)
    if format == "table":
        texts: Iterator[str] = _table_text(reader.first(query, MOST_ROWS + 1, timeout))
    elif format == "parquet":
        _write_parquet(batches, path)
        return
    else:
        texts = _text(batches, format)
    first = next(texts)  # a query that fails leaves the file as it was
    try:
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(first)
            file.writelines(texts)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def _text(batches: Iterable[Table], format: str) -> Iterator[str]:
    """As JSON or CSV, a piece a batch."""
    if format == "json":
        before = "["
        for table in batches:
            rows = (dict(zip(table.columns, map(_jsonable, row), strict=True)) for row in table.rows)
            said = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows)
            yield before + said if said or before == "[" else ""  # the last batch may be empty
            before = ",\n "
        yield "]\n"
        return
    for n, table in enumerate(batches):
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        if n == 0:
            writer.writerow(table.columns)
        # Before Python 3.13 a lone carriage return is written bare, and read as the end of the row.
        careful = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in table.rows:
            values = [_csvable(value) for value in row]
            returns = any("\r" in value for value in values if isinstance(value, str))
            (careful if returns else writer).writerow(values)
        yield stream.getvalue()


def _table_text(table: Table) -> Iterator[str]:
    lines = io.StringIO()
    _print_table(table, lines)
    yield lines.getvalue()


def _jsonable(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None  # JSON has no NaN
        case dict():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return value.hex()
        case timedelta() | UUID():
            return str(value)
    return str(value)


def _csvable(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    value = _jsonable(value) if not isinstance(value, Decimal) else value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _print_table(table: Table, stream: Any = None) -> None:
    from oversight.report.safe import cell
    from oversight.report.tables import plain_table, print_table

    file = stream or sys.stdout
    shown = plain_table(*(str(cell(name)) for name in table.columns))
    numeric = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "BIGINT")
    for column, kind in zip(shown.columns, table.types, strict=True):
        if any(word in kind for word in numeric) and not kind.endswith("]"):
            column.justify = "right"
    for row in table.rows[:MOST_ROWS]:
        shown.add_row(*(cell("NULL", "dim") if value is None else cell(_printable(value)) for value in row))
    if table.columns:
        print_table(shown, file)
    if len(table.rows) > MOST_ROWS:
        print(f"… the first {MOST_ROWS:,} rows: ask for fewer, or for all with --format csv", file=sys.stderr)


def _printable(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    value = _jsonable(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_parquet(batches: Iterable[Table], path: Path) -> None:
    """By DuckDB itself, from a table of the result's own types."""
    import duckdb

    from oversight.store.database import first_line, literal

    with in_memory() as con:
        try:
            for n, table in enumerate(batches):
                columns = (f"{_name(n)} {t}" for n, t in zip(table.columns, table.types, strict=True))
                if n == 0:
                    con.execute(f"CREATE TABLE result ({', '.join(columns)})")
                if table.rows:
                    values = ", ".join(f"unnest(${i}::{t}[])" for i, t in enumerate(table.types, start=1))
                    con.execute(
                        f"INSERT INTO result SELECT {values}",
                        [list(c) for c in zip(*table.rows, strict=True)],
                    )
            con.execute(f"COPY result TO {literal(path)} (FORMAT parquet)")
        except duckdb.IOException as error:
            raise UserError(f"{path} cannot be written: {first_line(str(error))}") from None
        except duckdb.Error as error:
            raise UserError(f"the result does not go into Parquet: {first_line(str(error))}") from None


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
