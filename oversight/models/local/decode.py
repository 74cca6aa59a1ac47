"""Keys and values of the replies being written, and the pass that adds one token to each of them.

A row's own tokens lie in a padded buffer. What many rows have in common (a passage, a debate so far)
is held once for the group: its part of the attention is one product for all of them, merged with each
row's own part by their log-sum-exps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from oversight.models.local.attention import Flavour, additive, partial, sdpa
from oversight.models.local.prefixes import Node, forward

WORTH = 1024
"""Tokens of keys and values a shared prefix must save a step; below that the second product costs more."""


class Shared:
    """A prefix that several rows continue: `tokens`, and kv (layers, 2, kv_heads, P, dim)."""

    def __init__(self, tokens: tuple[int, ...], kv: Tensor) -> None:
        self.tokens, self.kv = tokens, kv


class Rows:
    """The replies in progress: slot i of n has `own[i]` tokens in the buffer after `shared[i]`'s.

    As a plan it advances every row by one token. Buffers are (layers, 2, R, kv_heads, C, dim).
    """

    def __init__(self, model: Any, layers: int, *, share: bool) -> None:
        self._model, self._layers, self._share = model, layers, share
        self._device = next(model.parameters()).device
        self.own: list[int] = []
        self.shared: list[Shared | None] = []
        self._kv: Tensor | None = None
        self._masks: dict[int | None, Tensor] = {}
        self._groups: list[tuple[Shared, Tensor]] = []
        self._lengths = torch.empty(0)
        self._slots = torch.empty(0)

    def __len__(self) -> int:
        return len(self.own)

    @property
    def width(self) -> int:
        """Tokens the buffer has room for in each row."""
        return self._kv.shape[-2] if self._kv is not None else 0

    @property
    def shared_tokens(self) -> int:
        """Tokens of the prefixes that are held once for their rows."""
        return sum(len(shared.tokens) for shared in {id(s): s for s in self.shared if s}.values())

    def join(self, ends: Sequence[Node], needs: Sequence[int]) -> None:
        """Add a row for each prompt ending at a node of the prefix tree; with its reply, it will come to
        at most `needs` tokens."""
        prefixes = self._common(ends) if self._share else [None] * len(ends)
        skips = [len(shared.tokens) if shared else 0 for shared in prefixes]
        lengths = [end.depth() - skip for end, skip in zip(ends, skips, strict=True)]
        width = max(need - skip for need, skip in zip(needs, skips, strict=True))
        first = ends[0].kv
        assert first is not None
        buffer = self._reserve(len(self) + len(ends), width, first)
        for end, shared, skip, n in zip(ends, prefixes, skips, lengths, strict=True):
            at = -skip
            for node in end.path():
                assert node.kv is not None
                cut = max(0, -at)
                if cut < len(node.tokens):
                    piece = node.kv[:, :, :, cut:]
                    buffer[:, :, len(self), :, at + cut : at + len(node.tokens)] = piece
                at += len(node.tokens)
            self.own.append(n)
            self.shared.append(shared)

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
        members: dict[int, list[int]] = {}
        for slot, shared in enumerate(self.shared):
            if shared is not None:
                members.setdefault(id(shared), []).append(slot)
        self._groups = []
        for slots in members.values():
            group = self.shared[slots[0]]
            assert group is not None
            self._groups.append((group, torch.tensor(slots, device=self._device)))
        before = [len(shared.tokens) if shared else 0 for shared in self.shared]
        places = [b + own for b, own in zip(before, self.own, strict=True)]
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
            theirs = shared.kv[layer, :, None]
            more, weight = partial(wide, theirs[0], theirs[1], None, flavour.scale)
            more, weight = more.view_as(mine).transpose(0, 1), weight.view(mine.shape[:-1]).transpose(0, 1)
            total = torch.logaddexp(lse[slots], weight)
            out[slots] = (
                out[slots] * (lse[slots] - total).exp()[..., None] + more * (weight - total).exp()[..., None]
            ).to(out.dtype)
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

    def _reserve(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """The buffer, grown to at least (rows, columns)."""
        have = self._kv
        if have is not None and have.shape[2] >= rows and have.shape[4] >= columns:
            return have
        if have is not None:
            rows, columns = max(rows, have.shape[2]), max(columns, have.shape[4])
        heads, dim = like.shape[-3], like.shape[-1]
        # Zeros, not garbage: a masked weight of 0 times a NaN would be a NaN.
        new = torch.zeros(self._layers, 2, rows, heads, columns, dim, dtype=like.dtype, device=like.device)
        if have is not None and self.own:
            n, m = len(self), max(self.own)
            new[:, :, :n, :, :m] = have[:, :, :n, :, :m]
        self._kv = new
        return new

    def _common(self, ends: Sequence[Node]) -> list[Shared | None]:
        """For each prompt the prefix to share with others, the one that saves most."""
        count: dict[int, int] = {}
        for end in ends:
            for node in end.path()[:-1]:
                count[id(node)] = count.get(id(node), 0) + 1
        standing = {id(shared): shared for shared in self.shared if shared is not None}
        made: dict[int, Shared] = {}
        out: list[Shared | None] = []
        for end in ends:
            path = end.path()
            prompt = tuple(t for node in path for t in node.tokens)
            fitting = [s for s in standing.values() if prompt[:-1][: len(s.tokens)] == s.tokens]
            best = max(fitting, key=lambda s: len(s.tokens), default=None)
            saved, depth, choice = WORTH, 0, None
            for i, node in enumerate(path[:-1]):
                depth += len(node.tokens)
                if depth * (count[id(node)] - 1) > saved:
                    saved, choice = depth * (count[id(node)] - 1), i
            if choice is not None and (best is None or saved // count[id(path[choice])] > len(best.tokens)):
                key = id(path[choice])
                if key not in made:
                    pieces = [node.kv for node in path[: choice + 1] if node.kv is not None]
                    tokens = tuple(t for node in path[: choice + 1] for t in node.tokens)
                    made[key] = Shared(tokens, torch.cat(pieces, dim=3))
                out.append(made[key])
            else:
                out.append(best)
        return out
