from __future__ import annotations

import random
from pathlib import Path

import duckdb

from oversight.store import keys as module
from oversight.store.keys import Keys, Statuses, read_keys


def test_keys_are_a_set_however_many_there_are(monkeypatch):
    monkeypatch.setattr(module, "NEWEST", 64)
    dice = random.Random(3)
    keys, truth = Keys(), set()
    for n in range(3_000):
        key = dice.choice([0, 1, 2**64 - 1, dice.getrandbits(64), dice.getrandbits(8)])
        assert (key in keys) == (key in truth)
        if key not in truth:
            truth.add(key)
            keys.add(key)
        assert len(keys) == len(truth), n
    assert all(key in keys for key in truth)
    assert not any(key in keys for key in range(256, 512))


def test_keys_and_statuses_are_read_of_a_table_few_or_many(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "NEWEST", 100)
    con = duckdb.connect(str(tmp_path / "k.duckdb"))
    con.execute("CREATE TABLE v (episode UBIGINT, status VARCHAR)")
    for count in (0, 99, 100, 101, 1_000):
        con.execute("DELETE FROM v")
        con.execute(
            f"INSERT INTO v SELECT hash(i), CASE WHEN i % 10 = 0 THEN 'tie' ELSE 'decided' END FROM range({count}) t(i)"
        )
        rows = con.execute("SELECT episode, status FROM v").fetchall()
        keys = read_keys(con, "SELECT episode FROM v")
        statuses = Statuses.read(con, "SELECT episode, status FROM v")
        assert len(keys) == count
        assert all(key in keys and key in statuses and statuses.get(key) == status for key, status in rows)
        assert 7 not in keys and statuses.get(7) is None
