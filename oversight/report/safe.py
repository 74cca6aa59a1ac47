"""Text of models and tasks, made safe to print: what a terminal would obey is shown as an escape.

A reply may hold ANSI sequences that recolour or erase the screen, and marks that turn the reading
direction round. Everything out of the database goes through `visible` before it is printed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_OBEYED = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # reading direction
    r"\u200b\u2028\u2029\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible, or other line ends
    r"\ud800-\udfff"  # lone surrogates, which no stream can encode
)
_IN_TEXT = re.compile(f"[{_OBEYED}]")
_IN_LINE = re.compile(f"[{_OBEYED}\\t\\n]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def visible(text: str) -> str:
    """The text with control characters, ESC and direction marks as escapes; newlines and tabs stay."""
    return _IN_TEXT.sub(_escaped, text)


def one_line(text: str) -> str:
    """As `visible`, with newlines and tabs as escapes too: for table cells and single lines."""
    return _IN_LINE.sub(_escaped, text)


def cell(text: str, style: str = "") -> Text:
    """One line of somebody else's text for rich, which then finds no markup in it."""
    from rich.text import Text

    return Text(one_line(text), style=style)


def _escaped(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
