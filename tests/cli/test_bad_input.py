"""Bad input: one line on standard error that names the thing and the way out, exit status 2, no traceback."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import pytest

PLAYERS = ("--judge", "scripted/rep.yaml", "--debater", "scripted/rep.yaml", "--limit", "3")
PLAYED = ("--task", "./toy", *PLAYERS)

BAD_RUNS = {
    "an unknown protocol": (("debat", *PLAYED), "'debate'"),
    "an unknown parameter": (("debate:round=2", *PLAYED), "'rounds'"),
    "a parameter of the wrong type": (("debate:rounds=two", *PLAYED), "rounds='two' is not int"),
    "a parameter without a value": (("debate:rounds=1,ask", *PLAYED), "is not key=value"),
    "an unknown task": (("debate", "--task", "dosier", *PLAYERS), "'dossier'"),
    "a missing folder": (("debate", "--task", "./nope", *PLAYERS), "no folder ./nope"),
    "a folder that is no protocol": (("./toy", *PLAYED), "has no protocol.py"),
    "an unknown model": (("direct", "--task", "./toy", "--limit", "3", "--judge", "smolm2"), "'smollm2'"),
    "a missing script": (
        ("direct", "--task", "./toy", "--limit", "3", "--judge", "scripted/no.yaml"),
        "no.yaml",
    ),
    "an unknown elicitation": (("direct", *PLAYED, "--judge", "scripted/rep.yaml:elicit=hrad"), "'hard'"),
    "an unknown style": (("debate", *PLAYED, "--debater", "scripted/rep.yaml:style=fre"), "'free'"),
    "a temperature out of range": (
        ("direct", *PLAYED, "--judge", "scripted/rep.yaml:temperature=9"),
        "temperature",
    ),
    "a debate of no rounds": (("debate:rounds=-1", *PLAYED), "rounds is -1"),
    "rounds without an end": (("debate:rounds=1000000000", *PLAYED), "more than 1,000 moves"),
    "a date that is none": (("debate:rounds=2025-99-99", *PLAYED), "is not int"),
    "a model of no module": (("direct", *PLAYED, "--judge", ":x"), "':x'"),
    "no task": (("direct", *PLAYERS), "--task"),
    "no protocol, only options": (PLAYED, "PROTOCOL"),
    "no judge": (("direct", "--task", "./toy", "--limit", "3"), "--judge MODEL"),
    "no debater": (
        ("debate", "--task", "./toy", "--limit", "3", "--judge", "scripted/rep.yaml"),
        "--debater MODEL",
    ),
    "an endless task without a limit": (
        ("direct", "--task", "./toy", "--judge", "scripted/rep.yaml"),
        "--limit",
    ),
    "a limit of nothing": (("direct", *PLAYED, "--limit", "0"), "limit"),
    "a limit that is no number": (("direct", *PLAYED, "--limit", "many"), "--limit"),
    "an unknown order": (("direct", *PLAYED, "--order", "up"), "'both'"),
    "a seat without a model": (("direct", *PLAYED, "--seat", "critic"), "ROLE=MODEL"),
    "an unknown option": (("direct", *PLAYED, "--tsk", "x"), "--task"),
    "a missing file": (("nope.yaml",), "nope.yaml cannot be read"),
    "two files": (("a.yaml", "b.yaml"), "one experiment file at a time"),
    "a missing folder for the database": (("direct", *PLAYED, "--db", "no/x.duckdb"), "no folder no"),
    "a folder for a database": (("direct", *PLAYED, "--db", "toy"), "toy is a folder"),
    "no database": (("direct", *PLAYED, "--db", "rep.yaml"), "not a DuckDB database"),
}


def refused(ran) -> str:
    status, out, err = ran
    assert status == 2, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("oversight: ")
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("case", BAD_RUNS)
def test_run_refuses(oversight, case):
    argv, named = BAD_RUNS[case]
    assert named in refused(oversight("run", *argv))


YAML = {
    "broken YAML": ("protocol: direct\ntask: ./toy\n  judge: x\n", "line 3"),
    "an unknown setting": (
        "protocol: direct\ntask: ./toy\njudgee: x\n",
        "line 3: no setting 'judgee'; did you mean 'judges'",
    ),
    "a value of the wrong type": ("protocol: direct\ntask: ./toy\nlimit: many\n", "line 3"),
    "a list, not a mapping": ("- direct\n", "must be a mapping"),
    "a setting given twice": ("protocol: direct\nprotocol: debate\n", "line 2: 'protocol' is set twice"),
    "a date that is none": ("limit: 2025-99-99\n", "month"),
    "a number of 5,000 digits": (f"limit: {'9' * 5000}\n", "4300 digits"),
    "lists without an end": ("[" * 3000, "nested too deeply"),
    "no name for the database": ("db:\n", "line 1: db: "),
    "a name no file can have": ('db: "a\\0b"\n', "line 1: db: no file can have such a name"),
    "a truth value for a number": ("limit: true\n", "line 1: limit: input should be a number"),
    "options that are none": ("judge: {model: x, options: [1]}\n", "options must be a mapping"),
    "an option given twice": ("judge: {model: 'x:words=3', words: 4}\n", "'words' is set twice"),
    "two protocols as one": ("protocol: {direct: {}, debate: {}}\n", "one name with its parameters an item"),
    "a model that is none": ("judge: 3\n", "judge.0: write a name"),
    "a value of a billion parts": (
        "task:\n- &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"- &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in pairwise("abcdefghi")),
        "aliases (*name) stand for more than",
    ),
}


@pytest.mark.parametrize("case", YAML)
def test_a_malformed_file_names_the_line(oversight, folder, case):
    text, named = YAML[case]
    (folder / "e.yaml").write_text(text)
    err = refused(oversight("run", "e.yaml"))
    assert "e.yaml" in err
    assert named in err


QUESTIONS = {
    "one answer": 'Question("Q?", ("a",), passage="p.", source_id="q1"), Label(0)',
    "two equal answers": 'Question("Q?", ("a", " A "), passage="p.", source_id="q1"), Label(0)',
    "a label that names no answer": 'Question("Q?", ("a", "b"), passage="p.", source_id="q1"), Label(2)',
    "no passage where one is needed": 'Question("Q?", ("a", "b"), source_id="q1"), Label(0)',
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_a_bad_question_is_refused_with_its_id(oversight, folder, case):
    (folder / "bad").mkdir()
    (folder / "bad" / "task.py").write_text(
        "from oversight import Label, Question, task\n"
        '@task(asymmetry="x", source="x", licence="x")\ndef bad(*, seed: int):\n    """Bad."""\n'
        f"    yield {QUESTIONS[case]}\n"
    )
    argv = ("run", "direct:passage=true", "--task", "./bad", "--judge", "scripted/rep.yaml")
    assert "q1" in refused(oversight(*argv))


TASKS = {
    "raises": ("raise ValueError('oops')", "line 5): ValueError: oops"),
    "leaves": ("raise SystemExit(0)", "SystemExit"),
    "yields a question alone": ("yield Q", "yielded Question"),
    "yields a bare number for a label": ("yield Q, 0", "(Question, Label)"),
    "yields a truth value for a label": ("yield Q, Label(True)", "and not True"),
    "returns nothing": ("return None", "returned None"),
    "has a passage that is no text": (
        "yield Question('Q?', ('a', 'b'), passage=4), Label(0)",
        "its passage is 4",
    ),
    "has a lone surrogate": ("yield Question('Q?', ('a', 'b\\ud800')), Label(0)", "lone surrogate"),
    "has answers that are no tuple": ("yield Question('Q?', {'a', 'b'}), Label(0)", "not a tuple of texts"),
}


@pytest.mark.parametrize("case", TASKS)
def test_a_broken_task_is_named(oversight, folder, case):
    body, named = TASKS[case]
    (folder / "bad").mkdir()
    (folder / "bad" / "task.py").write_text(
        "from oversight import Label, Question, task\nQ = Question('Q?', ('a', 'b'))\n"
        f"@task(asymmetry='x', source='x', licence='x')\ndef bad(*, seed: int):\n    {body}\n"
    )
    err = refused(oversight("run", "direct", "--task", "./bad", "--judge", "scripted/rep.yaml"))
    assert "task.py" in err or "question" in err
    assert named in err


PLAYING = "turn = yield Speak(case.debaters[0])\n    if turn.text != '…':\n        "
PROTOCOLS = {
    "raises as it is made": ("raise ValueError('oops')", "line 4): ValueError: oops"),
    "raises at once": ("raise ValueError('oops')\n    yield", "line 4): ValueError: oops"),
    "raises when played": (PLAYING + "raise KeyError('oops')", "line 6): KeyError: 'oops'"),
    "leaves when played": (PLAYING + "raise SystemExit(0)", "line 6): SystemExit"),
    "goes on without an end": ("while True:\n        yield Together()", "more than 1,000 moves"),
    "goes on when played": (PLAYING + "while True: yield Together()", "more than 1,000 moves"),
    "makes a seat up": ("yield Speak(Seat('Z', 'debater', None))", "did not declare"),
    "makes a seat of a role up": ("yield Speak(Seat('Z', 'debater', 9))", "did not declare"),
    "is no generator": ("return [Judge(case.judge)]", "not a generator"),
}


@pytest.mark.parametrize("case", PROTOCOLS)
def test_a_broken_protocol_is_named(oversight, folder, case):
    body, named = PROTOCOLS[case]
    (folder / "bad").mkdir()
    (folder / "bad" / "protocol.py").write_text(
        "from oversight import Judge, Seat, Speak, Together, protocol\n"
        "@protocol(seats=('judge', 'debater'))\ndef bad(case):\n"
        f"    {body}\n    yield Judge(case.judge)\n".replace("]\n    yield Judge(case.judge)", "]")
    )
    (folder / "bad" / "judge.jinja").write_text("{% call user() %}{{ question }} {{ elicit }}{% endcall %}")
    (folder / "bad" / "debater.jinja").write_text("{% call user() %}{{ question }}{% endcall %}")
    err = refused(oversight("run", "./bad", *PLAYED, "-q"))
    assert "'bad'" in err
    assert named in err


MODELS = {
    "is of a broken module": ("raise ValueError('oops')", "cannot be imported: ValueError: oops"),
    "cannot be made": ("def model(): raise ValueError('oops')", "cannot be made: ValueError: oops"),
    "returns nothing": ("class model(Broken): reply = None", "returned None"),
    "returns a text": ("class model(Broken): reply = 'Answer: A'", "not a Completion"),
    "returns a text that is none": ("class model(Broken): reply = Completion(None)", "no text"),
    "returns no count": ("class model(Broken): reply = Completion('x', prompt_tokens=2**40)", "not counts"),
    "returns no count of thoughts": (
        "class model(Broken): reply = Completion('x', reasoning_tokens=-1)",
        "not counts",
    ),
    "returns an odd price": ("class model(Broken): reply = Completion('x', cost=float('nan'))", "no amount"),
    "returns an odd time": ("class model(Broken): reply = Completion('x', seconds='1')", "no amount"),
    "is served by a number": ("class model(Broken): reply = Completion('x', served=4)", "is no text"),
    "returns odd tokens": ("class model(Broken): reply = Completion('x', token_ids=('a',))", "no numbers"),
    "returns a token": ("class model(Broken): reply = Completion('x', token_ids=5)", "no numbers"),
    "stops for no reason": ("class model(Broken): reply = Completion('x', stop='x')", "stop='x'"),
    "has no scores": ("class model(Scoring): reply = Completion()", "scores None where 2"),
    "has one score": ("class model(Scoring): reply = Completion(scores=(0.0,))", "where 2 log-probs"),
    "reads verdicts in no way": ("class model(Broken): elicitation = 'hrad'", "'hard'"),
}
BROKEN = """
from oversight import Completion, Model
class Broken(Model):
    identity = "broken"
    async def generate(self, request): return self.reply
    async def score(self, request): return self.reply
class Scoring(Broken):
    scores, elicitation = True, "letters"
"""


@pytest.mark.parametrize("case", MODELS)
def test_a_broken_model_is_named(oversight, folder, case):
    body, named = MODELS[case]
    module = f"broken_{list(MODELS).index(case)}"
    (folder / f"{module}.py").write_text(f"{BROKEN}\n{body}\n")
    argv = ("run", "direct", "--task", "./toy", "--limit", "2", "-q", "--judge", f"{module}:model")
    err = refused(oversight(*argv))
    assert module in err
    assert named in err


def test_log_probs_that_are_no_numbers_fail_their_episodes(oversight, folder):
    (folder / "nan.py").write_text(
        f"{BROKEN}\nclass model(Scoring): reply = Completion(scores=(float('nan'), 0.0))\n"
    )
    argv = ("run", "direct", "--task", "./toy", "--limit", "2", "-q", "--judge", "nan:model")
    status, _, err = oversight(*argv)
    assert status == 1
    assert "no numbers" in err


def test_a_model_that_cancels_itself_is_no_end_of_the_run(oversight, folder):
    (folder / "quits.py").write_text(
        f"{BROKEN}\nimport asyncio\nclass model(Broken):\n"
        "    async def generate(self, request): raise asyncio.CancelledError\n"
    )
    argv = ("run", "direct", "--task", "./toy", "--limit", "2", "-q", "--judge", "quits:model")
    status, _, err = oversight(*argv)
    assert status == 70
    assert "CancelledError" in err


@pytest.mark.parametrize(
    "command", [("report",), ("show",), ("show", "last"), ("query", "SELECT 1"), ("list", "runs")]
)
def test_reading_without_a_database_says_to_run_first(oversight, command):
    err = refused(oversight(*command))
    assert "no database at oversight.duckdb" in err
    assert "oversight run" in err


def test_odd_files_for_a_database(oversight, folder):
    (folder / "loop").symlink_to("loop")
    (folder / "lite").write_bytes(b"SQLite format 3\0" + b"\0" * 4080)
    assert "loop cannot be opened" in refused(oversight("run", "direct", *PLAYED, "--db", "loop"))
    assert "not a DuckDB database" in refused(oversight("report", "--db", "lite"))


def test_a_database_of_somebody_else_or_of_a_newer_schema(played, folder):
    with duckdb.connect(str(folder / "other.duckdb")) as con:
        con.execute("CREATE TABLE t (a INTEGER)")
    assert "not one of oversight's" in refused(played("report", "--db", "other.duckdb"))
    with duckdb.connect(str(folder / "oversight.duckdb")) as con:
        con.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    assert "newer oversight" in refused(played("report"))
    assert "newer oversight" in refused(played("run", "direct", *PLAYED))


OTHER = {
    "an unknown command": (("rum",), "'run'"),
    "an unknown kind": (("list", "protocol"), "'protocols'"),
    "an unknown episode": (("show", "ffffffffffffffff"), "no episode"),
    "what is no id": (("show", "zzz"), "hexadecimal"),
    "an unknown run": (("report", "--run", "zzz"), "no run 'zzz'"),
    "an unknown seat": (("show", "last", "--as", "critic"), "judge"),
    "broken SQL": (("query", "SELEC 1"), "syntax error"),
    "an unknown table": (("query", "SELECT * FROM turnz"), "turnz"),
    "SQL that writes": (("query", "DELETE FROM turns"), "only statements that read"),
    "SQL that reads files": (("query", "SELECT * FROM 'rep.yaml'"), "may only read this database"),
    "parquet to the screen": (("query", "SELECT 1", "--format", "parquet"), "--out"),
    "the database as output": (("query", "SELECT 1", "--out", "oversight.duckdb"), "the database itself"),
    "a model nobody fetches": (("models", "get", "gpt"), "smollm2"),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_commands_refuse(played, case):
    argv, named = OTHER[case]
    assert named in refused(played(*argv))


def test_a_judge_that_is_not_asked_is_refused(oversight, folder):
    (folder / "bad").mkdir()
    (folder / "bad" / "protocol.py").write_text(
        "from oversight import Judge, protocol\n"
        "@protocol(seats=('judge',))\ndef bad(case):\n    yield Judge(case.judge)\n"
    )
    (folder / "bad" / "judge.jinja").write_text("{% call user() %}{{ question }}{% endcall %}")
    err = refused(oversight("run", "./bad", *PLAYED, "-q"))
    assert "bad/judge.jinja does not put the question to the judge: it must hold {{ elicit }}" in err


def test_a_role_that_no_protocol_seats_is_named(oversight, folder):
    err = refused(oversight("run", "debate", *PLAYED, "--seat", "critc=smollm2"))
    assert "no role 'critc'" in err and "judge" in err


AWAY = """
from oversight import task
from oversight.errors import Unreachable

@task(asymmetry="none", source="none", licence="CC0")
def {name}(*, seed: int):
    "Gone."
    raise Unreachable("some/{name} is gated: accept the terms, set HF_TOKEN")
    yield
"""


def test_all_tasks_that_cannot_be_had_are_said_at_once(oversight, tmp_path):
    for name in ("away", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.py").write_text(AWAY.format(name=name))
    (tmp_path / "more").mkdir()
    (tmp_path / "toy").rename(tmp_path / "more" / "toys")
    argv = ("run", "direct", "--judge", "scripted/rep.yaml", "--limit", "1", "--dry-run")
    tasks = ("--task", "./away", "--task", "./more/toys", "--task", "./gone", "--task", "dossier:words=60")
    status, _, err = oversight(*argv, *tasks)
    assert status == 2 and err.count("\n") == 1
    assert (
        "2 of 4 tasks cannot be had (./away: some/away is gated" in err
        and "./gone: some/gone is gated" in err
    )
    way_out = err.split("to leave them out name the others: ")[1].split()
    assert oversight(*argv, *way_out)[0] == 0, "what is said to be the way out is one"
    status, _, err = oversight(*argv, "--task", "./away")
    assert (status, err) == (2, "oversight: some/away is gated: accept the terms, set HF_TOKEN\n")
