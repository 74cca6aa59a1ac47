"""Whose episode is next."""

from __future__ import annotations

import asyncio
import gc
import random
from pathlib import Path

from oversight.engine.plan import make_plan
from oversight.engine.turns import Turns
from oversight.episode import Episode
from oversight.experiment import experiment_from


def episodes_held() -> int:
    gc.collect()
    return sum(type(thing) is Episode for thing in gc.get_objects())


def test_a_line_that_falls_behind_is_kept_as_places_and_each_episode_is_played_once(
    toy: str, tmp_path: Path
) -> None:
    seat = "openai/gpt-{}:key_env=TEST_KEY,base_url=http://127.0.0.1:9,price_in=1,price_out=1"
    plan = make_plan(
        experiment_from(
            {
                "protocols": ["direct", "consultancy:rounds=1"],
                "tasks": [toy],
                "judge": [seat.format("fast"), seat.format("slow")],
                "debater": seat.format("fast"),
                "limit": 200,
                "samples": 2,
                "order": "both",
                "db": tmp_path / "o.duckdb",
            }
        )
    )
    turns = Turns(plan, enumerate(plan.episodes()))
    fast, before = min(turns.lines), episodes_held()
    assert len(turns.lines) == 3 and len(plan) > 3000

    async def play() -> list[int]:
        dice, played = random.Random(3), []
        while True:
            line = fast if dice.random() < 0.99 else dice.choice(turns.lines)
            planned = await turns.take(line)
            if planned is None:
                return played
            played.append(planned.episode.key)
            if len(played) == len(plan) // 8:
                behind = sum(map(len, turns._passed.values()))
                del planned
                assert behind > 500
                assert episodes_held() - before < 50

    try:
        played = asyncio.run(play())
        assert sorted(played) == sorted(planned.episode.key for planned in plan.episodes())
    finally:
        plan.close()
