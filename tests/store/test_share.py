"""The writing token: what it opens, what it does not, and what is said over a network."""

from __future__ import annotations

import base64
import json
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hostile_sql import HOSTILE

from oversight.errors import StoreError, UserError
from oversight.store.database import open_for_writing
from oversight.store.reading import closed, open_reader
from oversight.store.serve import address, load_quack, note_path, read_note, serve
from oversight.store.share import (
    FUNCTION,
    TOKEN,
    Address,
    Endpoint,
    Link,
    Unheard,
    address_of,
    given_token,
    listening_address,
    pack,
    unpack,
)


def echo(message: Any) -> Any:
    if message == "fail":
        raise ValueError("no such thing")
    return {"heard": message}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint(echo)
    yield found
    found.close()


def attached(port: int | None, token: str) -> duckdb.DuckDBPyConnection:
    """A client that keeps to no rules of ours."""
    con = closed()
    load_quack(con)
    con.execute(f"ATTACH '{address(port)}' AS there (TYPE quack, TOKEN '{token}')")
    return con


def test_a_message_is_heard_and_answered(endpoint: Endpoint) -> None:
    link = Link(endpoint.at, endpoint.token)
    said = {"text": "Über \u2028 'quoted'\0", "key": 2**64 - 1, "scores": [-0.1, float("-inf")], "none": None}
    assert link.ask(said) == {"heard": said}
    assert link.ask(["x" * 3_000_000]) == {"heard": ["x" * 3_000_000]}
    with pytest.raises(StoreError, match="no such thing"):
        link.ask("fail")
    assert link.ask("again") == {"heard": "again"}
    endpoint.close()
    with pytest.raises(Unheard) as told:
        link.ask("gone")
    assert endpoint.token not in str(told.value)


def test_a_writing_token_reads_no_file_loads_nothing_and_changes_no_setting(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = set(tmp_path.iterdir())
    message = pack("x")
    more = [
        f"SELECT {FUNCTION}('{message}'); DROP TABLE x",
        f"SELECT {FUNCTION}('{message}') FROM range(9)",
        f"SELECT {FUNCTION}(upper('x'))",
        f"SELECT {FUNCTION}('{message}' || (FROM read_text('{secret}')))",
        f"WITH x AS (SELECT {FUNCTION}('{message}')) FROM x",
        "FROM quack_active_connections()",
    ]
    with attached(endpoint.at.port, endpoint.token) as con:
        for hostile in (*HOSTILE, *more):
            with pytest.raises(duckdb.Error, match="Authorization failed"):
                statement = hostile.format(folder=tmp_path, secret=secret)
                con.execute("FROM quack_query_by_name('there', ?)", [statement]).fetchall()
                pytest.fail(f"served: {hostile}")
        for statement in ("CREATE TABLE there.main.x(i INT)", "CREATE TABLE there.main.x AS SELECT 1"):
            with pytest.raises(duckdb.Error, match="Authorization failed"):
                con.execute(statement)
        # Even what the filter lets by finds nothing there.
        found = con.execute("FROM quack_query_by_name('there', 'FROM duckdb_tables()')").fetchall()
        assert found == []
    assert set(tmp_path.iterdir()) == before


def test_a_reading_token_does_not_write_and_neither_opens_the_other_door(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "db.duckdb"
    con = open_for_writing(path)
    server = serve(con, path, share=(endpoint.reached, endpoint.token))
    assert server is not None
    note = read_note(note_path(path))
    assert note is not None and note.token != note.share_token == endpoint.token
    assert stat.S_IMODE(note_path(path).stat().st_mode) == 0o600
    assert endpoint.token not in repr(note) and str(note.token) not in repr(note)
    for port, token in ((endpoint.at.port, note.token), (note.port, endpoint.token)):
        with pytest.raises(duckdb.Error, match="Authentication failed"):
            attached(port, str(token))
    said = f"SELECT {FUNCTION}('{pack('x')}')"
    with (
        attached(note.port, str(note.token)) as reader,
        pytest.raises(duckdb.Error, match="does not exist"),
    ):
        reader.execute("FROM quack_query_by_name('there', ?)", [said]).fetchall()
    with pytest.raises(StoreError, match="does not take this token") as told:
        Link(endpoint.at, "a-token-of-somebody-else").ask("x")
    assert "somebody" not in str(told.value)
    server.stop()
    con.close()


def test_a_message_that_is_none_is_refused() -> None:
    for wrong in ("", "QUJD", pack("x")[:-8], "!!", pack("x" * 100)[:12]):
        with pytest.raises(ValueError):
            unpack(wrong)
    lone = base64.b64encode(zlib.compress(rb'["x \\\ud800"]')).decode()
    with pytest.raises(ValueError, match="surrogate"):
        unpack(lone)
    for fine in (r"\ud800", "\\" * 3 + "ud800", "\U0001f600", "é"):
        assert unpack(pack(fine)) == fine


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:9494", Address("127.0.0.1", 9494, False)),
        ("localhost:1", Address("localhost", 1, False)),
        ("http://10.0.0.1:80", Address("10.0.0.1", 80, False)),
        ("10.0.0.1:443", Address("10.0.0.1", 443, True)),
        ("https://host.example:443/", Address("host.example", 443, True)),
        ("https://localhost:8443", Address("localhost", 8443, True)),
        ("[::1]:9494", Address("::1", 9494, False)),
    ],
)
def test_what_is_not_this_machine_speaks_tls_unless_said_otherwise(text: str, meant: Address) -> None:
    assert address_of(text) == meant


def test_nothing_listens_beyond_this_machine_unless_plain_http_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for wrong in (
        "host",
        "host:",
        ":9",
        "host:0",
        "host:70000",
        "ftp://host:9",
        "a b:9",
        "host:9/x",
        "u:p@host:9",
    ):
        with pytest.raises(UserError, match="is no address"):
            address_of(wrong)
    for open_ in ("0.0.0.0:9494", "10.0.0.1:9494", "https://127.0.0.1:9494", "host.example:9494"):
        with pytest.raises(UserError, match="nothing would be encrypted") as told:
            listening_address(open_)
        assert "\n" not in str(told.value) and "docs/sharing.md" in str(told.value)
    assert listening_address("127.0.0.1:9494").here
    assert listening_address("http://0.0.0.0:9494") == Address("0.0.0.0", 9494, False)
    monkeypatch.setenv(TOKEN, "short")
    with pytest.raises(UserError, match="too short"):
        given_token()


def test_a_note_of_a_run_that_crashed_misleads_nobody(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    open_for_writing(path).close()
    stale = {
        "pid": 1,
        "started": "then",
        "port": 9,
        "token": "t" * 40,
        "share": "http://127.0.0.1:9",
        "share_token": "s",
    }
    note_path(path).write_text(json.dumps(stale))
    with open_reader(path) as reader:
        assert not reader.live
    assert not note_path(path).exists()
