"""The report in a terminal: accuracy, the ledger of verdicts, and what it took. Readable at 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from oversight.errors import StoreError
from oversight.measure.accuracy import Accuracy, Interval, Spending, measure, statements
from oversight.measure.money import Money, measure_money
from oversight.measure.readings import Reading, measure_readings
from oversight.report.naming import titles
from oversight.report.safe import cell, one_line
from oversight.report.tables import ANY_WIDTH

if TYPE_CHECKING:
    from oversight.report.sections import Section
    from oversight.store.reading import Reader

STATUSES = ("decided", "tie", "unparsable", "refused", "failed", "unfinished")
FEW_GROUPS = 10
PLACES = (" (floor)", "", " (ceiling)")


def report(reader: Reader, run: int | None = None) -> RenderableType:
    """The report on a database, or on what one run of it planned. Raises `StoreError`."""
    rows = measure(reader, run)
    if not rows:
        raise StoreError(f"{reader.path} holds no episodes yet: play some with `oversight run`")
    names = titles(rows)
    parts: list[RenderableType] = [_headline(reader, run)]
    speakers = {row.speaker for row in rows if row.speaker}
    for (task, judge), section in groupby(rows, key=lambda row: (row.task, row.judge)):
        heading = Text.assemble(
            ("Task ", "dim"), cell(task, "bold"), ("   judge ", "dim"), cell(judge, "bold")
        )
        if len(speakers) == 1:
            heading.append("   speaker ", "dim")
            heading.append_text(cell(next(iter(speakers)), "bold"))
        table = _accuracy_table(list(section), names, with_speaker=len(speakers) > 1)
        parts.append(Padding(Group(heading, table), (1, 0, 0, 0), expand=False))
    parts += [_notes(rows), _ledger(rows, names)]
    if readings := measure_readings(reader, run):
        parts.append(_otherwise(readings, rows, names))
    parts.append(_spending(rows, names))
    money = measure_money(reader, run)
    if any(row.matters for row in money):
        parts.append(_money(money))
    return Group(*parts)


def print_report(reader: Reader, run: int | None = None) -> None:
    """Print the report to standard output."""
    Console(highlight=False, soft_wrap=False).print(report(reader, run))


def print_sections(sections: Mapping[str, Section]) -> None:
    """Print sections: their tables, one for each task and judge, and notes. Only a terminal has a width."""
    for n, section in enumerate(sections.values()):
        print(("\n" if n else "") + one_line(section.title))
        if section.table is None:
            print(one_line(f"Nothing to show: {section.missing}."))
            continue
        for heading, grid in section.table.by_judge():
            print("\n" + one_line(f"Task {heading[0]}   judge {heading[1]}") if heading else "")
            table = _table(*grid.head, names=grid.names)
            for row in grid.rows:
                table.add_row(*(cell(text) for text in row))
            # Only a terminal has a width: a file or a pipe gets every cell whole.
            width = None if sys.stdout.isatty() else ANY_WIDTH
            Console(highlight=False, width=width).print(table, crop=False)
        if section.said:
            print()
        for line in section.said:
            print(one_line(line))


def _headline(reader: Reader, run: int | None) -> Text:
    (rid, status, started, ended, planned, judged), *_ = reader.sql(statements(run)["run"]).rows
    which = "run" if run is not None else "last run"
    line = Text.assemble(
        cell(str(reader.path), "bold"), f"   {which} {rid[:8]}, {started:%Y-%m-%d %H:%M} UTC: "
    )
    if status == "running":
        status = "running" if reader.live else "killed"
    line.append(f"{judged:,} of {planned:,} judged")
    if ended is not None:
        line.append(f" in {(ended - started).total_seconds():,.0f} s")
    if status not in ("finished", "failed"):
        line.append(f" ({status})", "bold")
    return line


def _table(*columns: str, names: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(columns[0], overflow="fold", min_width=12)
    for n, column in enumerate(columns[1:], start=1):
        table.add_column(column, justify="left" if n < names else "right", overflow="fold")
    return table


def _accuracy_table(rows: Sequence[Accuracy], names: dict[tuple[str, int], str], with_speaker: bool) -> Table:
    bounds = any(row.decided < row.episodes for row in rows)
    table = _table(
        "protocol",
        *(["speaker"] if with_speaker else []),
        "accuracy",
        "95 % interval",
        *(["worst–best"] if bounds else []),
        "questions",
        "groups",
    )
    for row in rows:
        who = [cell(row.speaker or "")] if with_speaker else []
        spread = [Text(f"{100 * row.worst:.1f}–{100 * row.best:.1f}")] if bounds else []
        table.add_row(
            Text.assemble(cell(names[row.task, row.arm]), (PLACES[row.place], "dim")),
            *who,
            Text(percent(row.accuracy), "bold"),
            interval_text(row.interval),
            *spread,
            f"{row.questions:,}",
            f"{row.groups:,}",
        )
        for split in row.splits:
            table.add_row(
                Text(f"  argued {'right' if split.argued_right else 'wrong'} ({split.decided:,})", "dim"),
                *([""] if with_speaker else []),
                percent(split.accuracy),
                interval_text(split.interval),
            )
    return table


def _notes(rows: Sequence[Accuracy]) -> Padding:
    intervals = [i for row in rows for i in (row.interval, *(s.interval for s in row.splits))]
    lines = ["Accuracy is over decided verdicts."]
    if any(row.decided < row.episodes for row in rows):
        lines = [
            "Accuracy is over decided verdicts; the others of the ledger are left out of it. Worst counts "
            "them all as wrong, best as right."
        ]
    if any(i.method == "t" for i in intervals):
        lines.append("Intervals: t, clustered on the question's group.")
    if any(i.method == "wilson" for i in intervals):
        lines.append(
            "w: Wilson's interval, with the groups' design effect: few are right, or few wrong, or no spread."
        )
    lines += [f"none: {reason}." for reason in sorted({i.reason for i in intervals if i.reason})]
    if any(1 < row.groups < FEW_GROUPS for row in rows):
        lines.append(f"Fewer than {FEW_GROUPS} groups: take the interval as a rough guide.")
    return Padding(Text(" ".join(lines), "dim"), (1, 0, 0, 0), expand=False)


def _ledger(rows: Sequence[Accuracy], names: dict[tuple[str, int], str]) -> Padding:
    shown = [s for s in STATUSES if s == "decided" or any(getattr(row, s) for row in rows)]
    table = _table("ledger", *shown, "episodes")
    for label, row in _labelled(rows, names):
        table.add_row(label, *(f"{getattr(row, s):,}" for s in shown), f"{row.episodes:,}")
    if len(rows) > 1:
        table.add_section()
        sums = [sum(getattr(row, s) for row in rows) for s in (*shown, "episodes")]
        table.add_row("sum", *(f"{n:,}" for n in sums))
    return Padding(table, (1, 0, 0, 0), expand=False)


def _otherwise(
    readings: Sequence[Reading], rows: Sequence[Accuracy], names: dict[tuple[str, int], str]
) -> Padding:
    """The same judges read in other ways; the first way of each is the one that counts above."""
    shown = [s for s in STATUSES if s == "decided" or any(getattr(one, s) for one in readings)]
    table = _table("read in other ways", "accuracy", "95 % interval", *shown, "episodes")
    for label, row in _labelled(rows, names):
        of_row = [one for one in readings if (one.task, one.arm) == (row.task, row.arm)]
        for n, one in enumerate(of_row):
            if n == 0:
                table.add_row(label)
            table.add_row(
                cell(f"  {one.elicitation}"),
                percent(one.accuracy),
                interval_text(one.interval),
                *(f"{getattr(one, s):,}" for s in shown),
                f"{one.episodes:,}",
            )
    return Padding(table, (1, 0, 0, 0), expand=False)


def _spending(rows: Sequence[Accuracy], names: dict[tuple[str, int], str]) -> Padding:
    priced = any(row.spending.cost for row in rows)
    table = _table("calls", "made", "from store", "tokens in", "tokens out", *(["cost $"] if priced else []))

    def add(label: RenderableType, s: Spending) -> None:
        numbers = [
            f"{s.made:,}",
            f"{s.found:,}",
            count(s.prompt_tokens),
            count(s.completion_tokens),
        ]
        if priced:
            numbers.append("unknown" if s.cost is None else f"{s.cost:,.4f}")
        table.add_row(label, *numbers)

    for label, row in _labelled(rows, names):
        add(label, row.spending)
    if len(rows) > 1:
        table.add_section()
        add("sum", total([row.spending for row in rows]))
    parts: list[RenderableType] = [table]
    if not priced and any(row.spending.cost is None for row in rows):
        parts.append(Text("Cost: unknown (the models did not say).", "dim"))
    return Padding(Group(*parts), (1, 0, 0, 0), expand=False)


def _money(rows: Sequence[Money]) -> Padding:
    """What each model cost in each seat. What is unknown is said so, and never taken for nothing."""
    table = _table("spent", "paid", "found", "cost $", "$/decided", "saved $", "tokens saved")
    for row in rows:
        if row.total and len(rows) == 2:
            continue
        if row.total:
            table.add_section()
        seat = row.seat or "used by nothing yet"
        table.add_row(
            "sum" if row.total else cell(f"{row.model} · {seat}"),
            f"{row.made:,}",
            f"{row.found:,}",
            dollars(row.cost),
            "none" if not row.decided else dollars(row.per_decided),
            dollars(row.saved),
            count(row.saved_tokens),
        )
    lines = "Found calls were in the store or shared; saved is what they had cost."
    if unknown := rows[-1].unknown:
        lines += f" The cost of {unknown:,} paid calls is unknown: a price_in and price_out would have told."
    return Padding(Group(table, Text(lines, "dim")), (1, 0, 0, 0), expand=False)


def dollars(amount: float | None) -> str:
    """US dollars to a hundredth of a cent, or, below, to two digits; None is unknown."""
    if amount is None:
        return "unknown"
    return f"{amount:,.4f}" if amount >= 0.01 or not amount else f"{amount:.2g}"


def _labelled(rows: Sequence[Accuracy], names: dict[tuple[str, int], str]) -> list[tuple[Text, Accuracy]]:
    """Each row with a label that says as much as is needed to know it among all of them."""
    tasks, judges = {row.task for row in rows}, {row.judge for row in rows}
    speakers = {row.speaker for row in rows if row.speaker}
    labelled = []
    for row in rows:
        parts = [names[row.task, row.arm]]
        parts += [row.task] if len(tasks) > 1 else []
        parts += [row.judge] if len(judges) > 1 else []
        parts += [row.speaker] if len(speakers) > 1 and row.speaker else []
        labelled.append((cell(" · ".join(parts)), row))
    return labelled


def total(spent: Sequence[Spending]) -> Spending:
    """The sum; what is unknown of one part is unknown of the whole."""

    def add(values: list[Any]) -> Any:
        return None if None in values else sum(values)

    return Spending(
        made=sum(s.made for s in spent),
        found=sum(s.found for s in spent),
        prompt_tokens=add([s.prompt_tokens for s in spent]),
        completion_tokens=add([s.completion_tokens for s in spent]),
        cost=add([s.cost for s in spent]),
        seconds=sum(s.seconds for s in spent),
    )


def percent(share: float | None) -> str:
    """A proportion as people read it; "none" where there is none."""
    return "none" if share is None else f"{100 * share:.1f} %"


def interval_text(interval: Interval) -> Text:
    """`[41.2, 63.0]`, with a w where it is Wilson's."""
    if interval.low is None or interval.high is None:
        return Text("none")
    text = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return Text(f"{text} w" if interval.method == "wilson" else f"{text}  ")


def count(number: int | None) -> str:
    """A count with separators; None is unknown."""
    return "unknown" if number is None else f"{number:,}"
