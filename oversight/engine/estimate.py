"""What a plan comes to before anything is sent: episodes, calls, and the most they can take and cost.

The plan is rehearsed whole: every prompt is rendered, with made-up turns as long as the seats may make them,
and equal calls count once, by the same keys as in a run. What is not in it: attempts that are repeated,
verdicts that are asked for again, and what the store already has beside the first calls of an episode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

from oversight.engine.calls import call_key, draw_number
from oversight.engine.plan import Plan
from oversight.engine.rehearse import rehearse
from oversight.engine.tokens import most_dollars, most_tokens
from oversight.episode import Arm
from oversight.models.interface import Model, Price, Request
from oversight.question import hex_id


@dataclass(frozen=True, slots=True)
class Part:
    """The calls of one model in one role. Tokens are upper estimates; `shared` counts further uses of these
    calls, which cost nothing. `price` None is unknown."""

    model: str
    kind: str
    role: str
    calls: int
    shared: int
    prompt_tokens: int
    completion_tokens: int
    price: Price | None

    @property
    def cost(self) -> float | None:
        """US dollars at most; None where the price is unknown."""
        return (
            None
            if self.price is None
            else most_dollars(self.price, self.prompt_tokens, self.completion_tokens)
        )

    @property
    def saved_by_batch(self) -> float | None:
        """US dollars of that which batch endpoints would save; None where they save nothing we know of."""
        if self.cost is None or self.price is None or self.price.batch >= 1:
            return None
        return self.cost * (1 - self.price.batch)


@dataclass(frozen=True, slots=True)
class Share:
    """The episodes of one arm on one task that are still to be played."""

    task: str
    protocol: str
    judge: str
    speaker: str | None
    episodes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan comes to. `shares` say what is to be played; `done` episodes have their verdict already."""

    shares: tuple[Share, ...]
    done: int
    parts: tuple[Part, ...]

    @property
    def episodes(self) -> int:
        return sum(share.episodes for share in self.shares)

    @property
    def calls(self) -> int:
        return sum(part.calls for part in self.parts)

    @property
    def cost(self) -> float | None:
        """US dollars at most; None where the price of any model is unknown."""
        costs = [part.cost for part in self.parts]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    shared: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


def estimate(plan: Plan, done: Container[int] = (), stored: Container[int] = ()) -> Estimate:
    """What is left of a plan: without the episodes in `done`, and the calls in `stored` (keys)."""
    rehearsal = _Rehearsal(stored)
    counts: Counter[tuple[str, int]] = Counter()
    left_out = 0
    for planned in plan.episodes():
        episode = planned.episode
        rehearsal.sample = episode.sample
        # Done ones are rehearsed as well: what they paid for is there for the others.
        rehearsal.paying = episode.key not in done
        if rehearsal.paying:
            counts[episode.task, episode.arm.key] += 1
        left_out += not rehearsal.paying
        rehearse(episode, rehearsal.hear)
    arms = {arm.key: arm for arm in plan.arms}
    shares = tuple(_share(task, arms[key], n) for (task, key), n in counts.items())
    return Estimate(shares, left_out, rehearsal.parts())


def _share(task: str, arm: Arm, episodes: int) -> Share:
    return Share(task, arm.title, arm.judge.name, arm.speaker, episodes)


class _Rehearsal:
    """Hears the requests of one episode after another; each call is counted where it is first wanted."""

    def __init__(self, stored: Container[int]) -> None:
        self.sample = 0
        self.paying = True
        self._stored = stored
        self._known: set[int] = set()
        self._sums: dict[tuple[int, str], tuple[Model, _Sum]] = {}
        self._heard = 0

    def hear(self, model: Model, role: str, request: Request) -> str:
        """Count a request; the key of its call."""
        self._heard += 1
        once = () if model.reuse else (self._heard,)
        messages = [message.key for message in request.messages]
        key = call_key(model, request, messages, draw_number(model, request, self.sample), once)
        _, total = self._sums.setdefault((id(model), role), (model, _Sum()))
        if key in self._known or key in self._stored:
            total.shared += self.paying
        elif self.paying:
            prompt, reply = most_tokens(model, request)
            total.calls += 1
            total.prompt_tokens += prompt
            total.completion_tokens += reply
        self._known.add(key)
        return hex_id(key)

    def parts(self) -> tuple[Part, ...]:
        """The sums, by model and role in order of first use."""
        return tuple(
            Part(m.name, m.kind, role, s.calls, s.shared, s.prompt_tokens, s.completion_tokens, m.price)
            for (_, role), (m, s) in self._sums.items()
            if s.calls or s.shared
        )
