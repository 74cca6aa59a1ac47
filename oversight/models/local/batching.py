"""From single calls to batches: one worker thread, fed by an asyncio loop, without timers.

Calls wait until the loop has run dry (a few iterations in which no call was added), so that a burst
from a thousand coroutines is one batch and its composition depends on the callers alone. While a
batch is worked on, calls queue up. All results of a batch are handed over in one callback, so the
callers' next calls arrive together too.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oversight.errors import Transport
from oversight.models.interface import Completion, Request

Kind = Literal["generate", "score"]

QUIET = 3
"""Loop iterations without a new call before a batch starts. One would do for coroutines that call at
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


@dataclass(eq=False, slots=True)
class _Round:
    """One batch: calls of one kind from one loop."""

    jobs: list[Job]
    loop: asyncio.AbstractEventLoop
    done: bool = field(default=False)


class Batcher:
    """Collects calls into batches and has `work` run them in a thread of its own.

    `work` gets at most `limits[kind]` jobs of one kind and sets each one's result or error. What it
    raises becomes the error of every job it left without one. `stopping` is set when `close` is
    called; long work should look at it.
    """

    def __init__(self, name: str, work: Callable[[list[Job]], None], limits: dict[Kind, int]) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._work, self._limits = work, limits
        self._lock = threading.Lock()
        self._pending: list[Job] = []
        self._arrived = 0
        self._settling: asyncio.AbstractEventLoop | None = None
        self._round: _Round | None = None
        self._queue: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def submit(self, kind: Kind, request: Request) -> Completion:
        """Run one call in the next batch that has room for it."""
        loop = asyncio.get_running_loop()
        job = Job(kind, request, loop, loop.create_future())
        with self._lock:
            if self.stopping.is_set():
                raise Transport(f"{self.name} is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"oversight {self.name}", daemon=True)
                self._thread.start()
            if self._round is not None and self._round.done and self._round.loop.is_closed():
                self._round = None  # its loop ended before it could be handed over
            self._pending.append(job)
            self._arrived += 1
            self._settle_on(loop)
        return await job.future

    def close(self) -> None:
        """Stop the thread; calls still waiting fail with `Transport`."""
        with self._lock:
            self.stopping.set()
            thread, self._thread = self._thread, None
            left, self._pending = self._pending, []
        _fail(left, Transport(f"{self.name} was closed"))
        for loop in {job.loop for job in left}:
            _post(loop, _resolve, [job for job in left if job.loop is loop])
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _settle_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch `loop` for calls to stop coming. Called with the lock held, on the loop's thread."""
        if self._round is None and (self._settling is None or self._settling.is_closed()):
            self._settling = loop
            loop.call_soon(self._settle, loop, self._arrived, QUIET)

    def _settle(self, loop: asyncio.AbstractEventLoop, seen: int, left: int) -> None:
        with self._lock:
            if self._arrived != seen:
                left = QUIET
            if left > 1:
                loop.call_soon(self._settle, loop, self._arrived, left - 1)
                return
            self._settling = None
            self._dispatch()

    def _dispatch(self) -> None:
        """Start the next batch, if there is one and the worker is free. Called with the lock held."""
        self._pending = [job for job in self._pending if not job.dropped]
        if self._round is not None or not self._pending:
            return
        first = self._pending[0]
        same = [job for job in self._pending if job.kind == first.kind and job.loop is first.loop]
        jobs = same[: self._limits[first.kind]]
        taken = set(map(id, jobs))
        self._pending = [job for job in self._pending if id(job) not in taken]
        self._round = _Round(jobs, first.loop)
        self._queue.put(self._round)

    def _run(self) -> None:
        """The worker thread."""
        while (batch := self._queue.get()) is not None:
            try:
                self._work(batch.jobs)
            except BaseException as error:  # must reach the callers, whatever it is
                _fail(batch.jobs, error)
            _fail(batch.jobs, RuntimeError(f"{self.name} left a call without a result"))
            batch.done = True
            if not _post(batch.loop, self._deliver, batch):
                with self._lock:
                    self._release(batch)

    def _deliver(self, batch: _Round) -> None:
        """Hand a batch's results to its callers, then see to the next. On the loop's thread."""
        _resolve(batch.jobs)
        with self._lock:
            self._release(batch)

    def _release(self, batch: _Round) -> None:
        if self._round is batch:
            self._round = None
        waiting = next((job.loop for job in self._pending if not job.dropped), None)
        if waiting is not None and (self._settling is None or self._settling.is_closed()):
            self._settling = waiting
            if not _post(waiting, self._settle, waiting, self._arrived, QUIET):
                self._settling = None


def _fail(jobs: Sequence[Job], error: BaseException) -> None:
    for job in jobs:
        if job.result is None and job.error is None:
            job.error = error


def _resolve(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        elif job.result is not None:
            job.future.set_result(job.result)


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> bool:
    """`call(*args)` on `loop`; False if the loop has ended."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False
    return True
