"""`report`, `show`, `query` and `list`: the same numbers everywhere, and nothing a terminal would obey."""

from __future__ import annotations

import csv
import io
import json

import duckdb
import pytest

PLAYED = ("--task", "./toy", "--judge", "scripted/rep.yaml", "--debater", "scripted/rep.yaml")


def rows(played, sql: str) -> list[dict]:
    status, out, err = played("query", sql, "--format", "json")
    assert status == 0, err
    return json.loads(out)


def test_the_report_equals_query(played):
    _, text, _ = played("report")
    _, out, _ = played("report", "--json")
    report = json.loads(out)
    view = {(r["protocol"], r["params"]): r for r in rows(played, "SELECT * FROM accuracy")}
    assert len(report["accuracy"]) == len(view) == 4
    for row in report["accuracy"]:
        same = next(
            r
            for (p, params), r in view.items()
            if p == row["protocol"] and json.loads(params) == row["params"]
        )
        for name in (
            "episodes",
            "decided",
            "tie",
            "unparsable",
            "refused",
            "failed",
            "questions",
            "groups",
            "accuracy",
        ):
            assert row[name] == same[name], name
        assert f"{100 * row['accuracy']:.1f} %" in text
    again = rows(played, report["sql"]["accuracy"])
    assert [r["accuracy"] for r in again] == sorted_like(again, report["accuracy"])


def sorted_like(order: list[dict], found: list[dict]) -> list[float]:
    by_arm = {int(r["arm"], 16): r["accuracy"] for r in found}
    return [by_arm[r["arm"]] for r in order]


def test_every_statement_of_sql_can_be_asked(played):
    _, out, _ = played("report", "--sql")
    statements = [s for s in out.split(";\n") if s.strip()]
    assert len(statements) >= 6
    for statement in statements:
        found = rows(played, statement.strip().rstrip(";"))
        assert found or "/* reading" in statement  # nobody was read in several ways here
    assert played("report", "--sql", "--run", "last")[0] == 0


def test_floor_comes_first_and_ceiling_last_within_80_columns(played):
    _, out, _ = played("report")
    lines = [
        line
        for line in out.splitlines()
        if line.split(" ")[0].split(":")[0] in ("direct", "consultancy", "debate")
    ]
    assert [line.split()[0] for line in lines[:4]] == [
        "direct",
        "consultancy:rounds=1",
        "debate:rounds=1",
        "direct:passage=true",
    ]
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_the_ledger_shows_exactly_what_happened(oversight):
    oversight("run", "direct", "--task", "./toy", "--judge", "scripted/players:mixed", "--limit", "40", "-q")
    oversight(
        "run",
        "direct",
        "--task",
        "./toy",
        "--judge",
        "scripted/players:tied:elicit=letters",
        "--limit",
        "40",
        "-q",
    )
    found = {r["judge"]: r for r in json.loads(oversight("report", "--json")[1])["accuracy"]}
    mixed, tied = found["scripted/players:mixed"], found["scripted/players:tied"]
    counts = ("decided", "tie", "unparsable", "refused", "failed", "unfinished", "episodes")
    assert [mixed[c] for c in counts] == [28, 0, 4, 4, 4, 0, 40]
    assert [tied[c] for c in counts] == [0, 40, 0, 0, 0, 0, 40]
    right = round(mixed["accuracy"] * 28)
    assert mixed["worst"] == right / 40
    assert mixed["best"] == (right + 12) / 40
    assert tied["accuracy"] is None
    assert tied["reason"] == "no verdict was decided"
    _, text, _ = oversight("report")
    assert "worst" in text
    assert "none: no verdict was decided" in " ".join(text.split())


def test_arms_of_one_title_say_how_they_differ(oversight):
    argv = ("run", "direct", "--task", "./toy", "--limit", "6", "-q")
    oversight(*argv, "--judge", "scripted/rep.yaml", "--judge", "scripted/rep.yaml:temperature=0.5")
    _, out, _ = oversight("report")
    flat = " ".join(out.split())
    assert "temperature=0.0" in flat
    assert "temperature=0.5" in flat


def test_show_tells_the_truth_last_and_marks_quotes_itself(played):
    episode = rows(played, "SELECT id FROM judgements WHERE protocol = 'debate' ORDER BY id")[0]["id"]
    _, out, _ = played("show", episode[:12])
    places = [out.index(part) for part in ("Question", "Round 1", "\nDebater A", "Verdict", "Truth")]
    assert places == sorted(places)
    assert '⟦✓ "Jo slept."⟧ ⟦✗ "Jo ran."⟧' in " ".join(out.split())
    assert "[verified]" not in out
    assert "hm" not in out
    assert "hm" in played("show", episode, "--private")[1]
    right = rows(played, f"SELECT correct FROM judgements WHERE id = '{episode}'")[0]["correct"]
    assert f"the judge was {'right' if right else 'wrong'}" in out


def test_show_as_a_seat_gives_every_message_to_the_byte(played, folder):
    episode = rows(played, "SELECT id FROM judgements WHERE protocol = 'debate' ORDER BY id")[0]["id"]
    _, out, _ = played("show", episode, "--as", "judge")
    with duckdb.connect(str(folder / "oversight.duckdb"), read_only=True) as con:
        messages = con.execute(
            "SELECT m.content FROM (SELECT unnest(c.messages) AS message, "
            "generate_subscripts(c.messages, 1) AS i FROM uses u JOIN calls c USING (call) "
            "WHERE u.episode = ? AND u.turn = 2) JOIN messages m USING (message) ORDER BY i",
            [int(episode, 16)],
        ).fetchall()
    assert len(messages) >= 4
    at = 0
    for (content,) in messages:
        at = out.index(content, at)
    assert "Mira Tan" not in out
    assert "Mira Tan" in played("show", episode, "--as", "Debater A")[1]
    assert "call 1 of 1" in out


def test_nothing_a_terminal_would_obey_is_printed(played):
    episode = rows(played, "SELECT id FROM judgements WHERE protocol = 'consultancy' ORDER BY id")[0]["id"]
    for argv in (
        ("show", episode),
        ("show", episode, "--as", "consultant"),
        ("query", "SELECT text FROM turns"),
    ):
        _, out, _ = played(*argv)
        assert "\x1b" not in out
        assert "\\x1b[31mPerson" in out
        assert "[bold]sure[/bold]" in out


def test_show_without_an_episode_offers_some(played):
    _, out, _ = played("show")
    first = out.splitlines()[2].split()[0]
    assert played("show", first)[0] == 0
    assert played("show", "random")[0] == 0
    assert "made" in played("show", "last", "--calls")[1]


def test_query_formats_agree(played, folder):
    sql = "SELECT id, sample, correct, answer_order, probabilities FROM judgements ORDER BY id"
    as_json = rows(played, sql)
    _, text, _ = played("query", sql, "--format", "csv")
    as_csv = list(csv.DictReader(io.StringIO(text)))
    assert [r["id"] for r in as_csv] == [r["id"] for r in as_json]
    assert json.loads(as_csv[0]["answer_order"]) == as_json[0]["answer_order"]
    assert played("query", sql, "--out", "x.parquet")[0] == 0
    read = duckdb.sql(f"SELECT * FROM '{folder}/x.parquet'").fetchall()
    assert [r[0] for r in read] == [r["id"] for r in as_json]
    assert [r[3] for r in read] == [r["answer_order"] for r in as_json]
    assert played("query", sql, "--out", "x.csv")[0] == 0
    assert (folder / "x.csv").read_text() == text


def test_csv_to_a_pipe_is_exact(played):
    _, text, _ = played(
        "query", "SELECT text FROM turns WHERE seat = 'consultant' LIMIT 1", "--format", "csv"
    )
    assert "\x1b[31m" in text


@pytest.mark.parametrize(
    "kind, named",
    [
        ("protocols", "rounds=3"),
        ("tasks", "asymmetry: the helpers"),
        ("models", "smollm2"),
        ("styles", "prefill"),
        ("elicitations", "texts-calibrated"),
        ("runs", "oversight run direct"),
    ],
)
def test_list(played, kind, named):
    status, out, _ = played("list", kind)
    assert status == 0
    assert named in out


def test_version_and_help(oversight):
    assert oversight("--version")[1].startswith("oversight ")
    for command in ("run", "report", "show", "query", "list", "models"):
        status, out, _ = oversight(command, "--help")
        assert status == 0
        assert command in out


def test_a_folder_of_ones_own_is_listed_alone(oversight, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "protocol.py").write_text(
        "from oversight import Case, Judge, Script, protocol\n\n"
        '@protocol(seats=("judge",))\ndef mine(case: Case, rounds: int = 2) -> Script:\n'
        '    """Mine alone.\n\n    rounds: how many\n    """\n    yield Judge(case.judge)\n'
    )
    status, out, _ = oversight("list", "protocols", "./mine", "direct")
    assert status == 0
    assert "Mine alone." in out and "rounds=2" in out and "passage=false" in out and "debate" not in out
    status, out, _ = oversight("list", "tasks", "./toy")
    assert status == 0
    assert "A toy." in out and "how many to choose from" in out and "dossier" not in out


def test_a_folder_that_is_none_is_said_and_nothing_else_takes_a_name(oversight):
    assert oversight("list", "protocols", "./toy")[2].endswith("folder ./toy has no protocol.py\n")
    status, out, err = oversight("list", "models", "smollm2")
    assert (status, out) == (2, "") and "only protocols and tasks are listed by name" in err
