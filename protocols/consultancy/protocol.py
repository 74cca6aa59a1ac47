"""Consultancy: one consultant argues an assigned answer, right or wrong; the judge decides."""

from oversight import Ask, Case, Judge, Script, Speak, UserError, protocol


@protocol(seats=("judge", "consultant"))
def consultancy(case: Case, rounds: int = 3, ask: bool = True) -> Script:
    """A consultant argues the answer it was given; each question is played on each answer. (Kenton 2024 §3.2)

    rounds: how many times the consultant speaks
    ask: the judge puts a question before each round after the first
    """
    if rounds < 1:
        raise UserError(f"consultancy: rounds is {rounds}; choose 1 or more")
    for n in range(rounds):
        if ask and n:
            yield Ask(case.judge)
        yield Speak(case.consultant)
    yield Judge(case.judge)
