"""Every measure by name: its section, its rows and its SQL, the same for the command line, Python and the written report."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oversight.errors import UserError
from oversight.measure import accuracy, money, paired
from oversight.measure.arms import measure_arms
from oversight.measure.every import MEASURES, measured_rows
from oversight.question import hex_id
from oversight.report import compared, plain
from oversight.report.naming import titles
from oversight.report.sections import SECTIONS, Section, Source
from oversight.report.sections.differences import differences

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def named(given: Sequence[str]) -> list[str]:
    """The names of measures as they are, from how they were typed: `win-rates`, `Win rates`; `all` for all of them.
    Raises `UserError` for one that there is not, which lists them."""
    found: list[str] = []
    for one in given:
        name = " ".join(one.lower().replace("-", " ").replace("_", " ").split())
        if name == "all":
            return list(SECTIONS)
        if name not in SECTIONS:
            known = [known.replace(" ", "-") for known in SECTIONS]
            near = difflib.get_close_matches(name.replace(" ", "-"), known, n=1)
            meant = f"did you mean {near[0]!r}? The measures" if near else "the measures"
            raise UserError(f"no measure {one!r}; {meant}: {', '.join(known)}; or all")
        found.append(name)
    return list(dict.fromkeys(found))


def sections(reader: Reader, run: int | None = None, names: Sequence[str] = ("all",)) -> dict[str, Section]:
    """The sections of these measures by name, on the whole database or on what one run planned. Raises `UserError` where
    there is nothing to report, and `StoreError`."""
    chosen = named(names)
    source = Source(reader, run)
    if not source.arms.rows:
        raise UserError(f"{reader.path} holds no episodes yet: play some with `oversight run`")
    return {name: SECTIONS[name](source) for name in chosen}


def measure_rows(reader: Reader, name: str, run: int | None = None) -> list[dict[str, Any]]:
    """The measure's results, a flat dictionary each, at full precision: what `oversight report NAME --json` and
    `Database.measure` have. Those of an arm begin with its task, judge and title. Raises as `sections`."""
    if name == "all":
        raise UserError("rows are of one measure: name it")
    (name,) = named([name])
    match name:
        case "accuracy" | "ledger":
            return plain.as_rows(accuracy.measure(reader, run))
        case "differences":
            found, _ = differences(Source(reader, run))
            return compared.as_rows(found)
        case "spending":
            return plain.spending_rows(money.measure_money(reader, run))
    rows = measured_rows(reader, name, run)
    if not any("arm" in row for row in rows):
        return rows
    arms = measure_arms(reader, run)
    told = titles(arms)
    who = {
        (a.task, hex_id(a.arm)): {
            "task": a.task,
            "judge": a.judge,
            "title": told[a.task, a.arm],
            "speaker": a.speaker,
        }
        for a in arms
    }
    return [{**who[row["task"], row["arm"]], **row} for row in rows]


def statements(name: str, run: int | None = None) -> dict[str, str]:
    """The SQL of the measure's rows, by name: over the whole database, or over what one run planned."""
    match name:
        case "accuracy":
            return {part: accuracy.statements(run)[part] for part in ("accuracy", "clusters")}
        case "ledger":
            return {"accuracy": accuracy.statements(run)["accuracy"]}
        case "differences":
            return {"questions": paired.statement(run=run)}
        case "spending":
            return money.statements(run)
    return MEASURES[name][1](run)


def as_json(reader: Reader, names: Sequence[str], run: int | None = None) -> str:
    """The rows of these measures, with the SQL of each, as JSON. Raises as `sections`."""
    chosen = named(names)
    whole = {
        "database": str(reader.path),
        "measures": {name: measure_rows(reader, name, run) for name in chosen},
        "sql": {name: statements(name, run) for name in chosen},
    }
    return json.dumps(whole, indent=2)
