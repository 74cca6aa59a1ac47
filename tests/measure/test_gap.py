"""Gap recovered: the ratio, where it is undefined, and the bootstrap's coverage."""

from __future__ import annotations

import numpy as np
import pytest

from oversight.measure.gap import gap_recovered


def study(draw, groups=40, each=4, chances=(0.5, 0.7, 0.9)):
    k = 1 / 0.15 - 1
    cluster = np.repeat(np.arange(groups), each)
    columns = [
        (draw.random(len(cluster)) < draw.beta(p * k, (1 - p) * k, size=groups)[cluster])
        .astype(float)
        .tolist()
        for p in chances
    ]
    return (*columns, [f"g{c}" for c in cluster])


def test_it_is_the_ratio_of_the_two_gains():
    naive, protocol, ceiling, groups = study(np.random.default_rng(1))
    found = gap_recovered(naive, protocol, ceiling, groups)
    n, p, c = (float(np.mean(x)) for x in (naive, protocol, ceiling))
    assert found.recovered.value == pytest.approx((p - n) / (c - n))
    assert (found.naive, found.protocol, found.ceiling) == pytest.approx((n, p, c))
    assert found.recovered.low < found.recovered.value < found.recovered.high


def test_the_order_of_rows_changes_nothing():
    rows = list(zip(*study(np.random.default_rng(4)), strict=True))
    first = gap_recovered(*map(list, zip(*rows, strict=True)))
    again = gap_recovered(*map(list, zip(*rows[::-1], strict=True)))
    assert again.recovered == first.recovered


def test_a_gap_that_touches_zero_leaves_it_undefined():
    naive, protocol, _, groups = study(np.random.default_rng(2))
    found = gap_recovered(
        naive, protocol, study(np.random.default_rng(3), chances=(0.5, 0.5, 0.5))[2], groups
    )
    assert found.gap.touches_zero
    assert found.recovered.value is None and "touches zero" in found.recovered.reason


def test_a_ceiling_below_the_floor_leaves_it_undefined():
    ceiling, protocol, naive, groups = study(np.random.default_rng(2))
    assert (
        gap_recovered(naive, protocol, ceiling, groups).recovered.reason == "the ceiling is below the floor"
    )


@pytest.mark.parametrize(
    "columns, reason",
    [
        (([], [], [], []), "no question"),
        (([0.0], [1.0], [1.0], ["a"]), "one group"),
        (([0.0, 0.0], [0.5, 0.5], [1.0, 1.0], ["a", "b"]), "no spread"),
    ],
)
def test_where_nothing_can_be_told_there_is_a_reason(columns, reason):
    found = gap_recovered(*columns)
    assert found.recovered.low is None and reason in found.recovered.reason


def test_coverage():
    """2,000 studies of 40 groups of four whose gap (0.4) is well above zero: 93 to 97 % hold the true half."""
    draw = np.random.default_rng(17)
    covered = 0
    for _ in range(2000):
        found = gap_recovered(*study(draw)).recovered
        covered += found.low <= 0.5 <= found.high
    assert 0.93 <= covered / 2000 <= 0.97
