"""Belief movement: by hand, and zero in excess for a Bayesian judge but not for others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oversight.measure.belief import Path, belief_movement


def test_movement_and_reduction_by_hand():
    found = belief_movement([Path("a", 0, ((0.5, 0.5), (0.8, 0.2), (0.6, 0.4)))])
    assert found.movement.value == pytest.approx(2 * 0.3**2 + 2 * 0.2**2)
    assert found.reduction.value == pytest.approx(2 * (0.25 - 0.24))
    assert found.excess.value == pytest.approx(found.movement.value - found.reduction.value)


def judges(draw, sharpness, n=3000, rounds=4, accuracy=0.7):
    """Beliefs after signals that are right with `accuracy`; a Bayesian counts each for its log-odds (sharpness 1)."""
    paths = []
    weight = sharpness * math.log(accuracy / (1 - accuracy))
    for i in range(n):
        label = int(draw.integers(0, 2))
        odds, beliefs = 0.0, [(0.5, 0.5)]
        for _ in range(rounds):
            says = label if draw.random() < accuracy else 1 - label
            odds += weight if says == 0 else -weight
            p = 1 / (1 + math.exp(-odds))
            beliefs.append((p, 1 - p))
        paths.append(Path(f"g{i}", label, tuple(beliefs)))
    return belief_movement(paths)


def test_a_bayesian_judge_has_no_excess_movement_and_others_have():
    draw = np.random.default_rng(1)
    assert judges(draw, 1.0).excess.touches_zero
    assert judges(draw, 2.0).excess.low > 0  # overreacts
    assert judges(draw, 0.4).excess.high < 0  # hardly moves


def test_each_step_is_the_mean_change_of_log_p_right():
    paths = [Path("a", 0, ((0.5, 0.5), (0.8, 0.2))), Path("b", 1, ((0.4, 0.6), (0.7, 0.3), (0.2, 0.8)))]
    found = belief_movement(paths)
    assert [s.number for s in found.steps] == [1, 2]
    assert found.steps[0].change.value == pytest.approx((math.log(0.8 / 0.5) + math.log(0.3 / 0.6)) / 2)
    assert found.steps[1].change.reason and found.steps[1].change.value == pytest.approx(math.log(0.8 / 0.3))


def test_nothing_asked_twice_is_no_crash():
    found = belief_movement([])
    assert found.paths == 0 and found.excess.value is None and found.excess.reason
