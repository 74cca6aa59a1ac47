"""What reports say of each measure: a section with figures, a table and notes. One file a subject.

Nothing here is measured: the numbers are those of `oversight.measure`. A section's table is what the written report
has and what `oversight report MEASURE` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oversight.report.sections.accuracy import accuracy_section, ledger_section, readings_section
from oversight.report.sections.belief import belief_by_round_section, belief_section
from oversight.report.sections.bias import (
    knew_already_section,
    leaks_section,
    position_section,
    preferences_section,
)
from oversight.report.sections.calibration import calibration_section
from oversight.report.sections.costs import frontier_section, spending_section
from oversight.report.sections.differences import differences_section
from oversight.report.sections.gap import gap_section
from oversight.report.sections.persuasion import rescue_and_harm_section, win_rates_section
from oversight.report.sections.scores import score_difference_section
from oversight.report.sections.shared import Grid, Section, Shown, Source
from oversight.report.sections.sides import sides_section
from oversight.report.sections.strength import strength_section

__all__ = ["SECTIONS", "Grid", "Section", "Shown", "Source"]

SECTIONS: Mapping[str, Callable[[Source], Section]] = {
    "accuracy": accuracy_section,
    "ledger": ledger_section,
    "readings": readings_section,
    "differences": differences_section,
    "gap": gap_section,
    "rescue and harm": rescue_and_harm_section,
    "win rates": win_rates_section,
    "score difference": score_difference_section,
    "sides": sides_section,
    "strength": strength_section,
    "calibration": calibration_section,
    "belief by round": belief_by_round_section,
    "belief": belief_section,
    "knew already": knew_already_section,
    "position": position_section,
    "preferences": preferences_section,
    "leaks": leaks_section,
    "frontier": frontier_section,
    "spending": spending_section,
}
"""By the measure's name, in the order of the written report."""
