"""Question and Label: what is asked, and, kept apart from it, which answer is right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from oversight.errors import BadQuestion


def content_key(*parts: Any) -> int:
    """64-bit key of JSON-like content; the same on every machine (see docs/decisions.md, "Keys")."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def hex_id(key: int) -> str:
    """A key as people write it: sixteen hexadecimal digits."""
    return f"{key:016x}"


def _strings(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(v, str) for v in values)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Question:
    """A question with two or more answers, in an order that says nothing about which is right.

    `passage` is the text that an asymmetry hides from the judge. `group` names the passage or
    family that statistics cluster on (default: the question itself). `stem`, where there is one, is
    how a sentence begins that the right answer completes ("Ada was born in"): judges read by the
    log-probs of the answers' texts go on from it, instead of from "The answer is". `meta` is for people and SQL;
    no player ever sees it.

    Raises `BadQuestion` for an empty text, fewer than two answers, empty or equal answers.
    """

    text: str
    answers: tuple[str, ...]
    passage: str | None = None
    group: str = ""
    stem: str = ""
    source_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        texts = {"text": self.text, "group": self.group, "stem": self.stem, "source_id": self.source_id}
        texts |= {"passage": self.passage} if self.passage is not None else {}
        texts |= {"answers": "".join(self.answers)} if _strings(self.answers) else {}
        for what, text in texts.items():
            if not isinstance(text, str):
                raise BadQuestion(f"question {self.text!r}: its {what} is {text!r}, which is no text")
            if not _encodes(text):
                raise BadQuestion(
                    f"question {self.text!r}: its {what} has a lone surrogate, which no file holds"
                )
        name = self.source_id or self.text[:60]
        if not isinstance(self.answers, tuple | list):
            raise BadQuestion(f"question {name!r}: its answers are {self.answers!r}, not a tuple of texts")
        if not self.text.strip():
            raise BadQuestion(f"question {name!r} has no text")
        if len(self.answers) < 2:
            raise BadQuestion(f"question {name!r} has {len(self.answers)} answer(s); two or more are needed")
        seen: set[str] = set()
        for answer in self.answers:
            if not isinstance(answer, str) or not answer.strip():
                raise BadQuestion(f"question {name!r} has an empty answer")
            folded = " ".join(answer.split()).casefold()
            if folded in seen:
                raise BadQuestion(f"question {name!r} has two equal answers: {answer.strip()!r}")
            seen.add(folded)
        if self.passage is not None and not self.passage.strip():
            raise BadQuestion(f"question {name!r} has an empty passage")

    @cached_property
    def key(self) -> int:
        """Content key over what a player could be shown and the source's own id."""
        return content_key("question", self.text, self.answers, self.passage, self.stem, self.source_id)

    @property
    def id(self) -> str:
        return hex_id(self.key)

    @property
    def cluster(self) -> str:
        """The group that statistics cluster on."""
        return self.group or self.id


@dataclass(frozen=True, slots=True)
class Label:
    """The index of the right answer in `Question.answers`. It is not part of what a protocol can see."""

    index: int
