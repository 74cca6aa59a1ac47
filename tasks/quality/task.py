"""QuALITY: questions on stories of about five thousand words, which the judge does not get to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from oversight import BadQuestion, Label, Question, UserError, choices, hub, task

HUB_ID = "emozilla/quality"
REVISION = "52ff65ed05238d957cfa57cdf500670d18335b29"
COLUMNS = ("article", "question", "options", "answer", "hard")


@task(
    asymmetry="the helpers have the story; the judge has not",
    source="QuALITY (Pang et al. 2022, arXiv 2112.08608), emozilla/quality on the Hugging Face hub",
    licence="CC BY 4.0",
)
def quality(
    *,
    seed: int,
    split: Literal["validation", "train"] = "validation",
    answers: Literal[2, 4] = 2,
    hard: bool | None = None,
) -> Iterator[tuple[Question, Label]]:
    """Questions on stories of about 5,000 words, hidden from the judge. (Kenton 2024; Khan 2024)

    split: "validation" or "train".
    answers: 2 (the right answer and one of the three wrong ones, drawn by the seed) or all 4.
    hard: true for questions that readers in a hurry got wrong, false for the others; default all.
    """
    if answers not in (2, 4):
        raise UserError(f"quality: answers is {answers}; choose 2 or 4")
    unmarked = yielded = 0
    for row in hub.rows(HUB_ID, REVISION, f"{split}-*.parquet", COLUMNS):
        if hard is not None and row["hard"] is not hard:
            unmarked += row["hard"] is None
            continue
        yielded += 1
        yield _item(row, split, answers, seed)
    if not yielded and hard is not None:
        raise UserError(
            f"quality: no {split} question is marked hard={hard}"
            + (f"; {unmarked} in these files are not marked at all, leave out hard" if unmarked else "")
        )


def _item(row: dict[str, Any], split: str, answers: int, seed: int) -> tuple[Question, Label]:
    article, text = str(row["article"] or ""), str(row["question"] or "").strip()
    options = [str(option or "").strip() for option in row["options"] or ()]
    story = f"quality-{choices.digest(article)}"
    # The two question writers of a story may ask the same: only with its options is a question unique.
    source_id = f"{story}-{choices.digest(text, *options)}"
    right = row["answer"]
    if not article.strip():
        raise BadQuestion(f"{source_id}: the article is empty")
    if not text:
        raise BadQuestion(f"{source_id}: the question is empty")
    if len(options) != 4:
        raise BadQuestion(f"{source_id}: {len(options)} options; there should be 4")
    if not isinstance(right, int) or not 0 <= right < 4:
        raise BadQuestion(f"{source_id}: the answer is {right!r}; it should be 0 to 3")
    if not all(options) or len(set(map(choices.folded, options))) < 4:
        raise BadQuestion(f"{source_id}: options are empty or equal: {options}")
    # Seeded by the row's own content, so that which rows are read beside it changes nothing.
    chance = choices.chance("quality", seed, source_id)
    wrong = [option for i, option in enumerate(options) if i != right]
    shown, label = choices.placed(options[right], choices.drawn(wrong, answers - 1, chance), chance)
    question = Question(
        text=text,
        answers=shown,
        passage=article,
        group=story,
        source_id=source_id,
        meta={
            "split": split,
            "hard": row["hard"],
            "title": _title(article),
            "answer": right,
            "options": options,
            "words": len(article.split()),
        },
    )
    return question, label


def _title(article: str) -> str:
    """The article's first line with anything on it, but for comments: the story's title."""
    lines = (" ".join(line.split()) for line in article.splitlines())
    return next((line for line in lines if line and not line.startswith("<")), "")
