"""Who plays which episode, and who makes which call: leases that run out where nobody renews them.

A member renews all its leases by being heard. One that is not heard for `ttl` seconds has expired: its episodes
are free again, and what it still says of them is refused, for it no longer holds them. Time is the owner's clock.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Container, Iterable
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
    episodes: dict[int, Line] = field(default_factory=dict)
    """The line of each episode it holds."""
    calls: set[int] = field(default_factory=set)


class _Free:
    """The episodes of one line that nobody holds: those given back, then those that nobody has had yet."""

    def __init__(self) -> None:
        self.fresh, self.had = array("I"), 0
        self.back: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.back) + len(self.fresh) - self.had

    def take(self) -> int:
        if self.back:
            return self.back.popleft()
        self.had += 1
        return self.fresh[self.had - 1]


class Leases:
    """Leases on episodes, named by numbers, and on calls, by their keys.

    A hundred thousand episodes take four or eight bytes each until somebody holds them.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.ttl = ttl
        self.left = 0
        """Episodes without a verdict yet."""
        self.members: dict[int, Member] = {}
        self._clock = clock
        self._free: dict[Line, _Free] = {}
        self._episodes: dict[int, int] = {}
        self._calls: dict[int, int] = {}
        self._looked = clock()

    def add(self, episode: int, line: Line) -> None:
        """An episode that is to be played, after those added before."""
        self._free.setdefault(line, _Free()).fresh.append(episode)
        self.left += 1

    # members

    def join(self, who: int) -> None:
        """A member comes in."""
        self.members[who] = Member(self._clock())

    def leave(self, who: int) -> list[int]:
        """A member goes; the episodes it gives back."""
        member = self.members.pop(who, None)
        return self._freed(member) if member else []

    def hear(self, who: int) -> bool:
        """Renew a member's leases. False where they had run out: it is at work again from here, with none."""
        member = self.members[who]
        member.heard = self._clock()
        if not member.expired:
            return True
        member.expired = False
        member.epoch += 1
        return False

    def expire(self, answered: Container[int] = ()) -> list[int]:
        """Let the leases of members run out that were not heard for too long; who they are. Those who are being
        `answered` count as heard, for they wait for this process.

        Where nobody has looked for long, it is this process that stood still, and the members could not be heard.
        """
        now = self._clock()
        if (stood := now - self._looked) > self.ttl / 2:
            for member in self.members.values():
                member.heard += stood
        for who, member in self.members.items():
            if who in answered:
                member.heard = max(member.heard, now)
        self._looked = now
        late = [
            who
            for who, member in self.members.items()
            if who != OWNER and not member.expired and now - member.heard > self.ttl
        ]
        for who in late:
            self.members[who].expired = True
            self._freed(self.members[who])
        return late

    @property
    def alive(self) -> list[int]:
        """Members whose leases have not run out."""
        return [who for who, member in self.members.items() if not member.expired]

    def _freed(self, member: Member) -> list[int]:
        freed = sorted(member.episodes)
        for episode in reversed(freed):  # they come first again, in their order
            del self._episodes[episode]
            self._free[member.episodes[episode]].back.appendleft(episode)
        for call in member.calls:
            del self._calls[call]
        member.episodes, member.calls = {}, set()
        return freed

    # episodes

    def take(self, who: int, line: Line, most: int = 1) -> list[int]:
        """Lease up to so many episodes to a member: of its line while there are any, then of whichever has most.

        Nobody holds more than its share of what is left, counted as if one more were to join.
        """
        member = self.members[who]
        share = max(LEAST, self.left // (len(self.alive) + 1))
        taken: list[int] = []
        while (
            len(taken) < most and len(member.episodes) < share and (free := self._longest(line)) is not None
        ):
            episode = self._free[free].take()
            self._episodes[episode] = who
            member.episodes[episode] = free
            taken.append(episode)
        return taken

    def _longest(self, line: Line) -> Line | None:
        """A line of which there are some left: the given one if it can be."""
        if not self._free.get(line):
            line = max(self._free, key=lambda one: len(self._free[one]), default=line)
        return line if self._free.get(line) else None

    def holds(self, who: int, episode: int) -> bool:
        """Whether it is for that member to say what becomes of an episode."""
        return self._episodes.get(episode) == who

    def give_back(self, who: int, episode: int) -> None:
        """A member does not play an episode after all."""
        if self.holds(who, episode):
            del self._episodes[episode]
            self._free[self.members[who].episodes.pop(episode)].back.appendleft(episode)

    def done(self, who: int, episode: int) -> None:
        """An episode has its verdict."""
        assert self.holds(who, episode)
        del self._episodes[episode], self.members[who].episodes[episode]
        self.left -= 1

    # calls

    def claim(self, who: int, call: int) -> bool:
        """Lease a call to a member; False where another holds it."""
        holder = self._calls.setdefault(call, who)
        if holder == who:
            self.members[who].calls.add(call)
        return holder == who

    def of_another(self, who: int, call: int) -> bool:
        """Whether somebody else makes a call."""
        return self._calls.get(call, who) != who

    def release(self, who: int, calls: Iterable[int]) -> None:
        """A member has made these calls, or failed to."""
        for call in calls:
            if self._calls.get(call) == who:
                del self._calls[call]
                self.members[who].calls.discard(call)
