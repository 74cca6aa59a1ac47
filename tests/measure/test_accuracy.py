"""Accuracy and its interval, against arithmetic by hand, libraries and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from oversight.measure.accuracy import interval


def by_hand(decided, right):
    """Miller 2024 eq. 4 with the correction groups / (groups − 1), and the t interval."""
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
    values = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1]
    found = interval([1] * 12, values)
    low, high = t.interval(0.95, 11, np.mean(values), np.std(values, ddof=1) / math.sqrt(12))
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
