"""What a written report says: its sections, each with figures, a table, notes and the SQL of its numbers.

Nothing here is measured: the numbers are those of `oversight.measure`, told as the terminal tells them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

from oversight.errors import UserError
from oversight.measure import accuracy, belief, calibration, frontier, gap, money, paired, strength
from oversight.measure.accuracy import Accuracy, Interval, of_groups, scope
from oversight.measure.frontier import Unit as CostUnit
from oversight.measure.measured import Measured, mean_of
from oversight.measure.multiple import adjusted
from oversight.report import compared
from oversight.report.figures import Dot, Panel, Panels, Point, Rows
from oversight.report.naming import titles
from oversight.report.terminal import STATUSES, count, dollars, percent

if TYPE_CHECKING:
    from oversight.store.reading import Reader

ALL_PAIRS = 7
"""Arms of one judge on one task up to which every pair is compared: 21."""
PLACES = (" (floor)", "", " (ceiling)")

# A row an arm, side and group: how often the judge was right where the seat that chose its side chose right, or not.
_SIDES = """SELECT s.task, s.arm, s.chose_right, q."group", count(*) AS sides,
       count(*) FILTER (s.status = 'decided') AS decided, count(*) FILTER (s.correct) AS "right"
FROM scope JOIN sides s USING (episode) JOIN episodes e USING (episode) JOIN questions q USING (question)
WHERE s.chose_right IS NOT NULL
GROUP BY ALL ORDER BY ALL"""

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


def sections(reader: Reader, run: int | None = None) -> list[Section]:
    """Every section, on the whole database or on what one run planned. Raises `UserError` where there is nothing
    to report, and `StoreError`."""
    rows = accuracy.measure(reader, run)
    if not rows:
        raise UserError(f"{reader.path} holds no episodes yet: play some with `oversight run`")
    arms = _arms(rows)
    makers: tuple[Callable[[Reader, int | None, Arms], Section], ...] = (
        _accuracy,
        _ledger,
        _differences,
        _sides,
        _elo,
        _reliability,
        _beliefs,
        _gap,
        _costs,
        _spending,
    )
    return [make(reader, run, arms) for make in makers]


def _arms(measured: Sequence[Accuracy]) -> Arms:
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


def _of_each_task(
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


def _accuracy(reader: Reader, run: int | None, arms: Arms) -> Section:
    def drawn(task: str) -> Rows | None:
        dots = tuple(
            Dot(arms.label(r), r.judge, r.accuracy, r.interval.low, r.interval.high, _outer(r))
            for r in _by_label(arms, task)
            if r.accuracy is not None
        )
        return Rows(dots, "judge accuracy over decided verdicts", "share") if dots else None

    table = []
    for row in arms.rows:
        numbers = (
            percent(row.accuracy),
            _interval(row.interval),
            f"{100 * row.worst:.1f}–{100 * row.best:.1f}",
        )
        sizes = f"{row.decided:,}", f"{row.episodes:,}", f"{row.questions:,}", f"{row.groups:,}"
        table.append((row.task, row.judge, arms.label(row), *numbers, *sizes))
        for split in row.splits:
            side = f"… argued {'right' if split.argued_right else 'wrong'}"
            rest = percent(split.accuracy), _interval(split.interval), "", f"{split.decided:,}", "", "", ""
            table.append((row.task, row.judge, side, *rest))
    head = (*_WHO, "accuracy", "95 % interval", "worst–best", "decided", "episodes", "questions", "groups")
    said = (
        "Share of decided verdicts that are right. Interval: t, clustered on the question's group (Miller 2024, "
        "arXiv 2411.00640); w: Wilson's with the groups' design effect, where few are right or few wrong, or there is no spread.",
        "Worst and best count every undecided verdict as wrong and as right.",
        *_reasons(
            (arms.label(row), i.reason)
            for row in arms.rows
            for i in (row.interval, *(s.interval for s in row.splits))
        ),
        *(
            ["Fewer than 10 groups in some rows: take those intervals as a rough guide."]
            if any(1 < row.groups < 10 for row in arms.rows)
            else []
        ),
    )
    caption = "Judge accuracy with 95 % intervals"
    caption += "; dotted: worst to best treatment of undecided verdicts." if _undecided(arms) else "."
    figures = _of_each_task("accuracy", caption, arms, drawn)
    sql = {name: accuracy.statements(run)[name] for name in ("accuracy", "clusters")}
    missing = None if figures else "no verdict was decided"
    return Section("accuracy", "Accuracy", said, figures, missing, Grid(head, tuple(table), 3), sql)


_WHO = ("task", "judge", "protocol")


def _outer(row: Accuracy) -> tuple[float, float] | None:
    return None if row.decided == row.episodes else (row.worst, row.best)


def _undecided(arms: Arms) -> bool:
    return any(row.decided < row.episodes for row in arms.rows)


def _by_label(arms: Arms, task: str) -> list[Accuracy]:
    """A task's arms, floors first and ceilings last whichever the judge."""
    return sorted((row for row in arms.rows if row.task == task), key=lambda row: row.place)


def _ledger(reader: Reader, run: int | None, arms: Arms) -> Section:
    rows = [
        (*_who(arms, row), *(f"{getattr(row, status):,}" for status in STATUSES), f"{row.episodes:,}")
        for row in arms.rows
    ]
    sums = [sum(getattr(row, status) for row in arms.rows) for status in (*STATUSES, "episodes")]
    rows.append(("sum", "", "", *(f"{n:,}" for n in sums)))
    said = (
        "What became of every planned episode. Undecided verdicts are scored as nothing: not wrong, not 0.5.",
    )
    sql = {"accuracy": accuracy.statements(run)["accuracy"]}
    return Section(
        "ledger", "Ledger", said, table=Grid((*_WHO, *STATUSES, "episodes"), tuple(rows), 3), sql=sql
    )


def _who(arms: Arms, row: Accuracy) -> tuple[str, str, str]:
    return row.task, row.judge, arms.label(row)


def _differences(reader: Reader, run: int | None, arms: Arms) -> Section:
    name, title = "differences", "Paired differences"
    sql = {"questions": paired.statement(run=run)}
    found, left_out = _pairs(arms, paired.measure_answered(reader, run=run))
    if not found:
        reason = "there is only one arm for each task and judge: a comparison needs two"
        return Section(name, title, (), missing=reason)

    def drawn(task: str) -> Rows | None:
        dots = tuple(
            Dot(f"{arms.label(one.a)} less {arms.label(one.b)}", one.a.judge, d.value, d.low, d.high)
            for one in found
            if one.a.task == task and (d := one.difference.difference).value is not None
        )
        return Rows(dots, "difference in accuracy, percentage points", "points") if dots else None

    rows = tuple(
        (
            one.a.task,
            one.a.judge,
            arms.label(one.a),
            arms.label(one.b),
            compared.points(one.difference.difference.value),
            compared.bounds(one.difference.difference.low, one.difference.difference.high),
            compared.p_text(one.difference.test.p),
            compared.p_text(one.holm),
            f"{one.difference.difference.n:,}",
            f"{one.difference.difference.groups:,}",
        )
        for one in found
    )
    head = (
        "task",
        "judge",
        "accuracy of",
        "less",
        "difference",
        "95 % interval",
        "p",
        "p Holm",
        "questions",
        "groups",
    )
    figures = _of_each_task(name, "Paired differences in accuracy with 95 % intervals.", arms, drawn)
    missing = None if figures else "no two arms can be compared (the reasons stand below)"
    said = (*compared.notes(found), *left_out)
    return Section(name, title, said, figures, missing, Grid(head, rows, 4), sql)


def _pairs(
    arms: Arms, answered: Mapping[tuple[str, int], list[paired.Answered]]
) -> tuple[list[compared.Compared], list[str]]:
    """Every pair of arms before one judge on one task, the later less the earlier; of more than `ALL_PAIRS` arms each
    less the first (the floor) only, and a line that says so. p is adjusted for how many there are in all."""
    chosen: list[tuple[Accuracy, Accuracy]] = []
    said = []
    for (task, judge), section in groupby(arms.rows, key=lambda row: (row.task, row.judge)):
        first, *others = section
        if len(others) < ALL_PAIRS:
            chosen += [(later, earlier) for earlier, later in combinations([first, *others], 2)]
        else:
            chosen += [(later, first) for later in others]
            said.append(
                f"Task {task}, judge {judge}: {len(others) + 1} arms, each compared with {arms.label(first)} only; "
                "`oversight compare` has every pair."
            )
    differences = [
        paired.difference(answered.get((a.task, a.arm), []), answered.get((b.task, b.arm), []))
        for a, b in chosen
    ]
    holm = adjusted([d.test.p for d in differences])
    found = [
        compared.Compared(a, b, (arms.label(a), arms.label(b)), d, p)
        for (a, b), d, p in zip(chosen, differences, holm, strict=True)
    ]
    return found, said


def _sides(reader: Reader, run: int | None, arms: Arms) -> Section:
    sql = {"sides": f"WITH {scope(run)}\n{_SIDES}"}
    found: dict[tuple[str, int, bool], list[tuple[str, int, int, int]]] = {}
    for task, arm, chose_right, *rest in reader.sql(sql["sides"]).rows:
        found.setdefault((task, arm, chose_right), []).append(tuple(rest))
    rows, dots, reasons = [], [], []
    for row in arms.rows:
        for chose_right in (True, False):
            groups = found.get((row.task, row.arm, chose_right), [])
            sides, decided, right = (
                (sum(ns) for ns in zip(*((n, m, k) for _, n, m, k in groups), strict=True))
                if groups
                else (0, 0, 0)
            )
            if not sides:
                continue
            interval = of_groups([(group, n, k) for group, _, n, k in groups])
            share = right / decided if decided else None
            chose = "right" if chose_right else "wrong"
            rows.append(
                (*_who(arms, row), chose, f"{sides:,}", f"{decided:,}", percent(share), _interval(interval))
            )
            label = f"{arms.label(row)}, chose {chose}"
            reasons.append((label, interval.reason))
            if share is not None:
                dots.append((row.task, Dot(label, row.judge, share, interval.low, interval.high)))

    def drawn(task: str) -> Rows | None:
        of_task = tuple(dot for of, dot in dots if of == task)
        return Rows(of_task, "judge accuracy over decided verdicts", "share") if of_task else None

    said = (
        "Judge accuracy of open protocols by whether the seat that chose its side chose the right answer; one a side, "
        "where several seats choose. Intervals as for accuracy.",
        *_reasons(reasons),
    )
    caption = "Open protocols: judge accuracy where the right and where a wrong answer was chosen."
    figures = _of_each_task("sides", caption, arms, drawn)
    missing = None if figures else "no protocol was played open (side=open): no seat chose what to argue"
    if rows and not figures:
        missing = "no verdict was decided where a seat chose its side"
    head = (*_WHO, "chose", "sides", "decided", "accuracy", "95 % interval")
    table = Grid(head, tuple(rows), 4) if rows else None
    return Section("sides", "Open protocols, by choice", said if rows else (), figures, missing, table, sql)


def _elo(reader: Reader, run: int | None, arms: Arms) -> Section:
    """Self-play is where accuracy is of one debater's strength, not of two (Khan 2024, arXiv 2402.06782)."""
    sql = strength.statements(run)
    matches = reader.sql(sql["matches"]).rows
    described: dict[tuple[str, int], set[str]] = {}
    for match in matches:
        described.setdefault((match[0], match[1]), set()).update(match[4:6])
    names = strength.player_names(set().union(*described.values()))
    found = strength.measure_strength(reader, run)
    elo = {(one.task, one.judge, r.player): r for one in found for r in one.of.ratings}
    points: dict[str, list[Point]] = {}
    for (task, arm), players in described.items():
        row = arms.of(task, arm)
        rating = elo[task, arms.stored[task, arm], names[min(players)]]
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
    figures = _of_each_task("elo", caption, arms, drawn)
    missing = None
    if not figures:
        several = any(len(one.of.ratings) > 1 for one in found)
        missing = (
            "no two debaters of known strength met themselves as well as each other (--opponent)"
            if several
            else "no task has debates between several debaters (--opponent)"
        )
    table, said = _strengths(found)
    return Section("elo", "Debater strength", said, figures, missing, table, sql if found else {})


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
            rows.append((one.task, one.judge, what, kind, value, _bounds(elo, ".0f"), f"{n:,}"))
            reasons.append((what, elo.reason or elo.caution))
        if one.of.regularised:
            reasons.append(("Strengths are choix's penalised ones", one.of.regularised))
    if not rows:
        return None, ()
    said = (
        "Bradley–Terry with terms for truth, place, length and question, in Elo points; a rating is a player's "
        f"strength, {strength.SCALE:g} points per factor ten in the odds, and its matches are those with others.",
        *_reasons(reasons),
    )
    return Grid(("task", "judge", "of", "is", "Elo", "95 % interval", "matches"), tuple(rows), 4), said


def _reliability(reader: Reader, run: int | None, arms: Arms) -> Section:
    found = {(one.task, one.arm): one.of for one in calibration.measure_calibration(reader, run)}

    def drawn(task: str) -> Panels | None:
        panels = _panels_by_label(
            arms,
            task,
            lambda row: [
                Point(row.judge, b.forecast, b.right, b.interval.low, b.interval.high)
                for b in (found[task, row.arm].curve if (task, row.arm) in found else ())
            ],
        )
        axes = "probability that the judge gave", "share that was right"
        return Panels(panels, *axes, "share", joined=True, diagonal=True) if panels else None

    rows, reasons = [], []
    for row in arms.rows:
        if (one := found.get((row.task, row.arm))) is None:
            continue
        numbers = [_estimate(m, ".3f") for m in (one.brier, one.log_loss, one.slope, one.intercept)]
        rows.append((*_who(arms, row), f"{one.verdicts:,}", *numbers))
        parts = (
            ("Brier", one.brier),
            ("log loss", one.log_loss),
            ("slope", one.slope),
            ("intercept", one.intercept),
        )
        reasons += [(f"{arms.label(row)}, {what}", m.reason or m.caution) for what, m in parts]
    said = (
        "Brier: the mean of Σ(p − right)² over the answers (0 best, 2 worst); log loss in nats; slope and intercept of the "
        "outcome's log-odds in the forecast's, 1 and 0 for a calibrated judge; clustered 95 % intervals in brackets. "
        "Bars of the curves: Wilson's, with the groups' design effect.",
        *_reasons(reasons),
    )
    figures = _of_each_task(
        "reliability", "Reliability: tenths of the probabilities; dashed: calibrated.", arms, drawn
    )
    missing = (
        None
        if figures
        else "no judge gave probabilities (elicit=letters, texts, logprobs, credence or votes do)"
    )
    head = (*_WHO, "verdicts", "Brier", "log loss", "slope", "intercept")
    table = Grid(head, tuple(rows), 3) if rows else None
    sql = calibration.statements(run)
    return Section("reliability", "Calibration", said if rows else (), figures, missing, table, sql)


def _panels_by_label(
    arms: Arms, task: str, points: Callable[[Accuracy], list[Point]], titled: str = ""
) -> tuple[Panel, ...]:
    """A panel an arm, its judges being the series; arms without points are left out."""
    found: dict[str, list[Point]] = {}
    for row in _by_label(arms, task):
        if of_row := points(row):
            found.setdefault(arms.label(row) + titled, []).extend(of_row)
    return tuple(Panel(title, tuple(of_panel)) for title, of_panel in found.items())


def _beliefs(reader: Reader, run: int | None, arms: Arms) -> Section:
    sql = {"rounds": f"WITH {scope(run)},\n{_ROUNDS}", **belief.statements(run)}
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
                told = percent(mean.value), _bounds(mean, ".1f", 100)
                rows.append((row.task, row.judge, label, f"{round_}", *told, f"{mean.n:,}"))
                reasons.append((f"{label}, round {round_}", mean.reason or mean.caution))

    def drawn(task: str) -> Panels | None:
        panels: tuple[Panel, ...] = ()
        for side, named in _ARGUED.items():
            panels += _panels_by_label(
                arms,
                task,
                lambda row, side=side: [  # type: ignore[misc]
                    Point(row.judge, r, m.value, _held(m.low), _held(m.high))
                    for r, m in curves.get((task, row.arm, side), [])
                    if m.value is not None
                ],
                named,
            )
        axes = "rounds read", "mean probability of the right answer"
        return Panels(panels, *axes, "number", joined=True) if panels else None

    figures = _of_each_task("beliefs", "The judge's belief in the right answer by round.", arms, drawn)
    missing = (
        None
        if figures
        else "no judge was asked for probabilities more than once (--judge MODEL:beliefs=true)"
    )
    moved = [
        f"{arms.label(arms.of(one.task, one.arm))} · {one.task}: movement less uncertainty reduction "
        f"{_estimate(one.of.excess, '+.3f')} over {one.of.paths:,} paths (0 for a calibrated Bayesian judge)."
        for one in belief.measure_belief(reader, run)
    ]
    said = (
        "Mean probability of the right answer after so many rounds (0: before anybody spoke), clustered t intervals.",
        *moved,
        *_reasons(reasons),
    )
    table = Grid((*_WHO, "round", "p(right)", "95 % interval", "episodes"), tuple(rows), 3) if rows else None
    return Section("beliefs", "Belief by round", said if rows else (), figures, missing, table, sql)


_ARGUED = {None: "", True: ", argued right", False: ", argued wrong"}


def _held(share: float | None) -> float | None:
    """A t interval's bound, where a probability can be."""
    return None if share is None else min(1.0, max(0.0, share))


def _gap(reader: Reader, run: int | None, arms: Arms) -> Section:
    rows, reasons = [], []
    for one in gap.measure_gap(reader, run):
        row, g = arms.of(one.task, one.arm), one.of
        shares = percent(g.naive), percent(g.protocol), percent(g.ceiling)
        ceiling = "" if one.ceiling_arm is None else arms.label(arms.of(one.task, one.ceiling_arm))
        value = "undefined" if g.recovered.value is None else percent(g.recovered.value)
        told = value, _bounds(g.recovered, ".1f", 100), f"{g.recovered.n:,}"
        rows.append((*_who(arms, row), ceiling, *shares, *told))
        reasons.append((f"{arms.label(row)} · {row.judge}", g.recovered.reason or g.recovered.caution))
    said = (
        "(protocol − floor) / (ceiling − floor) over the questions that all three decided (Burns et al. 2023, "
        "arXiv 2312.09390); Fieller's interval, clustered by group.",
        *_reasons(reasons),
    )
    head = (
        *_WHO,
        "ceiling taken",
        "floor",
        "protocol",
        "ceiling",
        "gap recovered",
        "95 % interval",
        "questions",
    )
    table = Grid(head, tuple(rows), 4) if rows else None
    missing = None if rows else "no protocol but the judge alone was played"
    return Section("gap", "Gap recovered", said if rows else (), (), missing, table, gap.statements(run))


def _costs(reader: Reader, run: int | None, arms: Arms) -> Section:
    unit, found = _frontiers(reader, run)
    told: Callable[[float | None], str] = dollars if unit == "cost" else _tokens
    rows, reasons = [], []
    for one in found:
        for place in one.places:
            row = arms.of(one.task, place.arm)
            numbers = (
                told(place.cost.value),
                _told_bounds(place.cost, told),
                percent(place.accuracy),
                _interval(place.interval),
            )
            on = {None: "none", True: "yes", False: "no"}[place.on_frontier]
            rows.append((*_who(arms, row), *numbers, on, percent(place.confidence)))
            reasons.append((arms.label(row), place.reason or place.cost.caution))

    def drawn(task: str) -> Panels | None:
        panels = tuple(
            p for one in found if one.task == task for p in [_frontier_panel(one, arms)] if p.points
        )
        axis = "US dollars an episode" if unit == "cost" else "tokens an episode (prompt and completion)"
        return Panels(panels, axis, "judge accuracy", "number") if panels else None

    free = bool(found) and all(not p.cost.value for one in found for p in one.places)
    caption = "Accuracy against cost; grey: the frontier, on which no arm is beaten in both."
    figures = () if free else _of_each_task("cost", caption, arms, drawn)
    missing = None
    if not figures:
        missing = (
            "no call cost anything: no money and no tokens are known"
            if free
            else "what the calls cost is unknown, in money (price_in, price_out) and in tokens"
        )
    what = "US dollars" if unit == "cost" else "Tokens (money is unknown or nothing)"
    said = (
        f"{what}, the mean of an episode: every call it uses, whoever paid for it. Certainty: the share of cluster-bootstrap "
        "samples in which the arm is on the frontier.",
        *_reasons(reasons),
    )
    head = (
        *_WHO,
        "cost $" if unit == "cost" else "tokens",
        "95 % interval",
        "accuracy",
        "95 % interval",
        "on frontier",
        "certainty",
    )
    table = Grid(head, tuple(rows), 3) if rows else None
    return Section(
        "cost", "Cost and accuracy", said if rows else (), figures, missing, table, frontier.statements(run)
    )


def _frontiers(reader: Reader, run: int | None) -> tuple[CostUnit, list[frontier.Frontier]]:
    """In dollars where every arm's are known and some cost anything, else in tokens."""
    found = frontier.measure_frontier(reader, run, "cost")
    costs = [place.cost.value for one in found for place in one.places]
    if None not in costs and any(costs):
        return "cost", found
    return "tokens", frontier.measure_frontier(reader, run, "tokens")


def _labelled(arms: Arms, row: Accuracy) -> str:
    """With the judge, where the database has others of its name."""
    alike = arms.stored[row.task, row.arm] == row.judge
    return arms.label(row) if alike else f"{arms.label(row)} · {row.judge}"


def _frontier_panel(one: frontier.Frontier, arms: Arms) -> Panel:
    known = [p for p in one.places if p.cost.value is not None and p.accuracy is not None]
    points = tuple(
        Point(
            _labelled(arms, arms.of(one.task, p.arm)),
            p.cost.value or 0.0,
            p.accuracy or 0.0,
            p.interval.low,
            p.interval.high,
            p.cost.low,
            p.cost.high,
        )
        for p in known
    )
    steps = tuple((p.cost.value or 0.0, p.accuracy or 0.0) for p in known if p.on_frontier)
    return Panel(f"judge {one.judge}", points, steps)


def _spending(reader: Reader, run: int | None, arms: Arms) -> Section:
    rows = tuple(
        (
            row.model or "sum",
            "" if row.total else row.seat or "used by nothing yet",
            f"{row.made:,}",
            f"{row.found:,}",
            count(row.prompt_tokens),
            count(row.completion_tokens),
            dollars(row.cost),
            dollars(row.saved),
        )
        for row in money.measure_money(reader, run)
    )
    said = ("Found calls were in the store or shared; saved is what they had cost.",) if rows else ()
    head = ("model", "seat", "paid", "found", "tokens in", "tokens out", "cost $", "saved $")
    table = Grid(head, rows, 2) if rows else None
    missing = None if rows else "no call was made (imported transcripts have none)"
    return Section("spending", "Spending", said, (), missing, table, money.statements(run))


def _interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "none"
    text = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{text} w" if interval.method == "wilson" else text


def _bounds(measured: Measured, spec: str, scale: float = 1) -> str:
    if measured.low is None or measured.high is None:
        return "none"
    return f"[{scale * measured.low:{spec}}, {scale * measured.high:{spec}}]"


def _told_bounds(measured: Measured, told: Callable[[float | None], str]) -> str:
    return "none" if measured.low is None else f"[{told(measured.low)}, {told(measured.high)}]"


def _estimate(measured: Measured, spec: str) -> str:
    if measured.value is None:
        return "none"
    bounds = "" if measured.low is None else f" {_bounds(measured, spec)}"
    return f"{measured.value:{spec}}{bounds}"


def _tokens(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def _reasons(given: Iterable[tuple[str, str | None]]) -> list[str]:
    """A line for each reason, with whom it concerns."""
    found: dict[str, list[str]] = {}
    for who, reason in given:
        if reason and who not in found.setdefault(reason, []):
            found[reason].append(who)
    return [f"{reason[:1].upper()}{reason[1:]}: {'; '.join(who)}." for reason, who in found.items()]
