"""`oversight show`: headings that count upwards, readings with their names, and a view where no prompt was kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oversight.cli import main

Play = Callable[..., Any]
Show = Callable[..., str]


@pytest.fixture
def show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    def told(*argv: str) -> str:
        assert main(["show", *argv, "--db", str(tmp_path / "db.duckdb")]) == 0
        return capsys.readouterr().out

    return told


REPLIES = """
judge: "Answer: A"
judge choose: A
judge ask: "Why?"
critique: "Weak."
default: "It is so."
"""


def test_rounds_are_counted_upwards_and_queries_apart(play: Play, replies: Any, show: Show) -> None:
    judge = {"model": replies(REPLIES), "queries": 2, "beliefs": True}
    play("debate:rounds=2", judge=judge, debater={"model": replies(REPLIES), "refine": 1}, limit=1)
    out = show("last")
    assert re.findall(r"^(?:Round|Query) \d+$", out, re.MULTILINE) == [
        "Round 1",
        "Round 2",
        "Query 1",
        "Query 2",
    ]
    assert (
        out.index("Query 1")
        < out.index("Judge asks A")
        < out.index("Debater A answers")
        < out.index("Query 2")
    )
    assert "criticised once" in out and "1 times" not in out


def test_a_question_of_the_protocol_stays_in_its_round(play: Play, replies: Any, show: Show) -> None:
    play("consultancy:rounds=2", judge=replies(REPLIES), debater=replies(REPLIES), limit=1)
    heads = re.findall(r"^(?:Round|Query) \d+$|^Judge asks|^Consultant ", show("last"), re.MULTILINE)
    assert heads == ["Round 1", "Consultant ", "Judge asks", "Round 2", "Consultant "]


def test_the_members_of_a_panel_are_named(play: Play, replies: Any, show: Show) -> None:
    other = replies('judge: "Answer: B"')
    play("direct", judge={"model": replies(REPLIES), "panel": [other], "elicit": "hard"}, limit=1)
    also = "".join(show("last").split()).split("Alsoread")[1:]  # however it is wrapped
    assert len(also) == 2 and sum(other in line for line in also) == 1


DEBATE = {
    "id": "7", "question": "Who left?", "answers": ["Ada", "Bo"], "right": 0,
    "speeches": [["Ada was seen.", "Bo was."]], "p": [0.8, 0.2], "person": "Cy",
}  # fmt: skip


def test_of_an_imported_episode_a_seats_view_is_shown(
    tmp_path: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(
        r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "importing.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydebates.py").write_text(example)
    (tmp_path / "debates.jsonl").write_text(json.dumps(DEBATE) + "\n")
    found = re.search(
        r"oversight import (mydebates:\w+)", (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    )
    assert found is not None
    assert main(["import", found[1], "debates.jsonl", "--db", "db.duckdb"]) == 0
    out = show("last", "--as", "judge")
    assert "nothing was sent to judge from here" in out
    for part in ("Question: Who left?", "(A) ", "(B) ", "> Ada was seen.", "> Bo was."):
        assert part in out
    assert out.index("─── Debater A\n> Ada was seen.") < out.index("─── Debater B\n> Bo was.")
    assert "It argues (" in show("last", "--as", "A")


def test_what_a_seat_may_not_see_is_not_in_its_view(tmp_path: Path) -> None:
    from oversight.quotes import OPEN
    from oversight.report.seen import as_view
    from oversight.report.transcript import SaidTurn, Transcript

    def turn(n: int, seat: str, text: str, seen: tuple[str, ...] | None) -> SaidTurn:
        return SaidTurn(
            n, "speak", seat, "debater", 1, text, f"{seat} thinks", None, None, 2, None, False, seen, (), ()
        )

    turns = (turn(0, "A", "to all ⟦✓", None), turn(1, "B", "to A alone", ("A",)))
    whole = Transcript(
        "0", 0, "debate", {}, "j", None, "t", "", "Who?", ("Ada", "Bo"), (1, 0), {"A": 0, "B": 1}, "THE PASSAGE",
        "text", (), False, 0, 0, turns, (), (),
    )  # fmt: skip
    judge, a, b = ("\n".join(as_view(whole, seat)) for seat in ("judge", "A", "B"))
    assert "to all" in judge and OPEN not in judge and "to A alone" not in judge
    assert "THE PASSAGE" not in judge and "does not see the text" in judge and "thinks" not in judge
    assert "THE PASSAGE" in a and "to A alone" in a and "A thinks" in a and "B thinks" not in a
    assert "It argues (B)" in a and "It argues (A)" in b
