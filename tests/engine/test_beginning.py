"""How a run begins: a few episodes at each turn of the loop, so that replies are heard while others begin."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from support import rows

from oversight import UserError
from oversight.engine import run as engine_run
from oversight.engine.sharing import Sharing
from oversight.episode import Run

MODEL = """
import asyncio, os, signal
from oversight import Completion, Model
from oversight.engine import run

begun, seen = [], [0]

class Play(run.Play):
    def __init__(self, *of):
        begun.append(1)
        super().__init__(*of)

run.Play = Play

async def look():
    while len(begun) < 400:
        seen.append(len(begun))
        await asyncio.sleep(0)
    seen.append(len(begun))

class First(Model):
    identity = "first"
    async def ready(self):
        await asyncio.sleep(READY)
    async def generate(self, request):
        if len(seen) == 1:
            seen.append(len(begun))
            DOES
        return Completion("Answer: A")
"""


@pytest.fixture
def begin(
    play: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Run, ModuleType]]:
    """Plays 400 debates at once by a model that does something in its first call; the run, and the model's module."""

    def go(does: str, ready: float | str = 0.0, sharing: Sharing | None = None) -> tuple[Run, ModuleType]:
        (tmp_path / "beginning.py").write_text(MODEL.replace("DOES", does).replace("READY", str(ready)))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(engine_run, "Play", engine_run.Play)  # put back afterwards
        monkeypatch.delitem(sys.modules, "beginning", raising=False)
        seat = "beginning:First"
        run = play("debate:rounds=1", judge=seat, debater=seat, limit=400, order="fixed", sharing=sharing)
        return run, sys.modules["beginning"]

    return go


@pytest.mark.parametrize("ready", [0.0, 0.1])
def test_the_loop_comes_round_while_episodes_begin(
    begin: Callable[..., tuple[Run, ModuleType]], ready: float
):
    run, told = begin("self.looking = asyncio.ensure_future(look())", ready)
    assert run.played == 400 and told.seen[-1] == 400
    assert max(b - a for a, b in pairwise(told.seen)) <= 2 * engine_run.AT_A_TURN


def test_a_run_that_is_stopped_while_its_episodes_begin_stops(
    begin: Callable[..., tuple[Run, ModuleType]],
):
    run, told = begin("os.kill(os.getpid(), signal.SIGINT)")
    assert run.stopped and len(told.begun) < 100


@pytest.mark.parametrize("shared", [False, True])
def test_a_run_that_is_stopped_before_its_models_are_ready_does_not_wait_for_them(
    begin: Callable[..., tuple[Run, ModuleType]], shared: bool
):
    began = time.monotonic()
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    run, told = begin("pass", ready=3600.0, sharing=Sharing() if shared else None)
    assert run.stopped and not told.begun and time.monotonic() - began < 600


def test_where_a_model_is_not_ready_no_more_episodes_begin(
    begin: Callable[..., tuple[Run, ModuleType]], tmp_path: Path
):
    with pytest.raises(UserError, match="ZeroDivisionError"):
        begin("pass", ready="1 / 0")
    assert rows(tmp_path / "db.duckdb", "SELECT count(*) FROM plans")[0][0] < 100
