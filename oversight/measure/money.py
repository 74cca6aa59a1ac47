"""What the calls cost, by model and seat, and what was saved by finding calls in the store.

A call is paid once; every further use of it is found. Calls that no turn or verdict has used yet (of
episodes that were stopped on the way) were paid all the same and stand by themselves, without a seat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oversight.store.reading import Reader

_MONEY = """WITH spent AS (
  SELECT u.episode, coalesce(t.role, u.seat) AS seat, u.paid, c.*
  FROM uses u JOIN calls c USING (call)
       LEFT JOIN turns t ON t.episode = u.episode AND t.turn = u.turn AND t.seat = u.seat{planned}
  UNION ALL  -- paid, and used by nothing yet
  SELECT NULL, NULL, true, c.* FROM calls c ANTI JOIN uses u USING (call){paid_by}
)
SELECT m.name AS model, m.kind, s.seat, grouping(m.name) = 1 AS total,
       count(*) FILTER (paid) AS made, count(*) FILTER (NOT paid) AS found,
       CASE WHEN bool_or(paid AND prompt_tokens IS NULL) THEN NULL
            ELSE coalesce(sum(prompt_tokens) FILTER (paid), 0)::BIGINT END AS prompt_tokens,
       CASE WHEN bool_or(paid AND completion_tokens IS NULL) THEN NULL
            ELSE coalesce(sum(completion_tokens) FILTER (paid), 0)::BIGINT END AS completion_tokens,
       CASE WHEN bool_or(paid AND cost IS NULL) THEN NULL
            ELSE coalesce(sum(cost) FILTER (paid), 0) END AS cost,
       count(*) FILTER (paid AND cost IS NULL) AS unknown,
       count(DISTINCT s.episode) FILTER (v.status = 'decided') AS decided,
       CASE WHEN bool_or(NOT paid AND prompt_tokens + completion_tokens IS NULL) THEN NULL
            ELSE coalesce(sum(prompt_tokens + completion_tokens) FILTER (NOT paid), 0)::BIGINT END AS saved_tokens,
       CASE WHEN bool_or(NOT paid AND cost IS NULL) THEN NULL
            ELSE coalesce(sum(cost) FILTER (NOT paid), 0) END AS saved
FROM spent s JOIN models m USING (model) LEFT JOIN verdicts v ON v.episode = s.episode AND v.final
GROUP BY GROUPING SETS ((m.name, m.kind, s.seat), ())
ORDER BY total, m.name, m.kind, s.seat NULLS LAST"""


def statements(run: int | None = None) -> dict[str, str]:
    """The SQL of the table: over the whole database, or over what one run planned."""
    planned = "" if run is None else f"\n  WHERE u.episode IN (SELECT episode FROM plans WHERE run = {run})"
    paid_by = "" if run is None else f" WHERE c.run = {run}"
    return {"money": _MONEY.format(planned=planned, paid_by=paid_by)}


@dataclass(frozen=True)
class Money:
    """What one model took in one seat, or all of them (`total`, whose model is None).

    `made` calls were paid, `found` ones were there; `seat` is the role, None for calls used by nothing yet.
    `cost`, `per_decided` and `saved` (what the found ones had cost) in US dollars, None where that of any
    call is unknown; `unknown` counts those paid. `decided`: episodes with a decided verdict it took part in.
    """

    model: str | None
    kind: str | None
    seat: str | None
    total: bool
    made: int
    found: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    unknown: int
    decided: int
    saved_tokens: int | None
    saved: float | None

    @property
    def per_decided(self) -> float | None:
        """US dollars for each decided verdict; None where cost is unknown or nothing was decided."""
        return None if self.cost is None or not self.decided else self.cost / self.decided

    @property
    def matters(self) -> bool:
        """Whether money is in it: some cost, or an API's that nobody knows."""
        return bool(self.cost or self.saved) or (self.kind == "api" and None in (self.cost, self.saved))


def measure_money(reader: Reader, run: int | None = None) -> list[Money]:
    """A row a model and seat, and the total last; none where there are no calls. Raises `StoreError`."""
    rows = [Money(*row) for row in reader.sql(statements(run)["money"]).rows]
    return [row for row in rows if row.made or row.found]
