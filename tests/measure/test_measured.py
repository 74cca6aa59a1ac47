"""The clustered mean under every measure: against others' formulas, by simulation, and where there is nothing."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import t

from oversight.measure.measured import mean_of


def inspects_stderr(values, clusters):
    """Inspect AI's clustered stderr, written anew from Miller 2024 with the correction G / (G − 1)."""
    values, clusters = np.asarray(values), np.asarray(clusters)
    mean, total = values.mean(), 0.0
    for cluster in np.unique(clusters):
        part = values[clusters == cluster] - mean
        total += np.outer(part, part).sum()
    g = len(np.unique(clusters))
    return math.sqrt(total * g / (g - 1)) / len(values)


@pytest.mark.parametrize("seed", range(4))
def test_the_error_is_inspects_clustered_stderr_and_statsmodels(seed):
    draw = np.random.default_rng(seed)
    groups = draw.integers(0, 12, size=80)
    values = draw.normal(size=80) + draw.normal(size=12)[groups]
    found = mean_of(values.tolist(), groups.tolist())
    assert found.value == pytest.approx(values.mean(), abs=1e-14)
    assert found.error == pytest.approx(inspects_stderr(values, groups), rel=1e-12)
    fit = sm.OLS(values, np.ones(80)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}, use_t=True
    )
    # statsmodels' further (n − 1) / (n − 1) is 1 for a mean; its degrees of freedom are groups − 1 as well
    assert found.error == pytest.approx(fit.bse[0], rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-12)


def test_weights_are_as_if_rows_came_so_often():
    values, groups, weights = [0.0, 1.0, 0.5, 0.2, 0.9], ["a", "a", "b", "c", "c"], [1, 3, 2, 1, 2]
    often = [(v, g) for v, g, w in zip(values, groups, weights, strict=True) for _ in range(w)]
    found = mean_of(values, groups, weights)
    expected = mean_of([v for v, _ in often], [g for _, g in often])
    assert (found.value, found.error) == pytest.approx((expected.value, expected.error))


def test_the_order_of_rows_changes_no_digit():
    draw = random.Random(3)
    rows = [(draw.gauss(0, 1), draw.randrange(7)) for _ in range(200)]
    first = mean_of([v for v, _ in rows], [g for _, g in rows])
    for _ in range(5):
        draw.shuffle(rows)
        assert mean_of([v for v, _ in rows], [g for _, g in rows]) == first


@pytest.mark.parametrize(
    "values, groups, value, reason",
    [
        ([], [], None, "nothing to average"),
        ([0.3], ["a"], 0.3, "one group"),
        ([0.3, 0.5], ["a", "a"], 0.4, "one group"),
        ([1.0, 1.0, 1.0], ["a", "b", "c"], 1.0, "no spread"),
        ([0.0, 1.0, 0.0, 1.0], ["a", "a", "b", "b"], 0.5, "no spread"),
    ],
)
def test_where_the_spread_cannot_be_told_there_is_a_reason_and_no_interval(values, groups, value, reason):
    found = mean_of(values, groups)
    assert found.value == (None if value is None else pytest.approx(value))
    assert (found.error, found.low, found.high, found.touches_zero) == (None, None, None, None)
    assert reason in found.reason


def test_few_groups_are_cautioned():
    assert mean_of([0.1, 0.4, 0.2], "abc").caution and mean_of(range(10), range(10)).caution is None


@pytest.mark.parametrize(
    "groups, each, skew", [(20, 4, False), (50, 8, False), (100, 1, False), (40, 3, True)]
)
def test_coverage_of_differences(groups, each, skew):
    """2,000 studies of paired differences of 0-1 verdicts, correlated within groups (0.2); with `skew`, groups of
    1 to 9 questions. In this regime (20 groups or more) 93 to 97 % of intervals hold the truth."""
    draw = np.random.default_rng(11)
    k = 1 / 0.2 - 1
    sizes = np.full(groups, each) if not skew else 1 + np.arange(groups) % 9
    cluster = np.repeat(np.arange(groups), sizes)
    covered = 0
    for _ in range(2000):
        a, b = (draw.beta(p * k, (1 - p) * k, size=groups)[cluster] for p in (0.75, 0.6))
        d = (draw.random(len(cluster)) < a).astype(float) - (draw.random(len(cluster)) < b)
        found = mean_of(d.tolist(), cluster.tolist())
        covered += found.low <= 0.15 <= found.high
    assert 0.93 <= covered / 2000 <= 0.97


def test_the_t_quantile_has_groups_less_one_degrees_of_freedom():
    found = mean_of([0.0, 1.0, 3.0], "abc")
    assert (found.high - found.value) / found.error == pytest.approx(t.ppf(0.975, 2))
