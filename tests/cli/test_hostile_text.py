"""Whatever models and sources say is kept to the byte, and is nowhere executed, styled, forged or obeyed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hostile import TEXTS, storable, texts
from hypothesis import example, given, settings
from support import TASK

from oversight import Question, Seat, Turn
from oversight.prompts import template_from
from oversight.quotes import CLOSE, OPEN
from oversight.report import results
from oversight.report.safe import one_line, visible
from oversight.store.check import check
from oversight.store.reading import Table
from oversight.views import view

PLAYERS = """
from hostile import TEXTS

said = list(TEXTS.values())

asked = {}

def speak(request):
    "Another text for each question."
    return said[asked.setdefault(request.view.question, len(asked)) % len(said)]

def judge(request):
    return "Answer: A"
"""
SOURCE = """
from hostile import TEXTS, storable
from oversight import Label, Question, task

@task(asymmetry="none", source="made up", licence="CC0")
def hostile(*, seed: int):
    "Questions of a hostile source."
    for n, text in enumerate(TEXTS.values()):
        text = storable(text)[:2000]
        yield Question(f"{text} {n}?", (f"yes {text}", "no"), passage=f"p {text}", group=f"g {text}",
                       source_id=f"s {n} {text}", meta={"text": text}), Label(0)
"""
OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database in which each of the texts was said in a debate, and asked; what the runs printed."""
    folder = tmp_path_factory.mktemp("said")
    (folder / "hostileplayers.py").write_text(PLAYERS)
    for name, source in (("source", SOURCE), ("toy", TASK)):
        (folder / name).mkdir()
        (folder / name / "task.py").write_text(source)
    seats = (
        "--judge",
        "scripted/hostileplayers:judge",
        "--debater",
        "scripted/hostileplayers:speak:words=100000",
    )
    printed = ""
    for task in ("./source", "./toy"):
        argv = ("run", "debate:rounds=1", "--task", task, *seats, "--limit", str(len(TEXTS)))
        done = subprocess.run(
            [sys.executable, "-m", "oversight", *argv],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), done.stderr  # a speech of blanks alone is a failed episode
        printed += done.stdout + done.stderr
    return folder / "oversight.duckdb", printed


@pytest.fixture
def spoken(said, oversight, folder):
    """The commands, in a folder with a copy of that database."""
    shutil.copy(said[0], folder / "oversight.duckdb")
    return oversight


def test_a_run_prints_nothing_that_a_terminal_would_obey(said):
    assert "judged" in said[1] and not OBEYED.search(said[1])


def test_every_text_is_stored_to_the_byte_and_the_file_is_whole(spoken, folder):
    with duckdb.connect(str(folder / "oversight.duckdb"), read_only=True) as con:
        stored = {text for (text,) in con.execute('SELECT "text" FROM calls').fetchall()}
        asked = {text for (text,) in con.execute("SELECT text FROM questions").fetchall()}
    for n, (name, text) in enumerate(TEXTS.items()):
        assert storable(text) in stored, name
        assert f"{storable(text)[:2000]} {n}?" in asked, name
    assert check(folder / "oversight.duckdb").flaws == ()


def test_no_speech_adds_a_message_or_leaves_its_place(spoken, folder):
    with duckdb.connect(str(folder / "oversight.duckdb"), read_only=True) as con:
        sizes = con.execute(
            "SELECT DISTINCT len(c.messages) FROM calls c JOIN uses u USING (call) WHERE u.seat = 'judge'"
        ).fetchall()
        said = con.execute(
            "SELECT m.content FROM calls c JOIN uses u USING (call), unnest(c.messages) AS x(message) "
            "JOIN messages m ON m.message = x.message WHERE u.seat = 'judge'"
        ).fetchall()
    assert len(sizes) == 1
    for (content,) in said:
        assert content.count(OPEN) == content.count(CLOSE)
    verdicts = json.loads(
        spoken("query", "SELECT status, count(*) n FROM judgements GROUP BY 1", "--format", "json")[1]
    )
    assert {row["status"] for row in verdicts} <= {"decided", "failed"}


def test_no_command_prints_what_a_terminal_would_obey(spoken):
    episodes = json.loads(spoken("query", "SELECT id FROM judgements ORDER BY id", "--format", "json")[1])
    commands = [
        ("report",),
        ("show",),
        ("list", "runs"),
        ("search", "the IGNORE instructions", "--limit", "100"),
    ]
    commands += [("query", "FROM turns"), ("query", "FROM questions"), ("check",)]
    for row in episodes[::4]:
        commands += [
            ("show", row["id"], "--private"),
            ("show", row["id"], "--as", "judge"),
            ("show", row["id"], "--calls"),
        ]
    for command in commands:
        status, out, err = spoken(*command)
        assert status == 0, (command, err)
        assert not OBEYED.search(out + err), command
        assert "49494949" not in out  # Jinja was not asked
    assert json.loads(spoken("report", "--json")[1])["accuracy"]


@pytest.mark.parametrize("command", [("report",), ("show",), ("query", "FROM turns"), ("query", "FROM turns", "--format", "csv"), ("search", "IGNORE"), ("list", "runs"), ("show", "last", "--private")])  # fmt: skip
def test_a_terminal_itself_receives_nothing_but_text(command, spoken, folder):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "oversight", *command],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "100"},  # so no escape is rich's own
    )
    os.close(theirs)
    received = b""
    with contextlib.suppress(OSError):  # so ends a terminal that nobody writes to any more
        while part := os.read(ours, 65536):
            received += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, received[-500:]
    text = received.decode().replace("\r\n", "\n")
    assert len(text) > 100 and not OBEYED.search(text)


def test_a_written_report_and_exports_hold_no_markup_of_theirs(spoken, folder):
    assert spoken("report", "--out", "rep")[0] == 0
    page = (folder / "rep" / "report.html").read_text(encoding="utf-8")
    assert not re.search("<(script|iframe|svg onload|img src=x)|javascript:", page)
    for format in ("jsonl", "hf", "parquet", "inspect"):
        status, out, err = spoken("export", format, "--out", format)
        assert status == 0, err
        assert not OBEYED.search(out + err)


def test_exports_are_read_back_as_they_were(spoken, folder):
    sql = 'SELECT "text" FROM turns ORDER BY episode, turn'
    with duckdb.connect(str(folder / "oversight.duckdb"), read_only=True) as con:
        stored = [text for (text,) in con.execute(sql).fetchall()]
    csv.field_size_limit(10_000_000)
    assert [row["text"] for row in json.loads(spoken("query", sql, "--format", "json")[1])] == stored
    assert spoken("query", sql, "--out", "t.csv")[0] == 0
    with (folder / "t.csv").open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in list(csv.reader(file))[1:]] == stored
    assert spoken("query", sql, "--out", "t.parquet")[0] == 0
    assert [text for (text,) in duckdb.sql(f"FROM '{folder}/t.parquet'").fetchall()] == stored


@settings(deadline=None)
@given(texts)
@example(TEXTS["control characters"])
@example(TEXTS["a lone surrogate"])
def test_what_is_printed_obeys_nothing_and_can_be_encoded(text: str) -> None:
    assert not OBEYED.search(visible(text))
    assert not OBEYED.search(one_line(text)) and not set("\n\t\r") & set(one_line(text))
    visible(text).encode("utf-8")


@settings(deadline=None)
@given(texts.map(storable))
def test_any_text_goes_through_the_store_and_out_again(text: str) -> None:
    with duckdb.connect(":memory:") as con:
        assert con.execute("SELECT ?", [text]).fetchall() == [(text,)]
    table = Table(["a", "b"], ["VARCHAR", "VARCHAR[]"], [(text, [text])])
    assert json.loads("".join(results._text([table], "json"))) == [{"a": text, "b": [text]}]
    back = list(csv.reader(io.StringIO("".join(results._text([table], "csv")), newline="")))
    assert back[1][0] == text and json.loads(back[1][1]) == [text]


TEMPLATE = template_from(
    "{% call system() %}You judge.{% endcall %}{% for turn in turns %}{% call user() %}{{ turn.title }}:\n"
    "{{ turn.lines }}{% endcall %}{% endfor %}{% call user() %}{{ question }}{% endcall %}",
    "judge.jinja",
)


@settings(deadline=None)
@given(texts.map(storable))
def test_any_speech_is_one_message_of_quoted_lines(text: str) -> None:
    question = Question("Who?", ("Mira", "Jo"))
    seats = [Seat("judge", "judge"), Seat("A", "debater", 0)]
    looking = view(question, (0, 1), seats, [Turn("speak", "A", 1, text)], seats[0], "judge", reads=False)
    system, speech, last = TEMPLATE.render(looking, {})
    assert (system.content, last.content) == ("You judge.", "Who?")
    head, *lines = speech.content.split("\n")
    assert head == "Debater A:"
    assert all(line.startswith(">") for line in lines)


def test_the_texts_are_what_they_are_called(tmp_path: Path) -> None:
    assert "\x1b" in TEXTS["colours and a cleared screen"] and "\0" in TEXTS["a null"]
    assert len(TEXTS["a megabyte on one line"]) == 1_000_000
    with pytest.raises(UnicodeEncodeError):
        (tmp_path / "x").write_text(TEXTS["a lone surrogate"], encoding="utf-8")
