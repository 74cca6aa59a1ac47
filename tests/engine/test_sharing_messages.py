"""What a worker says wrongly is refused, and harms neither the file nor the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import rows

from oversight.engine.plan import make_plan
from oversight.engine.run import Progress
from oversight.engine.sharing import TTL
from oversight.engine.sharing.host import Host, digest
from oversight.engine.sharing.leases import LEAST
from oversight.experiment import experiment_from
from oversight.store.log import Log

WORKER = 77


def test_a_message_that_is_wrong_writes_nothing_and_the_next_is_heard(
    toy: str, replies: Callable[[str], str], tmp_path: Path
) -> None:
    model = replies('judge: "Answer: A"')
    db = tmp_path / "db.duckdb"
    plan = make_plan(
        experiment_from({"protocols": ["direct"], "tasks": [toy], "judge": model, "limit": 20, "db": db})
    )
    log = Log(db)
    log.begin(1, 0, "command", "{}", "{}", len(plan))
    host = Host(plan, log, Progress(), True, TTL)
    number = 0

    def said(*ops: list[Any], **more: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"do": "go", "run": WORKER, "number": number, "epoch": 0, "ops": list(ops)}
        return {**message, "release": [], "give_back": [], "calls": [], "places": [], **more}

    async def converse() -> None:
        nonlocal number
        todo = list(plan.episodes())
        for planned in todo:
            log.add_episode(planned.episode, planned.label, True)
        await host.open(iter(todo))
        join = {"do": "join", "run": WORKER, "seed": 0, "command": "c", "config": "{}", "code": "{}"}
        assert "plans other episodes" in (await host._answer({**join, "digest": "another"}))["error"]
        assert "did not join" in (await host._answer(said()))["error"]
        joined = await host._answer({**join, "digest": digest(plan, True)})
        assert joined["members"] == 2 and joined["finished"] == {}
        first = await host._answer(said(places=[[0, 100]]))
        assert len(first["episodes"]) == LEAST
        assert await host._answer(said(places=[[0, 100]])) == first  # asked again
        assert "out of order" in (await host._answer(said(number=9)))["error"]
        key, other = (
            first["episodes"][0][0],
            next(p.episode.key for p in todo if p.episode.key not in [k for k, _ in first["episodes"]]),
        )
        turn = {"kind": "speak", "seat": "judge", "round": 1, "text": "x"}
        request = {
            "messages": [[5, ["user", "hello", []]]],
            "sampling": {"temperature": 0, "top_p": 1, "max_tokens": 5},
        }
        request |= {"continuations": [], "letters": [], "schema": ""}
        wrong: list[list[Any]] = [
            ["nonsense", key],
            ["turn", key, -1, turn, []],
            ["turn", key, 2**40, turn, []],
            ["turn", key, 0, {**turn, "text": 5}, []],
            ["turn", key, 0, {**turn, "seat": "nobody"}, []],
            ["turn", key, 0, turn, [-1]],
            ["uses", key, 0, "judge", [2**64], 0],
            ["verdicts", key, []],
            ["verdicts", key, [[0, [[9, {"status": "decided", "elicitation": "hard"}]]]]],
            ["verdicts", key, [[0, [[0, {"status": "perhaps", "elicitation": "hard"}]]]]],
            ["verdicts", key, [[0, [[0, {"status": "decided", "elicitation": "hard", "choice": 2}]]]]],
            [
                "verdicts",
                key,
                [[0, [[0, {"status": "decided", "elicitation": "hard", "probabilities": [1]}]]]],
            ],
            ["failure", 2**64, 0, "2026-01-01", "transport", "x"],
            ["call", 5, 0, request, 0, {"text": "Answer: A"}, "2026-01-01", 0.1, 1],
            ["call", 5, 0, {**request, "messages": [[6, None]]}, 0, {"text": "A"}, "2026-01-01", 0.1, 1],
            ["call", 5],
            [],
        ]
        for op in wrong:
            number += 1
            assert "error" in await host._answer(said(op)), op
        for do in ("dance", "join me"):
            assert "error" in await host._answer(said(do=do))
        number += 1
        verdict = {"status": "decided", "elicitation": "hard", "probabilities": [1.0, 0.0], "choice": 0}
        for held in (other, 12345):  # of an episode that is not its own, and of none
            assert "error" not in await host._answer(said(["verdicts", held, [[0, [[0, verdict]]]]]))
            number += 1
        await host._answer(said(["verdicts", key, [[0, [[0, verdict]]]]]))
        number += 1
        assert "error" not in await host._answer(
            said(["verdicts", key, [[0, [[0, verdict]]]]])
        )  # a second one
        number += 1
        leave = said(do="leave", status="finished", already_done=0)
        assert await host._answer(leave) == await host._answer(leave)
        number += 1
        assert "leave" in (await host._answer(said()))["error"]
        await log.durable()

    asyncio.run(converse())
    log.end("stopped", 0, 0)
    log.close()
    plan.close()
    assert log.failed is None
    assert rows(db, "SELECT count(*) FROM calls UNION ALL SELECT count(*) FROM turns") == [(0,), (0,)]
    assert rows(db, "SELECT count(*) FROM verdicts") == [(1,)]
    assert rows(db, f"SELECT status, played FROM runs WHERE run = {WORKER}") == [("finished", 1)]
