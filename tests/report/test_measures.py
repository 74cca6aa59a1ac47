"""Every measure from the command line, Python and SQL alike, and what the sections newly in the report say, against SQL by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import TASK, rows

import oversight
from oversight.cli import main
from oversight.cli import report as command
from oversight.episode import Run
from oversight.measure.every import MEASURES
from oversight.measure.measured import Measured, within
from oversight.measure.seats import player_names, told_apart
from oversight.report.measures import measure_rows, named, sections, statements
from oversight.report.sections import SECTIONS
from oversight.report.terminal import percent
from oversight.store.reading import open_reader

Play = Callable[..., Run]
Capsys = pytest.CaptureFixture[str]
ARMS = ("direct", "direct:passage=true", "consultancy:rounds=1,ask=false", "debate:rounds=1")
OPEN = ("consultancy:rounds=1,ask=false,side=open",)
JUDGE = "simulated/judge:accuracy=0.62,credulity=0.9,passage_accuracy=0.95,beliefs=true"
LETTERS, HARD = "simulated/judge (elicit=letters)", "simulated/judge (elicit=hard)"
DEBATER = "simulated/debater:truth_advantage=0.9"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four questions on six passages, five arms, both orders, one judge read in two ways. Read only."""
    folder = tmp_path_factory.mktemp("simulated") / "toy"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    path = folder.parent / "db.duckdb"
    judges = [JUDGE, f"{JUDGE},elicit=hard"]
    settings: dict[str, Any] = {"limit": 24, "db": path, "order": "both", "samples": 2}
    oversight.run((*ARMS, *OPEN), str(folder), judges, DEBATER, **settings)
    return path


def called(capsys: Capsys, *argv: object) -> str:
    assert main([str(a) for a in argv]) == 0
    return capsys.readouterr().out


def whole(db: Path, name: str) -> list[dict[str, Any]]:
    with open_reader(db) as reader:
        return measure_rows(reader, name)


def seats(db: Path) -> dict[int, tuple[str, str]]:
    """The protocol and elicitation of each arm."""
    sql = "SELECT arm, protocol || CASE WHEN params ->> 'passage' = 'true' THEN '+' WHEN params ->> 'side' = 'open' "
    sql += "THEN ' open' ELSE '' END, players ->> '$.judge.elicit' FROM arms"
    return {arm: (protocol, elicit) for arm, protocol, elicit in rows(db, sql)}


# one name, one measure, everywhere


def test_command_line_and_python_have_the_same_rows_to_the_last_digit(
    simulated: Path, capsys: Capsys
) -> None:
    told = json.loads(called(capsys, "report", "all", "--json", "--db", simulated))
    assert list(told["measures"]) == list(told["sql"]) == list(SECTIONS)
    database = oversight.open_database(simulated)
    for name, given in told["measures"].items():
        frame = database.measure(name)
        assert set(frame.columns) == {key for row in given for key in row}, name
        for row, other in zip(given, frame.to_dict("records"), strict=True):
            for key, value in row.items():
                found = other[key]
                lists = isinstance(value, list)
                same = json.loads(json.dumps(found)) == value if lists else found == value
                assert same or (value is None and (found is None or found != found)), (name, key)
    assert (
        told["measures"]["accuracy"]
        == json.loads(called(capsys, "report", "--json", "--db", simulated))["accuracy"]
    )


def test_a_measures_sql_is_exactly_its_own_and_has_rows(simulated: Path, capsys: Capsys) -> None:
    for name in SECTIONS:
        printed = called(capsys, "report", name, "--sql", "--db", simulated)
        blocks = dict(re.findall(r"/\* (.*?) \*/\n(.*?);(?=\n|\Z)", printed, re.DOTALL))
        assert list(blocks.values()) == list(statements(name).values())
        for text in blocks.values():
            assert rows(simulated, text) or name == "readings", name  # nobody was read in several ways here
    assert set(MEASURES) < set(SECTIONS)
    assert list(statements("position")) == ["choices"] and list(statements("leaks")) == ["leaks"]


def test_the_table_is_the_written_reports_table(simulated: Path, capsys: Capsys) -> None:
    with open_reader(simulated) as reader:
        found = sections(reader)
    out = called(capsys, "report", "all", "--db", simulated)
    text = " ".join(out.split())
    for name, section in found.items():
        assert section.title in text, name
        if section.table is None:
            assert f"{section.title} Nothing to show: {section.missing}." in text
            continue
        for row in section.table.rows:
            names = 2 if section.table.head[:2] == ("task", "judge") else 0
            assert " ".join(cell for cell in row[names:] if cell) in text or row[0] == "sum", (name, row)
        for line in section.said:
            assert line in text
    assert f"Task toy judge {LETTERS}" in text and f"Task toy judge {HARD}" in text


def test_the_help_lists_what_there_is(capsys: Capsys) -> None:
    listed = [line.split()[0] for line in command.MEASURES.splitlines()]
    assert listed == [name.replace(" ", "-") for name in SECTIONS]
    out = called(capsys, "report", "--help")
    assert all(f"\n    {name} " in out for name in listed) and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("typed", ["win rates", "win-rates", "Win_Rates", " WIN  rates "])
def test_a_name_may_be_typed_in_several_ways(typed: str) -> None:
    assert named([typed, "gap", typed]) == ["win rates", "gap"]
    assert named(["gap", "all"]) == list(SECTIONS)


def test_a_name_that_is_not_lists_those_that_are(simulated: Path, capsys: Capsys) -> None:
    assert main(["report", "winrate", "--db", str(simulated)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "did you mean 'win-rates'?" in err
    assert all(name.replace(" ", "-") in err for name in SECTIONS)
    assert main(["report", "gap", "--out", "x", "--db", str(simulated)]) == 2
    assert "--out writes every measure" in capsys.readouterr().err


def test_of_one_run_only_its_own_rows(play: Play, tmp_path: Path, capsys: Capsys) -> None:
    play("direct", "debate:rounds=1", limit=8)
    play("direct", "debate:rounds=1", limit=4)
    db = tmp_path / "db.duckdb"
    argv = ("report", "win-rates", "--json", "--db", db)
    last = json.loads(called(capsys, *argv, "--run", "last"))["measures"]["win rates"]
    everything = json.loads(called(capsys, *argv))["measures"]["win rates"]
    assert [row["rate_of"] for row in last if row["shown_first"] is None] == [4, 4]
    assert [row["rate_of"] for row in everything if row["shown_first"] is None] == [8, 8]
    assert oversight.open_database(db).measure("win rates")["rate_of"].tolist() == [
        r["rate_of"] for r in everything
    ]
    printed = called(capsys, "report", "win-rates", "--sql", "--db", db, "--run", "last")
    assert "FROM plans WHERE run = " in printed


def test_a_database_without_episodes_says_so(tmp_path: Path, play: Play, capsys: Capsys) -> None:
    play("direct", limit=1)
    import duckdb

    with duckdb.connect(str(tmp_path / "db.duckdb")) as con:
        for table in ("plans", "verdicts", "episodes"):
            con.execute(f"DELETE FROM {table}")
    assert main(["report", "gap", "--db", str(tmp_path / "db.duckdb")]) == 2
    assert "holds no episodes yet" in capsys.readouterr().err


# the numbers, by hand


def test_win_rates_rescue_and_harm_are_those_of_plain_sql(simulated: Path) -> None:
    of_arm = seats(simulated)
    sql = "SELECT arm, argued_right, avg((choice = argued)::INT) FROM judgements WHERE protocol = 'consultancy' GROUP BY ALL"
    by_hand = {(arm, right): share for arm, right, share in rows(simulated, sql)}
    with open_reader(simulated) as reader:
        tables = {
            name: s.table for name, s in sections(reader, names=["win rates", "rescue and harm"]).items()
        }
    told = [
        row for row in tables["win rates"].rows if row[2].startswith("consultancy") and "open" not in row[2]
    ]
    elicit = {LETTERS: "letters", HARD: "hard"}
    assert len(told) == 4
    for _, judge, _, side, share, *_ in told:
        arm = next(a for a, seat in of_arm.items() if seat == ("consultancy", elicit[judge]))
        assert share == percent(by_hand[arm, side == "right"])
    sql = """WITH cells AS (SELECT a.protocol, a.players ->> '$.judge.elicit' AS elicit, j.question, answer_order, avg(correct::INT) AS c
             FROM judgements j JOIN arms a USING (arm) WHERE (j.params ->> 'passage') IS DISTINCT FROM 'true'
             AND (j.params ->> 'side') IS DISTINCT FROM 'open' GROUP BY ALL)
             SELECT d.elicit, sum((1 - a.c) * d.c) / sum(1 - a.c), sum(a.c * (1 - d.c)) / sum(a.c)
             FROM cells d JOIN cells a USING (elicit, question, answer_order)
             WHERE d.protocol = 'debate' AND a.protocol = 'direct' GROUP BY ALL"""
    turned = {elicitation: (percent(r), percent(h)) for elicitation, r, h in rows(simulated, sql)}
    for row in tables["rescue and harm"].rows:
        if row[2] == "debate:rounds=1":
            assert (row[4], row[7]) == turned[elicit[row[1]]]


def test_the_score_difference_is_that_of_plain_sql(simulated: Path) -> None:
    """Of a debate with two answers, by Brier: 2 (p(right) − p(wrong)), averaged over questions played as often."""
    sql = "SELECT avg(2 * (2 * p_right - 1)) FROM judgements WHERE protocol = 'debate' AND elicitation = 'letters'"
    by_hand = rows(simulated, sql)[0][0]
    with open_reader(simulated) as reader:
        table = sections(reader, names=["score difference"])["score difference"].table
    assert {row[1] for row in table.rows} == {LETTERS}
    (row,) = (row for row in table.rows if row[2] == "debate:rounds=1")
    assert row[3] == f"{by_hand:+.3f}" and row[7:] == ("24", "6")


def test_the_bias_audit_is_that_of_plain_sql(simulated: Path) -> None:
    first = dict(
        rows(simulated, "SELECT arm, avg((choice = answer_order[1])::INT) FROM judgements GROUP BY ALL")
    )
    found = {int(row["arm"], 16): row for row in whole(simulated, "position")}
    assert {arm: row["first_share"] for arm, row in found.items()} == pytest.approx(first)
    knew = {row["judge"]: row["beyond_chance_value"] for row in whole(simulated, "knew already")}
    sql = (
        "SELECT players ->> '$.judge.elicit', avg(correct::INT) - 0.5 FROM judgements JOIN arms USING (arm) "
    )
    sql += "WHERE judgements.protocol = 'direct' AND (judgements.params ->> 'passage') = 'false' GROUP BY ALL"
    assert knew == pytest.approx({f"simulated/judge (elicit={e})": v for e, v in rows(simulated, sql)})
    leaks = whole(simulated, "leaks")
    spoken = rows(simulated, "SELECT count(*) FROM turns WHERE kind = 'speak'")[0][0]
    open_ = "SELECT count(*) FROM turns t JOIN episodes e USING (episode) WHERE t.kind = 'speak' AND e.assignment = ''"
    assert sum(row["rate_of"] for row in leaks) == spoken - rows(simulated, open_)[0][0]


def test_speeches_that_tell_their_role_are_counted(play: Play, replies: Any, tmp_path: Path) -> None:
    speaker = replies('judge: "Answer: A"\nspeak: "I was assigned to argue for {answer}."')
    play("debate:rounds=1", debater=speaker, limit=4)
    with open_reader(tmp_path / "db.duckdb") as reader:
        section = sections(reader, names=["leaks"])["leaks"]
    assert section.table is not None
    assert [row[3:6] for row in section.table.rows] == [("each", "8", "8")]
    assert any(line.startswith("One group only") for line in section.said)


def test_the_printed_sql_gives_the_numbers(simulated: Path, capsys: Capsys) -> None:
    """Its rows, summed and averaged with nothing of ours."""

    def asked(name: str, part: str) -> list[tuple[Any, ...]]:
        printed = called(capsys, "report", name, "--sql", "--db", simulated)
        blocks = dict(re.findall(r"/\* (.*?) \*/\n(.*?);(?=\n|\Z)", printed, re.DOTALL))
        return rows(simulated, blocks[part])

    won: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    for _, arm, _, right, _, argued, times in asked("win-rates", "win rates"):
        won.setdefault((arm, right), []).append((argued, times))
    for row in whole(simulated, "win rates"):
        if row["shown_first"] is None:
            sums = [sum(column) for column in zip(*won[int(row["arm"], 16), row["right"]], strict=True)]
            assert (row["rate_of"], row["rate_won"], row["rate_share"]) == (*sums, sums[1] / sums[0])
    means: dict[int, dict[int, float]] = {}
    for _, arm, question, _, mean, *_ in asked("gap", "gap"):
        means.setdefault(arm, {})[question] = mean
    for row in whole(simulated, "gap"):
        floor, own, ceiling = (
            math.fsum(means[int(row[key], 16)].values()) for key in ("floor_arm", "arm", "ceiling_arm")
        )
        recovered = row["recovered_value"]
        assert recovered is None or recovered == pytest.approx((own - floor) / (ceiling - floor), rel=1e-12)
    scores: dict[int, list[float]] = {}
    for _, arm, _, _, argued, label, probabilities in asked(
        "score-difference", "score difference: forecasts"
    ):
        if argued is None:
            right, wrong = probabilities[label], probabilities[1 - label]
            scores.setdefault(arm, []).append(2 * (right - wrong))
    told = {int(r["arm"], 16): r for r in whole(simulated, "score difference") if r["rule"] == "brier"}
    for arm, values in scores.items():
        assert told[arm]["difference_value"] == pytest.approx(sum(values) / len(values), rel=1e-12)


# judges of one stored name


def test_judges_of_one_model_are_never_pooled(simulated: Path) -> None:
    sql = "SELECT players ->> '$.judge.elicit', avg(correct::INT) FROM judgements j JOIN arms USING (arm) WHERE j.protocol = 'debate' GROUP BY ALL"
    by_hand = {f"simulated/judge (elicit={e})": share for e, share in rows(simulated, sql)}
    assert len(set(by_hand.values())) == 2
    of_arm = seats(simulated)
    for one in whole(simulated, "frontier"):
        assert len(one["places"]) == 5
        (debate,) = (p for p in one["places"] if of_arm[int(p["arm"], 16)][0] == "debate")
        assert debate["accuracy"] == pytest.approx(by_hand[one["judge"]])
    matches = {row["judge"]: row["matches"] for row in whole(simulated, "strength")}
    decided = "SELECT count(*) FROM judgements WHERE protocol = 'debate' AND status = 'decided'"
    assert set(matches) == {LETTERS, HARD} and sum(matches.values()) == rows(simulated, decided)[0][0]
    for name in (
        "accuracy",
        "gap",
        "win rates",
        "position",
        "preferences",
        "knew already",
        "frontier",
        "strength",
    ):
        assert {row["judge"] for row in whole(simulated, name)} == {LETTERS, HARD}, name
    assert {row["judge"] for row in whole(simulated, "calibration")} == {LETTERS}


def test_the_name_of_a_judge_is_the_same_whatever_run_is_looked_at(play: Play, tmp_path: Path) -> None:
    play("direct", judge=JUDGE, limit=4)
    first = play("direct", judge=JUDGE, limit=4).key
    db = tmp_path / "db.duckdb"
    assert {row["judge"] for row in whole(db, "accuracy")} == {"simulated/judge"}
    play("direct", judge=f"{JUDGE},elicit=hard", limit=4)
    with open_reader(db) as reader:
        assert {row["judge"] for row in measure_rows(reader, "accuracy", first)} == {LETTERS}


def test_what_was_judged_again_is_told_from_what_was_played(play: Play, tmp_path: Path) -> None:
    play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=8)
    db = tmp_path / "db.duckdb"
    oversight.rejudge(db, JUDGE, only="protocol = 'debate'")
    titles = [row["title"] for row in whole(db, "accuracy")]
    assert titles == ["direct", "debate:rounds=1", "debate:rounds=1 judged again"]
    frame = oversight.open_database(db).compare("debate:rounds=1 judged again", "debate:rounds=1")
    assert frame[["a", "b"]].values.tolist() == [["debate:rounds=1 judged again", "debate:rounds=1"]]
    assert frame["difference"].tolist() == [0.0]


def test_speakers_of_one_model_are_told_apart_beside_judges_that_differ(play: Play, tmp_path: Path) -> None:
    debaters = [f"simulated/debater:skill={s}" for s in (0.1, 1.5)]
    play("debate:rounds=1", judge=[JUDGE, f"{JUDGE},elicit=hard"], debater=debaters, limit=4)
    found = [(row["judge"], row["title"]) for row in whole(tmp_path / "db.duckdb", "accuracy")]
    skills = [f"debate:rounds=1 (debater skill={s})" for s in (0.1, 1.5)]
    assert found == [(judge, title) for judge in (HARD, LETTERS) for title in skills]


def test_players_are_told_apart_by_as_little_as_does_it() -> None:
    plain = {"model": "m", "identity": "m:a=1,b=2", "template": "x", "temperature": 0.0}
    warm = {**plain, "temperature": 1.0}
    other = {**plain, "identity": "m:a=1,b=3"}
    written = {**plain, "template": "y"}
    assert told_apart([plain]) == [""]
    assert told_apart([plain, warm]) == ["temperature=0.0", "temperature=1.0"]
    assert told_apart([plain, other]) == ["b=2", "b=3"]
    assert told_apart([plain, written]) == ["template=x", "template=y"]
    asked = {**plain, "beliefs": True, "queries": 0}
    assert told_apart([plain, asked]) == ["", "beliefs=True"]
    panels = [{**plain, "panel": [{"model": "n", "votes": votes}]} for votes in (1, 2)]
    assert told_apart([plain, panels[0]]) == ["", "panel=n"]
    assert len(set(told_apart(panels))) == 2
    three = told_apart([plain, warm, other])
    assert len(set(three)) == 3 and "template" not in " ".join(three)
    texts = [json.dumps(p) for p in (plain, {"model": "n", "identity": "n"})]
    assert player_names(set(texts)) == {texts[0]: "m", texts[1]: "n"}


# intervals end where their quantity does


def test_an_interval_is_cut_where_nothing_can_be_and_that_is_said() -> None:
    wide = Measured(0.5, 0.4, -1.7, 2.7, 3, 3, caution="fewer than 10 groups: a rough guide")
    held = within(wide, -1, 1)
    assert (held.value, held.low, held.high, held.error) == (0.5, -1, 1, 0.4)
    assert held.caution == f"{wide.caution}; the t interval reached beyond what is possible and is cut there"
    assert within(held, -1, 1) == held and within(wide, -math.inf, math.inf) == wide


def test_no_difference_of_shares_is_told_beyond_a_hundred_points(play: Play, tmp_path: Path) -> None:
    """Two passages: the t interval of one degree of freedom is thirteen standard errors wide."""
    play("direct", "direct:passage=true", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=8, seed=3)
    frame = oversight.open_database(tmp_path / "db.duckdb").compare()
    known = frame.dropna(subset=["low"])
    assert len(known) and (known["low"] >= -1).all() and (known["high"] <= 1).all()
    cut = known[(known["low"] == -1) | (known["high"] == 1)]
    assert len(cut) and cut["caution"].str.contains("cut there").all()
    assert (cut["error"] * 12.7 > 0.5).all()  # the error stays what it is


def test_imported_arms_have_no_made_up_cost(play: Play, tmp_path: Path) -> None:
    """An arm that used no call has no price, and not the price 0."""
    import duckdb

    play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=8)
    with duckdb.connect(str(tmp_path / "db.duckdb")) as con:
        con.execute("DELETE FROM uses")
    (one,) = whole(tmp_path / "db.duckdb", "frontier")
    for place in one["places"]:
        assert (
            place["cost_value"] is None
            and place["on_frontier"] is None
            and "there was none" in place["reason"]
        )
