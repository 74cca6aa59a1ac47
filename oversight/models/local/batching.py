"""From single calls to batches: one worker thread, fed by asyncio loops, without timers.

Calls wait until the loop has run dry (a few iterations in which no call was added), so that a burst
from a thousand coroutines reaches the worker in one piece. The worker takes new bursts between two of
its passes, and hands each reply over as soon as it is finished.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from oversight.errors import Transport
from oversight.models.interface import Completion, Request

Kind = Literal["generate", "score"]

QUIET = 3
"""Loop iterations without a new call before a burst is passed on. One would do for coroutines that call at
once; waking through a task group or a timeout takes one or two more."""


@dataclass(eq=False, slots=True)
class Job:
    """One call on its way: the worker sets `result` or `error`."""

    kind: Kind
    request: Request
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Completion]
    result: Completion | None = None
    error: BaseException | None = None

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.cancelled() or self.loop.is_closed()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do for it."""
        return self.result is not None or self.error is not None or self.dropped


class Work(Protocol):
    """What the worker thread does with jobs."""

    def add(self, jobs: Sequence[Job]) -> None:
        """Accept jobs."""

    def advance(self) -> None:
        """Do a little of the work at hand. Each job accepted is over after some number of these."""

    def reset(self) -> None:
        """Forget all jobs, after `add` or `advance` has raised."""


class Batcher:
    """Has `work` run calls in a thread of its own, as many at a time as it likes.

    What `work` raises becomes the error of every job it has in hand. Long work
    should call `check` now and then.
    """

    def __init__(self, name: str, work: Work) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._work = work
        self._lock = threading.Lock()
        self._burst: list[Job] = []
        self._arrived = 0
        self._settling: asyncio.AbstractEventLoop | None = None
        self._queue: queue.SimpleQueue[list[Job]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def submit(self, kind: Kind, request: Request) -> Completion:
        """Run one call."""
        loop = asyncio.get_running_loop()
        job = Job(kind, request, loop, loop.create_future())
        with self._lock:
            if self.stopping.is_set():
                raise Transport(f"{self.name} is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"oversight {self.name}", daemon=True)
                self._thread.start()
            self._burst.append(job)
            self._arrived += 1
            if self._settling is None or self._settling.is_closed():
                self._settling = loop
                loop.call_soon(self._settle, loop, self._arrived, QUIET)
        return await job.future

    def check(self) -> None:
        """Raise `Transport` once `close` has been called."""
        if self.stopping.is_set():
            raise Transport(f"{self.name} was closed")

    def close(self) -> None:
        """Stop the thread; calls still waiting fail with `Transport`."""
        with self._lock:
            self.stopping.set()
            thread, self._thread = self._thread, None
            left, self._burst = self._burst, []
        self._queue.put([])  # wakes the thread
        if thread is not None:
            thread.join()
        while not self._queue.empty():
            left += self._queue.get()
        _fail(left, Transport(f"{self.name} was closed"))
        _deliver(left)

    def _settle(self, loop: asyncio.AbstractEventLoop, seen: int, left: int) -> None:
        """Pass the burst on once calls have stopped coming. On the loop's thread."""
        with self._lock:
            if self._arrived != seen:
                left = QUIET
            if left > 1:
                loop.call_soon(self._settle, loop, self._arrived, left - 1)
                return
            self._settling = None
            burst, self._burst = self._burst, []
        self._queue.put(burst)

    def _run(self) -> None:
        """The worker thread."""
        held: list[Job] = []
        while not self.stopping.is_set():
            try:
                while not held or not self._queue.empty():
                    new = [job for job in self._queue.get() if not job.dropped]
                    if self.stopping.is_set():
                        held += new
                        break
                    held += new
                    if new:
                        self._work.add(new)
                self._work.advance()
            except BaseException as error:  # must reach the callers, whatever it is
                _fail(held, error)
                self._work.reset()
            over = [job for job in held if job.over]
            if over:
                held = [job for job in held if not job.over]
                _deliver(over)
        _fail(held, Transport(f"{self.name} was closed"))
        _deliver(held)


def _fail(jobs: Sequence[Job], error: BaseException) -> None:
    for job in jobs:
        if not job.over:
            job.error = error


def _deliver(jobs: Sequence[Job]) -> None:
    """Hand jobs that are over to their callers."""
    for loop in {job.loop for job in jobs}:
        _post(loop, _resolve, [job for job in jobs if job.loop is loop])


def _resolve(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        elif job.result is not None:
            job.future.set_result(job.result)


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return  # the loop has ended, and its callers with it
