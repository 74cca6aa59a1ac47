"""Calls sent and calls turned away (429): whether they tell of a limit, or of chance.

A provider or a gateway may turn a few calls away whatever the pace, and whoever slows down for each of those
ends at a crawl. A limit shows otherwise: more are turned away than chance explains, and none below it. So
evidence for a limit is summed up call by call (Page's test, Biometrika 1954), against the share that is turned
away while calls are sent more slowly than the provider is known to take.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from itertools import takewhile
from typing import NamedTuple

WINDOW = 2.0
"""Seconds over which is measured how many calls a provider takes, or twenty calls' time up to `LONGEST`."""

LONGEST = 30.0

BESIDE = 16
"""Calls sent one after the other that are looked at together."""

EXCESS = 0.02
"""The share of calls turned away, beyond chance's, that the test is to tell from chance."""

LEAST, UNKNOWN, MOST = 0.01, 0.1, 0.3
"""The smallest share that is put down to chance (for it is learned from few calls), the one until something was
learned, and the largest."""

FEW = 4
"""Calls turned away that are too few to be a crowd."""


class Beside(NamedTuple):
    """What became of calls sent one after the other: how many were turned away, the seconds to wait that most of
    those were told (None: none was), and the share that chance is known to turn away."""

    sent: int
    refused: int
    wait: float | None
    chance: float

    @property
    def crowd(self) -> bool:
        """Whether more of them were turned away than chance does: half where it does nothing. Of sixteen calls once in
        four million where it turns away a fifth."""
        return self.refused >= max(FEW, self.sent * (0.5 + 1.4 * self.chance))

    @property
    def closed(self) -> bool:
        """Whether none was taken."""
        return self.refused >= self.sent


class Refusals:
    """What is known of a model's calls. Times are a clock's, in seconds."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque(maxlen=20_000)
        self._refused: deque[tuple[float, float | None]] = deque(maxlen=20_000)
        self._first = math.inf
        self._doubt = 0.0
        self._calm = (math.inf, math.inf)
        self._calm_calls = self._calm_refused = 0.0

    @property
    def chance(self) -> float:
        """The share of calls that chance is thought to turn away."""
        if self._calm[0] == math.inf:
            return UNKNOWN
        return min(MOST, max(LEAST, (MOST + self._calm_refused) / (1 + self._calm_calls)))

    def send(self, now: float) -> None:
        """A call is sent. It is taken to come back until it does not."""
        self._first = min(self._first, now)
        self._sent.append(now)
        self._calm_calls += self._is_calm(now)
        chance = self.chance
        self._doubt = max(0.0, self._doubt - math.log((1 - chance) / (1 - chance - EXCESS)))

    def refuse(self, sent: float, wait: float | None) -> Beside:
        """A call sent at `sent` was turned away, perhaps with a time to wait; what became of those beside it."""
        self._refused.append((sent, wait))
        beside = self._beside(sent)
        if not beside.crowd:
            self._calm_refused += self._is_calm(sent)
        chance = self.chance
        odds = (chance + EXCESS) / chance * (1 - chance) / (1 - chance - EXCESS)
        self._doubt += math.log(odds)
        return beside

    def tells_of_a_limit(self, now: float) -> bool:
        """Whether more were turned away than chance explains. The more calls a second, the surer it must be:
        chance alone then passes for a limit about twice a minute at any pace."""
        return self._doubt > math.log(max(6, len(self._sent) - bisect_left(self._sent, now - 1.0)) / 2)

    def forget(self) -> None:
        """Begin to doubt anew."""
        self._doubt = 0.0

    def calm(self, since: float, until: float) -> None:
        """Between these times calls are sent more slowly than the provider took them: what is turned away, is
        by chance. What was seen before counts a tenth."""
        self._calm = (since, until)
        self._calm_calls /= 10
        self._calm_refused /= 10

    def taken(self, now: float, paused: tuple[float, float]) -> float:
        """Calls a second the provider has taken of late: those sent and not turned away, outside a pause."""
        sent = self._sent
        recent = min(now - WINDOW, sent[-20] if len(sent) >= 20 else sent[0]) if sent else now
        since = max(now - LONGEST, recent)
        pause = max(0.0, min(now, paused[1]) - max(since, paused[0]))
        since -= pause
        taken = sum(at >= since for at in sent) - sum(at >= since for at, _ in self._refused)
        span = min(now - since, now - self._first) - pause
        return max(taken, 1) / max(0.25, span)

    def _is_calm(self, at: float) -> bool:
        return self._calm[0] <= at < self._calm[1]

    def _beside(self, sent: float) -> Beside:
        """Of the calls sent up to that one; of the first ones, as long as there are no more."""
        last = max(bisect_right(self._sent, sent), min(BESIDE, len(self._sent))) - 1
        if last < 0:
            return Beside(0, 0, None, 0.0)
        low, high = self._sent[max(0, last + 1 - BESIDE)], self._sent[last]
        late = takewhile(lambda refused: refused[0] >= low - WINDOW, reversed(self._refused))
        told = [wait for at, wait in late if low <= at <= high]
        waits = sorted(wait for wait in told if wait is not None)
        return Beside(
            bisect_right(self._sent, high) - bisect_left(self._sent, low),
            len(told),
            waits[(len(waits) - 1) // 2] if waits else None,
            0.0 if self._calm[0] == math.inf else self.chance,
        )
