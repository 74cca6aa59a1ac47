"""How a judge's verdict is read: chosen and recorded, never mixed silently.

hard               it is asked for a letter; the reply is parsed
letters            probabilities from the log-probs of the answers' letters after "The answer is ("
texts              … of the answers' texts after the question's stem, or after "The answer is"
texts-calibrated   the same less the log-probs without turns and passage, so that what a model likes
                   to say anyway counts for nothing (Zhao et al. 2021, Holtzman et al. 2021: PMI)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oversight.errors import Empty, Truncated
from oversight.models.interface import Request
from oversight.moves import Verdict
from oversight.player import LETTERED, SCORING, STEM, Act, Player, delivered, prefilled, scores_of
from oversight.text import split_private
from oversight.views import View, unhelped

Elicit = Callable[[View, Player, Mapping[str, Any]], Act[Verdict]]
TIE = 1e-9
"""Probabilities closer than this are equal."""


def judge(view: View, player: Player, params: Mapping[str, Any]) -> Act[Verdict]:
    """Play a `Judge` move by the player's elicitation."""
    return (yield from ELICITATIONS[player.elicit](view, player, params))


def from_probabilities(probabilities: Sequence[float], elicitation: str, raw: str = "") -> Verdict:
    """A verdict for the most probable answer; a tie where two share the first place."""
    best = max(range(len(probabilities)), key=lambda i: probabilities[i])
    tied = any(i != best and probabilities[best] - p < TIE for i, p in enumerate(probabilities))
    return Verdict(
        status="tie" if tied else "decided",
        elicitation=elicitation,
        probabilities=tuple(probabilities),
        choice=None if tied else best,
        raw=raw,
    )


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    if not math.isfinite(top) or any(math.isnan(s) for s in scores):
        raise Empty(f"log-probs that make no probabilities: {scores}")
    weights = [math.exp(s - top) for s in scores]
    total = sum(weights)
    return [w / total for w in weights]


def _hard(view: View, player: Player, params: Mapping[str, Any]) -> Act[Verdict]:
    letters = " or ".join(a.letter for a in view.answers)
    asked = f'Which answer is right? Reply with one line, "Answer: " and the letter {letters}.'
    messages = player.prompt(view, params, asked)
    completion = yield Request(messages, player.room(64), view=view)
    if completion.stop == "refused":
        return Verdict("refused", "hard", raw=completion.text)
    text = delivered(completion, view.seat.title).text
    choice = parse_letter(text, view)
    if choice is None:
        if completion.stop == "length":
            raise Truncated(f"{view.seat.title}: the token limit came before a verdict: {text[-80:]!r}")
        return Verdict("unparsable", "hard", raw=text)
    return Verdict("decided", "hard", choice=choice, raw=text)


_NAMED = re.compile(
    r"^\W*(?:so |thus |therefore,? )?(?:the )?(?:final |right |correct |best )?answer\s*(?::|=|is\b:?)(.+)$",
    re.I,
)
_LETTER = re.compile(r"(?:option |answer )?[(\[]?([a-z]{1,2})(?![a-z'’])[)\]]?(.*)", re.I | re.S)
_WHY = re.compile(r"[,;.]?\s*(?:because|since|as)\b", re.I)


def parse_letter(text: str, view: View) -> int | None:
    """The index of the answer a reply names: on its last "answer: …" line, or by being nothing else.

    An answer is named by its letter, its text, both, or a letter and a reason. None where a reply names no
    answer or could be read as naming two: a verdict is never guessed.
    """
    lines = [line.strip() for line in split_private(text)[0].splitlines() if line.strip()]
    named = [match[1] for line in lines if (match := _NAMED.match(line))]
    if not named and len(lines) != 1:
        return None
    said = re.sub(r"\\boxed\{([^{}]*)\}", r"\1", named[-1] if named else lines[0])
    said = re.sub(r"^[*_`$]+|[*_`$]+(?=[.!]*$)", "", said.strip()).strip()
    texts = [_plain(a.text) for a in view.answers]
    found = {i for i, one in enumerate(texts) if one == _plain(said)}
    match = _LETTER.fullmatch(said)
    at = next((i for i, a in enumerate(view.answers) if match and a.letter == match[1].upper()), None)
    if match and at is not None:
        tail = match[2].strip()
        own = re.sub(r"^(?:[:.)]|[-–—](?=\s)|is\b)\s*", "", tail)
        if (
            not tail.strip(" .!")
            or _WHY.match(tail)
            or texts[at] in (_plain(own), _plain(own.strip("()[].")), _plain(tail))
        ):
            found.add(at)
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> str:
    """A text as answers are compared: without case, outer white space, quotation marks and a last full stop."""
    return " ".join(text.split()).casefold().strip("\"'“”‘’").removesuffix(".").strip("\"'“”‘’")


def _letters(view: View, player: Player, params: Mapping[str, Any]) -> Act[Verdict]:
    completion = yield _scored(view, player, params, "The answer is (", tuple(a.letter for a in view.answers))
    return from_probabilities(_softmax(scores_of(completion, view)), "letters")


def _texts(view: View, player: Player, params: Mapping[str, Any]) -> Act[Verdict]:
    completion = yield _by_text(view, player, params)
    return from_probabilities(_softmax(scores_of(completion, view)), "texts")


def _texts_calibrated(view: View, player: Player, params: Mapping[str, Any]) -> Act[Verdict]:
    helped, alone = yield _by_text(view, player, params), _by_text(unhelped(view), player, params)
    pairs = zip(scores_of(helped, view), scores_of(alone, view), strict=True)
    return from_probabilities(_softmax([h - a for h, a in pairs]), "texts-calibrated")


def _by_text(view: View, player: Player, params: Mapping[str, Any]) -> Request:
    return _scored(view, player, params, view.stem or STEM, tuple(f" {a.text}" for a in view.answers))


def _scored(
    view: View, player: Player, params: Mapping[str, Any], opening: str, continuations: tuple[str, ...]
) -> Request:
    asked = "Which answer is right?" if player.elicit in LETTERED else ""
    messages = player.prompt(view, params, asked)
    return Request(prefilled(messages, opening), SCORING, continuations, view=view)


ELICITATIONS: dict[str, Elicit] = {
    "hard": _hard,
    "letters": _letters,
    "texts": _texts,
    "texts-calibrated": _texts_calibrated,
}
NEEDS_SCORES = frozenset(ELICITATIONS) - {"hard"}
