"""Full-text search over turns: BM25 (Robertson & Zaragoza 2009) over word stems, in an index of its own.

The index lies beside the database (`DB.search.duckdb`) and holds words and counts, no text; a search first
adds the turns that have come since. DuckDB's fts extension gives the stems. Its own index is not used: it
cannot be added to, and making it anew takes minutes where a run is under way on a million turns. Words are
counted in Python, turn by turn: DuckDB, which joins and groups a row a word, takes five times as long.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import StoreError, UserError
from oversight.question import hex_id
from oversight.store.database import attach, first_line, literal
from oversight.store.memory import in_memory
from oversight.store.reading import Reader
from oversight.store.serve import CannotServe, load_extension

K, B = 1.2, 0.75
"""How soon more of the same word counts for less, and how much a long turn's words do (BM25's usual values)."""
CHUNK = 50_000
"""Turns that are indexed at a time."""
AROUND = 120
"""Characters of a turn that are shown around the first word found."""

_LAYOUT = 2  # of the index: one of another layout is made anew
_TABLES = f"""
CREATE TABLE layout AS SELECT {_LAYOUT} AS layout;
CREATE TABLE docs (doc INTEGER, episode UBIGINT, turn INTEGER, length INTEGER);  -- doc: the turn's rowid
CREATE TABLE words (word INTEGER, form VARCHAR, stem VARCHAR);
CREATE TABLE terms (word INTEGER, doc INTEGER, n INTEGER, length INTEGER);  -- length: the turn's, in words
"""
_PLAIN = "lower(strip_accents({}))"
_LETTERS = re.compile(r"[^\W_]+")  # letters and digits of any script
_ASCII = str.maketrans({chr(i): " " for i in range(128) if not chr(i).isalnum()})


@dataclass(frozen=True)
class Hit:
    """A turn that was found. `around` is its text near the first word found, with … where it goes on."""

    score: float
    episode: str
    turn: int
    seat: str
    protocol: str
    task: str
    around: str


@dataclass(frozen=True)
class Found:
    """The best hits, how many turns match, and how many were searched."""

    hits: tuple[Hit, ...]
    matches: int
    turns: int


def find(reader: Reader, words: str, *, all_words: bool = False, limit: int = 20) -> Found:
    """The turns that hold any (or all) of the words, best first. Raises `UserError`, `StoreError`."""
    index = index_path(reader.path)
    words = words.replace("\0", " ")
    with _opened(index, reader) as con, _read(index):
        plain = con.execute(f"SELECT {_PLAIN.format(literal(words))}").fetchall()[0][0]
        forms = ", ".join(literal(form) for form in _forms(plain))
        if not forms:
            raise UserError(f"{words!r} holds no word to look for")
        stems = con.execute(
            f"SELECT DISTINCT stem(unnest([{forms}]), 'porter') AS stem ORDER BY stem"
        ).fetchall()
        place = {stem: n for n, (stem,) in enumerate(stems)}
        known = con.execute(
            f"SELECT word, stem FROM words WHERE stem IN ({', '.join(map(literal, place))})"
        ).fetchall()
        turns, mean = con.execute("SELECT count(*), avg(length) FROM docs").fetchall()[0]
        enough = len(stems) if all_words else 1
        if len({stem for _, stem in known}) < enough:
            return Found((), 0, turns)
        # Numbers in the text, not parameters: then only the parts of the table that hold them are read.
        among = ", ".join(str(word) for word, _ in known)
        held = f"SELECT doc, word AS stem, n, length FROM terms WHERE word IN ({among})"
        if len(known) > len({stem for _, stem in known}):  # several forms of a stem count together
            stemmed = " ".join(f"WHEN {word} THEN {place[stem]}" for word, stem in known)
            held = (
                f"SELECT doc, CASE stem {stemmed} END AS stem, sum(n) AS n, any_value(length) AS length "
                f"FROM ({held}) GROUP BY ALL"
            )
        ranked = con.execute(
            f"""
            WITH held AS ({held}),
            rare AS (SELECT stem, ln(1 + ({turns} - count(*) + 0.5) / (count(*) + 0.5)) AS weight FROM held GROUP BY stem),
            best AS (
              SELECT sum(weight * n * {K + 1} / (n + {K} * (1 - {B} + {B} * length / {mean}))) AS score, doc,
                     count(*) OVER () AS matches
              FROM held JOIN rare USING (stem) GROUP BY doc
              HAVING count(*) >= {enough} ORDER BY round(score, 9) DESC, doc LIMIT {limit}
            )
            SELECT score, doc, matches FROM best ORDER BY round(score, 9) DESC, doc
            """
        ).fetchall()
    matches = ranked[0][2] if ranked else 0
    return Found(tuple(_told(reader, [row[:2] for row in ranked], words)), matches, turns)


def _forms(plain: str) -> list[str]:
    """The words of a text that has neither capitals nor accents, in order."""
    return plain.translate(_ASCII).split() if plain.isascii() else _LETTERS.findall(plain)


def index_path(database: Path) -> Path:
    """Where a database's index lies."""
    return Path(os.path.realpath(database) + ".search.duckdb")


def _opened(path: Path, reader: Reader) -> duckdb.DuckDBPyConnection:
    """The index, with every turn there is. Raises `StoreError`."""
    con = in_memory()
    try:
        con.execute("SET allow_persistent_secrets=false")
        load_extension(con, "fts")
        attach(con, path, "index")
        con.execute("USE index")
        _lay_out(con, path)
        _catch_up(con, reader, path)
    except BaseException as error:
        con.close()
        if isinstance(error, CannotServe):
            raise StoreError(f"full-text search is not to be had: {error}") from None
        if isinstance(error, duckdb.Error):
            raise _in_the_way(path, error) from None
        raise
    return con


def _lay_out(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the tables where there are none, or those of another version."""
    found = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'index' UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE database_name = 'index' AND NOT internal"
    ).fetchall()
    there = {name for (name,) in found}
    if there and not {"docs", "words", "terms"} <= there <= {"docs", "words", "terms", "layout"}:
        raise StoreError(f"{path} is where the index belongs, and is no index: move it away")
    if "layout" in there and con.execute("SELECT layout FROM layout").fetchall() == [(_LAYOUT,)]:
        return
    con.execute("BEGIN")
    for table in there:
        con.execute(f'DROP TABLE "{table}"')
    con.execute(_TABLES)
    con.execute("COMMIT")


def _catch_up(con: duckdb.DuckDBPyConnection, reader: Reader, path: Path) -> None:
    """Add the turns that are not in it yet. A new file under an old name begins a new index."""
    last = con.execute("SELECT doc, episode, turn FROM docs ORDER BY doc DESC LIMIT 1").fetchall()
    if last:
        there = reader.sql("SELECT rowid, episode, turn FROM turns WHERE rowid = ?", [last[0][0]]).rows
        if there != last:
            for table in ("docs", "words", "terms"):
                con.execute(f"DELETE FROM {table}")
            last = []
    begin = last[0][0] + 1 if last else 0
    while reader.sql(f"SELECT 1 FROM turns WHERE rowid >= {begin} LIMIT 1").rows:
        said = reader.columns(
            f"SELECT rowid::INTEGER AS doc, episode, turn, {_PLAIN.format(chr(34) + 'text' + chr(34))} AS plain "
            f"FROM turns WHERE rowid >= {begin} AND rowid < {begin + CHUNK} ORDER BY rowid"
        )
        begin += CHUNK
        _add(con, said)


class _Numbers(dict[str, int]):
    """A number for each word, in the order in which they are first asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def _add(con: duckdb.DuckDBPyConnection, said: Mapping[str, Any]) -> None:
    """Index some turns, in one transaction."""
    import numpy as np

    numbers, lengths = _Numbers(), []
    said_words: list[int] = []
    for plain in said["plain"].tolist():
        said_words += map(numbers.__getitem__, forms := _forms(plain))
        lengths.append(len(forms))
    con.execute("BEGIN")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE forms AS SELECT unnest($1::VARCHAR[]) AS form, unnest($2::INTEGER[]) AS number",
        [list(numbers), list(numbers.values())],
    )
    con.execute(
        "INSERT INTO words SELECT (SELECT count(*) FROM words) + row_number() OVER (ORDER BY number), form, "
        "stem(form, 'porter') FROM forms ANTI JOIN words USING (form)"
    )
    known = con.execute("SELECT word FROM forms JOIN words USING (form) ORDER BY number").fetchnumpy()
    words: Any = known["word"]
    length = np.array(lengths, dtype=np.int32)
    place = np.repeat(np.arange(len(length)), length)  # of each word's turn
    each = np.sort(words[np.array(said_words, dtype=np.int32)].astype(np.int64) << 32 | place)
    first = np.flatnonzero(np.append(True, each[1:] != each[:-1])[: len(each)])
    place = each[first] & 0xFFFFFFFF
    counts = np.diff(first, append=len(each))
    _insert(con, "docs", said["doc"], said["episode"], said["turn"], length)
    _insert(con, "terms", each[first] >> 32, said["doc"][place], counts, length[place])
    con.execute("COMMIT")


def _insert(con: duckdb.DuckDBPyConnection, table: str, *columns: Any) -> None:
    con.register("given", {f"c{n}": column for n, column in enumerate(columns)})
    con.execute(f"INSERT INTO {table} FROM given")
    con.unregister("given")


def _told(reader: Reader, ranked: Sequence[tuple[float, int]], words: str) -> list[Hit]:
    if not ranked:
        return []
    # One by one: of `rowid IN (…)` DuckDB reads every turn's text.
    turns = " UNION ALL ".join(
        f'SELECT rowid AS doc, episode, turn, seat, "text" FROM turns WHERE rowid = {doc}'
        for _, doc in ranked
    )
    rows = reader.sql(
        f'SELECT t.doc, t.episode, t.turn, t.seat, a.protocol, e.task, t."text" FROM ({turns}) t '
        "JOIN episodes e USING (episode) JOIN arms a USING (arm)"
    ).rows
    said = {doc: rest for doc, *rest in rows}
    hits = []
    for score, doc in ranked:
        episode, turn, seat, protocol, task, text = said[doc]
        hits.append(Hit(score, hex_id(episode), turn, seat, protocol, task, _around(text, words)))
    return hits


def _around(text: str, words: str) -> str:
    """The text near where it first holds the beginning of one of the words."""
    plain = [_plain(word) for word in re.findall(r"\w+", words)]
    at = next(
        (
            m.start()
            for m in re.finditer(r"\w+", text)
            if any(_plain(m.group()).startswith(word[: max(3, len(word) - 3)]) for word in plain)
        ),
        0,
    )
    start = max(0, at - AROUND // 3)
    shown = " ".join(text[start : start + AROUND].split())
    return f"{'…' if start else ''}{shown}{'…' if start + AROUND < len(text) else ''}"


def _plain(word: str) -> str:
    """Without case and accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


@contextmanager
def _read(path: Path) -> Iterator[None]:
    """The index, in the block."""
    try:
        yield
    except duckdb.Error as error:
        raise _in_the_way(path, error) from None


def _in_the_way(path: Path, error: duckdb.Error) -> StoreError:
    text = first_line(str(error))
    if re.search(r"\block\b", text.lower()) or "Unique file handle" in text:
        return StoreError(f"another search is bringing {path} up to date: try again in a moment")
    if "ermission" in text or "ead-only" in text:
        return StoreError(
            f"the index {path} cannot be written: search a copy of the database, by `oversight backup`"
        )
    return StoreError(f"the index {path} cannot be used ({text}): delete it, it is made anew")
