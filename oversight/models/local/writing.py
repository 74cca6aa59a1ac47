"""Batches of replies, written together: rows join as slots free and leave when their reply ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from oversight.models.interface import Completion, Request, Sampling, Stop
from oversight.models.local.chat import Chat
from oversight.models.local.decode import WORTH, Rows
from oversight.models.local.prefixes import Node, Prefixes, common
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
    """Writes replies with `model`, at most `max_batch` and `tokens` tokens of keys and values at a time."""

    def __init__(
        self,
        model: Any,
        layers: int,
        chat: Chat,
        prefixes: Prefixes,
        *,
        max_batch: int,
        tokens: int,
        share: bool,
    ) -> None:
        self._model, self._layers, self._chat, self._prefixes = model, layers, chat, prefixes
        self._max_batch, self._tokens, self._share = max_batch, tokens, share

    def write(self, replies: Sequence[Reply]) -> None:
        """Write all of `replies` to their ends."""
        # Neighbours in this order share the longest prefixes.
        waiting = deque(sorted(replies, key=lambda reply: reply.prompt))
        rows = Rows(self._model, self._layers, share=self._share)
        active: list[Reply] = []
        try:
            while waiting or active:
                self._prefixes.stop()
                for slot in reversed([i for i, reply in enumerate(active) if reply.dropped()]):
                    self._remove(rows, active, slot)
                free = self._max_batch - len(active)
                # Letting rows in costs a pass of its own: not for each single slot.
                if waiting and (not active or free >= max(1, self._max_batch // 8)):
                    self._admit(waiting, rows, active)
                if active:
                    self._advance(rows, active, rows.step([reply.tokens[-1] for reply in active]))
        finally:
            self._prefixes.settle()

    def _admit(self, waiting: deque[Reply], rows: Rows, active: list[Reply]) -> None:
        """Compute the next prompts, draw their first tokens, and give them rows."""
        joining: list[Reply] = []
        ends: list[Node] = []
        while waiting and len(active) + len(joining) < self._max_batch:
            reply = waiting[0]
            # Always at least one row; else only as many as fit when all grow to the full.
            if (active or joining) and self._held(rows, [*joining, reply]) > self._tokens:
                break
            waiting.popleft()
            if reply.dropped():
                continue
            reply.cached, end = self._prefixes.add(reply.prompt, marks=[len(joining)])
            joining.append(reply)
            ends.append(end)
        first: list[Tensor | None] = [None] * len(joining)

        def read(marks: list[list[int]], logits: Tensor) -> None:
            for who, row in zip(marks, logits, strict=True):
                for mark in who:
                    first[mark] = row

        self._prefixes.fill(read)
        logits = [row for row in first if row is not None]
        assert len(logits) == len(joining)
        if joining:
            at = len(active)
            rows.join(ends, [reply.needed for reply in joining])
            self._prefixes.settle()
            active += joining
            self._advance(rows, active, torch.stack(logits), at)

    def _held(self, rows: Rows, joining: Sequence[Reply]) -> int:
        """Tokens of keys and values that `rows` would hold with those joining, all at their longest.

        Each row is as wide as the widest, less what it shares; a prefix shared by those who join together
        is held once. Short shared prefixes are not counted as shared: they may not be.
        """
        joining = sorted(joining, key=lambda reply: reply.prompt)
        shares = [common(a.prompt, b.prompt) for a, b in pairwise(joining)] if self._share else []
        shares = [share if share >= WORTH else 0 for share in shares] or [0] * (len(joining) - 1)
        own = [
            reply.needed - max(before, after)
            for reply, before, after in zip(joining, [0, *shares], [*shares, 0], strict=True)
        ]
        once = sum(reply.needed for reply in joining) - sum(shares) - sum(own)
        return (len(rows) + len(joining)) * max(rows.width, *own) + rows.shared_tokens + once

    def _advance(self, rows: Rows, active: list[Reply], logits: Tensor, first: int = 0) -> None:
        """Draw a token for the rows from `first` on, and take out those whose reply ends with it."""
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
            self._remove(rows, active, slot)

    @staticmethod
    def _remove(rows: Rows, active: list[Reply], slot: int) -> None:
        rows.leave(slot)
        active[slot] = active[-1]
        active.pop()


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
        cost=0.0,
        text=text if cut < 0 else text[:cut],
        stop=stop,
        prompt_tokens=len(reply.prompt),
        completion_tokens=len(reply.tokens),
        cached_tokens=reply.cached,
        token_ids=tuple(reply.tokens),
        logprobs=tuple(reply.logprobs),
    )
