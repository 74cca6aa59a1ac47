"""TruthfulQA: questions that people answer wrongly out of a common error, which a judge may share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from oversight import BadQuestion, Label, Question, UserError, choices, hub, task

HUB_ID = "truthfulqa/truthful_qa"
REVISION = "741b8276f2d1982aa3d5b832d3ee81ed3b896490"
COLUMNS = ("question", "mc1_targets")
SPLIT = "validation"


@task(
    asymmetry="skill: everyone sees the question alone; the helpers are stronger models",
    source="TruthfulQA, MC1 (Lin et al. 2022, arXiv 2109.07958), truthfulqa/truthful_qa on the Hugging Face hub",
    licence="Apache-2.0; never to be trained on",
    publish=False,
)
def truthfulqa(*, seed: int, answers: Literal[2, "all"] = 2) -> Iterator[tuple[Question, Label]]:
    """Questions that many people answer falsely. (Kenton 2024)

    answers: 2 (the right option and one of the wrong ones, drawn by the seed) or "all" (2 to 13).
    """
    if answers not in (2, "all"):
        raise UserError(f"truthfulqa: answers is {answers}; choose 2 or all")
    yield from choices.questions("truthfulqa", kept(), seed, None if answers == "all" else answers)


def kept() -> Iterator[choices.Row | str]:
    """The rows that can be asked, and why each of the others cannot."""
    rows = hub.rows(HUB_ID, REVISION, f"multiple_choice/{SPLIT}-*.parquet", COLUMNS)
    return choices.sift(_row(row, number) for number, row in enumerate(rows))


def _row(row: dict[str, Any], number: int) -> choices.Row:
    targets = row["mc1_targets"] or {}
    options = tuple(choices.text_of(option) for option in targets.get("choices") or ())
    labels = list(targets.get("labels") or ())
    where, meta = f"{SPLIT} row {number}", {"split": SPLIT, "row": number}
    if len(labels) != len(options) or labels.count(1) != 1:
        raise BadQuestion(
            f"truthfulqa ({where}): {len(options)} options have the labels {labels}; "
            "there should be one for each, and a single 1"
        )
    return choices.Row("truthfulqa", where, choices.text_of(row["question"]), options, labels.index(1), meta)
