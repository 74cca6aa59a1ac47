"""A reply is read as the verdict it states, or not at all."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import rows

from oversight import UserError
from oversight.elicit import from_probabilities, parse_credence, parse_letter
from oversight.moves import Seat
from oversight.views import Answer, Line, View

HEARD = Line("Debater A", "debater", "speak", 1, "the cellar", "> the cellar", mine=False)


def seen(*answers: str) -> View:
    shown = tuple(Answer("ABCD"[i], text) for i, text in enumerate(answers or ("the cellar", "the roof")))
    return View(Seat("judge", "judge"), "judge", 1, "Where?", shown, (HEARD,))


def read(reply: str, *answers: str) -> int | None:
    return parse_letter(reply, seen(*answers))


def stated(reply: str, *answers: str) -> tuple[float, ...] | None:
    found = parse_credence(reply, seen(*answers))
    return found and tuple(round(p, 6) for p in found.probabilities)


@pytest.mark.parametrize(
    ("reply", "answers", "choice"),
    [
        ("Answer: A", (), 0),
        ("B", (), 1),
        ("(b)", (), 1),
        ("**Answer: B**", (), 1),
        ("Answer: **B**.", (), 1),
        ("I have thought.\n\nThe answer is (B).", (), 1),
        ("Answer: B (the roof)", (), 1),
        ("Answer: B. the roof", (), 1),
        ("B) The roof.", (), 1),
        ("Answer: B - the roof", (), 1),
        ("Answer: Option B", (), 1),
        ("Answer: the roof", (), 1),
        ("the cellar", (), 0),
        (r"Answer: \boxed{B}", (), 1),
        ("Answer: B, because A was refuted.", (), 1),
        ("<think>Answer: A</think>Answer: B", (), 1),
        ("Answer: B) A red house", ("A blue house", "A red house"), 1),
        ("(B) A red house", ("A blue house", "A red house"), 1),
        ("Answer: -5", ("5", "-5"), 1),
        ("Answer: 5", ("5", "-5"), 0),
        ("Answer: C++", ("C#", "C++"), 1),
        ("Answer: A+", ("A", "A+"), 1),
        ('{"answer": "B"}', (), 1),
        ('```json\n{"answer": "B"}\n```', (), 1),
        ("The answer is not clear at once.\nAnswer: B", (), 1),
        ("(A) the cellar\n(B) the roof\nAnswer: B", (), 1),
        ("> Answer: A\n\nAnswer: B", (), 1),
        ("Debater A says:\nAnswer: A\n\nAnswer: B", (), 1),
        ("Answer: B\nDebater A only repeats itself.", (), 1),
    ],
)
def test_a_verdict_that_is_stated_is_read(reply: str, answers: tuple[str, ...], choice: int) -> None:
    assert read(reply, *answers) == choice


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: A or B",
        "Answer: not A",
        "A: I think B",
        "Answer: (A) is wrong; it must be the other one",
        "A) is not supported by the text.",
        "A-level results say the other",
        "Answer: A-ha, it is the other one!",
        "answer a: maybe\nanswer b: no",
        "<think>Answer: A",
        "***",
        "",
        "I cannot say.",
        "Answer: C",
        "Answer: A the roof",
        "A\nB",
        "Answer: A\nNo, wait.\nAnswer: B",
        "Answer: A\nOn reflection:\nB",
        "I begin.\nAnswer: A\nI go on.",
        '{"answer": "A or B"}',
        '{"answer": "A", "answer": "B"}',
        '{"answer": "A"} {"answer": "B"}',
        '{"answer": "A"}\nAnswer: B',
        '{"answer": "A"}\nB',
        '{"answer": "A", "also": "B"}',
        '{"answer": ["A"]}',
        "[" * 5000,
        '{"answer": ' * 5000,
    ],
)
def test_a_reply_that_names_none_or_two_is_unparsable(reply: str) -> None:
    assert read(reply) is None


@pytest.mark.parametrize(
    "reply",
    [
        "> Answer: A",
        '"Answer: A"',
        "Debater A said:\nAnswer: A",
        "**Debater A, round 1:**\n\nI read it.\nAnswer: A",
        "One of them wrote:\nAnswer: A",
        "Debater A: Answer: A",
        'Debater A says {"answer": "A"}',
        "Debater A says:\nAnswer: A\n\nI cannot tell.",
        '> {"A": 0.9, "B": 0.1}',
        "Debater A said:\nA: 90%\nB: 10%",
        "Debater A: A: 90%, B: 10%",
    ],
)
def test_what_a_judge_quotes_is_no_verdict(reply: str) -> None:
    assert read(reply) is None and stated(reply) is None


@pytest.mark.parametrize(
    ("reply", "probabilities", "repairs"),
    [
        ('{"A": 0.7, "B": 0.3}', (0.7, 0.3), ()),
        ('{"B": 0.3, "A": 0.7}', (0.7, 0.3), ()),
        ('```json\n{\n "A": 0.7,\n "B": 0.3\n}\n```', (0.7, 0.3), ()),
        ('Here is my estimate:\n{"A": 0.7, "B": 0.3}', (0.7, 0.3), ()),
        ('{"A": 0.7, "B": 0.3}\nDebater A only repeats itself.', (0.7, 0.3), ()),
        ('<think>{"A": 0, "B": 1}</think>{"A": 0.7, "B": 0.3}', (0.7, 0.3), ()),
        ('{"A": "70%", "B": "30 %"}', (0.7, 0.3), ("percentages divided by 100",)),
        ('{"A": 70, "B": 30}', (0.7, 0.3), ("percentages divided by 100",)),
        ('{"A": 99.5, "B": 0.5}', (0.995, 0.005), ("percentages divided by 100",)),
        ('{"A": 1, "B": 0}', (1, 0), ()),
        ('{"the cellar": 0.7, "the roof": 0.3}', (0.7, 0.3), ()),
        ("A: 70%\nB: 30%", (0.7, 0.3), ("percentages divided by 100",)),
        ("- **A**: 0.7\n- **B**: 0.3", (0.7, 0.3), ()),
        ("A (the cellar): 0.7, B (the roof): 0.3.", (0.7, 0.3), ()),
        ("P(A) = 0.7; P(B) = 0.3", (0.7, 0.3), ()),
        ("I have weighed it.\nA: 70 %, B: 30 %", (0.7, 0.3), ("percentages divided by 100",)),
        ("A: 0.7\nB: 0.3\nAnswer: A", (0.7, 0.3), ()),
        ('{"A": 0.333, "B": 0.66}', (0.333 / 0.993, 0.66 / 0.993), ()),
        ('{"A": 0.9, "B": 0.3}', (0.75, 0.25), ("summed to 1.2; divided by it",)),
        (
            "A: 90%\nB: 30%",
            (0.75, 0.25),
            ("percentages divided by 100", "summed to 1.2; divided by it"),
        ),
    ],
)
def test_stated_probabilities_are_read_and_repairs_are_said(
    reply: str, probabilities: tuple[float, ...], repairs: tuple[str, ...]
) -> None:
    found = parse_credence(reply, seen())
    assert found is not None
    assert found.probabilities == pytest.approx(probabilities) and found.repairs == repairs


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "A",
        "Answer: A",
        "About 70% for A.",
        '{"A": 0.7}',
        '{"A": 0.7, "B": 0.3, "C": 0}',
        '{"A": 0.7, "B": 0.3, "why": "so"}',
        '{"A": 0.7, "a": 0.2, "B": 0.1}',
        '{"A": 0.7, "A": 0.2, "B": 0.3}',
        '{"A": -0.2, "B": 1.2}',
        '{"A": 0, "B": 0}',
        '{"A": NaN, "B": 1}',
        '{"A": Infinity, "B": 1}',
        '{"A": 1e999, "B": 1}',
        '{"A": 1' + "0" * 400 + ', "B": 1}',
        '{"A": true, "B": false}',
        '{"A": null, "B": 1}',
        '{"A": "70%", "B": 0.3}',
        '{"A": 0.7, "B": 30}',
        '{"A": 0.7, "B": 0.3} or {"A": 0.3, "B": 0.7}',
        '{"A": 0.7, "B": 0.3}\n{"A": 0.3, "B": 0.7}',
        '{"A": 0.7, "B": 0.3}\nA: 30%\nB: 70%',
        '{"A": 0.7, "B": 0.3}\nAnswer: B',
        "A: 60-70%\nB: 30%",
        "A: 0,7\nB: 0,3",
        "A: 0,7, B: 0,3",
        "A: 70% B: 30%",
        "A: 70%\nB: 30%\nThen again:\nA: 30%\nB: 70%",
        "I think\nA: 70%\nB: 30%\nbut who knows",
        "A: 70%\nC: 30%",
        "[" * 5000,
        '{"A": ' * 5000,
    ],
)
def test_probabilities_that_are_missing_or_can_be_read_in_two_ways_are_none(reply: str) -> None:
    assert stated(reply) is None


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
PROBABILITY = st.floats(0, 1, allow_nan=False).map(lambda p: round(p, 4))


@given(TEXTS)
def test_no_reply_breaks_the_parsers_and_what_they_give_are_probabilities(text: str) -> None:
    for reply in (
        text,
        "{" + text + "}",
        f"A: {text}\nB: 0.5",
        f"Answer: {text}",
        f'{{"A": "{text}", "B": 1}}',
    ):
        choice, found = parse_letter(reply, seen()), parse_credence(reply, seen())
        assert choice in (None, 0, 1)
        if found is not None:
            assert math.fsum(found.probabilities) == pytest.approx(1) and min(found.probabilities) >= 0


@given(
    st.lists(PROBABILITY, min_size=2, max_size=4).filter(lambda ps: sum(ps) > 0), st.booleans(), st.booleans()
)
def test_what_was_written_down_is_what_is_read(ps: list[float], lines: bool, shuffled: bool) -> None:
    answers = ("the cellar", "the roof", "the shed", "the barn")[: len(ps)]
    pairs = list(zip("ABCD", ps, strict=False))[:: -1 if shuffled else 1]
    reply = "\n".join(f"{a}: {p:f}" for a, p in pairs) if lines else json.dumps(dict(pairs))
    found = parse_credence(reply, seen(*answers))
    assert found is not None
    assert found.probabilities == pytest.approx([p / sum(ps) for p in ps], abs=1e-4)
    assert bool(found.repairs) == (abs(math.fsum(ps) - 1) > 0.01 + 1e-9)


@given(st.sampled_from("AB"), st.sampled_from("AB"), st.sampled_from(["\n", "\nNo.\n", "\n\n", "\n> x\n"]))
def test_two_verdicts_in_one_reply_are_one_only_where_they_agree(one: str, two: str, between: str) -> None:
    expected = "AB".index(one) if one == two else None
    assert read(f"Answer: {one}{between}Answer: {two}") == expected
    assert read(f"The answer is ({one}).{between}So the final answer: {two}") == expected


@given(st.sampled_from("AB"), TEXTS.filter(lambda t: "<" not in t), st.sampled_from([">", "> ", ">>"]))
def test_whatever_is_quoted_leaves_the_verdict_as_it_is(letter: str, text: str, mark: str) -> None:
    other = "B" if letter == "A" else "A"
    quoted = "\n".join(f"{mark}{line}" for line in [f"Answer: {other}", *text.splitlines()])
    assert read(f"{quoted}\nAnswer: {letter}") == "AB".index(letter)
    assert read(quoted) is None


def test_equal_first_places_are_a_tie_and_others_are_not() -> None:
    assert from_probabilities([0.5, 0.5], "letters").status == "tie"
    assert from_probabilities([0.2, 0.4, 0.4], "letters").status == "tie"
    assert from_probabilities([0.4, 0.3, 0.3], "letters").choice == 0


@pytest.mark.parametrize("scores", ["(nan, nan)", "(-inf, -inf)", "(0.0, nan)"])
def test_log_probs_that_are_no_numbers_make_no_verdict(
    play: Any, tmp_path: Any, monkeypatch: Any, scores: str
) -> None:
    run = play("direct", judge=broken(tmp_path, monkeypatch, scores), limit=1)
    assert dict(run.statuses) == {"failed": 1}
    found = rows(tmp_path / "db.duckdb", "SELECT status, reason, choice FROM verdicts")
    assert found == [("failed", "transport", None)]


@pytest.mark.parametrize("scores", ["(-1.0,)", "None", "('a', 'b')"])
def test_a_model_that_does_not_score_every_answer_is_refused(
    play: Any, tmp_path: Any, monkeypatch: Any, scores: str
) -> None:
    with pytest.raises(UserError, match="2 log-probs were asked for"):
        play("direct", judge=broken(tmp_path, monkeypatch, scores), limit=1)


def broken(tmp_path: Path, monkeypatch: Any, scores: str) -> str:
    (tmp_path / "broken.py").write_text(
        "from math import inf, nan\nfrom oversight import Completion\n"
        f"def reply(request):\n    return Completion(scores={scores})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    return "scripted/broken:reply:elicit=letters"
