"""Manners: the pace a provider allows is found and held, attempts are bounded, errors are told apart.

Time is simulated (`clockwork`).
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import weakref

import pytest
from clockwork import simulated

from oversight.engine.limits import Limiter, attempts
from oversight.errors import ContextOverflow, RateLimited, Transport
from oversight.models.interface import Completion, Manners


class Provider:
    """Allows `rate` calls a second (a bucket that holds one second's), each taking `latency` seconds."""

    def __init__(self, rate: float | None, latency: float, hint: bool) -> None:
        self.rate, self.latency, self.hint = rate, latency, hint
        self.tokens, self.at = rate or 0.0, 0.0
        self.served: list[float] = []
        self.refused: list[float] = []
        self.flying = self.peak = 0

    async def __call__(self) -> Completion:
        now = asyncio.get_running_loop().time()
        if self.rate is not None:
            self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
            self.at = now
            if self.tokens < 1:
                self.refused.append(now)
                wait = (1 - self.tokens) / self.rate
                raise RateLimited("429", after=math.ceil(wait) if self.hint else None)
            self.tokens -= 1
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        await asyncio.sleep(self.latency)
        self.flying -= 1
        self.served.append(asyncio.get_running_loop().time())
        return Completion("x")


def play(provider: Provider, calls: int, manners: Manners) -> float:
    """Make all calls at once; the seconds it took."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter = Limiter(manners, clock=loop.time)
        await asyncio.gather(*(attempts(limiter, provider, lambda error: None) for _ in range(calls)))
        return loop.time()

    return float(simulated(main))


@pytest.mark.parametrize("hint", [True, False])
@pytest.mark.parametrize(("rate", "latency"), [(100, 0.001), (100, 0.3), (50, 2.0), (400, 1.0), (10, 0.5)])
def test_the_pace_a_provider_allows_is_found_and_held(rate: float, latency: float, hint: bool) -> None:
    random.seed(1)
    provider = Provider(rate, latency, hint)
    took = play(provider, int(rate * 90), Manners(call=1e6))
    start = 15.0
    late = [t for t in provider.served if start < t <= took - latency - 1]
    pace = len(late) / (took - latency - 1 - start)
    assert 0.9 * rate <= pace <= 1.1 * rate, pace / rate
    refused = sum(t > start for t in provider.refused)
    assert refused <= 0.06 * len(late)


def test_without_limits_the_number_of_calls_grows_to_the_most() -> None:
    provider = Provider(None, 1.0, False)
    took = play(provider, 4000, Manners(start=16, most=256))
    assert provider.peak == 256
    assert took < 4000 / 256 + 6  # doubles every round trip from 16


def test_a_429_halves_the_number_of_calls_once_for_one_overload() -> None:
    async def main() -> None:
        limiter = Limiter(Manners(start=64, most=64), clock=asyncio.get_running_loop().time)
        sent = []
        for _ in range(8):
            async with limiter.slot() as at:
                sent.append(at)
                await asyncio.sleep(0.1)
                limiter.kept_up(at)
        for at in sent:
            limiter.too_much(at, None)
        assert limiter.limit == 32.0 and limiter.pauses == 1

    simulated(main)


def test_retry_after_is_honoured_and_stalls_no_other_model() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = (Limiter(Manners(), clock=loop.time) for _ in range(2))
        refusals = iter([True])
        sent: list[float] = []

        async def call() -> Completion:
            sent.append(loop.time())
            if next(refusals, False):
                raise RateLimited("429", after=20.0)
            return Completion("x")

        async def elsewhere() -> float:
            await asyncio.sleep(1)
            await attempts(other, lambda: asyncio.sleep(0, Completion("y")), lambda error: None)
            return loop.time()

        (_, tried), at = await asyncio.gather(attempts(one, call, lambda error: None), elsewhere())
        assert tried == 2 and sent[1] - sent[0] >= 20.0 and at < 2

    simulated(main)


def test_broken_calls_are_tried_again_so_often_and_no_more() -> None:
    heard: list[str] = []

    async def broken() -> Completion:
        raise Transport("connection lost")

    async def main() -> None:
        limiter = Limiter(Manners(attempts=4), clock=asyncio.get_running_loop().time)
        with pytest.raises(Transport, match="connection lost"):
            await attempts(limiter, broken, lambda error: heard.append(str(error)))
        assert limiter.flying == 0

    simulated(main)
    assert heard == ["connection lost"] * 4


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_is_away_for_a_minute_is_waited_for(seed: int) -> None:
    random.seed(seed)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def back_after_a_minute() -> Completion:
            if loop.time() < 60:
                raise Transport("connection refused")
            return Completion("back")

        limiter = Limiter(Manners(), clock=loop.time)
        done = await asyncio.gather(
            *(attempts(limiter, back_after_a_minute, lambda error: None) for _ in range(20))
        )
        assert {completion.text for completion, _ in done} == {"back"}

    simulated(main)


def test_what_another_attempt_cannot_change_is_not_tried_again() -> None:
    calls = []

    async def too_long() -> Completion:
        calls.append(1)
        raise ContextOverflow("m", 10, 5)

    async def main() -> None:
        with pytest.raises(ContextOverflow):
            await attempts(Limiter(Manners()), too_long, lambda error: None)

    asyncio.run(main())
    assert calls == [1]


def test_an_attempt_and_a_call_have_their_timeouts() -> None:
    heard: list[str] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter = Limiter(Manners(attempt=10, call=25), clock=loop.time)
        with pytest.raises(Transport, match="no reply within"):
            await attempts(
                limiter, lambda: asyncio.sleep(1000, Completion()), lambda error: heard.append(str(error))
            )
        return loop.time()

    assert simulated(main) <= 25
    assert heard[0] == "no reply within 10 s" and len(heard) in (2, 3)


def test_waiting_for_ones_turn_is_not_part_of_a_calls_time() -> None:
    provider = Provider(None, 8.0, False)
    took = play(provider, 10, Manners(start=1, most=1, attempt=10, call=20))
    assert took == pytest.approx(80)


def test_a_cancelled_call_leaves_its_place_to_others() -> None:
    async def main() -> None:
        limiter = Limiter(Manners(start=1, most=1), clock=asyncio.get_running_loop().time)
        async with limiter.slot():
            waiting = [
                asyncio.create_task(attempts(limiter, lambda: asyncio.sleep(1, Completion("x")), print))
                for _ in range(3)
            ]
            await asyncio.sleep(0)
            waiting[0].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(d, asyncio.CancelledError) for d in done] == [True, False, False]
        assert limiter.flying == 0

    simulated(main)


def test_a_call_whose_turn_comes_after_its_time_is_not_sent() -> None:
    """It would be paid, and nobody would wait for the reply."""
    sent = []

    async def main() -> None:
        limiter = Limiter(Manners(call=5), clock=asyncio.get_running_loop().time)

        async def turned_away() -> Completion:
            sent.append(limiter.clock())
            limiter.too_much(limiter.clock(), 60)  # as another call was told
            raise RateLimited("429: slower")

        with pytest.raises(RateLimited, match="slower"):
            await attempts(limiter, turned_away, lambda error: None)
        assert limiter.flying == 0

    simulated(main)
    assert sent == [0.0]


def test_failed_attempts_leave_nothing_for_the_garbage_collector() -> None:
    died: list[weakref.ref[Transport]] = []

    async def make() -> Completion:
        if len(died) == 3:
            return Completion("said")
        error = Transport("lost") if len(died) else RateLimited("429", after=0.0)
        died.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def call() -> None:
        heard: list[Transport] = []
        _, tried = await attempts(Limiter(Manners()), make, heard.append)
        assert tried == 4 and len(heard) == 3

    gc.disable()
    try:
        simulated(call)
        assert [ref() for ref in died] == [None, None, None]
    finally:
        gc.enable()
