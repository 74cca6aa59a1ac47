"""What sections are made of: figures, a table, notes and SQL; the arms they tell of; numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeVar

from oversight.measure import accuracy
from oversight.measure.accuracy import Accuracy, Interval
from oversight.measure.arms import ArmRow, measure_arms
from oversight.measure.measured import Measured
from oversight.report.figures import Panel, Panels, Point, Rows
from oversight.report.naming import titles

if TYPE_CHECKING:
    from oversight.store.reading import Reader

PLACES = (" (floor)", "", " (ceiling)")
WHO = ("task", "judge", "protocol")
NO_PROBABILITIES = "no judge gave probabilities (elicit=letters, texts, logprobs, credence or votes do)"
NOBODY_ARGUED = "no protocol in which somebody argues was played"
NO_PROTOCOL = "no protocol but the judge alone was played"


@dataclass(frozen=True)
class Shown:
    """A figure: the file's name without its ending, what it shows, and what is drawn."""

    name: str
    caption: str
    drawing: Rows | Panels


@dataclass(frozen=True)
class Grid:
    """A table: the first `names` columns hold names, the others numbers, as text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int

    def by_judge(self) -> list[tuple[tuple[str, str] | None, Grid]]:
        """A table for each task and judge, without their columns; a sum, and a table that has none of them, under None."""
        if self.head[:2] != WHO[:2]:
            return [(None, self)]
        found: list[tuple[tuple[str, str] | None, Grid]] = []
        for (task, judge), section in groupby(self.rows, key=lambda row: row[:2]):
            rows = tuple(row[2:] if judge else (task, *row[3:]) for row in section)
            heading = (task, judge) if judge else None
            found.append((heading, Grid(self.head[2:], rows, self.names - 2)))
        return found


@dataclass(frozen=True)
class Section:
    """What a report says of one measure. `missing` says why it has no figure, or nothing at all."""

    title: str
    said: tuple[str, ...] = ()
    figures: tuple[Shown, ...] = ()
    missing: str | None = None
    table: Grid | None = None


class OfArm(Protocol):
    """What is measured of one arm on one task."""

    @property
    def task(self) -> str: ...

    @property
    def arm(self) -> int: ...


T = TypeVar("T", bound=OfArm)


@dataclass(frozen=True)
class Arms:
    """The arms that a report is on, by task, judge and place, and what it calls them."""

    rows: tuple[ArmRow, ...]
    labels: Mapping[tuple[str, int], str]

    def of(self, task: str, arm: int) -> ArmRow:
        return next(row for row in self.rows if (row.task, row.arm) == (task, arm))

    def label(self, one: OfArm) -> str:
        return self.labels[one.task, one.arm]

    def judged(self, one: OfArm) -> str:
        """Its label, with the judge where there are several."""
        several = len({row.judge for row in self.rows}) > 1
        return f"{self.label(one)} · {self.of(one.task, one.arm).judge}" if several else self.label(one)

    def told(self, one: OfArm) -> str:
        """Its label, with judge and task where there are several."""
        return f"{self.judged(one)} · {one.task}" if len(self.tasks) > 1 else self.judged(one)

    def who(self, one: OfArm) -> tuple[str, str, str]:
        """The cells that name it: task, judge and protocol."""
        return one.task, self.of(one.task, one.arm).judge, self.label(one)

    def ordered(self, found: Iterable[T]) -> list[T]:
        """In the order of the arms."""
        places = {(row.task, row.arm): n for n, row in enumerate(self.rows)}
        return sorted(found, key=lambda one: places[one.task, one.arm])

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(row.task for row in self.rows))


@dataclass(frozen=True)
class Source:
    """What a report is on: the whole database, or what one run of it planned. Measured as it is asked for."""

    reader: Reader
    run: int | None = None

    @cached_property
    def arms(self) -> Arms:
        """Labels say who speaks where a task has several speakers."""
        rows = measure_arms(self.reader, self.run)
        named = titles(rows)
        speakers: dict[str, set[str]] = {}
        for row in rows:
            speakers.setdefault(row.task, set()).update({row.speaker} if row.speaker else ())
        labels = {
            (row.task, row.arm): named[row.task, row.arm]
            + (f" · {row.speaker}" if row.speaker and len(speakers[row.task]) > 1 else "")
            + PLACES[row.place]
            for row in rows
        }
        return Arms(tuple(rows), labels)

    @cached_property
    def accuracy(self) -> dict[tuple[str, int], Accuracy]:
        return {(row.task, row.arm): row for row in accuracy.measure(self.reader, self.run)}


def by_label(arms: Arms, task: str) -> list[ArmRow]:
    """A task's arms, floors first and ceilings last whichever the judge."""
    return sorted((row for row in arms.rows if row.task == task), key=lambda row: row.place)


def of_each_task(
    name: str, caption: str, arms: Arms, drawn: Callable[[str], Rows | Panels | None]
) -> tuple[Shown, ...]:
    """A figure a task that has something to show; numbered where the report is on several tasks."""
    many = len(arms.tasks) > 1
    found = [(n, task, drawn(task)) for n, task in enumerate(arms.tasks, start=1)]
    return tuple(
        Shown(f"{name}-{n}" if many else name, f"{caption} Task {task}.", drawing)
        for n, task, drawing in found
        if drawing is not None
    )


def panels_by_label(
    arms: Arms, task: str, points: Callable[[ArmRow], list[Point]], titled: str = ""
) -> tuple[Panel, ...]:
    """A panel an arm, its judges being the series; arms without points are left out."""
    found: dict[str, list[Point]] = {}
    for row in by_label(arms, task):
        if of_row := points(row):
            found.setdefault(arms.label(row) + titled, []).extend(of_row)
    return tuple(Panel(title, tuple(of_panel)) for title, of_panel in found.items())


def interval_text(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "none"
    text = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{text} w" if interval.method == "wilson" else text


def bounds_text(measured: Measured, spec: str, scale: float = 1) -> str:
    if measured.low is None or measured.high is None:
        return "none"
    return f"[{scale * measured.low:{spec}}, {scale * measured.high:{spec}}]"


def told_bounds(measured: Measured, told: Callable[[float | None], str]) -> str:
    return "none" if measured.low is None else f"[{told(measured.low)}, {told(measured.high)}]"


def estimate_text(measured: Measured, spec: str) -> str:
    if measured.value is None:
        return "none"
    bounds = "" if measured.low is None else f" {bounds_text(measured, spec)}"
    return f"{measured.value:{spec}}{bounds}"


def reasons_text(given: Iterable[tuple[str, str | None]]) -> list[str]:
    """A line for each reason or caution, with whom it concerns."""
    rows = list(given)
    found: dict[str, list[str]] = {}
    for named, reason in rows:
        if reason:
            found.setdefault(reason, []).append(named)
    return [
        f"{reason[:1].upper()}{reason[1:]}: "
        f"{'all of them' if 1 < len(of) == len(rows) else '; '.join(dict.fromkeys(of))}."
        for reason, of in found.items()
    ]
