"""What sections are made of: figures, a table, notes and SQL; the arms they tell of; numbers as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from oversight.measure import strength
from oversight.measure.accuracy import Accuracy, Interval
from oversight.measure.measured import Measured
from oversight.report.figures import Panel, Panels, Point, Rows
from oversight.report.naming import titles

PLACES = (" (floor)", "", " (ceiling)")


WHO = ("task", "judge", "protocol")


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


@dataclass(frozen=True)
class Section:
    """A part of the report. `missing` says why it has no figure."""

    name: str
    title: str
    said: tuple[str, ...]
    figures: tuple[Shown, ...] = ()
    missing: str | None = None
    table: Grid | None = None
    sql: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arms:
    """The arms that a report is on, by task, judge and place, and what it calls them. `stored`: each one's judge as the
    database names it, by which some measures pool judges of one model."""

    rows: tuple[Accuracy, ...]
    labels: Mapping[tuple[str, int], str]
    stored: Mapping[tuple[str, int], str]

    def of(self, task: str, arm: int) -> Accuracy:
        return next(row for row in self.rows if (row.task, row.arm) == (task, arm))

    def label(self, row: Accuracy) -> str:
        return self.labels[row.task, row.arm]

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(row.task for row in self.rows))


def named_arms(measured: Sequence[Accuracy]) -> Arms:
    """The arms, each judge named with what tells it from others of its model; labels say who speaks where a task has
    several speakers."""
    described = [
        json.dumps({k: v for k, v in r.players["judge"].items() if k != "template"}) for r in measured
    ]
    judges = strength.player_names(set(described))
    rows = [replace(row, judge=judges[text]) for row, text in zip(measured, described, strict=True)]
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
    stored = {(row.task, row.arm): row.judge for row in measured}
    return Arms(tuple(sorted(rows, key=lambda row: (row.task, row.judge, row.place))), labels, stored)


def who(arms: Arms, row: Accuracy) -> tuple[str, str, str]:
    return row.task, row.judge, arms.label(row)


def by_label(arms: Arms, task: str) -> list[Accuracy]:
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
    arms: Arms, task: str, points: Callable[[Accuracy], list[Point]], titled: str = ""
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


def held(share: float | None) -> float | None:
    """A t interval's bound, where a probability can be."""
    return None if share is None else min(1.0, max(0.0, share))


def reasons_text(given: Iterable[tuple[str, str | None]]) -> list[str]:
    """A line for each reason, with whom it concerns."""
    found: dict[str, list[str]] = {}
    for who, reason in given:
        if reason and who not in found.setdefault(reason, []):
            found[reason].append(who)
    return [f"{reason[:1].upper()}{reason[1:]}: {'; '.join(who)}." for reason, who in found.items()]
