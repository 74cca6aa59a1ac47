"""Making calls: from the store where they were made before, once where several want the same, else paid.

A call's key is its content: model identity, kind, messages, sampling, continuations, sample number.
Its seed derives from the key, so the same call draws the same reply wherever it is needed.
"""

from __future__ import annotations

import asyncio
import math
import reprlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args

from oversight.errors import ContextOverflow, Transport, UserError
from oversight.models.interface import Completion, Message, Model, Request, Stop
from oversight.question import content_key
from oversight.store.log import Log

STOPS = get_args(Stop)


@dataclass(frozen=True, slots=True)
class Made:
    """A completion and the key of its call."""

    call: int
    completion: Completion


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
            images = [image.key for image in message.images]
            key = content_key("message", message.role, message.content, *([images] if images else []))
            self._messages[message] = key
        return key

    async def make(self, model: Model, request: Request, sample: int) -> Made:
        """The completion of a request, durable. Raises `CallFailed` where there is none."""
        messages = [self._message_key(m) for m in request.messages]
        s = request.sampling
        kind = "score" if request.continuations else "generate"
        # Greedy calls are the same whatever the sample number; sampled ones are drawn anew for each.
        drawn = sample * request.of + request.nth if s.temperature > 0 or model.stochastic else 0
        # What is never reused is never the same call: people and models in training answer anew.
        once = () if model.reuse else (self.log.run, self.made)
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
            *((request.letters, request.schema) if request.letters or request.schema else ()),
            *once,
        )
        if model.reuse:
            flying = self._flying.get(key)
            if flying is not None:
                self.reused += 1
                return Made(key, await asyncio.shield(flying))
            if self.log.has_call(key):
                self.reused += 1
                return Made(key, await self.log.get_call(key, model, messages))
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        if model.reuse:
            self._flying[key] = future
        try:
            completion = await self._pay(model, request, key, kind, messages, drawn)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # there may be no other waiter
            raise
        else:
            future.set_result(completion)
        finally:
            self._flying.pop(key, None)
        return Made(key, completion)

    async def _pay(
        self, model: Model, request: Request, key: int, kind: str, messages: list[int], sample: int
    ) -> Completion:
        request = replace(request, seed=key >> 1)
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
            _check(reply, request, model)
        except (Transport, ContextOverflow) as error:
            self.log.add_failure(key, model, started, error)
            raise
        finally:
            if gate:
                gate.release()
        completion = reply.without_surrogates()
        seconds = time.perf_counter() - clock if completion.seconds is None else completion.seconds
        self.log.add_call(key, model, kind, request, messages, sample, completion, started, seconds, 1)
        await self.log.durable()
        self.made += 1
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        return completion


def _check(reply: Any, request: Request, model: Model) -> None:
    """Hold a model to its interface: what passed unseen here would become a verdict.

    Raises `UserError` where the model is wrong, `Transport` where only its numbers are.
    """
    wrong = ""
    if not isinstance(reply, Completion):
        wrong = f"{reprlib.repr(reply)}, not a Completion"
    elif not isinstance(reply.text, str) or not isinstance(reply.private, str):
        wrong = "a Completion whose text is no text"
    elif reply.stop not in STOPS:
        wrong = f"a Completion with stop={reply.stop!r}, not one of {', '.join(STOPS)}"
    elif not all(_is_count(n) for n in (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)):
        wrong = "a Completion whose token counts are not counts"
    elif (wanted := len(request.continuations or request.letters)) and reply.stop not in (
        "refused",
        "filter",
    ):
        scores = reply.scores
        if scores is None or len(scores) != wanted or not all(isinstance(s, float | int) for s in scores):
            wrong = f"scores {reprlib.repr(scores)} where {wanted} log-probs were asked for"
        elif any(math.isnan(s) or s == math.inf for s in scores) or max(scores) == -math.inf:
            raise Transport(
                f"model {model.name!r} gave log-probs that are no numbers: {reprlib.repr(scores)}"
            )
    if wrong:
        raise UserError(f"model {model.name!r} returned {wrong}")


def _is_count(number: Any) -> bool:
    return number is None or (isinstance(number, int) and 0 <= number < 2**31)
