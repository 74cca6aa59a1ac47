"""Letting others read while a run writes: DuckDB's own `quack` server inside the writing process.

While one process writes a database file, no other can open it, not even to read. So the writer serves:
`serve` starts a quack server on 127.0.0.1 under a random token and leaves a note beside the file,
`<database>.server.json` (mode 0600), where `reading.open_reader` finds it. Where the extensions are
missing or made for another DuckDB, the note holds the reason instead, for the reader to repeat.

What a client may do is decided here, in the writing process: quack asks `FILTER` before every statement,
and `FILTER` looks at the *parsed* statement. Only one SELECT (also as FROM, VALUES, DESCRIBE, SHOW,
SUMMARIZE, EXPLAIN) passes, over tables of this database and its system catalogue, with table functions
from a short list and no function that changes anything: no file is read or written, no setting changed.
If the filter itself fails, quack refuses the statement.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import secrets
import socket
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from oversight.store.database import CATALOG, first_line, literal

log = logging.getLogger("oversight")

HOST = "127.0.0.1"
FILTER = "memory.main.oversight_may_read"

TABLE_FUNCTIONS = (
    "range",
    "generate_series",
    "unnest",
    "repeat",
    "json_each",
    "json_tree",
    "duckdb_columns",
    "duckdb_constraints",
    "duckdb_databases",
    "duckdb_functions",
    "duckdb_indexes",
    "duckdb_keywords",
    "duckdb_schemas",
    "duckdb_sequences",
    "duckdb_tables",
    "duckdb_types",
    "duckdb_views",
    "pragma_version",
    "pragma_database_size",
)
"""Table functions a reader may call: none of them opens a file, a socket or a setting."""

HARMLESS = (
    "random",
    "uuid",
    "uuidv4",
    "uuidv7",
    "gen_random_uuid",
    "error",
    "stats",
    "currval",
    "current_query",
    "current_query_id",
    "current_connection_id",
    "current_transaction_id",
)
"""Functions that DuckDB marks as having side effects and that nevertheless change nothing."""

SCHEMAS = ("", "main", CATALOG, "information_schema", "pg_catalog")
CATALOGS = ("", CATALOG, "system")

# `FROM data.csv` and `FROM 'x.parquet'` read files, so a table's name must be a plain word in a known schema.
# (SHOW puts its own word in the place of a name, in double quotes.)
_TABLE = r'^(\w*|"(tables|databases|schemas|variables)")$'
EXPLAIN = r"^\s*explain\s+(analyze\s+)?"


class CannotServe(Exception):
    """Quack cannot be had here; the message is the reason, on one line."""


@dataclass(frozen=True)
class Note:
    """What the writer leaves beside the file. Either `port` and `token`, or the `reason` there are none."""

    pid: int
    started: str
    port: int | None = None
    token: str | None = None
    reason: str | None = None
    share: str | None = None
    """Where other processes may join the run, and `share_token` what lets them write."""
    share_token: str | None = None

    def __repr__(self) -> str:  # a token must not reach a log by way of a traceback or a debugger
        return f"Note(pid={self.pid}, port={self.port}, reason={self.reason!r})"


@dataclass(frozen=True)
class Server:
    """A running server. `stop()` it before the database is closed."""

    con: duckdb.DuckDBPyConnection
    note: Note
    path: Path

    def stop(self) -> None:
        """Stop serving and take the note away, if it is still ours. May be called twice."""
        with contextlib.suppress(duckdb.Error):  # stopped before, or the database is gone: nobody is served
            self.con.execute(f"CALL quack_stop({literal(address(self.note.port))})")
        withdraw(self.path, self.note)


def serve(
    con: duckdb.DuckDBPyConnection, database_path: str | Path, share: tuple[str, str] | None = None
) -> Server | None:
    """Serve the database that `con` has attached as `oversight_db` to readers on this machine.

    `con` is an in-memory connection with the file attached (not the file itself opened as main database).
    `share` is where others may join the run that writes, and the token for it. Returns None where quack cannot be
    had; the reason is then in the note beside the file.
    """
    return _serve(con.cursor(), note_path(database_path), share)


class Serving:
    """`serve`, by a thread that loads quack while the run begins. `stop()` it before the database is closed."""

    def __init__(self, con: duckdb.DuckDBPyConnection, database_path: str | Path) -> None:
        self._own, self._path = con.cursor(), note_path(database_path)
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._start, name="oversight-serve", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        try:
            self._server = _serve(self._own, self._path, None)
        except Exception as error:  # a note that could not be left
            said = first_line(f"{type(error).__name__}: {error}")
            log.warning("oversight: nobody can read the database while this run writes it: %s", said)

    def stop(self) -> None:
        """Stop serving and take the note away."""
        self._thread.join()
        if self._server is not None:
            self._server.stop()


def _serve(own: duckdb.DuckDBPyConnection, path: Path, share: tuple[str, str] | None) -> Server | None:
    """`own` has a transaction and a search path of its own: serving disturbs no other."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        load_quack(own)
        own.execute(f"CREATE OR REPLACE MACRO {FILTER}(sid, query) AS ({filter_sql(own)})")
        own.execute(f"SET GLOBAL quack_authorization_function = '{FILTER}'")
        port, token = _start(own)
    except CannotServe as error:
        _leave(path, Note(os.getpid(), started, reason=str(error)))
        return None
    note = Note(os.getpid(), started, port, token, None, *(share or (None, None)))
    server = Server(own, note, path)
    try:
        _leave(path, note)
    except BaseException:
        server.stop()
        raise
    return server


def _start(con: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """Start quack on a free port; returns (port, token)."""
    token = secrets.token_urlsafe(32)
    for _ in range(5):
        port = free_port()
        try:
            con.execute(f"CALL quack_serve({literal(address(port))}, token = {literal(token)})")
            return port, token
        except duckdb.IOException:
            continue  # somebody took the port in between
        except duckdb.Error as error:
            # `from None`: the failing statement holds the token
            raise CannotServe(f"quack did not start ({type(error).__name__})") from None
    raise CannotServe(f"no free port on {HOST}")


def free_port() -> int:
    """A port of this machine that nobody has: quack takes no port 0, so the system is asked first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def load_quack(con: duckdb.DuckDBPyConnection) -> None:
    """Load quack and the httpfs it speaks through from their wheels: signed, and without a network.

    Raises CannotServe with the reason where they are missing or were built for another DuckDB.
    """
    for name in ("httpfs", "quack"):
        load_extension(con, name)


def load_extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its wheel. Raises CannotServe with the reason where that cannot be done."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise CannotServe(f"duckdb-extension-{name} is not installed")
    version = "v" + duckdb.__version__
    file = Path(spec.origin).parent / "extensions" / version / f"{name}.duckdb_extension"
    if not file.is_file():
        raise CannotServe(
            f"the installed duckdb-extension-{name} is not made for DuckDB {duckdb.__version__}"
        )
    try:
        con.execute(f"LOAD {literal(str(file))}")
    except duckdb.Error as error:
        raise CannotServe(
            f"DuckDB {duckdb.__version__} cannot load {name}: {first_line(str(error))}"
        ) from error


def filter_sql(con: duckdb.DuckDBPyConnection) -> str:
    """The SQL expression over a VARCHAR `query` that is true where the statement only reads this database.

    `json_serialize_sql` parses the text and knows SELECT statements only: everything else, and a SELECT
    followed by anything else, is an error to it. `WITH … INSERT` is therefore refused though it begins
    with WITH. The tree it returns names every table and function, wherever they stand.
    """
    changing = con.execute(
        "SELECT list(DISTINCT function_name ORDER BY function_name) FROM duckdb_functions() "
        f"WHERE has_side_effects AND NOT list_contains({_list(HARMLESS)}, function_name)"
    ).fetchall()[0][0]
    own = (
        con.execute(
            "SELECT list(function_name) FROM duckdb_functions() WHERE function_type = 'table_macro' "
            f"AND database_name = {literal(CATALOG)} AND NOT internal"
        ).fetchall()[0][0]
        or []
    )
    # json_serialize_plan binds the statement in its argument: opens its files.
    banned = [*changing, "json_serialize_plan", "getenv"]
    tree = f"json_serialize_sql(regexp_replace(query::VARCHAR, {literal(EXPLAIN)}, '', 'i'))"

    def found(key: str) -> str:
        return f"coalesce(json_extract_string(tree, '$..{key}'), [])"

    def only(key: str, allowed: list[str] | tuple[str, ...]) -> str:
        return f"list_has_all({_list(allowed)}, list_transform({found(key)}, lambda x: lower(x)))"

    return f"""coalesce(query::VARCHAR = 'USE {CATALOG}' OR (SELECT
        json_extract_string(tree, '$.error') = 'false'
        AND json_array_length(tree, '$.statements') = 1
        AND {only("function.function_name", [*TABLE_FUNCTIONS, *own])}
        AND NOT list_has_any({_list(banned)}, list_transform({found("function_name")}, lambda x: lower(x)))
        AND len(list_filter({found("table_name")}, lambda x: NOT regexp_matches(x, {literal(_TABLE)}))) = 0
        AND {only("schema_name", SCHEMAS)}
        AND {only("catalog_name", CATALOGS)}
        FROM (SELECT {tree} AS tree)), false)"""


def anybody_connected(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a client is connected to a server of this DuckDB, or was and went without taking its leave."""
    loaded = "SELECT 1 FROM duckdb_extensions() WHERE loaded AND extension_name = 'quack'"
    return bool(
        con.execute(loaded).fetchall()  # else DuckDB would try to fetch it
        and con.execute("SELECT 1 FROM quack_active_connections() LIMIT 1").fetchall()
    )


def note_path(database_path: str | Path) -> Path:
    """Where the writer of a database leaves its note."""
    real = os.path.realpath(database_path)
    return Path(real + ".server.json")


def read_note(path: Path) -> Note | None:
    """The note at `path`, or None where there is none that can be read."""
    try:
        return Note(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def withdraw(path: Path, note: Note) -> None:
    """Remove the note at `path` if it is this one, and not what another run has left since."""
    if read_note(path) == note:
        path.unlink(missing_ok=True)


def _leave(path: Path, note: Note) -> None:
    """Write the note. It is private (0600) before it has a byte, and complete before it has its name."""
    handle, draft = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}."
    )  # created exclusively, mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({key: value for key, value in vars(note).items() if value is not None}, file)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink()
        raise


def address(port: int | None) -> str:
    """Quack's name for a port of this machine."""
    return f"quack:{HOST}:{port}"


def _list(words: list[str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(literal(word) for word in words) + "]"
