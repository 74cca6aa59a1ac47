"""What it takes to find an effect, and when a comparison could have been stopped: as rows, JSON and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from oversight.errors import UserError
from oversight.measure.power import power
from oversight.measure.stopping import Stopping, measure_stopping, statements
from oversight.report.compared import Compared, Wanted, bounds, points
from oversight.report.terminal import dollars

if TYPE_CHECKING:
    from oversight.store.reading import Reader


@dataclass(frozen=True)
class Stop:
    """When a run is to stop: at an interval so wide (0.1: ten points), after so many US dollars, when the interval leaves
    out zero; whichever comes first."""

    width: float | None = None
    spend: float | None = None
    effect: bool = False

    def __bool__(self) -> bool:
        return self.width is not None or self.spend is not None or self.effect


def power_rows(
    found: Sequence[Compared], effect: float, alpha: float = 0.05, wanted: float = 0.8
) -> list[dict[str, Any]]:
    """One flat dictionary a comparison: what it takes to find `effect`, by the pilot that the database is. Raises
    `UserError` as `check_design`."""
    check_design(effect, alpha, wanted)
    rows = []
    for one in found:
        values = asdict(power(one.difference.difference, effect, alpha, wanted))
        pilot = {
            "pilot_questions": one.difference.difference.n,
            "pilot_groups": one.difference.difference.groups,
        }
        head = {"task": one.a.task, "judge": one.a.judge, "a": one.titles[0], "b": one.titles[1]}
        rows.append({**head, **values, **pilot})
    return rows


def check_design(effect: float, alpha: float, power: float) -> None:
    """Raise `UserError` for what no test has."""
    if not 0 < effect <= 1:
        raise UserError(f"effect {effect:g} is no difference of shares: choose one above 0, such as 0.05")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise UserError(f"{name} {value:g} is no probability: choose one between 0 and 1")


def print_power(rows: Sequence[dict[str, Any]]) -> None:
    """Print what it takes to find an effect."""
    from oversight.report.safe import cell, one_line
    from oversight.report.tables import plain_table, print_table

    first = rows[0]
    print(
        f"To find a difference of {points(first['effect']).lstrip('+')} with power {first['power']:g} at two-sided alpha {first['alpha']:g}, "
        "by the spread of this pilot:"
    )
    for (task, judge), section in groupby(rows, key=lambda row: (row["task"], row["judge"])):
        print("\n" + one_line(f"Task {task}   judge {judge}"))
        table = plain_table(
            "accuracy of", "less", "questions", "groups", "pilot finds", "pilot questions", "groups"
        )
        for column in table.columns[2:]:
            column.justify = "right"
        for row in section:
            table.add_row(
                cell(row["a"]),
                cell(row["b"]),
                "none" if row["questions"] is None else f"{row['questions']:,}",
                "none" if row["groups"] is None else f"{row['groups']:,}",
                "none" if row["detectable"] is None else points(row["detectable"]).lstrip("+"),
                f"{row['pilot_questions']:,}",
                f"{row['pilot_groups']:,}",
            )
        print_table(table)
    print("\nPilot finds: the least effect that as many groups as the pilot's find so.")
    for reason in sorted({row["reason"] for row in rows if row["reason"]}):
        print(one_line(f"none: {reason}."))


def check_stop(stop: Stop, wanted: Wanted) -> None:
    """Raise `UserError` for a rule by which nothing can be stopped."""
    if stop.width is not None and not 0 < stop.width <= 2:
        raise UserError(
            f"stop-width {stop.width:g} is no width of an interval of shares: choose one such as 0.1 (ten points)"
        )
    if stop.spend is not None and not stop.spend > 0:
        raise UserError(f"stop-spend {stop.spend:g} is no amount: choose US dollars above 0")
    if stop and not wanted.a:
        raise UserError("a run is stopped on one comparison: name the two arms (power A B --stop-width 0.1)")


def stop_sql(found: Sequence[Compared], run: int | None = None) -> dict[str, str]:
    """The statements of the groups in the plan's order, and of what they cost, by comparison."""
    named = {}
    for one in found:
        for name, text in statements(one.a.task, one.a.arm, one.b.arm, run).items():
            named[f"{name} of {one.titles[0]} less {one.titles[1]}, {one.a.task}, {one.a.judge}"] = text
    return named


def stop_rows(
    reader: Reader, found: Sequence[Compared], stop: Stop, run: int | None = None
) -> list[dict[str, Any]]:
    """One flat dictionary a comparison: where its run could have been stopped by `stop` (`stop_…`, None where it should
    go on, which `stop_reason` says), and the always-valid interval at the last look (`now_…`). Raises `UserError`
    where money is unknown that `stop` asks for, and `StoreError`."""
    rows = []
    for one in found:
        rule = {"width": stop.width, "spend": stop.spend, "effect": stop.effect}
        if one.difference.a is None:  # not comparable: nothing was looked at
            looked = None
        else:
            looked = measure_stopping(reader, one.a.task, one.a.arm, one.b.arm, **rule, run=run)  # type: ignore[arg-type]
            if stop.spend is not None and looked.all_spent is None:
                raise UserError(
                    f"{one.titles[0]} less {one.titles[1]}: the cost of some calls is unknown, so --stop-spend cannot be "
                    "told; price_in and price_out of their models would have"
                )
        rows.append({f"stop_{name}": value for name, value in rule.items()} | _stopped(one, looked))
    return rows


def _stopped(one: Compared, looked: Stopping | None) -> dict[str, Any]:
    stopped = looked.found.stopped if looked else None
    reason = one.difference.difference.reason if looked is None else looked.found.reason
    if stopped is None and reason is None:
        reason = "none of the rules was met: go on"
    row: dict[str, Any] = {"stop_why": looked.found.why if looked else None, "stop_reason": reason}
    for name, look in (("stop", stopped), ("now", looked.now if looked else None)):
        row |= {f"{name}_groups": None, f"{name}_difference": None, f"{name}_low": None, f"{name}_high": None}
        if look is not None:
            low, high = max(-1.0, look.low), min(1.0, look.high)
            row |= {f"{name}_groups": look.groups, f"{name}_difference": look.mean}
            row |= {f"{name}_low": low, f"{name}_high": high}
    row |= {"stop_episodes": None, "stop_spent": None, "now_episodes": None, "now_spent": None}
    row["groups_with_difference"] = 0
    if looked is not None:
        row |= {"stop_episodes": looked.episodes, "stop_spent": looked.spent}
        row |= {"groups_with_difference": looked.groups}
        row |= {"now_episodes": looked.all_episodes, "now_spent": looked.all_spent}
    return row


_WHY = {
    "width": "the interval was as narrow as wanted",
    "effect": "the interval left out zero",
    "spend": "the money was spent",
}


def print_stops(rows: Sequence[dict[str, Any]]) -> None:
    """Print where each comparison could have been stopped, and where it stands."""
    from oversight.report.safe import one_line

    print("\nStopping, looked at after each group in the plan's order:")
    for row in rows:
        print(one_line(f"{row['a']} less {row['b']}   task {row['task']}   judge {row['judge']}"))
        if row["stop_groups"] is None:
            print(one_line(f"  no stop: {row['stop_reason']}."))
        else:
            spent = "" if not row["stop_spent"] else f", $ {dollars(row['stop_spent'])}"
            print(
                f"  could have stopped after {row['stop_groups']:,} of {row['groups_with_difference']:,} groups "
                f"({row['stop_episodes']:,} of {row['now_episodes']:,} episodes{spent}): {_WHY[row['stop_why']]}."
            )
            print(f"  there: {_look(row, 'stop')}")
        if row["now_groups"] is not None:
            print(f"  now:   {_look(row, 'now')}, after {row['now_groups']:,} groups")
    print(
        "Intervals: always valid (Waudby-Smith et al. 2024), from 30 groups on: however often one looks, and whenever one "
        "stops, they hold. The difference is the mean of the groups' means."
    )


def _look(row: dict[str, Any], name: str) -> str:
    return f"{points(row[f'{name}_difference'])} {bounds(row[f'{name}_low'], row[f'{name}_high'])}"
