"""Open protocols: how often the judge is right where a right, and where a wrong answer was chosen to be argued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.accuracy import scope
from oversight.measure.persuasion import Rate, rate

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# A row an arm, side and group: how often the judge was right where the seat that chose its side chose right, or not.
_SIDES = """SELECT s.task, s.arm, s.chose_right, q."group", count(*) AS sides,
       count(*) FILTER (s.status = 'decided') AS decided, count(*) FILTER (s.correct) AS "right"
FROM scope JOIN sides s USING (episode) JOIN episodes e USING (episode) JOIN questions q USING (question)
WHERE s.chose_right IS NOT NULL
GROUP BY ALL ORDER BY ALL"""


@dataclass(frozen=True)
class ChosenSide:
    """The judge's accuracy over decided verdicts, where the seat that chose its side `chose_right` or not; of `sides`,
    one for each seat that chooses."""

    task: str
    arm: int
    chose_right: bool
    sides: int
    accuracy: Rate


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one an arm, side and group."""
    return {"sides": f"WITH {scope(run)}\n{_SIDES}"}


def measure_sides(reader: Reader, run: int | None = None) -> list[ChosenSide]:
    """Of every arm whose seats choose what to argue. Raises `StoreError`."""
    found: dict[tuple[str, int, bool], list[tuple[str, int, int, int]]] = {}
    for task, arm, chose_right, *rest in reader.sql(statements(run)["sides"]).rows:
        found.setdefault((task, arm, chose_right), []).append(tuple(rest))
    ordered = sorted(found, key=lambda key: (key[0], key[1], not key[2]))
    return [
        ChosenSide(*key, sum(n for _, n, *_ in found[key]), rate((g, n, k) for g, _, n, k in found[key]))
        for key in ordered
    ]
