"""MMMU: college questions on pictures (plots, scans, scores, circuits), which every seat sees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, Literal

from oversight import BadQuestion, Image, Label, Question, UserError, choices, hub, media_type, task

HUB_ID = "MMMU/MMMU"
REVISION = "171b0ef74cd1704464e6940860968009d8cdd59a"
IMAGES = tuple(f"image_{n}" for n in range(1, 8))
COLUMNS = ("id", "question", "options", "answer", "question_type", "explanation", "subfield", *IMAGES)


@task(
    asymmetry="the judge is the weaker model; everyone sees the question and its images",
    source="MMMU (Yue et al. 2023, arXiv 2311.16502), MMMU/MMMU on the Hugging Face hub",
    licence="Apache-2.0",
)
def mmmu(
    *,
    seed: int,
    split: Literal["validation", "dev"] = "validation",
    subjects: str = "all",
    answers: Literal[2, "all"] = 2,
    explained: bool = True,
) -> Iterator[tuple[Question, Label]]:
    """Multiple-choice questions of college courses with their images. (Kenton 2024)

    split: "validation" or "dev"; the answers of "test" are not public.
    subjects: "all", or one or more folders of the data set joined by "+", e.g. Music+Biology.
    answers: 2 (the right one and a wrong one, drawn by the seed) or "all" there are.
    explained: only questions that come with an explanation of the answer, as Kenton et al. take them.
    """
    if answers not in (2, "all"):
        raise UserError(f"mmmu: answers is {answers}; choose 2 or all")
    unexplained = yielded = 0

    def made() -> Iterator[tuple[Question, Label] | str]:
        nonlocal unexplained
        for row in _rows(split, subjects):
            if row["question_type"] != "multiple-choice":
                yield "not multiple choice"
            elif explained and not _explanation(row):
                unexplained += 1
            else:
                yield _item(row, split, answers, seed)

    for item in choices.asked("mmmu", made()):
        yielded += 1
        yield item
    if unexplained and not yielded:
        raise UserError(
            f"mmmu: none of the {unexplained} questions in these files has an explanation; add explained=false"
        )


def _rows(split: str, subjects: str) -> Iterator[dict[str, Any]]:
    names = [name.strip() for name in subjects.split("+")]
    if not all(re.fullmatch(r"\w+", name) for name in names):
        raise UserError(f"mmmu: subjects is {subjects!r}; write all, or subjects joined by + (Music+Biology)")
    for name in dict.fromkeys(names):
        folder = "*" if name == "all" else name
        yield from hub.rows(HUB_ID, REVISION, f"{folder}/{split}-*.parquet", COLUMNS)


def _item(row: dict[str, Any], split: str, answers: int | str, seed: int) -> tuple[Question, Label] | str:
    """The question, or why there is none. Raises `BadQuestion` for a row that is broken."""
    name = str(row["id"] or "a row without an id")
    text = str(row["question"] or "").strip()
    options = _options(name, row["options"])
    letter = str(row["answer"] or "").strip()
    right = ord(letter) - ord("A") if re.fullmatch("[A-Z]", letter) else -1
    if not text:
        raise BadQuestion(f"{name}: the question is empty")
    if not 0 <= right < len(options):
        raise BadQuestion(f"{name}: the answer is {letter!r}; there are {len(options)} options, from A")
    if not all(options) or len(set(map(choices.folded, options))) < len(options):
        return "empty or equal options"
    images = _images(name, row)
    if not images:
        return "no image"
    named = {int(n) for n in re.findall(r"<image (\d+)>", " ".join((text, *options)))}
    if not named <= set(range(1, len(images) + 1)):
        raise BadQuestion(
            f"{name}: it speaks of image {max(named)}, and has {len(images)}; fetch the file again"
        )
    # Seeded by the row's own content, so that a pair does not depend on which rows are read beside it.
    digest = choices.digest(text, *options, *(str(image.key) for image in images))
    chance = choices.chance("mmmu", seed, digest)
    wrong = [option for n, option in enumerate(options) if n != right]
    most = 1 if answers == 2 else len(wrong)
    shown, label = choices.placed(options[right], choices.drawn(wrong, most, chance), chance)
    meta = {
        "id": row["id"],
        "split": split,
        "subject": re.sub(r"^[a-z]+_|_\d+$", "", name),
        "subfield": row["subfield"],
        "options": options,
        "answer": letter,
        "explained": bool(_explanation(row)),
        "pair": "all options" if answers == "all" else "the right option and a random wrong one",
    }
    question = Question(text, shown, source_id=f"mmmu-{digest}", meta=meta, images=images)
    return question, label


def _options(name: str, written: Any) -> list[str]:
    """The options, which the hub keeps as the text of a Python list."""
    try:
        options = ast.literal_eval(str(written))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        options = None
    if not isinstance(options, list) or len(options) < 2:
        raise BadQuestion(f"{name}: the options are no list of two or more: {str(written)[:80]!r}")
    return [str(option).strip() for option in options]


def _images(name: str, row: dict[str, Any]) -> tuple[Image, ...]:
    """The images, so that the n-th is what the text calls <image n>."""
    held = [(row[column] or {}).get("bytes") for column in IMAGES]
    there = [data for data in held if data]
    if held[: len(there)] != there:
        raise BadQuestion(f"{name}: an image is missing among the first {len(there)}; fetch the file again")
    return tuple(_image(name, bytes(data)) for data in there)


def _image(name: str, data: bytes) -> Image:
    kind = media_type(data)
    if kind is None:
        raise BadQuestion(f"{name}: an image is neither PNG, JPEG, WebP nor GIF")
    return Image(kind, data)


def _explanation(row: dict[str, Any]) -> str:
    """The explanation; the hub writes "?" for one that is withheld."""
    return str(row["explanation"] or "").strip().strip("?")
