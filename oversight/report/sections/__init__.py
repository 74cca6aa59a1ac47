"""What a written report says: its sections, each with figures, a table, notes and the SQL of its numbers.

Nothing here is measured: the numbers are those of `oversight.measure`, told as the terminal tells them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oversight.errors import UserError
from oversight.measure.accuracy import measure
from oversight.report.sections.accuracy import accuracy_section, ledger_section
from oversight.report.sections.belief import belief_section
from oversight.report.sections.calibration import calibration_section
from oversight.report.sections.costs import costs_section, spending_section
from oversight.report.sections.differences import differences_section
from oversight.report.sections.gap import gap_section
from oversight.report.sections.shared import Arms, Section, named_arms
from oversight.report.sections.sides import sides_section
from oversight.report.sections.strength import strength_section

if TYPE_CHECKING:
    from oversight.store.reading import Reader

__all__ = ["Section", "sections"]


def sections(reader: Reader, run: int | None = None) -> list[Section]:
    """Every section, on the whole database or on what one run planned. Raises `UserError` where there is nothing
    to report, and `StoreError`."""
    rows = measure(reader, run)
    if not rows:
        raise UserError(f"{reader.path} holds no episodes yet: play some with `oversight run`")
    arms = named_arms(rows)
    makers: tuple[Callable[[Reader, int | None, Arms], Section], ...] = (
        accuracy_section,
        ledger_section,
        differences_section,
        sides_section,
        strength_section,
        calibration_section,
        belief_section,
        gap_section,
        costs_section,
        spending_section,
    )
    return [make(reader, run, arms) for make in makers]
