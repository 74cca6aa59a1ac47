"""From Python: `run` plays an experiment, `open_database` reads one; results are dataframes.

import oversight
played = oversight.run(["direct", "debate"], task="dossier", judge="smollm2", debater="smollm2", limit=20)
played.accuracy
oversight.open_database("oversight.duckdb").sql("SELECT protocol, avg(p_right) FROM judgements GROUP BY ALL")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oversight.episode import Run
from oversight.errors import OverBudget, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from oversight.engine.plan import Plan
    from oversight.engine.sharing import Sharing
    from oversight.store.reading import Reader

Specs = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""`name`, `name:key=value,…`, a mapping as in YAML, or several of them."""


class Database:
    """A database to read, also while a run is writing it. The file is open only while it is asked."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r})"

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Rows of one reading statement; `params` for `?` and `$1`, or `$name`. Raises `StoreError`."""
        with self._open() as reader:
            return reader.execute(query, params).df()

    @property
    def judgements(self) -> pd.DataFrame:
        """One row a final verdict, with the label and whether it was right."""
        return self.sql(f"SELECT * FROM judgements{self._only()} ORDER BY id")

    @property
    def transcripts(self) -> pd.DataFrame:
        """One row a turn, in order, with the question and the protocol."""
        return self.sql(f"SELECT * FROM transcripts{self._only()} ORDER BY id, turn")

    @property
    def turns(self) -> pd.DataFrame:
        """The table of turns as stored."""
        return self.sql(f"SELECT * FROM turns{self._only()} ORDER BY episode, turn")

    @property
    def accuracy(self) -> pd.DataFrame:
        """One row an arm and task, as `oversight report` has them: accuracy with its 95 % interval
        (`low`, `high`; `reason` where there is none), the ledger, calls and tokens."""
        import pandas as pd

        from oversight.measure.accuracy import measure
        from oversight.report.plain import as_rows

        with self._open() as reader:
            return pd.DataFrame(as_rows(measure(reader, self._run_key())))

    @property
    def spending(self) -> pd.DataFrame:
        """One row a model and seat: calls paid and found, tokens, `cost`, `per_decided` (verdict) and `saved`
        by the store in US dollars, where unknown is missing and never 0."""
        import pandas as pd

        from oversight.measure.money import measure_money
        from oversight.report.plain import spending_rows

        with self._open() as reader:
            return pd.DataFrame(spending_rows(measure_money(reader, self._run_key())))

    def compare(
        self,
        a: str = "",
        b: str = "",
        *,
        judge: str = "",
        task: str = "",
        speaker: str = "",
        unmatched: bool = False,
        against: str = "",
        exploratory: bool = False,
    ) -> pd.DataFrame:
        """The paired difference in accuracy of arm `a` less arm `b` (named as reports name them), a row a task
        and judge; without both, every pair (each arm less those above it in the report). p is adjusted for all of
        them by Holm (`p_holm`) or, if `exploratory`, by Benjamini and Hochberg (`p_bh`). `against` takes `b` before
        that judge. As `oversight compare` prints it.

        Raises `UserError` for arms that cannot be found, told apart, or compared: played on different
        questions, unless `unmatched` takes the shared ones.
        """
        import pandas as pd

        from oversight.report.compared import Wanted, as_rows, compare

        with self._open() as reader:
            wanted = Wanted(a, b, judge, task, speaker, unmatched, against, exploratory)
            return pd.DataFrame(as_rows(compare(reader, wanted, self._run_key())))

    def power(
        self,
        effect: float = 0.05,
        a: str = "",
        b: str = "",
        *,
        alpha: float = 0.05,
        power: float = 0.8,
        judge: str = "",
        task: str = "",
        speaker: str = "",
        unmatched: bool = False,
        against: str = "",
        stop_width: float | None = None,
        stop_spend: float | None = None,
        stop_effect: bool = False,
    ) -> pd.DataFrame:
        """What it takes to find a difference of `effect` (0.05 is five points), by this database as a pilot; a row
        a comparison. With a stopping rule (an interval `stop_width` wide, `stop_spend` US dollars, an interval without zero)
        also where the comparison of `a` and `b` could have been stopped. As `oversight power` prints it. Raises
        `UserError` as `compare` does."""
        import pandas as pd

        from oversight.report.compared import Wanted, compare
        from oversight.report.powered import Stop, check_stop, power_rows, stop_rows

        with self._open() as reader:
            wanted = Wanted(a, b, judge, task, speaker, unmatched, against)
            stop = Stop(stop_width, stop_spend, stop_effect)
            check_stop(stop, wanted)
            found = compare(reader, wanted, self._run_key())
            rows = power_rows(found, effect, alpha, power)
            stops = stop_rows(reader, found, stop, self._run_key()) if stop else [{} for _ in rows]
            return pd.DataFrame([{**row, **stopped} for row, stopped in zip(rows, stops, strict=True)])

    def measure(self, name: str) -> pd.DataFrame:
        """One of the measures that `oversight report --help` lists, such as "calibration" or "win rates": a row an arm,
        nested results as columns (`recovered_low`), `arm` as its id. The very rows of `oversight report NAME --json`.
        Raises `UserError` for a name there is not."""
        import pandas as pd

        from oversight.report.measures import measure_rows

        with self._open() as reader:
            return pd.DataFrame(measure_rows(reader, name, self._run_key()))

    def _open(self) -> Reader:
        from oversight.store.reading import open_reader

        return open_reader(self.path)

    def _run_key(self) -> int | None:
        return None

    def _only(self) -> str:
        key = self._run_key()
        return "" if key is None else f" WHERE episode IN (SELECT episode FROM plans WHERE run = {key})"


class Played(Database):
    """What came of a run: its `run` (counts, seconds, whether it was stopped), and its rows alone."""

    def __init__(self, run: Run, patience: float | None = None) -> None:
        super().__init__(run.database)
        self.run, self._patience = run, patience

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.run.statuses.items()))
        return f"Played({self.run.id}: {counts or 'nothing'} of {self.run.planned}, in {str(self.path)!r})"

    def _open(self) -> Reader:
        from oversight.store.reading import PATIENCE, open_reader

        return open_reader(self.path, PATIENCE if self._patience is None else self._patience)

    def _run_key(self) -> int:
        return self.run.key


def open_database(path: str | Path = "oversight.duckdb") -> Database:
    """The database at `path`. Raises `StoreError` where there is none, or none of ours."""
    from oversight.store.reading import open_reader

    with open_reader(path) as reader:
        if not reader.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'episodes'").rows:
            raise StoreError(f"{path} is empty: make a run first")
    return Database(path)


def run(
    protocols: Specs,
    task: Specs,
    judge: Specs,
    debater: Specs | None = None,
    limit: int | None = None,
    db: str | Path = "oversight.duckdb",
    *,
    retry_failed: bool = True,
    share: bool = False,
    listen: str | None = None,
    join: str | None = None,
    lease: float | None = None,
    **settings: Any,
) -> Played:
    """Play protocols on a task, and wait for it. The same call again goes on where it was stopped.

    `settings` are those of `Experiment`: consultant, seats, seed, order, samples, concurrency, max_cost,
    max_calls. With `share` the same call in other processes works on the run with it; `listen` is where they reach
    it (HOST:PORT), `lease` the seconds until one that is not heard loses its episodes. With `join` (HOST:PORT) it
    works on a run that another machine shares, whose token is in OVERSIGHT_TOKEN; the rows are then where the file
    is. See docs/sharing.md. Works where an event loop runs already (notebooks). Raises `UserError` for what the
    caller can mend, `StoreError` where the run cannot be owned or joined, `OverBudget` where a limit stopped it; a
    failed episode raises nothing: look at `Played.run.failed`.
    """
    from oversight.engine.plan import make_plan
    from oversight.engine.sharing import sharing_of
    from oversight.experiment import experiment_from

    sharing = sharing_of(share, listen, join, lease)
    values = {
        "protocols": protocols,
        "task": task,
        "judge": judge,
        "debater": debater,
        "limit": limit,
        "db": db,
    }
    given = {name: _plain(value) for name, value in {**values, **settings}.items() if value is not None}
    plan = make_plan(experiment_from(given, "oversight.run"))
    return _played(plan, "oversight.run", retry_failed, sharing and sharing())


def rejudge(
    db: str | Path,
    judge: Specs,
    *,
    only: str = "",
    rounds: int | None = None,
    reverse: bool = False,
    limit: int | None = None,
    share: bool = False,
    listen: str | None = None,
    join: str | None = None,
    lease: float | None = None,
    **settings: Any,
) -> Played:
    """Judge stored transcripts again, played here or imported; the same call again goes on where it was stopped.

    `only` is a SQL condition on id, task, protocol, params, judge, speaker, argued and sample; `rounds` shows the
    judge so many rounds of speeches, `reverse` the answers in the other order. `settings`, what it takes to share it,
    and errors are those of `run`; to `join`, `db` is a copy of the file that is shared.
    """
    from oversight.engine.rejudge import plan_rejudgement
    from oversight.engine.sharing import PATIENCE, sharing_of
    from oversight.store.reading import open_reader

    how = sharing_of(share, listen, join, lease)
    sharing = how and how()

    judges = list(judge) if isinstance(judge, list | tuple) else [judge]
    options = {"only": only, "rounds": rounds, "reverse": reverse, "limit": limit}
    with open_reader(Path(db), *([PATIENCE] if sharing else [])) as reader:
        plan = plan_rejudgement(reader, judges, **options, **settings)  # type: ignore[arg-type]
    return _played(plan, "oversight.rejudge", sharing=sharing)


def _played(plan: Plan, command: str, retry_failed: bool = True, sharing: Sharing | None = None) -> Played:
    from oversight.engine.run import play_plan
    from oversight.engine.sharing import PATIENCE

    try:
        played = play_plan(plan, retry_failed=retry_failed, command=command, sharing=sharing)
        if played.limit:
            raise OverBudget(
                f"{played.limit}; everything committed is in {played.database}, a higher limit goes on"
            )
        if played.stopped:  # a script must not go on with half a result
            raise KeyboardInterrupt(f"stopped; everything committed is in {played.database}")
        return Played(played, PATIENCE if sharing else None)
    finally:
        plan.close()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
