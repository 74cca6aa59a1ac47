"""A task's `source_id` names one question: what is looked up, compared and left out by it is no other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from oversight.cli import main

TASK = """
from oversight import Label, Question, task

@task(asymmetry="none", source="invented", licence="CC0", generated={generated})
def twice(*, seed: int):
    "Two questions."
    for text in ("Who came?", "Who left?"):
        yield Question(text, ("Mira", "Jo"), source_id={name}), Label(0)
"""


@pytest.mark.parametrize("generated", [True, False])
@pytest.mark.parametrize(("name", "status"), [("'q1'", 2), ("text", 0), ("''", 0)])
def test_two_questions_of_one_source_id_are_refused_in_one_line(
    name: str,
    status: int,
    generated: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "task.py").write_text(TASK.format(name=name, generated=generated))
    assert (
        main(["run", "direct", "--task", "./twice", "--judge", "simulated/judge", "--limit", "2", "-q"])
        == status
    )
    err = capsys.readouterr().err
    if status:
        assert "two different questions have the source_id 'q1'" in err and "task.py)" in err
        assert err.count("\n") == 1
    else:
        assert err == ""
