"""Every dial of the simulated players, played by the real engine, is found by its measure as often as it should be.

Each test plays many small studies with repeats that are alike (`steady`) on passages of unlike difficulty
(`grouped`), reads each alone, and asks of all: does the truth, known by formula, quadrature or enumeration, lie
outside one interval in twenty, are the errors of the right size, and is the mean of the estimates the truth?
A truth that was not dialled must fail the same question. Of a dial at "no effect" the effect must be none.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, multivariate_normal, norm
from studies import SELDOM, by_protocol, fits, fitted_log_odds, held, play_studies, spelt

from oversight.measure import bias, frontier, gap, paired, persuasion, power, scores, strength
from oversight.measure.accuracy import measure
from oversight.measure.belief import measure_belief
from oversight.measure.calibration import measure_calibration
from oversight.measure.measured import Measured
from oversight.models.dials import DebaterDials, JudgeDials, expected
from oversight.store.reading import Reader, open_reader

DIRECT, CEILING, CONSULTANCY, DEBATE = (
    "direct",
    "direct:passage=true",
    "consultancy:rounds=1,ask=false",
    "debate:rounds=1",
)
JUDGE = JudgeDials(0.6, position_bias=0.4, credulity=0.6, passage_accuracy=0.97, steady=0.3, grouped=0.15)
DEBATER = DebaterDials(skill=0.5, truth_advantage=0.8, spread=0.8)
ALIKE = JUDGE.steady + JUDGE.grouped
"""Share of the noise that two askings of a question have in common."""
POINTS = 400 / math.log(10)
STUDIES = 28


def total(judge: JudgeDials, debater: DebaterDials = DEBATER) -> tuple[float, float]:
    """Mean and variance of u_right − u_wrong after a debate of one round, without position bias."""
    c = judge.credulity
    return judge.d(2) + c * debater.truth_advantage, 1 + 2 * c * c * debater.spread**2


class Played:
    """A database of studies, and its arms by name."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.of = {
            f"{a:016x}": protocol
            + (":passage" if '"passage": true' in params or '"passage":true' in params else "")
            for a, protocol, params in reader.sql("SELECT arm, protocol, params FROM arms").rows
        }

    def rows(self, found: Any, arm: str, **where: Any) -> list[Any]:
        return by_protocol(self.of, found, **where)[arm]

    def differences(self, a: str, b: str) -> list[paired.Difference]:
        """Of two arms, in every study."""
        arms = {name: int(key, 16) for key, name in self.of.items()}
        answered = paired.measure_answered(self.reader)
        tasks = sorted({task for task, _ in answered})
        return [paired.difference(answered[t, arms[a]], answered[t, arms[b]]) for t in tasks]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Studies of thirty questions on ten passages, four arms, both orders."""
    folder = tmp_path_factory.mktemp("dials")
    arms = (DIRECT, CEILING, CONSULTANCY, DEBATE)
    with open_reader(play_studies(folder, arms, STUDIES, JUDGE, DEBATER, limit=30, order="both")) as reader:
        yield Played(reader)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The same of a judge that hears nobody and minds no order: no speech, place or side does anything."""
    folder = tmp_path_factory.mktemp("idle")
    judge = JudgeDials(0.6, credulity=0, steady=0.3, grouped=0.15)
    arms = (DIRECT, CONSULTANCY, DEBATE)
    with open_reader(play_studies(folder, arms, STUDIES, judge, DEBATER, limit=30, order="both")) as reader:
        yield Played(reader)


# accuracy, sycophancy, and what is made of them


def test_accuracy_of_every_arm_and_side(played: Played) -> None:
    found = measure(played.reader)
    truth = {
        "direct": expected(JUDGE),
        "direct:passage": expected(JUDGE, passage=True),
        "debate": expected(JUDGE, DEBATER, rounds=1),
    }
    for arm, accuracy in truth.items():
        assert fits(played.rows(found, arm), accuracy), (arm, held(played.rows(found, arm), accuracy))
    assert not fits(played.rows(found, "direct"), 0.7) and not fits(played.rows(found, "debate"), 0.6)
    sides = [expected(JUDGE, DEBATER, rounds=1, honest=h) for h in (True, False)]
    consulted = played.rows(found, "consultancy")
    assert fits(consulted, sum(sides) / 2)
    for place, truth_of_side in enumerate(sides):  # a sycophantic judge follows the consultant to either side
        assert fits([row.splits[place] for row in consulted], truth_of_side)
        assert not fits([row.splits[place] for row in consulted], sides[1 - place])


def test_without_sycophancy_an_honest_and_a_dishonest_consultant_do_nothing(idle: Played) -> None:
    consulted = idle.rows(measure(idle.reader), "consultancy")
    for place in (0, 1):
        assert fits([row.splits[place] for row in consulted], 0.6)


def test_the_gain_of_debate_and_its_test(played: Played, idle: Played) -> None:
    gain = expected(JUDGE, DEBATER, rounds=1) - expected(JUDGE)
    found = played.differences("debate", "direct")
    assert fits([d.difference for d in found], gain) and not fits([d.difference for d in found], 0)
    none = idle.differences("debate", "direct")
    assert fits([d.difference for d in none], 0)
    false = sum((d.test.p or 0) <= 0.05 for d in none)
    assert false <= binom.isf(SELDOM, len(none), 0.05)
    assert sum((d.test.p or 1) <= 0.05 for d in found) > false


def test_the_gap_recovered(played: Played) -> None:
    alone, ceiling = expected(JUDGE), expected(JUDGE, passage=True)
    found = gap.measure_gap(played.reader)
    sides = [expected(JUDGE, DEBATER, rounds=1, honest=h) for h in (True, False)]
    for arm, accuracy in (
        ("debate", expected(JUDGE, DEBATER, rounds=1)),
        ("consultancy", sum(sides) / 2),
    ):
        recovered = [row.of.recovered for row in played.rows(found, arm)]
        assert fits(recovered, (accuracy - alone) / (ceiling - alone), biased=True), arm
        assert not fits(recovered, (accuracy - alone) / (ceiling - alone) + 0.3, biased=True)


def turned(judge: JudgeDials, debater: DebaterDials) -> tuple[float, float]:
    """Rescue and harm: both orders of a question, alone and after a debate, whose noise is alike by a share."""
    mean, variance = total(judge, debater)
    both = multivariate_normal(cov=[[1, ALIKE], [ALIKE, variance]])
    right, kept = 0.0, 0.0
    for shift in (judge.position_bias, -judge.position_bias):
        right += norm.cdf(judge.d(2) + shift)
        kept += both.cdf([judge.d(2) + shift, mean + shift])
    accuracy = 2 * expected(judge, debater, rounds=1)
    return (accuracy - kept) / (2 - right), (right - kept) / right


def test_rescue_and_harm(played: Played, idle: Played) -> None:
    for of, judge in ((played, JUDGE), (idle, JudgeDials(0.6, credulity=0))):
        rescue, harm = turned(judge, DEBATER)
        found = of.rows(persuasion.measure_rescue_and_harm(of.reader), "debate")
        assert fits([row.rescue for row in found], rescue) and fits([row.harm for row in found], harm)
        assert not fits([row.rescue for row in found], harm) and not fits([row.harm for row in found], rescue)


def test_how_often_the_judge_is_convinced_of_the_wrong_answer(played: Played, idle: Played) -> None:
    found = persuasion.measure_win_rates(played.reader)
    for shown_first, place in ((True, 1), (False, 0), (None, None)):
        wrong = played.rows(found, "consultancy", right=False, shown_first=shown_first)
        right = played.rows(found, "consultancy", right=True, shown_first=shown_first)
        convinced = 1 - expected(JUDGE, DEBATER, rounds=1, honest=False, right=place)
        honest = None if place is None else 1 - place
        believed = expected(JUDGE, DEBATER, rounds=1, honest=True, right=honest)
        assert fits([row.rate for row in wrong], convinced) and fits([row.rate for row in right], believed)
    none = persuasion.measure_win_rates(idle.reader)
    for right_side, share in ((True, 0.6), (False, 0.4)):
        found_none = idle.rows(none, "consultancy", right=right_side, shown_first=None)
        assert fits([row.rate for row in found_none], share)


# probabilities


def average(of: Callable[[float], float], slope: float, mean: float, variance: float) -> float:
    """E of(p(right)), the log-odds of the right answer being slope · N(mean, variance)."""

    def weighed(z: float) -> float:
        return of(1 / (1 + math.exp(-slope * (mean + math.sqrt(variance) * z)))) * norm.pdf(z)

    return float(quad(weighed, -9, 9, limit=200)[0])


def test_how_wrong_and_how_surprised_the_judge_is(played: Played) -> None:
    found = measure_calibration(played.reader)
    slope = 2 * JUDGE.d(2)
    for arm, (mean, variance) in (("direct", (JUDGE.d(2), 1.0)), ("debate", total(JUDGE))):
        scored = [row.of for row in played.rows(found, arm)]

        def truth(of: Callable[[float], float], mean: float = mean, variance: float = variance) -> float:
            shifts = (JUDGE.position_bias, -JUDGE.position_bias)
            return sum(average(of, slope, mean + s, variance) for s in shifts) / 2

        assert fits([c.brier for c in scored], truth(lambda p: 2 * (1 - p) ** 2))
        assert fits([c.log_loss for c in scored], truth(lambda p: -math.log(max(p, 0.01))))


def test_a_position_bias_is_the_intercept_of_calibration_and_overconfidence_its_slope(
    played: Played, tmp_path: Path
) -> None:
    """log-odds that the first answer is right are 2d · (Δ − bias), where the judge says slope · Δ."""
    scored = [row.of for row in played.rows(measure_calibration(played.reader), "direct")]
    assert fits([c.slope for c in scored], 1) and fits([c.intercept for c in scored], -2 * JUDGE.d(2) * 0.4)
    assert not fits([c.intercept for c in scored], 0)
    loud = JudgeDials(0.65, slope=4 * JudgeDials(0.65).d(2), steady=0.3, grouped=0.15)
    db = play_studies(tmp_path / "loud", [DIRECT], STUDIES, loud, limit=45, order="both")
    with open_reader(db) as reader:
        found = [row.of for row in measure_calibration(reader)]
    assert fits([c.slope for c in found], 0.5) and fits([c.intercept for c in found], 0)
    assert not fits([c.slope for c in found], 1)


def test_what_an_agent_gains_by_arguing_the_truth(played: Played, idle: Played) -> None:
    slope, d, c = 2 * JUDGE.d(2), JUDGE.d(2), JUDGE.credulity
    shifts = (JUDGE.position_bias, -JUDGE.position_bias)
    mean, variance = total(JUDGE)
    debate = sum(average(lambda p: 4 * p - 2, slope, mean + s, variance) for s in shifts) / 2
    found = scores.measure_score_differences(played.reader)
    assert fits([r.difference for r in played.rows(found, "debate", rule="brier")], debate)
    one = 1 + c * c * DEBATER.spread**2
    told = d + c * (DEBATER.skill + DEBATER.truth_advantage), d - c * DEBATER.skill
    for rule, true, false in (
        ("brier", lambda p: -2 * (1 - p) ** 2, lambda p: -2 * p * p),
        ("log", lambda p: math.log(max(p, 0.01)), lambda p: math.log(max(1 - p, 0.01))),
    ):
        gains = [
            average(true, slope, told[0] + s, one) - average(false, slope, told[1] + s, one) for s in shifts
        ]
        consulted = [r.difference for r in played.rows(found, "consultancy", rule=rule)]
        assert fits(consulted, sum(gains) / 2) and not fits(consulted, -sum(gains) / 2 - 0.3)
    # A judge that hears nobody gives an agent what it believed anyway, whichever side it argues.
    nothing = scores.measure_score_differences(idle.reader)
    anyway = average(lambda p: 4 * p - 2, slope, d, 1.0)
    assert fits([r.difference for r in idle.rows(nothing, "consultancy", rule="brier")], anyway)


# what moves the judge beside the arguments


@pytest.mark.parametrize("place", [0.0, 0.5])
def test_position_bias_net_of_noise(tmp_path: Path, place: float) -> None:
    judge = JudgeDials(0.7, position_bias=place, steady=0.25, grouped=0.15)
    db = play_studies(tmp_path / "played", [DIRECT], STUDIES, judge, limit=36, order="both", samples=2)
    with open_reader(db) as reader:
        found = bias.measure_position_bias(reader)
    new = 1 - ALIKE + 0.05  # of the noise: 0.6

    def chance(z: float, shift: float) -> float:
        return float(norm.cdf((judge.d(2) + shift + z) / math.sqrt(new)))

    def over(of: Callable[[float, float], float]) -> float:
        spread = math.sqrt(1 - new)
        return float(
            quad(lambda z: of(chance(z, place), chance(z, -place)) * norm.pdf(z, 0, spread), -6, 6)[0]
        )

    assert fits([r.swapped for r in found], over(lambda p, q: p * (1 - q) + q * (1 - p)))
    assert fits([r.repeated for r in found], over(lambda p, q: p * (1 - p) + q * (1 - q)))
    net = over(lambda p, q: (p - q) ** 2)
    assert fits([r.net for r in found], net) and (place == 0 or not fits([r.net for r in found], 0))
    first = over(lambda p, q: (p + 1 - q) / 2)
    assert fits([r.first for r in found], first) and not fits([r.first for r in found], first + 0.1)


@pytest.mark.parametrize("alone", [0.5, 0.75])
@pytest.mark.parametrize("answers", [2, 4])
def test_what_the_judge_knew_already(tmp_path: Path, alone: float, answers: int) -> None:
    alone = 1 / answers if alone == 0.5 else alone
    judge = JudgeDials(alone, steady=0.25, grouped=0.15)
    db = play_studies(
        tmp_path / "played", [DIRECT], STUDIES, judge, answers=answers, limit=36, order="random"
    )
    with open_reader(db) as reader:
        found = [row.beyond_chance for row in bias.measure_knew_already(reader)]
    assert fits(found, alone - 1 / answers) and not fits(found, alone - 1 / answers + 0.1)


def said(reader: Reader) -> list[tuple[str, int, bool, int, int]]:
    """task, place of the right answer, whether the first shown won, words of the first and of the other."""
    return reader.sql(
        "SELECT j.task, list_position(j.answer_order, j.label) - 1, j.choice = j.answer_order[1], "
        "sum(t.words) FILTER (t.seat = 'A'), sum(t.words) FILTER (t.seat = 'B') "
        "FROM judgements j JOIN turns t USING (episode) WHERE t.kind = 'speak' "
        "GROUP BY j.episode, j.task, j.answer_order, j.label, j.choice"
    ).rows


@pytest.mark.parametrize("per_doubling", [0.0, 0.9])
def test_length_bias_by_preference_and_by_its_term(tmp_path: Path, per_doubling: float) -> None:
    """Given the words that were said, the chance of each verdict is known."""
    judge = JudgeDials(0.6, credulity=0.5, length_bias=per_doubling)
    db = play_studies(
        tmp_path / "played", [DEBATE], 16, judge, DebaterDials(wordiness=24), limit=30, order="both"
    )
    plain = JudgeDials(0.6, credulity=0.5)
    mean, variance = total(plain, DebaterDials())
    with open_reader(db) as reader:
        longer = [p for p in bias.measure_preferences(reader) if p.kind == "longer"]
        terms = {one.task: one.of for one in strength.measure_strength(reader)}
        verdicts = said(reader)
    shares, coefficients = [], []
    for task in [p.task for p in longer]:
        of = np.array([row[1:] for row in verdicts if row[0] == task], dtype=float)
        doublings = np.log2(of[:, 2] / of[:, 3])
        right = np.where(of[:, 0] == 0, 1.0, -1.0)
        chance = norm.cdf((right * mean + per_doubling * doublings) / math.sqrt(variance))
        unequal = of[:, 2] != of[:, 3]
        shares.append(float(np.mean(np.where(doublings > 0, chance, 1 - chance)[unequal])))
        x = np.column_stack([right / 2, np.ones(len(of)), doublings])
        coefficients.append(fitted_log_odds(x, chance) * POINTS)
    assert fits([p.rate for p in longer], shares)
    tasks = [p.task for p in longer]
    for i, name in enumerate(("right", "first", "longer")):
        assert fits([getattr(terms[t], name) for t in tasks], [float(c[i]) for c in coefficients]), name
    assert fits([terms[t].longer for t in tasks], 0) is (per_doubling == 0)
    assert fits([p.rate for p in longer], 0.5) is (per_doubling == 0)


KIN = """
from oversight.models.dials import DebaterDials, JudgeDials
from oversight.models.simulated import SimulatedDebater, SimulatedJudge

class Judge(SimulatedJudge):
    def __init__(self):
        super().__init__(JudgeDials(0.6, credulity=0.7), "kin-judge")

class Friend(SimulatedDebater):
    def __init__(self):
        super().__init__(DebaterDials(skill={skill}), "kin-friend-{skill}")
"""


@pytest.mark.parametrize("skill", [0.5, 1.7])
def test_a_judges_own_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skill: float) -> None:
    """The judge cannot know its kin; what it prefers is the skill that was dialled, or nothing."""
    module = f"kin{round(10 * skill)}"
    (tmp_path / f"{module}.py").write_text(KIN.format(skill=skill))
    monkeypatch.chdir(tmp_path)
    stranger = DebaterDials(skill=0.5)
    db = play_studies(
        tmp_path / "played", [DEBATE], 20, f"{module}:Judge", f"{module}:Friend", opponents=["simulated/debater"],
        limit=30, order="both",
    )  # fmt: skip
    sys.modules.pop(module, None)
    mean, variance = total(JudgeDials(0.6, credulity=0.7), stranger)
    edge = 0.7 * (skill - stranger.skill)
    share = (
        norm.cdf((edge + mean) / math.sqrt(variance)) + norm.cdf((edge - mean) / math.sqrt(variance))
    ) / 2
    with open_reader(db) as reader:
        kin = [p.rate for p in bias.measure_preferences(reader) if p.kind == "same family"]
    assert len(kin) == 20 and fits(kin, share) and fits(kin, 0.5) is (skill == 0.5)


LEAKER = """
from oversight.models.dials import DebaterDials
from oversight.models.simulated import SimulatedDebater

class Leaker(SimulatedDebater):
    def __init__(self):
        super().__init__(DebaterDials(), "leaker")

    def _say(self, view, rng):
        said = super()._say(view, rng)
        wrong = view.act == "speak" and view.answer != view.answers[self.right(view)]
        return said + " I was told to argue for this." if wrong and rng.random() < 0.3 else said
"""


def test_a_role_that_shows_in_the_words_of_one_side_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaking.py").write_text(LEAKER)
    monkeypatch.chdir(tmp_path)
    judge = JudgeDials(0.6)
    folder = tmp_path / "played"
    db = play_studies(folder, [CONSULTANCY], 20, judge, consultant="leaking:Leaker", limit=30)
    sys.modules.pop("leaking", None)
    with open_reader(db) as reader:
        found = bias.measure_leaks(reader)
    wrong = [row.rate for row in found if row.of_right is False]
    assert fits(wrong, 0.3) and not fits(wrong, 0.15) and len(wrong) == 20
    assert {(row.rate.won, row.rate.of) for row in found if row.of_right} == {(0, 30)}


# strength


def test_skill_truth_and_place_in_elo(tmp_path: Path) -> None:
    """Three skills, everybody on either side of everybody; the truth is the logistic fit of the cells' own chances."""
    judge = JudgeDials(0.55, credulity=0.7, position_bias=0.3)
    skills = {"0.0": 0.0, "0.6": 0.6, "1.4": 1.4}
    debaters = [DebaterDials(skill=s) for s in skills.values()]
    spelt_out = [f"simulated/debater:skill={s}" for s in skills]
    db = play_studies(
        tmp_path / "played", [DEBATE], 12, judge, spelt_out, opponents=spelt_out, limit=30, order="both"
    )
    mean, variance = total(judge, debaters[0])
    cells, chance = [], []
    for i, one in enumerate(debaters):
        for j, other in enumerate(debaters):
            for right in (1, -1):
                cells.append([(i == k) - (j == k) for k in (1, 2)] + [right / 2, 1])
                edge = 0.7 * (one.skill - other.skill) + judge.position_bias
                chance.append(norm.cdf((right * mean + edge) / math.sqrt(variance)))
    fit = fitted_log_odds(np.array(cells, dtype=float), np.array(chance))
    ratings = np.array([0.0, *fit[:2]])
    ratings = (ratings - ratings.mean()) * POINTS
    with open_reader(db) as reader:
        found = [one.of for one in strength.measure_strength(reader)]
    assert len(found) == 12 and all(len(one.ratings) == 3 for one in found)
    by_skill = [sorted(one.ratings, key=lambda r: r.player) for one in found]
    for place, truth in enumerate(ratings):
        assert fits([ratings_of[place].elo for ratings_of in by_skill], float(truth)), place
    assert not fits([ratings_of[0].elo for ratings_of in by_skill], float(ratings[1]))
    assert fits([one.right for one in found], float(fit[2]) * POINTS)
    assert fits([one.first for one in found], float(fit[3]) * POINTS)
    assert not fits([one.first for one in found], 0)


# belief


def paths(judge: JudgeDials, debater: DebaterDials, rounds: int) -> tuple[list[float], float, float]:
    """By a simulation of its own: the mean change of ln p(right) in each round, movement and reduction."""
    draw = np.random.default_rng(0)
    n, c = 400_000, judge.credulity
    noise = draw.normal(0, 1, n)
    fresh = 1 - judge.steady - judge.grouped
    odds = [judge.d(2) + math.sqrt(1 - fresh) * noise + math.sqrt(fresh) * draw.normal(0, 1, n)]
    told = np.zeros(n)
    for _ in range(rounds):
        told = told + c * draw.normal(debater.truth_advantage, math.sqrt(2) * debater.spread, n)
        odds.append(
            judge.d(2) + told + math.sqrt(1 - fresh) * noise + math.sqrt(fresh) * draw.normal(0, 1, n)
        )
    p = [1 / (1 + np.exp(-judge.steepness(2) * o)) for o in odds]
    moved = sum(np.mean(2 * (b - a) ** 2) for a, b in pairwise(p))
    reduced = np.mean(2 * p[0] * (1 - p[0]) - 2 * p[-1] * (1 - p[-1]))
    logs = [np.mean(np.log(np.maximum(x, 0.01))) for x in p]
    return [float(b - a) for a, b in pairwise(logs)], float(moved), float(reduced)


@pytest.mark.parametrize("reaction, steady", [(1.0, 1.0), (2.5, 1.0), (0.3, 1.0), (1.0, 0.2)])
def test_a_bayesian_judges_beliefs_move_as_much_as_they_learn(
    tmp_path: Path, reaction: float, steady: float
) -> None:
    """Zero for it alone: not for one that overreacts, one that hardly moves, or one that changes its mind at random."""
    debater = DebaterDials(skill=0.4, truth_advantage=0.5, spread=1.0)
    d = JudgeDials(0.65).d(2)
    judge = JudgeDials(0.65, credulity=0.5 / (2 * d), slope=2 * d * reaction, steady=steady)
    db = play_studies(tmp_path / "played", ["debate:rounds=2"], 20, judge, debater, ",beliefs=true", limit=24)
    with open_reader(db) as reader:
        found = [one.of for one in measure_belief(reader)]
    assert len(found) == 20 and all(one.paths == 24 for one in found)
    steps, moved, reduced = paths(judge, debater, 2)
    assert fits([one.movement for one in found], moved) and fits([one.reduction for one in found], reduced)
    assert fits([one.excess for one in found], moved - reduced)
    bayesian = reaction == 1 and steady == 1
    assert bool(abs(moved - reduced) < 0.003) is bayesian
    assert fits([one.excess for one in found], 0) is bayesian
    for i, step in enumerate(steps):
        assert fits([one.steps[i].change for one in found], step)


# queries


def test_answers_to_queries_help_and_a_placebos_do_not(tmp_path: Path) -> None:
    dials = JudgeDials(0.55, credulity=0.4, query_value=0.5, steady=0.2, grouped=0.1)
    judges = [spelt("judge", dials) + more for more in ("", ",queries=2", ",queries=2,placebo=true")]
    arm = "consultancy:rounds=1,ask=false"
    db = play_studies(tmp_path / "played", [arm], 12, judges, DEBATER, limit=30)
    kinds = "SELECT arm, players FROM arms"
    with open_reader(db) as reader:
        named = {a: ("placebo" if '"placebo"' in p and '"placebo": false' not in p and '"placebo":false' not in p
                     else "asked" if '"queries"' in p else "silent")
                 for a, p in reader.sql(kinds).rows}  # fmt: skip
        assert sorted(named.values()) == ["asked", "placebo", "silent"]
        found = measure(reader)
        answered = paired.measure_answered(reader)
        answers = dict(reader.sql("SELECT placebo, count(*) FROM queries GROUP BY ALL").rows)
    assert answers == {True: 12 * 30 * 2 * 2, False: 12 * 30 * 2 * 2}
    truth = {}
    for name, replies in (("silent", 0), ("asked", 2), ("placebo", 0)):
        sides = [expected(dials, DEBATER, rounds=1, honest=h, replies=replies) for h in (True, False)]
        truth[name] = sum(sides) / 2
        assert fits([row for row in found if named[row.arm] == name], truth[name]), name
    arms = {name: a for a, name in named.items()}

    def worth(name: str) -> list[Measured]:
        tasks = sorted({task for task, _ in answered})
        return [
            paired.difference(answered[t, arms[name]], answered[t, arms["silent"]]).difference for t in tasks
        ]

    assert fits(worth("asked"), truth["asked"] - truth["silent"]) and not fits(worth("asked"), 0)
    assert fits(worth("placebo"), 0)


# designs


def test_the_frontier_is_the_dialled_one_and_its_cost_that_of_the_calls(played: Played) -> None:
    """The judge that reads is the best and cheap: nothing but the floor, which is cheaper, stands beside it."""
    found = frontier.measure_frontier(played.reader, unit="tokens")
    sql = (
        "SELECT j.task, j.arm, sum(c.prompt_tokens + c.completion_tokens) / count(DISTINCT j.episode) "
        "FROM judgements j JOIN uses u USING (episode) JOIN calls c USING (call) GROUP BY ALL"
    )
    cost = {(task, arm): mean for task, arm, mean in played.reader.sql(sql).rows}
    assert len(found) == STUDIES
    for one in found:
        names = {played.of[f"{p.arm:016x}"]: p for p in one.places}
        assert all(p.cost.value == pytest.approx(cost[one.task, p.arm]) for p in one.places)
        assert {n for n, p in names.items() if p.on_frontier} == {"direct", "direct:passage"}
        assert min(names[n].confidence or 0 for n in ("direct", "direct:passage")) > 0.97
        assert max(names[n].confidence or 0 for n in ("debate", "consultancy")) < 0.1


def test_a_planned_number_of_questions_finds_the_effect_as_often_as_planned(tmp_path: Path) -> None:
    """A pilot of 300 questions plans; forty studies of the planned size are played, and 80 % find it."""
    judge = JudgeDials(0.6, credulity=0.8, steady=0.2, grouped=0.1)
    strong = DebaterDials(truth_advantage=1.4)
    effect = expected(judge, strong, rounds=1) - expected(judge)

    def differences(name: str, studies: int, limit: int, seed: int) -> list[paired.Difference]:
        arms = (DIRECT, DEBATE)
        db = play_studies(tmp_path / name, arms, studies, judge, strong, limit=limit, seed=seed)
        with open_reader(db) as reader:
            return Played(reader).differences("debate", "direct")

    (pilot,) = differences("pilot", 1, 300, 1)
    planned = power.power(pilot.difference, effect)
    assert planned.questions is not None and 30 < planned.questions < 120
    found = differences("planned", 40, planned.questions, 2)
    reached = sum((d.difference.low or 0) > 0 for d in found)
    assert binom.ppf(1e-3, 40, 0.8) <= reached <= binom.isf(1e-3, 40, 0.8), (planned, reached)
