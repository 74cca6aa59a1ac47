"""oversight: which ways of checking a stronger model still work? Protocols, played and measured.

This is the whole public API. Protocol and task folders need the first group of names; `run`,
`open_database` and `Experiment` are for driving it from Python.
"""

from typing import TYPE_CHECKING, Any

from oversight.errors import (
    BadProtocol,
    BadQuestion,
    CallFailed,
    ContextOverflow,
    Empty,
    Filtered,
    OverBudget,
    OversightError,
    StoreError,
    Transport,
    Truncated,
    UserError,
)
from oversight.moves import Ask, Judge, Quote, Role, Script, Seat, Speak, Together, Turn, Verdict
from oversight.protocol import Case, Protocol, protocol
from oversight.question import Image, Label, Question
from oversight.task import Items, Task, task

if TYPE_CHECKING:
    from oversight import hub
    from oversight.api import Database, open_database, run
    from oversight.episode import Arm, Assignment, Episode, Run
    from oversight.experiment import Experiment
    from oversight.models.interface import Completion, Message, Model, Request, Sampling
    from oversight.views import View

__version__ = "0.1.0"

# Loaded when first used, so that `import oversight` stays quick.
_LATER = {
    "Arm": "oversight.episode",
    "Assignment": "oversight.episode",
    "Completion": "oversight.models.interface",
    "Database": "oversight.api",
    "Episode": "oversight.episode",
    "Experiment": "oversight.experiment",
    "Message": "oversight.models.interface",
    "Model": "oversight.models.interface",
    "Request": "oversight.models.interface",
    "Run": "oversight.episode",
    "Sampling": "oversight.models.interface",
    "View": "oversight.views",
    "open_database": "oversight.api",
    "run": "oversight.api",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "hub":
        return importlib.import_module("oversight.hub")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'oversight' has no attribute {name!r}")


__all__ = [
    "Arm",
    "Ask",
    "Assignment",
    "BadProtocol",
    "BadQuestion",
    "CallFailed",
    "Case",
    "Completion",
    "ContextOverflow",
    "Database",
    "Empty",
    "Episode",
    "Experiment",
    "Filtered",
    "Image",
    "Items",
    "Judge",
    "Label",
    "Message",
    "Model",
    "OverBudget",
    "OversightError",
    "Protocol",
    "Question",
    "Quote",
    "Request",
    "Role",
    "Run",
    "Sampling",
    "Script",
    "Seat",
    "Speak",
    "StoreError",
    "Task",
    "Together",
    "Transport",
    "Truncated",
    "Turn",
    "UserError",
    "Verdict",
    "View",
    "hub",
    "open_database",
    "protocol",
    "run",
    "task",
]
