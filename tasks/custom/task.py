"""Questions of one's own: a CSV, TSV, JSONL or Parquet file, its columns named by a few options."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Literal

from oversight import BadQuestion, Image, Label, Question, UserError, task

from .reading import Row, open_table

MOST_ROWS = 1_000_000
MEDIA_TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which column holds what. A name that is "" stands for a column that there is not."""

    folder: Path
    question: str
    answers: tuple[str, ...]
    label: str
    label_is: str
    passage: str
    group: str
    id: str
    stem: str
    images: str
    images_hidden: bool
    meta: tuple[str, ...]

    @property
    def named(self) -> list[str]:
        """All columns that must be there."""
        single = (self.question, self.label, self.passage, self.group, self.id, self.stem, self.images)
        return [name for name in (*single, *self.answers, *self.meta) if name]


class Wrong(Exception):
    """What is wrong with one row, as the complaint goes on after the row's place."""


@task(
    asymmetry="yours: with passage=… the helpers have the passage and the judge has not; else skill",
    source="a file of your own",
    licence="the file's own",
    publish=False,
)
def custom(
    *,
    seed: int,
    file: str,
    question: str = "question",
    answers: str = "answers",
    label: str = "label",
    label_is: Literal["index", "letter", "text"] = "index",
    passage: str = "",
    group: str = "",
    id: str = "",
    stem: str = "",
    images: str = "",
    images_hidden: bool = False,
    meta: str = "",
    shuffle: bool = True,
) -> Iterator[tuple[Question, Label]]:
    """Questions from a file of one's own: CSV, TSV, JSONL or Parquet. Every row is checked.

    file: path of the file; a relative one is looked for in the working directory, or beside the experiment's file.
    question: column of the question's text.
    answers: column with a list of the answers, or a column for each, joined by "+" (right+wrong).
    label: column that says which answer is right.
    label_is: what label holds: the answer's "index" (from 0), its "letter" (A, B …) or its "text".
    passage: column of the text that the judge does not see; default none.
    group: column of the family that statistics cluster on; default the passage, else the question itself.
    id: column of an id of your own, kept as source_id; default a hash of the row's content.
    stem: column of a sentence's beginning that the right answer completes; default none.
    images: column of a path or a list of paths, relative to the file's folder; default none.
    images_hidden: true shows the images only to seats that read the passage.
    meta: columns to keep for SQL, joined by "+"; no player sees them.
    shuffle: false keeps each question's answers in the file's order.
    """
    if label_is not in ("index", "letter", "text"):
        raise UserError(f"custom: label_is is {label_is!r}; choose index, letter or text")
    mapping = Mapping(
        Path(file).expanduser().parent, question, _columns(answers), label, label_is, passage, group, id, stem,
        images, images_hidden, _columns(meta),
    )  # fmt: skip
    for option, name in (("question", question), ("answers", answers.strip("+ ")), ("label", label)):
        if not name:
            raise UserError(f"custom: {option}= names no column")
    yield from _checked(file, mapping, seed if shuffle else None)


def _columns(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split("+") if name.strip())


def _checked(file: str, mapping: Mapping, seed: int | None) -> list[tuple[Question, Label]]:
    """All rows as questions. Raises `BadQuestion` for the first row that is wrong, counting the others."""
    table = open_table(file)
    if table.columns is not None:
        for name in mapping.named:
            if name not in table.columns:
                raise UserError(f"custom: {file} has no column {name!r}; it has {_listed(table.columns)}")
    items: list[tuple[Question, Label]] = []
    first, others = "", 0
    ids: dict[str, Row] = {}
    for rows, row in enumerate(table.rows, start=1):
        if rows > MOST_ROWS:
            raise UserError(f"custom: {file} has more than {MOST_ROWS:,} rows; split it")
        try:
            item = _item(row, mapping, seed)
            same = ids.setdefault(item[0].source_id, row)
            if same is not row:
                raise Wrong(
                    f", column {mapping.id!r}: {_brief(item[0].source_id)} is also the id of {same.place}"
                    if mapping.id
                    else f" is the same as {same.place}"
                )
            items.append(item)
        except (Wrong, BadQuestion) as error:
            says = str(error) if isinstance(error, Wrong) else f": {error}"
            others += bool(first)
            first = first or f"custom: {file}, {row.place}{says}"
    if first:
        more = f" ({others:,} other row{'s are' if others > 1 else ' is'} wrong as well)" if others else ""
        raise BadQuestion(first + more)
    if not items:
        raise UserError(f"custom: {file} has no rows")
    return items


def _item(row: Row, mapping: Mapping, seed: int | None) -> tuple[Question, Label]:
    """One row as a question. Raises `Wrong`, or `BadQuestion` for what no question may be."""
    if row.wrong:
        raise Wrong(f": {row.wrong}" if row.wrong[0].isdigit() else f" {row.wrong}")
    values = row.values
    text = _needed(values, mapping.question)
    answers = _answers(values, mapping.answers)
    right = _label(values, mapping, answers)
    passage = _needed(values, mapping.passage) if mapping.passage else None
    content = _digest(text, *answers, passage or "", *(_paths(values, mapping.images)))
    source_id = _needed(values, mapping.id) if mapping.id else f"custom-{content}"
    order = list(range(len(answers)))
    if seed is not None:
        # Seeded by the row itself, so that which rows are read beside it changes nothing.
        random = Random(f"custom {seed} {source_id}").random
        order.sort(key=lambda _: random())
    group = _needed(values, mapping.group) if mapping.group else ""
    if not group and passage is not None:
        group = f"custom-{_digest(passage)}"
    images = tuple(_image(path, mapping) for path in _paths(values, mapping.images))
    question = Question(
        text=text,
        answers=tuple(answers[i] for i in order),
        passage=passage,
        group=group,
        stem=_text(values, mapping.stem) if mapping.stem else "",
        source_id=source_id,
        meta={"row": row.number} | {name: _kept(values, name) for name in mapping.meta},
        images=images,
        images_hidden=mapping.images_hidden and bool(images),
    )
    return question, Label(order.index(right))


def _answers(values: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    if len(columns) > 1:
        texts = [_needed(values, name) for name in columns]
        where = " and ".join(repr(name) for name in columns)
    else:
        where = repr(columns[0])
        found = _value(values, columns[0])
        if isinstance(found, str) and found.lstrip().startswith("["):  # a CSV's cells are texts
            try:
                found = json.loads(found)
            except ValueError as error:
                raise Wrong(f", column {where}: no JSON list ({error})") from None
        if not isinstance(found, list | tuple):
            raise Wrong(
                f", column {where}: {_brief(found)} is no list of answers; give a list, or a column for each "
                "answer: answers=one+other"
            )
        texts = [_plain(value, f"{where}, answer {i}") for i, value in enumerate(found, start=1)]
        if len(texts) < 2:
            raise Wrong(f", column {where}: {len(texts)} answer(s); two or more are needed")
        for i, text in enumerate(texts, start=1):
            if not text:
                raise Wrong(f", column {where}: answer {i} is empty")
    folded = [_folded(text) for text in texts]
    for text, key in zip(texts, folded, strict=True):
        if folded.count(key) > 1:
            raise Wrong(f", column {where}: two equal answers, {_brief(text)}")
    return texts


def _label(values: dict[str, Any], mapping: Mapping, answers: list[str]) -> int:
    """Which of the answers, as the file lists them, is right."""
    text, n = _needed(values, mapping.label), len(answers)
    where = f", column {mapping.label!r}:"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n]
    if mapping.label_is == "text":
        matching = [i for i, answer in enumerate(answers) if _folded(answer) == _folded(text)]
        if not matching:
            raise Wrong(f"{where} {_brief(text)} is none of the answers")
        return matching[0]
    if mapping.label_is == "letter":
        letter = text.strip(" ().:").upper()
        if len(letter) == 1 and letter in letters:
            return letters.index(letter)
        raise Wrong(f"{where} {_brief(text)} is no letter from A to {letters[-1]}")
    if not isinstance(values[mapping.label], bool) and re.fullmatch(r"[+-]?\d{1,9}(\.0+)?", text):
        index = int(text.split(".")[0])
        if 0 <= index < n:
            return index
        raise Wrong(f"{where} {index} is out of range; {n} answers have the indices 0 to {n - 1}")
    hint = "letter" if text.strip(" ().:").upper() in tuple(letters) else "text"
    raise Wrong(f"{where} {_brief(text)} is no index; if it is the answer's {hint}, say label_is={hint}")


def _paths(values: dict[str, Any], column: str) -> list[str]:
    if not column:
        return []
    found = _value(values, column)
    if found is None or found == "":
        return []
    if isinstance(found, str) and found.lstrip().startswith("["):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise Wrong(f", column {column!r}: no JSON list ({error})") from None
    return [_plain(path, repr(column)) for path in (found if isinstance(found, list | tuple) else [found])]


def _image(path: str, mapping: Mapping) -> Image:
    where = f", column {mapping.images!r}:"
    kind = MEDIA_TYPES.get(Path(path).suffix.lower())
    if kind is None:
        raise Wrong(f"{where} {_brief(path)} is no image by its ending ({_listed(MEDIA_TYPES)})")
    file = mapping.folder / path
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is no regular file")
        return Image(kind, file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Wrong(f"{where} {_brief(path)} cannot be read: {reason}") from None


# cells


def _value(values: dict[str, Any], column: str) -> Any:
    if column not in values:
        raise Wrong(f" has no column {column!r}; it has {_listed(values)}")
    return values[column]


def _text(values: dict[str, Any], column: str) -> str:
    return _plain(_value(values, column), repr(column))


def _needed(values: dict[str, Any], column: str) -> str:
    text = _text(values, column)
    if not text:
        raise Wrong(f", column {column!r}: is empty")
    return text


def _plain(value: Any, where: str) -> str:
    """A cell as text: numbers and dates as they are written, nothing and NaN as "", true and false so."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return ""
        case str():
            text = value.strip()
        case int() | float() | Decimal() | date() | time():
            text = str(value)
        case _:
            raise Wrong(f", column {where}: a {type(value).__name__}, not a text")
    if "\0" in text:
        raise Wrong(f", column {where}: has a NUL character in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Wrong(f", column {where}: has half of a surrogate pair in it") from None
    return text


def _kept(values: dict[str, Any], column: str) -> Any:
    """A cell for `meta`: numbers and truth values stay what they are."""
    value = _value(values, column)
    return value if isinstance(value, bool | int) else _plain(value, repr(column)) or None


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


def _brief(value: Any) -> str:
    """A value for a message: on one line, and not long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _listed(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "") or "none"
