"""Calls at half price: gathered into a provider's batches, turn by turn, and waited for across days.

A batch is written down before it is sent and again when the provider has named it. So a run that was
stopped finds its batches where it left them, and the same command collects what came of them; each request
in a batch is named by its call's key.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from oversight.errors import OversightError, Transport
from oversight.models.interface import BatchModel, Completion, Request
from oversight.models.prices import priced
from oversight.store.log import Log

QUIET = 2.0
"""Seconds without a new call after which those gathered are sent: all other episodes are waiting too."""

MOST = 10_000
"""Calls in one batch."""

FIRST, SLOWEST = 5.0, 60.0
"""Seconds between two looks at a batch: at first, and later on."""

PATIENCE = 20
"""Looks in a row that may fail before the batch's calls do (they stay in the batch, to be collected later)."""


@dataclass(eq=False)
class Batch:
    """One batch on its way: `tag` is our name for it, `name` the provider's (None: not known to be there)."""

    tag: str
    model: BatchModel
    sent: datetime
    keys: frozenset[int]
    name: str | None = None
    waiting: dict[int, tuple[Request, asyncio.Future[Completion]]] = field(default_factory=dict)
    results: Mapping[int, Any] | None = None


class Batches:
    """The batches of one run, and those that earlier ones left behind.

    `quiet` and `poll` are in seconds.
    """

    def __init__(self, log: Log, quiet: float = QUIET, poll: tuple[float, float] = (FIRST, SLOWEST)) -> None:
        self._log, self._quiet, self._poll = log, quiet, poll
        self._gathered: dict[BatchModel, dict[int, tuple[Request, asyncio.Future[Completion]]]] = {}
        self._timers: dict[BatchModel, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: dict[int, Batch] = {}
        self._known: set[BatchModel] = set()

    @property
    def activity(self) -> str:
        """What is being waited for, for a person."""
        waiting = sum(len(keys) for keys in self._gathered.values())
        return (
            f"{len(self._tasks):,} batches under way, {waiting:,} calls gathered"
            if self._tasks or waiting
            else ""
        )

    async def make(self, model: BatchModel, request: Request, key: int) -> Completion:
        """The completion of a request, from a batch. Raises `CallFailed` as a single call does."""
        self._remember(model)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        batch = self._left.get(key)
        if batch is not None and batch.results is not None and key not in batch.results:
            batch = None  # the provider has lost it
        if batch is None:
            self._gather(model, key, request, future)
        else:
            batch.waiting[key] = (request, future)
            if batch.results is not None:
                self._hand_over(batch)
            elif len(batch.waiting) == 1:
                self._start(self._see_through(batch))
        completion = await future
        share = 1.0 if model.price is None else model.price.batch
        paid = priced(completion, model.price)
        cost = None if paid.cost is None else paid.cost * share
        return replace(paid, cost=cost, notes=" ".join(filter(None, [paid.notes, "batch"])), seconds=0.0)

    async def stop(self) -> None:
        """Stop waiting. What is in a batch stays there."""
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _remember(self, model: BatchModel) -> None:
        """Find the batches that earlier runs left, once for each model."""
        if model in self._known:
            return
        self._known.add(model)
        for tag, sent, name, keys in self._log.batches_of(model):
            batch = Batch(tag, model, sent, frozenset(keys), name)
            self._left |= dict.fromkeys(keys, batch)

    def _gather(
        self, model: BatchModel, key: int, request: Request, future: asyncio.Future[Completion]
    ) -> None:
        gathered = self._gathered.setdefault(model, {})
        gathered[key] = (request, future)
        if timer := self._timers.pop(model, None):
            timer.cancel()
        if len(gathered) >= MOST:
            self._send(model)
        else:
            loop = asyncio.get_running_loop()
            self._timers[model] = loop.call_later(self._quiet, self._send, model)

    def _send(self, model: BatchModel) -> None:
        if timer := self._timers.pop(model, None):
            timer.cancel()
        gathered = {k: v for k, v in self._gathered.pop(model, {}).items() if not v[1].cancelled()}
        if not gathered:
            return
        batch = Batch(secrets.token_hex(8), model, _now(), frozenset(gathered))
        batch.waiting = gathered
        self._start(self._see_through(batch, new=True))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, batch: Batch, new: bool = False) -> None:
        """Send a batch if it is new, wait for its end, and hand over what came of it."""
        try:
            if batch.name is None:
                await self._submit(batch, new)
            batch.results = {} if batch.name is None else await self._collect(batch, batch.name)
        except Exception as error:
            if batch.name is None and isinstance(error, Transport):
                error.charged = False  # the batch is not there
            for _, future in batch.waiting.values():
                if not future.done():
                    future.set_exception(error)
            batch.waiting.clear()
        else:
            self._hand_over(batch)

    async def _submit(self, batch: Batch, new: bool) -> None:
        """Send a new batch. One that an earlier run was killed over is looked for: it may be there."""
        model = batch.model
        requests = {key: request for key, (request, _) in batch.waiting.items()}
        if new:
            self._log.add_batch(batch.tag, model, batch.sent, None, sorted(requests))
            await self._log.durable()
            try:
                batch.name = await model.send_batch(batch.tag, requests)
            except Transport:  # it may be there all the same
                await asyncio.sleep(self._poll[0])
                batch.name = await model.find_batch(batch.tag, batch.sent, batch.keys)
                if batch.name is None:
                    batch.name = await model.send_batch(batch.tag, requests)
        else:
            batch.name = await model.find_batch(batch.tag, batch.sent, batch.keys)
        if batch.name is not None:
            self._log.add_batch(batch.tag, model, batch.sent, batch.name, [])
            await self._log.durable()

    async def _collect(self, batch: Batch, name: str) -> Mapping[int, Any]:
        wait, failed = self._poll[0], 0
        while True:
            try:
                results = await batch.model.collect_batch(name)
                failed = 0
            except Transport:
                results = None
                failed += 1
                if failed >= PATIENCE:
                    raise
            if results is not None:
                return results
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, self._poll[1])

    def _hand_over(self, batch: Batch) -> None:
        assert batch.results is not None
        waiting, batch.waiting = batch.waiting, {}
        for key, (request, future) in waiting.items():
            if future.done():
                continue
            if batch.name is None:  # it was never sent
                self._gather(batch.model, key, request, future)
            elif key not in batch.results:
                future.set_exception(Transport("the batch ended without this call"))
            else:
                try:
                    future.set_result(batch.model.from_batch(batch.results[key], request))
                except OversightError as error:
                    future.set_exception(error)


def poll_of_environment() -> tuple[float, float]:
    """Seconds between two looks, from OVERSIGHT_BATCH_POLL where it is set (for tests)."""
    value = os.environ.get("OVERSIGHT_BATCH_POLL")
    return (float(value), float(value)) if value else (FIRST, SLOWEST)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
