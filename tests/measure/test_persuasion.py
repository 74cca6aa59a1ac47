"""Rates: rescue and harm against enumeration of pairs, their coverage, and where there is nothing to count."""

from __future__ import annotations

import numpy as np
import pytest

from oversight.measure.persuasion import rate, rescue_and_harm


def test_rescue_and_harm_count_what_was_turned():
    alone, helped = [0, 0, 0, 1, 1], [1, 1, 0, 0, 1]
    rescue, harm = rescue_and_harm(alone, helped, list("abcde"))
    assert (rescue.share, rescue.of) == (pytest.approx(2 / 3), 3)
    assert (harm.share, harm.of) == (pytest.approx(1 / 2), 2)


def test_repeats_are_every_pair_of_repeats():
    alone, helped = [[1, 0], [0, 0]], [[1, 1], [1, 0]]
    pairs = [(a, h) for x, y in zip(alone, helped, strict=True) for a in x for h in y]
    wrong = [h for a, h in pairs if not a]
    rescue, _ = rescue_and_harm([np.mean(x) for x in alone], [np.mean(x) for x in helped], ["a", "b"])
    assert rescue.share == pytest.approx(np.mean(wrong))


def test_a_judge_that_is_always_right_alone_has_nothing_to_be_rescued_from():
    rescue, harm = rescue_and_harm([1, 1, 1], [1, 0, 1], ["a", "b", "c"])
    assert rescue.share is None and rescue.interval.reason == "there were none"
    assert harm.share == pytest.approx(1 / 3)


def test_swapped_labels_swap_rescue_and_harm():
    draw = np.random.default_rng(1)
    alone, helped = draw.random(30).tolist(), draw.random(30).tolist()
    groups = [f"g{i % 11}" for i in range(30)]
    rescue, harm = rescue_and_harm(alone, helped, groups)
    swapped = rescue_and_harm([1 - a for a in alone], [1 - h for h in helped], groups)
    assert (swapped[1].share, swapped[0].share) == pytest.approx((rescue.share, harm.share))
    assert swapped[1].interval.low == pytest.approx(rescue.interval.low)


def test_all_and_none_have_wilsons_interval():
    everyone = rate([(f"g{i}", 2, 2) for i in range(12)])
    assert everyone.share == 1 and everyone.interval.method == "wilson" and everyone.interval.low < 0.9
    assert rate([]).share is None
