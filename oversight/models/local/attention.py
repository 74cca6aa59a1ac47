"""Attention over shared prefixes, put under any transformers model through its attention interface.

All tokens of a forward pass lie in one row of shape (1, N): the model's linear layers see no padding,
and what each token attends to is the business of a plan. `Packed` runs pieces of a prefix tree (tokens
attend to their ancestors); `Rows` (in decode.py) advances many replies by one token each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

IMPLEMENTATION = "oversight"
"""The name under which transformers knows `attend`."""


class Unsupported(Exception):
    """The model's attention does something that the plans here do not know."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """What a layer asks of its attention, beside queries, keys and values.

    `window`: a token sees only the last `window` positions, itself included. `softcap`: scores are
    squashed to ±softcap.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None


class Plan(Protocol):
    """Keeps one pass's keys and values, and attends over them."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, flavour: Flavour) -> Tensor:
        """(1, heads, N, dim) of each token, from its q (1, heads, N, dim), k and v (1, kv_heads, N, dim)."""
        ...


_current = threading.local()


@contextmanager
def using(plan: Plan) -> Iterator[None]:
    """The plan that models run in this thread attend by."""
    _current.plan = plan
    try:
        yield
    finally:
        _current.plan = None


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention function; the mask is the plan's. Returns (1, N, heads, dim)."""
    plan: Plan | None = getattr(_current, "plan", None)
    if plan is None or s_aux is not None or attention_mask is not None:
        raise Unsupported("attention sinks, or a mask of the model's own")
    flavour = Flavour(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap)
    layer: int = module.layer_idx  # type: ignore[assignment]  # an attribute of every attention module
    return plan.attend(layer, query, key, value, flavour).transpose(1, 2), None


AttentionInterface.register(IMPLEMENTATION, attend)


def sdpa(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, flavour: Flavour, causal: bool = False
) -> Tensor:
    """Attention of q (B, heads, n, dim) to k, v (B, kv_heads, m, dim); `mask` is added, (…, n, m)."""
    if flavour.softcap is None:
        if q.is_cpu:
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=causal, scale=flavour.scale, enable_gqa=True
            )
        k, v = _repeat(k, q.shape[1]), _repeat(v, q.shape[1])
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=flavour.scale)
    if causal:
        n = q.shape[-2]
        mask = torch.full((n, n), float("-inf"), dtype=q.dtype, device=q.device).triu_(1)
    scores = q @ _repeat(k, q.shape[1]).transpose(-1, -2) * flavour.scale
    scores = torch.tanh(scores / flavour.softcap) * flavour.softcap
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ _repeat(v, q.shape[1])


def partial(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Attention over some of the keys: the output (B, H, n, dim) and log-sum-exp (B, H, n) to merge it by.

    q (B, H, n, dim); k, v (B, H, m, dim): as many heads of each.
    """
    if q.is_cpu and q.dtype == torch.float32:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, False, attn_mask=mask, scale=scale
        )
        return out, lse
    scores = (q @ k.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    lse = scores.logsumexp(-1)
    return (scores - lse[..., None]).exp().to(v.dtype) @ v, lse


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask to add to scores: 0 where `visible`, else minus infinity."""
    zeros = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return zeros.masked_fill_(~visible, float("-inf"))


def _repeat(x: Tensor, heads: int) -> Tensor:
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


class Group:
    """Tokens of a pass that continue one common past: positions [at, at + n) of the pass.

    `past`: (layers, 2, kv_heads, m, dim) pieces, in order, P tokens together. `parents`: for each run of
    tokens its length and the index in the group of the token it follows (-1: the past's end).
    """

    def __init__(self, at: int, past: Sequence[Tensor], runs: Sequence[tuple[int, int]]) -> None:
        self.at, self.n = at, sum(n for n, _ in runs)
        self.before = sum(piece.shape[3] for piece in past)
        self._past, self._runs = past, runs
        self._chain = all(parent == at - 1 for at, (_, parent) in zip(_starts(runs), runs, strict=True))
        self._masks: dict[int | None, Tensor] = {}
        self._visible: Tensor | None = None
        self.kv: Tensor | None = None

    def open(self, layers: int, k: Tensor) -> Tensor:
        """Room for past and new tokens, with the past filled in: (layers, 2, kv_heads, P + n, dim)."""
        kv = k.new_empty(layers, 2, k.shape[1], self.before + self.n, k.shape[3])
        at = 0
        for piece in self._past:
            kv[:, :, :, at : at + piece.shape[3]] = piece
            at += piece.shape[3]
        self.kv, self._past = kv, ()
        return kv

    def mask(self, q: Tensor, window: int | None) -> Tensor | None:
        """What is added to scores (n, P + n); None where plain causal attention says the same."""
        if window is not None and window >= self.before + self.n:
            window = None
        if window is None and self._chain and (not self.before or self.n == 1):
            return None
        if window not in self._masks:
            visible = self._tree(q.device)
            if window is not None:
                places = torch.cat([torch.arange(self.before), self.positions()]).to(q.device)
                visible = visible & (places[self.before :, None] - places[None, :] < window)
            self._masks[window] = additive(visible, q.dtype)
        return self._masks[window]

    def positions(self) -> Tensor:
        """Position of each new token in its sequence: (n,)."""
        out: list[int] = []
        for n, parent in self._runs:
            first = self.before if parent < 0 else out[parent] + 1
            out += range(first, first + n)
        return torch.tensor(out)

    def _tree(self, device: torch.device) -> Tensor:
        """Whether each new token (row) descends from each token before it: (n, P + n)."""
        if self._visible is None:
            seen = torch.zeros(self.n, self.before + self.n, dtype=torch.bool)
            seen[:, : self.before] = True
            for at, (n, parent) in zip(_starts(self._runs), self._runs, strict=True):
                if parent >= 0:
                    seen[at : at + n] = seen[parent]
                block = slice(self.before + at, self.before + at + n)
                seen[at : at + n, block] = torch.ones(n, n, dtype=torch.bool).tril()
            self._visible = seen.to(device)
        return self._visible


def _starts(runs: Sequence[tuple[int, int]]) -> Iterator[int]:
    at = 0
    for n, _ in runs:
        yield at
        at += n


class Packed:
    """A pass over groups of new tokens, each seeing its group's past and its own ancestors."""

    def __init__(self, groups: Sequence[Group], layers: int) -> None:
        self.groups, self.layers = groups, layers
        self.windows: set[int | None] = set()

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, flavour: Flavour) -> Tensor:
        """See `Plan.attend`."""
        self.windows.add(flavour.window)
        outs = []
        for group in self.groups:
            new = slice(group.at, group.at + group.n)
            kv = group.kv if group.kv is not None else group.open(self.layers, k)
            kv[layer, 0, :, group.before :] = k[0, :, new]
            kv[layer, 1, :, group.before :] = v[0, :, new]
            mask = group.mask(q, flavour.window)
            causal = mask is None and group.n > 1
            outs.append(sdpa(q[:, :, new], kv[layer, 0][None], kv[layer, 1][None], mask, flavour, causal))
        return outs[0] if len(outs) == 1 else torch.cat(outs, dim=2)
