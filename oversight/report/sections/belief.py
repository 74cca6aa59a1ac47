"""How the judge's belief moves while it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oversight.measure.accuracy import scope
from oversight.measure.belief import measure_belief, statements
from oversight.measure.measured import Measured, mean_of
from oversight.report.figures import Panel, Panels, Point
from oversight.report.sections.shared import (
    WHO,
    Arms,
    Grid,
    Section,
    bounds_text,
    estimate_text,
    held,
    of_each_task,
    panels_by_label,
    reasons_text,
)
from oversight.report.terminal import percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader


# A row an episode and round: the judge's last belief in it, read as its final verdict was. Round 0: before any speech.
_ROUNDS = """rounds AS (
  SELECT b.task, b.arm, q."group", e.argued = l.label AS argued_right, b.episode,
         coalesce((SELECT max(t.round) FROM turns t WHERE t.episode = b.episode AND t.turn < b.turn), 0) AS round,
         b.turn, b.final, b.p_right
  FROM scope JOIN beliefs b USING (episode) JOIN episodes e USING (episode)
       JOIN questions q USING (question) JOIN labels l USING (question)
       JOIN verdicts f ON f.episode = b.episode AND f.final AND f.judge = b.judge
  WHERE b.p_right IS NOT NULL
)
SELECT task, arm, argued_right, round, "group", arg_max(p_right, (turn, final)) AS p_right
FROM rounds GROUP BY task, arm, argued_right, round, "group", episode
ORDER BY task, arm, argued_right DESC, round, "group", episode"""


_ARGUED = {None: "", True: ", argued right", False: ", argued wrong"}


def belief_section(reader: Reader, run: int | None, arms: Arms) -> Section:
    sql = {"rounds": f"WITH {scope(run)},\n{_ROUNDS}", **statements(run)}
    values: dict[tuple[str, int, bool | None, int], list[tuple[float, str]]] = {}
    for task, arm, argued_right, round_, group, p in reader.sql(sql["rounds"]).rows:
        values.setdefault((task, arm, argued_right, round_), []).append((p, group))
    curves: dict[tuple[str, int, bool | None], list[tuple[int, Measured]]] = {}
    for (task, arm, side, round_), of_round in sorted(
        values.items(), key=lambda item: (str(item[0][:3]), item[0][3])
    ):
        mean = mean_of([p for p, _ in of_round], [group for _, group in of_round])
        curves.setdefault((task, arm, side), []).append((round_, mean))
    curves = {key: curve for key, curve in curves.items() if len(curve) > 1}
    rows, reasons = [], []
    for row in arms.rows:
        for side, named in _ARGUED.items():
            for round_, mean in curves.get((row.task, row.arm, side), []):
                label = arms.label(row) + named
                told = percent(mean.value), bounds_text(mean, ".1f", 100)
                rows.append((row.task, row.judge, label, f"{round_}", *told, f"{mean.n:,}"))
                reasons.append((f"{label}, round {round_}", mean.reason or mean.caution))

    def drawn(task: str) -> Panels | None:
        panels: tuple[Panel, ...] = ()
        for side, named in _ARGUED.items():
            panels += panels_by_label(
                arms,
                task,
                lambda row, side=side: [  # type: ignore[misc]
                    Point(row.judge, r, m.value, held(m.low), held(m.high))
                    for r, m in curves.get((task, row.arm, side), [])
                    if m.value is not None
                ],
                named,
            )
        axes = "rounds read", "mean probability of the right answer"
        return Panels(panels, *axes, "number", joined=True) if panels else None

    figures = of_each_task("beliefs", "The judge's belief in the right answer by round.", arms, drawn)
    missing = (
        None
        if figures
        else "no judge was asked for probabilities more than once (--judge MODEL:beliefs=true)"
    )
    moved = [
        f"{arms.label(arms.of(one.task, one.arm))} · {one.task}: movement less uncertainty reduction "
        f"{estimate_text(one.of.excess, '+.3f')} over {one.of.paths:,} paths (0 for a calibrated Bayesian judge)."
        for one in measure_belief(reader, run)
    ]
    said = (
        "Mean probability of the right answer after so many rounds (0: before anybody spoke), clustered t intervals.",
        *moved,
        *reasons_text(reasons),
    )
    table = Grid((*WHO, "round", "p(right)", "95 % interval", "episodes"), tuple(rows), 3) if rows else None
    return Section("beliefs", "Belief by round", said if rows else (), figures, missing, table, sql)
