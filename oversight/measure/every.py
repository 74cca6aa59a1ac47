"""The measures by name, each with the function that takes it of a database and the SQL of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from oversight.errors import unknown
from oversight.measure import (
    arms,
    belief,
    bias,
    calibration,
    frontier,
    gap,
    persuasion,
    readings,
    rounds,
    scores,
    sides,
    strength,
)
from oversight.question import hex_id

if TYPE_CHECKING:
    from oversight.store.reading import Reader

Measure = Callable[["Reader", int | None], Sequence[Any]]
Statements = Callable[[int | None], dict[str, str]]


def _only(statements: Statements, *names: str, arms_too: bool = False) -> Statements:
    """Of a module's statements those that one of its measures asks."""

    def chosen(run: int | None = None) -> dict[str, str]:
        found = statements(run)
        return {name: found[name] for name in names} | ({"arms": arms.statement(run)} if arms_too else {})

    return chosen


MEASURES: Mapping[str, tuple[Measure, Statements]] = {
    "readings": (readings.measure_readings, readings.statements),
    "gap": (gap.measure_gap, _only(gap.statements, "gap", arms_too=True)),
    "rescue and harm": (
        persuasion.measure_rescue_and_harm,
        _only(persuasion.statements, "rescue and harm", arms_too=True),
    ),
    "win rates": (persuasion.measure_win_rates, _only(persuasion.statements, "win rates")),
    "score difference": (scores.measure_score_differences, scores.statements),
    "sides": (sides.measure_sides, sides.statements),
    "strength": (
        strength.measure_strength,
        _only(strength.statements, "matches", "forecasts", arms_too=True),
    ),
    "calibration": (calibration.measure_calibration, calibration.statements),
    "belief by round": (rounds.measure_rounds, rounds.statements),
    "belief": (belief.measure_belief, belief.statements),
    "knew already": (bias.measure_knew_already, _only(bias.statements, "judge alone")),
    "position": (bias.measure_position_bias, _only(bias.statements, "choices")),
    "preferences": (bias.measure_preferences, _only(bias.statements, "matches")),
    "leaks": (bias.measure_leaks, _only(bias.statements, "leaks")),
    "frontier": (frontier.measure_frontier, frontier.statements),
}


def measured_rows(reader: Reader, name: str, run: int | None = None) -> list[dict[str, Any]]:
    """The measure's results as flat dictionaries: nested names joined by "_", lists as they are, arms as their ids.
    Raises `UserError` for an unknown name."""
    if name not in MEASURES:
        raise unknown("measure", name, MEASURES)
    measure, _ = MEASURES[name]
    return [_flat(asdict(row)) for row in measure(reader, run)]


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = before if key == "of" and not isinstance(value, int | float) else f"{before}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}_" if name and name != before else before)
        elif key == "arm" or key.endswith("_arm"):
            flat[name] = None if value is None else hex_id(value)
        else:
            flat[name] = _plain(value)
    return flat


def _plain(value: Any) -> Any:
    """A value that is no mapping; in lists of mappings arms are ids too."""
    if isinstance(value, list | tuple):
        return [_flat(one) if isinstance(one, Mapping) else _plain(one) for one in value]
    return value
