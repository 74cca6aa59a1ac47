"""`compare` and `power`: corrections, order, runs, judges of one name, and where a comparison could have been stopped."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from statsmodels.stats.multitest import multipletests
from support import TASK, rows

import oversight
from oversight.cli import main
from oversight.episode import Run
from oversight.measure.power import confidence_sequence
from oversight.measure.stopping import measure_stopping, statements
from oversight.report.compared import Wanted, compare, notes
from oversight.store.reading import open_reader

Play = Callable[..., Run]
Capsys = pytest.CaptureFixture[str]
JUDGE = "simulated/judge:accuracy=0.62,credulity=0.9,passage_accuracy=0.95"
DEBATER = "simulated/debater:truth_advantage=0.9"
ARMS = ("direct", "direct:passage=true", "consultancy:rounds=1,ask=false", "debate:rounds=1")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and sixty questions on forty passages, four arms, one judge read in two ways. Read only."""
    folder = tmp_path_factory.mktemp("simulated") / "toy"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    path = folder.parent / "db.duckdb"
    oversight.run(ARMS, str(folder), [JUDGE, f"{JUDGE},elicit=hard"], DEBATER, limit=160, db=path)
    return path


def called(capsys: Capsys, *argv: object) -> str:
    assert main([str(a) for a in argv]) == 0
    return capsys.readouterr().out


def refused(capsys: Capsys, *argv: object) -> str:
    assert main([str(a) for a in argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


# corrections, and which arm is taken from which


def test_exploring_adjusts_by_benjamini_and_hochberg_and_says_so(simulated: Path, capsys: Capsys) -> None:
    declared = oversight.open_database(simulated).compare()
    explored = oversight.open_database(simulated).compare(exploratory=True)
    assert "p_bh" not in declared and "p_holm" not in explored and len(declared) == 12
    for frame, column, method in ((declared, "p_holm", "holm"), (explored, "p_bh", "fdr_bh")):
        expected = multipletests(frame["p"].to_numpy(), method=method)[1]
        assert frame[column].tolist() == pytest.approx(expected.tolist())
    assert (explored["p_bh"] <= declared["p_holm"]).all() and (explored["p_bh"] < declared["p_holm"]).any()
    told = json.loads(called(capsys, "compare", "--exploratory", "--json", "--db", simulated))["comparisons"]
    assert [row["p_bh"] for row in told] == explored["p_bh"].tolist()
    out = called(capsys, "compare", "--exploratory", "--db", simulated)
    assert "p BH" in out and "Benjamini and Hochberg's" in out and "Holm" not in out
    out = called(capsys, "compare", "--db", simulated)
    assert "p Holm" in out and "Holm's" in out and "Benjamini" not in out


def test_every_pair_is_an_arm_less_one_above_it_in_the_report(simulated: Path, capsys: Capsys) -> None:
    accuracy = oversight.open_database(simulated).accuracy
    places = {(row.judge, row.title): n for n, row in accuracy.iterrows()}
    found = oversight.open_database(simulated).compare()
    assert all(places[row.judge, row.a] > places[row.judge, row.b] for _, row in found.iterrows())
    assert "each arm less those above it" in called(capsys, "compare", "--db", simulated)
    judge = "simulated/judge (elicit=letters)"
    asked = oversight.open_database(simulated).compare("direct:passage=true", "debate:rounds=1", judge=judge)
    (same,) = (
        row for _, row in found.iterrows() if (row.judge, row.a, row.b) == (judge, asked.a[0], asked.b[0])
    )
    assert (same.difference, same.low, same.high, same.p) == (
        asked.difference[0],
        asked.low[0],
        asked.high[0],
        asked.p[0],
    )
    swapped = oversight.open_database(simulated).compare(
        "debate:rounds=1", "direct:passage=true", judge=judge
    )
    assert swapped.difference[0] == -same.difference and swapped.low[0] == pytest.approx(-same.high)
    assert "each arm less" not in called(
        capsys, "compare", "debate", "direct:passage=true", "--db", simulated
    )


def test_a_judge_is_named_with_or_without_what_tells_it_apart(simulated: Path, capsys: Capsys) -> None:
    database = oversight.open_database(simulated)
    named = [f"simulated/judge (elicit={way})" for way in ("hard", "letters")]
    assert database.compare("debate", "consultancy", judge="simulated/judge")["judge"].tolist() == named
    assert database.compare("debate", "consultancy", judge=named[0])["judge"].tolist() == named[:1]
    against = database.compare("debate", judge=named[0], against=named[1])
    assert against[["a", "b"]].values.tolist() == [[f"debate:rounds=1 ({judge})" for judge in named]]
    argv = ("compare", "debate", "--judge", named[0], "--db", simulated)
    assert named[1] in called(capsys, *argv, "--against", named[1])
    err = refused(capsys, *argv, "--against", "simulated/judge")
    assert "before several judges" in err and all(judge in err for judge in named)


def test_a_judge_whose_name_begins_anothers_can_be_named(play: Play, tmp_path: Path) -> None:
    play("direct", "debate:rounds=1", judge=[JUDGE, f"{JUDGE},beliefs=true"], debater=DEBATER, limit=8)
    database = oversight.open_database(tmp_path / "db.duckdb")
    both = ["simulated/judge", "simulated/judge (beliefs=True)"]
    assert database.compare("debate", "direct")["judge"].tolist() == both
    for judge in both:
        assert database.compare("debate", "direct", judge=judge)["judge"].tolist() == [judge]


def test_of_one_run_only_its_questions_are_compared(play: Play, tmp_path: Path, capsys: Capsys) -> None:
    first = play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=40)
    play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=16)
    db = tmp_path / "db.duckdb"
    for command in ("compare", "power"):
        argv = (command, "debate", "direct", "--db", db, "--json")
        key = "comparisons" if command == "compare" else "power"
        column = "questions" if command == "compare" else "pilot_questions"
        found = [
            json.loads(called(capsys, *argv, "--run", run))[key][0][column] for run in ("last", first.id)
        ]
        assert found == [16, 40]
        assert "no run 'f00'" in refused(capsys, *argv, "--run", "f00")
    assert "WHERE run = " in called(
        capsys, "compare", "debate", "direct", "--db", db, "--run", "last", "--sql"
    )


def test_while_a_run_is_writing_what_it_has_come_to_in_one_arm_only_is_left_out(
    play: Play, tmp_path: Path, capsys: Capsys
) -> None:
    play("direct", judge=JUDGE, limit=16)
    play("debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=12)
    argv = ("compare", "debate", "direct", "--db", tmp_path / "db.duckdb")
    assert "--unmatched" in refused(capsys, *argv)
    with open_reader(tmp_path / "db.duckdb") as reader:
        live: Any = SimpleNamespace(live=True, path=reader.path, sql=reader.sql)
        found = compare(live, Wanted("debate", "direct"))
    assert found[0].difference.shared == 12
    assert any("unmatched, 0 and 4 questions were not shared" in line for line in notes(found))


# stopping


def by_plan(db: Path, judge: str) -> list[float]:
    """The groups' differences of debate less direct, in the order in which the run took them up: each when the last of its
    episodes was planned."""
    sql = f"""WITH mine AS (
        SELECT j."group", j.question, j.protocol, j.correct, p.rowid AS place
        FROM judgements j JOIN arms a USING (arm) JOIN plans p USING (episode)
        WHERE j.protocol IN ('direct', 'debate') AND (j.params ->> 'passage') IS DISTINCT FROM 'true'
              AND (a.players ->> '$.judge.elicit') = '{judge}')
        SELECT "group", avg(correct::INT) FILTER (protocol = 'debate') - avg(correct::INT) FILTER (protocol = 'direct')
        FROM mine GROUP BY "group" ORDER BY max(place)"""
    return [difference for _, difference in rows(db, sql)]


def test_a_comparison_is_looked_at_in_the_plans_order(simulated: Path, capsys: Capsys) -> None:
    judge = "simulated/judge (elicit=letters)"
    looks = confidence_sequence(by_plan(simulated, "letters"))
    wanted = (looks[0].high - looks[0].low + looks[-1].high - looks[-1].low) / 2
    first = next(look for look in looks if look.high - look.low <= wanted)
    assert 30 < first.groups < 40
    argv = ("power", "debate", "direct", "--judge", judge, "--stop-width", repr(wanted), "--db", simulated)
    (row,) = json.loads(called(capsys, *argv, "--json"))["power"]
    assert (row["stop_why"], row["stop_groups"], row["groups_with_difference"]) == ("width", first.groups, 40)
    assert row["stop_difference"] == pytest.approx(first.mean)
    assert (row["stop_low"], row["stop_high"]) == pytest.approx((max(-1, first.low), min(1, first.high)))
    assert (row["now_groups"], row["now_difference"]) == (40, pytest.approx(looks[-1].mean))
    # Four questions a passage, two arms: the groups are planned one after the other.
    assert (row["stop_episodes"], row["now_episodes"]) == (8 * first.groups, 320)
    frame = oversight.open_database(simulated).power(0.05, "debate", "direct", judge=judge, stop_width=wanted)
    assert all(frame[key][0] == value or value is None for key, value in row.items())
    out = called(capsys, *argv)
    assert f"after {first.groups} of 40 groups ({8 * first.groups:,} of 320 episodes)" in out
    assert "the interval was as narrow as wanted" in out and "always valid" in out
    for statement in called(capsys, *argv, "--sql").rstrip("\n").removesuffix(";").split(";\n\n"):
        assert rows(simulated, statement)


def test_the_order_in_which_episodes_ended_changes_nothing(simulated: Path, tmp_path: Path) -> None:
    db = tmp_path / "other.duckdb"
    shutil.copy(simulated, db)
    with duckdb.connect(str(db)) as con:
        for table in ("verdicts", "turns", "uses", "episodes", "calls"):
            con.execute(f"CREATE TABLE shuffled AS SELECT * FROM {table} ORDER BY hash(rowid)")
            con.execute(f"DELETE FROM {table}")
            con.execute(f"INSERT INTO {table} FROM shuffled")
            con.execute("DROP TABLE shuffled")
    found = []
    for path in (simulated, db):
        arms = {row.title: int(row.arm, 16) for _, row in oversight.open_database(path).accuracy.iterrows()}
        with open_reader(path) as reader:
            found.append(
                measure_stopping(reader, "toy", arms["debate:rounds=1"], arms["direct"], effect=True)
            )
    assert found[0] == found[1] and found[0].now is not None


def test_few_groups_have_no_look_and_that_is_said(play: Play, tmp_path: Path, capsys: Capsys) -> None:
    play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=40)
    argv = ("power", "debate", "direct", "--stop-effect", "--db", tmp_path / "db.duckdb")
    out = called(capsys, *argv)
    assert "no stop: fewer than 30 groups with some spread." in out and "now:" not in out
    (row,) = json.loads(called(capsys, *argv, "--json"))["power"]
    assert (row["stop_groups"], row["now_groups"], row["groups_with_difference"]) == (None, None, 10)
    assert row["stop_reason"].startswith("fewer than 30 groups")


def test_money_is_counted_once_a_call_in_the_plans_order(
    play: Play, replies: Any, tmp_path: Path, capsys: Capsys
) -> None:
    debater = replies('speak: "It was {answer}."') + ":price_in=1000,price_out=10000"
    play("direct", "debate:rounds=1", judge=JUDGE, debater=debater, limit=160)
    db = tmp_path / "db.duckdb"
    total = rows(db, "SELECT sum(cost) FROM calls")[0][0]
    by_place = rows(
        db,
        """WITH placed AS (SELECT episode, row_number() OVER (ORDER BY rowid) AS place FROM plans)
        SELECT min(place), any_value(cost) FROM placed JOIN uses USING (episode) JOIN calls USING (call) GROUP BY call""",
    )
    limit = 0.85 * total
    argv = ("power", "debate", "direct", "--stop-spend", limit, "--db", db)
    (row,) = json.loads(called(capsys, *argv, "--json"))["power"]
    assert row["now_spent"] == pytest.approx(total) and row["stop_why"] == "spend"
    upto = math.fsum(cost for place, cost in by_place if place <= row["stop_episodes"])
    before = math.fsum(cost for place, cost in by_place if place <= row["stop_episodes"] - 8)
    assert row["stop_spent"] == pytest.approx(upto) and before < limit <= upto
    assert "the money was spent" in called(capsys, *argv)
    (row,) = json.loads(called(capsys, *argv[:4], 2 * total, *argv[5:], "--json"))["power"]
    assert row["stop_groups"] is None and row["stop_reason"] == "none of the rules was met: go on"
    with duckdb.connect(str(db)) as con:
        con.execute("UPDATE calls SET cost = NULL WHERE call = (SELECT min(call) FROM calls)")
    assert "the cost of some calls is unknown" in refused(capsys, *argv)


def test_groups_that_are_not_finished_are_not_looked_at(simulated: Path, tmp_path: Path) -> None:
    db = tmp_path / "cut.duckdb"
    shutil.copy(simulated, db)
    arms = {row.title: int(row.arm, 16) for _, row in oversight.open_database(db).accuracy.iterrows()}
    a, b = arms["debate:rounds=1"], arms["direct"]
    with duckdb.connect(str(db)) as con:
        one = f"SELECT episode FROM episodes JOIN questions USING (question) WHERE arm = {a} AND \"group\" = 'c3' LIMIT 1"
        con.execute(f"DELETE FROM verdicts WHERE episode IN ({one})")
    with open_reader(db) as reader:
        found = measure_stopping(reader, "toy", a, b, effect=True)
        order = {
            group: finished for group, _, _, finished in reader.sql(statements("toy", a, b)["groups"]).rows
        }
    assert found.groups == 39 and [group for group, finished in order.items() if not finished] == ["c3"]


@pytest.mark.parametrize(
    "argv, message",
    [
        (("--stop-width", "0.1"), "name the two arms"),
        (("debate", "direct", "--stop-width", "0"), "no width"),
        (("debate", "direct", "--stop-spend", "-1"), "no amount"),
    ],
)
def test_a_rule_that_stops_nothing_is_refused(
    simulated: Path, capsys: Capsys, argv: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, "power", *argv, "--db", simulated)
