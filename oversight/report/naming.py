"""What reports call an arm: its protocol and players, with what tells it from its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from oversight.measure.accuracy import Accuracy
from oversight.measure.arms import ArmRow
from oversight.measure.seats import told_apart


@lru_cache(maxsize=256)
def _defaults(protocol: str) -> Mapping[str, Any]:
    from oversight.errors import OversightError
    from oversight.library import find_protocol, params_of

    try:
        return {name: p.default for name, p in params_of(find_protocol(protocol)).items()}
    except OversightError:
        return {}  # a protocol by path, which is not here any more: all its parameters are shown


def protocol_title(protocol: str, params: Mapping[str, Any]) -> str:
    """The protocol as the command line spells it, with the parameters that are not its defaults."""
    from oversight.library import spell

    defaults = _defaults(protocol)
    return spell(protocol, {k: v for k, v in params.items() if k not in defaults or defaults[k] != v})


def titles(rows: Sequence[Accuracy | ArmRow]) -> dict[tuple[str, int], str]:
    """A title for each (task, arm): the protocol's, whether it was judged again, and where arms of one task and judge
    would share it, how their players differ."""
    same: dict[tuple[Any, ...], list[Accuracy | ArmRow]] = defaultdict(list)
    named = {}
    for row in rows:
        again = " judged again" if row.again else ""
        named[row.task, row.arm] = protocol_title(row.protocol, row.params) + again
        same[row.task, row.judge, row.speaker, named[row.task, row.arm]].append(row)
    for twins in same.values():
        for row, differs in zip(twins, told_apart([_seats(row) for row in twins]), strict=True):
            named[row.task, row.arm] += f" ({differs})" if differs else ""
    return named


def _seats(row: Accuracy | ArmRow) -> dict[str, Any]:
    """The settings of all players by "role setting". Who plays stands beside the title already."""
    return {f"{role} {key}": value for role, player in row.players.items() for key, value in player.items()}
