"""Who plays which episode, and who makes which call: leases that run out where nobody renews them.

A member renews all its leases by being heard. One that is not heard for `ttl` seconds has expired: its episodes
are free again, and what it still says of them is refused, for it no longer holds them. Time is the owner's clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from oversight.engine.turns import Line

OWNER = 0
"""The owner's own name. It never expires: where it ends, so do all leases."""

LEAST = 8
"""Episodes that a member may hold however few are left."""


@dataclass
class Member:
    """A process at work. `epoch` counts how often it has expired and come back."""

    heard: float
    epoch: int = 0
    expired: bool = False
    episodes: set[int] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)


class Leases:
    """Leases on episodes (of `lines`: key → line, in the order in which they are played) and on calls."""

    def __init__(
        self, lines: Mapping[int, Line], ttl: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ttl = ttl
        self.left = len(lines)
        """Episodes without a verdict yet."""
        self.members: dict[int, Member] = {}
        self._clock = clock
        self._line = dict(lines)
        self._free: dict[Line, deque[int]] = {}
        for key, line in self._line.items():
            self._free.setdefault(line, deque()).append(key)
        self._episodes: dict[int, int] = {}
        self._calls: dict[int, int] = {}
        self._done: set[int] = set()
        self._looked = clock()

    # members

    def join(self, who: int) -> None:
        """A member comes in."""
        self.members[who] = Member(self._clock())

    def leave(self, who: int) -> list[int]:
        """A member goes; the episodes it gives back."""
        member = self.members.pop(who, None)
        return self._freed(who, member) if member else []

    def hear(self, who: int) -> bool:
        """Renew a member's leases. False where they had run out: it is at work again from here, with none."""
        member = self.members[who]
        member.heard = self._clock()
        if not member.expired:
            return True
        member.expired = False
        member.epoch += 1
        return False

    def expire(self) -> list[int]:
        """Let the leases of members run out that were not heard for too long; who they are.

        Where nobody has looked for long, it is this process that stood still, and the members could not be heard.
        """
        now = self._clock()
        if (stood := now - self._looked) > self.ttl / 2:
            for member in self.members.values():
                member.heard += stood
        self._looked = now
        late = [
            who
            for who, member in self.members.items()
            if who != OWNER and not member.expired and now - member.heard > self.ttl
        ]
        for who in late:
            self.members[who].expired = True
            self._freed(who, self.members[who])
        return late

    @property
    def alive(self) -> list[int]:
        """Members whose leases have not run out."""
        return [who for who, member in self.members.items() if not member.expired]

    def _freed(self, who: int, member: Member) -> list[int]:
        freed = [key for key in self._line if key in member.episodes] if member.episodes else []
        for key in reversed(freed):  # they come first again, in their order
            del self._episodes[key]
            self._free[self._line[key]].appendleft(key)
        for call in member.calls:
            del self._calls[call]
        member.episodes, member.calls = set(), set()
        return freed

    # episodes

    def take(self, who: int, line: Line, most: int = 1) -> list[int]:
        """Lease up to so many episodes to a member: of its line while there are any, then of whichever has most.

        Nobody holds more than its share of what is left, counted as if one more were to join.
        """
        member = self.members[who]
        share = max(LEAST, self.left // (len(self.alive) + 1))
        taken: list[int] = []
        while len(taken) < most and len(member.episodes) < share and (free := self._longest(line)):
            key = free.popleft()
            self._episodes[key] = who
            member.episodes.add(key)
            taken.append(key)
        return taken

    def _longest(self, line: Line) -> deque[int] | None:
        own = self._free.get(line)
        return own or max(self._free.values(), key=len, default=None)

    def holds(self, who: int, key: int) -> bool:
        """Whether it is for that member to say what becomes of an episode."""
        return self._episodes.get(key) == who

    def give_back(self, who: int, key: int) -> None:
        """A member does not play an episode after all."""
        if self.holds(who, key):
            del self._episodes[key]
            self.members[who].episodes.discard(key)
            self._free[self._line[key]].appendleft(key)

    def done(self, who: int, key: int) -> None:
        """An episode has its verdict."""
        assert self.holds(who, key)
        del self._episodes[key]
        self.members[who].episodes.discard(key)
        self._done.add(key)
        self.left -= 1

    # calls

    def claim(self, who: int, call: int) -> bool:
        """Lease a call to a member; False where another holds it."""
        holder = self._calls.setdefault(call, who)
        if holder == who:
            self.members[who].calls.add(call)
        return holder == who

    def release(self, who: int, calls: Iterable[int]) -> None:
        """A member has made these calls, or failed to."""
        for call in calls:
            if self._calls.get(call) == who:
                del self._calls[call]
                self.members[who].calls.discard(call)
