"""Files of separate runs made one. What is the same content has the same key, and falls together.

An episode that several files have comes whole from one of them: from the one that got furthest, the first named
where they got equally far. A call is kept once, with the reply of the first file that has it, and one of its uses
is the one that paid. The inputs are only read; the new file appears when it is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from oversight.errors import StoreError
from oversight.store import wal
from oversight.store.database import (
    CATALOG,
    attach,
    check_ours,
    damage_told,
    open_for_writing,
    refuse_what_is_no_file,
    tables,
)
from oversight.store.draft import new_file
from oversight.store.reading import held_by

SOURCE = "source"

_KEYED = {
    "passages": "passage", "images": "image", "questions": "question", "labels": "question", "models": "model",
    "templates": "template", "arms": "arm", "episodes": "episode", "messages": "message", "calls": "call",
}  # fmt: skip
_OF_AN_EPISODE = ("turns", "drafts", "choices", "quotes", "verdicts", "uses", "imports", "authors")
_OF_A_RUN = ("plans", "failures", "batches")

_MUST_AGREE = (
    ("labels", "question", "label", "have different labels: verdicts on both do not belong together"),
    ("questions", "question", "publish", "may be published by one file and not by the other: let their task say which"),
    ("questions", "question", '"group"', "are in different groups, on which statistics cluster: let their task say which"),
    ("calls", "call", "(model, messages)", "share their keys and are not the same: please report this"),
)  # fmt: skip

# How far an episode got: decided on and read in every way, with a reading that failed, failed, not yet; its turns.
_PROGRESS = """
    SELECT episode, coalesce(reached, 0) * 1e6 + coalesce(turns, 0) AS got
    FROM {catalog}.episodes
    LEFT JOIN (SELECT episode, CASE WHEN bool_or(final AND status = 'failed') THEN 1
                                    WHEN bool_or(status = 'failed') THEN 2 ELSE 3 END AS reached
               FROM {catalog}.verdicts GROUP BY episode) USING (episode)
    LEFT JOIN (SELECT episode, count(*) AS turns FROM {catalog}.turns GROUP BY episode) USING (episode)
"""

_PAID = """
    UPDATE uses SET paid = (place = 1) FROM (
        SELECT u.rowid AS own, row_number() OVER (
            PARTITION BY u.call ORDER BY u.paid AND u.run = c.run DESC, u.paid DESC, u.run = c.run DESC,
                                         u.episode, u.turn, u.seat, u.n) AS place
        FROM uses u JOIN calls c USING (call)) WHERE uses.rowid = own AND paid <> (place = 1)
"""


@dataclass(frozen=True)
class Merged:
    """What a merged file has, and of it what several of the files had. Of the calls that several had, different runs
    had paid for `paid_again`, and `otherwise` were answered otherwise there."""

    episodes: int
    shared_episodes: int
    calls: int
    shared_calls: int
    paid_again: int
    otherwise: int


def merge(paths: Sequence[Path], out: Path) -> Merged:
    """Make one new file `out` of several. Raises `StoreError`, and then there is no `out`."""
    if len(paths) < 2:
        raise StoreError("name two files or more to be merged")
    real: list[Path] = []
    for path in paths:
        if not path.exists():
            raise StoreError(f"no database at {path}")
        refuse_what_is_no_file(path)
        if path.resolve() in real:
            raise StoreError(f"{path} is named twice")
        real.append(path.resolve())
    episodes, calls, again, otherwise = 0, 0, 0, 0
    with new_file(out) as draft:
        new = open_for_writing(draft)
        try:
            for n, path in enumerate(paths):
                with damage_told(path, "merged"):
                    _attach(new, path)
                    for table, key, columns, what in _MUST_AGREE:
                        _agree(new, paths[:n], path, table, key, columns, what)
                    _agree_on_names(new, path)
                    episodes += _count(new, f"episodes SEMI JOIN {SOURCE}.episodes USING (episode)")
                    calls += _count(new, f"calls SEMI JOIN {SOURCE}.calls USING (call)")
                    again += _count(new, f"calls a JOIN {SOURCE}.calls b USING (call) WHERE a.run <> b.run")
                    otherwise += _count(
                        new, f"calls a JOIN {SOURCE}.calls b USING (call) WHERE {_REPLIES_DIFFER}"
                    )
                    new.execute("BEGIN")
                    _take(new)
                    new.execute("COMMIT")
                    new.execute(f"DETACH {SOURCE}")
            new.execute(_PAID)
            made = Merged(_count(new, "episodes"), episodes, _count(new, "calls"), calls, again, otherwise)
            new.execute(f"CHECKPOINT {CATALOG}")
        finally:
            new.close()
    return made


_REPLIES_DIFFER = '(a."text", a.private, a.stop_reason, a.scores) IS DISTINCT FROM (b."text", b.private, b.stop_reason, b.scores)'  # fmt: skip


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        attach(con, path, SOURCE, "READ_ONLY")
    except duckdb.Error as error:
        if who := held_by(str(error)):
            raise StoreError(
                f"{who} is writing {path}: merge it when that has ended, or a copy by `oversight backup`"
            ) from None
        raise StoreError(f"{path} cannot be opened; `oversight check` says what is left of it") from None
    wal.refuse_what_is_unread(con, SOURCE, path)
    check_ours(con, path, SOURCE)
    if not tables(con, SOURCE):
        raise StoreError(f"{path} is empty: nothing was ever written to it")


def _count(con: duckdb.DuckDBPyConnection, what: str) -> int:
    count: int = con.execute(f"SELECT count(*) FROM {what}").fetchall()[0][0]
    return count


def _agree(
    con: duckdb.DuckDBPyConnection,
    others: Sequence[Path],
    path: Path,
    table: str,
    key: str,
    columns: str,
    what: str,
) -> None:
    """Raise `StoreError` where rows of one key are not the same."""
    own, theirs = (f"SELECT {key} AS key, {columns} AS told FROM {c}.{table}" for c in (CATALOG, SOURCE))
    rows = con.execute(
        f"SELECT lower(to_hex(key)), count(*) OVER () FROM ({own}) a JOIN ({theirs}) b USING (key) "
        "WHERE a.told IS DISTINCT FROM b.told ORDER BY 1 LIMIT 1"
    ).fetchall()
    if rows:
        name, count = rows[0]
        before = " or ".join(str(other) for other in others)
        raise StoreError(
            f"{count:,} {key}s of {path} and {before} (e.g. {name:0>16}) {what}; nothing was merged"
        )


def _agree_on_names(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `StoreError` where an import of one name is of different episodes: a debate would count twice."""
    own, theirs = (
        f"SELECT source, name, list_sort(list(DISTINCT episode)) AS episodes FROM {c}.imports GROUP BY ALL"
        for c in (CATALOG, SOURCE)
    )
    rows = con.execute(
        f"SELECT source, name FROM ({own}) a JOIN ({theirs}) b USING (source, name) "
        "WHERE a.episodes <> b.episodes ORDER BY ALL LIMIT 1"
    ).fetchall()
    if rows:
        raise StoreError(
            f"{rows[0][0]} {rows[0][1]!r} of {path} was imported with other content before; nothing was merged"
        )


def _take(con: duckdb.DuckDBPyConnection) -> None:
    """Take from the attached file what is not there yet, or got further there."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE better AS SELECT episode FROM ({_PROGRESS.format(catalog=SOURCE)}) b "
        f"LEFT JOIN ({_PROGRESS.format(catalog=CATALOG)}) a USING (episode) WHERE a.got IS NULL OR b.got > a.got"
    )
    for table in _OF_AN_EPISODE:
        con.execute(f"DELETE FROM {table} WHERE episode IN (FROM temp.better)")
        con.execute(f"INSERT INTO {table} BY NAME FROM {SOURCE}.{table} WHERE episode IN (FROM temp.better)")
    for table, key in _KEYED.items():
        con.execute(f"INSERT INTO {table} BY NAME FROM {SOURCE}.{table} ANTI JOIN {table} USING ({key})")
    # A copy made while a run went on knows less of it than what the run left in the end.
    con.execute(
        "DELETE FROM runs WHERE ended IS NULL AND run IN "
        f"(SELECT run FROM {SOURCE}.runs WHERE ended IS NOT NULL OR status <> 'running')"
    )
    con.execute(f"INSERT INTO runs BY NAME FROM {SOURCE}.runs ANTI JOIN runs USING (run)")
    for table in _OF_A_RUN:
        con.execute(f"INSERT INTO {table} (FROM {SOURCE}.{table} EXCEPT FROM {table})")
