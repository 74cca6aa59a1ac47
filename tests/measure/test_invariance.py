"""What must not matter does not: the order of rows in the file, and which answer a question lists first; and what
must turn round with the labels does."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import play_studies, spelt

from oversight.measure import bias, paired, persuasion, scores, strength
from oversight.measure.accuracy import measure
from oversight.measure.every import MEASURES, measured_rows
from oversight.models.dials import DebaterDials, JudgeDials
from oversight.store.reading import Reader, open_reader

ARMS = ("direct", "direct:passage=true", "consultancy:rounds=1,ask=false", "debate:rounds=1")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty questions on fourteen passages, four arms, both orders, two samples, two debaters, beliefs on the way."""
    judge = JudgeDials(0.62, position_bias=0.3, credulity=0.7, passage_accuracy=0.95, steady=0.2, grouped=0.1)
    weak, strong = (DebaterDials(skill=s, wordiness=9) for s in (0.2, 1.0))
    opponents = [spelt("debater", dials) for dials in (weak, strong)]
    folder = tmp_path_factory.mktemp("invariance")
    many = {"limit": 40, "order": "both", "samples": 2, "opponents": opponents}
    return play_studies(folder, ARMS, 1, judge, weak, ",beliefs=true", **many)


def changed(db: Path, to: Path, *statements: str) -> Path:
    """A copy of the file after these statements, with the rows of every table in another order."""
    shutil.copy(db, to)
    with duckdb.connect(str(to)) as con:
        con.execute("SELECT setseed(0.4)")
        for statement in statements:
            con.execute(statement)
        for (name,) in con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
            con.execute(f'CREATE TEMP TABLE shuffled AS SELECT * FROM "{name}" ORDER BY random()')
            con.execute(f'DELETE FROM "{name}"')
            con.execute(f'INSERT INTO "{name}" SELECT * FROM shuffled')
            con.execute("DROP TABLE shuffled")
    return to


def everything(reader: Reader) -> dict[str, Any]:
    answered = list(paired.measure_answered(reader).values())
    return {
        **{name: measured_rows(reader, name) for name in MEASURES},
        "accuracy": measure(reader),
        "differences": [paired.difference(*pair) for pair in combinations(answered, 2)],
    }


def test_shuffled_rows_change_no_digit_of_any_measure(db: Path, tmp_path: Path) -> None:
    with open_reader(db) as plain, open_reader(changed(db, tmp_path / "shuffled.duckdb")) as shuffled:
        one, other = everything(plain), everything(shuffled)
    assert {name for name in one if not one[name]} <= {
        "readings",
        "sides",
    }  # nobody read twice, no side chosen
    for name in one:
        assert one[name] == other[name], name


FLIP = "UPDATE labels SET label = 1 - label"


def test_swapped_labels_turn_round_what_they_should(db: Path, tmp_path: Path) -> None:
    with open_reader(db) as plain, open_reader(changed(db, tmp_path / "flipped.duckdb", FLIP)) as flipped:
        pairs = [
            list(zip(of(plain), of(flipped), strict=True))
            for of in (
                measure,
                persuasion.measure_rescue_and_harm,
                scores.measure_score_differences,
                bias.measure_position_bias,
                bias.measure_knew_already,
                bias.measure_preferences,
                strength.measure_strength,
            )
        ]
        wins = [persuasion.measure_win_rates(reader) for reader in (plain, flipped)]
        arms = dict(plain.sql("SELECT arm, protocol FROM arms").rows)
    accuracy, turned, gained, places, knew, preferred, strong = pairs
    for one, other in accuracy:
        assert (one.accuracy or 0) + (other.accuracy or 0) == pytest.approx(1)
        assert (one.interval.low, one.interval.method) == (
            pytest.approx(1 - (other.interval.high or 0)),
            other.interval.method,
        )
    for one, other in turned:
        assert (one.rescue.share, one.harm.share) == pytest.approx((other.harm.share, other.rescue.share))
        assert one.rescue.interval.low == pytest.approx(other.harm.interval.low)
    told = 0
    for one, other in gained:
        if arms[one.arm] == "debate":  # in one verdict, the score of one answer less that of the other
            told += 1
            ends = (other.difference.high or 0), (other.difference.low or 0)
            assert (one.difference.low, one.difference.high) == pytest.approx((-ends[0], -ends[1]))
    assert told == 6
    for one, other in (*places, *preferred):
        assert one == other  # of these truth is no part
    for one, other in knew:
        assert one.beyond_chance.value == pytest.approx(-(other.beyond_chance.value or 0))
    for one, other in strong:
        assert one.of.right.value == pytest.approx(-(other.of.right.value or 0), rel=1e-6)
        assert one.of.first.value == pytest.approx(other.of.first.value, rel=1e-6)
        for rating, again in zip(one.of.ratings, other.of.ratings, strict=True):
            assert rating.elo.value == pytest.approx(again.elo.value, rel=1e-6, abs=1e-6)
    by = {(w.arm, w.right, w.shown_first): w.rate for w in wins[1]}
    for win in wins[0]:
        assert win.rate == by[win.arm, not win.right, win.shown_first]


RENAME = (
    "UPDATE questions SET answers = list_reverse(answers)",
    FLIP,
    "UPDATE episodes SET argued = 1 - argued, answer_order = list_transform(answer_order, x -> 1 - x), "
    "assignment = regexp_replace(regexp_replace(regexp_replace(assignment, '=0', '=x', 'g'), '=1', '=0', 'g'), "
    "'=x', '=1', 'g')",
    "UPDATE verdicts SET choice = 1 - choice, probabilities = list_reverse(probabilities)",
)


def test_which_answer_a_question_lists_first_changes_nothing(db: Path, tmp_path: Path) -> None:
    """Every answer renumbered wherever it is named: the same verdicts in other words."""
    with open_reader(db) as plain, open_reader(changed(db, tmp_path / "renamed.duckdb", *RENAME)) as renamed:
        one, other = everything(plain), everything(renamed)
    for name in one:
        assert roughly(one[name]) == roughly(other[name]), name


def roughly(value: Any) -> Any:
    """Numbers to nine digits: sums of renumbered answers are taken in another order."""
    if isinstance(value, float):
        return float(f"{value:.9g}") if abs(value) > 1e-9 else 0.0
    if isinstance(value, dict):
        return {str(k): roughly(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [roughly(v) for v in value]
    return roughly(vars(value)) if hasattr(value, "__dict__") else value
