"""Calls turned away: chance costs the run nothing, a limit is found all the same.

Providers are simulated, in simulated time. What they take is counted by them, not by us.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

import pytest
from clockwork import simulated

from oversight.engine.limits import Limiter, attempts
from oversight.engine.refusals import BESIDE, Refusals
from oversight.errors import RateLimited
from oversight.models.interface import Completion, Manners

MOST = 128
LATENCY = 0.5
FREE = MOST / LATENCY
"""Calls a second that so many at once come to where nothing holds them back."""

Allows = Callable[[float], float]
"""Seconds to wait at a time until the next call is taken; 0 takes it."""


def anything(now: float) -> float:
    return 0.0


def bucket(rate: Callable[[float], float]) -> Allows:
    """A token bucket that holds a second's calls, at a rate that may change with time."""
    tokens, at = rate(0.0), 0.0

    def take(now: float) -> float:
        nonlocal tokens, at
        tokens = min(max(1.0, rate(now)), tokens + (now - at) * rate(now))
        at = now
        if tokens < 1:
            return (1 - tokens) / rate(now)
        tokens -= 1
        return 0.0

    return take


def steadily(rate: float) -> Allows:
    return bucket(lambda now: rate)


def a_minute(most: int) -> Allows:
    """So many calls in each minute of the clock, as fast as one likes; then none until the next."""
    taken: dict[float, int] = {}

    def take(now: float) -> float:
        minute = now // 60
        taken[minute] = taken.get(minute, 0) + 1
        return 0.0 if taken[minute] <= most else 60 * (minute + 1) - now

    return take


class Provider:
    """Takes what `allows` does, less a share that it turns away by chance; `hint`, `chance_hint`: whether those
    turned away are told when to come again."""

    def __init__(
        self,
        allows: Allows = anything,
        chance: float = 0.0,
        hint: bool = False,
        chance_hint: float | None = None,
        latency: float = LATENCY,
    ) -> None:
        self.allows, self.chance, self.hint, self.chance_hint = allows, chance, hint, chance_hint
        self.latency = latency
        self.random = random.Random(7)
        self.taken: list[float] = []
        self.refused: list[float] = []
        self.unlucky: list[float] = []

    async def __call__(self) -> Completion:
        now = asyncio.get_running_loop().time()
        if self.random.random() < self.chance:
            self.unlucky.append(now)
            raise RateLimited("429", after=self.chance_hint)
        if wait := self.allows(now):
            self.refused.append(now)
            raise RateLimited("429", after=math.ceil(wait) if self.hint else None)
        self.taken.append(now)
        await asyncio.sleep(self.latency * self.random.uniform(0.8, 1.2))
        return Completion("x")

    def pace(self, since: float, until: float) -> float:
        """Calls a second taken between two times."""
        return sum(since <= at < until for at in self.taken) / (until - since)

    def share(self, since: float, until: float) -> float:
        """Of the calls sent between two times, those turned away for their pace."""
        refused = sum(since <= at < until for at in self.refused)
        return refused / max(1.0, refused + self.pace(since, until) * (until - since))


def send(provider: Provider, seconds: float, callers: int = 400) -> Limiter:
    """Call without end for so long, so many at a time at the most."""
    random.seed(7)
    made: list[Limiter] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        limiter = Limiter(Manners(most=MOST, call=1e9), clock=clock)
        made.append(limiter)

        async def caller() -> None:
            while True:
                await attempts(limiter, provider, lambda error: None)

        calling = [asyncio.create_task(caller()) for _ in range(callers)]
        await asyncio.sleep(seconds)
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)
        assert limiter.flying == 0

    simulated(main)
    return made[0]


@pytest.mark.parametrize("hint", [None, 20.0])
@pytest.mark.parametrize("chance", [0.01, 0.03])
def test_what_is_turned_away_by_chance_slows_nobody(chance: float, hint: float | None) -> None:
    provider = Provider(chance=chance, chance_hint=hint)
    send(provider, 60, callers=600)
    assert provider.unlucky
    assert provider.pace(10, 60) >= 0.95 * FREE


@pytest.mark.parametrize("latency", [0.5, 4.0])
@pytest.mark.parametrize(("chance", "least"), [(0.1, 0.95), (0.2, 0.85), (0.3, 0.7)])
def test_who_is_turned_away_often_by_chance_does_not_end_at_a_crawl(
    chance: float, least: float, latency: float
) -> None:
    """As by a provider that is overloaded, whatever we send. With up to a tenth put down to chance, and no more, a
    fifth left a hundredth of the calls."""
    provider = Provider(chance=chance, latency=latency)
    send(provider, 240, callers=600)
    assert provider.pace(40, 240) >= least * MOST / latency


@pytest.mark.parametrize("hint", [True, False])
@pytest.mark.parametrize("chance", [0.0, 0.01, 0.03, 0.2])
@pytest.mark.parametrize("rate", [10, 160])
def test_a_limit_is_kept_whatever_chance_turns_away_beside_it(rate: int, chance: float, hint: bool) -> None:
    provider = Provider(steadily(rate), chance, hint, chance_hint=2.0 if hint else None)
    send(provider, 120)
    assert (0.93 - chance) * rate <= provider.pace(20, 120) <= 1.03 * rate
    assert provider.share(20, 120) <= (0.04 if rate == 160 else 0.12)


@pytest.mark.parametrize("chance", [0.0, 0.01])
@pytest.mark.parametrize(("before", "after", "within"), [(100, 30, 15), (100, 90, 15), (30, 120, 40)])
def test_a_limit_that_changes_is_found_again(before: int, after: int, within: int, chance: float) -> None:
    provider = Provider(bucket(lambda now: before if now < 60 else after), chance)
    send(provider, 160)
    assert provider.pace(20, 60) >= 0.93 * before
    assert 0.93 * after <= provider.pace(60 + within, 160) <= 1.03 * after
    assert provider.share(60 + within, 160) <= 0.06


@pytest.mark.parametrize("chance", [0.0, 0.01])
@pytest.mark.parametrize("most", [300, 3000])
def test_a_minutes_quota_is_used_up_and_then_waited_for(most: int, chance: float) -> None:
    provider = Provider(a_minute(most), chance, hint=True, chance_hint=5.0)
    send(provider, 300)
    assert all(provider.pace(60 * k, 60 * (k + 1)) * 60 >= 0.95 * most for k in range(5))
    assert len(provider.refused) <= 5 * 3 * BESIDE  # a handful a minute, before all wait


def test_a_provider_that_takes_nothing_and_names_no_time_is_asked_ever_more_seldom() -> None:
    provider = Provider(a_minute(3000))
    send(provider, 300)
    assert all(provider.pace(60 * k, 60 * (k + 1)) * 60 >= 0.9 * 3000 for k in range(5))
    assert provider.share(0, 300) <= 0.05


def test_who_is_turned_away_alone_waits_alone_and_many_make_all_wait() -> None:
    def waits(unlucky: range) -> float:
        """When the twentieth call is sent, after sixteen at once of which some are told to wait a minute."""
        sent: list[float] = []

        async def call() -> Completion:
            sent.append(asyncio.get_running_loop().time())
            if len(sent) - 1 in unlucky:
                raise RateLimited("429", after=60.0)
            await asyncio.sleep(1)
            return Completion("x")

        async def main() -> None:
            limiter = Limiter(Manners(start=BESIDE), clock=asyncio.get_running_loop().time)
            await asyncio.gather(*(attempts(limiter, call, lambda error: None) for _ in range(20)))

        simulated(main)
        return sent[19]

    assert waits(range(5, 6)) <= 1
    assert waits(range(8, 16)) >= 60


def test_the_share_that_chance_turns_away_is_learned_while_calls_are_slow() -> None:
    refusals, chance = Refusals(), random.Random(7)
    refusals.calm(0.0, 100.0)
    for call in range(4000):
        at = call / 40
        refusals.send(at)
        if chance.random() < 0.04:
            refusals.refuse(at, None)
    assert refusals.chance == pytest.approx(0.04, abs=0.008)
    learned = refusals.chance
    for call in range(500):  # what is turned away at a higher pace teaches nothing of chance
        refusals.send(101 + call / 80)
        if call % 4 == 0:
            refusals.refuse(101 + call / 80, None)
    assert refusals.chance == learned
    assert refusals.tells_of_a_limit(101 + 500 / 80)
