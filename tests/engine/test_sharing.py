"""Several processes on one experiment: real runs, a real server on loopback that keeps the bill, kills and stops."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nursery import Bill, Nursery, Process
from support import TASK, content, rows
from wire import Wire

from oversight.store.check import check
from oversight.store.reading import open_reader
from oversight.store.serve import note_path, read_note

IN_FLIGHT = 3
LATENCY = 0.06
ARMS = ("debate:rounds=2", "consultancy:rounds=1", "direct")


@dataclass(frozen=True)
class House:
    """A folder, a nursery of runs in it, who is paid, and what one undisturbed process writes."""

    folder: Path
    nursery: Nursery
    wire: Wire
    whole: dict[str, list[str]]
    calls: int

    @property
    def bill(self) -> Bill:
        bill: Any = self.wire.answer
        return bill

    def share(self, db: Path, *more: str) -> Process:
        return self.nursery.start("--db", str(db), "--share", *more)

    def until(self, db: Path, holds: str) -> None:
        """Wait until a query of the running database says yes."""
        until = time.monotonic() + 40
        with open_reader(db) as reader:
            while not reader.sql(holds).rows[0][0]:
                assert time.monotonic() < until, reader.sql("SELECT run, status FROM runs").rows
                time.sleep(0.1)

    def wait_for(self, calls: int) -> None:
        """Wait until so many calls have been paid."""
        until = time.monotonic() + 120
        while len(self.bill.paid) < calls:
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("sharing")
    (folder / "toy").mkdir()
    (folder / "toy" / "task.py").write_text(TASK)
    with pytest.MonkeyPatch.context() as patch, Wire(answer=Bill(), latency=LATENCY, remember=False) as wire:
        patch.setenv("TEST_KEY", "sk-test")
        seat = f":key_env=TEST_KEY,base_url={wire.openai},in_flight={IN_FLIGHT}"
        judge, debater = f"openai/gpt-test{seat},elicit=hard", f"openai/gpt-4o-mini{seat},temperature=1"
        argv = (*ARMS, "--task", "./toy", "--judge", judge, "--debater", debater, "--limit", "12")
        with Nursery(folder, *argv, "--order", "both", "--concurrency", "16", "-q") as nursery:
            alone = nursery.start("--db", "whole.duckdb")
            assert alone.end() == 0, alone.said
            bill: Any = wire.answer
            yield House(folder, nursery, wire, content(folder / "whole.duckdb"), len(bill.paid))


@pytest.fixture
def house(built: House) -> House:
    built.bill.paid.clear()
    built.bill.open.set()
    built.wire.latency = LATENCY
    return built


def committed(db: Path) -> set[int]:
    """The seeds of the calls that are committed, by way of the run that has the file open."""
    with open_reader(db) as reader:
        return {(key >> 1) & (2**31 - 1) for (key,) in reader.sql("SELECT call FROM calls").rows}


def whole_and_sound(house: House, db: Path) -> None:
    assert content(db) == house.whole
    assert not check(db).flaws
    assert rows(db, "SELECT call FROM uses WHERE paid GROUP BY call HAVING count(*) > 1") == []


def test_four_processes_write_what_one_alone_would_and_pay_nothing_twice(house: House) -> None:
    db = house.folder / "four.duckdb"
    processes = [house.share(db) for _ in range(4)]
    for process in processes:
        assert process.end() == 0, process.said
    whole_and_sound(house, db)
    assert set(house.bill.paid.values()) == {1} and len(house.bill.paid) == house.calls
    said = [process.said for process in processes]
    owners = [text for text in said if "is shared" in text]
    workers = [text for text in said if "joined the run" in text]
    assert len(owners) == 1 and len(workers) == 3, said
    ledger = rows(db, "SELECT status, planned, already_done, played FROM runs")
    assert len(ledger) == 4 and {row[:3] for row in ledger} == {("finished", 96, 0)}
    assert sum(row[3] for row in ledger) == 96 and all(row[3] for row in ledger)
    assert rows(db, "SELECT count(DISTINCT run) FROM calls") == [(4,)]
    assert not note_path(db).exists()


def test_killed_and_stopped_workers_are_taken_over_and_a_late_one_changes_nothing(house: House) -> None:
    random.seed(11)
    db = house.folder / "hurt.duckdb"
    owner = house.share(db, "--lease", "1.5")
    owner.hear("is shared")
    killed, late, third = house.share(db), house.share(db), house.share(db)
    for worker in (killed, late, third):
        worker.hear("joined the run")
    safe: dict[int, int] = {}

    def look(at_most: int) -> None:
        """What is committed now must not have been paid again since the last look."""
        paid = Counter(house.bill.paid)
        assert all(paid[seed] == times for seed, times in safe.items()), "a committed call was paid again"
        for seed in committed(db):
            safe[seed] = house.bill.paid[seed]
        again = house.bill.paid.total() - len(house.bill.paid)
        assert again <= at_most

    house.wait_for(house.calls // 5)
    time.sleep(random.uniform(0, 0.05))
    killed.kill()
    look(0)
    late.send(signal.SIGSTOP)
    in_flight = 2 * IN_FLIGHT  # of two models
    house.wire.latency = 0.5  # the others must not be done before it wakes
    house.until(db, "SELECT count(*) = 2 FROM runs WHERE status = 'killed'")
    look(2 * in_flight)
    late.send(signal.SIGCONT)
    house.until(db, "SELECT count(*) = 1 FROM runs WHERE status = 'killed'")
    third.kill()
    house.wire.latency = LATENCY
    assert owner.end() == 0, owner.said
    assert late.end() == 0, late.said
    whole_and_sound(house, db)
    paid = house.bill.paid
    assert all(paid[seed] == times for seed, times in safe.items()), "a committed call was paid again"
    assert len(paid) == house.calls and paid.total() - house.calls <= 3 * in_flight
    statuses = Counter(status for (status,) in rows(db, "SELECT status FROM runs"))
    assert statuses == {"finished": 2, "killed": 2}


def test_an_owner_that_dies_stops_its_workers_in_one_line_and_the_same_command_goes_on(house: House) -> None:
    db = house.folder / "orphans.duckdb"
    owner = house.share(db)
    owner.hear("is shared")
    workers = [house.share(db) for _ in range(2)]
    for worker in workers:
        worker.hear("joined the run")
    house.wait_for(len(house.bill.paid) + 10)
    safe = {seed: house.bill.paid[seed] for seed in committed(db)}
    note = read_note(note_path(db))
    assert note is not None and note.pid == owner.pid
    owner.kill()
    for worker in workers:
        assert worker.end() == 2
        last = worker.said.strip().splitlines()[-1]
        assert "has ended or cannot be reached" in last and "the same command goes on" in last, worker.said
        assert "Traceback" not in worker.said
    assert note_path(db).exists()  # stale: nobody took it away
    again = house.share(db)
    assert again.end() == 0, again.said
    assert "is shared" in again.said
    whole_and_sound(house, db)
    assert all(house.bill.paid[seed] == times for seed, times in safe.items())


def test_a_worker_stopped_by_ctrl_c_gives_back_what_it_held(house: House) -> None:
    db = house.folder / "left.duckdb"
    owner = house.share(db)
    owner.hear("is shared")
    worker = house.share(db)
    worker.hear("joined the run")
    house.wait_for(house.calls // 4)
    worker.send(signal.SIGINT)
    assert worker.end() == 130, worker.said
    assert owner.end() == 0, owner.said
    whole_and_sound(house, db)
    assert sorted(rows(db, "SELECT status FROM runs")) == [("finished",), ("stopped",)]


def test_a_workers_limit_is_its_own(house: House) -> None:
    db = house.folder / "limit.duckdb"
    owner = house.share(db)
    owner.hear("is shared")
    worker = house.share(db, "--max-calls", "10")
    assert worker.end() == 3, worker.said
    assert "10 of at most 10 calls made" in worker.said
    assert owner.end() == 0, owner.said
    whole_and_sound(house, db)
    assert set(house.bill.paid.values()) == {1}


def test_an_owner_at_its_limit_goes_on_serving(house: House) -> None:
    db = house.folder / "served.duckdb"
    house.bill.open.clear()
    owner = house.share(db, "--max-calls", "10")
    owner.hear("is shared")
    worker = house.share(db)
    worker.hear("joined the run")
    house.bill.open.set()
    assert worker.end() == 0, worker.said
    assert owner.end() == 3, owner.said
    whole_and_sound(house, db)


def test_a_second_run_that_does_not_share_is_refused_in_one_line(house: House) -> None:
    db = house.folder / "alone.duckdb"
    house.bill.open.clear()
    owner = house.share(db)
    owner.hear("is shared")
    second = house.nursery.start("--db", str(db))
    assert second.end() == 2
    last = second.said.strip().splitlines()[-1]
    assert f"process {owner.pid}" in last and "--share" in last
    other = house.share(db, "--seed", "4")
    assert other.end() == 2 and "plans other episodes" in other.said.strip().splitlines()[-1], other.said
    owner.send(signal.SIGINT)
    assert owner.end() == 130
    alone = house.nursery.start("--db", str(db))
    until = time.monotonic() + 60
    while (note := read_note(note_path(db))) is None or note.pid != alone.pid:
        assert time.monotonic() < until
        time.sleep(0.01)
    second = house.share(db)
    assert second.end() == 2 and "does not share it" in second.said.strip().splitlines()[-1], second.said
    alone.send(signal.SIGINT)
    assert alone.end() == 130
    house.bill.open.set()
