"""MATH: competition problems with two final answers, or two worked solutions, one of them wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from oversight import Label, Question, UserError, choices, task

from .pairs import Pair, Solution, pairs
from .problems import Problem, problems
from .value import compare


@task(
    asymmetry="the judge is the weaker model; everyone sees the problem and both answers",
    source="MATH (Hendrycks et al. 2021, arXiv 2103.03874), EleutherAI/hendrycks_math on the Hugging Face hub",
    licence="MIT",
)
def math(
    *,
    seed: int,
    split: Literal["test", "train"] = "test",
    subjects: str = "all",
    levels: str = "all",
    show: Literal["answer", "solution"] = "answer",
    wrong: str = "",
) -> Iterator[tuple[Question, Label]]:
    """Competition problems with a right and a wrong answer. (Hendrycks et al. 2021; pairs as Kenton 2024)

    split: "test" or "train".
    subjects: "all", or one or more of the seven joined by "+", e.g. algebra+geometry.
    levels: "all", or levels 1 to 5 joined by "+".
    show: the two final answers ("answer"), or the two worked solutions ("solution").
    wrong: a file with a right and a wrong solution a problem, which `oversight make math` writes; needed.
    """
    if not wrong:
        raise UserError(
            "math: MATH has no wrong answers; make some with `oversight make math --model MODEL --out FILE`, "
            "then math:wrong=FILE"
        )
    if levels != "all" and not re.fullmatch(r"[1-5](\+[1-5])*", levels):
        raise UserError(f"math: levels is {levels!r}; write all, or levels joined by + (4+5)")
    asked = (p for p in problems(split, subjects) if levels == "all" or str(p.level) in levels.split("+"))
    yield from choices.asked("math", _made(asked, Path(wrong).expanduser(), split, show, seed), "problem")


def _made(
    asked: Iterable[Problem], path: Path, split: str, show: str, seed: int
) -> Iterator[tuple[Question, Label] | str]:
    """Of each problem the question, or why there is none."""
    left = pairs(path)
    known, used = len(left), 0
    for problem in asked:
        found = left.pop(" ".join(problem.text.split()), None)
        used += found is not None
        yield "no pair in the file" if found is None else _item(problem, found, split, show, path.name, seed)
    if not used:
        raise UserError(f"math: none of the {known} problems in {path} is among those asked for ({split})")


def _item(
    problem: Problem, pair: Pair, split: str, show: str, file: str, seed: int
) -> tuple[Question, Label] | str:
    """The question, or why there is none."""
    if compare(pair.right.answer, problem.answer) != "same":
        return "the right answer is not shown to be MATH's"
    if compare(pair.wrong.answer, problem.answer) != "different":
        return "the wrong answer is not shown to be wrong"
    source_id = "math-" + choices.digest(problem.text)
    # Seeded by the problem alone, so that which problems are read beside it changes nothing.
    right, wrong = (_shown(solution, show) for solution in (pair.right, pair.wrong))
    answers, label = choices.placed(right, [wrong], choices.chance("math", seed, source_id))
    meta = {
        "split": split,
        "subject": problem.subject,
        "level": problem.level,
        "pair": f"{show}s of {file}",
        "made_by": pair.made_by,
        "right": pair.right.answer,
        "wrong": pair.wrong.answer,
    }
    return Question(problem.text, answers, source_id=source_id, meta=meta), label


def _shown(solution: Solution, show: str) -> str:
    """An answer in the form that right and wrong ones share."""
    if show == "answer":
        return f"${solution.answer.strip('$')}$"
    lines = [line.strip() for line in re.sub(r"^#{4}.*$", "", solution.text, flags=re.MULTILINE).splitlines()]
    return "\n".join([*filter(None, lines), f"Answer found: ${solution.answer.strip('$')}$"])
