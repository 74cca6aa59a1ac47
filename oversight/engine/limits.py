"""Manners towards an API: how many calls at once, how fast, and how often an attempt is repeated.

Each model has its own `Limiter`, so one that is slow or out of quota holds up no other.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from oversight.engine.refusals import Refusals
from oversight.errors import RateLimited, Transport
from oversight.models.interface import Completion, Manners

CUT = 0.95
"""What is left of the pace a provider kept up with, when it has asked for less."""

PLATEAU, ENOUGH = 6.0, 30
"""Seconds until the pace is back at that, and calls, where those take longer (up to ten times the seconds): it grows
slowly around it and fast far beyond (the cubic of Ha, Rhee and Xu 2008)."""

SETTLE = 1.5
"""Seconds after a cut before the next one: its effect must be seen first."""

CREDIT = 1.0
"""Seconds of sending that may be caught up after a pause."""

CLOSED = (0.25, 30.0)
"""Seconds of the first pause, and of the longest, where a provider that takes no call names no time."""


class Limiter:
    """How many calls of one model may be under way, and at what pace they are sent.

    The number grows with every reply until calls turned away (429) tell of a limit: then it is halved, comes
    back at once to what the provider kept up with (calls a second times latency), and from there grows by one
    a round trip. From then on sending is paced as well, for no number of calls at once fits a limit in calls
    a second. A call turned away by chance waits alone; all wait where most of those sent beside it were turned
    away too, and a provider that takes none is tried with one call at a time, ever more seldom.
    """

    def __init__(self, manners: Manners, clock: Callable[[], float] = time.monotonic) -> None:
        self.manners = manners
        self.limit = float(min(manners.start, manners.most))
        self.flying = 0
        self.pauses = 0
        self.clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._top: float | None = None  # calls a second the provider kept up with; None: never too much
        self._cut_at = -math.inf
        self._plateau = PLATEAU
        self._paused = (-math.inf, -math.inf)  # from when until when nothing is sent
        self._closed_at = math.inf  # since when no call was taken
        self._shut = CLOSED[0]  # how long the next pause of a provider that takes no call is
        self._resume = 1.0  # how many at once there may be when it takes calls again
        self._heard = True  # whether a call sent since the last cut was taken
        self._tokens, self._refilled = 0.0, clock()
        self._refusals = Refusals()
        self._latency = 0.0

    @property
    def pace(self) -> float | None:
        """Calls a second sent at the most; None where there is no such limit."""
        if self._top is None:
            return None
        since = self.clock() - self._cut_at - self._plateau
        return self._top * (1 + (1 - CUT) * (since / self._plateau) ** 3)

    @property
    def _steady(self) -> float:
        """Up to so many calls at once the number grows with every reply: a quarter more than the pace makes of it."""
        pace = self.pace
        return math.inf if pace is None else max(1.0, 1.25 * pace * self._latency)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for one's turn to send a call; the time at which it is sent."""
        await self._enter()
        try:
            yield self.clock()
        finally:
            self.flying -= 1
            self._wake()

    def kept_up(self, sent: float) -> None:
        """A call sent at `sent` has brought a reply."""
        took = self.clock() - sent
        self._latency = 0.9 * self._latency + 0.1 * took if self._latency else took
        self._heard = self._heard or sent >= self._cut_at
        began, over = self._paused
        if sent >= over and self._shut > CLOSED[0]:
            self._shut, self.limit = CLOSED[0], self._resume
        if sent >= began:  # what was sent before tells nothing of how many are taken now
            self.limit += 1.0 if self.limit < self._steady else 1.0 / self.limit
            self.limit = min(self.limit, float(self.manners.most))

    def too_much(self, sent: float, after: float | None) -> None:
        """A call sent at `sent` was turned away, perhaps with a time to wait in seconds."""
        now = self.clock()
        beside = self._refusals.refuse(sent, after)
        self._closed_at = min(self._closed_at, now) if beside.closed else math.inf
        if now >= self._closed_at + CLOSED[0] and sent >= self._paused[1]:
            if self._shut == CLOSED[0]:
                self._resume = max(1.0, self.limit / 2)
            self._pause(now, max(self._shut, beside.wait or 0.0))
            self._shut = min(2 * self._shut, CLOSED[1])
            self.limit = 1.0
        elif (beside.crowd or beside.closed) and beside.wait is not None:
            self._pause(now, beside.wait)
        if sent < self._cut_at or now < self._cut_at + SETTLE:
            self._refusals.forget()  # one overload, many answers
        elif self._heard if beside.crowd else self._refusals.tells_of_a_limit(now):
            self._cut(now)

    def _cut(self, now: float) -> None:
        """Send fewer at once, and more slowly than the provider took them."""
        good = self._refusals.taken(now, self._paused)
        pace = self.pace
        self._top = max(good if pace is None else min(good, pace), 0.1)
        self._cut_at = now
        self._heard = False
        self._refusals.forget()
        self._plateau = min(10 * PLATEAU, max(PLATEAU, ENOUGH / self._top))
        self._refusals.calm(now + SETTLE, now + self._plateau)
        self._tokens, self._refilled = min(self._tokens, 1.0), now
        self.limit = max(1.0, self.limit / 2)
        self.pauses += 1

    def _pause(self, now: float, seconds: float) -> None:
        """Send nothing for so long."""
        began, over = self._paused
        self._paused = (began if now < over else now, max(over, now + seconds))

    async def _enter(self) -> None:
        if not self._waiting and self._try():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had been let in
                self.flying -= 1
                self._wake()
            raise

    def _try(self) -> bool:
        """Let one call in, if number, pace and pause allow it."""
        if self.flying >= int(self.limit) or self._delay() > 0:
            return False
        if self._top is not None:
            self._tokens -= 1
        self.flying += 1
        self._refusals.send(self.clock())
        return True

    def _delay(self) -> float:
        """Seconds until pace and pause let the next call be sent."""
        now = self.clock()
        pace = self.pace
        if pace is None:
            return self._paused[1] - now
        self._tokens = min(max(1.0, pace * CREDIT), self._tokens + (now - self._refilled) * pace)
        self._refilled = now
        return max(self._paused[1] - now, (1.0 - self._tokens) / pace)

    def _wake(self) -> None:
        """Let in whoever may go, and see to being called again for the rest."""
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
            elif self._try():
                self._waiting.popleft().set_result(None)
            else:
                break
        if self._waiting and self.flying < int(self.limit) and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.001, self._delay()), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._wake()


async def attempts(
    limiter: Limiter,
    make: Callable[[], Awaitable[Completion]],
    failed: Callable[[Transport], None],
    again: Callable[[], Awaitable[None]] | None = None,
) -> tuple[Completion, int]:
    """The completion, and how many attempts it took.

    What the network or the provider broke is tried again up to `Manners.attempts` times with a growing,
    jittered wait; being turned away for asking too much is not counted, but all of it must come to an end
    within `Manners.call` seconds of the first attempt. `failed` hears of every attempt that brought
    nothing, and `again` is awaited before the next. Raises the last `Transport`, and at once whatever else these
    raise.
    """
    manners = limiter.manners
    tried = broken = 0
    deadline = math.inf
    error: Transport | None = None
    try:
        while True:
            async with limiter.slot() as sent:
                if error is None:
                    deadline = sent + manners.call
                elif (
                    sent >= deadline
                ):  # the wait for its turn was too long; one more would be paid and not heard
                    raise error
                tried += 1
                patience = min(manners.attempt, deadline - sent)
                try:
                    async with asyncio.timeout(patience) as timer:
                        completion = await make()
                    limiter.kept_up(sent)
                    return completion, tried
                except TimeoutError as late:
                    if not timer.expired():
                        raise
                    error = Transport(f"no reply within {patience:,.0f} s", charged=True)
                    error.__cause__ = late
                except RateLimited as turned_away:
                    limiter.too_much(sent, turned_away.after)
                    error = turned_away
                except Transport as lost:
                    error = lost
            failed(error)
            broken += not isinstance(error, RateLimited)
            # Being turned away has slowed the model's pace already; a broken call waits by itself.
            wait = min(60.0, 0.5 * 2 ** min(broken, 10)) * random.uniform(0.5, 1.0) if broken else 0.0
            wait = max(wait, error.after or 0.0)
            if not error.again or broken >= manners.attempts or limiter.clock() + wait >= deadline:
                raise error
            if wait:
                await asyncio.sleep(wait)
            if again is not None:
                await again()
    finally:
        # An error holds this frame, which holds the error and whoever keeps errors: together they would wait for
        # the garbage collector, and each request that failed with them.
        del error, failed
