"""BoolQ: yes/no questions on a paragraph of Wikipedia, which the judge does not get to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from oversight import BadQuestion, Label, Question, choices, hub, task

HUB_ID = "google/boolq"
REVISION = "35b264d03638db9f4ce671b711558bf7ff0f80d5"
COLUMNS = ("question", "answer", "passage")

# Why a row is left out.
COPY = "the same question on the same passage stood before"
DISPUTED = "rows with the same question and passage differ on the answer"


@dataclass(frozen=True)
class Row:
    """A yes/no question on a passage; `number` counts the split's rows from 0."""

    split: str
    number: int
    text: str
    passage: str
    yes: bool

    @property
    def group(self) -> str:
        """The passage, by a hash of its content: some have several questions."""
        return f"boolq-{choices.digest(self.passage)}"

    @property
    def id(self) -> str:
        return f"{self.group}-{choices.digest(self.text.casefold())}"


@task(
    asymmetry="the helpers have the passage; the judge has not",
    source="BoolQ (Clark et al. 2019, arXiv 1905.10044), google/boolq on the Hugging Face hub",
    licence="CC BY-SA 3.0",
)
def boolq(
    *, seed: int, split: Literal["validation", "train"] = "validation"
) -> Iterator[tuple[Question, Label]]:
    """Yes/no questions on a paragraph of about 90 words, hidden from the judge. (Kenton 2024)

    split: "validation" or "train".
    """
    made = (row if isinstance(row, str) else _item(row, seed) for row in kept(split))
    yield from choices.asked("boolq", made)


def _item(row: Row, seed: int) -> tuple[Question, Label]:
    answers, yes = choices.placed("Yes", ["No"], choices.chance(row.id, seed))
    question = Question(
        text=row.text,
        answers=answers,
        passage=row.passage,
        group=row.group,
        source_id=row.id,
        meta={"split": row.split, "row": row.number, "answer": row.yes},
    )
    return question, yes if row.yes else Label(1 - yes.index)


def kept(split: str) -> Iterator[Row | str]:
    """The rows of a split that can be asked, and why each of the others cannot."""
    source = hub.rows(HUB_ID, REVISION, f"data/{split}-*.parquet", COLUMNS)
    rows = [_row(row, split, number) for number, row in enumerate(source)]
    truths: dict[str, set[bool]] = {}
    for row in rows:
        truths.setdefault(row.id, set()).add(row.yes)
    seen: set[str] = set()
    for row in rows:
        if len(truths[row.id]) > 1:
            yield DISPUTED
        elif row.id in seen:
            yield COPY
        else:
            seen.add(row.id)
            yield row


def _row(row: dict[str, Any], split: str, number: int) -> Row:
    text, passage = (str(row[name] or "").strip() for name in ("question", "passage"))
    text = text.rstrip("? ")
    # The source has neither the capital nor the question mark.
    made = Row(split, number, f"{text[:1].upper()}{text[1:]}?", passage, row["answer"])
    wrong = ""
    if not text:
        wrong = "the question is empty"
    elif not passage:
        wrong = "the passage is empty"
    elif not isinstance(row["answer"], bool):  # the text "false" would count as true
        wrong = f"the answer is {row['answer']!r}; it should be a truth value, true or false"
    if wrong:
        raise BadQuestion(f"{made.id} ({split} row {number}): {wrong}")
    return made
