"""Ways to share other than `oversight run`: from Python, judging again, and an experiment in parts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nursery import GATE, Nursery
from support import REPLIES, TASK, content, rows

import oversight
from oversight.engine.sharing import sharing_of
from oversight.store.check import check
from oversight.store.reading import open_reader
from oversight.store.serve import free_port, note_path, read_note

TOKEN = "a token that both processes have"

CALL = """
import sys, oversight
shared = {"share": True, "lease": 5} if sys.argv[2:] else {}
players = {"judge": "scripted/rep.yaml:elicit=hard", "debater": "scripted/rep.yaml:temperature=1"}
played = oversight.run(["direct", "debate:rounds=2"], "./toy", **players, limit=20, db=sys.argv[1], concurrency=2, **shared)
print(played.run.planned, len(played.judgements), played.run.played)
"""

MODEL = """
async def reply(request):
    await asyncio.sleep(0.02)
    return "Answer: " + "AB"[request.seed % 2] if request.view.act == "judge" else f"Speech {request.seed}."
"""


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_from_python_the_same_call_joins(tmp_path: Path, toy: str) -> None:
    (tmp_path / "rep.yaml").write_text(REPLIES)
    (tmp_path / "toy" / "task.py").write_text(TASK + GATE)

    def start(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CALL, *argv]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    db = tmp_path / "shared.duckdb"
    assert start("whole.duckdb").communicate()[0].split() == ["40", "40", "40"]
    processes = [start(db.name, "share")]
    until(lambda: (note := read_note(note_path(db))) and note.share)
    processes.append(start(db.name, "share"))
    with open_reader(db) as reader:
        until(lambda: reader.sql("SELECT count(*) = 2 FROM runs").rows[0][0])
    (tmp_path / "go").touch()
    said = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [found[:2] for found in said] == [["40", "40"]] * 2
    assert sum(int(found[2]) for found in said) == 40 and all(int(found[2]) for found in said)
    assert content(db) == content(tmp_path / "whole.duckdb")


def test_from_python_the_errors_are_the_commands(toy: str, tmp_path: Path) -> None:
    given = {"protocols": "direct", "task": toy, "judge": "scripted/none.yaml", "limit": 1}
    for more, said in (
        ({"join": "somewhere"}, "no address"),
        ({"join": "h:1", "share": True}, "give either"),
        ({"listen": "0.0.0.0:9"}, "nothing would be encrypted"),
        ({"lease": 5}, "add --share"),
        ({"share": True, "lease": 0.5}, "--lease is 0.5"),
    ):
        with pytest.raises(oversight.UserError, match=said):
            oversight.run(**{**given, **more, "db": tmp_path / "db.duckdb"})  # type: ignore[arg-type]
    assert sharing_of(False, None, None, None) is None


def test_judging_again_is_shared_and_elsewhere_played_from_a_copy(tmp_path: Path, toy: str) -> None:
    (tmp_path / "mine.py").write_text(GATE + MODEL)
    mine = "scripted/mine:reply"
    players = ("--judge", f"{mine}:elicit=hard", "--debater", f"{mine}:temperature=1")
    with Nursery(tmp_path, "debate:rounds=1", "--task", "./toy", *players, "--limit", "20", "-q") as nursery:
        first = nursery.start("--db", "db.duckdb")
        assert first.end() == 0, first.said
    for name in ("whole", "loaded", "copy"):
        shutil.copy(tmp_path / "db.duckdb", tmp_path / f"{name}.duckdb")
    again = ("--judge", f"{mine}:elicit=votes,votes=2,temperature=1", "--reverse", "--concurrency", "2", "-q")
    at = f"127.0.0.1:{free_port()}"
    with Nursery(tmp_path, *again, command="rejudge") as nursery:
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        owner = nursery.start("--db", "db.duckdb", "--listen", at, OVERSIGHT_TOKEN=TOKEN)
        owner.hear("is shared")
        here = nursery.start("--db", "db.duckdb", "--share")
        there = nursery.start("--db", "copy.duckdb", "--join", at, OVERSIGHT_TOKEN=TOKEN)
        for worker in (here, there):
            worker.hear("joined the run")
        (tmp_path / "go").touch()
        for process in (owner, here, there):
            assert process.end() == 0, process.said
    db = tmp_path / "db.duckdb"
    assert content(db) == content(tmp_path / "whole.duckdb")
    assert not check(db).flaws
    assert rows(db, "SELECT count(*), sum(played) FROM runs WHERE already_done = 0") == [(4, 40)]
    assert rows(tmp_path / "copy.duckdb", "SELECT count(*) FROM runs") == [(1,)]


def test_each_part_of_an_experiment_is_shared(tmp_path: Path, toy: str) -> None:
    (tmp_path / "mine.py").write_text(GATE + MODEL)
    (tmp_path / "parts.yaml").write_text(
        "protocols: direct\ntask: ./toy\njudge: scripted/mine:reply:elicit=hard\ndebater: scripted/mine:reply\n"
        "limit: 20\nconcurrency: 2\nparts:\n  debates: {protocols: debate:rounds=1}\n"
    )
    with Nursery(tmp_path, "parts.yaml", "--part", "all", "-q") as nursery:
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        processes = [nursery.start("--db", "shared.duckdb", "--share")]
        processes[0].hear("is shared")
        processes += [nursery.start("--db", "shared.duckdb", "--share") for _ in range(2)]
        for worker in processes[1:]:
            worker.hear("joined the run")
        (tmp_path / "go").touch()
        for process in processes:
            assert process.end() == 0, process.said
    assert content(tmp_path / "shared.duckdb") == content(tmp_path / "whole.duckdb")
    assert not check(tmp_path / "shared.duckdb").flaws


def test_who_comes_late_joins_the_part_that_is_being_played(tmp_path: Path, toy: str) -> None:
    (tmp_path / "mine.py").write_text(GATE + MODEL)
    (tmp_path / "parts.yaml").write_text(
        "protocols: direct\ntask: ./toy\njudge: scripted/mine:reply:elicit=hard\ndebater: scripted/mine:reply\n"
        "limit: 20\nconcurrency: 2\nparts:\n  debates: {protocols: debate:rounds=1}\n"
    )
    gate = tmp_path / "go"
    with Nursery(tmp_path, "parts.yaml", "-q") as nursery:
        gate.touch()
        assert nursery.start("--part", "all", "--db", "whole.duckdb").end() == 0
        assert nursery.start("--db", "shared.duckdb").end() == 0
        gate.unlink()
        owner = nursery.start("--part", "debates", "--db", "shared.duckdb", "--share")
        owner.hear("is shared")
        late = nursery.start("--part", "all", "--db", "shared.duckdb", "--share")
        late.hear("part (main) comes later")
        late.hear("joined the run")
        gate.touch()
        for process in (owner, late):
            assert process.end() == 0, process.said
    assert content(tmp_path / "shared.duckdb") == content(tmp_path / "whole.duckdb")
    assert rows(tmp_path / "shared.duckdb", "SELECT count(*) FROM runs WHERE played > 0") == [(3,)]
