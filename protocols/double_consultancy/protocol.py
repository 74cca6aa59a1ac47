"""Double consultancy: a consultancy for each answer, none knowing of the others, judged together."""

from oversight import Ask, Case, Judge, Role, Script, Seat, Speak, Together, UserError, protocol


@protocol(seats=("judge", Role("consultant", argues="each", reads=True)))
def double_consultancy(case: Case, rounds: int = 3, ask: bool = True) -> Script:
    """A consultancy for each answer, side by side; the judge reads them all and decides. (Arnesen 2024)

    rounds: how many times each consultant speaks
    ask: the judge puts a question to a consultant before each of its rounds after the first
    """
    if rounds < 1:
        raise UserError(f"double_consultancy: rounds is {rounds}; choose 1 or more")
    yield Together(*(consultation(case.judge, c, rounds, ask) for c in case.consultants))
    yield Judge(case.judge)


def consultation(judge: Seat, consultant: Seat, rounds: int, ask: bool) -> Script:
    """Move for move a consultancy, so that its calls are those of `consultancy` on this answer."""
    for n in range(rounds):
        if ask and n:
            yield Ask(judge, to=consultant)
        yield Speak(consultant, only=(judge, consultant))
