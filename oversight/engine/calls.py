"""Making calls: from the store where they were made before, once where several want the same, else paid.

A call's key is its content: model identity, kind, messages, sampling, continuations, sample number.
Its seed derives from the key, so the same call draws the same reply wherever it is needed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from oversight.errors import CallFailed, ContextOverflow, Transport
from oversight.models.interface import Completion, Message, Model, Request
from oversight.question import content_key
from oversight.store.log import Log


@dataclass(frozen=True, slots=True)
class Made:
    """A completion, the key of its call, and whether this request was the one that paid for it."""

    call: int
    completion: Completion
    paid: bool


class Caller:
    """Makes the calls of one run. `played` counts those made, `reused` those found."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.made = 0
        self.reused = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._flying: dict[int, asyncio.Future[Completion]] = {}
        self._gates: dict[int, asyncio.Semaphore] = {}
        self._messages: dict[Message, int] = {}

    def _message_key(self, message: Message) -> int:
        # Systems and passages recur by the thousand; the memory is dropped, not grown, when it is full.
        key = self._messages.get(message)
        if key is None:
            if len(self._messages) > 20_000:
                self._messages.clear()
            key = self._messages[message] = content_key("message", message.role, message.content)
        return key

    async def make(self, model: Model, request: Request, sample: int) -> Made:
        """The completion of a request, durable. Raises `CallFailed` where there is none."""
        messages = [self._message_key(m) for m in request.messages]
        s = request.sampling
        kind = "score" if request.continuations else "generate"
        # Greedy calls are the same whatever the sample number; sampled ones are drawn anew for each.
        drawn = sample if s.temperature > 0 or model.stochastic or not model.reuse else 0
        key = content_key(
            "call",
            model.identity,
            kind,
            messages,
            s.temperature,
            s.top_p,
            s.max_tokens,
            s.stop,
            request.continuations,
            drawn,
        )
        if model.reuse:
            flying = self._flying.get(key)
            if flying is not None:
                self.reused += 1
                return Made(key, await asyncio.shield(flying), False)
            if self.log.has_call(key):
                self.reused += 1
                return Made(key, await self.log.get_call(key, model, messages), self.log.claim(key))
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        if model.reuse:
            self._flying[key] = future
        try:
            completion = await self._pay(model, request, key, kind, messages, drawn)
        except BaseException as error:
            if isinstance(error, CallFailed):
                future.set_exception(error)
            elif isinstance(error, asyncio.CancelledError):
                future.set_exception(Transport("the run was stopped"))
            else:
                future.set_exception(Transport(f"the model broke: {error}"))
            future.exception()  # there may be no other waiter
            raise
        else:
            future.set_result(completion)
        finally:
            self._flying.pop(key, None)
        return Made(key, completion, True)

    async def _pay(
        self, model: Model, request: Request, key: int, kind: str, messages: list[int], sample: int
    ) -> Completion:
        request = Request(
            request.messages, request.sampling, request.continuations, seed=key >> 1, view=request.view
        )
        gate = None
        if model.in_flight:
            gate = self._gates.get(id(model))
            if gate is None:
                gate = self._gates[id(model)] = asyncio.Semaphore(model.in_flight)
            await gate.acquire()
        started = datetime.now(UTC).replace(tzinfo=None)
        clock = time.perf_counter()
        try:
            reply = await (model.score(request) if request.continuations else model.generate(request))
        except (Transport, ContextOverflow) as error:
            self.log.add_failure(key, model, started, error)
            raise
        finally:
            if gate:
                gate.release()
        completion = reply.without_surrogates()
        self.log.add_call(
            key, model, kind, request, messages, sample, completion, started, time.perf_counter() - clock
        )
        await self.log.durable()
        self.made += 1
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        return completion
