"""Small facts about text that several files need: words, sentences, lines, what it looks like folded."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Lt|Sgt|vs|etc|e\.g|i\.e)|\b[A-Z])\.$")


def count_words(text: str) -> int:
    """Runs of non-space characters."""
    return sum(1 for _ in _WORD.finditer(text))


def sentence_ends(text: str) -> list[int]:
    """Offsets just after each sentence; common abbreviations and initials do not end one."""
    return [m.end() for m in _SENTENCE_END.finditer(text) if not _ABBREVIATION.search(text[: m.start() + 1][-8:])]


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the space between them; a line break ends one too."""
    found = []
    for line in lines(text):
        start = 0
        for end in [*sentence_ends(line), len(line)]:
            sentence = line[start:end].strip()
            if sentence:
                found.append(sentence)
            start = end
    return found


def lines(text: str) -> list[str]:
    """Split at everything a reader might take for a line break."""
    return _LINE_BREAK.split(text)


def cut_words(text: str, limit: int) -> int:
    """Offset at which `text` is to be cut to hold `limit` words: after a whole sentence where there
    is one within the limit, else after the last word. `len(text)` when it is short enough."""
    last = None
    for n, match in enumerate(_WORD.finditer(text), start=1):
        if n == limit:
            last = match.end()
        elif n > limit:
            break
    else:
        return len(text)
    if last is None:
        return 0
    ends = [end for end in sentence_ends(text) if end <= last]
    return ends[-1] if ends else last


def fold(text: str) -> tuple[str, list[int]]:
    """`text` with compatibility forms, case, accents and invisible characters taken out, and for each
    character left its offset in `text`. For finding what only pretends to be something else."""
    out: list[str] = []
    at: list[int] = []
    for i, char in enumerate(text):
        if char.isascii():
            out.append(char.lower())
            at.append(i)
            continue
        if unicodedata.category(char) in ("Cf", "Mn", "Me", "Cc"):
            continue
        for c in unicodedata.normalize("NFKD", char).casefold():
            if unicodedata.category(c) not in ("Cf", "Mn", "Me"):
                out.append(_LOOKALIKE.get(c, c))
                at.append(i)
    return "".join(out), at


# Letters of other scripts that are drawn like the Latin letters of our marks.
_LOOKALIKE = {
    "а": "a", "е": "e", "і": "i", "о": "o", "ѕ": "s", "υ": "u", "ν": "v", "р": "p", "с": "c", "ԁ": "d",
    "һ": "h", "ӏ": "l", "ꓲ": "i", "г": "r", "ɡ": "g", "ɩ": "i", "ʋ": "v", "ѵ": "v", "ɪ": "i", "ꜰ": "f",
    "ᴠ": "v", "ᴇ": "e", "ʀ": "r", "ᴅ": "d", "ı": "i", "ι": "i", "ε": "e", "ԍ": "g", "ք": "f", "ϝ": "f",
}  # fmt: skip
