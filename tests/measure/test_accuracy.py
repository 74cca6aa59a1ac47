"""Accuracy and its interval, against arithmetic by hand, libraries and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from oversight.measure.accuracy import interval, of_groups, of_strata


def by_hand(decided, right):
    """Miller 2024 with the correction groups / (groups − 1), and the t interval."""
    n, groups = sum(decided), len(decided)
    mean = sum(right) / n
    residuals = [k - m * mean for m, k in zip(decided, right, strict=True)]
    error = math.sqrt(groups / (groups - 1) * sum(r * r for r in residuals)) / n
    half = t.ppf(0.975, groups - 1) * error
    return mean - half, mean + half


@pytest.mark.parametrize("seed", range(5))
def test_the_clustered_interval_equals_arithmetic_by_hand(seed):
    draw = np.random.default_rng(seed)
    decided = draw.integers(1, 9, size=30)
    right = draw.binomial(decided, 0.6)
    found = interval(decided.tolist(), right.tolist())
    assert found.method == "t"
    assert (found.low, found.high) == pytest.approx(by_hand(decided.tolist(), right.tolist()))


def test_groups_of_one_give_the_plain_t_interval():
    values = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1] * 3
    found = interval([1] * 36, values)
    low, high = t.interval(0.95, 35, np.mean(values), np.std(values, ddof=1) / math.sqrt(36))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_equal_repeats_of_a_question_add_nothing():
    once = interval([1] * 20, [1, 0] * 10)
    often = interval([6] * 20, [6, 0] * 10)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_all_right_is_wilson_over_groups_and_never_one_to_one():
    found = interval([4] * 12, [4] * 12)
    assert found.method == "wilson"
    assert (found.low, found.high) == pytest.approx(proportion_confint(12, 12, method="wilson"))
    none = interval([4] * 12, [0] * 12)
    assert (none.low, none.high) == pytest.approx(proportion_confint(0, 12, method="wilson"))


def test_groups_that_do_not_differ_are_wilson_over_groups():
    found = interval([2] * 12, [1] * 12)  # a consultant who is always believed
    assert found.method == "wilson"
    assert (found.low, found.high) == pytest.approx(proportion_confint(6, 12, method="wilson"))


def test_near_one_it_switches_and_stays_inside():
    found = interval([1] * 20, [1] * 19 + [0])
    assert found.method == "wilson"
    assert 0 < found.low < 0.95 < found.high < 1


@pytest.mark.parametrize(
    "decided, right, reason",
    [([], [], "no verdict"), ([0], [0], "no verdict"), ([1], [1], "one group"), ([9], [4], "one group")],
)
def test_where_nothing_can_be_said_there_is_a_reason(decided, right, reason):
    found = interval(decided, right)
    assert (found.low, found.high, found.method) == (None, None, None)
    assert reason in found.reason


def test_order_and_swapped_labels_change_nothing():
    decided, right = [3, 1, 4, 2, 5, 3], [1, 1, 3, 0, 4, 2]
    found = interval(decided, right)
    shuffled = interval(decided[::-1], right[::-1])
    swapped = interval(decided, [n - k for n, k in zip(decided, right, strict=True)])
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high))
    assert (1 - swapped.high, 1 - swapped.low) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("accuracy, groups, each", [(0.6, 50, 8), (0.75, 40, 4), (0.5, 100, 2)])
def test_coverage(accuracy, groups, each):
    """2,000 studies: groups differ (beta, correlation 0.2) and the truth lies inside 93 to 97 % of the time.

    The interval is the t branch written with numpy, which the tests above hold to be the same.
    """
    draw = np.random.default_rng(7)
    spread = 1 / 0.2 - 1
    chances = draw.beta(accuracy * spread, (1 - accuracy) * spread, size=(2000, groups))
    right = draw.binomial(each, chances)
    mean = right.sum(axis=1) / (groups * each)
    residuals = right - each * mean[:, None]
    error = np.sqrt(groups / (groups - 1) * (residuals**2).sum(axis=1)) / (groups * each)
    half = t.ppf(0.975, groups - 1) * error
    for i in range(0, 2000, 400):
        found = interval([each] * groups, right[i].tolist())
        assert (found.low, found.high) == pytest.approx((mean[i] - half[i], mean[i] + half[i]))
    covered = np.mean(np.abs(mean - accuracy) <= half)
    assert 0.93 <= covered <= 0.97


def sides(draw, right, wrong, groups, each, spread=0.0):
    """Rows of a consultancy: (argued_right, decided, right, group)."""
    rows = []
    for g in range(groups):
        for side, p in ((True, right), (False, wrong)):
            chance = draw.beta(p / spread, (1 - p) / spread) if spread else p
            rows.append((side, each, int(draw.binomial(each, chance)), f"g{g}"))
    return rows


def test_a_consultant_who_is_always_believed_has_the_sides_own_limits():
    rows = [(side, 4, 4 if side else 0, f"g{g}") for g in range(13) for side in (True, False)]
    found = of_strata(rows)
    low = proportion_confint(13, 13, method="wilson")[0]
    assert (found.low, found.high) == pytest.approx((low / 2, 0.5 + (1 - low) / 2))
    wide = of_groups([(g, n, k) for _, n, k, g in rows])
    assert found.high - found.low < 0.5 * (wide.high - wide.low)


def test_both_sides_always_right_is_as_wide_as_one():
    rows = [(side, 2, 2, f"g{g}") for g in range(12) for side in (True, False)]
    found = of_strata(rows)
    assert (found.low, found.high) == pytest.approx(proportion_confint(12, 12, method="wilson"))


def test_without_sides_or_with_spread_it_is_the_interval_of_the_groups():
    draw = np.random.default_rng(2)
    rows = sides(draw, 0.9, 0.4, 20, 3)
    assert of_strata(rows) == of_groups([(g, n, k) for _, n, k, g in rows])
    alone = [(None, n, k, g) for _, n, k, g in rows]
    assert of_strata(alone) == of_groups([(g, n, k) for _, n, k, g in alone])


@pytest.mark.parametrize("right, wrong, spread", [(0.9, 0.4, 0.25), (0.95, 0.3, 0.1), (0.8, 0.6, 0.0)])
def test_coverage_of_the_consultancy(right, wrong, spread):
    """2,000 consultancies of 40 groups, two questions each: 93 to 97 % hold the mean of the sides."""
    draw = np.random.default_rng(3)
    covered = 0
    for _ in range(2000):
        found = of_strata(sides(draw, right, wrong, 40, 2, spread))
        covered += found.low <= (right + wrong) / 2 <= found.high
    assert 0.93 <= covered / 2000 <= 0.97


def test_coverage_where_the_consultant_is_nearly_always_believed():
    """Outside that regime it errs on the wide side."""
    draw = np.random.default_rng(4)
    covered = 0
    for _ in range(500):
        found = of_strata(sides(draw, 0.99, 0.01, 24, 2))
        covered += found.low <= 0.5 <= found.high
    assert covered / 500 >= 0.95
