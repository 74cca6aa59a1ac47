"""`oversight compare`: is one arm right more often than another, on the same questions?"""

from __future__ import annotations

from typing import Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, OfRun, open_db, run_key

A = Annotated[str, typer.Argument(metavar="[A]", help="An arm as the report names it: debate:rounds=1.")]
B = Annotated[
    str, typer.Argument(metavar="[B]", help="The arm to compare it with; without both, every pair.")
]
Judge = Annotated[str, typer.Option(metavar="MODEL", help="Only before this judge.")]
Against = Annotated[
    str,
    typer.Option(metavar="MODEL", help="Take B before this judge, A before --judge: two judges compared."),
]
Task = Annotated[str, typer.Option(metavar="TASK", help="Only on this task.")]
Speaker = Annotated[
    str, typer.Option(metavar="MODEL", help="Only arms in which this model speaks, or nobody.")
]
Unmatched = Annotated[
    bool, typer.Option("--unmatched", help="Compare on shared questions where the arms' questions differ.")
]
Exploratory = Annotated[
    bool,
    typer.Option(
        "--exploratory", help="Adjust p by Benjamini and Hochberg (for exploring), not by Holm (for claims)."
    ),
]
Sql = Annotated[bool, typer.Option("--sql", help="Print the SQL that yields the rows instead.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON instead.")]


def compare(
    a: A = "",
    b: B = "",
    db: Db = DEFAULT_DB,
    run: OfRun = "",
    judge: Judge = "",
    against: Against = "",
    task: Task = "",
    speaker: Speaker = "",
    unmatched: Unmatched = False,
    exploratory: Exploratory = False,
    sql: Sql = False,
    json: Json = False,
) -> int:
    """The paired difference in accuracy of two arms, with interval, p and ledger.

    The accuracy of A less that of B. Without A and B every pair, each arm less those above it in the report, p adjusted
    by Holm. Works while a run is writing.
    """
    from oversight.report import compared

    wanted = compared.Wanted(a, b, judge, task, speaker, unmatched, against, exploratory)
    with open_db(db) as reader:
        key = run_key(reader, run)
        statement = compared.sql(reader, wanted, key) if sql or json else ""
        if sql:
            print(f"{statement};")
            return 0
        found = compared.compare(reader, wanted, key)
        if json:
            print(compared.as_json(reader, found, statement))
        else:
            compared.print_compared(found, every_pair=not wanted.a)
    return 0
