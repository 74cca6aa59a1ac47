"""A run that writes lets others read, and lets them do nothing else. The run is a real second process."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hostile_sql import HOSTILE

from oversight.store.serve import (
    CATALOG,
    FILTER,
    address,
    filter_sql,
    load_quack,
    note_path,
    read_note,
    serve,
)

WRITER = """
import sys, time
import duckdb
from oversight.store import serve as serving

path = sys.argv[1]
if "--without-quack" in sys.argv:
    def missing(con):
        raise serving.CannotServe("duckdb-extension-quack is not installed")
    serving.load_quack = missing
con = duckdb.connect(":memory:")
quoted = path.replace("'", "''")
con.execute(f"ATTACH '{quoted}' AS oversight_db (STORAGE_VERSION 'v1.4.0')")
con.execute("USE oversight_db")
con.execute("CREATE TABLE IF NOT EXISTS meta(name VARCHAR, value VARCHAR)")
con.execute("INSERT INTO meta VALUES ('schema', '3')")
columns = "episode BIGINT, texts VARCHAR[], params JSON, mark STRUCT(a INT)"
con.execute(f"CREATE TABLE IF NOT EXISTS episodes({columns})")
con.execute("CREATE VIEW IF NOT EXISTS doubled AS SELECT episode * 2 AS twice FROM episodes")
con.execute("CREATE MACRO IF NOT EXISTS below(n) AS TABLE SELECT * FROM episodes WHERE episode < n")
con.execute("CREATE MACRO IF NOT EXISTS plus(n) AS n + 1")
con.execute("CREATE SEQUENCE IF NOT EXISTS counter")
server = None if "--silent" in sys.argv else serving.serve(con, path)
# a line is printed after the commit it counts: whatever was printed must survive
for number in range(1_000_000):
    con.execute("INSERT INTO episodes VALUES (?, ['a', 'b'], '{\\"k\\": 1}', {'a': 7})", [number])
    print(number + 1, flush=True)
    if "--pause" in sys.argv and number == 99:
        break
for line in sys.stdin:
    break
if server:
    server.stop()
con.close()
"""

READING = """
SELECT count(*) FROM episodes
FROM doubled LIMIT 1
FROM below(3)
SELECT plus(episode), texts[1], params->>'k', mark.a FROM episodes LIMIT 1
WITH x AS (FROM episodes) SELECT count(*) FROM x
SELECT * FROM oversight_db.episodes JOIN oversight_db.main.meta ON true LIMIT 1
DESCRIBE episodes
SHOW TABLES
SUMMARIZE episodes
EXPLAIN SELECT 1
EXPLAIN ANALYZE FROM doubled
VALUES (1), (2)
FROM information_schema.tables
FROM duckdb_columns()
SELECT unnest(texts), row_number() OVER (ORDER BY episode), random(), now()::VARCHAR FROM episodes LIMIT 2
PIVOT meta ON name IN ('schema') USING count(*)
SELECT 'read_text(''/etc/passwd'')'
FROM range(3), unnest(['x'])
""".strip().splitlines()


class Run:
    """A process that writes a database, one commit a row."""

    def __init__(self, path: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait_for(100)

    def wait_for(self, rows: int) -> int:
        """Wait until so many rows are committed; returns how many are."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if int(line) >= rows:
                return int(line)
        raise AssertionError("the writer ended")

    def end(self) -> None:
        """Let it finish in good order (it must have been started with --pause)."""
        self.process.communicate("\n", timeout=30)

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "it's a run.duckdb"


@pytest.fixture
def paused(database: Path) -> Iterator[Run]:
    """A run that has written 100 rows and holds the file, doing nothing."""
    run = Run(database, "--pause")
    yield run
    run.kill()


@pytest.fixture
def client(database: Path, paused: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """A client with the token that keeps to no rules of ours."""
    note = read_note(note_path(database))
    assert note is not None
    with duckdb.connect(":memory:") as con:
        load_quack(con)
        con.execute(f"ATTACH '{address(note.port)}' AS live (TYPE quack, TOKEN '{note.token}')")
        con.execute(f"FROM quack_query_by_name('live', 'USE {CATALOG}')")
        yield con


def ask(client: duckdb.DuckDBPyConnection, statement: str) -> list[tuple[object, ...]]:
    return client.execute("FROM quack_query_by_name('live', ?)", [statement]).fetchall()


def test_the_note_is_private_and_says_who_serves_where(database: Path, paused: Run) -> None:
    path = note_path(database)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    note = read_note(path)
    assert note is not None and note.pid == paused.process.pid
    assert note.token is not None and len(note.token) >= 40
    assert note.token not in repr(note)
    assert sorted(p.name for p in path.parent.iterdir() if "server" in p.name) == [path.name]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not list its sockets")
def test_nobody_is_served_beyond_this_machine(database: Path, paused: Run) -> None:
    note = read_note(note_path(database))
    assert note is not None and note.port is not None
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == note.port
    ]
    assert listening == [f"0100007F:{note.port:04X}"]


def test_the_note_goes_with_the_run(database: Path, paused: Run) -> None:
    paused.end()
    assert not note_path(database).exists()


def test_stopping_leaves_the_note_of_a_later_run_alone(database: Path) -> None:
    with duckdb.connect(":memory:") as con:
        con.execute("ATTACH ':memory:' AS oversight_db")
        first, second = serve(con, database), serve(con, database)
        assert first is not None and second is not None
        assert first.note.token != second.note.token
        first.stop()
        assert read_note(note_path(database)) == second.note
        second.stop()
        second.stop()
        assert not note_path(database).exists()


def test_a_wrong_token_is_refused(database: Path, paused: Run) -> None:
    note = read_note(note_path(database))
    assert note is not None
    with duckdb.connect(":memory:") as con:
        load_quack(con)
        for token in ("wrong-token", (note.token or "")[:-1]):
            with pytest.raises(duckdb.Error, match="Authentication failed"):
                con.execute(f"ATTACH '{address(note.port)}' AS live (TYPE quack, TOKEN '{token}')")


def test_the_server_itself_refuses_whatever_does_more_than_read(
    client: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = set(tmp_path.iterdir())
    for hostile in HOSTILE:
        with pytest.raises(duckdb.Error, match="Authorization failed"):
            ask(client, hostile.format(folder=tmp_path, secret=secret))
            pytest.fail(f"served: {hostile}")
    assert set(tmp_path.iterdir()) == before
    assert ask(client, "SELECT count(*), min(episode) FROM episodes") == [(100, 0)]


def test_a_client_that_attaches_the_database_cannot_write_to_it(client: duckdb.DuckDBPyConnection) -> None:
    for statement in (
        "INSERT INTO live.main.episodes VALUES (-1, [], '{}', {'a': 1})",  # by its bulk message
        "CREATE TABLE live.main.x(i INT)",
        "DROP TABLE live.main.episodes",
    ):
        with pytest.raises(duckdb.Error, match="Authorization failed"):
            client.execute(statement)
    assert ask(client, "SELECT count(*) FROM episodes") == [(100,)]


def test_the_server_answers_whatever_reads(client: duckdb.DuckDBPyConnection) -> None:
    for statement in READING:
        assert ask(client, statement), statement


def test_the_filter_refuses_a_text_that_is_no_statement() -> None:
    with duckdb.connect(":memory:") as con:
        con.execute(f"CREATE MACRO {FILTER}(sid, query) AS ({filter_sql(con)})")
        for text in (
            "",
            ";",
            "-- nothing",
            "not sql",
            "USE oversight_db; DROP TABLE x",
            "use oversight_db",
            None,
        ):
            assert con.execute(f"SELECT {FILTER}('', ?)", [text]).fetchall() == [(False,)], text
