"""Keys and values of the replies being written, and the pass that adds one token to each of them.

A row's own tokens lie in a padded buffer. What many rows have in common, or what is long (a passage, a
debate so far), is not copied there: these pieces of the prefix tree are attended to where they are, with
one product for all rows that continue them, merged with each row's own part by their log-sum-exps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from oversight.models.local.attention import Flavour, additive, partial, sdpa
from oversight.models.local.prefixes import Node, forward

WORTH = 1024
"""Tokens of keys and values a shared piece must save a step; below that the second product costs more."""

LONG = 2048
"""Tokens from which on a piece is left where it is even for a single row: others may come to share it."""


class Rows:
    """The replies in progress: slot i of n continues the pieces `shared[i]` with `own[i]` tokens in the buffer.

    As a plan it advances every row by one token. Buffers are (layers, 2, R, kv_heads, C, dim), shared pieces
    (layers, 2, kv_heads, P, dim).
    """

    def __init__(self, model: Any, layers: int, *, most: int, share: bool) -> None:
        self._model, self._layers, self._most, self._share = model, layers, most, share
        self._device = next(model.parameters()).device
        self.own: list[int] = []
        self.shared: list[tuple[Tensor, ...]] = []
        self._kv: Tensor | None = None
        self._masks: dict[int | None, Tensor] = {}
        self._groups: list[tuple[Tensor, Tensor]] = []
        self._lengths = torch.empty(0)
        self._slots = torch.empty(0)

    def __len__(self) -> int:
        return len(self.own)

    def held(self, ends: Sequence[Node], needs: Sequence[int]) -> int:
        """Tokens of keys and values held once rows for `ends` have joined, as `join` would have them."""
        shared = self._shared(ends)
        own = [need - _tokens(nodes) for need, nodes in zip(needs, shared, strict=True)]
        rows, columns = self._room(len(self) + len(ends), max(own, default=0))
        pieces = {id(kv): kv.shape[3] for row in self.shared for kv in row}
        pieces |= {
            id(node.kv if node.kv is not None else node): len(node.tokens) for s in shared for node in s
        }
        return rows * columns + sum(pieces.values())

    def join(self, ends: Sequence[Node], needs: Sequence[int]) -> None:
        """Add a row for each prompt ending at a node of the prefix tree; with its reply, it will come to
        at most `needs` tokens."""
        shared = self._shared(ends)
        own = max(need - _tokens(nodes) for need, nodes in zip(needs, shared, strict=True))
        first = ends[0].kv
        assert first is not None
        buffer = self._reserve(*self._room(len(self) + len(ends), own), first)
        for end, nodes in zip(ends, shared, strict=True):
            at, left = 0, set(map(id, nodes))
            for node in end.path():
                assert node.kv is not None
                if id(node) not in left:
                    buffer[:, :, len(self), :, at : at + len(node.tokens)] = node.kv
                    at += len(node.tokens)
            self.own.append(at)
            self.shared.append(tuple(node.kv for node in nodes if node.kv is not None))

    def leave(self, slot: int) -> None:
        """Drop a row; the last one takes its slot."""
        last = len(self) - 1
        if slot != last:
            assert self._kv is not None
            n = self.own[last]
            self._kv[:, :, slot, :, :n] = self._kv[:, :, last, :, :n]
            self.own[slot], self.shared[slot] = self.own[last], self.shared[last]
        self.own.pop()
        self.shared.pop()

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; the logits (n, vocab) after it."""
        n = len(self)
        self._masks = {}
        self._slots = torch.arange(n, device=self._device)
        self._lengths = torch.tensor(self.own, device=self._device)
        members: dict[int, tuple[Tensor, list[int]]] = {}
        for slot, pieces in enumerate(self.shared):
            for kv in pieces:
                members.setdefault(id(kv), (kv, []))[1].append(slot)
        self._groups = [(kv, torch.tensor(slots, device=self._device)) for kv, slots in members.values()]
        places = [
            sum(kv.shape[3] for kv in pieces) + own for pieces, own in zip(self.shared, self.own, strict=True)
        ]
        inputs = torch.tensor([list(tokens), places], device=self._device)
        logits = forward(self._model, self, inputs[:1], inputs[1:], None)
        self.own = [own + 1 for own in self.own]
        return logits

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, flavour: Flavour) -> Tensor:
        """See `Plan.attend`."""
        assert self._kv is not None
        n, heads, dim = len(self), q.shape[1], q.shape[3]
        kv_heads, longest = k.shape[1], max(self.own) + 1
        buffer = self._kv[layer]
        buffer[0, self._slots, :, self._lengths] = k[0].transpose(0, 1)
        buffer[1, self._slots, :, self._lengths] = v[0].transpose(0, 1)
        keys, values = buffer[0, :n, :, :longest], buffer[1, :n, :, :longest]
        mask = self._mask(flavour.window, longest, q.dtype)
        # Heads that share keys lie side by side: as queries of one head they need no repeated keys.
        folded = q[0].transpose(0, 1).reshape(n, kv_heads, heads // kv_heads, dim)
        if flavour.softcap is not None or not self._groups:
            out = sdpa(folded, keys, values, mask, flavour)
            return out.reshape(n, heads, dim).transpose(0, 1)[None]
        out, lse = partial(folded, keys, values, mask, flavour.scale)
        for shared, slots in self._groups:
            mine = folded[slots].transpose(0, 1)  # (kv_heads, m, heads / kv_heads, dim)
            wide = mine.reshape(1, kv_heads, -1, dim)
            theirs = shared[layer, :, None]
            more, weight = partial(wide, theirs[0], theirs[1], None, flavour.scale)
            more, weight = more.view_as(mine).transpose(0, 1), weight.view(mine.shape[:-1]).transpose(0, 1)
            total = torch.logaddexp(lse[slots], weight)
            out[slots] = (
                out[slots] * (lse[slots] - total).exp()[..., None] + more * (weight - total).exp()[..., None]
            ).to(out.dtype)
            lse[slots] = total
        return out.reshape(n, heads, dim).transpose(0, 1)[None]

    def _mask(self, window: int | None, longest: int, dtype: torch.dtype) -> Tensor:
        """What is added to scores against the buffer: (n, 1, 1, longest)."""
        if window not in self._masks:
            places = torch.arange(longest, device=self._device)[None]
            visible = places <= self._lengths[:, None]
            if window is not None:
                visible &= self._lengths[:, None] - places < window
            self._masks[window] = additive(visible, dtype)[:, None, None]
        return self._masks[window]

    def _room(self, rows: int, columns: int) -> tuple[int, int]:
        """The buffer's size for this many rows and columns: grown in steps, for growing it copies it."""
        have = self._kv.shape[2] if self._kv is not None else 0
        if rows > have:
            rows = min(max(rows, 2 * have), max(rows, self._most))
        return max(rows, have), max(columns, self._kv.shape[4] if self._kv is not None else 0)

    def _reserve(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """The buffer, grown to (rows, columns)."""
        have = self._kv
        if have is not None and have.shape[2] == rows and have.shape[4] == columns:
            return have
        heads, dim = like.shape[-3], like.shape[-1]
        # Zeros, not garbage: a masked weight of 0 times a NaN would be a NaN.
        new = torch.zeros(self._layers, 2, rows, heads, columns, dim, dtype=like.dtype, device=like.device)
        if have is not None and self.own:
            n, m = len(self), max(self.own)
            new[:, :, :n, :, :m] = have[:, :, :n, :, :m]
        self._kv = new
        return new

    def _shared(self, ends: Sequence[Node]) -> list[list[Node]]:
        """For each prompt the pieces of its path that are attended to where they are."""
        if not self._share:
            return [[] for _ in ends]
        paths = [end.path()[:-1] for end in ends]
        count = Counter(id(node) for path in paths for node in path)
        standing = {id(kv) for pieces in self.shared for kv in pieces}

        def worth(node: Node) -> bool:
            n = len(node.tokens)
            known = node.kv is not None and id(node.kv) in standing
            return known or n >= LONG or n * (count[id(node)] - 1) > WORTH

        return [[node for node in path if worth(node)] for path in paths]


def _tokens(nodes: Sequence[Node]) -> int:
    return sum(len(node.tokens) for node in nodes)
