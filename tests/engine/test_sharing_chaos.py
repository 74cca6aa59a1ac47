"""Workers that stall, lose their leases, lose messages and die, and an owner that stands still: in one process, with
replies that no two payments have in common, so that nobody can play with another reply than the file's."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
from support import rows

from oversight import Completion, Model
from oversight.engine.budget import Budget
from oversight.engine.plan import Plan, make_plan
from oversight.engine.run import Progress, _play_all
from oversight.engine.sharing.guest import Guest
from oversight.engine.sharing.host import ENDED, Host, agreed
from oversight.errors import StoreError
from oversight.experiment import experiment_from
from oversight.store.check import check
from oversight.store.log import Log
from oversight.store.share import Link, Unheard

TTL = 0.2
WORKERS = 3
FATE = threading.local()
"""What befalls the process, here a thread: its dice, and how often it stalls."""


class Novel(Model):
    """Never says the same twice, is slow, and now and then stops its whole process for longer than a lease lasts."""

    identity = "novel"
    said = 0

    async def generate(self, request: Any) -> Completion:
        dice = FATE.dice
        if dice.random() < FATE.stalls:
            time.sleep(TTL * dice.uniform(0.5, 3))
        await asyncio.sleep(dice.expovariate(1 / 0.01))
        type(self).said += 1
        number = type(self).said
        if request.view.act == "judge":
            return Completion(f"Reason {number}.\nAnswer: {'AB'[number % 2]}")
        return Completion(f"Speech {number}.")


class Rough(Link):
    """A line in one process on which messages and answers are late or lost, until the worker dies."""

    def __init__(self, host: Host, dice: random.Random, dies: float) -> None:
        self._host, self._dice, self._dies = host, dice, dies

    def ask(self, message: Any) -> Any:
        if message["do"] == "go":
            if self._dice.random() < self._dies:
                raise StoreError("died")
            if self._dice.random() < 0.05:
                raise Unheard("lost on its way there")
            if self._dice.random() < 0.02:
                time.sleep(TTL * self._dice.uniform(0.5, 3))
        answer = self._host.answer(message)
        if message["do"] == "go" and self._dice.random() < 0.05:
            raise Unheard("lost on its way back")
        if "error" in answer:
            raise StoreError(answer["error"])
        return answer

    def close(self) -> None: ...


def worker(plan: Plan, host: Host, seed: int, ended: list[BaseException | None]) -> None:
    """One process that joins and plays, in a thread."""
    dice = random.Random(seed)
    FATE.dice, FATE.stalls = dice, 0.02
    progress = Progress()
    link = Rough(host, dice, dies=0.01 if seed % 3 == 0 else 0.0)
    guest = Guest(plan, progress, agreed(plan, True)[0], link, "run", lambda: False, lambda n: None)
    status, error = "crashed", None
    try:
        guest.begin(seed, 0, "", "{}", "{}", len(plan))
        asyncio.run(_play_all(plan, cast(Log, guest), progress, True, Budget(), guest))
        status = "finished"
    except StoreError as found:
        error = found
    finally:
        guest.end(status, progress.already_done, progress.done)
        guest.close()
        ended.append(error)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_befalls_them_they_write_one_story(seed: int, toy: str, tmp_path: Path) -> None:
    db, dice = tmp_path / "db.duckdb", random.Random(seed)
    experiment = {
        "protocols": ["debate:rounds=2", "consultancy:rounds=1", "direct"],
        "limit": 12,
        "order": "both",
    }
    players = {"judge": f"{__name__}:Novel:elicit=hard", "debater": f"{__name__}:Novel:temperature=1"}

    def made() -> Plan:
        return make_plan(
            experiment_from({**experiment, **players, "tasks": [toy], "concurrency": 6, "db": db})
        )

    plan, log, progress, ended = made(), Log(db), Progress(), list[BaseException | None]()
    host = Host(plan, log, progress, True, TTL)
    log.begin(1, 0, "command", "{}", "{}", len(plan))
    FATE.dice, FATE.stalls = dice, 0.005
    others = [
        threading.Thread(target=worker, args=(made(), host, 1000 * seed + 10 + n, ended))
        for n in range(WORKERS)
    ]
    for other in others:
        other.start()
    asyncio.run(_play_all(plan, log, progress, True, Budget(), host))
    for other in others:
        other.join()
    log.end("finished", 0, progress.done)
    log.close()
    plan.close()
    assert progress.done + progress.elsewhere.total() == len(plan)
    assert not check(db).flaws
    assert all(error is None or str(error) in ("died", ENDED["error"]) for error in ended), ended
    told = "LEFT JOIN uses u USING (episode, turn, seat) LEFT JOIN calls c USING (call)"
    turns = rows(db, f"SELECT t.text, c.text FROM turns t {told}")
    verdicts = rows(db, f"SELECT raw, c.text FROM (SELECT *, 'judge' AS seat FROM verdicts) {told}")
    assert turns and len(verdicts) == len(plan)
    assert all(played == stored for played, stored in turns + verdicts)
