"""Bad input: one line on standard error that names the thing and the way out, exit status 2, no traceback."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    "command", [("report",), ("show",), ("show", "last"), ("query", "SELECT 1"), ("list", "runs")]
)
def test_reading_without_a_database_says_to_run_first(oversight, command):
    err = refused(oversight(*command))
    assert "no database at oversight.duckdb" in err
    assert "oversight run" in err


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
