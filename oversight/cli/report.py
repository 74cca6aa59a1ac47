"""`oversight report`: accuracy, ledger and spending of a database."""

from __future__ import annotations

from typing import Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, open_db


def report(
    db: Db = DEFAULT_DB,
    run: Annotated[
        str, typer.Option(metavar="ID", help="Only what this run planned (id or its beginning, or last).")
    ] = "",
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL behind each table instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON instead.")] = False,
) -> int:
    """Accuracy with intervals, the ledger of verdicts, calls and tokens.

    Works while a run is writing.
    """
    from oversight.measure import accuracy, money, readings

    if sql and not run:
        _print_sql({**accuracy.statements(), **readings.statements(), **money.statements()})
        return 0
    with open_db(db) as reader:
        key = _run_key(reader, run) if run else None
        if sql:
            _print_sql({**accuracy.statements(key), **readings.statements(key), **money.statements(key)})
        elif json:
            from oversight.report.plain import as_json

            print(as_json(reader, key))
        else:
            from oversight.report.terminal import print_report

            print_report(reader, key)
    return 0


def _print_sql(named: dict[str, str]) -> None:
    print("\n\n".join(f"/* {name} */\n{text};" for name, text in named.items()))


def _run_key(reader, wanted: str) -> int:  # type: ignore[no-untyped-def]
    from oversight.errors import UserError

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
