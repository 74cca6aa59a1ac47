"""Batches of replies, written together: rows join as slots free and leave when their reply ends."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from oversight.models.interface import Completion, Request, Sampling, Stop
from oversight.models.local.chat import Chat
from oversight.models.local.decode import Rows
from oversight.models.local.prefixes import Node, Prefixes
from oversight.models.local.sampling import Draw, draw


@dataclass(eq=False, slots=True)
class Reply:
    """One reply in progress. `done` gets the completion; `dropped` says nobody waits for it any more."""

    request: Request
    prompt: tuple[int, ...]
    done: Callable[[Completion], None]
    dropped: Callable[[], bool]
    draw: Draw = field(init=False)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    cached: int = 0

    def __post_init__(self) -> None:
        self.draw = Draw.start(self.request.sampling, self.request.seed)

    @property
    def needed(self) -> int:
        """Tokens of prompt and reply at the most."""
        return len(self.prompt) + self.request.sampling.max_tokens


class Writer:
    """Writes replies with `model`, at most `max_batch` and `tokens` tokens of keys and values at a time.

    `chunk` bounds how many tokens of new prompts are computed before the replies under way go on.
    """

    def __init__(
        self,
        model: Any,
        layers: int,
        chat: Chat,
        prefixes: Prefixes,
        *,
        max_batch: int,
        tokens: int,
        chunk: int,
        share: bool,
    ) -> None:
        self._chat, self._prefixes = chat, prefixes
        self._max_batch, self._tokens, self._chunk = max_batch, tokens, chunk
        self._new_rows: Callable[[], Rows] = lambda: Rows(model, layers, most=max_batch, share=share)
        self.reset()

    def reset(self) -> None:
        """Forget all replies."""
        self._fresh: list[Reply] = []
        self._waiting: deque[Reply] = deque()
        self._active: list[Reply] = []
        self._rows = self._new_rows()
        self._joined = False  # in the last `advance`
        self._full = False  # until a reply ends

    def resize(self, tokens: int, chunk: int) -> None:
        """Keep to other bounds from the next reply on."""
        self._tokens, self._chunk = tokens, chunk

    def add(self, reply: Reply) -> None:
        """Have a reply written; `advance` does it."""
        self._fresh.append(reply)

    @property
    def busy(self) -> bool:
        """Whether `advance` has something to do."""
        return bool(self._fresh or self._waiting or self._active)

    @property
    def under_way(self) -> tuple[int, int]:
        """Replies being written, and their tokens so far."""
        active = list(self._active)
        return len(active), sum(len(reply.tokens) for reply in active)

    def advance(self) -> None:
        """Let replies in, or add a token to each of those under way."""
        active = self._active
        for slot in reversed([i for i, reply in enumerate(active) if reply.dropped()]):
            self._remove(slot)
        if not self._waiting:
            # Neighbours in this order share the longest prefixes. Later ones wait for these to be let in.
            self._waiting = deque(sorted(self._fresh, key=lambda reply: reply.prompt))
            self._fresh = []
        # Letting rows in costs a pass of its own: not for each single slot, nor twice in a row.
        worth = self._max_batch - len(active) >= max(1, self._max_batch // 8)
        if self._waiting and (not active or (worth and not self._joined and not self._full)):
            self._joined = True
            self._admit()
        elif active:
            self._joined = False
            self._step(self._rows.step([reply.tokens[-1] for reply in active]))

    def _admit(self) -> None:
        """Compute the next prompts, draw their first tokens, and give them rows."""
        prefixes, rows, waiting = self._prefixes, self._rows, self._waiting
        prefixes.stop()
        joining: list[Reply] = []
        ends: list[Node] = []
        try:
            while (
                waiting and len(self._active) + len(joining) < self._max_batch and prefixes.due < self._chunk
            ):
                reply = waiting.popleft()
                if not reply.dropped():
                    reply.cached, end = prefixes.add(reply.prompt, marks=[len(joining)])
                    joining.append(reply)
                    ends.append(end)
            # Only as many as fit when all grow to the full; where nothing is under way, always one.
            needs = [reply.needed for reply in joining]
            least = 0 if self._active else 1
            fit = bisect_right(
                range(least, len(ends) + 1), self._tokens, key=lambda n: rows.held(ends[:n], needs[:n])
            )
            fit = min(len(ends), max(least, least + fit - 1))
            for mark in reversed(range(fit, len(joining))):
                prefixes.drop(ends[mark], mark)
                waiting.appendleft(joining[mark])
            self._full = fit < len(joining)
            if not fit:
                return
            first: list[Tensor | None] = [None] * fit

            def read(marks: list[list[int]], logits: Tensor) -> None:
                for who, row in zip(marks, logits, strict=True):
                    for mark in who:
                        first[mark] = row

            prefixes.fill(read)
            rows.join(ends[:fit], needs[:fit])
        finally:
            prefixes.settle()
        at = len(self._active)
        self._active += joining[:fit]
        self._step(torch.stack([row for row in first if row is not None]), at)

    def _step(self, logits: Tensor, first: int = 0) -> None:
        """Draw a token for the rows from `first` on, and take out those whose reply ends with it."""
        active = self._active
        tokens, logprobs = draw(logits, [reply.draw for reply in active[first:]])
        ended: list[int] = []
        for slot, token, logprob in zip(range(first, len(active)), tokens, logprobs, strict=True):
            reply = active[slot]
            reply.tokens.append(token)
            reply.logprobs.append(logprob)
            completion = finished(self._chat, reply)
            if completion is not None:
                reply.done(completion)
                ended.append(slot)
        for slot in reversed(ended):
            self._remove(slot)

    def _remove(self, slot: int) -> None:
        self._rows.leave(slot)
        self._active[slot] = self._active[-1]
        self._active.pop()
        self._full = False
        if not self._active:
            self._rows = self._new_rows()  # gives its buffer back


def finished(chat: Chat, reply: Reply) -> Completion | None:
    """The completion if the reply ends with its latest token.

    Its token ids are all that were drawn, an end-of-turn token included; its text stops before a stop
    string.
    """
    sampling: Sampling = reply.request.sampling
    ended = reply.tokens[-1] in chat.end_ids
    over = len(reply.tokens) >= sampling.max_tokens
    if not ended and not over and not sampling.stop:
        return None
    prefilled = reply.request.messages[-1].role == "assistant"
    text = chat.text(reply.tokens[:-1] if ended else reply.tokens, reply.prompt[-1] if prefilled else None)
    cut = min((at for stop in sampling.stop if stop and (at := text.find(stop)) >= 0), default=-1)
    if not ended and not over and cut < 0:
        return None
    stop: Stop = "end" if ended or cut >= 0 else "length"
    return Completion(
        text=text if cut < 0 else text[:cut],
        stop=stop,
        prompt_tokens=len(reply.prompt),
        completion_tokens=len(reply.tokens),
        cached_tokens=reply.cached,
        token_ids=tuple(reply.tokens),
        logprobs=tuple(reply.logprobs),
    )
