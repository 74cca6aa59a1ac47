"""MMLU: exam questions in 57 subjects; the judge sees all that its helpers see, and knows less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from oversight import BadQuestion, Label, Question, UserError, choices, hub, task

HUB_ID = "cais/mmlu"
REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
COLUMNS = ("question", "subject", "choices", "answer")
LEFT_OUT = "business_ethics"


@task(
    asymmetry="skill: everyone sees the question alone; the helpers are stronger models",
    source="MMLU (Hendrycks et al. 2021, arXiv 2009.03300), cais/mmlu on the Hugging Face hub",
    licence="MIT",
)
def mmlu(
    *,
    seed: int,
    split: Literal["test", "validation", "dev"] = "test",
    answers: Literal[2, 4] = 2,
    subjects: str | None = None,
) -> Iterator[tuple[Question, Label]]:
    """Exam questions in 56 subjects, from school to profession. (Kenton 2024)

    split: "test", "validation" or "dev" (five questions a subject).
    answers: 2 (the right option and one of the three wrong ones, drawn by the seed) or all 4.
    subjects: which, joined by "+", as in anatomy+virology; default all but business_ethics, as in Kenton 2024.
    """
    if answers not in (2, 4):
        raise UserError(f"mmlu: answers is {answers}; choose 2 or 4")
    yield from choices.questions("mmlu", kept(split, subjects), seed, answers)


def kept(split: str, subjects: str | None) -> Iterator[choices.Row | str]:
    """The rows of these subjects that can be asked, and why each of the others cannot."""
    rows = list(enumerate(hub.rows(HUB_ID, REVISION, f"all/{split}-*.parquet", COLUMNS)))
    known = {row["subject"] for _, row in rows}
    wanted = {name.strip() for name in subjects.split("+")} if subjects else known - {LEFT_OUT}
    for name in sorted(wanted - known):
        raise UserError(f"mmlu: no subject {name!r} in {split}; it has {', '.join(sorted(known))}")
    return choices.sift(_row(row, split, n) for n, row in rows if row["subject"] in wanted)


def _row(row: dict[str, Any], split: str, number: int) -> choices.Row:
    options = tuple(choices.text_of(option) for option in row["choices"] or ())
    meta = {"split": split, "row": number, "subject": row["subject"]}
    made = choices.Row(
        "mmlu", f"{split} row {number}", choices.text_of(row["question"]), options, row["answer"], meta
    )
    if len(options) != 4:
        raise BadQuestion(f"{made.id} ({made.where}): {len(options)} options; there should be 4")
    return made
