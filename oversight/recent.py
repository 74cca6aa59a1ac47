"""A memory of what was worked out of texts lately, bounded by their characters rather than their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 5_000_000
"""Characters of one generation; two are held."""


class Recent(Generic[K, V]):
    """What was put in or found lately. A generation that is full becomes the old one, and what the old one held
    and nobody asked for since is forgotten. `size` is an entry's in characters."""

    def __init__(self, size: Callable[[K, V], int], most: int = MOST) -> None:
        self._size, self._most = size, most
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._characters = 0

    def find(self, key: K) -> V | None:
        """What was put in for the key; None where that is forgotten."""
        found = self._new.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> V:
        """Remember a value, which must depend on the key alone, and not be None."""
        self._new[key] = value
        self._characters += self._size(key, value)
        if self._characters > self._most:
            self._old, self._new, self._characters = self._new, {}, 0
        return value
