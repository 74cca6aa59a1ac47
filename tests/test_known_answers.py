"""Simulated players, played by the real engine, show the results that their dials imply.

The bounds are exact binomial ones at 1e-5 (two-sided) for each claim, and normal ones at the same
level for means: a correct implementation fails less than once in ten thousand runs of a test, while
the wrong dials that stand beside each claim lie far outside. Seeds are fixed, so nothing is flaky.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom, binomtest, norm
from support import rows

from oversight.models.dials import DebaterDials, JudgeDials, debate_slope, expected, expected_scores

LEVEL = 1 - 1e-5
Z = float(norm.isf(5e-6))


def spell(name: str, dials: JudgeDials | DebaterDials) -> str:
    """The dials as the command line writes them."""
    return f"simulated/{name}:" + ",".join(f"{d}={v!r}" for d, v in vars(dials).items() if v is not None)


@pytest.fixture
def correct(play: Callable[..., Any], toy: str, tmp_path: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Plays; a row an episode: correct, p_right, place of the right answer, whether it was argued, status."""

    def go(
        protocol: str,
        judge: JudgeDials,
        debater: DebaterDials | None = None,
        answers: int = 2,
        elicit: str = "letters",
        **settings: Any,
    ) -> list[tuple[Any, ...]]:
        db = tmp_path / f"{len(list(tmp_path.iterdir()))}.duckdb"  # each play into a file of its own
        run = play(
            protocol,
            tasks=[f"{toy}:answers={answers}"],
            judge=spell("judge", judge) + f",elicit={elicit}",
            debater=spell("debater", debater or DebaterDials()),
            db=db,
            **settings,
        )
        assert run.played == run.planned
        return rows(
            db,
            "SELECT correct, p_right, list_position(answer_order, label) - 1, argued_right, status "
            "FROM judgements",
        )

    return go


def fits(found: list[tuple[Any, ...]], p: float) -> bool:
    """Whether the accuracy of these episodes is within the bounds around p."""
    bounds = binomtest(sum(r[0] for r in found), len(found)).proportion_ci(LEVEL, method="exact")
    return bool(bounds.low <= p <= bounds.high)


@pytest.mark.parametrize("answers", [2, 4])
@pytest.mark.parametrize("accuracy", [0.4, 0.75])
def test_a_judge_alone_is_right_as_often_as_dialled(correct, accuracy: float, answers: int) -> None:
    judge = JudgeDials(accuracy=accuracy)
    assert expected(judge, answers=answers) == pytest.approx(accuracy)
    found = correct("direct", judge, answers=answers, limit=500, order="both")
    assert fits(found, accuracy)
    assert not fits(found, 1 - accuracy) and not fits(found, accuracy + 0.12)
    assert {r[4] for r in found} == {"decided"}


def test_asked_for_a_letter_it_decides_as_well(correct) -> None:
    found = correct("direct", JudgeDials(accuracy=0.8), limit=600, elicit="hard")
    assert fits(found, 0.8) and not fits(found, 0.7)
    assert all(p is None for _, p, *_ in found)


@pytest.mark.parametrize("answers", [2, 4])
@pytest.mark.parametrize("elicit", ["credence", "logprobs"])
def test_stated_in_words_or_as_a_first_token_its_probabilities_are_the_same(
    correct, elicit: str, answers: int
) -> None:
    judge = JudgeDials(accuracy=0.75)
    found = correct("direct", judge, answers=answers, limit=400, order="both", elicit=elicit)
    assert fits(found, 0.75) and not fits(found, 0.63)
    assert {r[4] for r in found} == {"decided"}
    if answers == 2:
        mean, brier = expected_scores(judge)
        assert mean_fits([r[1] for r in found], mean) and reliable(found)
        assert mean_fits([(1 - r[1]) ** 2 for r in found], brier)


@pytest.mark.parametrize("votes", [1, 3, 7])
def test_the_majority_of_independent_votes_is_right_as_binomials_say(correct, votes: int) -> None:
    judge = JudgeDials(accuracy=0.65)
    found = correct("direct", judge, limit=300, order="both", elicit=f"votes,votes={votes}")
    majority = float(binom.sf(votes // 2, votes, 0.65))
    assert fits(found, majority)
    assert votes == 1 or not fits(found, 1 - majority)
    assert mean_fits([r[1] for r in found], 0.65)  # each vote is right as often as the judge
    spread = sum((r[1] - 0.65) ** 2 for r in found) / len(found)
    assert spread == pytest.approx(0.65 * 0.35 / votes, rel=0.35)  # and on its own


def test_an_even_number_of_votes_can_tie(correct) -> None:
    found = correct("direct", JudgeDials(accuracy=0.65), limit=300, order="both", elicit="votes,votes=2")
    ties = sum(r[4] == "tie" for r in found)
    bounds = binomtest(ties, len(found)).proportion_ci(LEVEL, method="exact")
    assert bounds.low <= 2 * 0.65 * 0.35 <= bounds.high


def test_the_passage_is_the_ceiling(correct) -> None:
    judge = JudgeDials(accuracy=0.6, passage_accuracy=0.95)
    found = correct("direct:passage=true", judge, limit=500)
    assert fits(found, expected(judge, passage=True)) and not fits(found, expected(judge))


@pytest.mark.parametrize("answers", [2, 4])
def test_position_bias_is_recovered_from_swapped_orders(correct, answers: int) -> None:
    judge = JudgeDials(accuracy=0.7, position_bias=0.8)
    found = correct("direct", judge, answers=answers, limit=700, order="both")
    for place in range(answers):
        there = [r for r in found if r[2] == place]
        assert fits(there, expected(judge, answers=answers, right=place)), place
    first, last = ([r for r in found if r[2] == place] for place in (0, answers - 1))
    assert not fits(first, 0.7)  # a judge that ignored the order, or minded it the other way, is found out
    assert not fits(first, expected(JudgeDials(0.7, position_bias=-0.8), answers=answers, right=0))
    share = [sum(r[0] for r in part) / len(part) for part in (first, last)]
    if answers == 2:  # probit(first) - probit(second) = 2 · bias, with error √(Σ p(1-p)/(n φ²))
        error = math.sqrt(sum(p * (1 - p) / len(first) / norm.pdf(norm.ppf(p)) ** 2 for p in share))
        assert abs((norm.ppf(share[0]) - norm.ppf(share[1])) / 2 - 0.8) < Z * error / 2
    assert fits(found, expected(judge, answers=answers))


DEBATER = DebaterDials(skill=0.6, truth_advantage=0.9, spread=0.8)


@pytest.mark.parametrize("answers", [2, 4])
@pytest.mark.parametrize("order", ["simultaneous", "sequential"])
def test_debate_helps_by_the_advantage_of_truth(correct, order: str, answers: int) -> None:
    judge = JudgeDials(accuracy=0.6, credulity=0.6)
    found = correct(f"debate:rounds=2,order={order}", judge, DEBATER, answers=answers, limit=260)
    assert fits(found, expected(judge, DEBATER, rounds=2, answers=answers))
    assert not fits(found, 0.6)  # speeches that do not arrive
    assert not fits(found, expected(JudgeDials(0.6, credulity=-0.6), DEBATER, rounds=2, answers=answers))


def test_debate_with_a_bias_shown_in_both_orders(correct) -> None:
    judge = JudgeDials(accuracy=0.55, credulity=0.5, position_bias=0.7)
    found = correct("debate:rounds=1", judge, DEBATER, limit=350, order="both")
    for place in (0, 1):
        assert fits([r for r in found if r[2] == place], expected(judge, DEBATER, rounds=1, right=place))
    assert not fits([r for r in found if r[2] == 0], expected(judge, DEBATER, rounds=1, right=1))


@pytest.mark.parametrize("answers", [2, 4])
def test_a_consultant_persuades_to_the_truth_and_away_from_it(correct, answers: int) -> None:
    judge = JudgeDials(accuracy=0.65, credulity=0.5)
    found = correct("consultancy:rounds=2", judge, DEBATER, answers=answers, limit=400 // answers + 80)
    honest, dishonest = ([r for r in found if r[3] == which] for which in (True, False))
    assert len(honest) * (answers - 1) == len(dishonest)
    p = [expected(judge, DEBATER, rounds=2, honest=h, answers=answers) for h in (True, False)]
    assert fits(honest, p[0]) and fits(dishonest, p[1])
    assert not fits(honest, p[1]) and not fits(dishonest, p[0])
    assert not fits(dishonest, 0.65)


def test_each_of_the_judges_questions_that_is_answered_helps(correct) -> None:
    judge = JudgeDials(accuracy=0.55, credulity=0, query_value=0.4)
    asked = correct("consultancy:rounds=3", judge, DEBATER, limit=160)  # it asks before rounds 2 and 3
    assert fits(asked, expected(judge, replies=2)) and not fits(asked, 0.55)
    assert not fits(asked, expected(judge, replies=4))
    unasked = correct("consultancy:rounds=2,ask=false", judge, DEBATER, limit=160)
    assert fits(unasked, 0.55) and not fits(unasked, expected(judge, replies=1))
    debated = correct("debate:rounds=2,ask=all", judge, DEBATER, limit=250)
    assert fits(debated, expected(judge, replies=2)) and not fits(debated, 0.55)


# calibration


def mean_fits(values: list[float], mean: float) -> bool:
    """Whether the mean of the values is within the bounds around `mean`."""
    average = sum(values) / len(values)
    sd = math.sqrt(sum((v - average) ** 2 for v in values) / (len(values) - 1))
    return abs(average - mean) < Z * sd / math.sqrt(len(values))


def reliable(found: list[tuple[Any, ...]]) -> bool:
    """Whether in each fifth of the confidence range the judge is right as often as it says."""
    bins: dict[int, list[tuple[bool, float]]] = {}
    for right, p_right, *_ in found:
        confidence = max(p_right, 1 - p_right)
        bins.setdefault(min(4, int((confidence - 0.5) * 10)), []).append((right, confidence))
    for part in bins.values():
        spread = math.sqrt(sum(c * (1 - c) for _, c in part))
        if abs(sum(r for r, _ in part) - sum(c for _, c in part)) > Z * spread + 1:
            return False
    return True


def test_alone_the_judge_is_calibrated_and_its_brier_score_is_known(correct) -> None:
    judge = JudgeDials(accuracy=0.75)
    found = correct("direct", judge, limit=800, order="both")
    p_right = [r[1] for r in found]
    mean, brier = expected_scores(judge)
    assert mean_fits([max(p, 1 - p) for p in p_right], 0.75)  # its confidence is its accuracy
    assert mean_fits(p_right, mean)
    assert mean_fits([(1 - p) ** 2 for p in p_right], brier)
    assert mean == pytest.approx(1 - 2 * brier)  # of a calibrated judge E p = E p² + E (1 - p)²
    assert reliable(found)


def test_with_four_answers_its_confidence_is_its_accuracy_too(correct) -> None:
    judge = JudgeDials(accuracy=0.6)
    found = correct("direct", judge, answers=4, limit=600, order="both", elicit="texts")
    won = [r for r in found if r[0]]
    # a calibrated posterior: where it decided rightly p_right is the confidence; E p_right = E Σ p²
    assert fits(found, 0.6)
    assert 0.6 < sum(r[1] for r in won) / len(won) < 0.75


def test_an_overconfident_judge_shows_it(correct) -> None:
    judge = JudgeDials(accuracy=0.75, slope=5.0)
    found = correct("direct", judge, limit=600)
    _, brier = expected_scores(judge)
    assert fits(found, 0.75) and mean_fits([(1 - r[1]) ** 2 for r in found], brier)
    assert not mean_fits([max(r[1], 1 - r[1]) for r in found], 0.75) and not reliable(found)


def test_after_a_debate_the_judge_is_calibrated_if_it_knows_what_debate_is_worth(correct) -> None:
    judge = JudgeDials(accuracy=0.6, credulity=0.8)
    strong = DebaterDials(skill=0.3, truth_advantage=0.9, spread=0.5)
    wise = JudgeDials(0.6, credulity=0.8, slope=debate_slope(judge, strong, rounds=2))
    for dials, calibrated in ((wise, True), (judge, False)):
        found = correct("debate:rounds=2", dials, strong, limit=450)
        accuracy = expected(dials, strong, rounds=2)
        mean, brier = expected_scores(dials, strong, rounds=2)
        assert fits(found, accuracy)
        assert mean_fits([r[1] for r in found], mean)
        assert mean_fits([(1 - r[1]) ** 2 for r in found], brier)
        assert mean_fits([max(r[1], 1 - r[1]) for r in found], accuracy) is calibrated


# samples


def test_samples_are_new_draws_and_the_same_call_is_the_same_draw(play, toy: str, tmp_path: Path) -> None:
    settings = {"judge": spell("judge", JudgeDials(0.7)), "debater": spell("debater", DEBATER), "limit": 150}
    found = []
    for name in ("one", "two"):
        db = tmp_path / f"{name}.duckdb"
        run = play("debate:rounds=1", samples=4, db=db, **settings)
        assert run.calls == 150 * 4 * 3 and run.calls_from_store == 0
        found.append(rows(db, "SELECT question, sample, p_right, correct FROM judgements ORDER BY ALL"))
    assert found[0] == found[1]
    assert len({p for _, _, p, _ in found[0]}) == 600
    # independent: two samples of one question agree as often as accuracy alone implies
    right: dict[str, list[bool]] = {}
    for question, _, _, correct in found[0]:
        right.setdefault(question, []).append(correct)
    agree = sum(a[0] == a[1] for a in right.values()) + sum(a[2] == a[3] for a in right.values())
    p = expected(JudgeDials(0.7), DEBATER, rounds=1)
    bounds = binomtest(agree, 300).proportion_ci(LEVEL, method="exact")
    assert bounds.low <= p * p + (1 - p) ** 2 <= bounds.high


def test_two_judges_share_the_debate_they_judge(play, toy: str, tmp_path: Path) -> None:
    judges = [spell("judge", JudgeDials(a)) for a in (0.6, 0.9)]
    run = play("debate:rounds=2", judge=judges, debater=spell("debater", DEBATER), limit=20)
    assert (run.calls, run.calls_from_store) == (20 * (4 + 2), 20 * 4)
    shared = "SELECT count(DISTINCT call) FROM uses JOIN calls USING (call) WHERE kind = 'generate'"
    assert rows(tmp_path / "db.duckdb", shared) == [(80,)]
