"""Whose episode is next, where some models are slow: each set of API models has its share of the places.

With one queue for all, the episodes of a model that is out of quota would come to hold every place, and
those that need only another model would wait behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from oversight.engine.plan import Plan
from oversight.episode import Arm, Planned

Line = tuple[int, ...]
"""The models behind APIs that an arm needs, by their place in the plan."""


class Turns:
    """Episodes to play, in the plan's order within each line. A worker takes of its own line while there
    are any, then of whichever has most left; what it passes over on the way is kept for the others, as places
    in the plan: a line whose models are slow may fall behind by all there is."""

    def __init__(self, plan: Plan, todo: Iterator[tuple[int, Planned]]) -> None:
        self._plan, self._todo = plan, todo
        self._line = lines_of(plan)
        self.lines = sorted(set(self._line.values()))
        self._passed: dict[Line, deque[int]] = {line: deque() for line in self.lines}

    async def take(self, own: Line) -> Planned | None:
        """The next episode for a worker of the line `own`; None when there is none left."""
        if not self._passed[own]:
            for place, planned in self._todo:
                line = self._line[planned.episode.arm.key]
                if line == own:
                    return planned
                self._passed[line].append(place)
        longest = own if self._passed[own] else max(self.lines, key=lambda line: len(self._passed[line]))
        return self._plan.at(self._passed[longest].popleft()) if self._passed[longest] else None


def lines_of(plan: Plan) -> dict[int, Line]:
    """Each arm's line, by its key."""
    places = {id(model): i for i, model in enumerate(plan.models) if model.manners is not None}
    return {arm.key: _line(arm, places) for arm in plan.arms}


def _line(arm: Arm, places: dict[int, int]) -> Line:
    models = {id(player.model) for player in arm.players.values()}
    return tuple(sorted(place for model, place in places.items() if model in models))
