"""What models on one device have in common: its free memory, its turns, and weights that are held once."""

from __future__ import annotations

import copy
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet, WeakValueDictionary

import torch


class Member(Protocol):
    """A model that keeps keys and values on a device."""

    @property
    def held(self) -> int:
        """Bytes of keys and values it keeps at the moment."""
        ...

    def resize(self, size: int) -> None:
        """Keep to `size` bytes of keys and values from now on."""


class Device:
    """A device as its models share it: one of them computes at a time, and each has an equal part of the memory.

    Half of what is free, measured as each model joins, is for keys and values. Two passes at once would only
    slow each other down on a CPU or one GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._members: WeakSet[Member] = WeakSet()
        self._size = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, stop: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Have the device to oneself; whoever has waited longest is next. `stop` may raise to give up waiting."""
        me = object()
        with self._changed:
            self._queue.append(me)
        try:
            with self._changed:
                while not self._changed.wait_for(lambda: self._queue[0] is me, timeout=0.1):
                    stop()
            yield
        finally:
            with self._changed:
                self._queue.remove(me)
                self._changed.notify_all()

    def join(self, member: Member) -> None:
        """Give a model its part, off the others' parts."""
        with self.turn():
            self._size = (free_memory(self._device) + sum(m.held for m in self._members)) // 2
            self._members.add(member)
            self._divide()

    def leave(self, member: Member) -> None:
        """Give a model's part to the others."""
        with self.turn():
            self._members.discard(member)
            self._divide()

    def _divide(self) -> None:
        members = list(self._members)
        for member in members:
            member.resize(self._size // len(members))


_devices: dict[str, Device] = {}


def device_of(model: Any) -> Device:
    """The device that a model lies on."""
    return _devices.setdefault(str(model.device), Device(model.device))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:  # not Linux
        found = None
    return int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


_held: WeakValueDictionary[tuple[str, ...], Any] = WeakValueDictionary()


def held_once(key: tuple[str, ...], load: Callable[[], Any]) -> Any:
    """The model of that key: the one that somebody holds already, or else a loaded one."""
    model = _held.get(key)
    if model is None:
        model = _held[key] = load()
    return model


def with_own_modules(model: Any) -> Any:
    """A model with modules of its own over the very tensors of `model`: what is done to the one's modules
    (its attention, an adapter) does not touch the other."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, tensors)
