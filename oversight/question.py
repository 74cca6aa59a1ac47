"""Question (with its Images) and Label: what is asked, and, kept apart from it, which answer is right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from oversight.errors import BadQuestion


def content_key(*parts: Any) -> int:
    """64-bit key of JSON-like content; the same on every machine (see docs/decisions.md, "Keys")."""
    return int.from_bytes(hashlib.blake2b(_json(parts), digest_size=8).digest(), "big")


def _json(parts: tuple[Any, ...]) -> bytes:
    if _PLAIN.issuperset(map(type, parts)) or all(map(_alike, parts)):
        try:
            return orjson.dumps(parts)
        except TypeError:  # half of a surrogate pair, a number beyond 64 bits
            pass
    return _encoded(parts).encode("utf-8", "surrogatepass")


def _alike(part: Any) -> bool:
    """Whether orjson's JSON of it is Python's."""
    kind = type(part)
    if kind is float:  # 1e-05 is written otherwise, and an infinity as null
        return bool(part == 0 or 0.0001 <= abs(part) < 1e16)
    return kind in _PLAIN or ((kind is list or kind is tuple) and all(map(_alike, part)))


_PLAIN = frozenset((str, int, bool, type(None)))
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


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


MOST_BYTES = 20_000_000
"""Of one image: what the providers take."""


@dataclass(frozen=True)
class Image:
    """A picture: its bytes, and their media type (image/png, image/jpeg, image/webp, image/gif)."""

    media_type: str
    data: bytes = field(repr=False)

    @cached_property
    def key(self) -> int:
        """Content key."""
        return content_key("image", self.media_type, hashlib.sha256(self.data).hexdigest())


def media_type(data: bytes) -> str | None:
    """The media type that an image's first bytes tell; None for what is no image that models take."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    known = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
    known |= {b"GIF87a": "image/gif", b"GIF89a": "image/gif"}
    return next((kind for magic, kind in known.items() if data.startswith(magic)), None)


def _wrong(image: Any) -> str:
    """What is wrong with an image; "" for nothing."""
    if not isinstance(image, Image):
        return f"is a {type(image).__name__}, not an oversight.Image"
    if not isinstance(image.data, bytes):
        return f"holds a {type(image.data).__name__}, not bytes"
    if not image.data:
        return "is empty"
    if len(image.data) > MOST_BYTES:
        return f"has {len(image.data) / 1e6:,.1f} MB; models take {MOST_BYTES // 1_000_000} MB at most"
    kind = media_type(image.data)
    if kind is None:
        return "is no PNG, JPEG, WebP or GIF by its first bytes; convert it to PNG"
    return "" if kind == image.media_type else f"is {kind} by its first bytes, not {image.media_type!r}"


@dataclass(frozen=True)
class Question:
    """A question with two or more answers, in an order that says nothing about which is right.

    `passage` is the text that an asymmetry hides from the judge. `images` are seen by every seat, or,
    with `images_hidden`, by those alone that may read the passage. `group` names the passage or
    family that statistics cluster on (default: the question itself). `stem`, where there is one, is
    how a sentence begins that the right answer completes ("Ada was born in"): judges read by the
    log-probs of the answers' texts go on from it, instead of from "The answer is". `meta` is for people and SQL;
    no player ever sees it. `passage_name` is what prompts call the passage: "text", "table", "solution", a
    "tool's output".

    Raises `BadQuestion` for an empty text, fewer than two answers, empty or equal answers, and an image that
    is empty, over 20 MB, or not what its media type says.
    """

    text: str
    answers: tuple[str, ...]
    passage: str | None = None
    group: str = ""
    stem: str = ""
    source_id: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)
    images: tuple[Image, ...] = ()
    images_hidden: bool = False
    passage_name: str = "text"

    def __post_init__(self) -> None:
        texts = {"text": self.text, "group": self.group, "stem": self.stem, "source_id": self.source_id}
        texts |= {"passage_name": self.passage_name}
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
        if not isinstance(self.images, tuple | list):
            raise BadQuestion(
                f"question {name!r}: its images are no tuple but a {type(self.images).__name__}"
            )
        for number, image in enumerate(self.images, start=1):
            if wrong := _wrong(image):
                raise BadQuestion(f"question {name!r}: image {number} {wrong}")
        if not self.passage_name.strip():
            raise BadQuestion(f"question {name!r} has an empty passage_name")
        if self.images_hidden and not self.images:
            raise BadQuestion(f"question {name!r} hides its images and has none")

    @cached_property
    def key(self) -> int:
        """Content key over what a player could be shown and the source's own id."""
        images = ([image.key for image in self.images], self.images_hidden) if self.images else ()
        named = (self.passage_name,) if self.passage_name != "text" else ()
        return content_key(
            "question", self.text, self.answers, self.passage, self.stem, self.source_id, *images, *named
        )

    @property
    def hides(self) -> str:
        """What there is that some seats may not see, as prompts call it; "" for nothing."""
        if self.passage is not None:
            return self.passage_name
        return "image" if self.images_hidden else ""

    def seen(self, reads: bool) -> tuple[Image, ...]:
        """The images that a seat sees; `reads` says whether it may read the passage."""
        return tuple(self.images) if reads or not self.images_hidden else ()

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
