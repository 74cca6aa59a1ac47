"""`oversight power`: how many questions an effect needs, by the spread of what was played already."""

from __future__ import annotations

from typing import Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, OfRun, open_db, run_key
from oversight.cli.compare import A, Against, B, Json, Judge, Speaker, Sql, Task, Unmatched


def power(
    a: A = "",
    b: B = "",
    effect: Annotated[
        float, typer.Option(metavar="SHARE", help="The difference in accuracy to find; 0.05 is five points.")
    ] = 0.05,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    power: Annotated[float, typer.Option(help="The chance to find it that is wanted.")] = 0.8,
    stop_width: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Stop when the interval is so wide; 0.1 is ten points."),
    ] = None,
    stop_spend: Annotated[
        float | None, typer.Option(metavar="DOLLARS", help="Stop when so much is spent.")
    ] = None,
    stop_effect: Annotated[
        bool, typer.Option("--stop-effect", help="Stop when the interval leaves out zero.")
    ] = False,
    db: Db = DEFAULT_DB,
    run: OfRun = "",
    judge: Judge = "",
    against: Against = "",
    task: Task = "",
    speaker: Speaker = "",
    unmatched: Unmatched = False,
    sql: Sql = False,
    json: Json = False,
) -> int:
    """Questions and groups needed to find a difference, and the least one this database can find.

    The database is the pilot: its groups' spread counts clustering, repeats and all. With a --stop option also where
    the comparison of A and B could have been stopped, with intervals that hold however often one looks.
    """
    from oversight.report import compared, powered

    powered.check_design(effect, alpha, power)
    wanted = compared.Wanted(a, b, judge, task, speaker, unmatched, against)
    stop = powered.Stop(stop_width, stop_spend, stop_effect)
    powered.check_stop(stop, wanted)
    with open_db(db) as reader:
        key = run_key(reader, run)
        statement = compared.sql(reader, wanted, key) if sql or json else ""
        found = compared.compare(reader, wanted, key)
        named = {"questions": statement} | (powered.stop_sql(found, key) if stop else {})
        if sql:
            print("\n\n".join(f"/* {name} */\n{text};" for name, text in named.items()))
            return 0
        rows = powered.power_rows(found, effect, alpha, power)
        if stop:
            stops = powered.stop_rows(reader, found, stop, key)
            rows = [{**row, **stopped} for row, stopped in zip(rows, stops, strict=True)]
        if json:
            import json as text

            print(text.dumps({"database": str(reader.path), "power": rows, "sql": named}, indent=2))
        else:
            powered.print_power(rows)
            if stop:
                powered.print_stops(rows)
    return 0
