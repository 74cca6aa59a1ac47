"""The measures over real databases: what the engine played, told alike by command line, Python and SQL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import TASK, rows

import oversight
from oversight.cli import main
from oversight.episode import Run
from oversight.measure import bias, gap, persuasion, scores, strength
from oversight.measure.calibration import measure_calibration
from oversight.measure.every import MEASURES, measured_rows
from oversight.measure.frontier import measure_frontier
from oversight.measure.measured import mean_of
from oversight.models.dials import DebaterDials, JudgeDials, expected
from oversight.report.compared import Wanted, as_rows, compare
from oversight.store.reading import open_reader

Play = Callable[..., Run]
ARMS = ("direct", "direct:passage=true", "consultancy:rounds=1,ask=false", "debate:rounds=1")
JUDGE = "simulated/judge:accuracy=0.62,credulity=0.9,passage_accuracy=0.95"
DEBATER = "simulated/debater:truth_advantage=0.9"

MIXED = '''
from oversight import Completion, Transport

def number(request):
    return int(request.view.question.split()[2].rstrip(","))

def mixed(request):
    """Of chronicles of four questions: the first unparsable, the second refused, the third failed."""
    match number(request):
        case 0: return "no idea"
        case 1: return Completion("I decline", stop="refused", prompt_tokens=1, completion_tokens=1)
        case 2: raise Transport("the server is away")
    return "Answer: A"

def sure(request):
    return "Answer: B" if request.view.seat.role == "judge" else "It is so."
'''


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "db.duckdb"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty questions on fifteen passages, four arms, both orders, two samples. Read only."""
    folder = tmp_path_factory.mktemp("simulated") / "toy"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    path = folder.parent / "db.duckdb"
    settings = {"order": "both", "samples": 2}
    oversight.run(ARMS, str(folder), JUDGE, DEBATER, limit=60, db=path, **settings)
    return path


def command(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    status = main([str(a) for a in argv])
    out, err = capsys.readouterr()
    return status, out, err


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal to the last digit; pandas has NaN for None."""
    return one.keys() == other.keys() and all(
        one[k] == other[k] or (one[k] is None and (other[k] is None or other[k] != other[k])) for k in one
    )


def test_command_line_python_and_sql_agree_to_the_last_digit(simulated: Path, capsys: Any) -> None:
    status, out, _ = command(capsys, "compare", "debate", "direct", "--db", simulated, "--json")
    assert status == 0
    told = json.loads(out)
    (row,) = told["comparisons"]
    frame = oversight.open_database(simulated).compare("debate", "direct")
    assert same(row, frame.to_dict("records")[0])
    _, printed, _ = command(capsys, "compare", "debate", "direct", "--db", simulated, "--sql")
    assert printed == told["sql"] + ";\n"
    found = rows(simulated, told["sql"])
    means: dict[str, dict[int, float]] = {}
    groups = {}
    for _, arm, question, group, mean, *_ in found:
        means.setdefault(f"{arm:016x}", {})[question] = mean
        groups[question] = group
    a, b = means[row["arm_a"]], means[row["arm_b"]]
    by_hand = mean_of([a[q] - b[q] for q in a], [groups[q] for q in a])
    assert (row["difference"], row["low"], row["high"]) == (by_hand.value, by_hand.low, by_hand.high)
    _, table, _ = command(capsys, "compare", "debate", "direct", "--db", simulated)
    assert f"{100 * row['difference']:+.1f} points" in table and "debate:rounds=1" in table


def test_the_difference_is_that_of_plain_sql_over_judgements(simulated: Path) -> None:
    """With everything decided and every question played as often, it is the difference of two averages."""
    frame = oversight.open_database(simulated).compare("debate", "consultancy")
    sql = "SELECT protocol, avg(correct::INT) FROM judgements WHERE params NOT LIKE '%passage%' GROUP BY ALL"
    share = dict(rows(simulated, sql))
    assert frame["difference"][0] == pytest.approx(share["debate"] - share["consultancy"], abs=1e-12)
    assert (frame["shared"][0], frame["questions"][0], frame["groups"][0]) == (60, 60, 15)


def test_without_arms_every_pair_is_compared_and_adjusted(simulated: Path, capsys: Any) -> None:
    frame = oversight.open_database(simulated).compare()
    assert len(frame) == 6 and (frame["p_holm"] >= frame["p"]).all()
    from statsmodels.stats.multitest import multipletests

    assert frame["p_holm"].tolist() == pytest.approx(multipletests(frame["p"], method="holm")[1].tolist())
    _, out, _ = command(capsys, "compare", "--db", simulated)
    assert "p Holm" in out and "adjusted for these 6 comparisons" in out


def test_shares_of_undecided_verdicts_are_shown_as_played(
    play: Play, db: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    (tmp_path / "mixedplayers.py").write_text(MIXED)
    monkeypatch.chdir(tmp_path)
    play(
        "direct",
        "debate:rounds=1",
        judge=["scripted/mixedplayers:mixed"],
        debater="scripted/mixedplayers:sure",
        limit=24,
    )
    numbers = dict(rows(db, "SELECT status, count(*) FROM judgements WHERE protocol = 'direct' GROUP BY ALL"))
    assert {"unparsable", "refused", "failed"} < numbers.keys()
    frame = oversight.open_database(db).compare("debate", "direct")
    (row,) = frame.to_dict("records")
    for status, n in numbers.items():
        assert row[f"{status}_a"] == row[f"{status}_b"] == n
    undecided = sum(n for status, n in numbers.items() if status != "decided")
    assert (row["shared"], row["left_out"], row["questions"]) == (24, undecided, 24 - undecided)
    assert row["best"] - row["worst"] == pytest.approx(2 * undecided / 24)
    status, out, _ = command(capsys, "compare", "debate", "direct", "--db", db)
    assert status == 0 and f"{undecided} of 24 shared questions left out" in out
    for word, n in numbers.items():
        assert word in out and str(n) in out


def test_unmatched_questions_are_one_line_and_exit_status_two(play: Play, db: Path, capsys: Any) -> None:
    play("direct", judge=JUDGE, debater=DEBATER, limit=40)
    play("debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=24)
    status, out, err = command(capsys, "compare", "debate", "direct", "--db", db)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "24 shared, 0 only in the first, 16 only in the second" in err and "--unmatched" in err
    status, out, _ = command(capsys, "compare", "debate", "direct", "--db", db, "--unmatched")
    assert status == 0 and "unmatched, 0 and 16" in out
    with pytest.raises(oversight.UserError, match="unmatched=True"):
        oversight.open_database(db).compare("debate", "direct")
    assert oversight.open_database(db).compare()["difference"].isna().all()


@pytest.mark.parametrize(
    "argv, message",
    [
        (("compare", "debat", "direct"), "did you mean 'debate'?"),
        (("compare", "debate"), "name two arms"),
        (("compare", "debate", "debate:rounds=1"), "the same arm"),
        (("compare", "direct:passage=maybe", "debate"), "no arm 'direct:passage=maybe'"),
        (("compare", "--judge", "nobody"), "no judge 'nobody'"),
        (("compare", "--task", "nothing"), "no task 'nothing'"),
        (("compare", "--speaker", "nobody"), "no speaker 'nobody'"),
        (("power", "--effect", "0"), "no difference of shares"),
        (("power", "--alpha", "1"), "no probability"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_line(
    play: Play, db: Path, capsys: Any, argv: tuple[str, ...], message: str
) -> None:
    play("direct", "debate:rounds=1")
    status, out, err = command(capsys, *argv, "--db", db)
    assert (status, out, err.count("\n")) == (2, "", 1) and message in err, err


def test_an_arm_that_could_be_several_is_asked_which(play: Play, db: Path, capsys: Any) -> None:
    play("direct", "debate:rounds=1", "debate:rounds=2")
    _, _, err = command(capsys, "compare", "debate", "direct", "--db", db)
    assert "say which of debate:rounds=1, debate:rounds=2" in err
    assert command(capsys, "compare", "debate:rounds=2", "direct", "--db", db)[0] == 0
    play("debate:rounds=1", debater=DEBATER)
    _, _, err = command(capsys, "compare", "debate:rounds=1", "direct", "--db", db)
    assert "--speaker" in err
    chosen = ("--speaker", "simulated/debater", "--db", db)
    assert command(capsys, "compare", "debate:rounds=1", "direct", *chosen)[0] == 0


def test_a_database_with_one_arm_has_nothing_to_compare(play: Play, db: Path, capsys: Any) -> None:
    play("direct")
    status, _, err = command(capsys, "compare", "--db", db)
    assert status == 2 and "only one arm" in err


def test_power_is_told_alike_and_by_the_pilots_spread(simulated: Path, capsys: Any) -> None:
    argv = ("power", "debate", "direct", "--db", simulated, "--effect", "0.08", "--json")
    (row,) = json.loads(command(capsys, *argv)[1])["power"]
    frame = oversight.open_database(simulated).power(0.08, "debate", "direct")
    assert same(row, frame.to_dict("records")[0])
    error = oversight.open_database(simulated).compare("debate", "direct")["error"][0]
    assert row["spread"] == error * math.sqrt(15) and row["questions"] == 4 * row["groups"]
    _, out, _ = command(capsys, "power", "debate", "direct", "--db", simulated, "--effect", "0.08")
    assert f"{row['questions']:,}" in out and "8.0 points" in out


def test_of_one_run_only_what_it_planned_is_compared(play: Play, db: Path) -> None:
    play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=40)
    last = play("direct", "debate:rounds=1", judge=JUDGE, debater=DEBATER, limit=16)
    with open_reader(db) as reader:
        (of_run,) = as_rows(compare(reader, Wanted("debate", "direct"), last.key))
        (whole,) = as_rows(compare(reader, Wanted("debate", "direct")))
    assert (of_run["questions"], whole["questions"]) == (16, 40)


# the other measures, against SQL by hand


def test_win_rates_are_those_of_judgements(simulated: Path) -> None:
    with open_reader(simulated) as reader:
        found = persuasion.measure_win_rates(reader)
    sql = (
        "SELECT protocol, {right}, answer_order[1] = {side}, avg((choice = {side})::INT), count(*) FROM judgements "
        "WHERE protocol = '{protocol}' GROUP BY ALL"
    )
    by_hand = {
        ("consultancy", right, first): (share, n)
        for _, right, first, share, n in rows(
            simulated, sql.format(right="argued_right", side="argued", protocol="consultancy")
        )
    }
    assert len(found) == 12
    protocol = dict(rows(simulated, "SELECT DISTINCT arm, protocol FROM judgements"))
    for one in found:
        if protocol[one.arm] == "consultancy" and one.shown_first is not None:
            share, n = by_hand["consultancy", one.right, one.shown_first]
            assert (one.rate.share, one.rate.of) == (pytest.approx(share), n)
    debate = {
        one.right: one.rate for one in found if protocol[one.arm] == "debate" and one.shown_first is None
    }
    accuracy = rows(simulated, "SELECT avg(correct::INT) FROM judgements WHERE protocol = 'debate'")[0][0]
    assert debate[True].share == pytest.approx(accuracy) and debate[False].share == pytest.approx(
        1 - accuracy
    )


def test_rescue_and_harm_balance_to_the_difference_in_accuracy(simulated: Path) -> None:
    """accuracy = alone + rescued − harmed, exactly, when every cell is decided."""
    frame = oversight.open_database(simulated).compare("debate", "direct")
    with open_reader(simulated) as reader:
        turned = persuasion.measure_rescue_and_harm(reader)
    protocol = dict(rows(simulated, "SELECT DISTINCT arm, protocol FROM judgements"))
    (debate,) = (t for t in turned if protocol[t.arm] == "debate")
    cells = debate.rescue.of + debate.harm.of
    assert cells == 120
    assert (debate.rescue.won - debate.harm.won) / cells == pytest.approx(frame["difference"][0])


def test_the_gap_is_named_and_between_floor_and_ceiling(simulated: Path) -> None:
    with open_reader(simulated) as reader:
        found = gap.measure_gap(reader)
    assert len(found) == 2
    for one in found:
        (ceiling,) = rows(simulated, f"SELECT params FROM arms WHERE arm = {one.ceiling_arm}")
        assert json.loads(ceiling[0])["passage"] is True
        assert one.of.recovered.value == pytest.approx(
            (one.of.protocol - one.of.naive) / (one.of.ceiling - one.of.naive)
        )


def test_position_bias_is_found_where_it_was_dialled_and_not_elsewhere(play: Play, tmp_path: Path) -> None:
    for name, dial in (("none", 0.0), ("strong", 1.5)):
        db = tmp_path / f"{name}.duckdb"
        judge = f"simulated/judge:accuracy=0.7,position_bias={dial}"
        play("direct", judge=judge, limit=160, order="both", samples=3, db=db)
        with open_reader(db) as reader:
            (found,) = bias.measure_position_bias(reader)
        assert found.net.touches_zero is (dial == 0)
        assert (found.first.interval.low > 0.5) is (dial > 0)


def test_a_judge_that_is_calibrated_alone_has_slope_one_and_an_overconfident_one_less(
    play: Play, tmp_path: Path
) -> None:
    for name, slope, holds in (("calibrated", "", True), ("overconfident", ",slope=5", False)):
        db = tmp_path / f"{name}.duckdb"
        play("direct", judge=f"simulated/judge:accuracy=0.75{slope}", limit=300, order="both", db=db)
        with open_reader(db) as reader:
            (found,) = measure_calibration(reader)
        assert (found.of.slope.low <= 1 <= found.of.slope.high) is holds
        assert found.of.verdicts == 600
        brier = rows(db, "SELECT avg(2 * (1 - p_right) ** 2) FROM judgements")[0][0]
        assert found.of.brier.value == pytest.approx(brier)


@pytest.mark.parametrize("advantage", [0.0, 1.2])
def test_the_advantage_of_truth_is_the_dialled_one(play: Play, db: Path, advantage: float) -> None:
    """Alone the debates' odds are those of `expected`; within four standard errors, so that it never fails by chance."""
    judge, debater = JudgeDials(accuracy=0.5, credulity=1), DebaterDials(truth_advantage=advantage)
    spelt = "simulated/judge:accuracy=0.5,credulity=1", f"simulated/debater:truth_advantage={advantage}"
    play("debate:rounds=1", judge=spelt[0], debater=spelt[1], limit=200, order="both")
    with open_reader(db) as reader:
        (one,) = strength.measure_strength(reader)
        (difference, _) = scores.measure_score_differences(reader)
    assert one.of.matches == 400 and one.of.ratings[0].elo.value is None
    chance = expected(judge, debater, rounds=1)
    elo = 2 * math.log(chance / (1 - chance)) * 400 / math.log(10)
    assert abs(one.of.right.value - elo) < 4 * one.of.right.error
    assert (one.of.right.value > 4 * one.of.right.error) is (advantage > 0)
    assert (difference.difference.value > 4 * difference.difference.error) is (advantage > 0)


def test_the_floor_of_a_judge_that_guesses_is_chance(play: Play, tmp_path: Path) -> None:
    for accuracy, knew in ((0.5, False), (0.8, True)):
        db = tmp_path / f"floor{accuracy}.duckdb"
        play("direct", judge=f"simulated/judge:accuracy={accuracy}", limit=200, db=db)
        with open_reader(db) as reader:
            (found,) = bias.measure_knew_already(reader)
        assert (found.beyond_chance.low > 0) is knew


def test_the_frontier_counts_every_call_an_episode_uses_whoever_paid(play: Play, db: Path) -> None:
    play("debate:rounds=1", judge=[JUDGE, "simulated/judge:accuracy=0.9"], debater=DEBATER, limit=12)
    with open_reader(db) as reader:
        found = measure_frontier(reader, unit="tokens")
        assert reader.sql("SELECT count(*) FROM uses WHERE NOT paid").rows[0][0] > 0
    costs = [place.cost.value for one in found for place in one.places]
    assert len(costs) == 2 and costs[0] == pytest.approx(costs[1], rel=0.2)


def test_every_measure_survives_little_and_strange_data(play: Play, tmp_path: Path, monkeypatch: Any) -> None:
    """One question; only hard verdicts; only failures: no crash, and no number without an interval or a reason."""
    (tmp_path / "mixedplayers.py").write_text(MIXED)
    monkeypatch.chdir(tmp_path)
    for name, settings in {
        "one": {"judge": JUDGE, "debater": DEBATER, "limit": 1},
        "hard": {"limit": 6},
        "failing": {
            "judge": "scripted/mixedplayers:mixed",
            "debater": "scripted/mixedplayers:sure",
            "limit": 12,
        },
    }.items():
        db = tmp_path / f"{name}.duckdb"
        play(*ARMS, db=db, **settings)
        with open_reader(db) as reader:
            for measure in MEASURES:
                for row in measured_rows(reader, measure):
                    for key in row:
                        if key.endswith("low") and row[key] is None and f"{key[:-3]}reason" in row:
                            assert row[f"{key[:-3]}reason"], (name, measure, key)
            assert all(r["low"] is not None or r["reason"] for r in as_rows(compare(reader, Wanted())))


def test_a_measure_that_is_not_is_said(play: Play, db: Path) -> None:
    play("direct")
    with pytest.raises(oversight.UserError, match="did you mean 'calibration'"):
        oversight.open_database(db).measure("calibraton")
    assert len(oversight.open_database(db).measure("position")) == 1
