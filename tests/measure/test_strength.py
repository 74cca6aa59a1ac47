"""Bradley–Terry, against choix and statsmodels, known strengths, and designs that have no answer."""

from __future__ import annotations

import itertools
import math
import random

import choix
import numpy as np
import pytest

from oversight.measure.logistic import separated
from oversight.measure.strength import Match, debater_strength, player_names

POINTS = 400 / math.log(10)


def tournament(draw, strengths, n=40, truth=0.0, first=0.0, groups=60):
    """Every ordered pair `n` times; the side that is right alternates at random."""
    matches = []
    for a, b in itertools.permutations(strengths, 2):
        for _ in range(n):
            right = bool(draw.random() < 0.5)
            odds = strengths[a] - strengths[b] + first + (truth / 2 if right else -truth / 2)
            won = bool(draw.random() < 1 / (1 + math.exp(-odds)))
            matches.append(Match(a, b, won, right, f"g{draw.integers(groups)}"))
    return matches


def test_without_terms_it_is_choixs_maximum_likelihood():
    """Mirrored matches leave the terms for truth and place at exactly zero, so that strengths alone are fitted."""
    draw = np.random.default_rng(1)
    once = tournament(draw, {"a": 0.5, "b": 0.0, "c": -0.6}, n=15)
    mirrored = [m for m in once for _ in (0,)] + [
        Match(m.second, m.first, not m.won, m.right, m.group) for m in once
    ]
    mirrored += [Match(m.first, m.second, m.won, not m.right, m.group) for m in mirrored]
    found = debater_strength(mirrored)
    at = {"a": 0, "b": 1, "c": 2}
    wins = [(at[m.first], at[m.second]) if m.won else (at[m.second], at[m.first]) for m in mirrored]
    theta = choix.ilsr_pairwise(3, wins, alpha=0)
    assert [r.elo.value / POINTS for r in found.ratings] == pytest.approx(
        (theta - theta.mean()).tolist(), abs=1e-5
    )
    assert found.right.value == pytest.approx(0, abs=1e-6) and found.first.value == pytest.approx(0, abs=1e-6)
    assert found.regularised is None


def test_it_recovers_strengths_truth_and_place():
    draw = np.random.default_rng(2)
    true = {"a": 0.6, "b": 0.1, "c": -0.7}
    found = debater_strength(tournament(draw, true, n=300, truth=0.8, first=0.3))
    for rating in found.ratings:
        assert abs(rating.elo.value - true[rating.player] * POINTS) < 3 * rating.elo.error
        assert rating.matches == 1200
    assert found.right.low <= 0.8 * POINTS <= found.right.high and found.right.low > 0
    assert found.first.low <= 0.3 * POINTS <= found.first.high
    assert sum(r.elo.value for r in found.ratings) == pytest.approx(0, abs=1e-6)
    assert found.longer.value is None and "same in every match" in found.longer.reason


def test_the_scale_is_a_unit():
    matches = tournament(np.random.default_rng(3), {"a": 0.4, "b": -0.4})
    chess, kenton = debater_strength(matches), debater_strength(matches, scale=500)
    assert kenton.ratings[0].elo.value == pytest.approx(1.25 * chess.ratings[0].elo.value)


def test_against_itself_a_player_has_no_strength_but_truth_still_tells():
    draw = np.random.default_rng(4)
    matches = []
    for i in range(800):
        right = bool(draw.random() < 0.5)
        won = bool(draw.random() < (0.7 if right else 0.3))
        longer = float(draw.normal())
        matches.append(Match("a", "a", won, right, f"g{i % 50}", longer, longer / 3))
    found = debater_strength(matches)
    assert found.ratings[0].elo.reason == "it met no other player"
    assert found.right.low <= 2 * math.log(0.7 / 0.3) * POINTS <= found.right.high
    assert found.longer.touches_zero is not False
    assert "cannot be told from the other terms" in found.alone.reason


def test_a_player_that_always_wins_is_separated_said_so_and_regularised():
    matches = [Match("best", "b", True, i % 2 == 0, f"g{i}") for i in range(20)]
    matches += [Match("b", "best", False, i % 2 == 0, f"g{i}") for i in range(20)]
    found = debater_strength(matches)
    assert "separated" in found.regularised
    b, best = found.ratings
    assert b.elo.value < best.elo.value < 3000
    assert best.elo.low is None and found.right.value is None
    theta = choix.opt_pairwise(2, [(1, 0)] * 40, alpha=0.1)
    assert best.elo.value == pytest.approx((theta[1] - theta.mean()) * POINTS, rel=1e-3)


def test_players_that_never_met_are_disconnected_and_said_so():
    draw = np.random.default_rng(5)
    matches = tournament(draw, {"a": 0.3, "b": 0.0}) + tournament(draw, {"c": 0.0, "d": 0.2})
    found = debater_strength(matches)
    assert "disconnected" in found.regularised and "a, b" in found.regularised and "c, d" in found.regularised
    assert all(r.elo.value is not None and r.elo.low is None for r in found.ratings)


@pytest.mark.parametrize(
    "matches, reason",
    [
        ([], "no debate"),
        ([Match("a", "a", True, True, g) for g in "gh"], "separated"),
        ([Match("a", "a", w, r, "g") for w in (True, False) for r in (True, False)], "one group"),
    ],
)
def test_where_there_is_nothing_to_fit_there_is_a_reason(matches, reason):
    found = debater_strength(matches)
    assert found.right.value is None and reason in found.right.reason


def test_shuffled_matches_change_nothing_and_swapped_seats_turn_the_place():
    matches = tournament(np.random.default_rng(6), {"a": 0.4, "b": -0.1, "c": -0.3}, truth=0.5, first=0.4)
    first = debater_strength(matches)
    shuffled = matches[:]
    random.Random(1).shuffle(shuffled)
    again = debater_strength(shuffled)
    assert again.right.value == pytest.approx(first.right.value) and again.right.error == pytest.approx(
        first.right.error
    )
    swapped = debater_strength([Match(m.second, m.first, not m.won, not m.right, m.group) for m in matches])
    assert swapped.first.value == pytest.approx(-first.first.value)
    assert swapped.right.value == pytest.approx(first.right.value)
    assert [r.elo.value for r in swapped.ratings] == pytest.approx([r.elo.value for r in first.ratings])


def test_separation_is_found_where_it_is_and_not_where_it_is_not():
    x = np.column_stack([np.ones(6), [1, 2, 3, 4, 5, 6]])
    assert separated(x, [0, 0, 0, 1, 1, 1])
    assert separated(x, [0, 0, 1, 1, 1, 1]) and not separated(x, [0, 1, 0, 1, 1, 1])
    assert separated(np.column_stack([np.ones(4), [1, 2, 2, 3]]), [0, 0, 1, 1])  # quasi-complete


def test_players_of_one_model_are_told_apart_by_how_they_differ():
    plain = '{"model": "m", "identity": "1", "temperature": 0.0}'
    warm = '{"model": "m", "identity": "1", "temperature": 1.0}'
    assert set(player_names({plain, warm}).values()) == {"m (temperature=0.0)", "m (temperature=1.0)"}
    assert player_names({plain}) == {plain: "m"}
