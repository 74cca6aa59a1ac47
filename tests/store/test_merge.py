"""Merging: what several files have of one experiment is what one file would have had of it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support import content, rows

from oversight.cli import main
from oversight.episode import Run
from oversight.errors import StoreError
from oversight.store.check import check
from oversight.store.merge import merge

Play = Callable[..., Run]
ARMS = ("direct", "consultancy:rounds=1", "double_consultancy:rounds=1", "debate:rounds=2")
"""The double consultancy makes the calls of the consultancies."""


def bytes_of(*paths: Path) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def told(path: Path) -> dict[str, list[str]]:
    """All content but a template's name: one that two protocols have is called as whoever came first had it."""
    keys = [str(key) for (key,) in rows(path, "SELECT template FROM templates ORDER BY 1")]
    return {**content(path), "templates": keys}


def test_random_parts_of_an_experiment_merge_and_go_on_to_be_the_whole(play: Play, tmp_path: Path) -> None:
    whole = play(*ARMS, db=tmp_path / "whole.duckdb", order="both")
    for seed in range(3):
        dice = random.Random(seed)
        parts = [tmp_path / f"part{seed}.{n}.duckdb" for n in range(dice.choice([2, 2, 3]))]
        for part in parts:
            arms = dice.sample(ARMS, dice.randint(1, len(ARMS)))
            stopped = dice.choice([{}, {"max_calls": dice.randrange(1, whole.calls)}])
            play(*arms, db=part, order="both", limit=dice.randint(1, 4), **stopped)
        stored = {call for part in parts for (call,) in rows(part, "SELECT call FROM calls")}
        final = "SELECT episode, status FROM verdicts WHERE final"
        judged = {verdict for part in parts for verdict in rows(part, f"{final} AND status <> 'failed'")}
        before = bytes_of(*parts)
        out = tmp_path / f"merged{seed}.duckdb"
        made = merge(parts, out)
        assert bytes_of(*parts) == before
        assert not check(out).flaws
        assert made.calls == len(stored) and not made.otherwise
        assert set(rows(out, final)) >= judged
        assert rows(out, _PAID) == []
        again = play(*ARMS, db=out, order="both")
        assert again.calls == whole.calls - len(stored)
        assert told(out) == told(tmp_path / "whole.duckdb")
        assert not check(out).flaws


_PAID = "SELECT call FROM uses GROUP BY call HAVING count(*) FILTER (paid) <> 1"


def test_the_order_of_the_files_makes_no_difference_where_their_calls_were_answered_alike(
    play: Play, tmp_path: Path
) -> None:
    a, b = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    play("direct", "debate:rounds=1", db=a, limit=3)
    play("consultancy:rounds=1", "debate:rounds=1", db=b, limit=4, max_calls=20)
    merge([a, b], tmp_path / "ab.duckdb")
    merge([b, a], tmp_path / "ba.duckdb")
    assert told(tmp_path / "ab.duckdb") == told(tmp_path / "ba.duckdb")


def test_a_verdict_beats_a_failed_one_whichever_file_is_named_first(
    play: Play, replies: Callable[[str], str], tmp_path: Path
) -> None:
    a, b = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    good = replies('judge: "Answer: A"\nspeak: "It was {answer}."')
    play("consultancy:rounds=1", db=b, judge=good, debater=good)
    shutil.copy(b, a)
    with duckdb.connect(str(a)) as con:
        con.execute(
            "UPDATE verdicts SET status = 'failed', reason = 'transport', choice = NULL, probabilities = NULL"
        )
        con.execute("DELETE FROM turns")
        con.execute("DELETE FROM quotes")
    for paths in ([a, b], [b, a]):
        out = tmp_path / f"{paths[0].stem}.merged.duckdb"
        made = merge(paths, out)
        assert content(out) == content(b)
        assert (made.shared_episodes, made.paid_again) == (made.episodes, 0)


def test_a_copy_made_while_a_run_went_on_adds_nothing_to_what_it_left(play: Play, tmp_path: Path) -> None:
    db, copy = tmp_path / "db.duckdb", tmp_path / "copy.duckdb"
    play("debate:rounds=1", db=db, max_calls=9)
    shutil.copy(db, copy)
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE runs SET status = 'running', ended = NULL")
    play("debate:rounds=1", db=db)
    for paths in ([copy, db], [db, copy]):
        out = tmp_path / f"{paths[0].stem}.merged.duckdb"
        merge(paths, out)
        assert content(out) == content(db)
        assert rows(out, "FROM runs ORDER BY run") == rows(db, "FROM runs ORDER BY run")
        assert rows(out, "SELECT * FROM uses ORDER BY ALL") == rows(db, "SELECT * FROM uses ORDER BY ALL")


def test_a_reply_that_differs_is_the_first_files_and_is_counted(play: Play, tmp_path: Path) -> None:
    a, b = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    play("direct", db=a)
    play("direct", db=b)
    with duckdb.connect(str(b)) as con:
        con.execute("UPDATE calls SET text = 'Answer: B' WHERE call = (SELECT min(call) FROM calls)")
    made = merge([b, a], tmp_path / "ba.duckdb")
    assert (made.calls, made.shared_calls, made.paid_again, made.otherwise) == (4, 4, 4, 1)
    assert rows(tmp_path / "ba.duckdb", "SELECT count(*) FROM calls WHERE text = 'Answer: B'") == [(1,)]


def test_a_run_that_was_killed_is_not_running_in_the_merged_file(play: Play, tmp_path: Path) -> None:
    a, b = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    play("direct", db=a)
    shutil.copy(a, b)
    for path, status in ((a, "running"), (b, "killed")):
        with duckdb.connect(str(path)) as con:
            con.execute(f"UPDATE runs SET status = '{status}', ended = NULL")
    for paths in ([a, b], [b, a]):
        out = tmp_path / f"{paths[0].stem}.merged.duckdb"
        merge(paths, out)
        assert rows(out, "SELECT status FROM runs") == [("killed",)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE labels SET label = 1 - label", "have different labels"),
        ("UPDATE questions SET publish = NOT publish", "may be published by one file"),
        ("UPDATE questions SET \"group\" = 'other'", "are in different groups"),
        ("UPDATE calls SET messages = [1]", "share their keys"),
        ("UPDATE meta SET value = '2' WHERE name = 'schema'", "has schema 2"),
        ("DROP TABLE meta", "not one of oversight's"),
    ],
)
def test_files_that_contradict_each_other_are_refused_in_one_line(
    play: Play, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    shutil.copy(a, b)
    with duckdb.connect(str(b)) as con:
        con.execute(change)
    there = sorted(tmp_path.iterdir())
    before = bytes_of(a, b)
    capsys.readouterr()
    assert main(["merge", str(out), str(a), str(b)]) == 2
    err = capsys.readouterr().err
    assert said in err and "b.duckdb" in err and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == there and bytes_of(a, b) == before


def test_what_is_there_already_is_not_overwritten_and_what_is_not_is_said(play: Play, tmp_path: Path) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    out.write_text("mine")
    wrong: list[tuple[list[Any], Path, str]] = [
        ([a, b], tmp_path / "new.duckdb", "no database at"),
        ([a], tmp_path / "new.duckdb", "two files or more"),
        ([a, tmp_path / "." / "a.duckdb"], tmp_path / "new.duckdb", "named twice"),
        ([a, tmp_path], tmp_path / "new.duckdb", "is a folder"),
    ]
    for paths, to, said in wrong:
        with pytest.raises(StoreError, match=said):
            merge(paths, to)
        assert not to.exists()
    shutil.copy(a, b)
    with pytest.raises(StoreError, match="nothing is overwritten"):
        merge([a, b], out)
    assert out.read_text() == "mine"


def test_a_merge_that_is_killed_leaves_no_file(play: Play, tmp_path: Path) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    play("debate:rounds=1", db=b)
    dying = (
        "import os, signal, sys; from pathlib import Path; from oversight.store import merge as store; "
        "store.Merged = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "  # when it has taken all
        "store.merge([Path(sys.argv[1]), Path(sys.argv[2])], Path(sys.argv[3]))"
    )
    ended = subprocess.run([sys.executable, "-c", dying, str(a), str(b), str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    (left,) = tmp_path.glob(".out*")
    assert (left / "draft.duckdb").stat().st_size > 0
    merge([a, b], out)
    assert not check(out).flaws
    assert not list(tmp_path.glob(".out*"))


def test_a_damaged_file_is_named_and_the_others_are_not_blamed(play: Play, tmp_path: Path) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    play("debate:rounds=2", db=b)
    data = bytearray(b.read_bytes())
    for at in range(2**18 + 2**14, len(data), 2**18):  # in each block
        data[at] ^= 255
    b.write_bytes(data)
    with pytest.raises(StoreError, match=r"b.duckdb is damaged .*--salvage") as told:
        merge([a, b], out)
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []


def test_a_merge_under_way_keeps_its_draft_and_a_second_one_is_refused(play: Play, tmp_path: Path) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    play("debate:rounds=1", db=b)
    waiting = (
        "import sys; from pathlib import Path; from oversight.store import merge as store; made = store.Merged; "
        "store.Merged = lambda *n: (print(flush=True), input(), made(*n))[-1]; "  # when it has taken all
        "store.merge([Path(sys.argv[1]), Path(sys.argv[2])], Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", waiting, str(a), str(b), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdout.readline()
        with pytest.raises(StoreError, match="another process is making"):
            merge([a, b], out)
        first.communicate(b"\n")
    assert first.returncode == 0 and not check(out).flaws
    assert not list(tmp_path.glob(".out*"))


def test_what_is_not_a_draft_of_ours_is_left_alone(play: Play, tmp_path: Path) -> None:
    a, b, out = tmp_path / "a.duckdb", tmp_path / "b.duckdb", tmp_path / "out.duckdb"
    play("direct", db=a)
    shutil.copy(a, b)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "keep.duckdb").write_text("mine")
    hidden = tmp_path / ".out.duckdb.draft"
    hidden.symlink_to(mine)
    with pytest.raises(StoreError, match="is a link"):
        merge([a, b], out)
    hidden.unlink()
    hidden.mkdir()
    (hidden / "notes.txt").write_text("mine")
    merge([a, b], out)
    assert (hidden / "notes.txt").read_text() == (mine / "keep.duckdb").read_text() == "mine"
