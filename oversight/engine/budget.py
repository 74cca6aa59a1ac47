"""The limits of one run: how many calls it may make and what they may cost.

Before a call is sent, the most it can cost is reserved; when its reply is there, what it did cost is spent
and the rest is free again. A reply that was lost on its way, or cannot be used, counts as the most it can cost:
the provider may charge for it; another attempt needs room of its own. Spent and reserved together never pass the
limit, whatever is under way at once.
A call that does not fit waits while the calls under way may yet leave it room. Where they cannot, the run
makes no further call: those under way finish, and calls found in the store are free as ever. The promise is
as good as the estimate (`oversight.engine.tokens`): a prompt that comes to more is paid all the same.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oversight.engine.tokens import most_dollars, most_tokens
from oversight.errors import OverBudget, UserError
from oversight.models.interface import Completion, Model, Request
from oversight.models.prices import WAY_OUT

if TYPE_CHECKING:
    from oversight.experiment import Experiment

PICO = 10**12
"""Money is kept in whole millionths of a millionth of a dollar: sums of it are exact."""


@dataclass(slots=True)
class Charge:
    """The most that an attempt of one call can cost, in picodollars, what of it is reserved, and what it came to
    (None: not known yet)."""

    most: int
    reserved: int
    spent: int | None = None

    def settle(self, completion: Completion) -> None:
        """The reply is there. A cost nobody knows is counted as the most it can be."""
        self.spent = self.most if completion.cost is None else _pico(completion.cost)


class Budget:
    """What a run may still spend. `calls` counts calls sent, with those under way and those that failed."""

    def __init__(self, max_cost: float | None = None, max_calls: int | None = None) -> None:
        self.max_cost, self.max_calls = max_cost, max_calls
        self.calls = 0
        self.over: Literal["", "calls", "cost"] = ""
        """Which limit ended the run; "" while none has."""
        self._refused = 0
        self._limit = None if max_cost is None else _pico(max_cost)
        self._spent = self._reserved = self._lost = 0
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()

    @property
    def spent(self) -> float:
        """US dollars of the calls that came back, and the most that those cost whose reply was lost."""
        return self._spent / PICO

    @property
    def reserved(self) -> float:
        """US dollars the calls under way may come to."""
        return self._reserved / PICO

    @property
    def said(self) -> str:
        """What the run stopped at, as part of a line; "" where no limit stopped it."""
        if self.over == "calls":
            return f"{self.calls:,} of at most {self.max_calls:,} calls made"
        if self.over == "cost":
            lost = f" ({dollars(self._lost / PICO)} of it for replies that were lost)" if self._lost else ""
            return (
                f"{dollars(self.spent)} of at most {dollars(self.max_cost or 0.0)} spent{lost}, and the next call "
                f"may cost {dollars(self._refused / PICO)}"
            )
        return ""

    def reserve(self, model: Model, request: Request, batched: bool = False) -> Reserved:
        """Room for one call, at the price of a batch where it is `batched`, while the block makes it; settle
        the charge in there, or `lose` it: else it is taken to have cost nothing (it was turned away). Raises
        `OverBudget` where there will be no room."""
        most = 0 if self._limit is None else self._most(model, request, batched)
        return Reserved(self, Charge(most, most))

    def _most(self, model: Model, request: Request, batched: bool) -> int:
        if model.price is None:
            raise UserError(f"model {model.name!r} has no price, which max_cost needs: {WAY_OUT}")
        share = model.price.batch if batched else 1.0
        return _pico(share * most_dollars(model.price, *most_tokens(model, request)))

    def lose(self, charge: Charge) -> None:
        """A reply was lost that the provider may charge for: it counts as the most it can be. Of an attempt that
        was counted already, nothing more."""
        self._reserved -= charge.reserved
        self._spent += charge.reserved
        self._lost += charge.reserved
        charge.reserved = 0

    async def again(self, charge: Charge) -> None:
        """Room for another attempt of a call, before all others that wait. Raises `OverBudget` where there will be
        none."""
        need = charge.most - charge.reserved
        if need:
            await self.enter(need, calls=0)
            charge.reserved = charge.most

    def leave(self, charge: Charge) -> None:
        """What a charge reserved is free again, but for what it came to."""
        self._reserved -= charge.reserved
        self._spent += charge.spent or 0
        if self._waiting:
            self._wake()

    async def enter(self, need: int, calls: int = 1) -> None:
        """Wait for room for so many picodollars and calls; who needs no call more is let in first. Raises
        `OverBudget` where there will be none."""
        if not (self._waiting and calls) and self._try(need, calls):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.append if calls else self._waiting.appendleft)((need, calls, turn))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # it had been let in
                self._reserved -= need
                self.calls -= calls
            else:
                self._waiting = deque(w for w in self._waiting if w[2] is not turn)
            self._wake()
            raise

    def _try(self, need: int, calls: int) -> bool:
        """Let a call in, if it fits; say that the run is over, if it never will. Both may be false."""
        if self.over:
            return False
        if self.max_calls is not None and self.calls + calls > self.max_calls:
            self.over = "calls"
        elif (
            self._limit is not None and self._spent + need > self._limit
        ):  # even with all under way for nothing
            self.over, self._refused = "cost", need
        elif self._limit is None or self._spent + self._reserved + need <= self._limit:
            self.calls += calls
            self._reserved += need
            return True
        return False

    def _wake(self) -> None:
        """Let in, in order of arrival, who fits now; turn all away where the first never will."""
        while self._waiting:
            need, calls, turn = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
            elif self._try(need, calls):
                self._waiting.popleft()
                turn.set_result(None)
            elif self.over:
                self._waiting.popleft()
                turn.set_exception(OverBudget(self.said))
            else:
                return


class Reserved:
    """A block that has room for one call."""

    def __init__(self, budget: Budget, charge: Charge) -> None:
        self._budget, self._charge = budget, charge

    async def __aenter__(self) -> Charge:
        await self._budget.enter(self._charge.reserved)
        return self._charge

    async def __aexit__(self, *_: object) -> None:
        self._budget.leave(self._charge)


def budget_of(experiment: Experiment, models: Iterable[Model]) -> Budget:
    """The budget of one run. Raises `UserError` for a limit of cost with a model of unknown price."""
    if experiment.max_cost is not None:
        for model in models:
            if model.price is None:
                raise UserError(
                    f"max_cost needs to know what model {model.name!r} costs, and nobody said: {WAY_OUT}"
                )
    return Budget(experiment.max_cost, experiment.max_calls)


def dollars(amount: float) -> str:
    """US dollars as people read them: cents, or as many digits as a smaller amount needs."""
    return (
        f"${amount:,.2f}"
        if amount >= 1 or not amount
        else f"${amount:.4f}"
        if amount >= 0.01
        else f"${amount:.2g}"
    )


def _pico(dollars: float) -> int:
    """Rounded to the nearest, so that 0.1 three times is 0.3; more than any limit where it is not finite."""
    return round(dollars * PICO) if math.isfinite(dollars) else 10**30
