"""GPQA: questions of biology, physics and chemistry that experts of another field fail with the web at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from oversight import Label, Question, UserError, choices, task
from oversight import gpqa as source


@task(
    asymmetry="skill: everyone sees the question alone; the helpers are stronger models",
    source="GPQA (Rein et al. 2023, arXiv 2311.12022), Idavidrein/gpqa on the Hugging Face hub, gated",
    licence="CC BY 4.0; not to be shown in plain text",
    publish=False,
)
def gpqa(
    *, seed: int, subset: Literal["main", "diamond", "extended"] = "main", answers: Literal[2, 4] = 2
) -> Iterator[tuple[Question, Label]]:
    """Very hard questions of natural science, without the experts' explanations. (Kenton 2024)

    subset: "main" (448 questions), "diamond" (198 of them, right for both experts) or "extended" (546).
    answers: 2 (the right answer and one of the three wrong ones, drawn by the seed) or all 4.
    """
    if answers not in (2, 4):
        raise UserError(f"gpqa: answers is {answers}; choose 2 or 4")
    yield from choices.questions("gpqa", source.kept(subset, explained=False), seed, answers)
