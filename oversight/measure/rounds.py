"""What the judge believes after each round, where a protocol asks for it more than once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.measure.accuracy import scope
from oversight.measure.measured import Measured, mean_of, within

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# A row an episode and round: the judge's last belief in it, read as its final verdict was. Round 0: before any speech.
_ROUNDS = """rounds AS (
  SELECT b.task, b.arm, q."group", e.argued = l.label AS argued_right, b.episode,
         coalesce((SELECT max(t.round) FROM turns t WHERE t.episode = b.episode AND t.turn < b.turn), 0) AS round,
         b.turn, b.final, b.p_right
  FROM scope JOIN beliefs b USING (episode) JOIN episodes e USING (episode)
       JOIN questions q USING (question) JOIN labels l USING (question)
       JOIN verdicts f ON f.episode = b.episode AND f.final AND f.judge = b.judge
  WHERE b.p_right IS NOT NULL
)
SELECT task, arm, argued_right, round, "group", arg_max(p_right, (turn, final)) AS p_right
FROM rounds GROUP BY task, arm, argued_right, round, "group", episode
ORDER BY task, arm, argued_right DESC, round, "group", episode"""


@dataclass(frozen=True)
class RoundBelief:
    """The mean probability of the right answer after `round` rounds (0: before anybody spoke), where the one answer
    argued was right or wrong (None: each is argued, or none)."""

    task: str
    arm: int
    argued_right: bool | None
    round: int
    belief: Measured


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the rows: one an episode and round."""
    return {"rounds": f"WITH {scope(run)},\n{_ROUNDS}"}


def measure_rounds(reader: Reader, run: int | None = None) -> list[RoundBelief]:
    """Of every arm whose judge gave probabilities after more than one number of rounds, clustered t intervals. Raises
    `StoreError`."""
    values: dict[tuple[str, int, bool | None], dict[int, list[tuple[float, str]]]] = {}
    for task, arm, argued_right, round_, group, p in reader.sql(statements(run)["rounds"]).rows:
        values.setdefault((task, arm, argued_right), {}).setdefault(round_, []).append((p, group))
    return [
        RoundBelief(
            *key,
            round_,
            within(mean_of([p for p, _ in rounds[round_]], [g for _, g in rounds[round_]]), 0, 1),
        )
        for key, rounds in values.items()
        if len(rounds) > 1
        for round_ in sorted(rounds)
    ]
