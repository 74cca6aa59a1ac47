"""What an experiment's file names is looked for beside it, then where the command is typed, and never in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import TASK, rows

from oversight.cli import main
from oversight.errors import UserError
from oversight.experiment import load_experiment

CSV = "question,right,wrong\nWho is it?,Ada,Ned\n"
EXPERIMENT = """
protocols: direct
tasks: [{custom: {file: mine.csv, answers: right+wrong, label: right, label_is: text}}, "./toy:answers=3"]
judge: simulated/judge
limit: 1
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with the experiment's folder in it."""
    (tmp_path / "study" / "toy").mkdir(parents=True)
    (tmp_path / "study" / "experiment.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path) -> None:
    (folder / "toy").mkdir(exist_ok=True)
    (folder / "toy" / "task.py").write_text(TASK)
    (folder / "mine.csv").write_text(CSV)


def loaded() -> Any:
    return load_experiment(Path("study/experiment.yaml"))


@pytest.mark.parametrize("where", ["study", "."])
def test_files_and_folders_are_found_beside_the_experiment_or_where_it_is_run(here: Path, where: str) -> None:
    if where == ".":
        (here / "study" / "toy").rmdir()
    fill(here / where)
    assert main(["run", "study/experiment.yaml", "-q"]) == 0
    asked = rows(here / "oversight.duckdb", "SELECT text, len(answers) FROM questions ORDER BY ALL")
    assert asked == [("In chronicle 0, who repaired the clock?", 3), ("Who is it?", 2)]


def test_a_file_that_is_in_both_places_is_refused_with_both_named(here: Path) -> None:
    fill(here / "study")
    (here / "mine.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"mine\.csv is there twice, as study/mine\.csv and in the working"):
        loaded()
    (here / "mine.csv").unlink()
    (here / "mine.csv").symlink_to("study/mine.csv")  # one file, by two names
    assert loaded()["tasks"][0]["params"]["file"] == "study/mine.csv"


def test_whole_paths_plain_names_and_other_values_stay(here: Path) -> None:
    (here / "study" / "experiment.yaml").write_text(
        f"protocols: direct\ntask: {{custom: {{file: {here}/mine.csv, question: mine.csv}}}}\nlimit: 1\n"
    )
    (here / "study" / "direct").mkdir()
    settings = loaded()
    assert settings["protocols"] == [{"name": "direct", "params": {}}]
    assert settings["task"][0]["params"] == {"file": f"{here}/mine.csv", "question": "mine.csv"}
    assert settings["limit"] == 1


def test_a_file_that_is_nowhere_is_said_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "study" / "toy" / "task.py").write_text(TASK)
    assert main(["run", "study/experiment.yaml", "-q"]) == 2
    err = capsys.readouterr().err
    assert "there is no file mine.csv" in err and err.count("\n") == 1
