"""Sums: word problems, and which of two worked solutions is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from oversight import BadQuestion, Dice, Label, Question, UserError, task

from .problems import Problem, draw_problem
from .running import run

MOST_STEPS = 8
BLOCK = 64
"""Problems whose solutions are run in one subprocess."""


@task(
    asymmetry="skill: everyone sees the problem and both solutions; the helpers are better at checking them",
    source="generated from the seed, without a model; solutions as in PAL (Gao et al. 2023), checked by running",
    licence="Apache-2.0",
    generated=True,
)
def sums(
    *, seed: int, steps: int = 3, style: Literal["code", "prose"] = "code"
) -> Iterator[tuple[Question, Label]]:
    """Word problems with a right solution and one with a slip, both checked by running. Endless. (Kenton 2024)

    steps: operations of the longer of the two solutions, 1 to 8.
    style: "code" (short Python functions) or "prose" (the same steps in sentences).
    """
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"sums: steps is {steps}; choose 1 to {MOST_STEPS}")
    if style not in ("code", "prose"):
        raise UserError(f"sums: style is {style!r}; choose code or prose")
    number = 0
    put: set[str] = set()
    while True:
        block: list[tuple[str, Problem, int]] = []
        while len(block) < BLOCK:
            dice = Dice(f"sums {seed} {number}")
            problem = draw_problem(dice, steps)
            if problem.text not in put:
                put.add(problem.text)
                block.append((f"sums-{seed}-{number}", problem, dice.below(2)))
            number += 1
        _verify(block)
        for source_id, problem, index in block:
            yield _question(source_id, problem, index, steps, style), Label(index)


def _verify(block: list[tuple[str, Problem, int]]) -> None:
    """Run all solutions of a block. Raises `BadQuestion` for one that does not give what it should."""
    readings = [(name, reading) for name, p, _ in block for reading in (p.right, p.wrong)]
    for (name, reading), result in zip(readings, run([r.program for _, r in readings]), strict=True):
        if result != reading.value:
            raise BadQuestion(f"{name}: a solution gives {result} when run, and {reading.value} on paper")


def _question(source_id: str, problem: Problem, index: int, steps: int, style: str) -> Question:
    solutions = [
        reading.program if style == "code" else reading.worked for reading in (problem.right, problem.wrong)
    ]
    return Question(
        text=problem.text,
        answers=tuple(solutions if index == 0 else solutions[::-1]),
        source_id=source_id,
        meta={
            "steps": steps,
            "kinds": list(problem.kinds),
            "slip": problem.slip,
            "result": problem.right.value,
            "wrong_result": problem.wrong.value,
        },
    )
