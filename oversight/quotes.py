"""What a speaker may claim of the passage: quotes found, checked, budgeted, and marked by us alone.

A speaker writes `<quote>…</quote>`. Here the tags become spans beside the text; whether a span is
the passage's is decided here and shown to others as ⟦verified: "…"⟧ or ⟦not in the passage: "…"⟧.
The brackets ⟦ ⟧ are ours: from a model's own words they are taken out, with everything that tries to
look like a mark. (Quotes as in Khan et al. 2024 and Kenton et al. 2024.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from oversight.moves import Quote
from oversight.text import count_words, fold, lines

VERIFIED, UNVERIFIED, OPEN, CLOSE = "verified", "not in the passage", "⟦", "⟧"

_TAG = re.compile(r"<\s*+(/?)\s*+quote\s*+/?\s*+>", re.IGNORECASE)
_TYPOGRAPHIC = str.maketrans(
    {
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"',
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    }
)  # fmt: skip
_ORDINARY = str.maketrans("“”‘’‐‑‒–—―−…", "\"\"''-------.")  # what makes most texts not quite ASCII
_OUR_BRACKETS = str.maketrans(
    dict.fromkeys("⟦〚⦗【〖⟬⦋⦍⦏⁅⹕⹗〘〔❲﹝［⦃⦇︗︻︹﹇⎡⎢⎣", "[")
    | dict.fromkeys("⟧〛⦘】〗⟭⦌⦎⦐⁆⹖⹘〙〕❳﹞］⦄⦈︘︼︺﹈⎤⎥⎦", "]")
)


def _spaced(word: str) -> str:
    """A pattern for a word with anything unseen or slight between its letters, and digits for some."""
    alike = {"e": "[e3]", "i": "[i1l!|]", "o": "[o0]", "s": "[s5$]", "a": "[a4@]", "t": "[t7]"}
    return r"[\s\x00-\x1f\x7f_.\-]*+".join(alike.get(c, c) for c in word)


_OPENER = (
    r"(?:[\[({<]|&(?:#\d{1,7}|#x[0-9a-f]{1,6}|\w{2,31});)"  # or an entity, which a judge may read as one
)
_MARKS = "|".join(
    (
        rf"(?:un|not|non)?[\s_\-]{{0,4}}{_spaced('verified')}",
        rf"[vu]?[\s_\-]{{0,4}}{_spaced('quote')}",
        r"\s+".join(map(_spaced, UNVERIFIED.split())),
    )
)
_FORGED = re.compile(rf"{_OPENER}[\W_]{{0,12}}?(?:{_MARKS})")
"""On folded text, where every bracket that opens is a plain one."""


def split_quotes(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without `<quote>` tags, and the spans (offsets in it) that stood between them.

    A quote inside a quote is part of it; one that is never closed runs to the end; a closing tag
    alone is dropped.
    """
    if "<" not in text:
        return text, []
    out: list[str] = []
    spans: list[tuple[int, int]] = []
    length, at, start, depth = 0, 0, 0, 0
    for tag in _TAG.finditer(text):
        piece = text[at : tag.start()]
        out.append(piece)
        length += len(piece)
        at = tag.end()
        if not tag.group(1):
            if depth == 0:
                start = length
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                spans.append((start, length))
    out.append(text[at:])
    length += len(text) - at
    if depth:
        spans.append((start, length))
    return "".join(out), [s for s in spans if s[1] > s[0]]


def check_quotes(
    text: str, spans: Sequence[tuple[int, int]], passage: str | None, budget: int
) -> tuple[str, tuple[Quote, ...]]:
    """Hold the quotes of a speech to a budget of words, then check each against the passage.

    The budget is spent in order: the quote that breaks it is cut to what is left (and ends in "…"),
    those after it are taken out of the text. Returns the new text and its quotes.
    """
    out: list[str] = []
    quotes: list[Quote] = []
    at, length, left = 0, 0, budget
    for start, end in spans:
        before = text[at:start]
        at = end
        out.append(before)
        length += len(before)
        said = text[start:end]
        words = count_words(said)
        cut = words > left
        if cut:
            said = said[: _word_end(said, left)] if left else ""
        left = max(0, left - words)
        if said.strip():
            found = find_in_passage(said, passage) if passage is not None else None
            quotes.append(
                Quote(
                    start=length,
                    end=length + len(said),
                    verified=found is not None,
                    passage_start=found[0] if found else None,
                    passage_end=found[1] if found else None,
                    cut=cut,
                )
            )
        if cut:
            said += "…"
        out.append(said)
        length += len(said)
    out.append(text[at:])
    return "".join(out), tuple(quotes)


def _word_end(text: str, words: int) -> int:
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    return ends[min(words, len(ends)) - 1] if ends else 0


def clip_quotes(quotes: Sequence[Quote], length: int) -> list[tuple[int, int]]:
    """The spans left of quotes when their text is cut to `length` characters."""
    return [(q.start, min(q.end, length)) for q in quotes if q.start < length]


def find_in_passage(said: str, passage: str) -> tuple[int, int] | None:
    """Where the passage holds `said`, exactly but for white space and typography; offsets in the passage.

    Quotation marks and an ellipsis around the quote are not part of it. It must hold a letter or
    digit and begin and end at a word's edge, so that "no" is not found in "north".
    """
    needle = _squash(said)[0].strip().strip('"').strip()
    needle = re.sub(r"^(?:\.\.\.|…)\s*|\s*(?:\.\.\.|…)$", "", needle).strip()
    if not any(c.isalnum() for c in needle):
        return None
    hay, offsets = _squash_cached(passage)
    at = hay.find(needle)
    while at >= 0:
        end = at + len(needle)
        inside_left = at > 0 and hay[at - 1].isalnum() and needle[0].isalnum()
        inside_right = end < len(hay) and hay[end].isalnum() and needle[-1].isalnum()
        if not inside_left and not inside_right:
            stop = offsets[end - 1] + 1
            while stop < len(passage) and unicodedata.combining(passage[stop]):
                stop += 1  # the accents of its last letter
            return offsets[at], stop
        at = hay.find(needle, at + 1)
    return None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _squash(text: str) -> tuple[str, tuple[int, ...]]:
    """Typography, white space and accents made one way, with each character's offset in `text`."""
    out: list[str] = []
    at: list[int] = []
    for i, char in enumerate(text):
        if char.isascii():
            piece = " " if char.isspace() else char
        elif unicodedata.category(char) == "Cf":
            continue
        elif out and unicodedata.combining(char) and len(one := _composed(out[-1] + char)) == 1:
            out[-1] = one
            continue
        else:
            piece = unicodedata.normalize("NFKC", char.translate(_TYPOGRAPHIC)).translate(_TYPOGRAPHIC)
            piece = " " if piece.isspace() else piece
        for c in piece:
            if c == " " and out and out[-1] == " ":
                continue
            out.append(c)
            at.append(i)
    return "".join(out), tuple(at)


_squash_cached = lru_cache(maxsize=64)(_squash)  # a passage is searched for every quote from it


def defuse(text: str) -> str:
    """A model's own words with everything taken out that could pass for one of our marks.

    Our brackets become square ones; a bracketed "verified" in any case, width, script or with
    invisible characters between its letters loses its bracket to "·".
    """
    if not text.isascii():
        text = text.translate(_OUR_BRACKETS)
    while True:
        plain = text if text.isascii() else text.translate(_ORDINARY)
        if plain.isascii():
            folded, offsets = plain.lower(), None
        else:
            folded, offsets = fold(text)
        if not any(opener in folded for opener in "[({<&"):
            return text
        hits = [m.start() for m in _FORGED.finditer(folded)]
        if not hits:
            return text
        chars = list(text)
        for hit in hits:
            chars[offsets[hit] if offsets is not None else hit] = "·"
        text = "".join(chars)


def marked(text: str, quotes: Sequence[Quote]) -> str:
    """A turn's text with our marks around its quotes, and none but ours."""
    out: list[str] = []
    at = 0
    for quote in quotes:
        out.append(defuse(text[at : quote.start]))
        mark = VERIFIED if quote.verified else UNVERIFIED
        said = text[quote.start : quote.end]
        if quote.verified:
            said = _squash(said)[0]  # what was found, without what may hide between its letters
        said = defuse(said).strip().strip('"“”')
        out.append(f'{OPEN}{mark}: "{said}"{CLOSE}')
        at = quote.end
    out.append(defuse(text[at:]))
    return "".join(out)


def quoted_lines(text: str) -> str:
    """The text with every line begun by "> ", so that no line of it can pass for ours."""
    return "\n".join(f"> {line}".rstrip() for line in lines(text))
