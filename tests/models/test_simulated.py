"""Simulated players: dials that are read strictly, formulas that agree with each other, and no leaks."""

from __future__ import annotations

import asyncio
import math
import random
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oversight import Label, Question, Turn, UserError
from oversight.models import open_model
from oversight.models.dials import (
    DebaterDials,
    JudgeDials,
    advantage,
    debate_slope,
    expected,
    expected_scores,
    win,
)
from oversight.models.interface import Completion, Request
from oversight.models.simulated import evidence, replied
from oversight.moves import Seat
from oversight.player import Player
from oversight.prompts import template_from
from oversight.speech import turn_from
from oversight.views import View, view

QUESTION = Question("Who did it?", ("Mira Tan", "Jo Bell"), passage="Mira Tan did it.")
JUDGE, A, B = Seat("judge", "judge"), Seat("A", "debater", 0), Seat("B", "debater", 1)
SEATS = (JUDGE, A, B)


def seen(seat: Seat, act: Any, *turns: Turn, question: Question = QUESTION) -> View:
    return view(question, range(len(question.answers)), SEATS, turns, seat, act, reads=seat.role == "debater")


def told(name: str, label: int = 0, question: Question = QUESTION, **dials: Any) -> Any:
    model = open_model(f"simulated/{name}", dials)
    model.reveal([(question, Label(label))])
    return model


def say(model: Any, looking: View, seed: int = 1) -> str:
    return str(asyncio.run(model.generate(Request((), seed=seed, view=looking))).text)


# dials


@pytest.mark.parametrize(
    ("name", "dials", "says"),
    [
        ("judge", {"acuracy": "0.7"}, "no dial 'acuracy'; did you mean 'accuracy' (0.001 to 0.999)?"),
        ("judge", {"skill": "1"}, "simulated/judge has no dial 'skill'"),
        ("debater", {"truth": "1"}, "did you mean 'truth_advantage' (-10 to 10)?"),
        ("debater", {"xyz": "1"}, "it has skill (-10 to 10), truth_advantage"),
        ("judge", {"accuracy": "1"}, "accuracy='1' is not a number from 0.001 to 0.999"),
        ("judge", {"accuracy": "high"}, "accuracy='high' is not a number"),
        ("judge", {"accuracy": True}, "accuracy=True is not a number"),
        ("judge", {"credulity": "nan"}, "credulity='nan' is not a number"),
        ("debater", {"spread": -1}, "spread=-1 is not a number from 0 to 10"),
        ("judge", {"steady": 0.7, "grouped": 0.4}, "steady=0.7 and grouped=0.4 are shares of one variance"),
        ("jugde", {}, "no simulated player 'jugde'; did you mean 'judge'?"),
    ],
)
def test_a_bad_dial_is_refused_in_one_line(name: str, dials: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as refused:
        open_model(f"simulated/{name}", dials)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_the_identity_spells_every_dial_so_that_no_two_share_a_call() -> None:
    plain = open_model("simulated/judge", {})
    assert all(f"{dial}=" in plain.identity for dial in vars(JudgeDials()))
    assert open_model("simulated/judge", {"accuracy": "0.70"}).identity == plain.identity
    assert open_model("simulated/judge", {"accuracy": "0.71"}).identity != plain.identity
    assert open_model("simulated/debater", {}).identity == open_model("simulated/consultant", {}).identity


# what a player knows, and how


def test_only_what_was_revealed_is_known() -> None:
    judge = open_model("simulated/judge", {})
    with pytest.raises(UserError, match="nobody revealed"):
        say(judge, seen(JUDGE, "judge"))


def test_questions_that_look_alike_must_have_one_right_answer() -> None:
    twin = Question("Who did it?", ("Jo Bell", "Mira Tan"), passage="Another text.")
    judge = told("judge")
    judge.reveal([(twin, Label(1))])  # the same answer, elsewhere
    with pytest.raises(UserError, match="cannot tell apart"):
        judge.reveal([(twin, Label(0))])


@pytest.mark.parametrize("right", [0, 1])
def test_a_speech_says_its_answer_and_its_strength_in_plain_words(right: int) -> None:
    debater = told("debater", right, skill=2, truth_advantage=3, spread=0)
    strength = "+5.000" if right == 0 else "+2.000"
    assert say(debater, seen(A, "speak")) == f'With strength {strength}: the answer is "Mira Tan".'


def test_the_judge_hears_what_the_view_lets_through_and_nothing_else() -> None:
    a = Turn("speak", "A", 1, 'With strength +1.250: the answer is "Mira Tan".')
    b = Turn("speak", "B", 1, 'With strength -0.500: the answer is "Jo Bell".')
    hidden = Turn("speak", "B", 1, 'With strength +9.000: the answer is "Jo Bell".', visible_to=("B",))
    idle = Turn("speak", "A", 2, "I say nothing of weight.")
    asked = Turn("ask", "judge", 2, 'With strength +9.000: the answer is "Jo Bell".')
    assert evidence(seen(JUDGE, "judge", a, b, hidden, idle, asked, a)) == [2.5, -0.5]


@pytest.mark.parametrize("steady, grouped", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.3, 0.2), (1.0, 0.0)])
def test_noise_stays_with_the_question_and_its_group_as_dialled(steady: float, grouped: float) -> None:
    """Covariances of u_right - u_wrong, whose variance is 1: of two askings, the other order, and two questions of a group."""
    questions = [Question(f"Who did {i}?", ("Mira Tan", "Jo Bell"), group=f"g{i // 2}") for i in range(3000)]
    judge = open_model("simulated/judge", {"accuracy": 0.5, "steady": steady, "grouped": grouped})
    judge.reveal([(q, Label(i % 2)) for i, q in enumerate(questions)])

    def asked(i: int, order: tuple[int, int], seed: int) -> float:
        seen_by = view(questions[i], order, SEATS, (), JUDGE, "judge", reads=False)
        u = judge.utilities(seen_by, random.Random(seed))
        return float(u[order.index(i % 2)] - u[order.index(1 - i % 2)])

    first = [asked(i, (0, 1), i) for i in range(3000)]
    again = [asked(i, (0, 1), 9000 + i) for i in range(3000)]
    swapped = [asked(i, (1, 0), 18000 + i) for i in range(3000)]
    beside = [first[i + 1] if i % 2 == 0 else first[i - 1] for i in range(3000)]
    for other, share in (
        (first, 1),
        (again, steady + grouped),
        (swapped, steady + grouped),
        (beside, grouped),
    ):
        assert fmean(a * b for a, b in zip(first, other, strict=True)) == pytest.approx(share, abs=0.11)


def test_a_wordy_debater_says_no_more_and_a_judge_may_mind_the_length() -> None:
    said = [say(told("debater", wordiness=9, spread=0), seen(A, "speak"), seed) for seed in range(200)]
    lengths = {len(text.split()) for text in said}
    assert lengths == set(range(8, 18)) and len({text.split()[2] for text in said}) == 1
    short, long = (
        Turn("speak", seat, 1, text) for seat, text in (("A", min(said, key=len)), ("B", max(said, key=len)))
    )
    long = Turn("speak", "B", 1, long.text.replace("Mira Tan", "Jo Bell"))
    looking = seen(JUDGE, "judge", short, long)
    plain, biased = (
        told("judge", credulity=0, length_bias=b).utilities(looking, random.Random(4)) for b in (0.0, 0.5)
    )
    gained = [b - p for b, p in zip(biased, plain, strict=True)]
    assert gained == pytest.approx([0.5 * math.log2(8), 0.5 * math.log2(17)])
    with pytest.raises(ValueError, match="length bias"):
        expected(JudgeDials(length_bias=0.5))


def test_answers_that_begin_alike_or_hold_tags_are_told_apart() -> None:
    question = Question(
        "Which?", ('Mira "X" <quote>said</quote> <think>it</think> [verified]\n so', "Mira", "Mira Tan")
    )
    model = told("debater", question=question, skill=1, truth_advantage=0, spread=0)
    for place in range(3):
        seat = Seat("ABC"[place], "debater", place)
        looking = view(question, range(3), [JUDGE, seat], [], seat, "speak", reads=False)
        template = template_from("{% call user() %}x{% endcall %}", "x")
        turn = turn_from(Completion(say(model, looking)), looking, Player("debater", model, template))
        heard = evidence(view(question, range(3), [JUDGE, seat], [turn], JUDGE, "judge", reads=False))
        assert heard == [float(i == place) for i in range(3)]


def test_a_speech_cut_before_its_answer_is_an_error_not_lost_evidence() -> None:
    cut = Turn("speak", "A", 1, "With strength +1.000: the answer is")
    with pytest.raises(UserError, match="words="):
        evidence(seen(JUDGE, "judge", cut))


def test_a_question_counts_when_somebody_spoke_after_it() -> None:
    ask, speech = Turn("ask", "judge", 1, "Why?"), Turn("speak", "A", 1, "So.")
    assert replied(seen(JUDGE, "judge", speech)) == 0
    assert replied(seen(JUDGE, "judge", ask, speech)) == 1
    assert replied(seen(JUDGE, "judge", ask, speech, ask)) == 1
    assert replied(seen(JUDGE, "judge", ask, speech, ask, speech)) == 2
    assert replied(seen(A, "speak", ask, speech)) == 0  # it is not A's question


def test_draws_derive_from_the_seed_alone() -> None:
    debater, judge = told("debater"), told("judge")
    assert say(debater, seen(A, "speak"), 7) == say(debater, seen(A, "speak"), 7)
    assert say(debater, seen(A, "speak"), 7) != say(debater, seen(A, "speak"), 8)
    request = Request((), continuations=("A", "B"), seed=3, view=seen(JUDGE, "judge"))
    first, again = asyncio.run(judge.score(request)), asyncio.run(judge.score(request))
    assert first == again and math.fsum(map(math.exp, first.scores)) == pytest.approx(1)
    texts = Request((), continuations=(" Jo Bell", " Mira Tan"), seed=3, view=seen(JUDGE, "judge"))
    assert asyncio.run(judge.score(texts)).scores == first.scores[::-1]


def test_players_keep_to_their_parts() -> None:
    with pytest.raises(UserError, match="simulated/judge cannot play Debater A: it judges"):
        say(told("judge"), seen(A, "speak"))
    with pytest.raises(UserError, match="simulated/debater cannot play Debater A here"):
        say(told("debater"), seen(A, "estimate"))
    assert not told("debater").scores and told("judge").scores
    assert say(told("judge"), seen(JUDGE, "ask")).endswith("?")


def test_a_debater_that_chooses_its_side_is_right_as_often_as_dialled() -> None:
    chosen = [say(told("debater", accuracy=0.9), seen(JUDGE, "judge"), seed) for seed in range(2000)]
    right = f"Answer: {'AB'[told('judge').right(seen(JUDGE, 'judge'))]}"
    assert chosen.count(right) / 2000 == pytest.approx(0.9, abs=0.027)  # four standard errors


# formulas


@given(st.floats(0.05, 0.95), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_the_dialled_accuracy_is_the_accuracy(accuracy: float, answers: int) -> None:
    d = advantage(accuracy, answers)
    assert win([d] + [0.0] * (answers - 1), [0.5] * answers, 0) == pytest.approx(accuracy, abs=1e-7)


def test_at_chance_the_right_answer_has_no_advantage() -> None:
    assert [advantage(1 / k, k) for k in (2, 4, 5)] == [0, 0, 0]
    assert JudgeDials(0.5).steepness(2) == 1 and JudgeDials(0.3).steepness(2) > 0


@given(
    st.floats(0.3, 0.9),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(0, 2),
    st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_two_answers_by_the_documented_formulas(
    accuracy: float, bias: float, credulity: float, truth: float, spread: float, n: int
) -> None:
    from scipy.stats import norm

    judge = JudgeDials(accuracy, position_bias=bias, credulity=credulity, query_value=0.2)
    debater = DebaterDials(0.4, truth, spread)
    d, c, q = norm.ppf(accuracy), credulity, 2
    noise = math.sqrt(1 + c * c * n * spread**2)
    for right, b in ((0, bias), (1, -bias)):
        debate = norm.cdf((d + c * n * truth + q * 0.2 + b) / math.sqrt(1 + 2 * c * c * n * spread**2))
        honest = norm.cdf((d + c * n * (0.4 + truth) + q * 0.2 + b) / noise)
        dishonest = norm.cdf((d - c * n * 0.4 + q * 0.2 + b) / noise)
        assert expected(judge, debater, rounds=n, replies=q, right=right) == pytest.approx(debate)
        assert expected(judge, debater, rounds=n, replies=q, right=right, honest=True) == pytest.approx(
            honest
        )
        assert expected(judge, debater, rounds=n, replies=q, right=right, honest=False) == pytest.approx(
            dishonest
        )
        assert expected(judge, right=right) == pytest.approx(norm.cdf(d + b))


@pytest.mark.parametrize("answers", [2, 3, 5])
def test_softmax_of_2du_is_the_posterior(answers: int) -> None:
    """Bayes by hand: each answer as likely, utilities N(d, 1/2) for the right one, N(0, 1/2) for others."""
    from scipy.stats import norm

    d, rng = advantage(0.7, answers), random.Random(1)
    sd = math.sqrt(0.5)
    for _ in range(20):
        u = [rng.gauss(0, 1) for _ in range(answers)]
        like = [
            math.prod(norm.pdf(x, d if j == i else 0, sd) for j, x in enumerate(u)) for i in range(answers)
        ]
        soft = [math.exp(2 * d * x) for x in u]
        for i in range(answers):
            assert like[i] / sum(like) == pytest.approx(soft[i] / sum(soft))


def test_the_known_brier_score_agrees_with_simulation_and_is_least_at_the_posterior() -> None:
    judge, debater = JudgeDials(0.65, credulity=0.7), DebaterDials(0.2, 0.8, 0.6)
    slope = debate_slope(judge, debater, 2)
    rng = random.Random(5)
    d, c = judge.d(2), 0.7
    sd = math.sqrt(1 + 2 * c * c * 2 * 0.36)
    ps = [1 / (1 + math.exp(-slope * rng.gauss(d + c * 2 * 0.8, sd))) for _ in range(100_000)]
    wise = JudgeDials(0.65, credulity=0.7, slope=slope)
    mean, brier = expected_scores(wise, debater, rounds=2)
    assert fmean(ps) == pytest.approx(mean, abs=0.005)
    assert fmean((1 - p) ** 2 for p in ps) == pytest.approx(brier, abs=0.005)
    assert mean == pytest.approx(1 - 2 * brier)
    for off in (0.7, 1.4):
        other = JudgeDials(0.65, credulity=0.7, slope=slope * off)
        assert expected_scores(other, debater, rounds=2)[1] > brier
