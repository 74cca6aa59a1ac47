"""The report as plain data: dictionaries for dataframes, and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from oversight.measure import money, readings
from oversight.measure.accuracy import Accuracy, measure, statements
from oversight.question import hex_id
from oversight.report.naming import titles

if TYPE_CHECKING:
    from oversight.store.reading import Reader


def as_rows(rows: list[Accuracy]) -> list[dict[str, Any]]:
    """One flat dictionary a row: shape (arms × tasks), `low` and `high` the 95 % interval. `judge` and `title` are the
    names a report gives them."""
    flat, named = [], titles(rows)
    for row in rows:
        values = asdict(row)
        spending, interval, splits = values.pop("spending"), values.pop("interval"), values.pop("splits")
        values.pop("players")
        values.pop("again")
        values["arm"] = hex_id(row.arm)
        head = {"protocol": values.pop("protocol"), "title": named[row.task, row.arm]}
        between = {"accuracy": values.pop("accuracy"), **interval}
        for split in splits:
            side = "argued_right" if split["argued_right"] else "argued_wrong"
            values |= {side: split["accuracy"], f"{side}_decided": split["decided"]}
            values |= {f"{side}_low": split["interval"]["low"], f"{side}_high": split["interval"]["high"]}
        flat.append({"task": values.pop("task"), **head, **between, **values, **spending})
    return flat


def spending_rows(rows: list[money.Money]) -> list[dict[str, Any]]:
    """One flat dictionary a model and seat, without the total."""
    flat = [{**asdict(row), "per_decided": row.per_decided} for row in rows if not row.total]
    return [{name: value for name, value in row.items() if name != "total"} for row in flat]


def as_json(reader: Reader, run: int | None = None) -> str:
    """The whole report, with the SQL of its tables, as JSON. Raises `StoreError`."""
    rows = as_rows(measure(reader, run))
    others = [
        {**values, "arm": hex_id(values["arm"]), **values.pop("interval")}
        for values in map(asdict, readings.measure_readings(reader, run))
    ]
    sql = {**statements(run), **readings.statements(run), **money.statements(run)}
    whole = {
        "database": str(reader.path),
        "accuracy": rows,
        "readings": others,
        "spending": spending_rows(money.measure_money(reader, run)),
        "sql": sql,
    }
    return json.dumps(whole, indent=2)
