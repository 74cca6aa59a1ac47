"""A worker and an owner that talk in one process: what a worker does when its lease has run out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from oversight.engine.plan import make_plan
from oversight.engine.run import Progress
from oversight.engine.sharing.guest import Guest
from oversight.engine.sharing.host import Host, agreed
from oversight.experiment import experiment_from
from oversight.moves import Turn
from oversight.store.log import Log
from oversight.store.share import Link

WORKER = 77


class Direct:
    """A line to an owner in the same process."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def ask(self, message: Any) -> Any:
        return self.host.answer(message)

    def close(self) -> None: ...


def test_an_episode_whose_lease_ran_out_before_it_was_begun_is_not_played(
    toy: str, replies: Callable[[str], str], tmp_path: Path
) -> None:
    """A model may load for longer than a lease lasts. What was taken before may by then be leased to the same
    worker anew: played twice it would be stored twice."""
    db = tmp_path / "db.duckdb"
    experiment = {"protocols": ["debate:rounds=1"], "tasks": [toy], "limit": 3, "db": db}
    player = replies('judge: "Answer: A"\nspeak: "It was {answer}."')
    plan = make_plan(experiment_from({**experiment, "judge": player, "debater": player}))
    log = Log(db)
    log.begin(1, 0, "command", "{}", "{}", len(plan))
    host = Host(plan, log, Progress(), True, 60.0)
    guest = Guest(
        plan,
        Progress(),
        agreed(plan, True)[0],
        cast(Link, Direct(host)),
        "run",
        lambda: False,
        lambda n: None,
    )

    async def meet() -> None:
        todo = list(plan.episodes())
        for planned in todo:
            log.add_episode(planned.episode, planned.label, True)
        await host.open(enumerate(todo))
        await asyncio.to_thread(guest.begin, WORKER, 0, "", "{}", "{}", len(plan))
        await guest.open(enumerate(todo))
        (line,) = guest.lines
        taken = await guest.take(line)
        assert taken is not None and guest.holds(taken.episode)
        host._leases.members[WORKER].heard -= 1000
        assert host._leases.expire() == [WORKER]
        again = await guest.take(line)
        assert again is not None and again.episode.key == taken.episode.key
        assert guest.holds(again.episode) and not guest.holds(taken.episode)
        for episode, n in ((taken.episode, 0), (again.episode, 1)):
            seat = next(seat for seat in episode.seats if seat.name == "A")
            guest.add_turn(episode, 0, Turn("speak", "A", 1, f"Speech {n}."), seat, [])
        await guest.durable()
        await log.durable()
        await asyncio.to_thread(guest.end, "stopped", 0, 0)

    asyncio.run(meet())
    guest.close()
    said = log.writer.con.execute("SELECT text FROM turns").fetchall()
    log.end("stopped", 0, 0)
    log.close()
    plan.close()
    assert said == [("Speech 1.",)]
