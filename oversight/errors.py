"""Everything that can go wrong, by whose business it is.

OversightError
 ├─ UserError            the user's input: one line that names the thing and the way out
 │   ├─ BadQuestion      a question that cannot be asked
 │   ├─ BadProtocol      a protocol, template or task folder that breaks its contract
 │   ├─ BadModel         a model that breaks its contract
 │   └─ StoreError       a database that cannot be opened, read or written
 ├─ OverBudget           a run reached its max_cost or max_calls; everything committed is kept
 └─ CallFailed           one model call did not give a usable completion; fails its episode, not the run
     ├─ Transport        no answer came (network, server, crash); never cached, tried again on resume
     │   └─ RateLimited  … because too much was asked at a time (429, overloaded)
     ├─ Rejected         the provider would not take this request
     ├─ ContextOverflow  the prompt is longer than the model takes
     ├─ TooLong          what was said is longer than any prompt may be
     ├─ Filtered         the provider's filter withheld the answer
     ├─ Truncated        the token limit ended the reply before its point
     ├─ Empty            the reply had nothing in it to show
     └─ Undecided        a seat that had to choose named nothing
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OversightError(Exception):
    """Base of all errors raised on purpose."""


class UserError(OversightError):
    """Something the user can mend; the message is one line and says how."""


class BadQuestion(UserError):
    """A question that cannot be asked: one answer, equal answers, no passage where one is needed."""


class Unreachable(UserError):
    """Data of a task that cannot be had here: gated, withdrawn, or no connection."""


class BadProtocol(UserError):
    """A protocol, template or task that breaks its contract."""


class BadModel(UserError):
    """A model that raised what no model should."""


class StoreError(UserError):
    """A database file that cannot be opened, read or written as asked."""


class OverBudget(OversightError):
    """A run reached its `max_cost` or `max_calls`. What it committed is kept; a higher limit goes on."""


class CallFailed(OversightError):
    """A model call that gave nothing usable. `reason` is the word stored with the verdict."""

    reason = "failed"


class Transport(CallFailed):
    """No answer came. With `again`, the next attempt may bring one; not before `after` seconds, where the
    provider named a time. `charged`: it was asked, and may charge for the reply that was lost."""

    reason = "transport"

    def __init__(
        self, message: str, *, again: bool = True, after: float | None = None, charged: bool = False
    ) -> None:
        super().__init__(message)
        self.again, self.after, self.charged = again, after, charged


class RateLimited(Transport):
    """The provider wants fewer calls at a time."""


class Rejected(CallFailed):
    """The provider would not take this request, and would not take it again."""

    reason = "rejected"


class ContextOverflow(CallFailed):
    """The prompt (and room for the reply) is longer than the model's context; both in tokens."""

    reason = "context"

    def __init__(self, model: str, needed: int | None, available: int | None) -> None:
        wanted = "more" if needed is None else f"{needed:,}"
        there = "fewer" if available is None else f"{available:,}"
        super().__init__(f"{model}: the prompt and reply need {wanted} tokens, the context has {there}")
        self.needed, self.available = needed, available


class TooLong(CallFailed):
    """What a seat is to be shown is longer than any prompt may be."""

    reason = "context"


class Filtered(CallFailed):
    """The provider's content filter withheld the answer."""

    reason = "filter"


class Truncated(CallFailed):
    """The token limit ended the reply before its point."""

    reason = "truncated"


class Empty(CallFailed):
    """The reply had nothing in it that may be shown."""

    reason = "empty"


class Undecided(CallFailed):
    """A seat that had to choose, without which the play cannot go on, named nothing, or two things."""

    reason = "undecided"


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """`UserError` for a name nobody knows, with the nearest known one."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    match = next((n for n in names if near and n.lower() == near[0]), None)
    tail = f"; did you mean {match!r}?" if match else (f"; known: {', '.join(names)}" if names else "")
    return UserError(f"no {kind} {name!r}{tail}{' ' + hint if hint else ''}")
