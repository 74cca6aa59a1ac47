"""The dials of simulated players, and what must come of them before anybody plays.

**The debater.** Each speech says its answer in plain words and carries a number, its evidence,
drawn from N(skill + truth_advantage·[its answer is right], spread²). It reaches the judge as text
that the view lets through, or not at all. After it come up to `wordiness` empty words, any number as likely. Asked a question, it replies with its answer and no evidence. Where it
chooses its side (open protocols), that is the right one with probability `accuracy`, else any of the others.

**The judge.** It has a utility for each answer i, and decides for the largest:

    u_i = d·[i right] + e_i + position_bias·[i shown first]
        + credulity·(sum of the evidence it sees for i) + query_value·(its questions replied to)·[i right]
        + length_bias·log2(words of the speeches it sees for i)

(a reply to another question, as in a placebo arm, is none),

with e_i ~ N(0, 1/2), independent. d is what makes it right with probability `accuracy` when alone:
for two answers u_right - u_wrong ~ N(d, 1), so d = Φ⁻¹(accuracy); for k answers d solves
∫ φ(z) Φ(z + d√2)^(k-1) dz = accuracy. Where it may read the passage, d is that of `passage_accuracy`.

e_i is new in every call, but for two shares of its variance: `steady` is drawn once for an answer of a question,
so that asking again, later or in the other order, asks the same judge; `grouped` once for a group's right answers
and once for its wrong ones, so that some passages are harder than others. No formula below changes by them; what
changes is how much repeats and questions on one passage tell, which intervals must know.

For two answers, n speeches an answer and q questions replied to, P(right) is Φ(mean / sd) of
u_right - u_wrong (± position_bias when the right answer is shown first, or second):

    direct                   N(d ± bias, 1)
    debate                   N(d + c·n·truth_advantage + q·query_value ± bias, 1 + 2·c²·n·spread²)
    consultancy, honest      N(d + c·n·(skill + truth_advantage) + q·query_value ± bias, 1 + c²·n·spread²)
    consultancy, dishonest   N(d - c·n·skill + q·query_value ± bias, 1 + c²·n·spread²)

where c is credulity. `expected` gives these, and those for more answers, by quadrature, without a length bias.

**What it reports.** Asked for a letter, the largest; in several votes each vote draws its own e, so that
they are independent given the speeches. Asked for probabilities, in whichever way, p = softmax(slope·u), by default with slope = 2d. That is the posterior of the
judge alone: utilities are N(d·[i right], 1/2), so the likelihood of "i is right" is proportional to
exp(-(u_i - d)² + u_i²), that is to exp(2·d·u_i), and with every answer as likely beforehand
the posterior is softmax(2·d·u). It is calibrated, then, only without bias, speeches and questions.
After a debate all utilities have one variance V = 1/2 + c²·n·spread² and the right one a mean higher
by D = d + c·n·truth_advantage + q·query_value, so slope = D/V is the posterior (`debate_slope`); a
judge that keeps to 2d there is a judge who does not know how much debate tells. With steady=1 and
c = truth_advantage/(2·d·spread²) it is the posterior at slope 2d after any number of speeches: the belief of a
Bayesian judge, whose noise is what it knew beforehand. Below chance d is
negative and the slope is 2|d|: such a judge is confidently wrong. At chance, where 2d would make
every verdict a tie, it is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

NOISE = math.sqrt(0.5)
"""Standard deviation of e_i."""


@dataclass(frozen=True)
class JudgeDials:
    """How a simulated judge decides; see the module. None: `slope` is 2d, `passage_accuracy` `accuracy`."""

    accuracy: float = 0.7
    position_bias: float = 0.0
    length_bias: float = 0.0
    credulity: float = 0.3
    query_value: float = 0.0
    passage_accuracy: float | None = None
    slope: float | None = None
    steady: float = 0.0
    grouped: float = 0.0

    def d(self, answers: int, passage: bool = False) -> float:
        """By how much the right answer's utility is higher."""
        alone = self.accuracy if not passage or self.passage_accuracy is None else self.passage_accuracy
        return advantage(alone, answers)

    def steepness(self, answers: int, passage: bool = False) -> float:
        """The slope of its probabilities in its utilities."""
        return self.slope if self.slope is not None else 2 * abs(self.d(answers, passage)) or 1.0


@dataclass(frozen=True)
class DebaterDials:
    """How strong a simulated debater's speeches are; see the module."""

    skill: float = 0.5
    truth_advantage: float = 0.5
    spread: float = 1.0
    accuracy: float = 0.85
    wordiness: float = 0.0


RANGES = {
    "accuracy": (0.001, 0.999),
    "position_bias": (-10.0, 10.0),
    "length_bias": (-10.0, 10.0),
    "credulity": (-10.0, 10.0),
    "query_value": (-10.0, 10.0),
    "passage_accuracy": (0.001, 0.999),
    "slope": (0.001, 100.0),
    "steady": (0.0, 1.0),
    "grouped": (0.0, 1.0),
    "skill": (-10.0, 10.0),
    "truth_advantage": (-10.0, 10.0),
    "spread": (0.0, 10.0),
    "wordiness": (0.0, 100.0),
}


# what is known beforehand


def win(means: Sequence[float], variances: Sequence[float], place: int) -> float:
    """P(the utility at `place` is the largest), for independent normal utilities."""
    sds = [math.sqrt(v) for v in variances]
    others = [i for i in range(len(means)) if i != place]
    if len(others) == 1:
        gap = means[place] - means[others[0]]
        return NormalDist().cdf(gap / math.sqrt(variances[place] + variances[others[0]]))
    from scipy.integrate import quad
    from scipy.special import ndtr

    def weight(z: float) -> float:
        x = means[place] + sds[place] * z
        beaten = math.prod(float(ndtr((x - means[i]) / sds[i])) for i in others)
        return beaten * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    value, _ = quad(weight, -10.0, 10.0, epsabs=1e-10, limit=200)
    return float(value)


@lru_cache(maxsize=1024)
def advantage(accuracy: float, answers: int) -> float:
    """d: how much higher the right one's utility is for a judge that alone is right so often."""
    if answers == 2:
        return NormalDist().inv_cdf(accuracy)
    if math.isclose(accuracy * answers, 1.0):
        return 0.0
    from scipy.optimize import brentq

    def miss(d: float) -> float:
        return win([d] + [0.0] * (answers - 1), [0.5] * answers, 0) - accuracy

    return float(brentq(miss, -20.0, 20.0, xtol=1e-10))


def _utilities(
    judge: JudgeDials,
    debater: DebaterDials | None,
    speeches: Sequence[int],
    right: int,
    replies: int,
    passage: bool = False,
) -> tuple[list[float], list[float]]:
    """Mean and variance of each utility; `speeches[i]` are made for the answer shown at i."""
    if judge.length_bias:
        raise ValueError("utilities are not normal with a length bias")
    debater = debater or DebaterDials()
    means, variances = [], []
    for i, n in enumerate(speeches):
        told = n * (debater.skill + (debater.truth_advantage if i == right else 0.0))
        mean = judge.credulity * told + (judge.position_bias if i == 0 else 0.0)
        if i == right:
            mean += judge.d(len(speeches), passage) + judge.query_value * replies
        means.append(mean)
        variances.append(NOISE**2 + judge.credulity**2 * n * debater.spread**2)
    return means, variances


def expected(
    judge: JudgeDials,
    debater: DebaterDials | None = None,
    *,
    rounds: int = 0,
    honest: bool | None = None,
    replies: int = 0,
    answers: int = 2,
    right: int | None = None,
    passage: bool = False,
) -> float:
    """The accuracy these dials must show.

    Direct with `rounds=0`; else a consultancy on the right (`honest` True) or a wrong answer (False),
    or, with `honest` None, a debate. `rounds` counts the speeches made for an answer, `replies` the
    judge's questions that got one. `right` is the place at which the right answer is shown; None takes
    all places alike, as do the wrong answers that a dishonest consultant may have been given.
    """
    shares = []
    for place in range(answers) if right is None else [right]:
        if honest is None:
            argued = [[rounds] * answers]
        else:
            told = [place] if honest else [i for i in range(answers) if i != place]
            argued = [[rounds if i == t else 0 for i in range(answers)] for t in told]
        for speeches in argued:
            means, variances = _utilities(judge, debater, speeches, place, replies, passage)
            shares.append(win(means, variances, place))
    return sum(shares) / len(shares)


def debate_slope(
    judge: JudgeDials, debater: DebaterDials, rounds: int, replies: int = 0, answers: int = 2
) -> float:
    """The slope with which a judge without position bias is calibrated after such a debate."""
    means, variances = _utilities(judge, debater, [rounds] * answers, 0, replies)
    return (means[0] - means[1] - judge.position_bias) / variances[0]


def expected_scores(
    judge: JudgeDials,
    debater: DebaterDials | None = None,
    *,
    rounds: int = 0,
    replies: int = 0,
    right: int = 0,
) -> tuple[float, float]:
    """Mean of p(right) and of (1 - p(right))², half the two-sided Brier score; direct or debate, two answers.

    The log-odds of the right answer are slope·(u_right - u_wrong), a normal variable.
    """
    from scipy.integrate import quad

    means, variances = _utilities(judge, debater, [rounds] * 2, right, replies)
    slope = judge.steepness(2)
    mean, sd = slope * (means[right] - means[1 - right]), slope * math.sqrt(sum(variances))

    def missed(z: float) -> float:
        return 0.5 * (1 - math.tanh((mean + sd * z) / 2))

    def average(power: int) -> float:
        pdf = NormalDist().pdf
        value, _ = quad(lambda z: missed(z) ** power * pdf(z), -10.0, 10.0, epsabs=1e-10, limit=200)
        return float(value)

    return 1 - average(1), average(2)
