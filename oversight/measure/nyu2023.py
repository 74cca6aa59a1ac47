"""What Michael et al. 2023 (arXiv 2311.08702) report of their human judges, and the SQL that finds the same.

Over the imported debates of the paper (`oversight import nyu`), final verdicts of the judge in the room:

- accuracy: the share of final verdicts with more than one half on the right answer; one exact half counts as wrong;
- judge score: log2 p(right) - 0.05 for each time the judge let the debate continue, averaged (bits);
- judge rewards: that score debate by debate, against the one stored with each by its authors.

Their calibration error is left out: no binning was found that gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.errors import UserError

if TYPE_CHECKING:
    from oversight.store.reading import Reader

TITLE = "Michael et al. 2023 (arXiv 2311.08702)"
DEBATES = 413
SAME_REWARD = 1e-12
"""Bits by which two logarithms of one number may differ: theirs was taken on another machine."""

# setting → right, debates, and as the paper rounds them: accuracy in per cent, mean judge score in bits.
SETTINGS = {
    "human debate": (130, 154, 84, -0.89),
    "human consultancy": (71, 96, 74, -1.24),
    "AI debate": (68, 87, 78, -1.20),
    "AI consultancy": (61, 76, 80, -1.16),
}
# setting, whether the consultant argued the right answer → right, debates.
SIDES = {
    ("human consultancy", True): (42, 48),
    ("human consultancy", False): (29, 48),
    ("AI consultancy", True): (28, 38),
    ("AI consultancy", False): (33, 38),
}

_SCORED = """WITH scored AS (  -- one row a debate of the paper; a verdict of exactly one half is no right one
  SELECT i.name, i.meta->>'setting' AS setting, e.argued = l.label AS argued_right,
         coalesce(v.choice = l.label, false) AS "right",
         log2(v.probabilities[l.label + 1])
           - 0.05 * (SELECT count(*) FROM verdicts w
                     WHERE w.episode = e.episode AND w.elicitation = v.elicitation AND NOT w.final) AS score,
         (i.meta->>'judge_reward')::DOUBLE AS stated
  FROM imports i JOIN episodes e USING (episode) JOIN labels l USING (question)
       JOIN verdicts v ON v.episode = e.episode AND v.final
  WHERE i.source = 'nyu' AND (i.meta->>'in_paper')::BOOLEAN
)"""

STATEMENTS = {
    "settings": f"""{_SCORED}
SELECT setting, count(*) FILTER ("right") AS "right", count(*) AS debates, avg(score) AS score
FROM scored GROUP BY setting ORDER BY setting""",
    "sides": f"""{_SCORED}
SELECT setting, argued_right, count(*) FILTER ("right") AS "right", count(*) AS debates
FROM scored WHERE argued_right IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    "rewards": f"""{_SCORED}
SELECT count(*) AS debates, count(*) FILTER (abs(score - stated) <= {SAME_REWARD}) AS same,
       max(abs(score - stated)) AS largest_difference
FROM scored""",
}


@dataclass(frozen=True)
class Figure:
    """One of the paper's figures beside ours, both as text; `same` where they agree."""

    setting: str
    what: str
    paper: str
    ours: str
    same: bool


def figures(reader: Reader) -> list[Figure]:
    """Every figure, in the paper's order. Raises `UserError` where the database has none of its debates."""
    settings = {name: rest for name, *rest in reader.sql(STATEMENTS["settings"]).rows}
    if not settings:
        raise UserError(
            f"{reader.path} holds none of the NYU debates: import them with "
            f"`oversight import nyu FOLDER --db {reader.path}`"
        )
    found = []
    for setting, (right, debates, percent, score) in SETTINGS.items():
        ours, of, mean = settings.get(setting, (0, 0, None))
        accuracy = f"{100 * ours / of:.1f} %" if of else "none"
        close = bool(of) and round(100 * ours / of) == percent
        found.append(_counts(setting, "right", (right, debates), (ours, of)))
        found.append(Figure(setting, "accuracy", f"{percent} %", accuracy, close))
        mean_text = "none" if mean is None else f"{mean:.2f}"
        found.append(
            Figure(setting, "mean judge score", f"{score:.2f}", mean_text, mean_text == f"{score:.2f}")
        )
    sides = {(setting, argued): (n, of) for setting, argued, n, of in reader.sql(STATEMENTS["sides"]).rows}
    for (setting, argued_right), wanted in SIDES.items():
        what = f"right, consultant {'honest' if argued_right else 'dishonest'}"
        found.append(_counts(setting, what, wanted, sides.get((setting, argued_right), (0, 0))))
    ((debates, same, largest),) = reader.sql(STATEMENTS["rewards"]).rows
    all_same = debates == same == DEBATES
    by = f", to {largest:.0e} bits" if largest else ""
    found.append(
        Figure("all", "judge rewards", f"{DEBATES} of {DEBATES}", f"{same} of {debates}{by}", all_same)
    )
    return found


def _counts(setting: str, what: str, paper: tuple[int, int], ours: tuple[int, int]) -> Figure:
    return Figure(setting, what, f"{paper[0]} of {paper[1]}", f"{ours[0]} of {ours[1]}", paper == ours)
