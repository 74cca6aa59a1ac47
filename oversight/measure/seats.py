"""What players are called: by their model, and where others have that model too, by what tells them apart.

A model with another temperature, elicitation or panel is another judge: measures and reports keep them apart.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oversight.store.reading import Reader

_JUDGES = "SELECT arm, judge, players -> '$.judge' FROM arms ORDER BY arm"
_AGAIN = "SELECT DISTINCT arm FROM episodes WHERE parent IS NOT NULL"

LATE = ("identity", "template")
"""Settings that are long or hashes, told only where the others are not enough."""


def judge_names(reader: Reader) -> dict[int, str]:
    """The judge of each arm in the database, whatever run is looked at, so that a name means one judge. Each protocol has
    a judge's template of its own, which makes no other judge. Raises `StoreError`."""
    judges: dict[int, str] = {}
    for arm, model, player in reader.sql(_JUDGES).rows:
        said = {"model": model, **(json.loads(player) if player else {})}
        said.pop("template", None)
        judges[arm] = json.dumps(said, sort_keys=True)
    names = player_names(set(judges.values()))
    return {arm: names[described] for arm, described in judges.items()}


def judged_again(reader: Reader) -> frozenset[int]:
    """The arms whose transcripts were played in another arm and judged again. Raises `StoreError`."""
    return frozenset(arm for (arm,) in reader.sql(_AGAIN).rows)


def player_names(described: Collection[str]) -> dict[str, str]:
    """A name for each player (its JSON in `arms.players`): its model, and where several players share that
    model, how they differ."""
    players = {text: json.loads(text) for text in sorted(described)}
    named = {}
    for text, player in players.items():
        twins = {t: p for t, p in players.items() if p.get("model") == player.get("model")}
        tail = told_apart(list(twins.values()))[list(twins).index(text)]
        named[text] = f"{player.get('model')}{f' ({tail})' if tail else ''}"
    return named


def told_apart(players: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each of several players what tells it from the others, as `temperature=0.5, votes=3`; "" where nothing does.

    The settings in which they differ (one that a player does not have is off); where those leave some alike, their
    models' options too, then templates, then all there is of a panel.
    """
    different = len({json.dumps(p, sort_keys=True) for p in players})
    told: list[str] = []
    for left_out, whole in ((LATE, False), (LATE[1:], False), ((), False), ((), True)):
        told = [_differing(player, players, left_out, whole) for player in players]
        if len(set(told)) == different:
            break
    return told


def _differing(
    player: Mapping[str, Any], others: Sequence[Mapping[str, Any]], left_out: Sequence[str], whole: bool
) -> str:
    parts = []
    for key, value in player.items():
        *role, setting = key.split(" ")
        values = [other.get(key) for other in others]
        if setting not in left_out and any((other or None) != (value or None) for other in values):
            said = _own_part(value, values) if setting == "identity" else _said(setting, value, whole)
            parts.append(" ".join([*role, said]))
    return ", ".join(parts)


def _said(setting: str, value: Any, whole: bool = False) -> str:
    if setting == "panel" and value and not whole:
        value = "+".join(str(member.get("model")) for member in value)
    return f"{setting}={'default' if value is None else value}"


def _own_part(identity: Any, others: Sequence[Any]) -> str:
    """Of an identity spelt `name:key=value,…`, what is not in all of the others'; else the whole."""

    def parts(one: Any) -> list[str]:
        _, colon, options = str(one).partition(":")
        return options.split(",") if colon else []

    shared = set.intersection(*(set(parts(one)) for one in others))
    own = [part for part in parts(identity) if part not in shared]
    return ",".join(own) if own else _said("identity", identity)
