"""A tree of token prefixes with their keys and values: what several prompts share is computed once.

Within a batch and, up to a bound, from batch to batch: a transcript that has grown by a turn finds
everything before that turn here.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from oversight.models.local.attention import Group, Packed, using

Reader = Callable[[list[list[int]], Tensor], None]
"""Gets logits (W, vocab), and for each of the W rows the marks of those who want it."""

LOGITS = 1024
"""Rows of logits a pass makes at most: a row has as many numbers as the vocabulary has words."""

MERGE = 64
"""Small branches of one node attend together up to this many tokens: fewer calls for a little waste."""


class Node:
    """A run of tokens after `parent`. `kv` (layers, 2, kv_heads, n, dim) is None until computed.

    `probes` are branches that live for one batch: the tokens whose logits are wanted. `wants` maps a
    token's offset in this node to the marks of those who want the logits after it.
    """

    __slots__ = ("children", "kv", "parent", "probes", "tokens", "used", "wants")

    def __init__(self, tokens: tuple[int, ...], parent: Node | None) -> None:
        self.tokens, self.parent = tokens, parent
        self.kv: Tensor | None = None
        self.used = 0
        self.children: dict[int, Node] = {}
        self.probes: dict[int, Node] = {}
        self.wants: dict[int, list[int]] = {}

    def path(self) -> list[Node]:
        """From below the root down to this node."""
        out: list[Node] = []
        node = self
        while node.parent is not None:
            out.append(node)
            node = node.parent
        return out[::-1]

    def depth(self) -> int:
        """Tokens up to and including this node's."""
        return sum(len(node.tokens) for node in self.path())


class Prefixes:
    """The tree, and the passes that fill it in.

    `capacity` is how many tokens it keeps between batches, `step` how many new ones a pass computes at
    most. The caller adds prompts with `add`, computes with `fill`, takes what it needs, and calls
    `settle`, which forgets the probes and what exceeds the capacity.
    """

    def __init__(self, model: Any, layers: int, capacity: int, step: int) -> None:
        self.capacity, self.step = capacity, step
        self.stop: Callable[[], None] = lambda: None
        """Called before each pass; may raise to give up."""
        self._model, self._layers = model, layers
        self._device = next(model.parameters()).device
        self._root = Node((), None)
        self._clock = 0
        self._due = 0
        self.windows: set[int | None] = set()

    @property
    def due(self) -> int:
        """Tokens added and not yet computed."""
        return self._due

    @property
    def held(self) -> int:
        """Tokens whose keys and values are kept."""
        return sum(len(node.tokens) for node in _walk(self._root) if node.kv is not None)

    def forget(self) -> None:
        """Keep nothing."""
        self._root = Node((), None)
        self._due = 0

    def add(
        self, prompt: Sequence[int], after: Sequence[int] = (), marks: Sequence[int] = ()
    ) -> tuple[int, Node]:
        """Ask for the logits after `prompt` and after each token of `after` that follows it.

        `marks` (one for each of those 1 + len(after) places) are what the reader gets back. Returns how
        many tokens of the prompt needed no computing, and the node that ends at the last place.
        """
        self._clock += 1
        stem, found = self._extend(self._root, tuple(prompt[:-1]))
        probe = (prompt[-1], *after)
        end, _ = self._extend(stem, probe, probing=True)
        node, offset = end, len(end.tokens) - 1
        for mark in reversed(marks):
            node.wants.setdefault(offset, []).append(mark)
            if offset == 0 and node.parent is not None:
                node = node.parent
                offset = len(node.tokens)
            offset -= 1
        return found, end

    def _extend(self, node: Node, tokens: tuple[int, ...], probing: bool = False) -> tuple[Node, int]:
        """The node that ends after `tokens` below `node`, made where missing; how many were there."""
        at = 0
        first = probing
        while at < len(tokens):
            branches = node.probes if first else node.children
            first = False
            child = branches.get(tokens[at])
            if child is None:
                child = Node(tokens[at:], node)
                branches[tokens[at]] = child
                child.used = self._clock
                self._due += len(child.tokens)
                return child, at
            same = common(child.tokens, tokens[at:])
            if same < len(child.tokens):
                child = _split(child, same)
            child.used = self._clock
            at += same
            node = child
        return node, at

    def fill(self, read: Reader) -> None:
        """Compute all that is missing; `read` gets the wanted logits, pass by pass."""
        todo = deque(node for node in _walk(self._root) if node.kv is None)
        heads: set[Node] = set()
        cut: dict[Node, None] = {}
        while todo:
            self.stop()
            self._pass(self._take(todo, heads, cut), read)
        for node in cut:
            _mend(node, heads)

    def drop(self, end: Node, mark: int) -> None:
        """Take back an `add` without `after` that is not computed yet: its `end` and mark."""
        wants = end.wants[len(end.tokens) - 1]
        wants.remove(mark)
        if not wants:
            del end.wants[len(end.tokens) - 1]
        node = end
        while node.kv is None and node.parent and not (node.children or node.probes or node.wants):
            parent, first = node.parent, node.tokens[0]
            branches = parent.probes if parent.probes.get(first) is node else parent.children
            del branches[first]
            self._due -= len(node.tokens)
            node = parent

    def _take(self, todo: deque[Node], heads: set[Node], cut: dict[Node, None]) -> list[Node]:
        """The next pass's nodes, off the front of `todo`; a long node is cut where the pass is full.

        Notes in `cut` which nodes were, and in `heads` what was cut off them.
        """
        taken: list[Node] = []
        mine: set[int] = set()
        room, past, wanted = self.step, 0, 0
        while todo and room > 0:
            node = todo[0]
            if node.parent is not None and id(node.parent) not in mine:
                past += node.parent.depth()
                if taken and past > self.capacity // 4:  # each group has a copy of its past
                    break
            most = min(room, LOGITS - wanted) if node.wants else room
            if len(node.tokens) > most:
                if taken and most < 16:
                    break
                cut[node] = None
                node = _split(node, most)
                heads.add(node)
            else:
                todo.popleft()
            taken.append(node)
            mine.add(id(node))
            room -= len(node.tokens)
            wanted += len(node.wants)
        return taken

    @torch.inference_mode()
    def _pass(self, nodes: list[Node], read: Reader) -> None:
        groups, spans = self._plan(nodes)
        plan = Packed(groups, self._layers)
        tokens = torch.tensor([[t for node in nodes for t in node.tokens]], device=self._device)
        positions = torch.cat([group.positions() for group in groups])[None].to(self._device)
        keep: list[int] = []
        marks: list[list[int]] = []
        for node, (group, at) in zip(nodes, spans, strict=True):
            for offset in sorted(node.wants):
                keep.append(group.at + at + offset)
                marks.append(node.wants[offset])
        logits = forward(self._model, plan, tokens, positions, keep)
        self.windows |= plan.windows
        for node, (group, at) in zip(nodes, spans, strict=True):
            assert group.kv is not None
            at += group.before
            node.kv = group.kv[:, :, :, at : at + len(node.tokens)].clone()
            self._due -= len(node.tokens)
        if keep:
            read(marks, logits)

    def _plan(self, nodes: list[Node]) -> tuple[list[Group], list[tuple[Group, int]]]:
        """The groups that `nodes` fall into, and each node's group and place in it."""
        groups: list[Group] = []
        spans: list[tuple[Group, int]] = []
        place: dict[int, int] = {}  # of the nodes of the group being made
        at = 0
        pending: list[Node] = []
        runs: list[tuple[int, int]] = []
        anchor: Node | None = None

        def close() -> None:
            nonlocal at
            if pending:
                past = [node.kv for node in anchor.path()] if anchor is not None else []
                group = Group(at, [kv for kv in past if kv is not None], runs)
                groups.append(group)
                spans.extend((group, place[id(node)]) for node in pending)
                at += group.n
            pending.clear()
            place.clear()

        size = 0
        for node in nodes:
            parent = node.parent
            inside = id(parent) in place
            if not inside and (parent is not anchor or size >= MERGE):
                close()
                anchor, runs, size = parent, [], 0
            last = place[id(parent)] + len(parent.tokens) - 1 if inside and parent is not None else -1
            place[id(node)] = size
            pending.append(node)
            runs.append((len(node.tokens), last))
            size += len(node.tokens)
        close()
        return groups, spans

    def settle(self) -> None:
        """Forget probes, whatever was not computed, and the least recently used beyond the capacity."""
        kept = 0
        for node in list(_walk(self._root, self._root)):
            node.probes.clear()
            node.children = {t: child for t, child in node.children.items() if child.kv is not None}
            kept += len(node.tokens) if node.kv is not None else 0
        self._due = 0
        if kept <= self.capacity:
            return
        leaves = [(node.used, id(node), node) for node in _walk(self._root) if not node.children]
        heapq.heapify(leaves)
        while kept > self.capacity and leaves:
            node = heapq.heappop(leaves)[2]
            kept -= len(node.tokens)
            parent = node.parent
            assert parent is not None
            del parent.children[node.tokens[0]]
            if parent is not self._root and not parent.children:
                heapq.heappush(leaves, (parent.used, id(parent), parent))


def forward(model: Any, plan: Any, tokens: Tensor, positions: Tensor, keep: list[int] | None) -> Tensor:
    """Logits (len(keep), vocab) of one pass over `tokens` (1, N) at `positions` (1, N); None keeps all.

    With nothing to keep the model's head is still run for one token, and the result is to be ignored.
    """
    where = torch.tensor(keep or [0], device=tokens.device) if keep is not None else 0
    with using(plan):
        out = model(input_ids=tokens, position_ids=positions, use_cache=False, logits_to_keep=where)
    logits: Tensor = out.logits[0]
    return logits


def common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Length of the common prefix."""
    if a == b[: len(a)]:
        return len(a)
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _split(node: Node, at: int) -> Node:
    """Cut `node` before its token `at`: a new node holds the head and `node` keeps the tail. The head."""
    parent = node.parent
    assert parent is not None
    head = Node(node.tokens[:at], parent)
    head.used = node.used
    branches = parent.probes if parent.probes.get(node.tokens[0]) is node else parent.children
    branches[node.tokens[0]] = head
    if node.kv is not None:
        head.kv, node.kv = node.kv[:, :, :, :at].clone(), node.kv[:, :, :, at:].clone()
    head.wants = {offset: marks for offset, marks in node.wants.items() if offset < at}
    node.wants = {offset - at: marks for offset, marks in node.wants.items() if offset >= at}
    node.tokens, node.parent = node.tokens[at:], head
    head.children = {node.tokens[0]: node}
    return head


def _mend(node: Node, heads: set[Node]) -> None:
    """Put `node` and what was cut off its front together again."""
    pieces = [node]
    while (parent := pieces[0].parent) in heads:
        assert parent is not None
        pieces.insert(0, parent)
    top = pieces[0].parent
    assert top is not None
    kvs = [piece.kv for piece in pieces if piece.kv is not None]
    assert len(kvs) == len(pieces)
    branches = top.probes if top.probes.get(pieces[0].tokens[0]) is pieces[0] else top.children
    branches[pieces[0].tokens[0]] = node
    node.tokens = tuple(t for piece in pieces for t in piece.tokens)
    node.kv, node.parent = torch.cat(kvs, dim=3), top
    node.wants = {}


def _walk(node: Node, *first: Node) -> Iterator[Node]:
    """`first`, then all nodes below `node`: parents before children, a subtree in one piece."""
    yield from first
    stack = [*reversed(node.children.values()), *reversed(node.probes.values())]
    while stack:
        node = stack.pop()
        yield node
        stack += [*reversed(node.children.values()), *reversed(node.probes.values())]
