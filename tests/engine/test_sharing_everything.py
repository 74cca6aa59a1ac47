"""Whatever a run can write, workers write as one process alone would: choices, estimates, drafts, panels, beliefs,
failures and their second try, pictures."""

from __future__ import annotations

from pathlib import Path

from nursery import CRASHED, GATE, Nursery
from support import TASK, content, rows

from oversight.store.check import check

PICTURES = '''
import struct, zlib
from oversight import Image, Label, Question, task

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

def png(n):
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes([0, n, 0, 0]))) + chunk(b"IEND", b"")

@task(asymmetry="the judge sees no picture", source="made up", licence="CC0", generated=True)
def pictures(*, seed: int):
    """Pictures."""
    n = 0
    while True:
        yield Question(f"Which is picture {n}?", (f"red {n}", f"blue {n}"), passage=f"It is told in {n}.", group=f"g{n // 2}",
                       source_id=f"p{n}", images=(Image("image/png", png(n % 250)),)), Label(n % 2)
        n += 1
'''

MODEL = '''
import os
from oversight import Completion, Model, Transport


class Sees(Model):
    """Sees pictures, chooses, and fails on every fifth question until it is mended."""

    identity = "sees-1"
    images = True

    async def generate(self, request):
        number = int(request.view.question.split()[-1].rstrip("?"))
        if number % 5 == 3 and not os.path.exists("mended"):
            raise Transport("the server is away", again=False)
        if request.view.act in ("judge", "choose"):
            return Completion("Answer: " + "AB"[request.seed % 2])
        return Completion(f"Speech {request.seed}. <quote>It is told in {number}.</quote>")
'''

ARMS = (
    "direct", "consultancy:rounds=1,side=open", "double_consultancy:rounds=1", "debate:rounds=2,side=free",
    "debate:rounds=1,ask=choose",
)  # fmt: skip
SIMULATED = (
    "market_making", "debate:rounds=1", "--task", "./toy", "--judge",
    "simulated/judge:accuracy=0.7,elicit=letters+hard,beliefs=true,panel=simulated/judge:accuracy=0.6",
    "--debater", "simulated/debater:best_of=2,temperature=1,prefer=judge,prefer_by=letters,refine=1", "--limit", "30",
    "--seat", "predictor=scripted/replies.yaml", "--seat", "adversary=scripted/replies.yaml",
)  # fmt: skip

REPLIES = """
predictor estimate: {A: 0.8, B: 0.2}
adversary: "Against {answer}, in round {round}."
"""


def shared(nursery: Nursery, db: str, status: int = 0) -> None:
    """A run by three processes, of which none plays more than a few episodes at a time."""
    few = ("--db", db, "--share", "--concurrency", "2")
    go = nursery.folder / "go"
    go.unlink(missing_ok=True)
    owner = nursery.start(*few)
    owner.hear("is shared")
    workers = [nursery.start(*few) for _ in range(2)]
    for worker in workers:
        worker.hear("joined the run")
    go.touch()
    for process in (owner, *workers):
        assert process.end() == status, process.said


FLAKY = """
import os, random
from oversight.store import share

if os.environ.get("FLAKY"):
    ask, dice = share.Link.ask, random.Random(int(os.environ["FLAKY"]))

    def lossy(self, message):
        if dice.random() < 0.15:
            raise share.Unheard("lost on its way there")
        answer = ask(self, message)
        if dice.random() < 0.15:
            raise share.Unheard("lost on its way back")
        return answer

    share.Link.ask = lossy

async def reply(request):
    with open("paid.txt", "a") as file:
        file.write(f"{request.seed}\\n")
    await __import__("asyncio").sleep(0.05)
    return "Answer: " + "AB"[request.seed % 2] if request.view.act == "judge" else f"Speech {request.seed}."
"""


def test_messages_and_answers_that_are_lost_are_sent_again_and_count_once(tmp_path: Path, toy: str) -> None:
    (tmp_path / "slow.py").write_text(FLAKY)
    players = ("--judge", "scripted/slow:reply:elicit=hard", "--debater", "scripted/slow:reply:temperature=1")
    arms = ("debate:rounds=2", "consultancy:rounds=1", "direct")
    with Nursery(tmp_path, *arms, "--task", "./toy", *players, "--limit", "12", "-q") as nursery:
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        (tmp_path / "paid.txt").unlink()
        few = ("--db", "shared.duckdb", "--share", "--concurrency", "2")
        owner = nursery.start(*few)
        owner.hear("is shared")
        workers = [nursery.start(*few, FLAKY=str(seed)) for seed in (1, 2)]
        for process in (owner, *workers):
            assert process.end() == 0, process.said
        compared(tmp_path)
    paid = (tmp_path / "paid.txt").read_text().split()
    assert len(paid) == len(set(paid))


CANCELS = """
import asyncio, os

async def reply(request):
    await asyncio.sleep(0.05)
    if os.environ.get("CANCELS"):
        raise asyncio.CancelledError
    return "Answer: " + "AB"[request.seed % 2] if request.view.act == "judge" else f"Speech {request.seed}."
"""


def test_a_worker_whose_model_cancels_itself_ends_and_the_others_take_its_episodes(
    tmp_path: Path, toy: str
) -> None:
    (tmp_path / "mine.py").write_text(CANCELS)
    (tmp_path / "toy" / "task.py").write_text(TASK + GATE)
    players = ("--judge", "scripted/mine:reply:elicit=hard", "--debater", "scripted/mine:reply")
    with Nursery(tmp_path, "direct", "--task", "./toy", *players, "--limit", "40", "-q") as nursery:
        few = ("--db", "shared.duckdb", "--share", "--concurrency", "2")
        owner = nursery.start(*few)
        owner.hear("is shared")
        worker = nursery.start(*few, CANCELS="yes")
        worker.hear("joined the run")
        (tmp_path / "go").touch()
        assert worker.end() == CRASHED, worker.said
        assert owner.end() == 0, owner.said
        assert sorted(rows(tmp_path / "shared.duckdb", "SELECT status FROM runs")) == [
            ("crashed",),
            ("finished",),
        ]
        alone = nursery.start("--db", "other.duckdb", "--share", CANCELS="yes")
        assert alone.end() == CRASHED, alone.said
    assert rows(tmp_path / "shared.duckdb", "SELECT count(*) FROM verdicts") == [(40,)]


def compared(folder: Path, status: str = "finished") -> None:
    whole, both = folder / "whole.duckdb", folder / "shared.duckdb"
    assert content(both) == content(whole)
    assert not check(both).flaws
    assert rows(both, "SELECT call FROM uses GROUP BY call HAVING count(*) FILTER (paid) <> 1") == []
    assert {row[0] for row in rows(both, "SELECT status FROM runs ORDER BY started DESC LIMIT 3")} == {status}
    assert rows(both, "SELECT count(DISTINCT run) > 1 FROM calls") == [(True,)]


def test_choices_pictures_failures_and_their_second_try(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "task.py").write_text(PICTURES + GATE)
    (tmp_path / "mymodels.py").write_text(MODEL)
    players = ("--judge", "mymodels:Sees:beliefs=true", "--debater", "mymodels:Sees:temperature=1")
    with Nursery(tmp_path, *ARMS, "--task", "./pictures", *players, "--limit", "16", "-q") as nursery:
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 1, alone.said
        shared(nursery, "shared.duckdb", status=1)
        compared(tmp_path, "failed")
        assert rows(tmp_path / "shared.duckdb", "SELECT count(*) > 0 FROM failures") == [(True,)]
        (tmp_path / "mended").write_text("")
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        shared(nursery, "shared.duckdb")
        compared(tmp_path)
    found = {table: len(lines) for table, lines in content(tmp_path / "shared.duckdb").items()}
    assert found["images"] == 16 and found["choices"] and found["quotes"]


def test_estimates_drafts_panels_and_several_readings(tmp_path: Path, toy: str) -> None:
    (tmp_path / "replies.yaml").write_text(REPLIES)
    (tmp_path / "toy" / "task.py").write_text(TASK + GATE)
    with Nursery(tmp_path, *SIMULATED, "-q") as nursery:
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        shared(nursery, "shared.duckdb")
        compared(tmp_path)
    found = {table: len(lines) for table, lines in content(tmp_path / "shared.duckdb").items()}
    assert found["choices"] and found["drafts"]
