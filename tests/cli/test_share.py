"""What cannot be shared or joined is said in one line, before a call is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import rows

from oversight.store.serve import free_port

Ran = tuple[int, str, str]
RUN = ("run", "direct", "--task", "./toy", "--judge", "scripted/rep.yaml", "--limit", "2", "-q")
TOKEN = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        (("--join", "10.0.0.1:9494"), "", "needs the writing token of that run in OVERSIGHT_TOKEN"),
        (("--join", "10.0.0.1:9494"), "short", "OVERSIGHT_TOKEN is too short"),
        (("--share",), "short", "OVERSIGHT_TOKEN is too short"),
        (("--join", "somewhere"), TOKEN, "'somewhere' is no address"),
        (("--join", "10.0.0.1:9494", "--share"), TOKEN, "give either"),
        (("--listen", "0.0.0.0:9494"), "", "nothing would be encrypted"),
        (("--listen", "127.0.0.1"), "", "is no address"),
        (("--share", "--batch"), "", "batch"),
        (("--share", "--lease", "0"), "", "--lease is 0"),
        (("--share", "--lease", "nan"), "", "--lease is nan"),
        (("--lease", "9"), "", "add --share"),
        (("--join", "10.0.0.1:9494", "--lease", "9"), TOKEN, "for the run that is joined"),
        (("--join", "me:secret@host:9494"), TOKEN, "what was given is no address"),
    ],
)
def test_one_line(
    oversight: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    token: str,
    said: str,
) -> None:
    monkeypatch.setenv("OVERSIGHT_TOKEN", token)
    status, out, err = oversight(*RUN, *options)
    assert status == 2 and said in err and err.count("\n") == 1 and not out, err
    assert not list(Path().glob("*.duckdb*"))


def test_a_run_that_is_not_there_is_said_in_one_line_without_the_token(
    oversight: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oversight.engine.sharing.guest.AT_FIRST", 0.3)
    monkeypatch.setenv("OVERSIGHT_TOKEN", TOKEN)
    status, _, err = oversight(*RUN, "--join", f"127.0.0.1:{free_port()}")
    assert status == 2 and "cannot be reached" in err and err.count("\n") == 1
    assert TOKEN not in err
    assert not Path("oversight.duckdb").exists()


def test_a_run_that_nobody_joins_is_like_any_other(oversight: Callable[..., Ran]) -> None:
    stale = {
        "pid": 1,
        "started": "then",
        "port": 9,
        "token": "t" * 40,
        "share": "http://127.0.0.1:9",
        "share_token": "s",
    }
    Path("oversight.duckdb.server.json").write_text(json.dumps(stale))  # of a run that crashed
    status, _, err = oversight(*RUN, "--share")
    assert status == 0 and "is shared" in err
    assert not Path("oversight.duckdb.server.json").exists()
    assert rows(Path("oversight.duckdb"), "SELECT status, planned, played FROM runs") == [("finished", 2, 2)]
    status, _, err = oversight(*RUN, "--share")
    assert status == 0
    assert rows(Path("oversight.duckdb"), "SELECT count(*) FROM calls") == [(2,)]
