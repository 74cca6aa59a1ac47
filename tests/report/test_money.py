"""What a report says was spent: exact where prices are known, unknown where not, and what sharing saved."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import rows

import oversight
from oversight.cli.progress import _Watch
from oversight.engine.run import Progress
from oversight.episode import Run
from oversight.measure.money import Money, measure_money, statements
from oversight.report.plain import as_json
from oversight.report.terminal import report
from oversight.store.reading import open_reader

Play = Callable[..., Run]
Replies = Callable[..., str]

UNPRICED = '''
from oversight import Completion, Model

class Api(Model):
    """Behind an API, of a price that nobody said."""
    identity = "api-1"
    kind = "api"

    async def generate(self, request):
        return Completion("Answer: A", prompt_tokens=10, completion_tokens=2)
'''


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "db.duckdb"


def money(db: Path, run: int | None = None) -> dict[str, Money]:
    """By seat; the total as "sum"."""
    with open_reader(db) as reader:
        return {"sum" if r.total else r.seat or "": r for r in measure_money(reader, run)}


def printed(db: Path) -> str:
    out = io.StringIO()
    with open_reader(db) as reader:
        Console(file=out, width=100).print(report(reader))
    return " ".join(out.getvalue().split())


def test_spending_is_tokens_times_price_by_model_and_seat(play: Play, replies: Replies, db: Path) -> None:
    judge = replies('judge: "Answer: A"\n') + ":price_in=2,price_out=10"
    debater = replies("speak: three short words\n") + ":price_in=1,price_out=100"
    play("debate:rounds=2", judge=judge, debater=debater, limit=4)
    found = money(db)
    assert (found["judge"].made, found["debater"].made, found["sum"].made) == (4, 16, 20)
    for seat, prompt, reply in (("judge", 2e-6, 10e-6), ("debater", 1e-6, 100e-6)):
        one = found[seat]
        assert one.prompt_tokens and one.completion_tokens
        cost = one.prompt_tokens * prompt + one.completion_tokens * reply
        assert one.cost == pytest.approx(cost) and one.per_decided == pytest.approx(cost / 4)
    assert found["debater"].completion_tokens == 16 * 3
    total = sum(found[seat].cost or 0.0 for seat in ("judge", "debater"))
    assert found["sum"].cost == pytest.approx(total)
    assert rows(db, "SELECT sum(cost) FROM spending")[0][0] == pytest.approx(total)


def test_what_the_store_saved_is_what_the_found_calls_had_cost(
    play: Play, replies: Replies, db: Path
) -> None:
    debater = replies("speak: three short words\n") + ":price_in=1,price_out=1"
    first, second = replies('judge: "Answer: A"\n'), replies('judge: "Answer: B"\n')
    play("debate:rounds=1", judge=first, debater=debater)
    alone = money(db)["debater"]
    again = play("debate:rounds=1", judge=second, debater=debater)
    both = money(db)["debater"]
    assert (both.made, both.found, both.cost) == (alone.made, 8, alone.cost)
    assert both.saved == pytest.approx(alone.cost) and (alone.found, alone.saved) == (0, 0.0)
    assert both.saved_tokens == (alone.prompt_tokens or 0) + (alone.completion_tokens or 0)
    of_run = money(db, again.key)["debater"]
    assert (of_run.made, of_run.found, of_run.cost) == (0, 8, 0.0)
    assert "saved" in printed(db)


def test_an_unknown_cost_is_said_and_never_nothing(
    play: Play, replies: Replies, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unpriced.py").write_text(UNPRICED)
    monkeypatch.chdir(tmp_path)
    debater = replies("speak: said\n") + ":price_in=1,price_out=1"
    play("debate:rounds=1", judge="unpriced:Api", debater=debater)
    found = money(db)
    assert (found["judge"].cost, found["judge"].per_decided, found["judge"].unknown) == (None, None, 4)
    assert found["sum"].cost is None and found["debater"].cost
    text = printed(db)
    assert "The cost of 4 paid calls is unknown" in text and "unpriced:Api · judge" in text
    frame = oversight.open_database(db).spending.set_index("seat")
    assert frame["cost"].isna().to_dict() == {"judge": True, "debater": False}


def test_a_run_without_money_shows_no_table_of_it(play: Play, db: Path) -> None:
    play("debate:rounds=1")
    assert {m.cost for m in money(db).values()} == {0.0}
    assert "tokens saved" not in printed(db)


def test_calls_of_episodes_stopped_on_the_way_were_paid_all_the_same(
    play: Play, replies: Replies, db: Path
) -> None:
    both = replies() + ":price_in=1,price_out=1"
    stopped = play("debate:rounds=2", judge=both, debater=both, max_calls=5, concurrency=1)
    assert stopped.stopped
    for scope in (None, stopped.key):
        found = money(db, scope)
        assert sum(m.made for seat, m in found.items() if seat != "sum") == found["sum"].made == 5
        assert found["sum"].cost == pytest.approx(rows(db, "SELECT sum(cost) FROM calls")[0][0])
    play("debate:rounds=2", judge=both, debater=both)
    found = money(db)
    assert "" not in found and found["sum"].made == 4 * 5
    assert found["sum"].cost == pytest.approx(rows(db, "SELECT sum(cost) FROM calls")[0][0])


def test_the_numbers_print_their_sql_which_finds_them(play: Play, replies: Replies, db: Path) -> None:
    both = replies() + ":price_in=1,price_out=1"
    played = play("debate:rounds=1", judge=both, debater=both)
    with open_reader(db) as reader:
        found = json.loads(as_json(reader, played.key))
        again: list[tuple[Any, ...]] = reader.sql(found["sql"]["money"]).rows
        assert found["sql"]["money"] == statements(played.key)["money"]
    costs = {row["seat"]: row["cost"] for row in found["spending"]}
    assert costs == {row[2]: row[8] for row in again if not row[3]}
    assert set(costs) == {"judge", "debater"}


UNTOLD = """
from oversight import Completion, Model

class Api(Model):
    identity = "untold"

    async def generate(self, request):
        told = {} if {UNTOLD} else {"prompt_tokens": 3, "completion_tokens": 2}
        return Completion("Answer: A" if request.view.seat.name == "judge" else "said", **told)
"""


@pytest.mark.parametrize(
    ("untold", "said", "of_judge"),
    [("True", "12 calls, tokens unknown", None), ("request.view.seat.name == 'judge'",
     "12 calls, tokens 24 in 16 out", None), ("False", "12 calls, tokens 36 in 24 out", 12)],
)  # fmt: skip
def test_tokens_nobody_told_are_unknown_to_the_progress_and_to_the_report(
    untold: str,
    said: str,
    of_judge: int | None,
    play: Play,
    db: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"untold{len(untold)}"
    (tmp_path / f"{name}.py").write_text(UNTOLD.replace("{UNTOLD}", untold))
    monkeypatch.chdir(tmp_path)
    progress = Progress()
    play("debate:rounds=1", judge=f"{name}:Api", debater=f"{name}:Api", progress=progress)
    line = _Watch(progress, 4, 0).line()
    assert said in line and ("of 4 calls unknown" in line) == ("judge" in untold)
    found = money(db)
    assert found["judge"].prompt_tokens == of_judge
    assert found["sum"].completion_tokens == (24 if of_judge else None)
