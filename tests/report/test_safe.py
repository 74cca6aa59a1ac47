"""Text from outside, made safe to print."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from oversight.report.safe import cell, one_line, visible


def test_what_a_terminal_obeys_becomes_an_escape():
    assert visible("a\x1b[31mb\x07\x9b\x7f\r") == r"a\x1b[31mb\x07\x9b\x7f\r"
    assert visible("\u202eabc\u2066\u200b\U000e0041") == r"\u202eabc\u2066\u200b\U000e0041"
    assert visible("two\nlines\t.") == "two\nlines\t."
    assert one_line("two\nlines\t.") == r"two\nlines\t."


def test_letters_of_every_script_stay():
    text = "naïve Ünïcödé 日本語 עברית العربية 👩‍👩‍👧 ✓ ⟦x⟧ \\x1b"
    assert visible(text) == text


@given(st.text())
def test_nothing_unprintable_is_left(text: str):
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in one_line(text))
    assert one_line(one_line(text)) == one_line(text)


def test_no_markup_is_found_in_a_cell():
    assert cell("[bold]x[/bold] [link=http://x]").plain == "[bold]x[/bold] [link=http://x]"
