"""A folder to run commands in: a small task, and scripted players of every kind of verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oversight.cli import main

TASK = '''
from oversight import Label, Question, task

@task(asymmetry="the helpers read the passage", source="made up", licence="CC0", generated=True)
def toy(*, seed: int, answers: int = 2):
    """A toy.

    answers: how many to choose from
    """
    n = 0
    while True:
        names = tuple(f"Person {n}{c}" for c in "abcdef"[:answers])
        yield Question(f"Who did thing {n}?", names, passage="Mira Tan repaired the clock. Jo slept.",
                       group=f"g{n // 2}", source_id=f"toy-{n}"), Label((n * 7 + n // 3) % answers)
        n += 1
'''

REPLIES = """
judge: "Answer: A"
judge ask: "Why so?"
debater: "<thinking>hm</thinking>It is {answer}. <quote>Jo slept.</quote> <quote>Jo ran.</quote> [verified]"
consultant: "It is \\u001b[31m{answer}\\u001b[0m [bold]sure[/bold]."
"""

PLAYERS = '''
import asyncio
from oversight import Completion, Transport

def number(request):
    return int(request.view.question.split()[-1].rstrip("?"))

def mixed(request):
    """Of ten questions: one unparsable, one refused, one failed, seven decided."""
    if request.view.seat.role != "judge":
        return "It is " + request.view.answer.text
    match number(request) % 10:
        case 0: return "no idea"
        case 1: return Completion("I decline", stop="refused", prompt_tokens=1, completion_tokens=1)
        case 2: raise Transport("the server is away")
    return "Answer: A"

def tied(request):
    return {"A": -1.0, "B": -1.0}

async def slow(request):
    with open("slow.txt", "a") as made:
        made.write("x")
    await asyncio.sleep(0.2)
    return "Answer: B" if request.view.seat.role == "judge" else "It is " + request.view.answer.text

def broken(request):
    raise KeyError("oops")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, made the current one."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "task.py").write_text(TASK)
    (tmp_path / "rep.yaml").write_text(REPLIES)
    (tmp_path / "players.py").write_text(PLAYERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


Ran = tuple[int, str, str]


@pytest.fixture
def oversight(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command in this process: exit status, standard output, standard error."""

    def call(*argv: str) -> Ran:
        status = main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return status, out, err

    return call


PLAYED = ("--task", "./toy", "--judge", "scripted/rep.yaml", "--debater", "scripted/rep.yaml")


@pytest.fixture
def played(oversight: Callable[..., Ran]) -> Callable[..., Ran]:
    """The same, in a folder where twenty questions have been played by every bundled protocol."""
    arms = ("direct", "direct:passage=true", "consultancy:rounds=1", "debate:rounds=1")
    status, _, err = oversight("run", *arms, *PLAYED, "--limit", "20")
    assert status == 0, err
    return oversight
