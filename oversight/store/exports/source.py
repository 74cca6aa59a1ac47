"""The database as it may leave: every table and view, without the texts of questions not to be published.

Withholding is done once, beneath everything: the file's tables are seen through views that blank what may not
leave, and the views made for people are built on those. So no format can let out what another holds back. A
column is blanked unless it is known to say nothing of a question, so that a column added later is safe.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from oversight.errors import StoreError
from oversight.secrecy import MASK, keys_there
from oversight.store.backup import backup
from oversight.store.database import (
    attach,
    cannot_open,
    cannot_read,
    check_ours,
    first_line,
    literal,
    sql_file,
    tables,
)
from oversight.store.memory import in_memory
from oversight.store.reading import open_reader

FILE = "file"
"""The catalog of the file itself."""
_SHUT = '"row may not leave"'

# Tables whose texts are the experimenter's own, never a question's.
_OWN = frozenset({"meta", "runs", "plans", "models", "templates", "arms", "batches"})
# Columns with texts that say nothing of what a question asks or of what was answered.
_PLAIN: Mapping[str, frozenset[str]] = {
    "questions": frozenset({"source_id", "group"}),
    "images": frozenset({"media_type"}),
    "episodes": frozenset({"task", "assignment"}),
    "turns": frozenset({"kind", "seat", "role", "cut", "visible_to", "addressed"}),
    "verdicts": frozenset({"judge", "elicitation", "status", "reason"}),
    "drafts": frozenset({"kind"}),
    "choices": frozenset({"seat", "role", "model", "kind", "elicitation"}),
    "messages": frozenset({"role"}),
    "calls": frozenset({"kind", "stop_reason", "provider_id", "letters", "unlisted", "served"}),
    "failures": frozenset({"reason"}),
    "uses": frozenset({"seat"}),
    "imports": frozenset({"source", "name"}),
}
_SPELLED = frozenset({"token_ids"})
"""Columns of numbers that spell a text."""
_KEYS = ("question", "episode", "call", "message", "passage", "image")
"""What a table's rows may belong to; the first of these that it has a column for decides."""

# What may leave, where something may not: all that a question to be published reaches.
_OPEN = {
    "question": f"SELECT question FROM {FILE}.questions WHERE publish",
    "episode": f"SELECT episode FROM {FILE}.episodes WHERE question IN (FROM open_question)",
    "passage": f"SELECT passage FROM {FILE}.questions WHERE publish AND passage IS NOT NULL",
    "image": f"SELECT unnest(images) AS image FROM {FILE}.questions WHERE publish",
    "call": f"SELECT call FROM {FILE}.uses WHERE episode IN (FROM open_episode)",
    "message": f"SELECT unnest(messages) AS message FROM {FILE}.calls WHERE call IN (FROM open_call)",
}


@dataclass(frozen=True)
class Column:
    """A column: its name and DuckDB type."""

    name: str
    type: str

    @property
    def quoted(self) -> str:
        return '"' + self.name.replace('"', '""') + '"'

    @property
    def is_text(self) -> bool:
        return any(kind in self.type for kind in ("VARCHAR", "JSON", "BLOB")) or self.name in _SPELLED


@dataclass(frozen=True)
class Source:
    """A database open for export. `con` sees it under the names that people use, as it may leave."""

    con: duckdb.DuckDBPyConnection
    path: Path
    withheld: dict[str, int]
    """Rows by table whose texts stay behind; tables without any are left out."""

    @cached_property
    def relations(self) -> dict[str, list[Column]]:
        """Tables, then views, each in alphabetical order, with their columns."""
        own = tables(self.con, FILE)
        views = {n for (n,) in self._all("SELECT view_name FROM duckdb_views() WHERE NOT internal")} - own
        return {name: _columns(self.con, name) for name in (*sorted(own), *sorted(views))}

    @property
    def views(self) -> set[str]:
        """Those of the relations that are views."""
        return set(self.relations) - tables(self.con, FILE)

    @cached_property
    def tasks(self) -> list[tuple[str, bool]]:
        """The tasks in it, and whether their questions may be published."""
        rows = self._all(
            f"SELECT e.task, bool_and(coalesce(q.publish, false)) FROM {FILE}.episodes e "
            f"JOIN {FILE}.questions q USING (question) GROUP BY ALL ORDER BY ALL"
        )
        return [(task, publish) for task, publish in rows]

    def note(self) -> str:
        """One sentence on what was held back; "" for nothing."""
        if not self.withheld:
            return ""
        closed = ", ".join(task for task, publish in self.tasks if not publish)
        counts = ", ".join(f"{n:,} of {table}" for table, n in self.withheld.items())
        return (
            f"Withheld, because {closed or 'a task'} forbids publishing its questions: the texts of {counts}."
        )

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a database for export; one that a run is writing, as it is at this moment. Raises `StoreError` as
    reading does."""
    with open_reader(path) as reader:
        live = reader.live
        if not reader.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'episodes'").rows:
            raise StoreError(f"{path} is empty: fill it with `oversight run`, or name another with --db")
    if not live:
        with _opened(path, path) as source:
            yield source
        return
    with tempfile.TemporaryDirectory(prefix="oversight-") as folder:
        copy = Path(folder) / "moment.duckdb"
        backup(path, copy)  # table by table they would be of different moments
        with _opened(path, copy) as source:
            yield source


@contextmanager
def _opened(path: Path, file: Path) -> Iterator[Source]:
    """The database called `path`, read from `file`."""
    con = in_memory({"autoinstall_known_extensions": "false"})
    try:
        attach(con, file, FILE, "READ_ONLY")
        check_ours(con, path, FILE)
        yield Source(con, path, _veil(con))
    except duckdb.IOException as error:
        if "Corrupt database file" in str(error):
            raise cannot_read(path, error) from None
        if re.search(r"\block\b", str(error).lower()):
            raise cannot_open(path, error) from None
        raise StoreError(f"the export cannot be written: {first_line(str(error))}") from None
    except duckdb.Error as error:
        raise StoreError(f"{path} cannot be exported: {first_line(str(error))}") from None
    finally:
        con.close()


def _veil(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Make the views that all is read through. Returns the rows by table whose texts they blank."""
    closed = (
        con.execute(f"SELECT count(*) FROM {FILE}.questions WHERE publish IS NOT TRUE").fetchall()[0][0] > 0
    )
    if closed:
        for key, sql in _OPEN.items():
            con.execute(f"CREATE TEMP TABLE open_{key} AS SELECT DISTINCT * FROM ({sql})")
    withheld: dict[str, int] = {}
    for table in sorted(tables(con, FILE)):
        columns = _columns(con, f"{FILE}.{table}")
        hidden = _hidden(table, columns) if closed else []
        test = _closed(table, columns) if hidden else ""
        seen = ", ".join(
            f"{f'CASE WHEN {_SHUT} THEN NULL ELSE {_clean(c)} END' if c in hidden else _clean(c)} AS {c.quoted}"
            for c in columns
        )
        rows = f"(SELECT *, {test} AS {_SHUT} FROM {FILE}.{table})" if hidden else f"{FILE}.{table}"
        con.execute(f"CREATE VIEW {table} AS SELECT {seen} FROM {rows}")
        if hidden:
            count = con.execute(f"SELECT count(*) FROM {FILE}.{table} WHERE {test}").fetchall()[0][0]
            withheld |= {table: count} if count else {}
    con.execute(sql_file("views.sql"))
    return withheld


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    return [Column(name, kind) for name, kind, *_ in con.execute(f"DESCRIBE {relation}").fetchall()]


def _hidden(table: str, columns: Sequence[Column]) -> list[Column]:
    """The columns to be blanked in rows that may not leave."""
    if table in _OWN:
        return []
    return [c for c in columns if c.is_text and c.name not in _PLAIN.get(table, ())]


def _closed(table: str, columns: Sequence[Column]) -> str:
    """The SQL that is true of rows which may not leave: all, where nothing tells whose they are."""
    names = {c.name for c in columns}
    key = next((key for key in _KEYS if key in names), None)
    return f"({key} IN (FROM open_{key})) IS NOT TRUE" if key else "true"


def _clean(column: Column) -> str:
    """The column with any key that is known taken out, wherever it should have got in."""
    text = column.quoted
    secrets = keys_there()
    if not secrets or column.type not in ("VARCHAR", "JSON", "VARCHAR[]"):
        return text
    each = "x" if column.type.endswith("[]") else f"{text}::VARCHAR"
    for secret in secrets:
        each = f"replace({each}, {literal(secret)}, {literal(MASK)})"
    return (
        f"list_transform({text}, lambda x: {each})"
        if column.type.endswith("[]")
        else f"{each}::{column.type}"
    )
