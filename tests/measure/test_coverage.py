"""Of every interval: 93 to 97 of a hundred hold the truth, over 2,000 simulated studies of the sizes people use.

Verdicts on one question and on one passage are alike, each question is played in both orders and often more than
once. The intervals are textbook formulas as arrays (`simulation`), which are those of the measures in every study
that is looked at. Where a measure leaves the regime in which this holds, it says so.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from simulation import (
    STUDIES,
    covered,
    difficulty,
    logistic_intervals,
    mean_intervals,
    share_intervals,
    verdicts,
)

from oversight.measure.accuracy import interval, wilson
from oversight.measure.belief import Path, belief_movement
from oversight.measure.bias import Cell, beyond_chance, position_bias
from oversight.measure.calibration import Judged, calibration, slope_and_intercept
from oversight.measure.gap import gap_recovered
from oversight.measure.measured import mean_of
from oversight.measure.paired import Answered, difference
from oversight.measure.persuasion import rescue_and_harm
from oversight.measure.scores import Forecast, agent_score_difference
from oversight.measure.strength import Match, debater_strength

SIZES = [(13, 4), (16, 3), (30, 1), (50, 4), (128, 1)]
"""Groups, and questions in each."""
LOOKED_AT = range(0, STUDIES, 400)


def rate(share: float) -> bool:
    return 0.93 <= share <= 0.97


def names(groups: int, each: int) -> list[str]:
    return [f"g{g}" for g in range(groups) for _ in range(each)]


def held_or_wide(low: Any, high: Any, truth: float, plain: Any) -> bool:
    """93 to 97 of a hundred; where Wilson's interval is the usual one, 93 at least."""
    share = covered(low, high, truth)
    return rate(share) or (share > 0.97 and plain.mean() < 0.5)


def seed(*of: float) -> Any:
    return np.random.default_rng([round(1000 * x) for x in of])


def per_group(values: Any) -> tuple[Any, Any]:
    """Sums and sizes by group of an array (studies, groups, …)."""
    flat = values.reshape(*values.shape[:2], -1)
    return flat.sum(axis=2), np.full(values.shape[:2], flat.shape[2])


# shares


@pytest.mark.parametrize("groups, each", SIZES)
@pytest.mark.parametrize("accuracy", [0.5, 0.65, 0.8, 0.9])
def test_accuracy(groups: int, each: int, accuracy: float) -> None:
    """With a position bias and two samples in both orders. Near 1, where it is Wilson's, it errs on the wide side."""
    draw = seed(groups, each, accuracy)
    d = float(norm.ppf(accuracy))
    right = verdicts(draw, groups, each, d, place=0.3, samples=2)
    truth = (norm.cdf(d + 0.3) + norm.cdf(d - 0.3)) / 2
    ones, sizes = per_group(right)
    low, high, plain = share_intervals(ones, sizes)
    for i in LOOKED_AT:
        found = interval(sizes[i].tolist(), ones[i].tolist())
        assert (found.low, found.high) == pytest.approx((low[i], high[i]))
        assert found.method == ("t" if plain[i] else "wilson")
    assert held_or_wide(low, high, truth, plain)


def test_without_clustering_a_question_asked_eight_times_would_count_eight_times() -> None:
    """That the simulation can tell: binomial intervals over all verdicts hold the truth far too seldom."""
    right = verdicts(seed(1), 16, 3, 0.4, samples=2)
    share = right.mean(axis=(1, 2, 3, 4))
    half = 1.96 * np.sqrt(share * (1 - share) / (16 * 3 * 4))
    assert covered(share - half, share + half, norm.cdf(0.4)) < 0.85


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.85])
def test_shares_of_groups_of_unequal_size(accuracy: float) -> None:
    """Forty passages of one to nine questions."""
    draw = seed(2, accuracy)
    right = verdicts(draw, 40, 9, float(norm.ppf(accuracy)))[..., 0]
    asked = np.arange(9) < (1 + np.arange(40) % 9)[:, None]
    ones = (right * asked[..., None]).sum(axis=(2, 3))
    sizes = np.broadcast_to(2 * asked.sum(axis=1), ones.shape)
    low, high, _ = share_intervals(ones, sizes)
    found = interval(sizes[0].tolist(), ones[0].tolist())
    assert (found.low, found.high) == pytest.approx((low[0], high[0]))
    assert rate(covered(low, high, accuracy))


@pytest.mark.parametrize("groups, each", [(20, 8), (50, 8), (100, 3), (100, 8)])
def test_where_few_are_wrong_a_t_interval_would_hold_too_seldom_and_wilsons_is_taken(
    groups: int, each: int
) -> None:
    draw = seed(3, groups, each)
    right = verdicts(draw, groups, each, float(norm.ppf(0.96)), alike=(0.2, 0.0))[..., :1, :]
    ones, sizes = per_group(right)
    low, high, _ = share_intervals(ones, sizes)
    _, plain_low, plain_high = mean_intervals(ones, sizes)
    assert covered(low, high, 0.96) >= 0.93
    assert covered(low, high, 0.96) > covered(plain_low, plain_high, 0.96)


def test_bins_of_a_reliability_curve() -> None:
    """Wilson's over groups of any number of forecasts, none included: 93 of a hundred at least."""
    draw = seed(4)
    for chance in (0.15, 0.45, 0.75):
        sizes = draw.poisson(1.5, size=(STUDIES, 25))
        shift = np.sqrt(0.15) * draw.normal(size=(STUDIES, 25))
        ones = draw.binomial(sizes, norm.cdf((norm.ppf(chance) + shift) / np.sqrt(0.85)))
        held = 0
        for n, k in zip(sizes[:500], ones[:500], strict=True):
            found = wilson(n[n > 0].tolist(), k[n > 0].tolist())
            held += found.low <= norm.cdf(norm.ppf(chance)) <= found.high
        assert held / 500 >= 0.92


@pytest.mark.parametrize("groups, each", SIZES)
def test_rescue_and_harm(groups: int, each: int) -> None:
    """Both over cells of one question and order, two samples each way."""
    draw = seed(5, groups, each)
    alike, shared = (0.1, 0.2), difficulty(draw, groups, each)
    alone = verdicts(draw, groups, each, 0.2, alike, samples=2, shared=shared).mean(axis=4)
    helped = verdicts(draw, groups, each, 0.8, alike, samples=2, shared=shared).mean(axis=4)
    both = norm_both(0.2, 0.8, sum(alike))
    truth = (norm.cdf(0.8) - both) / norm.cdf(-0.2), (norm.cdf(0.2) - both) / norm.cdf(0.2)
    parts = [(1 - alone, (1 - alone) * helped), (alone, alone * (1 - helped))]
    for which, (of, won) in enumerate(parts):
        low, high, plain = share_intervals(won.sum(axis=(2, 3)), of.sum(axis=(2, 3)))
        i = 0
        cells = names(groups, 2 * each)
        found = rescue_and_harm(alone[i].ravel().tolist(), helped[i].ravel().tolist(), cells)[which]
        assert (found.interval.low, found.interval.high) == pytest.approx((low[i], high[i]))
        assert held_or_wide(low, high, truth[which], plain), which


def norm_both(a: float, b: float, alike: float) -> float:
    """P(x < a and y < b), standard normal, correlated by `alike`."""
    from scipy.stats import multivariate_normal

    return float(multivariate_normal(cov=[[1, alike], [alike, 1]]).cdf([a, b]))


# means


@pytest.mark.parametrize("groups, each", SIZES)
@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_paired_differences(groups: int, each: int, gain: float) -> None:
    """Two arms on the same questions, both orders, two samples: repeats averaged first."""
    draw = seed(6, groups, each, gain)
    shared = difficulty(draw, groups, each)
    arms = [
        verdicts(draw, groups, each, d, place=0.3, samples=2, shared=shared).mean(axis=(3, 4))
        for d in (0.3 + gain, 0.3)
    ]
    truth = sum(norm.cdf(0.3 + gain + s) - norm.cdf(0.3 + s) for s in (0.3, -0.3)) / 2
    sums, sizes = per_group(arms[0] - arms[1])
    _, low, high = mean_intervals(sums, sizes)
    for i in LOOKED_AT:
        a, b = (
            [
                Answered(q, name, m, m, m)
                for q, (name, m) in enumerate(zip(names(groups, each), arm[i].ravel().tolist(), strict=True))
            ]
            for arm in arms
        )
        found = difference(a, b).difference
        assert (found.low, found.high) == pytest.approx((low[i], high[i]))
    assert rate(covered(low, high, truth))


@pytest.mark.parametrize("groups, each", [(13, 4), (20, 1), (30, 3), (100, 2)])
@pytest.mark.parametrize("levels", [(0.5, 0.7, 0.95), (0.5, 0.62, 0.85)])
def test_the_gap_recovered(groups: int, each: int, levels: tuple[float, float, float]) -> None:
    """Fieller's interval holds a share exactly if the t interval of (gain − share · gap) holds zero. Where the gap
    itself is not told from none there is no interval; of the studies that have one, 93 to 97 % hold the truth."""
    draw = seed(7, groups, each, levels[1])
    shared = difficulty(draw, groups, each)
    naive, helped, ceiling = (
        verdicts(draw, groups, each, float(norm.ppf(p)), samples=1, shared=shared).mean(axis=(3, 4))
        for p in levels
    )
    truth = (levels[1] - levels[0]) / (levels[2] - levels[0])
    sums, sizes = per_group((helped - naive) - truth * (ceiling - naive))
    _, low, high = mean_intervals(sums, sizes)
    under, _ = per_group(ceiling - naive)
    _, gap_low, _ = mean_intervals(under, sizes)
    told = gap_low > 0
    for i in LOOKED_AT:
        columns = [x[i].ravel().tolist() for x in (naive, helped, ceiling)]
        found = gap_recovered(*columns, names(groups, each)).recovered
        assert (found.value is None) is not bool(told[i])
        if found.low is not None and found.high is not None:
            assert (found.low <= truth <= found.high) is bool(low[i] <= 0 <= high[i])
            for end in (found.low, found.high):  # at either end the t interval just touches zero
                at = (helped - naive)[i : i + 1] - end * (ceiling - naive)[i : i + 1]
                _, a, b = mean_intervals(*per_group(at))
                assert min(abs(float(a[0])), abs(float(b[0]))) < 1e-9
    assert rate(covered(low[told], high[told], 0.0))


@pytest.mark.parametrize("groups, each", [(13, 4), (16, 3), (60, 1), (50, 4), (128, 1)])
@pytest.mark.parametrize("place", [0.0, 0.5])
def test_flips_between_orders_and_between_repeats(groups: int, each: int, place: float) -> None:
    draw = seed(8, groups, each, place)
    alike = 0.3
    right = verdicts(draw, groups, each, 0.5, place=place, samples=3)
    k = right.sum(axis=4)
    first, other = k[..., 0], k[..., 1]
    swapped = 1 - (first * other + (3 - first) * (3 - other)) / 9
    within = [1 - (c * (c - 1) + (3 - c) * (2 - c)) / 6 for c in (first, other)]
    repeated = (within[0] + within[1]) / 2

    def over(of: Any) -> float:
        def weighed(z: float) -> float:
            p, q = (norm.cdf((0.5 + s + z) / math.sqrt(1 - alike)) for s in (place, -place))
            return float(of(p, q) * norm.pdf(z, 0, math.sqrt(alike)))

        return float(quad(weighed, -4, 4)[0])

    truths = (
        over(lambda p, q: p * (1 - q) + q * (1 - p)),
        over(lambda p, q: p * (1 - p) + q * (1 - q)),
        over(lambda p, q: (p - q) ** 2),
    )
    intervals = [mean_intervals(*per_group(v)) for v in (swapped, repeated, swapped - repeated)]
    cells = []
    for q in range(groups * each):
        g, j = divmod(q, each)
        for o, order in enumerate(((0, 1), (1, 0))):
            n = int(k[0, g, j, o])
            cells.append(Cell(q, f"g{g}", None, order, {a: m for a, m in ((0, n), (1, 3 - n)) if m}))
    shown, *told = position_bias(cells)
    for found, (_, low, high) in zip(told, intervals, strict=True):
        assert (found.low, found.high) == pytest.approx((low[0], high[0]))
    least = (
        0.93,
        0.93,
        0.92,
    )  # without a bias, net flips of few questions are skewed, and half are marked as such
    for truth, (_, low, high), share in zip(truths, intervals, least, strict=True):
        assert share <= covered(low, high, truth) <= 0.97
    ones = (k[..., 0] + 3 - k[..., 1]).sum(axis=2)
    low, high, plain = share_intervals(ones, np.full_like(ones, 6 * each))
    assert (shown.interval.low, shown.interval.high) == pytest.approx((low[0], high[0]))
    assert held_or_wide(low, high, over(lambda p, q: (p + 1 - q) / 2), plain)


def stated(d: float, alike: tuple[float, float], draw: Any, groups: int, each: int) -> Any:
    """Log-odds of the right answer, of a calibrated judge: (studies, groups, questions, 2 orders)."""
    of_group, of_question = difficulty(draw, groups, each)
    new = np.sqrt(1 - sum(alike)) * draw.normal(size=(STUDIES, groups, each, 2))
    return 2 * d * (d + np.sqrt(alike[0]) * of_group[..., 0] + np.sqrt(alike[1]) * of_question[..., 0] + new)


def mean_score(of: Any, d: float) -> float:
    """E of(p(right)) of a calibrated judge."""
    return float(quad(lambda z: of(1 / (1 + math.exp(-2 * d * (d + z)))) * norm.pdf(z), -9, 9)[0])


@pytest.mark.parametrize("groups, each", [(13, 4), (30, 2), (50, 4), (128, 1)])
def test_scores_and_what_an_agent_gains_by_the_truth(groups: int, each: int) -> None:
    d = float(norm.ppf(0.65))
    odds = stated(d, (0.1, 0.3), seed(9, groups, each), groups, each)
    p = 1 / (1 + np.exp(-odds))
    rows = [
        (q, f"g{q // each}", float(x))
        for q in range(groups * each)
        for x in p[0].reshape(groups * each, 2)[q]
    ]
    judged = calibration([Judged(g, (0, 1), 0, (x, 1 - x)) for _, g, x in rows])
    gained = agent_score_difference([Forecast(q, g, None, 0, (x, 1 - x)) for q, g, x in rows], "brier")
    for found, of in (
        (judged.brier, lambda x: 2 * (1 - x) ** 2),
        (judged.log_loss, lambda x: -np.log(np.maximum(x, 0.01))),
        (gained, lambda x: 4 * x - 2),
    ):
        _, low, high = mean_intervals(*per_group(of(p)))
        assert (found.low, found.high) == pytest.approx((low[0], high[0]))
        assert rate(covered(low, high, mean_score(of, d)))


def test_where_scores_are_skewed_the_interval_says_so() -> None:
    """A judge that is nearly always sure and right: a few large losses decide, and most samples lack them. There the
    interval holds the truth too seldom, and three in four are marked; of an even-handed judge hardly any is."""
    for accuracy, marks in ((0.9, True), (0.6, False)):
        d = float(norm.ppf(accuracy))
        odds = stated(d, (0.0, 0.0), seed(10, accuracy), 40, 1)[..., :1]
        losses = 2 * (1 - 1 / (1 + np.exp(-odds))) ** 2
        _, low, high = mean_intervals(*per_group(losses))
        truth = mean_score(lambda x: 2 * (1 - x) ** 2, d)
        assert (covered(low, high, truth) < 0.92) is marks
        cautions = [mean_of(losses[i].ravel().tolist(), range(40)).caution for i in range(0, STUDIES, 20)]
        marked = sum(c is not None and "skewed" in c for c in cautions) / len(cautions)
        assert marked > 0.75 if marks else marked < 0.1


@pytest.mark.parametrize("groups, each", [(13, 4), (30, 2), (100, 1)])
def test_belief_movement_of_a_bayesian_judge(groups: int, each: int) -> None:
    """Signals that are right with 0.7, five of them, alike within a group by a shared share of the noise."""
    draw = seed(11, groups, each)
    weight = math.log(0.7 / 0.3)
    says = draw.random((STUDIES, groups, each, 4)) < 0.7
    odds = weight * np.concatenate([np.zeros((*says.shape[:3], 1)), np.cumsum(2 * says - 1, axis=3)], axis=3)
    p = 1 / (1 + np.exp(-odds))
    moved = (2 * np.diff(p, axis=3) ** 2).sum(axis=3)
    reduced = 2 * p[..., 0] * (1 - p[..., 0]) - 2 * p[..., -1] * (1 - p[..., -1])
    step = np.log(np.maximum(p[..., 1], 0.01)) - np.log(p[..., 0])
    first = 0.7 * math.log(1.4) + 0.3 * math.log(0.6)
    enumerated = sum(
        math.comb(4, k) * 0.7**k * 0.3 ** (4 - k) * (0.5 - 2 * x * (1 - x))
        for k in range(5)
        for x in [1 / (1 + math.exp(-weight * (2 * k - 4)))]
    )
    paths = [
        Path(f"g{g}", 0, tuple((float(x), 1 - float(x)) for x in p[0, g, j]))
        for g in range(groups)
        for j in range(each)
    ]
    of = belief_movement(paths)
    for found, values, truth in (
        (of.excess, moved - reduced, 0.0),
        (of.movement, moved, enumerated),
        (of.reduction, reduced, enumerated),
        (of.steps[0].change, step, first),
    ):
        _, low, high = mean_intervals(*per_group(values))
        assert (found.low, found.high) == pytest.approx((low[0], high[0]))
        assert 0.925 <= covered(low, high, truth) <= 0.97


def test_what_the_judge_knew_is_accuracys_interval_less_chance() -> None:
    draw = seed(12)
    for _ in range(20):
        answers = draw.choice([2, 4], size=(20, 4))
        sizes, ones, guessed = np.full(20, 4), draw.binomial(4, 0.8, size=20), (1 / answers).sum(axis=1)
        found, plain = beyond_chance(sizes, ones, guessed), interval(sizes, ones)
        chance = float(np.mean(1 / answers))
        assert found.value == pytest.approx(ones.sum() / 80 - chance)
        assert (found.low, found.high) == pytest.approx((plain.low - chance, plain.high - chance))
    always = beyond_chance(np.ones(20), np.ones(20), np.full(20, 0.5))
    assert always.value == 0.5 and always.low is not None and 0.3 < always.low < 0.5
    alone = beyond_chance(np.ones(1), np.ones(1), np.full(1, 0.5))
    assert alone.low is None and alone.reason == "one group only: its spread cannot be told"


# regressions


@pytest.mark.parametrize("groups, each", [(13, 8), (30, 4), (50, 4)])
@pytest.mark.parametrize("slope, intercept", [(1.0, 0.0), (0.5, 0.4)])
def test_calibrations_slope_and_intercept(groups: int, each: int, slope: float, intercept: float) -> None:
    draw = seed(13, groups, each, slope)
    n = groups * each
    place = np.repeat(np.arange(groups), each)
    logit = draw.normal(0, 1.2, size=(STUDIES, n))
    noise = np.sqrt(0.2) * draw.normal(size=(STUDIES, groups))[:, place] + np.sqrt(0.8) * draw.normal(
        size=(STUDIES, n)
    )
    right = norm.cdf(noise) < 1 / (1 + np.exp(-(intercept + slope * logit)))  # alike in a group
    x = np.stack([np.ones_like(logit), logit], axis=2)
    beta, half = logistic_intervals(x, right.astype(float), place)
    p = 1 / (1 + np.exp(-logit))
    for i in (0, 1000):
        told = slope_and_intercept(
            [(float(q), bool(r), f"g{g:03}") for q, r, g in zip(p[i], right[i], place, strict=True)]
        )[::-1]
        for found, b, h in zip(told, beta[i], half[i], strict=True):
            assert (found.low, found.high) == pytest.approx((b - h, b + h), rel=1e-4)
    for column, truth in enumerate((intercept, slope)):
        share = covered(beta[:, column] - half[:, column], beta[:, column] + half[:, column], truth)
        assert 0.93 <= share <= 0.975


@pytest.mark.parametrize("groups, matches", [(16, 96), (40, 200)])
def test_strengths_and_their_terms(groups: int, matches: int) -> None:
    """Three players, truth, place and length; verdicts of a group alike."""
    draw = seed(14, groups)
    strengths, terms = np.array([0.5, 0.1, -0.6]), np.array([0.8, 0.3, 0.4])
    place = np.arange(matches) % groups
    one = draw.integers(0, 3, size=(STUDIES, matches))
    other = (one + draw.integers(1, 3, size=(STUDIES, matches))) % 3
    right = draw.random((STUDIES, matches)) < 0.5
    longer = draw.normal(0, 0.7, size=(STUDIES, matches))
    players = [(one == k).astype(float) - (other == k) for k in (1, 2)]
    x = np.stack([*players, right - 0.5, np.ones_like(longer), longer], axis=2)
    true = np.concatenate([strengths[1:] - strengths[0], terms])
    noise = np.sqrt(0.2) * draw.normal(size=(STUDIES, groups))[:, place] + np.sqrt(0.8) * draw.normal(
        size=longer.shape
    )
    won = norm.cdf(noise) < 1 / (1 + np.exp(-x @ true))
    beta, half = logistic_intervals(x, won.astype(float), place)
    points = 400 / math.log(10)
    told = debater_strength(
        [
            Match("abc"[a], "abc"[b], bool(w), bool(r), f"g{g:03}", float(v))
            for a, b, w, r, g, v in zip(one[0], other[0], won[0], right[0], place, longer[0], strict=True)
        ]
    )
    for column, name in ((2, "right"), (3, "first"), (4, "longer")):
        found = getattr(told, name)
        ends = (beta[0, column] - half[0, column]) * points, (beta[0, column] + half[0, column]) * points
        assert (found.low, found.high) == pytest.approx(ends, rel=1e-4)
    finite = np.abs(beta).max(axis=1) < 8
    assert finite.mean() > 0.99
    for column, truth in enumerate(true):
        low, high = beta[:, column] - half[:, column], beta[:, column] + half[:, column]
        assert 0.93 <= covered(low[finite], high[finite], truth) <= 0.975, column
