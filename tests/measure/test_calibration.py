"""Calibration, against scikit-learn and statsmodels, by identity, and for judges of known calibration."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from oversight.measure.calibration import Judged, calibration, decomposition, reliability, slope_and_intercept


def logit(p):
    return np.log(p / (1 - p))


def expit(x):
    return 1 / (1 + np.exp(-x))


def forecasts(draw, n=400, groups=40, slope=1.0, intercept=0.0):
    """Probabilities whose answers are right with log-odds intercept + slope · logit p."""
    p = expit(draw.normal(0, 1.2, size=n))
    right = draw.random(n) < expit(intercept + slope * logit(p))
    return [(float(q), bool(r), f"g{i % groups}") for i, (q, r) in enumerate(zip(p, right, strict=True))]


def test_brier_and_log_loss_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(1)
    p, label = 0.02 + 0.96 * draw.random(80), draw.integers(0, 2, size=80)
    rows = [
        Judged(f"g{i % 9}", (0, 1), int(j), (q, 1 - q)) for i, (q, j) in enumerate(zip(p, label, strict=True))
    ]
    found = calibration(rows)
    assert found.brier.value == pytest.approx(2 * metrics.brier_score_loss(label == 0, p))
    assert found.log_loss.value == pytest.approx(metrics.log_loss(label == 0, p))
    assert found.clipped == 0 and found.decomposition.brier == pytest.approx(found.brier.value / 2)


def test_the_curve_is_scikit_learns():
    theirs = pytest.importorskip("sklearn.calibration")
    rows = forecasts(np.random.default_rng(2))
    right, mean = theirs.calibration_curve([r for _, r, _ in rows], [p for p, *_ in rows], n_bins=10)
    curve = reliability(rows)
    assert [b.right for b in curve] == pytest.approx(right) and [b.forecast for b in curve] == pytest.approx(
        mean
    )
    assert all(b.interval.low <= b.right <= b.interval.high for b in curve if b.interval.low is not None)
    assert {b.interval.method for b in curve} <= {"wilson", None}


def test_murphys_parts_sum_to_the_brier_score():
    rows = forecasts(np.random.default_rng(3), slope=0.5)
    d = decomposition(rows, reliability(rows))
    assert d.reliability - d.resolution + d.uncertainty + d.within == pytest.approx(d.brier)
    coarse = [(round(p, 1), r, g) for p, r, g in rows]
    exact = decomposition(coarse, reliability(coarse, bins=1000))
    assert exact.within == pytest.approx(0, abs=1e-12)  # one value a bin: Murphy's identity without remainder


def test_slope_and_intercept_are_statsmodels_logit_with_clustered_errors():
    rows = forecasts(np.random.default_rng(4), slope=0.7, intercept=0.3)
    x = sm.add_constant(logit(np.clip([p for p, *_ in rows], 0.01, 0.99)))
    groups = np.unique([g for *_, g in rows], return_inverse=True)[1]
    fit = sm.Logit(np.array([r for _, r, _ in rows], dtype=float), x).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups}
    )
    slope, intercept = slope_and_intercept(rows)
    assert (intercept.value, slope.value) == pytest.approx(tuple(fit.params), rel=1e-6)
    assert (intercept.error, slope.error) == pytest.approx(tuple(fit.bse), rel=1e-5)


def test_an_overconfident_judge_has_a_slope_below_one_and_worse_reliability():
    calm, loud = (
        forecasts(np.random.default_rng(5), 3000),
        forecasts(np.random.default_rng(5), 3000, slope=0.4),
    )
    assert slope_and_intercept(calm)[0].low < 1 < slope_and_intercept(calm)[0].high
    assert slope_and_intercept(loud)[0].high < 1
    parts = [decomposition(rows, reliability(rows)).reliability for rows in (calm, loud)]
    assert parts[1] > 5 * parts[0]


def test_swapped_answers_turn_the_intercept_and_keep_the_slope():
    rows = forecasts(np.random.default_rng(6), intercept=0.4)
    turned = [(1 - p, not r, g) for p, r, g in rows]
    (slope, intercept), (slope2, intercept2) = slope_and_intercept(rows), slope_and_intercept(turned)
    assert (slope2.value, intercept2.value) == pytest.approx((slope.value, -intercept.value), rel=1e-6)
    again = slope_and_intercept(rows[::-1])[0]
    assert again.value == pytest.approx(slope.value, rel=1e-9)


@pytest.mark.parametrize(
    "rows, reason",
    [
        ([], "no verdict has probabilities"),
        ([(0.7, True, "a"), (0.3, False, "a")], "one group"),
        ([(0.7, True, "a"), (0.7, False, "b")], "all forecasts are equal"),
        ([(0.7, True, "a"), (0.6, True, "b")], "all outcomes are equal"),
        ([(0.7, True, "a"), (0.3, False, "b"), (0.8, True, "c")], "without error"),
    ],
)
def test_where_there_is_no_slope_there_is_a_reason(rows, reason):
    slope, intercept = slope_and_intercept(rows)
    assert slope.value is None and reason in slope.reason and intercept.reason == slope.reason


def test_nothing_at_all_is_no_crash():
    found = calibration([])
    assert (found.verdicts, found.brier.value, found.decomposition, found.curve) == (0, None, None, ())


def test_four_answers_give_three_forecasts_each():
    rows = [Judged(f"g{i}", (3, 1, 0, 2), i % 4, (0.1, 0.2, 0.3, 0.4)) for i in range(8)]
    assert sum(b.n for b in calibration(rows).curve) == 24
