"""Secrets never land: no key in what is printed, stored, raised or left on the disk, whatever goes wrong."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Forked, Process
from support import TASK, rows
from wire import Fault, Reply, Seen, Wire

from oversight.engine.plan import make_plan
from oversight.errors import UserError
from oversight.experiment import experiment_from
from oversight.models import open_model
from oversight.models.interface import Message, Request
from oversight.secrecy import masked, without_keys

MIDDLE = "q7Zr0kMIDDLEofTHEkey9x"
KEY = f"xk-live-{MIDDLE}-tail42"
"""Nothing gives it away but that it is a key: it does not begin with sk-."""

PLUGIN = """
import os
from oversight import Completion, Model, Transport

class Raises(Model):
    identity = "raises"
    async def generate(self, request):
        raise RuntimeError(f"the header was Bearer {os.environ['TEST_KEY']}")

class Fails(Model):
    identity = "fails"
    async def generate(self, request):
        raise Transport(f"the header was {os.environ['TEST_KEY']}")

class Keyed(Model):
    def __init__(self, api_key):
        self.api_key = api_key
    async def generate(self, request):
        return Completion("Answer: A")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "task.py").write_text(TASK)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    return tmp_path


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(answer=lambda seen: Reply("Answer: A"), key=KEY) as server:
        yield server


def judge(wire: Wire, **options: Any) -> str:
    given = {"base_url": wire.openai, "key_env": "TEST_KEY", "attempts": 1, **options}
    return "openai/gpt-4o-mini:" + ",".join(f"{k}={v}" for k, v in given.items())


def debater(wire: Wire, **options: Any) -> str:
    given = {"base_url": wire.url, "key_env": "TEST_KEY", "attempts": 1, **options}
    return "anthropic/claude-haiku-4-5:" + ",".join(f"{k}={v}" for k, v in given.items())


FORKED = Forked()


@pytest.fixture(scope="module", autouse=True)
def forked() -> Iterator[None]:
    with FORKED:
        yield


def environment(**variables: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")} | variables


def start(folder: Path, *argv: str, **variables: str) -> Process:
    return FORKED.start(argv, folder, environment(**variables))


def told(folder: Path, *argv: str, **variables: str) -> tuple[int, str]:
    """Exit status, and all that a command printed; no key is in that nor in any file of the folder."""
    process = start(folder, *argv, **{"TEST_KEY": KEY, **variables})
    out, err = process.communicate(timeout=120)
    assert_none(folder, out + err)
    assert process.returncode is not None
    return process.returncode, out + err


def assert_none(folder: Path, printed: str) -> None:
    """No file but `.env` and the tests' own holds a key; nor does what was printed."""
    hidden = (MIDDLE.encode(), base64.b64encode(KEY.encode())[4:-4])
    assert MIDDLE not in printed
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".env":
            content = path.read_bytes()
            assert not any(h in content for h in hidden), path.name


def assert_none_stored(folder: Path, db: str = "oversight.duckdb") -> None:
    """Nor is there one in any row: a file's bytes may be compressed."""
    for (table,) in rows(folder / db, "SELECT table_name FROM duckdb_tables()"):
        assert MIDDLE not in repr(rows(folder / db, f'SELECT * FROM "{table}"')), table


PLAN = ("run", "debate:rounds=1", "--task", "./toy", "--limit", "2")


def test_a_good_run_and_all_that_reads_it(folder: Path, wire: Wire) -> None:
    (folder / ".env").write_text(f"FROM_FILE={KEY}\n")
    seats = ("--judge", judge(wire, key_env="FROM_FILE"), "--debater", debater(wire))
    status, said = told(folder, *PLAN, *seats, "--dry-run")
    assert status == 0, said
    command = [sys.executable, "-m", "oversight", *PLAN, *seats]  # once as it is typed
    done = subprocess.run(command, cwd=folder, env=environment(TEST_KEY=KEY), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_none(folder, done.stdout + done.stderr)
    assert any(KEY in str(seen.headers) for seen in wire.seen)  # it did go out
    tables = [t for (t,) in rows(folder / "oversight.duckdb", "SELECT table_name FROM duckdb_tables()")]
    both = " UNION ALL ".join(f'SELECT t::VARCHAR AS row FROM "{t}" t' for t in tables)
    for argv in (("report",), ("show", "last", "--calls"), ("query", both, "--format", "csv")):
        status, said = told(folder, *argv)
        assert status == 0 and said
    assert_none_stored(folder)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_an_error_that_repeats_the_key(folder: Path, wire: Wire, status: int) -> None:
    def answer(seen: Seen) -> Reply | Fault:
        return Fault(status, f"your key {KEY} was not liked: Bearer {KEY}")

    wire.answer = answer
    seats = ("--judge", judge(wire, call_timeout=1), "--debater", debater(wire, call_timeout=1))
    code, said = told(folder, *PLAN, *seats)
    assert code == (2 if status in (401, 403, 404) else 1), said
    assert "was not liked" in said
    assert_none_stored(folder)


def test_a_key_that_is_refused_at_once(folder: Path, wire: Wire) -> None:
    wire.key = "another"
    code, said = told(folder, *PLAN, "--judge", judge(wire), "--debater", debater(wire))
    assert code == 2 and "the key in TEST_KEY was refused" in said
    model = judge(wire).replace("openai/", "hosted_vllm/")
    code, said = told(folder, "run", "direct", *PLAN[2:], "--judge", model, "--db", "other.duckdb")
    assert code == 2 and "the key in TEST_KEY was refused" in said
    assert_none_stored(folder, "other.duckdb")


def test_a_connection_that_fails(folder: Path, wire: Wire) -> None:
    wire.answer = lambda seen: Fault("drop")
    code, said = told(folder, *PLAN, "--judge", judge(wire), "--debater", debater(wire))
    assert code == 1 and "transport" in said
    assert_none_stored(folder)
    nobody = "openai/x:base_url=http://127.0.0.1:9/v1,key_env=TEST_KEY"
    code, said = told(folder, "run", "direct", *PLAN[2:], "--judge", nobody)
    assert code == 2 and "does not answer" in said


@pytest.mark.parametrize(("plugin", "code"), [("plugin:Raises", 2), ("plugin:Fails", 1)])
def test_a_plug_in_that_says_the_key(folder: Path, plugin: str, code: int) -> None:
    status, said = told(folder, "run", "direct", *PLAN[2:], "--judge", plugin)
    assert status == code, said
    assert "the header was" in said
    assert_none_stored(folder)


def test_a_key_where_none_belongs(folder: Path, wire: Wire) -> None:
    """Typed as an option, into an address, or in the place of its variable's name: it is not repeated."""
    host = wire.openai.removeprefix("http://")
    for wrong, way_out in (
        (f"openai/x:api_key={KEY}", "no option 'api_key'"),
        (f"openai/x:api_key={KEY},api_key={KEY}", "sets 'api_key' twice"),
        (f"openai/x:key_env={KEY}", "key_env is the name"),
        (f"openai/x:base_url=http://me:{KEY}@{host}", "no user, password or query"),
        (f"openai/x:base_url=http://{host}?key={KEY}", "no user, password or query"),
        (f"openai/x:base_url=me:{KEY}@{host}", "no user, password or query"),
        (f"hosted_vllm/x:base_url=http://me:{KEY}@{host}", "no user, password or query"),
    ):
        code, said = told(folder, "run", "direct", *PLAN[2:], "--judge", wrong, TEST_KEY="")
        assert code == 2 and way_out in said, (wrong, said)
        assert not (folder / "oversight.duckdb").exists()
    code, said = told(
        folder, "run", "direct", *PLAN[2:], "--judge", f"plugin:Keyed:api_key={KEY}", TEST_KEY=""
    )
    assert code == 0, said
    assert_none_stored(folder)
    (folder / "e.yaml").write_text("")  # and with a mistake beside it in a file
    text = f"protocol: direct\ntask: ./toy\njudge: {{model: 'openai/x', api_key: {KEY}, options: [1]}}\n"
    secret = folder.parent / f"{folder.name}.yaml"
    secret.write_text(text)
    code, said = told(folder, "run", str(secret), TEST_KEY="")
    assert code == 2 and "options must be a mapping" in said


@pytest.mark.parametrize("broken", [False, True])
def test_batches(folder: Path, wire: Wire, broken: bool) -> None:
    if broken:
        wire.answer = lambda seen: Fault(400, f"no model for {KEY}")
    seats = ("--judge", judge(wire, batches="true"), "--debater", debater(wire, batches="true"))
    code, said = told(folder, *PLAN, *seats, "--batch", OVERSIGHT_BATCH_POLL="0.05")
    assert code == broken, said
    assert_none_stored(folder)


def test_what_a_killed_run_leaves(folder: Path, wire: Wire) -> None:
    """The database's log of changes and the file that readers find the run by."""
    wire.answer = lambda seen: (
        Fault("hang")
        if len(wire.seen) > 8
        else Fault(500, f"what is {KEY}?")
        if len(wire.seen) % 2
        else Reply("A")
    )
    seats = ("--judge", judge(wire, attempts=9), "--debater", debater(wire, attempts=9))
    process = start(folder, *PLAN, *seats, TEST_KEY=KEY)
    deadline = time.monotonic() + 60
    while len(wire.seen) <= 8 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert_none(folder, "")
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert_none(folder, out + err)
    assert len(list(folder.glob("oversight.duckdb*"))) >= 2
    assert_none_stored(folder)


@pytest.mark.parametrize("provider", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
def test_objects_and_tracebacks_with_their_variables(
    provider: str, folder: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    url = wire.openai if provider.startswith("openai") else wire.url
    model = open_model(provider, {"base_url": url, "key_env": "TEST_KEY", "check": False})
    wire.answer = lambda seen: Fault(401, f"Incorrect API key provided: {KEY}.")

    async def ask() -> None:
        try:
            await model.generate(Request((Message("user", "x"),)))
        finally:
            assert MIDDLE not in repr(model) + repr(model.manners)
            await model.done()

    with pytest.raises(UserError) as caught:
        asyncio.run(ask())
    assert caught.value.__context__ is None, "the SDK's error, with its request, lives as long as ours"
    whole = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert not [line for line in whole.format() if MIDDLE in line]


def test_an_experiment_and_a_plan_print_without_their_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    seat = {"model": "plugin:Keyed", "api_key": KEY}
    experiment = experiment_from(
        {"protocols": ["direct"], "tasks": ["./toy"], "judge": seat, "limit": 1, "db": folder / "x.duckdb"}
    )
    assert experiment.judges[0].options["api_key"] == KEY
    assert MIDDLE not in repr(experiment) + str(experiment)
    plan = make_plan(experiment)
    assert MIDDLE not in repr(plan)
    plan.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("judge=m:api_key=abc,temperature=1", "judge=m:api_key=***,temperature=1"),
        ("max_tokens=300,token=abc", "max_tokens=300,token=***"),
        ("see http://u:p@h:1/v1 or https://h/v1?code=abc", "see http://***@h:1/v1 or https://h/v1?***"),
    ],
)
def test_a_command_is_kept_without_its_secrets(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'x' is not key=value; write name:key=value", "'x' is not key=value; write name:key=value"),
        ("a reply's first token: 'A'", "a reply's first token: 'A'"),
        ("provided: sk-proj-********wxyz. See https://h/keys.", "provided: ***. See https://h/keys."),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'api_key': 'abc', 'x': 1}", "{'api_key': '***', 'x': 1}"),
    ],
)
def test_a_message_loses_its_keys_and_nothing_else(text: str, shown: str) -> None:
    assert without_keys(text) == shown
