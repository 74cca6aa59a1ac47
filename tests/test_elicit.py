"""A reply is read as the verdict it states, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support import rows

from oversight import UserError
from oversight.elicit import from_probabilities, parse_letter
from oversight.moves import Seat
from oversight.views import Answer, View


def read(reply: str, *answers: str) -> int | None:
    shown = tuple(Answer("ABCD"[i], text) for i, text in enumerate(answers or ("the cellar", "the roof")))
    return parse_letter(reply, View(Seat("judge", "judge"), "judge", 1, "Where?", shown))


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
        ("Answer: A\nNo, wait.\nAnswer: B", (), 1),
        ("Answer: B) A red house", ("A blue house", "A red house"), 1),
        ("(B) A red house", ("A blue house", "A red house"), 1),
        ("Answer: -5", ("5", "-5"), 1),
        ("Answer: 5", ("5", "-5"), 0),
        ("Answer: C++", ("C#", "C++"), 1),
        ("Answer: A+", ("A", "A+"), 1),
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
    ],
)
def test_a_reply_that_names_none_or_two_is_unparsable(reply: str) -> None:
    assert read(reply) is None


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
