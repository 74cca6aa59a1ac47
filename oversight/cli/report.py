"""`oversight report`: what a database says, in short or measure by measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, OfRun, open_db, run_key

MEASURES = """accuracy             how often the judge was right, with intervals
  ledger               what became of every planned episode
  readings             the same judge read in other ways
  differences          pairs of arms on shared questions
  gap                  how much of floor to ceiling is recovered
  rescue-and-harm      what a protocol does to a judge right or wrong alone
  win-rates            how often the argued answer is chosen
  score-difference     what an agent gains by arguing the truth
  sides                open protocols, by what was chosen to be argued
  strength             Elo of debaters; worth of truth, place and length
  calibration          whether the judge is right as often as it says
  belief-by-round      what the judge believes after each round
  belief               how much its belief moves
  knew-already         the judge alone against guessing
  position             the answer shown first
  preferences          the longer side, the judge's own family
  leaks                speeches that tell their role
  frontier             accuracy against cost
  spending             what the calls cost, by model and seat"""


def report(
    measures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MEASURE", help="One or more of those above, or all; without, the short report."
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    run: OfRun = "",
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL behind each table instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON instead.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.md, report.html and figures there instead."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write to a folder that holds other files, which stay.")
    ] = False,
) -> int:
    from oversight.errors import UserError
    from oversight.report.measures import named

    if out is not None and (sql or json):
        raise UserError("--out writes files, --sql and --json print: choose one")
    if force and out is None:
        raise UserError("--force is for --out: name the folder with --out DIR")
    if out is not None and measures:
        raise UserError("--out writes every measure: leave the names out, or leave --out out to print them")
    names = named(measures or [])
    if sql and not run:
        _print_sql(names, None)
        return 0
    with open_db(db) as reader:
        key = run_key(reader, run)
        if out is not None:
            from oversight.report.document import write_report

            files = write_report(reader, out, key, force)
            figures = sum(name.endswith(".png") for name in files)
            print(f"{out / 'report.html'}, report.md and {figures} figures (PNG and SVG)")
        elif sql:
            _print_sql(names, key)
        elif json:
            from oversight.report import measures as every
            from oversight.report import plain

            print(every.as_json(reader, names, key) if names else plain.as_json(reader, key))
        elif names:
            from oversight.report.measures import sections
            from oversight.report.terminal import print_sections

            print_sections(sections(reader, key, names))
        else:
            from oversight.report.terminal import print_report

            print_report(reader, key)
    return 0


report.__doc__ = f"""Accuracy with intervals, the ledger of verdicts, calls and tokens; or the measures that are named.

With --out every measure with figures, each number with its SQL. Works while a run is writing. The measures:

\b
  {MEASURES}
"""


def _print_sql(names: list[str], key: int | None) -> None:
    from oversight.measure import accuracy, money, readings
    from oversight.report.measures import statements

    if names:
        found = {
            part if part == name else f"{name}: {part}": text
            for name in names
            for part, text in statements(name, key).items()
        }
    else:
        found = {**accuracy.statements(key), **readings.statements(key), **money.statements(key)}
    print("\n\n".join(f"/* {name} */\n{text};" for name, text in found.items()))
