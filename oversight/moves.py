"""What a protocol asks of the engine next, and what it is sent back: moves, turns and verdicts.

A protocol is a generator of moves. It yields one and is sent what was played: a `Turn` for `Speak`
and `Ask`, a `Verdict` for `Judge`, a tuple of those for `Together`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of seat. `argues`: "none", "one" (one seat; the plan gives it each answer in turn) or
    "each" (one seat for each answer). `reads` says whether it may read the passage."""

    name: str
    argues: Literal["none", "one", "each"] = "none"
    reads: bool = False


JUDGE = Role("judge")
DEBATER = Role("debater", argues="each", reads=True)
CONSULTANT = Role("consultant", argues="one", reads=True)
ROLES = {role.name: role for role in (JUDGE, DEBATER, CONSULTANT)}


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in one playing of a protocol. `answer` is the index, as shown, of the answer it argues."""

    name: str
    role: str
    answer: int | None = None

    @property
    def title(self) -> str:
        """As transcripts call it: "Debater A", "Consultant", "Judge"."""
        role = self.role.replace("_", " ").capitalize()
        return role if self.name == self.role else f"{role} {self.name}"


@dataclass(frozen=True, slots=True)
class Speak:
    """`seat` makes a speech that every seat may see."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Ask:
    """`seat` puts a question, to `to` or to whoever speaks next."""

    seat: Seat
    to: Seat | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """`seat` says what it believes. The last one of an episode is its final verdict.

    `passage` True lets it read the passage: the ceiling, not a protocol of oversight.
    """

    seat: Seat
    passage: bool = False


class Together:
    """Moves, or whole generators of moves, played side by side.

    None of them sees what another says; what comes after sees them all, in the order given here.
    """

    __slots__ = ("parts",)

    def __init__(self, *parts: Move | Script) -> None:
        self.parts = parts


Move = Speak | Ask | Judge | Together
Script = Generator[Move, Any, None]

Kind = Literal["speak", "ask"]


@dataclass(frozen=True, slots=True)
class Quote:
    """A span of a turn's text that its speaker put forward as the passage's own words.

    `start`, `end`: offsets in `Turn.text`. `verified`: found in the passage, at
    `passage_start`, `passage_end`. `cut`: shortened to the quote budget.
    """

    start: int
    end: int
    verified: bool
    passage_start: int | None = None
    passage_end: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A `Speak` or `Ask` move that was played.

    `text` is what others may see, with quotes as spans beside it. `private` is the speaker's own
    reasoning. `full` is the whole speech where `text` was cut, `cut` says by what. `visible_to` names
    the seats that may see it; None is all of them. What a judge believes is a `Verdict`, not a turn:
    nobody sees it.
    """

    kind: Kind
    seat: str
    round: int
    text: str
    private: str = ""
    full: str | None = None
    cut: Literal["words", "length"] | None = None
    quotes: tuple[Quote, ...] = ()
    visible_to: tuple[str, ...] | None = None
    to: str | None = None


Status = Literal["decided", "tie", "unparsable", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's probabilities over the answers, in the order shown, or why there are none.

    `choice` is the index, as shown, of the most probable answer; None unless `status` is
    "decided". `elicitation` says how it was read (see `oversight.elicit`); `raw` is the judge's
    reply, `first_raw` the one before it where it could not be read and was asked for again. `reason` says why
    it failed: transport, filter, truncated, empty, context; `detail` what else there is to say of it.
    """

    status: Status
    elicitation: str
    probabilities: tuple[float, ...] | None = None
    choice: int | None = None
    raw: str = ""
    reason: str | None = None
    detail: str | None = None
    first_raw: str | None = None
