"""Small facts about text that several files need: words, sentences, lines, what it looks like folded."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Lt|Sgt|vs|etc|e\.g|i\.e)|\b[A-Z])\.$")


def count_words(text: str) -> int:
    """Runs of non-space characters."""
    return len(text.split())


def sentence_ends(text: str) -> list[int]:
    """Offsets just after each sentence; common abbreviations and initials do not end one."""
    return [
        m.end() for m in _SENTENCE_END.finditer(text) if not _ABBREVIATION.search(text[: m.start() + 1][-8:])
    ]


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
    """Split at everything a reader might take for a line break. There is always a last line, if an empty one."""
    return (text + "\x1e").splitlines()  # which breaks a line by itself, and joins no break before it


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
    """`text` with compatibility forms, case, accents and invisible characters taken out, brackets that
    open made "[", and for each character left its offset in `text`. For finding what only pretends to be
    something else."""
    out: list[str] = []
    at: list[int] = []
    for i, char in enumerate(text):
        if char.isascii():
            out.append(char.lower())
            at.append(i)
            continue
        if char in _BLANK or unicodedata.category(char) in _UNSEEN:
            continue
        for c in unicodedata.normalize("NFKD", char).casefold():
            category = unicodedata.category(c)
            if category not in _UNSEEN and c not in _BLANK:
                opens = category in ("Ps", "Pi") and not c.isascii() and c not in "“„‟‘‚‛"
                out.append("[" if opens else _LOOKALIKE.get(c, c))
                at.append(i)
    return "".join(out), at


_UNSEEN = frozenset(("Cf", "Mn", "Me", "Cc", "Co", "Cn", "Cs"))
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and symbols that draw nothing


# What is drawn like the letters of our marks, or like a bracket that opens.
_LOOKALIKE = {
    alike: latin
    for latin, many in {
        "[": "⎧⎨⎰‖‹≪⋘⎱",
        "a": "аα",
        "c": "с",
        "d": "ԁᴅᎠꭰⅾɖđժꓒꓓ",
        "e": "еᴇεᎬꭼєҽəɛ℮ⲉꓰ",
        "f": "ꜰքϝƒғꓝ",
        "g": "ɡԍ",
        "h": "һ",
        "i": "іꓲɩɪıιᎥוⵏǀ",
        "l": "ӏⅼ",
        "n": "ո",
        "o": "оοᴏ",
        "p": "р",
        "q": "գԛꞯ",
        "r": "гʀᎡꭱɾɼʳᚱꓣ",
        "s": "ѕƨ",
        "t": "тτᴛ",
        "u": "υսᴜ",
        "v": "νʋѵᴠᏙꮩⅴꓦ∨",
    }.items()
    for alike in many
}


_PRIVATE = re.compile(
    r"<\s*(think|thinking|scratchpad)\s*>(.*?)(?:<\s*/\s*\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_STRAY = re.compile(r"<\s*/\s*(?:think|thinking|scratchpad)\s*>", re.IGNORECASE)


def split_private(text: str) -> tuple[str, str]:
    """What is said aloud, and what stood in <thinking> tags; a tag never closed hides the rest."""
    if "<" not in text:
        return text.strip(), ""
    private = "\n".join(m.group(2).strip() for m in _PRIVATE.finditer(text))
    public = _PRIVATE.sub("", text)
    stray = list(_STRAY.finditer(public))
    if stray:  # a closing tag alone: some backends swallow the opening one
        private = f"{private}\n{public[: stray[-1].start()].strip()}".strip()
        public = public[stray[-1].end() :]
    return public.strip(), private.strip()
