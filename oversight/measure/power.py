"""How many questions an effect needs, the least effect that can be found, and when to stop early.

Groups (passages, families) are the unit, as in the intervals: a question more on a passage that is there
already adds less than one on a new passage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from oversight.measure.measured import LEVEL, Measured

MOST_GROUPS = 10_000_000
BURN_IN = 30
"""Groups before the first look: the sequence's guarantee is asymptotic."""


@dataclass(frozen=True)
class Power:
    """What a pilot says of a design. `effect`, `detectable` and `spread` in accuracy (0.05 is five points).

    `spread` is the standard deviation of the groups' differences, `per_group` the pilot's questions a
    group; `groups` and `questions` are needed to find `effect` with `power` at two-sided `alpha`, and
    `detectable` is the least effect that the pilot's own size finds so. None, and `reason`, where a pilot tells
    nothing.
    """

    effect: float
    alpha: float
    power: float
    spread: float | None
    per_group: float | None
    groups: int | None
    questions: int | None
    detectable: float | None
    reason: str | None = None


def power(pilot: Measured, effect: float, alpha: float = 0.05, power: float = 0.8) -> Power:
    """The power of a paired comparison like the pilot's difference (Miller 2024, arXiv 2411.00640).

    The pilot's clustered error e over G groups gives the spread of groups' differences σ = e·√G, clustering,
    repeats and all. Needed groups G′: where the t test on G′ − 1 degrees of freedom (non-central t, by
    statsmodels) has the wanted power for `effect` / σ; the questions are G′ times the pilot's questions a group.
    """
    if pilot.error is None:
        return Power(effect, alpha, power, None, None, None, None, None, pilot.reason)
    from statsmodels.stats.power import TTestPower

    spread, per_group = pilot.error * math.sqrt(pilot.groups), pilot.n / pilot.groups
    test = TTestPower()

    def reached(size: float, groups: float) -> float:
        # One side at alpha / 2: to find an effect with the wrong sign is not to find it. Beyond a
        # non-centrality of 35 scipy's t gives NaN, and on two degrees of freedom or more power is 1 there.
        sized = size / spread if groups == 2 else min(size / spread, 35 / math.sqrt(groups))
        return float(test.power(sized, groups, alpha / 2, alternative="larger"))

    groups = _least_groups(lambda n: reached(abs(effect), n) >= power)
    questions = None if groups is None else math.ceil(groups * per_group)
    least = _least_size(lambda size: reached(size, pilot.groups) - power, spread)
    reason = None if groups is not None else f"more than {MOST_GROUPS:,} groups would be needed"
    return Power(effect, alpha, power, spread, per_group, groups, questions, least, reason)


def _least_groups(enough: Callable[[int], bool]) -> int | None:
    high = 2
    while not enough(high):
        high *= 2
        if high > MOST_GROUPS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(2, high)


def _least_size(missing: Callable[[float], float], spread: float) -> float:
    from scipy.optimize import brentq

    top = spread
    while missing(top) < 0:
        top *= 2
    return float(brentq(missing, 0.0, top))


@dataclass(frozen=True)
class Look:
    """The mean difference after `groups` groups, and an interval that holds at every look at once."""

    groups: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Sequential:
    """A run looked at after every group. `stopped` is the look at which it could end, and `why`: the interval
    was as narrow as wanted (width), left zero behind (effect), or the money was spent (spend); None where
    it should go on."""

    looks: tuple[Look, ...]
    stopped: Look | None
    why: Literal["width", "effect", "spend"] | None
    reason: str | None = None


def confidence_sequence(
    differences: Sequence[float], tuned_for: int = 100, burn_in: int = BURN_IN
) -> tuple[Look, ...]:
    """Always-valid intervals of the mean group difference, one a look: all of them hold at once 95 % of the time.

    `differences` of shape (groups,): the groups' mean differences in the order they came. Radius after t of them
    σ̂_t · √( 2(tρ² + 1) / (t²ρ²) · ln( √(tρ² + 1) / α ) ), with ρ² = (−2 ln α + ln(−2 ln α + 1)) / `tuned_for`
    (the t at which it is narrowest): the asymptotic confidence sequence of Waudby-Smith et al. 2024, Ann.
    Stat. 52. However often one looks, and whenever one stops, no correction is left to make. The
    first look is after `burn_in` groups that have some spread.
    """
    alpha = 1 - LEVEL
    tail = -2 * math.log(alpha)
    rho2 = (tail + math.log(tail + 1)) / tuned_for
    looks = []
    mean = squares = 0.0
    for t, x in enumerate(differences, start=1):
        step = x - mean
        mean += step / t
        squares += step * (x - mean)  # Welford
        if t < burn_in or squares <= 0:
            continue
        radius = math.sqrt(squares / t) * math.sqrt(
            2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(math.sqrt(t * rho2 + 1) / alpha)
        )
        looks.append(Look(t, mean, mean - radius, mean + radius))
    return tuple(looks)


def sequential(
    differences: Sequence[float],
    width: float | None = None,
    spend: float | None = None,
    costs: Sequence[float] | None = None,
    effect: bool = False,
    tuned_for: int = 100,
) -> Sequential:
    """When a run may stop: at the first look whose interval is at most `width` wide, that leaves zero out (if
    `effect`), or when `costs` (a group, US dollars) have reached `spend`. The interval there is honest
    (`confidence_sequence`); an ordinary interval looked at until it is favourable is not.
    """
    looks = confidence_sequence(differences, tuned_for)
    if not looks:
        return Sequential((), None, None, f"fewer than {BURN_IN} groups with some spread")
    spent = 0.0
    paid = [spent := spent + c for c in costs] if costs is not None else []
    for look in looks:
        if effect and not look.low <= 0 <= look.high:
            return Sequential(looks, look, "effect")
        if width is not None and look.high - look.low <= width:
            return Sequential(looks, look, "width")
        if spend is not None and paid and paid[look.groups - 1] >= spend:
            return Sequential(looks, look, "spend")
    return Sequential(looks, None, None)
