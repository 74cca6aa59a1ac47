"""How the judge's belief moves while it reads."""

from __future__ import annotations

from oversight.measure.belief import measure_belief
from oversight.measure.rounds import RoundBelief, measure_rounds
from oversight.report.figures import Panel, Panels, Point
from oversight.report.sections.shared import (
    WHO,
    Grid,
    Section,
    Source,
    bounds_text,
    of_each_task,
    panels_by_label,
    reasons_text,
)
from oversight.report.terminal import percent

ONCE = "no judge was asked for probabilities more than once (--judge MODEL:beliefs=true)"

_ARGUED = {None: "", True: ", argued right", False: ", argued wrong"}


def belief_by_round_section(source: Source) -> Section:
    arms, title = source.arms, "Belief by round"
    found = arms.ordered(measure_rounds(source.reader, source.run))
    if not found:
        return Section(title, missing=ONCE)
    curves: dict[tuple[str, int, bool | None], list[RoundBelief]] = {}
    rows, reasons = [], []
    for one in found:
        curves.setdefault((one.task, one.arm, one.argued_right), []).append(one)
        task, judge, label = arms.who(one)
        label += _ARGUED[one.argued_right]
        told = percent(one.belief.value), bounds_text(one.belief, ".1f", 100), f"{one.belief.n:,}"
        rows.append((task, judge, label, f"{one.round}", *told))
        reasons.append((f"{arms.told(one)}, some rounds", one.belief.reason or one.belief.caution))

    def drawn(task: str) -> Panels | None:
        panels: tuple[Panel, ...] = ()
        for side, named in _ARGUED.items():
            panels += panels_by_label(
                arms,
                task,
                lambda row, side=side: [  # type: ignore[misc]
                    Point(row.judge, one.round, one.belief.value, one.belief.low, one.belief.high)
                    for one in curves.get((task, row.arm, side), [])
                    if one.belief.value is not None
                ],
                named,
            )
        axes = "rounds read", "mean probability of the right answer"
        return Panels(panels, *axes, "number", joined=True) if panels else None

    said = (
        "Mean probability of the right answer after so many rounds (0: before anybody spoke), clustered t intervals.",
        *reasons_text(reasons),
    )
    caption = "The judge's belief in the right answer by round."
    figures = of_each_task("belief-by-round", caption, arms, drawn)
    head = (*WHO, "round", "p(right)", "95 % interval", "episodes")
    return Section(title, said, figures, table=Grid(head, tuple(rows), 3))


def belief_section(source: Source) -> Section:
    title, rows, reasons = "Belief movement", [], []
    for one in source.arms.ordered(measure_belief(source.reader, source.run)):
        parts = [
            ("movement", one.of.movement),
            ("reduction of uncertainty", one.of.reduction),
            ("movement less reduction", one.of.excess),
        ]
        parts += [(f"step {step.number}, nats", step.change) for step in one.of.steps]
        for what, m in parts:
            value = "none" if m.value is None else f"{m.value:+.3f}"
            rows.append((*source.arms.who(one), what, value, bounds_text(m, "+.3f"), f"{m.n:,}"))
            some = "some steps" if what.startswith("step") else what
            reasons.append((f"{source.arms.told(one)}, {some}", m.reason or m.caution))
    if not rows:
        return Section(title, missing=ONCE)
    said = (
        "Movement: the sum of squared changes of belief on the way through an episode; reduction: the uncertainty it took "
        "away. Their difference is 0 for a calibrated Bayesian judge, above 0 for one that overreacts (Augenblick and Rabin "
        "2021). Steps: the mean change of ln p(right) from one belief to the next. Clustered t intervals.",
        *reasons_text(reasons),
    )
    head = (*WHO, "of", "mean", "95 % interval", "episodes")
    return Section(title, said, table=Grid(head, tuple(rows), 4))
