"""How strong the debaters are, and accuracy against strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oversight.measure import strength
from oversight.measure.seats import player_names
from oversight.report.figures import Panel, Panels, Point
from oversight.report.sections.shared import (
    Arms,
    Grid,
    Section,
    Source,
    bounds_text,
    of_each_task,
    reasons_text,
)


def strength_section(source: Source) -> Section:
    """Self-play is where accuracy is of one debater's strength, not of two (Khan 2024, arXiv 2402.06782)."""
    arms = source.arms
    matches = source.reader.sql(strength.statements(source.run)["matches"]).rows
    described: dict[tuple[str, int], set[str]] = {}
    for match in matches:
        described.setdefault((match[0], match[1]), set()).update(match[4:6])
    names = player_names(set().union(*described.values()))
    found = strength.measure_strength(source.reader, source.run)
    elo = {(one.task, one.judge, r.player): r for one in found for r in one.of.ratings}
    points: dict[str, list[Point]] = {}
    for (task, arm), players in described.items():
        row = source.accuracy[task, arm]
        rating = elo[task, row.judge, names[min(players)]]
        if len(players) == 1 and rating.elo.value is not None and row.accuracy is not None:
            series = row.judge if _one_protocol(described, arms) else f"{row.judge} · {arms.label(row)}"
            bars = row.interval.low, row.interval.high, rating.elo.low, rating.elo.high
            points.setdefault(task, []).append(Point(series, rating.elo.value, row.accuracy, *bars))

    def drawn(task: str) -> Panels | None:
        of_task = tuple(sorted(points.get(task, []), key=lambda p: (p.series, p.x)))
        if len({p.x for p in of_task}) < 2:
            return None
        axis = f"debater's Elo ({strength.SCALE:g} points per factor ten in the odds; the players' mean is 0)"
        return Panels((Panel("", of_task),), axis, "judge accuracy", "number", joined=True)

    caption = "Judge accuracy in debates of a debater with itself, against its Elo; 95 % intervals both ways."
    figures = of_each_task("strength", caption, arms, drawn)
    missing = None
    if not figures:
        several = any(len(one.of.ratings) > 1 for one in found)
        missing = (
            "no two debaters of known strength met themselves as well as each other (--opponent)"
            if several
            else "no task has debates between several debaters (--opponent)"
        )
    table, said = _strengths(found)
    return Section("Debater strength", said, figures, missing, table)


def _one_protocol(described: Mapping[tuple[str, int], Any], arms: Arms) -> bool:
    return len({(r.protocol, str(r.params)) for task, arm in described for r in [arms.of(task, arm)]}) == 1


def _strengths(found: Sequence[strength.JudgeStrength]) -> tuple[Grid | None, tuple[str, ...]]:
    rows, reasons = [], []
    for one in found:
        terms = [("arguing the right answer", one.of.right), ("shown first", one.of.first)]
        terms += [
            ("each doubling of its words", one.of.longer),
            ("each nat of the judge's own odds", one.of.alone),
        ]
        rated = [(r.player, "rating", r.elo, r.matches) for r in one.of.ratings]
        for what, kind, elo, n in [*rated, *((t, "worth", m, one.of.matches) for t, m in terms)]:
            value = "none" if elo.value is None else f"{elo.value:+.0f}"
            rows.append((one.task, one.judge, what, kind, value, bounds_text(elo, "+.0f"), f"{n:,}"))
            reasons.append((what, elo.reason or elo.caution))
        if one.of.regularised:
            reasons.append(("Strengths are choix's penalised ones", one.of.regularised))
    if not rows:
        return None, ()
    said = (
        "Bradley–Terry with terms for truth, place, length and question, in Elo points; a rating is a player's "
        f"strength, {strength.SCALE:g} points per factor ten in the odds, and its matches are those with others.",
        *reasons_text(reasons),
    )
    return Grid(("task", "judge", "of", "is", "Elo", "95 % interval", "matches"), tuple(rows), 4), said
