"""Log-probabilities of continuations, many requests at once over shared prefixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oversight.models.interface import Completion
from oversight.models.local.prefixes import Prefixes


@dataclass(eq=False, slots=True)
class Query:
    """One request: token ids of its prompt and continuations. `done` gets the completion.

    `logprobs`: for each continuation those of its tokens.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    done: Callable[[Completion], None]
    dropped: Callable[[], bool]
    logprobs: list[list[float]] = field(default_factory=list)
    cached: int = 0

    def __post_init__(self) -> None:
        self.logprobs = [[0.0] * len(tokens) for tokens in self.continuations]

    @property
    def needed(self) -> int:
        """Tokens of the prompt and the longest continuation."""
        return len(self.prompt) + max(map(len, self.continuations), default=0)

    def finish(self) -> None:
        """Hand over the completion."""
        completion = Completion(
            prompt_tokens=len(self.prompt),
            completion_tokens=sum(map(len, self.continuations)),
            cached_tokens=self.cached,
            scores=tuple(float(sum(one)) for one in self.logprobs),
        )
        self.done(completion)


class Scorer:
    """Scores queries over the tree `prefixes`, about `chunk` new tokens of prompts at a time."""

    def __init__(self, prefixes: Prefixes, chunk: int) -> None:
        self._prefixes, self.chunk = prefixes, chunk
        self.reset()

    def reset(self) -> None:
        """Forget all queries."""
        self._fresh: list[Query] = []
        self._waiting: list[Query] = []

    def add(self, query: Query) -> None:
        """Have a query scored; `advance` does it."""
        self._fresh.append(query)

    @property
    def busy(self) -> bool:
        """Whether `advance` has something to do."""
        return bool(self._fresh or self._waiting)

    def advance(self) -> None:
        """Score some of the queries."""
        if not self._waiting:
            # Neighbours in this order share the longest prefixes. Later ones wait for these.
            self._waiting = sorted(self._fresh, key=lambda query: query.prompt, reverse=True)
            self._fresh = []
        prefixes = self._prefixes
        taken: list[Query] = []
        targets: list[tuple[list[float], int, int]] = []
        try:
            while self._waiting and prefixes.due < self.chunk:
                query = self._waiting.pop()
                if not query.dropped():
                    _add(prefixes, query, targets)
                    taken.append(query)
            prefixes.fill(lambda marks, logits: _read(targets, marks, logits))
        finally:
            prefixes.settle()
        for query in taken:
            query.finish()


def _add(prefixes: Prefixes, query: Query, targets: list[tuple[list[float], int, int]]) -> None:
    """Ask for each continuation's log-probs. `targets` says of each mark where its number goes, and of
    which token it is."""
    for i, (tokens, out) in enumerate(zip(query.continuations, query.logprobs, strict=True)):
        if not tokens:
            continue
        marks = range(len(targets), len(targets) + len(tokens))
        targets.extend((out, place, token) for place, token in enumerate(tokens))
        found, _ = prefixes.add(query.prompt, tokens[:-1], marks)
        if i == 0:  # the others find what the first one asked for
            query.cached = found


def _read(targets: list[tuple[list[float], int, int]], marks: list[list[int]], logits: Tensor) -> None:
    """Note the log-probs that the wanted rows of logits (W, vocab) give."""
    flat = [(row, targets[mark]) for row, who in enumerate(marks) for mark in who]
    rows = torch.tensor([row for row, _ in flat], device=logits.device)
    tokens = torch.tensor([token for _, (_, _, token) in flat], device=logits.device)
    logits = logits.float()
    values = (logits[rows, tokens] - logits.logsumexp(-1)[rows]).tolist()
    for value, (_, (out, place, _)) in zip(values, flat, strict=True):
        out[place] = value
