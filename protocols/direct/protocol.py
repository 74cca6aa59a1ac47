"""Direct: the judge answers alone. The floor, and with the passage the ceiling."""

from oversight import Case, Judge, Script, protocol


@protocol(seats=("judge",))
def direct(case: Case, passage: bool = False) -> Script:
    """The judge answers alone: "naive" without the passage, "expert" with it. (Kenton 2024 §3.2)

    passage: the judge reads the passage (the ceiling)
    """
    yield Judge(case.judge, passage=passage)
