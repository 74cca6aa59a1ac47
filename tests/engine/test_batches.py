"""Batches: every turn in one, at half the price, found again by a run that was killed, nothing paid twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import rows
from wire import Fault, Reply, Seen, Wire

import oversight
from oversight.engine import batches
from oversight.engine.estimate import estimate
from oversight.engine.plan import make_plan
from oversight.errors import UserError
from oversight.experiment import experiment_from

KEY = "sk-test-0123456789abcdef"
PRICES = "price_in=10,price_out=30"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OVERSIGHT_BATCH_POLL", "0.05")
    monkeypatch.setattr(batches, "QUIET", 0.1)


def answer(seen: Seen) -> Reply | Fault:
    text = json.dumps(seen.body)
    return Reply("Answer: A" if "Which answer is right" in text else "I say so, for the passage says so.")


def seat(wire: Wire, provider: str) -> str:
    name, url = {
        "openai": ("openai/gpt-4o-mini", wire.openai),
        "anthropic": ("anthropic/claude-haiku-4-5", wire.url),
    }[provider]
    return f"{name}:base_url={url},key_env=TEST_KEY,batches=true,{PRICES}"


def play(wire: Wire, provider: str, toy: Path, db: Path, **settings: Any) -> oversight.Played:
    model = seat(wire, provider)
    return oversight.run(
        ["debate:rounds=2", "direct"],
        str(toy),
        judge=model,
        debater=model,
        limit=4,
        db=db,
        batch=True,
        **settings,
    )


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_run_in_batches_makes_a_batch_a_turn_and_nothing_else(
    provider: str, toy: Path, tmp_path: Path
) -> None:
    db = tmp_path / "o.duckdb"
    with Wire(answer=answer, key=KEY) as wire:
        wire.batches.polls = 2
        played = play(wire, provider, toy, db)
        single = [s for s in wire.seen if s.path in ("/v1/chat/completions", "/v1/messages")]
    assert played.run.statuses == {"decided": 8}
    assert single == []
    # Round 1 with the direct verdicts, round 2, and the debates' verdicts.
    sizes = rows(db, "SELECT len(calls) FROM batches WHERE provider_id IS NULL ORDER BY sent")
    assert sum(n for (n,) in sizes) == played.run.calls == 4 * 4 + 4 + 4
    assert len(sizes) == 3
    paid = rows(db, "SELECT cost, (prompt_tokens * 10 + completion_tokens * 30) / 1e6 / 2, notes FROM calls")
    assert all(cost == pytest.approx(half) and "batch" in notes for cost, half, notes in paid)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_killed_run_finds_its_batches_and_sends_none_again(
    provider: str, toy: Path, tmp_path: Path
) -> None:
    db = tmp_path / "o.duckdb"
    with Wire(answer=answer, key=KEY) as wire:
        wire.batches.polls = 10**9  # no batch ends
        killed = _run_and_kill(wire, provider, toy, db)
        assert killed == -9
        before = len(wire.batches.batches)
        assert before == 1
        wire.batches.polls = 1
        wire.batches.finish()
        played = play(wire, provider, toy, db)
        assert played.run.statuses == {"decided": 8}
        assert len(wire.batches.batches) == 3
    assert rows(db, "SELECT count(*), count(DISTINCT call) FROM calls") == [(24, 24)]


def _run_and_kill(wire: Wire, provider: str, toy: Path, db: Path) -> int:
    """The same run in a process that is killed once its first batch has its name."""
    import subprocess
    import sys
    import time

    model = seat(wire, provider)
    command = [sys.executable, "-m", "oversight", "run", "debate:rounds=2", "direct", "--task", str(toy), "--judge", model,
               "--debater", model, "--limit", "4", "--db", str(db), "--batch", "-q"]  # fmt: skip
    process = subprocess.Popen(command)
    looks = ("/v1/batches/", "/v1/messages/batches/")
    for _ in range(1200):
        # It looks at a batch only when it has written the name down.
        if any(s.method == "GET" and s.path.startswith(looks) for s in list(wire.seen)):
            break
        time.sleep(0.05)
    process.kill()
    return process.wait()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_batch_whose_name_was_never_heard_is_found(provider: str, toy: Path, tmp_path: Path) -> None:
    import duckdb

    db = tmp_path / "o.duckdb"
    with Wire(answer=answer, key=KEY) as wire:
        wire.batches.polls = 10**9
        _run_and_kill(wire, provider, toy, db)
        with duckdb.connect(str(db)) as con:
            con.execute("DELETE FROM batches WHERE provider_id IS NOT NULL")
        wire.batches.polls = 1
        wire.batches.finish()
        assert play(wire, provider, toy, db).run.statuses == {"decided": 8}
        assert len(wire.batches.batches) == 3


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_fails_in_a_batch_fails_alone_and_is_made_anew(provider: str, toy: Path, tmp_path: Path) -> None:
    db = tmp_path / "o.duckdb"
    broken = True

    def sometimes(seen: Seen) -> Reply | Fault:
        if broken and '"Speak' not in (text := json.dumps(seen.body)) and "Which answer is right" not in text:
            sometimes.count += 1  # type: ignore[attr-defined]
            if sometimes.count == 3:  # type: ignore[attr-defined]
                return Fault(500)
        return answer(seen)

    sometimes.count = 0  # type: ignore[attr-defined]
    with Wire(answer=sometimes, key=KEY) as wire:
        first = play(wire, provider, toy, db)
        assert first.run.statuses == {"decided": 7, "failed": 1}
        assert rows(db, "SELECT reason FROM verdicts WHERE status = 'failed'") == [("transport",)]
        broken = False
        assert play(wire, provider, toy, db).run.statuses == {"decided": 8}
    assert rows(db, "SELECT count(*) = count(DISTINCT call) FROM calls") == [(True,)]


def test_batches_need_a_model_that_has_them(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of these models has a batch endpoint"):
        oversight.run(
            "direct", str(toy), judge="simulated/judge", limit=2, db=tmp_path / "o.duckdb", batch=True
        )


def test_a_limit_of_cost_reserves_the_price_of_a_batch(toy: Path, tmp_path: Path) -> None:
    with Wire(answer=answer, key=KEY) as wire:
        asked = {"protocols": "direct", "task": str(toy), "judge": seat(wire, "openai"), "limit": 4}
        plan = make_plan(experiment_from({**asked, "db": tmp_path / "o.duckdb"}))
        most = estimate(plan).cost
        plan.close()
        assert most is not None
        sizes = {}
        for share in (0.51, 0.49):
            db = tmp_path / f"{share}.duckdb"
            settings: dict[str, Any] = {"limit": 4, "batch": True, "max_cost": share * most}
            played = oversight.run("direct", str(toy), judge=asked["judge"], db=db, **settings)
            assert played.run.statuses == {"decided": 4}
            sizes[share] = [
                n for (n,) in rows(db, "SELECT len(calls) FROM batches WHERE provider_id IS NULL")
            ]
        assert sizes == {0.51: [4], 0.49: [3, 1]}  # the fourth waits until the others were cheaper
