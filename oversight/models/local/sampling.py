"""Drawing the next token of many replies at once, each from its own stream of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oversight.models.interface import Sampling

NUCLEUS = 256
"""Most likely tokens looked at first for `top_p`; the whole vocabulary is sorted only if they fall short."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How one reply is drawn. `generator` is its own, so its text does not depend on the others'."""

    sampling: Sampling
    generator: torch.Generator

    @classmethod
    def start(cls, sampling: Sampling, seed: int) -> Draw:
        """At the beginning of a reply."""
        return cls(sampling, torch.Generator().manual_seed(seed & (2**63 - 1)))


def draw(logits: Tensor, draws: Sequence[Draw]) -> tuple[list[int], list[float]]:
    """For each row of logits (B, vocab) a token, and its log-probability at temperature 1."""
    logits = logits.float()
    tokens = logits.argmax(-1).tolist()
    for i, one in enumerate(draws):
        if one.sampling.temperature > 0:
            tokens[i] = _sample(logits[i].cpu(), one)
    chosen = logits.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0]
    return tokens, (chosen - logits.logsumexp(-1)).tolist()


def _sample(logits: Tensor, one: Draw) -> int:
    """A token from logits (vocab,), by inverting the cumulative distribution at one uniform number."""
    point = torch.rand((), generator=one.generator, dtype=torch.float64)
    probs = (logits / one.sampling.temperature).softmax(-1)
    top_p = one.sampling.top_p
    if top_p >= 1:
        return _invert(probs, point)
    best, index = probs.topk(min(NUCLEUS, len(probs)))
    if float(best.sum(dtype=torch.float64)) < top_p:
        best, index = probs.sort(descending=True, stable=True)
    # The smallest set of tokens that reaches top_p: those before which less than top_p has been seen.
    before = best.double().cumsum(0) - best.double()
    return int(index[_invert(best[: max(1, int((before < top_p).sum()))], point)])


def _invert(probs: Tensor, point: Tensor) -> int:
    """Where the cumulative sum of probs (n,) passes `point` of its total."""
    heap = probs.double().cumsum(0)
    return min(int(torch.searchsorted(heap, point * heap[-1], right=True)), len(probs) - 1)
