"""Simulated time: a loop whose clock jumps to the next thing that is due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Any


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop in which nothing takes time but sleeping."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        due: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while due and due[0]._cancelled:  # or the loop would sleep until the next one that is not
            heapq.heappop(due)._scheduled = False
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
        if due and not self._ready:  # type: ignore[attr-defined]
            self.now = max(self.now, due[0]._when)
        super()._run_once()  # type: ignore[misc]


def simulated(main: Callable[[], Awaitable[Any]]) -> Any:
    """What `main` returns, in simulated time."""
    loop = Clockwork()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
