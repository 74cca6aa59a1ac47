"""Debate: one debater for each answer, a judge who cannot check them."""

from typing import Literal

from oversight import Ask, Case, Judge, Script, Speak, Together, UserError, protocol

Order = Literal["simultaneous", "sequential"]


@protocol(seats=("judge", "debater"))
def debate(case: Case, rounds: int = 3, order: Order = "simultaneous", ask: bool = False) -> Script:
    """Debaters argue for opposite answers; the judge decides. (Irving 2018; Kenton 2024 §3.2)

    rounds: how many times each debater speaks
    order: simultaneous (none sees another's speech of this round) or sequential
    ask: the judge puts a question before each round
    """
    if rounds < 1:
        raise UserError(f"debate: rounds is {rounds}; choose 1 or more")
    for _ in range(rounds):
        if ask:
            yield Ask(case.judge)
        if order == "simultaneous":
            yield Together(*(Speak(d) for d in case.debaters))
        else:
            for d in case.debaters:
                yield Speak(d)
    yield Judge(case.judge)
