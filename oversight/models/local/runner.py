"""A loaded model and its memory: decides how its batches run, and runs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from oversight.models.local import plain
from oversight.models.local.attention import IMPLEMENTATION
from oversight.models.local.chat import Chat
from oversight.models.local.decode import Rows
from oversight.models.local.memory import device_of
from oversight.models.local.prefixes import Prefixes
from oversight.models.local.scoring import Query, Scorer
from oversight.models.local.writing import Reply, Writer

STEP = {"cpu": 512, "mps": 1024, "cuda": 8192}
"""New tokens a pass computes at most: enough to keep the device busy, few enough to bound memory."""

BATCH = {"cpu": 64, "mps": 32, "cuda": 256}
"""Replies written at once, unless told otherwise."""


LEAST = 1024
"""Tokens of keys and values a model gets, for prefixes and again for replies, however little memory there is."""

CHUNK = 16
"""Passes of new tokens that are computed in one go, before replies under way go on and results are handed over."""


class Runner:
    """Scores and writes with `model`. `shares` says whether prefixes are shared (see plain.py if not).

    It takes turns with the other models on its device, and has its part of the device's memory for keys and
    values (see `Device`): half of that keeps prefixes from batch to batch, the rest is for replies being
    written. `stop` is called before each pass and may raise to give up.
    """

    def __init__(self, model: Any, chat: Chat, max_batch: int | None) -> None:
        self._model, self._chat = model, chat
        kind = model.device.type
        self.max_batch = max_batch or BATCH[kind]
        self.stop: Callable[[], None] = lambda: None
        self._device = device_of(model)
        with self._device.turn():
            self.shares = fits(model)
        self._plain: deque[Query | Reply] = deque()
        self._scored = False
        if not self.shares:
            return
        layers = model.config.get_text_config().num_hidden_layers
        self._prefixes = Prefixes(model, layers, capacity=LEAST, step=STEP[kind])
        self._prefixes.stop = lambda: self.stop()
        self._scorer = Scorer(self._prefixes, LEAST)
        self._writer = Writer(
            model,
            layers,
            chat,
            self._prefixes,
            max_batch=self.max_batch,
            tokens=LEAST,
            chunk=LEAST,
            share=not _windowed(model),
        )
        self._device.join(self)

    @property
    def held(self) -> int:
        """See `Member.held`."""
        return self._prefixes.held * _token_bytes(self._model)

    def resize(self, size: int) -> None:
        """See `Member.resize`."""
        capacity = max(LEAST, size // _token_bytes(self._model) // 2)
        chunk = min(capacity, CHUNK * STEP[self._model.device.type])
        self._prefixes.capacity = capacity
        self._prefixes.settle()
        self._scorer.chunk = chunk
        self._writer.resize(capacity, chunk)

    def close(self) -> None:
        """Give the memory for keys and values to the other models on the device."""
        if self.shares:
            self._device.leave(self)
            self.reset()
            self._prefixes.forget()

    def add(self, item: Query | Reply) -> None:
        """Have a query scored or a reply written; `advance` does it."""
        if not self.shares:
            self._plain.append(item)
        elif isinstance(item, Query):
            self._scorer.add(item)
        else:
            self._writer.add(item)

    def advance(self) -> None:
        """Score some queries, or bring replies forward, in turn where there are both."""
        with self._device.turn(lambda: self.stop()):
            self.stop()
            self._advance()

    def _advance(self) -> None:
        if not self.shares:
            if self._plain:
                self._advance_plain(self._plain.popleft())
        elif self._scorer.busy and not (self._scored and self._writer.busy):
            self._scored = True
            self._scorer.advance()
        elif self._writer.busy:
            self._scored = False
            self._writer.advance()

    def reset(self) -> None:
        """Forget all that was added."""
        self._plain.clear()
        if self.shares:
            self._scorer.reset()
            self._writer.reset()

    @property
    def activity(self) -> str:
        """What is being done at the moment, for a person."""
        if not self.shares:
            return ""
        if due := self._prefixes.due:
            return f"reading {due:,} tokens"
        replies, tokens = self._writer.under_way
        return f"writing {replies:,} replies, {tokens:,} tokens so far" if replies else ""

    def _advance_plain(self, item: Query | Reply) -> None:
        if isinstance(item, Query):
            plain.score(self._model, item, self.stop)
        else:
            plain.write(self._model, self._chat, item, self.stop)


def _windowed(model: Any) -> bool:
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return "sliding_attention" in kinds
    return getattr(config, "sliding_window", None) is not None


def _token_bytes(model: Any) -> int:
    """Bytes of keys and values a token takes."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * dim * model.dtype.itemsize)


@torch.inference_mode()
def fits(model: Any) -> bool:
    """Whether the shared passes compute what the model's own forward pass computes; switches them on if so.

    Tried on three short sequences, two of which share a prefix, and a reply of one token.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    ropes = [rope, *(r for r in rope.values() if isinstance(r, dict))]
    if any(r.get("rope_type") in ("dynamic", "longrope") for r in ropes):
        return False  # positions that depend on the longest sequence in the batch
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        return False
    own = model.config._attn_implementation
    base = [(7 * i + 3) % min(config.vocab_size, 1000) for i in range(1, 12)]
    sequences = [base, [*base[:6], 5, 9, 11], [2, 4, 8]]
    try:
        expected = [
            model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1].float()
            for ids in sequences
        ]
        model.set_attn_implementation(IMPLEMENTATION)
        tree = Prefixes(model, config.num_hidden_layers, capacity=64, step=64)
        got: dict[int, torch.Tensor] = {}
        ends = [tree.add(ids[:-1], marks=[])[1] for ids in sequences]
        for i, ids in enumerate(sequences):
            tree.add(ids, marks=[i])

        def read(marks: list[list[int]], logits: torch.Tensor) -> None:
            got.update({mark: row.float() for who, row in zip(marks, logits, strict=True) for mark in who})

        tree.fill(read)
        rows = Rows(model, config.num_hidden_layers, most=len(sequences), share=False)
        rows.join(ends, [len(ids) + 1 for ids in sequences])
        stepped = rows.step([ids[-1] for ids in sequences]).float()
    except Exception:  # whatever it is that this architecture does not have in common with the others
        model.set_attn_implementation(own)
        return False
    spread = max(float(e.std()) for e in expected)
    tolerance = spread * (1e-3 if model.dtype == torch.float32 else 0.1)
    right = all(
        float((e - g).abs().max()) <= tolerance
        for e, a, b in zip(expected, (got[i] for i in range(len(sequences))), stepped, strict=True)
        for g in (a, b)
    )
    if not right or (_windowed(model) and tree.windows <= {None}):
        model.set_attn_implementation(own)
        return False
    return True
