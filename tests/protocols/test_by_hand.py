"""The bundled protocols, driven by hand with no model: each reads like its definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oversight import Ask, Case, Judge, Speak, Together, Turn, Verdict
from oversight.library import find_protocol


def moves(name: str, answers: int = 2, argued: int | None = None, **params: Any) -> list[str]:
    """A protocol's moves as words, with a made-up turn or verdict sent back for each."""
    protocol = find_protocol(name)
    case = Case("Who?", tuple("wxyz"[:answers]), protocol.seats(answers, argued))
    script = protocol.script(case, **params)
    said: list[str] = []
    answer: Any = None
    while True:
        try:
            move = script.send(answer)
        except StopIteration:
            return said
        said.append(spelt(move))
        answer = tuple(played(m) for m in move.parts) if isinstance(move, Together) else played(move)


def played(move: Any) -> Turn | Verdict:
    if isinstance(move, Judge):
        return Verdict("decided", "hard", choice=0)
    return Turn("ask" if isinstance(move, Ask) else "speak", move.seat.name, 1, "…")


def spelt(move: Any) -> str:
    if isinstance(move, Together):
        return "+".join(spelt(part) for part in move.parts)
    word = {Speak: "", Ask: "?", Judge: "!"}[type(move)]
    return f"{move.seat.name}{word}" + ("(reads)" if getattr(move, "passage", False) else "")


@pytest.mark.parametrize(
    ("name", "settings", "played"),
    [
        ("direct", {}, ["judge!"]),
        ("direct", {"passage": True}, ["judge!(reads)"]),
        ("debate", {"rounds": 2}, ["A+B", "A+B", "judge!"]),
        ("debate", {"rounds": 2, "order": "sequential"}, ["A", "B", "A", "B", "judge!"]),
        ("debate", {"rounds": 1, "ask": True}, ["judge?", "A+B", "judge!"]),
        ("debate", {"rounds": 1, "answers": 4}, ["A+B+C+D", "judge!"]),
        ("consultancy", {"rounds": 2, "argued": 1}, ["consultant", "judge?", "consultant", "judge!"]),
        ("consultancy", {"rounds": 2, "argued": 0, "ask": False}, ["consultant", "consultant", "judge!"]),
    ],
)
def test_a_protocol_is_its_moves(name: str, settings: dict[str, Any], played: list[str]) -> None:
    assert moves(name, **settings) == played


def test_debater_a_argues_the_answer_shown_first() -> None:
    seats = find_protocol("debate").seats(3)
    assert [(s.name, s.answer) for s in seats] == [("judge", None), ("A", 0), ("B", 1), ("C", 2)]


def test_every_bundled_folder_has_a_card_and_a_template_for_each_role() -> None:
    def folders() -> Iterator[Any]:
        for name in ("direct", "debate", "consultancy"):
            yield find_protocol(name)

    for protocol in folders():
        assert protocol.folder is not None
        assert "arXiv" in (protocol.folder / "README.md").read_text()
        for role in protocol.roles:
            assert (protocol.folder / f"{role.name}.jinja").is_file()
