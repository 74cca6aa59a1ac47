"""The arms of a database, and which arm is another's floor (the judge alone) and ceiling (it reads the passage)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oversight.measure.accuracy import place
from oversight.measure.judged import judged
from oversight.measure.seats import judge_names, judged_again

if TYPE_CHECKING:
    from oversight.store.reading import Reader

_ARMS = """SELECT DISTINCT j.task, j.arm, a.protocol, a.params, a.judge, a.speaker, a.players
FROM judged j JOIN arms a USING (arm) ORDER BY j.task, a.judge, a.protocol, a.params, a.speaker, a.players, j.arm"""


@dataclass(frozen=True)
class ArmRow:
    """An arm on a task. `judge`: its judge's name among all (`seats.judge_names`); `again`: what was judged in it was
    played in another arm."""

    task: str
    arm: int
    protocol: str
    params: dict[str, Any]
    judge: str
    speaker: str | None
    players: dict[str, dict[str, Any]]
    again: bool

    @property
    def place(self) -> int:
        """The floor 0, protocols 1, the ceiling 2."""
        return place(self.protocol, self.params)


def statement(run: int | None = None) -> str:
    """The SQL of the arms: of the whole database, or of what one run planned."""
    return f"{judged(run)}\n{_ARMS}"


def measure_arms(reader: Reader, run: int | None = None) -> list[ArmRow]:
    """Every (task, arm), by task and judge, floors first and ceilings last. Raises `StoreError`."""
    judges, again = judge_names(reader), judged_again(reader)
    rows = [
        ArmRow(
            task, arm, protocol, json.loads(params), judges[arm], speaker, json.loads(players), arm in again
        )
        for task, arm, protocol, params, _, speaker, players in reader.sql(statement(run)).rows
    ]
    return sorted(rows, key=lambda row: (row.task, row.judge, row.place, row.again))


def beside(arm: ArmRow, arms: Sequence[ArmRow], place: int) -> tuple[ArmRow | None, str | None]:
    """The floor (`place` 0) or ceiling (2) of an arm: the same judge, read and sampled alike, on the same
    task; or None and why there is not one."""
    what = "floor (direct)" if place == 0 else "ceiling (direct:passage=true)"
    found = [a for a in arms if a.task == arm.task and a.place == place and _judge(a) == _judge(arm)]
    if len(found) == 1:
        return found[0], None
    return None, f"there is no {what} of this judge" if not found else f"there are {len(found)} of the {what}"


def _judge(arm: ArmRow) -> dict[str, Any]:
    """Who judges; each protocol has a template of its own."""
    return {k: v for k, v in arm.players.get("judge", {}).items() if k != "template"}
