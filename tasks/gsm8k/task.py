"""GSM8KQA: a word problem and two worked solutions, one of which ends in the wrong number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from oversight import Label, Question, UserError, choices, task

from .pairs import Pair, pairs
from .problems import Problem, problems
from .solution import common_form, same, written


@task(
    asymmetry="the judge is the weaker model; everyone sees the problem and both solutions",
    source="GSM8K (Cobbe et al. 2021, arXiv 2110.14168), openai/gsm8k on the Hugging Face hub",
    licence="MIT",
)
def gsm8k(
    *, seed: int, split: Literal["test", "train"] = "test", wrong: str = ""
) -> Iterator[tuple[Question, Label]]:
    """Word problems with two worked solutions, one right and one wrong: GSM8KQA. (Kenton 2024)

    split: "test" or "train".
    wrong: a file with a right and a wrong solution a problem, which `oversight make gsm8k` writes; needed.
    """
    if not wrong:
        raise UserError(
            "gsm8k: GSM8K has no wrong solutions; make some with `oversight make gsm8k --model MODEL "
            "--out FILE`, then gsm8k:wrong=FILE"
        )
    yield from choices.asked("gsm8k", _made(split, Path(wrong).expanduser(), seed), "problem")


def _made(split: str, path: Path, seed: int) -> Iterator[tuple[Question, Label] | str]:
    """Of each problem, and each pair that is left, the question or why there is none."""
    left = pairs(path)
    known, used = len(left), 0
    for problem in problems(split):
        found = left.pop(" ".join(problem.question.split()), None)
        used += found is not None
        yield "no pair in the file" if found is None else _item(problem, found, split, path.name, seed)
    if not used:
        raise UserError(f"gsm8k: none of the {known} problems in {path} is one of the {split} split")
    yield from ["not in this split"] * len(left)


def _item(problem: Problem, pair: Pair, split: str, file: str, seed: int) -> tuple[Question, Label] | str:
    """The question, or why there is none."""
    right, wrong = pair.right, pair.wrong
    if not same(right.number, problem.number):
        return "the right solution ends in another number than GSM8K's"
    if same(wrong.number, problem.number):
        return "both solutions end in the same number"
    source_id = "gsm8k-" + choices.digest(problem.question)
    # Seeded by the problem alone, so that which problems are read beside it changes nothing.
    shown = [common_form(s.text, s.number, pair.style) for s in (right, wrong)]
    answers, label = choices.placed(shown[0], shown[1:], choices.chance("gsm8k", seed, source_id))
    meta = {
        "split": split,
        "pair": f"solutions of {file}",
        "style": pair.style,
        "made_by": pair.made_by,
        "right": written(right.number),
        "wrong": written(wrong.number),
    }
    return Question(problem.question, answers, source_id=source_id, meta=meta), label
