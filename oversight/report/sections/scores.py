"""What an agent gains by arguing the truth."""

from __future__ import annotations

from oversight.measure.scores import CLIP, Rule, ScoreDifference, measure_score_differences
from oversight.report.figures import Dot, Rows
from oversight.report.sections.shared import (
    NO_PROBABILITIES,
    WHO,
    Grid,
    Section,
    Source,
    bounds_text,
    of_each_task,
    reasons_text,
)


def score_difference_section(source: Source) -> Section:
    arms, title = source.arms, "Agent score difference"
    found: dict[tuple[str, int], dict[Rule, ScoreDifference]] = {}
    for one in arms.ordered(measure_score_differences(source.reader, source.run)):
        found.setdefault((one.task, one.arm), {})[one.rule] = one
    if not found:
        return Section(title, missing=NO_PROBABILITIES)
    rows, reasons, dots = [], [], []
    for rules in found.values():
        brier, log = rules["brier"], rules["log"]
        told = [cell for one in (brier, log) for cell in _cells(one)]
        rows.append((*arms.who(brier), *told, f"{brier.difference.n:,}", f"{brier.difference.groups:,}"))
        d, judge = brier.difference, arms.of(brier.task, brier.arm).judge
        reasons.append((arms.told(brier), d.reason or d.caution))
        if d.value is not None:
            dots.append((brier.task, Dot(arms.label(brier), judge, d.value, d.low, d.high)))

    def drawn(task: str) -> Rows | None:
        of_task = tuple(dot for of, dot in dots if of == task)
        return (
            Rows(of_task, "agent score difference (Brier; −2 to 2)", "number", zero=True) if of_task else None
        )

    said = (
        "The proper score that arguing the right answer earns by the judge's probabilities, less that of a wrong one, on the "
        "same questions (Pallavi Sudhir 2025, arXiv 2504.03731, §2): above 0 it pays to argue the truth. Brier scores lie "
        f"from −2 to 0; log scores are in nats, p below {CLIP:g} counting as {CLIP:g}. Clustered t intervals. Of the judge "
        "alone it is the score of the right answer less that of the wrong ones, for comparison.",
        *reasons_text(reasons),
    )
    caption = "Agent score difference (Brier) with 95 % intervals: right of 0 it pays to argue the truth."
    head = (*WHO, "Brier", "95 % interval", "log", "95 % interval", "questions", "groups")
    figures = of_each_task("score-difference", caption, arms, drawn)
    missing = None if figures else "no question was argued on both the right and a wrong answer"
    return Section(title, said, figures, missing, Grid(head, tuple(rows), 3))


def _cells(one: ScoreDifference) -> tuple[str, str]:
    value = one.difference.value
    return "none" if value is None else f"{value:+.3f}", bounds_text(one.difference, "+.3f")
