"""What a run leaves for the garbage collector: next to nothing, or it stops the run for half a second at a time.

A frame in it is the worst: it holds the frame that called it, up to the event loop's turn, whose timers hold the
variables of every task there is.
"""

from __future__ import annotations

import asyncio
import gc
import random
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from wire import Fault, Reply, Seen, Wire
from wire_shapes import default_answer

import oversight
from oversight.errors import CallFailed
from oversight.models import open_model
from oversight.models.interface import Message, Request, Sampling

REQUEST = Request((Message("user", "Well?"),), Sampling(1.0))


class Left:
    """What the block left for the garbage collector."""

    def __enter__(self) -> Left:
        self.objects: list[Any] = []
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        return self

    def __exit__(self, *_: object) -> None:
        gc.collect()
        gc.set_debug(0)
        gc.enable()
        self.objects = list(gc.garbage)
        gc.garbage.clear()

    def frames(self, where: str) -> list[str]:
        """Names of the functions whose frames are there, of files whose path has `where` in it."""
        codes = [thing.f_code for thing in self.objects if isinstance(thing, FrameType)]
        return [code.co_qualname for code in codes if where in code.co_filename]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_calls_over_the_network_leave_nothing_and_lost_ones_no_frames(wire: Wire, provider: str) -> None:
    name, url = {
        "openai": ("openai/gpt-4o-mini", wire.openai),
        "anthropic": ("anthropic/claude-haiku-4-5", wire.url),
    }[provider]
    model = open_model(name, {"key_env": "TEST_KEY", "base_url": url})
    chance = random.Random(1)

    def bad(seen: Seen) -> Reply | Fault:
        harm = chance.choice((None, 429, 500, "drop", "drop body", "malformed", "empty", "truncated"))
        return default_answer(seen) if harm is None else Fault(harm)

    async def call() -> None:
        try:
            await model.generate(REQUEST)
        except CallFailed:
            return

    async def hundred() -> None:
        for _ in range(10):
            await asyncio.gather(*(call() for _ in range(10)))

    async def go() -> None:
        await model.ready()
        await hundred()
        with Left() as left:
            await hundred()
        assert len(left.objects) < 500, "five a call"
        wire.answer = bad
        with Left() as left:
            await hundred()
        assert left.frames("") == []
        await model.done()

    asyncio.run(go())


FAILING = '''
import asyncio
from oversight import Completion, Model
from oversight.errors import Filtered, Transport

class Failing(Model):
    """One debater's every speech is withheld, and one vote in three is lost."""
    identity = "failing"
    asked = 0

    async def generate(self, request):
        view = request.view
        await asyncio.sleep(0.01)
        if view.seat.role == "judge":
            type(self).asked += 1
            if self.asked % 3 == 0:
                raise Transport("lost")
            return Completion("Answer: A")
        return Completion(stop="filter") if view.seat.name == "B" else Completion("It was so.")
'''


@pytest.mark.parametrize(
    ("protocol", "way"),
    [("debate:rounds=2", "votes,temperature=1"), ("direct", "votes,temperature=1"), ("direct", "hard")],
)
def test_an_episode_that_fails_leaves_no_frame_of_ours(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, way: str
) -> None:
    """Speeches made side by side, votes, and a call that two wait for: an error of one of them is not kept by the
    frames it came through."""
    (tmp_path / "failingmodels.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    name = "failingmodels:Failing"
    settings: dict[str, Any] = {"judge": f"{name}:elicit={way}", "debater": name, "limit": 4, "samples": 2}
    with Left() as left:
        played = oversight.run(protocol, toy, db=tmp_path / "db.duckdb", **settings)
    assert played.run.statuses["failed"] >= 1
    assert left.frames("/oversight/engine/") == []
