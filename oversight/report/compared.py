"""Arms compared: found by the names a report gives them, paired, and told as text, rows and JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

from oversight.errors import UserError, unknown
from oversight.measure import paired
from oversight.measure.accuracy import Accuracy, measure
from oversight.measure.multiple import Method, adjusted
from oversight.measure.paired import Difference
from oversight.question import hex_id
from oversight.report.naming import titles

if TYPE_CHECKING:
    from oversight.store.reading import Reader

STATUSES = ("decided", "tie", "unparsable", "refused", "failed", "unfinished")


@dataclass(frozen=True)
class Wanted:
    """Which comparisons: two arms by title or protocol, or with neither every pair; of one judge, task or
    speaker, or of each. A model's name that is no judge's means all judges of that model.
    `unmatched` compares on shared questions where the arms' questions differ. `against`: the second arm is taken
    before that judge (without `b`, the same arm before it). `exploratory`: p is adjusted for many comparisons by
    Benjamini and Hochberg, not by Holm."""

    a: str = ""
    b: str = ""
    judge: str = ""
    task: str = ""
    speaker: str = ""
    unmatched: bool = False
    against: str = ""
    exploratory: bool = False

    @property
    def method(self) -> Method:
        return "fdr_bh" if self.exploratory else "holm"


@dataclass(frozen=True)
class Compared:
    """Arm `a` less arm `b` before one judge on one task; `adjusted` is the test's p, adjusted by `method` for how
    many comparisons were asked for together. `titles` are the arms' names."""

    a: Accuracy
    b: Accuracy
    titles: tuple[str, str]
    difference: Difference
    adjusted: float | None
    method: Method = "holm"


ADJUSTED: dict[Method, tuple[str, str, str]] = {
    "holm": ("p_holm", "p Holm", "Holm's, which bounds the chance of any false claim"),
    "fdr_bh": ("p_bh", "p BH", "Benjamini and Hochberg's, which bounds the expected share of false claims"),
}
"""The adjusted p of each method: as a column, in a table's head, in words."""


def compare(reader: Reader, wanted: Wanted, run: int | None = None) -> list[Compared]:
    """The comparisons, in the report's order. Raises `UserError` for arms that cannot be found, told apart or
    compared, and `StoreError`."""
    pairs = _pairs(reader, wanted, run)
    arms = tuple(sorted({row.arm for pair in pairs for row in pair[:2]}))
    answered = paired.measure_answered(reader, arms, run=run)
    # A run has come to a question in one arm before it has in another.
    unmatched = wanted.unmatched or reader.live
    found = []
    for a, b, named in pairs:
        one, other = answered.get((a.task, a.arm), ()), answered.get((b.task, b.arm), ())
        found.append((a, b, named, paired.difference(one, other, unmatched)))
    if wanted.a and not unmatched:
        for _, _, named, d in found:
            if not d.matched and d.shared:
                raise UserError(
                    f"{named[0]} and {named[1]}: {d.difference.reason}; play both on the same questions, or "
                    "compare them on the shared ones with --unmatched (unmatched=True)"
                )
    ps = adjusted([d.test.p for *_, d in found], wanted.method)
    return [Compared(*values, p, wanted.method) for values, p in zip(found, ps, strict=True)]


def sql(reader: Reader, wanted: Wanted, run: int | None = None) -> str:
    """The statement whose rows the comparisons are made of: one a question of each arm."""
    pairs = _pairs(reader, wanted, run)
    tasks = {a.task for a, *_ in pairs}
    arms = tuple(sorted({row.arm for pair in pairs for row in pair[:2]}))
    return paired.statement(arms, next(iter(tasks)) if len(tasks) == 1 else None, run)


def _pairs(
    reader: Reader, wanted: Wanted, run: int | None
) -> list[tuple[Accuracy, Accuracy, tuple[str, str]]]:
    if wanted.against:
        if not (wanted.a and wanted.judge):
            raise UserError(
                "--against compares two judges over one arm: name the arm and the first judge too, "
                "compare debate --judge A --against B"
            )
        wanted = replace(wanted, b=wanted.b or wanted.a)
    if bool(wanted.a) != bool(wanted.b):
        raise UserError("name two arms to compare, or none for every pair (`oversight report` lists them)")
    everything = measure(reader, run)
    if not everything:
        raise UserError(f"{reader.path} holds no episodes yet: play some with `oversight run`")
    names = titles(everything)
    judges, tasks = ({getattr(row, what) for row in everything} for what in ("judge", "task"))
    for given in (wanted.judge, wanted.against):
        if given and not _meant(given, judges):
            raise unknown("judge", given, judges)
    if wanted.task and wanted.task not in tasks:
        raise unknown("task", wanted.task, tasks)
    before = _meant(wanted.judge, judges), _meant(wanted.against, judges)
    speakers = {row.speaker for row in everything if row.speaker}
    if wanted.speaker and wanted.speaker not in speakers:
        raise unknown("speaker", wanted.speaker, speakers)
    rows = [
        row
        for row in everything
        if (not wanted.judge or row.judge in before[0] | before[1])
        and wanted.task in ("", row.task)
        and (not wanted.speaker or row.speaker in (None, wanted.speaker))
    ]
    found: list[tuple[Accuracy, Accuracy]] = []
    if wanted.against:
        for _, section in groupby(rows, key=lambda row: row.task):
            found += _of_two_judges(list(section), names, wanted, before)
    else:
        for _, section in groupby(rows, key=lambda row: (row.task, row.judge)):
            found += _of_section(list(section), names, wanted)
    if not found:
        raise UserError(_nothing(wanted, rows, names))
    return [(a, b, _tell(a, b, names)) for a, b in found]


def _meant(given: str, names: Collection[str]) -> set[str]:
    """The judges that are meant: the one of that name, else all of that model."""
    return {given} & set(names) or {name for name in names if given and name.startswith(f"{given} (")}


def _of_section(
    rows: Sequence[Accuracy], names: dict[tuple[str, int], str], wanted: Wanted
) -> list[tuple[Accuracy, Accuracy]]:
    if not wanted.a:
        return [(later, earlier) for earlier, later in combinations(rows, 2)]
    a, b = _arm(wanted.a, rows, names), _arm(wanted.b, rows, names)
    if a is None or b is None:
        return []
    if a is b:
        raise UserError(f"{wanted.a} and {wanted.b} are the same arm: name two")
    return [(a, b)]


def _of_two_judges(
    rows: Sequence[Accuracy],
    names: dict[tuple[str, int], str],
    wanted: Wanted,
    before: tuple[set[str], set[str]],
) -> list[tuple[Accuracy, Accuracy]]:
    a = _arm(wanted.a, [row for row in rows if row.judge in before[0]], names)
    b = _arm(wanted.b, [row for row in rows if row.judge in before[1]], names)
    if a is None or b is None:
        return []
    if a is b:
        raise UserError(f"--judge and --against are both {wanted.judge}: name two judges")
    return [(a, b)]


def _arm(name: str, rows: Sequence[Accuracy], names: dict[tuple[str, int], str]) -> Accuracy | None:
    """The arm that is called so: by its title, else by its protocol with some of its parameters, where just one
    has them. None where none does."""
    from oversight.library import split_spec, value_of

    found = [row for row in rows if names[row.task, row.arm] == name]
    if not found:
        protocol, text = split_spec(name)
        params = {key: value_of(value) if isinstance(value, str) else value for key, value in text.items()}
        found = [
            row
            for row in rows
            if row.protocol == protocol
            and all(key in row.params and row.params[key] == value for key, value in params.items())
        ]
    if len(found) < 2:
        return found[0] if found else None
    titled = sorted({names[row.task, row.arm] for row in found})
    if len(titled) > 1:
        raise UserError(f"{name!r} could be {len(titled)} arms: say which of {', '.join(titled)}")
    judges = sorted({row.judge for row in found})
    if len(judges) > 1:
        raise UserError(
            f"{name!r} stands before several judges of that name: say which of {', '.join(judges)}"
        )
    speakers = ", ".join(sorted({row.speaker or "" for row in found}))
    raise UserError(f"{name!r} was played by several speakers ({speakers}): say which with --speaker")


def _nothing(wanted: Wanted, rows: Sequence[Accuracy], names: dict[tuple[str, int], str]) -> str:
    titled = {names[row.task, row.arm] for row in rows}
    if not wanted.a:
        return "there is only one arm for each task and judge: a comparison needs two"
    for name in (wanted.a, wanted.b):
        if all(_arm(name, [row], names) is None for row in rows):
            known = {*titled, *(row.protocol for row in rows)}
            return str(unknown("arm", name, known, "(`oversight report` lists them)"))
    return f"{wanted.a} and {wanted.b} were never played on one task before one judge"


def _tell(a: Accuracy, b: Accuracy, names: dict[tuple[str, int], str]) -> tuple[str, str]:
    one, other = names[a.task, a.arm], names[b.task, b.arm]
    if a.judge != b.judge:
        return f"{one} ({a.judge})", f"{other} ({b.judge})"
    if a.speaker and b.speaker and a.speaker != b.speaker:
        return f"{one} ({a.speaker})", f"{other} ({b.speaker})"
    return one, other


def as_rows(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """One flat dictionary a comparison: what `oversight compare --json` and Python's `compare` have."""
    rows = []
    for one in found:
        d = one.difference
        ledgers = {
            f"{status}_{side}": getattr(arm, status)
            for side, arm in (("a", one.a), ("b", one.b))
            for status in (*STATUSES, "episodes")
        }
        rows.append(
            {
                "task": one.a.task,
                "judge": one.a.judge,
                "a": one.titles[0],
                "b": one.titles[1],
                "difference": d.difference.value,
                "low": d.difference.low,
                "high": d.difference.high,
                "error": d.difference.error,
                "p": d.test.p,
                "p_method": d.test.method,
                ADJUSTED[one.method][0]: one.adjusted,
                "accuracy_a": d.a,
                "accuracy_b": d.b,
                "worst": d.worst,
                "best": d.best,
                "questions": d.difference.n,
                "groups": d.difference.groups,
                "shared": d.shared,
                "only_a": d.only_a,
                "only_b": d.only_b,
                "left_out": d.left_out,
                "differing": d.differing,
                "reason": d.difference.reason,
                "caution": d.difference.caution,
                "arm_a": hex_id(one.a.arm),
                "arm_b": hex_id(one.b.arm),
                **ledgers,
            }
        )
    return rows


def as_json(reader: Reader, found: Sequence[Compared], statement: str) -> str:
    """The comparisons with the SQL of their rows."""
    whole = {"database": str(reader.path), "comparisons": as_rows(found), "sql": statement}
    return json.dumps(whole, indent=2)


def print_compared(found: Sequence[Compared], every_pair: bool = False) -> None:
    """Print the differences, the ledger of every arm in them, and what is to be borne in mind; `every_pair`: no
    two arms were named."""
    from rich.text import Text

    from oversight.report.safe import cell
    from oversight.report.tables import plain_table, print_table

    for heading, section in _sections(found):
        print(heading)
        head = ["accuracy of", "less", "difference", "95 % interval", "p"]
        table = plain_table(
            *head, *([ADJUSTED[section[0].method][1]] if len(found) > 1 else []), "questions", "groups"
        )
        for column in table.columns[2:]:
            column.justify = "right"
        for one in section:
            d = one.difference
            table.add_row(
                cell(one.titles[0]),
                cell(one.titles[1]),
                Text(points(d.difference.value), "bold"),
                bounds(d.difference.low, d.difference.high),
                p_text(d.test.p),
                *([p_text(one.adjusted)] if len(found) > 1 else []),
                f"{d.difference.n:,}",
                f"{d.difference.groups:,}",
            )
        print_table(table)
        print()
    _print_ledger(found)
    print()
    for line in notes(found, every_pair):
        print(line)


def _sections(found: Sequence[Compared]) -> list[tuple[str, list[Compared]]]:
    from oversight.report.safe import one_line

    return [
        (one_line(f"Task {task}   judge {judge}"), list(section))
        for (task, judge), section in groupby(found, key=lambda one: (one.a.task, one.a.judge))
    ]


def _print_ledger(found: Sequence[Compared]) -> None:
    from oversight.report.safe import cell
    from oversight.report.tables import plain_table, print_table

    arms: dict[tuple[str, int], tuple[str, Accuracy]] = {}
    for one in found:
        for title, row in zip(one.titles, (one.a, one.b), strict=True):
            arms.setdefault((row.task, row.arm), (title, row))
    shown = [s for s in STATUSES if s == "decided" or any(getattr(row, s) for _, row in arms.values())]
    many = len({(row.task, row.judge) for _, row in arms.values()}) > 1
    table = plain_table("ledger", *shown, "episodes")
    for column in table.columns[1:]:
        column.justify = "right"
    for title, row in arms.values():
        where = [part for part in (row.task, row.judge) if many and part not in title]
        table.add_row(
            cell(" · ".join([title, *where])), *(f"{getattr(row, s):,}" for s in shown), f"{row.episodes:,}"
        )
    print_table(table)


def notes(found: Sequence[Compared], every_pair: bool = False) -> list[str]:
    """What a reader of these comparisons must know, a line each; `every_pair`: no two arms were named."""
    from oversight.report.safe import one_line

    lines = [
        "Difference in accuracy on shared questions, repeats averaged first; t interval clustered on groups."
    ]
    if every_pair:
        lines.append(
            "Pairs: each arm less those above it in `oversight report`, which has floors first and ceilings last."
        )
    methods = {one.difference.test.method for one in found}
    if "exact" in methods:
        lines.append("p: sign-flip permutation of the groups, all patterns (exact).")
    if "drawn" in methods:
        lines.append(
            f"p: sign-flip permutation of the groups, {paired.DRAWS:,} patterns drawn by a fixed seed."
        )
    if len(found) > 1:
        _, head, method = ADJUSTED[found[0].method]
        lines.append(f"{head}: adjusted for these {len(found)} comparisons, {method}.")
    several = len({(one.a.task, one.a.judge) for one in found}) > 1
    for one in found:
        where = f" ({one.a.task}, {one.a.judge})" if several else ""
        d, name = one.difference, one_line(f"{one.titles[0]} less {one.titles[1]}{where}")
        if d.difference.reason:
            lines.append(f"{name}: {d.difference.reason}.")
        if d.difference.caution:
            lines.append(f"{name}: {d.difference.caution}.")
        if d.left_out and d.worst is not None:
            lines.append(
                f"{name}: {d.left_out:,} of {d.shared:,} shared questions left out (undecided in one of them); were "
                f"every undecided verdict wrong for the one and right for the other: {points(d.worst)} to {points(d.best)}."
            )
        if (d.only_a or d.only_b) and not d.difference.reason:
            lines.append(f"{name}: unmatched, {d.only_a:,} and {d.only_b:,} questions were not shared.")
    return lines


def points(value: float | None) -> str:
    """A difference of shares in percentage points, with its sign; "none" where there is none."""
    return "none" if value is None else f"{100 * value:+.1f} points"


def bounds(low: float | None, high: float | None) -> str:
    """An interval in percentage points."""
    return "none" if low is None or high is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def p_text(p: float | None) -> str:
    """A p-value to three places; "none" where there is none."""
    if p is None:
        return "none"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
