"""A memory of what was worked out of texts lately, bounded by their characters rather than their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 5_000_000
"""Characters of one generation; two are held."""


class Recent(Generic[K, V]):
    """What `get` was asked for lately. A generation that is full becomes the old one, and what the old one held
    and nobody asked for since is forgotten."""

    def __init__(self, make: Callable[[K], V], size: Callable[[K], int], most: int = MOST) -> None:
        self._make, self._size, self._most = make, size, most
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._characters = 0

    def get(self, key: K) -> V:
        """What `make` gives for the key; it must depend on nothing else, and not be None."""
        found = self._new.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        if found is None:
            found = self._make(key)
        self._new[key] = found
        self._characters += self._size(key)
        if self._characters > self._most:
            self._old, self._new, self._characters = self._new, {}, 0
        return found
