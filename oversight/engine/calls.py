"""Making calls: from the store where they were made before, once where several want the same, else paid.

A call's key is its content: model identity, kind, messages, sampling, continuations, sample number.
Its seed derives from the key, so the same call draws the same reply wherever it is needed.
"""

from __future__ import annotations

import asyncio
import math
import reprlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from oversight.engine.batches import Batches
from oversight.engine.budget import Budget, Charge
from oversight.engine.limits import Limiter, attempts
from oversight.errors import CallFailed, Transport, UserError
from oversight.models.contract import blamed
from oversight.models.interface import BatchModel, Completion, Manners, Model, Request, Stop
from oversight.models.prices import priced
from oversight.question import content_key
from oversight.store.log import Log

if TYPE_CHECKING:
    from oversight.engine.sharing import Shared

STOPS = get_args(Stop)


def draw_number(model: Model, request: Request, sample: int) -> int:
    """Which draw of a prompt a call is: greedy calls are the same whatever the sample number, sampled ones
    are drawn anew for each."""
    stochastic = request.sampling.temperature > 0 or model.stochastic
    return sample * request.of + request.nth if stochastic else 0


def kind_of(request: Request) -> str:
    """What a call asks for: "score" or "generate"."""
    return "score" if request.continuations else "generate"


def call_key(
    model: Model, request: Request, messages: Sequence[int], drawn: int, once: tuple[int, ...] = ()
) -> int:
    """Content key of a call, given those of its messages; `once` makes it unlike any other."""
    s = request.sampling
    return content_key(
        "call",
        model.identity,
        kind_of(request),
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


@dataclass(frozen=True, slots=True)
class Made:
    """A completion and the key of its call."""

    call: int
    completion: Completion


class Caller:
    """Makes the calls of one run. `played` counts those made, `reused` those found."""

    def __init__(
        self,
        log: Log,
        budget: Budget | None = None,
        batches: Batches | None = None,
        shared: Shared | None = None,
    ) -> None:
        self.log = log
        self.shared = shared
        self.budget = budget or Budget()
        self.batches = batches
        self.made = 0
        self.reused = 0
        self.heard = 0
        """Calls, made or found, whose completion an episode has."""
        self.untold = 0
        """Calls of which nobody said how many tokens they took."""
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._flying: dict[int, asyncio.Future[Completion]] = {}
        self._limiters: dict[int, Limiter] = {}
        self._asked = 0
        self._scoring: set[str] = set()  # identities of models that gave log-probs

    async def make(self, model: Model, request: Request, sample: int) -> Made:
        """The completion of a request, durable. Raises `CallFailed` where there is none."""
        messages = [message.key for message in request.messages]
        drawn = draw_number(model, request, sample)
        # What is never reused is never the same call: people and models in training answer anew.
        self._asked += 1
        key = call_key(model, request, messages, drawn, () if model.reuse else (self.log.run, self._asked))
        if model.reuse:
            flying = self._flying.get(key)
            if flying is not None:
                self.reused += 1
                try:
                    return Made(key, await asyncio.shield(flying))
                finally:
                    del flying  # as below
            if self.log.has_call(key):
                self.reused += 1
                return Made(key, self._heard(model, await self.log.get_call(key, model, messages)))
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        if model.reuse:
            self._flying[key] = future
        try:
            # Another process may be making it, or have made it.
            found = await self.shared.claim(key, model, messages) if self.shared and model.reuse else None
            if found is not None:
                self.reused += 1
                completion = self._heard(model, found)
            else:
                batched = self.batches is not None and isinstance(model, BatchModel) and model.batches
                async with self.budget.reserve(model, request, batched) as charge:
                    completion = await self._pay(model, request, key, messages, drawn, charge)
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
            del future  # it may hold an error, whose frames would hold it
            self._flying.pop(key, None)
            if self.shared is not None:
                self.shared.release(key)
        return Made(key, completion)

    def _limiter(self, model: Model) -> Limiter | None:
        """What holds a model's calls back; None for one that takes any number."""
        manners = model.manners
        if manners is None and model.in_flight is None:
            return None
        if id(model) not in self._limiters:
            most = model.in_flight or 1
            self._limiters[id(model)] = Limiter(manners or Manners(start=most, most=most))
        return self._limiters[id(model)]

    def _heard(self, model: Model, completion: Completion) -> Completion:
        """A completion, which may show that its model gives log-probs."""
        if completion.scores is not None:
            self._scoring.add(model.identity)
        return completion

    def _checked(self, reply: Any, request: Request, model: Model) -> Completion:
        lacking = isinstance(reply, Completion) and reply.scores is None and bool(request.letters)
        if lacking and model.identity not in self._scoring and self.log.has_scores(model):
            self._scoring.add(model.identity)
        check_reply(reply, request, model, scored=model.identity in self._scoring)
        return self._heard(model, reply)

    async def _pay(
        self, model: Model, request: Request, key: int, messages: list[int], sample: int, charge: Charge
    ) -> Completion:
        request = request.seeded(key >> 1)
        started: datetime
        took, tried, sent = 0.0, 1, False

        async def attempt() -> Completion:
            nonlocal started, took, sent
            sent = False
            if self.shared is not None:
                await self.shared.sure()
            started, clock, sent = _now(), time.perf_counter(), True
            with blamed(model):
                reply = await (model.score(request) if request.continuations else model.generate(request))
            took = time.perf_counter() - clock
            return self._checked(reply, request, model)

        heard: list[CallFailed] = []

        def lost(error: CallFailed) -> None:
            nonlocal sent
            heard.append(error)
            self.log.add_failure(key, model, _now(), error)
            if sent and isinstance(error, Transport) and error.charged:
                self.budget.lose(charge)
            sent = False

        async def again() -> None:
            await self.budget.again(charge)

        limiter = self._limiter(model)
        try:
            if self.batches is not None and isinstance(model, BatchModel) and model.batches:
                started, sent = _now(), True
                reply = self._checked(await self.batches.make(model, request, key), request, model)
            elif limiter is None:
                reply = await attempt()
            elif model.manners is None:
                async with limiter.slot():
                    reply = await attempt()
            else:
                reply, tried = await attempts(limiter, attempt, lost, again)
        except CallFailed as error:
            if not heard or error is not heard[-1]:
                lost(error)
            heard.clear()  # it holds this frame
            raise
        except asyncio.CancelledError:  # the run is stopped, or the lease of the episode ran out
            if sent:
                self.budget.lose(charge)
            raise
        completion = priced(reply.without_surrogates(), model.price)
        charge.settle(completion)
        seconds = took if completion.seconds is None else completion.seconds
        kind = kind_of(request)
        try:
            if limiter is not None:  # whoever waited for this one's place is sent first
                await asyncio.sleep(0)
        finally:  # it is paid for, also where the run is stopped here
            self.log.add_call(
                key, model, kind, request, messages, sample, completion, started, seconds, tried
            )
        await self.log.durable()
        self.log.keep(key, model, messages, completion)
        self.made += 1
        self.untold += completion.prompt_tokens is None or completion.completion_tokens is None
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        return completion


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def check_reply(reply: Any, request: Request, model: Model, scored: bool = False) -> None:
    """Hold a model to its interface: what passed unseen here would become a verdict.

    Raises `UserError` where the model is wrong, `Transport` where only its numbers are, or where a reply over
    the network lacks the log-probs that others of the model had (`scored`).
    """
    wrong = ""
    if not isinstance(reply, Completion):
        wrong = f"{reprlib.repr(reply)}, not a Completion"
    elif not isinstance(reply.text, str) or not isinstance(reply.private, str):
        wrong = "a Completion whose text is no text"
    elif reply.stop not in STOPS:
        wrong = f"a Completion with stop={reply.stop!r}, not one of {', '.join(STOPS)}"
    elif not all(map(_is_count, _counts(reply))):
        wrong = "a Completion whose token counts are not counts"
    elif not all(
        one is None or isinstance(one, str) for one in (reply.provider_id, reply.served, reply.notes)
    ):
        wrong = "a Completion whose provider_id, served or notes is no text"
    elif not all(one is None or _is_amount(one) for one in (reply.cost, reply.seconds)):
        wrong = "a Completion whose cost or seconds is no amount"
    elif not _are(_is_count, reply.token_ids) or not _are(_is_number, reply.logprobs):
        wrong = "a Completion whose token_ids or logprobs are no numbers"
    elif (wanted := len(request.continuations or request.letters)) and not _withheld(reply, request):
        scores = reply.scores
        if scores is None or len(scores) != wanted or not all(map(_is_number, scores)):
            wrong = f"scores {reprlib.repr(scores)} where {wanted} log-probs were asked for"
            if model.kind == "api" and scored:
                raise Transport(f"model {model.name!r} returned {wrong}", charged=True)
            if model.kind == "api" and scores is None:
                raise UserError(
                    f"model {model.name!r} gave no log-probs, which elicit=logprobs needs; "
                    "use elicit=hard, credence or votes"
                )
        elif any(math.isnan(s) or s == math.inf for s in scores) or max(scores) == -math.inf:
            raise Transport(
                f"model {model.name!r} gave log-probs that are no numbers: {reprlib.repr(scores)}",
                charged=True,
            )
    if wrong:
        raise UserError(f"model {model.name!r} returned {wrong}")


def _withheld(reply: Completion, request: Request) -> bool:
    """Whether there is nothing whose log-probs could be told."""
    return reply.stop in ("refused", "filter") or not (request.continuations or reply.text.strip())


def _counts(reply: Completion) -> tuple[Any, ...]:
    c = reply
    return c.prompt_tokens, c.completion_tokens, c.cached_tokens, c.cache_write_tokens, c.reasoning_tokens


def _is_count(number: Any) -> bool:
    return number is None or (isinstance(number, int) and 0 <= number < 2**31)


def _are(kind: Callable[[Any], bool], several: Any) -> bool:
    return several is None or (isinstance(several, tuple | list) and all(map(kind, several)))


def _is_number(number: Any) -> bool:
    return isinstance(number, float | int)


def _is_amount(number: Any) -> bool:
    return _is_number(number) and 0 <= number < math.inf
