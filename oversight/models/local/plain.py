"""One sequence at a time, by transformers' ordinary forward pass: for models whose attention the shared
passes do not fit (recurrent ones, attention sinks, positions that depend on the length)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from oversight.models.local.chat import Chat
from oversight.models.local.sampling import draw
from oversight.models.local.scoring import Query
from oversight.models.local.writing import Reply, finished


@torch.inference_mode()
def score(model: Any, query: Query, stop: Callable[[], None]) -> None:
    """Score a query, nothing shared."""
    for tokens, out in zip(query.continuations, query.logprobs, strict=True):
        stop()
        if query.dropped():
            return
        if not tokens:
            continue
        ids = torch.tensor([[*query.prompt, *tokens[:-1]]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(query.prompt) - 1 :].float()
        targets = torch.tensor(tokens, device=model.device)[:, None]
        out[:] = (logits.gather(1, targets)[:, 0] - logits.logsumexp(-1)).tolist()
    query.finish()


@torch.inference_mode()
def write(model: Any, chat: Chat, reply: Reply, stop: Callable[[], None]) -> None:
    """Write a reply to its end."""
    ids, cache = list(reply.prompt), None
    while not reply.dropped():
        stop()
        inputs = torch.tensor([ids], device=model.device)
        out = model(input_ids=inputs, **({"past_key_values": cache} if cache is not None else {}))
        cache = out.get("past_key_values")  # None: a state that only transformers' generate can carry on
        tokens, logprobs = draw(out.logits[:, -1], [reply.draw])
        reply.tokens += tokens
        reply.logprobs += logprobs
        completion = finished(chat, reply)
        if completion is not None:
            reply.done(completion)
            return
        ids = tokens if cache is not None else [*reply.prompt, *reply.tokens]
