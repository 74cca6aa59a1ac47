"""Ensembled consultancy: a consultancy for each answer, each judged by itself, the verdicts pooled."""

from typing import Literal

from oversight import (
    Ask,
    Case,
    Judge,
    Pool,
    Role,
    Script,
    Seat,
    Speak,
    Together,
    UserError,
    Verdict,
    protocol,
)

Pooling = Literal["mean", "log_odds", "majority"]


@protocol(seats=("judge", Role("consultant", argues="each", reads=True)))
def ensembled_consultancy(case: Case, rounds: int = 3, ask: bool = True, pool: Pooling = "mean") -> Script:
    """A consultancy for each answer, judged one by one; the verdicts are pooled. (Arnesen 2024)

    rounds: how many times each consultant speaks
    ask: the judge puts a question to a consultant before each of its rounds after the first
    pool: mean (of the probabilities), log_odds (their mean) or majority (for judges that give no probabilities)
    """
    if rounds < 1:
        raise UserError(f"ensembled_consultancy: rounds is {rounds}; choose 1 or more")
    verdicts: dict[Seat, Verdict] = {}

    def consultation(consultant: Seat) -> Script:
        """Move for move a consultancy, so that its calls are those of `consultancy` on this answer."""
        for n in range(rounds):
            if ask and n:
                yield Ask(case.judge, to=consultant)
            yield Speak(consultant, only=(case.judge, consultant))
        verdicts[consultant] = yield Judge(case.judge)

    yield Together(*map(consultation, case.consultants))
    yield Pool(tuple(verdicts[consultant] for consultant in case.consultants), pool)
