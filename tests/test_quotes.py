"""Quotes are found, budgeted, checked and marked as promised, whatever the text; words and sentences too."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oversight.models.interface import Completion, Model
from oversight.moves import Seat
from oversight.player import Player
from oversight.prompts import template_from
from oversight.question import Question
from oversight.quotes import (
    _squash,
    check_quotes,
    clip_quotes,
    defuse,
    find_in_passage,
    marked,
    quoted_lines,
    split_quotes,
)
from oversight.speech import turn_from
from oversight.text import count_words, cut_words, fold, lines, sentence_ends, sentences
from oversight.views import view

PASSAGE = (
    "Mira Tan repaired the clock. “It was north of here,” said Jo\u00adBell — in Dr. Orme's café, at 5½.\n\n"
    "No one came to the cafe\u0301s."
)

# Texts made of what matters here: tags, marks, the passage's own words, and odd characters.
PIECES = """<quote>|</quote>|< QUOTE >|<quote/>|⟦|⟧|〚|[|(|&#10214;|verified|ver\u200bified|vеrified|ｖerified
not in the passage|Mira Tan repaired|the clock.|“It was north|No|Dr.|\u2028|\u00ad|\u200b|·|…|"|”|a|é
e\u0301|ﬁ|½|\U000e0041|!|<"""
piece = st.sampled_from([" ", "\n", *(p for line in PIECES.split("\n") for p in line.split("|"))])
texts = st.one_of(st.lists(piece, max_size=24).map("".join), st.text(max_size=40))
quick = settings(max_examples=300, deadline=None)


@given(texts)
@quick
@example("a<quote>b<quote>c</quote>d</quote>e</quote>f<quote>g")
def test_spans_lie_in_the_text_in_order_and_tags_are_gone(text: str) -> None:
    plain, spans = split_quotes(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(plain)
        at = end
    if "<" not in text:
        assert (plain, spans) == (text, [])


def test_nested_and_unclosed_quotes() -> None:
    assert split_quotes("a<quote>b<quote>c</quote>d</quote>e</quote>f<quote>g") == (
        "abcdefg",
        [(1, 4), (6, 7)],
    )
    assert split_quotes("<quote></quote>x") == ("x", [])


@given(texts, st.integers(0, 12))
@quick
def test_the_budget_is_held_and_checked_text_is_left_alone(text: str, budget: int) -> None:
    plain, spans = split_quotes(text)
    shown, quotes = check_quotes(plain, spans, PASSAGE, budget)
    assert sum(count_words(shown[q.start : q.end]) for q in quotes) <= budget
    at = 0
    for q in quotes:
        assert at <= q.start < q.end <= len(shown)
        at = q.end
    again, same = check_quotes(shown, [(q.start, q.end) for q in quotes], PASSAGE, budget)
    assert again == shown
    assert [(q.start, q.end, q.verified) for q in same] == [(q.start, q.end, q.verified) for q in quotes]
    if sum(count_words(plain[s:e]) for s, e in spans) <= budget:
        assert shown == plain and not any(q.cut for q in quotes)


@given(texts, st.integers(0, 12))
@quick
def test_a_verified_quote_is_in_the_passage(text: str, budget: int) -> None:
    plain, spans = split_quotes(text)
    shown, quotes = check_quotes(plain, spans, PASSAGE, budget)
    for q in quotes:
        assert q.verified == (q.passage_start is not None)
        if q.verified:
            needle = _squash(shown[q.start : q.end])[0].strip().strip('"').strip().strip(".… ")
            assert needle in _squash(PASSAGE)[0] and any(c.isalnum() for c in needle)
            assert needle in _squash(PASSAGE[q.passage_start : q.passage_end])[0]


def drawn(text: str) -> str:
    """The text without a soft hyphen, and letters without their accents."""
    return text.replace("\u00ad", "").replace("\u0301", "")


@given(st.integers(0, len(PASSAGE)), st.integers(0, len(PASSAGE)))
@quick
def test_whole_words_of_the_passage_are_found_where_they_stand(a: int, b: int) -> None:
    start, end = sorted((a, b))
    said = PASSAGE[start:end]
    seen = drawn(PASSAGE)
    start, end = len(drawn(PASSAGE[:start])), len(drawn(PASSAGE[:end]))
    whole = all(not (0 < i < len(seen) and seen[i - 1].isalnum() and seen[i].isalnum()) for i in (start, end))
    if whole and any(c.isalnum() for c in said):
        assert find_in_passage(said, PASSAGE) is not None
        assert find_in_passage(f' "{said.strip()}…" ', PASSAGE) is not None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("repaired  the\nclock", True),
        ('"It was north of here"', True),
        ("JoBell - in Dr. Orme’s cafe\u0301", True),
        ("No one came to the cafés.", True),
        ("the café", False),
        ("no", False),
        ("nor", False),
        ("mira tan", False),
        ("Mira Tan … the clock", False),
        ("...", False),
        ("", False),
    ],
)
def test_what_counts_as_in_the_passage(said: str, found: bool) -> None:
    assert (find_in_passage(said, PASSAGE) is not None) is found


@given(texts)
@quick
@example("[[[[[[[[[[[[[[[[verified")
@example("[ver⟦ified")
@example("(\u00bd verified")
def test_defusing_is_idempotent_keeps_every_place_and_leaves_no_bracket_of_ours(text: str) -> None:
    once = defuse(text)
    assert defuse(once) == once
    assert len(once) == len(text)
    assert not set("⟦⟧〚〛【】⁅⁆") & set(once)


@given(texts, texts)
@quick
def test_marks_are_ours_alone_even_where_a_mark_meets_words(before: str, said: str) -> None:
    plain, spans = split_quotes(f"{before}<quote>{said}</quote>{before}")
    shown, quotes = check_quotes(plain, spans, PASSAGE, 8)
    text = marked(shown, quotes)
    assert text.count("⟦") == text.count("⟧") == len(quotes)
    assert text.count('⟦verified: "') == sum(q.verified for q in quotes)
    assert text.count('⟦not in the passage: "') == sum(not q.verified for q in quotes)
    assert all(line.startswith(">") for line in lines(quoted_lines(text)))
    assert all(line == ">" or line.startswith("> ") for line in quoted_lines(text).split("\n"))


@given(texts)
@quick
def test_folding_knows_where_each_character_came_from(text: str) -> None:
    folded, at = fold(text)
    assert len(folded) == len(at) and at == sorted(at)
    assert all(0 <= i < len(text) for i in at)


@pytest.mark.parametrize(
    "text",
    [
        "(" + " " * 40_000,
        "<" + " " * 40_000,
        "(v " * 15_000,
        "[v" + "-" * 40_000,
        "&" * 40_000,
        "(not " + " " * 40_000,
    ],
    ids=["spaces", "tag", "starts", "dashes", "entities", "words"],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    defuse(text), split_quotes(text), cut_words(text, 10)
    assert time.process_time() - began < 10  # what is quadratic takes minutes


# words and sentences


@given(texts, st.integers(1, 12))
@quick
def test_a_cut_text_holds_the_limit_and_ends_after_a_word_or_sentence(text: str, limit: int) -> None:
    end = cut_words(text, limit)
    kept = text[:end]
    assert count_words(kept) <= limit and 0 <= end <= len(text)
    if count_words(text) <= limit:
        assert end == len(text)
    else:
        assert kept and not kept[-1].isspace()
        assert end in sentence_ends(text) or count_words(kept) == limit
        assert end == len(text) or text[end].isspace()


@given(texts)
@quick
def test_sentences_are_the_text_without_the_space_between_them(text: str) -> None:
    found = sentences(text)
    assert all(s and s == s.strip() and len(lines(s)) == 1 for s in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_abbreviations_and_initials_do_not_end_a_sentence() -> None:
    assert sentences("Dr. A. Orme came. He left!\nWhy?") == ["Dr. A. Orme came.", "He left!", "Why?"]


# speeches


@given(texts, st.integers(1, 10), st.integers(0, 6))
@quick
def test_a_speech_cut_to_its_words_keeps_its_quotes_true(text: str, words: int, budget: int) -> None:
    question = Question("Who?", ("Mira", "Jo"), passage=PASSAGE)
    seat = Seat("A", "debater", 0)
    looking = view(question, (0, 1), [seat], [], seat, "speak", reads=True)
    template = template_from("{% call user() %}x{% endcall %}", "x")
    player = Player("debater", Model(), template, words=words, quote_words=budget)
    turn = turn_from(Completion(f"So: {text}"), looking, player)
    assert count_words(turn.text) <= words
    assert sum(count_words(turn.text[q.start : q.end]) for q in turn.quotes) <= budget
    for q in turn.quotes:
        assert 0 <= q.start < q.end <= len(turn.text)
        found = find_in_passage(turn.text[q.start : q.end], PASSAGE)
        assert q.verified == (found is not None)
    assert marked(turn.text, turn.quotes).count("⟦") == len(turn.quotes)


def test_a_quote_shortened_by_either_limit_says_so() -> None:
    question = Question("Who?", ("Mira", "Jo"), passage=PASSAGE)
    seat = Seat("A", "debater", 0)
    looking = view(question, (0, 1), [seat], [], seat, "speak", reads=True)
    template = template_from("{% call user() %}x{% endcall %}", "x")
    for words, budget, cut in ((20, 20, False), (20, 3, True), (4, 20, True), (4, 3, True)):
        player = Player("debater", Model(), template, words=words, quote_words=budget)
        said = "See <quote>Mira Tan repaired the clock.</quote> and so on and on"
        (quote,) = turn_from(Completion(said), looking, player).quotes
        assert quote.cut is cut and quote.verified


def test_clipping_keeps_what_is_left_of_a_quote() -> None:
    _, quotes = check_quotes("aaa bbb ccc", [(0, 3), (4, 7), (8, 11)], None, 9)
    assert clip_quotes(quotes, 6) == [(0, 3), (4, 6)]
