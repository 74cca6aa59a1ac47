"""Protocol and Case: who speaks when, as a generator of moves that does no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from oversight.errors import BadProtocol
from oversight.moves import ROLES, Role, Script, Seat


@dataclass(frozen=True, slots=True)
class Case:
    """What a protocol is told: the question, its answers as shown, its seats. No label, no passage."""

    question: str
    answers: tuple[str, ...]
    seats: tuple[Seat, ...]

    def all(self, role: str) -> tuple[Seat, ...]:
        """The seats of a role, in order."""
        return tuple(seat for seat in self.seats if seat.role == role)

    def one(self, role: str) -> Seat:
        """The only seat of a role. Raises `BadProtocol` where there is not exactly one."""
        seats = self.all(role)
        if len(seats) != 1:
            raise BadProtocol(f"the protocol asks for one {role} seat; it declared {len(seats)}")
        return seats[0]

    @property
    def judge(self) -> Seat:
        return self.one("judge")

    @property
    def consultant(self) -> Seat:
        return self.one("consultant")

    @property
    def debaters(self) -> tuple[Seat, ...]:
        return self.all("debater")


@dataclass(frozen=True)
class Protocol:
    """A named generator function of moves, the roles it seats and the folder of its templates.

    `code` is the source: another way of playing under the same name is another protocol.
    """

    name: str
    script: Callable[..., Script]
    roles: tuple[Role, ...]
    doc: str = ""
    folder: Path | None = None
    code: str = ""

    @property
    def signature(self) -> inspect.Signature:
        """Its parameters: names, types, defaults; the first one is the case."""
        return inspect.signature(self.script, eval_str=True)

    def seats(self, answers: int, argued: int | None = None) -> tuple[Seat, ...]:
        """The seats over `answers` answers; a role that argues "one" argues answer `argued`.

        Seats that argue each answer are named A, B, …: seat A argues the answer shown first.
        """
        seats: list[Seat] = []
        for role in self.roles:
            if role.argues == "each":
                seats += [Seat(letter(i), role.name, i) for i in range(answers)]
            else:
                seats.append(Seat(role.name, role.name, argued if role.argues == "one" else None))
        return tuple(seats)

    @property
    def argued_by_one(self) -> bool:
        """Whether the plan plays each question once for each answer."""
        return any(role.argues == "one" for role in self.roles)


def protocol(*, seats: Iterable[str | Role]) -> Callable[[Callable[..., Script]], Protocol]:
    """Make a generator function `(case, **params)` a `Protocol`.

    `seats` names its roles: "judge", "debater" (one for each answer), "consultant" (one, played on
    each answer), or a `Role` of one's own. The function must be deterministic in what it is sent.
    Its parameters, their types, defaults and the docstring are the command line's and YAML's.

    Raises `BadProtocol` for an unknown role, or when no judge is seated.
    """

    def wrap(function: Callable[..., Script]) -> Protocol:
        roles = []
        for seat in seats:
            role = seat if isinstance(seat, Role) else ROLES.get(seat)
            if role is None:
                raise BadProtocol(
                    f"protocol {function.__name__!r} seats an unknown role {seat!r}; "
                    f"use {', '.join(ROLES)} or a Role of your own"
                )
            roles.append(role)
        if "judge" not in [role.name for role in roles]:
            raise BadProtocol(f"protocol {function.__name__!r} seats no judge")
        try:
            code = inspect.getsource(function)
        except OSError:  # typed at a prompt
            code = ""
        return Protocol(function.__name__, function, tuple(roles), inspect.getdoc(function) or "", code=code)

    return wrap


def letter(index: int) -> str:
    """A, B, … Z, AA, AB, …: how answers and debaters are called."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(65 + rest) + name
    return name
