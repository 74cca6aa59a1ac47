"""`oversight run`: plan, say what will happen, play with live progress, report."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oversight.cli.common import Join, Lease, Listen, Share, db_option

if TYPE_CHECKING:
    from oversight.engine.plan import Plan
    from oversight.engine.sharing import Sharing
    from oversight.episode import Run
    from oversight.experiment import Experiment
    from oversight.store.reading import Reader

_WAY_OUT = {
    "transport": "the same command tries them again",
    "truncated": "give the seat more room with max_tokens=…",
    "context": "ask for shorter passages, fewer rounds or words=…, or take a model with a longer context",
}
EXAMPLE_QUERY = "SELECT protocol, status, count(*) FROM judgements GROUP BY ALL"


class Order(StrEnum):
    random = "random"
    both = "both"
    fixed = "fixed"


def _many(help: str, metavar: str = "MODEL") -> Any:
    return typer.Option(metavar=metavar, help=f"{help} May be repeated.", show_default=False)


def run(
    ctx: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="PROTOCOL…|FILE.yaml", help="Protocols to play, or an experiment's file."),
    ],
    task: Annotated[list[str] | None, _many("A task, e.g. dossier:words=300.", "TASK")] = None,
    judge: Annotated[list[str] | None, _many("Who judges, e.g. smollm2:elicit=texts.")] = None,
    debater: Annotated[list[str] | None, _many("Who debates.")] = None,
    consultant: Annotated[list[str] | None, _many("Who consults; else the debater.")] = None,
    opponent: Annotated[list[str] | None, _many("Whom each debater meets, on either side.")] = None,
    seat: Annotated[
        list[str] | None, _many("Who plays another role; else the debater.", "ROLE=MODEL")
    ] = None,
    part: Annotated[
        list[str] | None, _many("A part of the file, in place of its main grid; all for all.", "PART")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Questions to draw, the same for every protocol and judge.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What is drawn and in which order; default 0.")] = None,
    order: Annotated[Order | None, typer.Option(help="How answers are ordered; default random.")] = None,
    samples: Annotated[int | None, typer.Option(help="How often each is played; default 1.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Episodes under way at once; default 1000.")] = None,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Use the providers' batch endpoints: for half the price, within a day."),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(
            metavar="DOLLARS", help="Stop before the calls of this invocation can cost more (US dollars)."
        ),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(metavar="N", help="Stop before this invocation makes more calls; those found are free."),
    ] = None,
    db: Annotated[Path | None, typer.Option(metavar="FILE", help="Default oversight.duckdb.")] = None,
    share: Share = False,
    listen: Listen = None,
    join: Join = None,
    lease: Lease = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Do not try failed episodes again.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="End with a transcript as well.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what it would play, and call and cost at most; make no call."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor report.")] = False,
) -> int:
    """Play protocols on a task. The same command again goes on where it was stopped.

    A model, task or protocol may have options: name:key=value,key=value.
    """
    import shlex

    from oversight.cli.settings import experiments_of
    from oversight.engine.sharing import sharing_of
    from oversight.secrecy import masked
    from oversight.store.share import OtherPlan

    sharing = sharing_of(share, listen, join, lease, announce)
    experiments = experiments_of(
        what,
        part or [],
        seat or [],
        {
            "tasks": task,
            "judges": judge,
            "debaters": debater,
            "consultants": consultant,
            "opponents": opponent,
            "limit": limit,
            "seed": seed,
            "order": order.value if order else None,
            "samples": samples,
            "concurrency": concurrency,
            "batch": batch or None,
            "max_cost": max_cost,
            "max_calls": max_calls,
            "db": db,
        },
    )
    command = masked(shlex.join(["oversight", *(ctx.obj or ["run", *what])]))
    status, left = 0, dict(experiments)
    while left:
        later: dict[str, Experiment] = {}
        for name, experiment in left.items():
            if len(experiments) > 1 and not quiet:
                print(f"\nPart {name or '(main)'}\n")
            shared = sharing and sharing()  # each part anew
            try:
                ended = play(
                    _planner(experiment), experiment.db, command, keep_failed, dry_run, quiet, example, shared
                )
            except OtherPlan:  # those who share it may be at another part
                later[name] = experiment
                if len(later) == len(left):
                    raise
                announce(f"part {name or '(main)'} comes later: another is being played")
                continue
            if ended in (3, 130):  # a limit or Ctrl-C is meant for all of them
                return ended
            status = max(status, ended)
        left = later
    return status


def _planner(experiment: Experiment) -> Callable[[], Plan]:
    def planned() -> Plan:
        from oversight.engine.plan import make_plan

        return make_plan(experiment)

    return planned


def play(
    planned: Callable[[], Plan],
    db: Path,
    command: str,
    keep_failed: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    example: bool = False,
    sharing: Sharing | None = None,
) -> int:
    """Make a plan, say what it comes to, play it and report; the exit status."""
    from oversight.cli.progress import shown

    away = sharing is not None and sharing.join is not None
    statuses = (
        {} if away else _statuses(db, sharing)
    )  # first, so that a wrong --db does not cost the loading of a model

    from oversight.engine.budget import budget_of
    from oversight.engine.run import Progress, play_plan

    try:
        with _interruptible():
            plan = planned()
        try:
            if dry_run:
                _estimate(plan, statuses, keep_failed)
                return 0
            budget_of(plan.experiment, plan.models)  # what is wrong with it is said before anything else
            done = 0 if away else _announce(plan, statuses, keep_failed, quiet)
            progress = Progress()
            with shown(progress, len(plan), done, quiet):
                played = play_plan(
                    plan, progress, retry_failed=not keep_failed, command=command, sharing=sharing
                )
        finally:
            plan.close()
    except KeyboardInterrupt:  # outside the playing itself, which ends in order and says so below
        _tell(f"oversight: stopped; every reply that came is kept. The same command goes on: {command}")
        return 130
    if played.limit:
        judged = sum(played.statuses.values())
        _tell(
            f"oversight: stopped at the limit, {played.limit}; {judged:,} of {played.planned:,} episodes have a "
            "verdict, and every reply that came is kept. A limit is for one invocation: the same command goes "
            f"on, with a higher one further: {command}"
        )
        return 3
    if played.stopped:
        judged = sum(played.statuses.values())
        _tell(
            f"oversight: stopped; {judged:,} of {played.planned:,} episodes have a verdict, and every reply "
            f"that came is kept. The same command goes on: {command}"
        )
        return 130
    if away:
        return _conclude_away(played)
    if not quiet:
        _conclude(played, db, example, sharing)
    if played.failed or played.unread:
        _tell(_failures(played, db, keep_failed, sharing))
        return 1
    return 0


def announce(line: str) -> None:
    """Say a line of the run's."""
    _tell(f"oversight: {line}")


def patience(sharing: Sharing | None) -> float:
    """Seconds to wait for who has the database open. One that shares it may be about to say so, or to close it."""
    from oversight.store.reading import PATIENCE

    return PATIENCE if sharing is None else 20.0


def _conclude_away(played: Run) -> int:
    """The end of a run whose file is on another machine."""
    _tell(
        f"oversight: done; {played.played:,} of {played.planned:,} episodes were played here, with {played.calls:,} "
        "calls. The report is where the file is"
    )
    if played.failed or played.unread:
        _tell(
            f"oversight: {played.failed:,} episodes failed; `oversight run` where the file is tries them again"
        )
        return 1
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Sees to it that Ctrl-C in the block ends it: libraries that load for seconds (torch, transformers)
    may swallow the exception, and the run would go on as if nobody had asked."""
    asked = False

    def hear(*_: object) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def _tell(line: str) -> None:
    from oversight.report.safe import one_line
    from oversight.secrecy import without_keys

    print(one_line(without_keys(line)), file=sys.stderr, flush=True)


def _statuses(db: Path, sharing: Sharing | None = None) -> dict[int, str]:
    """Verdicts there are: episode key → the final one's status, or failed where any reading failed."""
    from oversight.errors import StoreError
    from oversight.store.reading import open_reader

    if not db.exists():
        try:
            there = db.resolve().parent.is_dir()
        except (OSError, RuntimeError) as error:  # a loop of links
            raise StoreError(f"{db} cannot be opened: {error}; name another --db") from None
        if not there:
            folder = db.resolve().parent if db.is_symlink() else db.parent
            raise StoreError(f"no folder {folder}: make it, or name another --db")
        return {}
    with open_reader(db, patience(sharing)) as reader:
        if not reader.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'verdicts'").rows:
            return {}
        found = "if(bool_or(status = 'failed'), 'failed', any_value(status) FILTER (final))"
        return dict(reader.sql(f"SELECT episode, {found} FROM verdicts GROUP BY episode").rows)


def _estimate(plan: Plan, statuses: dict[int, str], keep_failed: bool) -> None:
    """Print what is left of the plan, and what that comes to at most."""
    from oversight.engine.estimate import estimate
    from oversight.report.estimate import print_estimate
    from oversight.store.reading import open_reader

    done = {key for key, status in statuses.items() if keep_failed or status != "failed"}
    stored: set[int] = set()
    if statuses:
        with open_reader(plan.experiment.db) as reader:
            stored = {key for (key,) in reader.sql("SELECT call FROM calls").rows}
    print_estimate(estimate(plan, done, stored))


def _announce(plan: Plan, statuses: dict[int, str], keep_failed: bool, quiet: bool) -> int:
    """Say what the run is going to do; how many episodes need nothing (told to nobody if quiet)."""
    if quiet:
        return 0
    found = [statuses.get(p.episode.key) for p in plan.episodes()] if statuses else []
    failed = found.count("failed")
    done = sum(status is not None for status in found) - (0 if keep_failed else failed)
    line = f"{len(plan):,} episodes planned"
    if done:
        line += f", {done:,} already done"
    if failed:
        line += f", {failed:,} failed {'and are left so' if keep_failed else 'before and are tried again'}"
    _tell(f"{line}: {len(plan) - done:,} to play in {plan.experiment.db}")
    return done


def _conclude(played: Run, db: Path, example: bool, sharing: Sharing | None = None) -> None:
    """The report on what the run planned, perhaps a transcript, and what to type next."""
    from oversight.report.terminal import print_report
    from oversight.store.reading import open_reader

    with open_reader(db, patience(sharing)) as reader:
        print_report(reader, played.key)
        episode = _example(reader, played.key)
        if example:
            from oversight.report.transcript import print_transcript, read_transcript

            print(f"\nOne of its episodes, {episode}:\n")
            print_transcript(read_transcript(reader, episode))
    option = db_option(db)
    print("\nNext:")
    print(f"  oversight show {episode}{option}")
    print(f"  oversight report{option}")
    print(f'  oversight query "{EXAMPLE_QUERY}"{option}')


def _example(reader: Reader, run: int) -> str:
    """An episode of the run worth reading: decided, with the most turns."""
    rows = reader.sql(
        "SELECT lower(lpad(to_hex(p.episode), 16, '0')) AS id FROM plans p JOIN verdicts v USING (episode) "
        "LEFT JOIN (SELECT episode, count(*) AS turns FROM turns GROUP BY ALL) t USING (episode) "
        "WHERE p.run = ? AND v.final "
        "ORDER BY v.status = 'decided' DESC, coalesce(t.turns, 0) DESC, id LIMIT 1",
        [run],
    ).rows
    return str(rows[0][0]) if rows else "last"


def _failures(played: Run, db: Path, keep_failed: bool, sharing: Sharing | None = None) -> str:
    from oversight.store.reading import open_reader

    with open_reader(db, patience(sharing)) as reader:
        rows = reader.sql(
            "SELECT v.reason, count(DISTINCT p.episode) AS n, min(v.detail) FROM plans p JOIN verdicts v USING (episode) "
            "WHERE p.run = ? AND v.status = 'failed' GROUP BY v.reason ORDER BY n DESC, v.reason",
            [played.key],
        ).rows
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n, _ in rows)
    hints = [_WAY_OUT[reason] for reason, *_ in rows if reason in _WAY_OUT]
    if keep_failed:
        hints = ["without --keep-failed they are tried again"]
    said = [f"{played.failed:,} of {played.planned:,} episodes failed"] if played.failed else []
    if played.unread:
        said.append(f"a further reading of {played.unread:,} of {played.planned:,} episodes failed")
    line = f"oversight: {' and '.join(said)} ({reasons}; e.g. {rows[0][2]})"
    return "; ".join([line, *hints])
