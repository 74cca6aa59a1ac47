"""Right and wrong solutions of problems whose official answer is known: drawn from a model, and read from a file.

For tasks whose source has no wrong solutions. A folder's `make.py` draws them (`draw`) and `oversight make` writes
them down, in the `with_incorrect` form; its `task.py` reads them (`rows`). Used as `from oversight import solutions`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from oversight.errors import UserError

P = TypeVar("P")
S = TypeVar("S")

Ask = Callable[[Sequence[str], int], Sequence[str | None]]
"""Prompts, and which draw of each it is (from 0), to the replies; None where a call gave none."""

# Why a reply is no solution.
FAILED = "calls that failed"
HINTS = "replies that speak of a mistake"

_HINT = re.compile(
    r"\b(mistake|error|wrong|incorrect|oops|deliberate|proofread\w*|should have been)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Made:
    """Pairs in the `with_incorrect` form, and what became of the problems and replies, by reason."""

    rows: list[dict[str, Any]]
    counts: Counter[str]


@dataclass(frozen=True)
class Kind(Generic[P, S]):
    """How solutions (S) of a task's problems (P) are asked for, read and written down.

    prompt: a problem, and whether a slip is asked for, to what a model is asked.
    read: replies and their problems to each one's solution with whether it is right, or the reason why there is
        none (in the plural, as in "replies without a number").
    row: a problem with its right and its wrong solution to a row of the file.
    """

    prompt: Callable[[P, bool], str]
    read: Callable[[Sequence[str | None], Sequence[P]], Sequence[tuple[bool, S] | str]]
    row: Callable[[P, S, S], dict[str, Any]]


def draw(ask: Ask, problems: Sequence[P], kind: Kind[P, S], *, samples: int, slips: bool) -> Made:
    """A right and a wrong solution of each problem, as far as `samples` draws bring both. (Kenton 2024)

    Of each problem's replies, taken in order, the first right one and the first wrong one are kept; a problem that
    has both is not asked again. With `slips` wrong ones are asked for outright, and each side by its own prompt.
    Makes no call itself but uses the `ask` it is given. Raises `UserError` for fewer than one sample.
    """
    if samples < 1:
        raise UserError(f"samples is {samples}; choose 1 or more")
    counts: Counter[str] = Counter()
    kept: list[dict[bool, S]] = [{} for _ in problems]
    for drawn in range(samples):
        wanted = [(n, slip) for n in range(len(problems)) for slip in _lacking(kept[n], slips)]
        if not wanted:
            break
        replies = ask([kind.prompt(problems[n], slip) for n, slip in wanted], drawn)
        read = kind.read(replies, [problems[n] for n, _ in wanted])
        for (n, _), found in zip(wanted, read, strict=True):
            counts["replies"] += 1
            if isinstance(found, str):
                counts[found] += 1
            else:
                kept[n].setdefault(*found)
    made = []
    for problem, both in zip(problems, kept, strict=True):
        if len(both) == 2:
            made.append(kind.row(problem, both[True], both[False]))
        else:
            counts["problems without a right solution"] += True not in both
            counts["problems without a wrong solution"] += False not in both
    counts["pairs"] = len(made)
    return Made(made, +counts)


def _lacking(both: dict[bool, S], slips: bool) -> list[bool]:
    """With which prompts a problem is asked again: the plain one, the one for a slip, both or none."""
    if not slips:
        return [False] if len(both) < 2 else []
    return [slip for slip in (False, True) if (not slip) not in both]


def hints(reply: str, problem: str) -> bool:
    """Whether a reply speaks of a mistake, in a word that the problem does not have: it would tell a judge."""
    found = _HINT.search(reply)
    return found is not None and found[0].lower() not in problem.lower()


def rows(path: Path, task: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A file's rows: where each stands, for messages; its problem with spaces normalised; and the row.

    The file is a JSON list or JSON lines of objects with a `question`, as the card of `task` says. Raises
    `UserError`, naming file and row, where it is not, where a problem is there twice, and where there is none.
    """
    found: set[str] = set()
    for number, row in enumerate(_parsed(path), 1):
        where = f"{path}, row {number}"
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise UserError(f"{where}: a row is an object with a question; see tasks/{task}/README.md")
        question = " ".join(row["question"].split())
        if question in found:
            raise UserError(f"{where}: the problem {question[:60]!r} is there twice; keep one pair of it")
        found.add(question)
        yield where, question, row
    if not found:
        raise UserError(f"{path} holds no pairs")


def _parsed(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"wrong={path} cannot be read: {reason}; name a file of pairs") from None
    whole = text.lstrip().startswith("[")
    try:
        yield from json.loads(text) if whole else map(json.loads, filter(str.strip, text.splitlines()))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is neither a JSON list nor JSON lines") from None
