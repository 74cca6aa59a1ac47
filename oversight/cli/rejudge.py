"""`oversight rejudge`: stored transcripts, judged again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, Join, Lease, Listen, Share
from oversight.cli.run import announce, patience, play

if TYPE_CHECKING:
    from oversight.engine.plan import Plan


def rejudge(
    ctx: typer.Context,
    judge: Annotated[
        list[str],
        typer.Option(metavar="MODEL", help="Who judges, e.g. smollm2:elicit=texts. May be repeated."),
    ],
    db: Db = DEFAULT_DB,
    only: Annotated[
        str,
        typer.Option(
            metavar="SQL",
            help="Which transcripts: a condition on id, task, protocol, params, judge, speaker, argued, sample.",
        ),
    ] = "",
    rounds: Annotated[
        int | None, typer.Option(metavar="N", help="Show the judge the first N rounds of speeches.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Show the answers in the other order.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="How many transcripts at most.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Episodes under way at once; default 1000.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="DOLLARS", help="Stop before this invocation can cost more.")
    ] = None,
    max_calls: Annotated[
        int | None, typer.Option(metavar="N", help="Stop before this invocation makes more calls.")
    ] = None,
    share: Share = False,
    listen: Listen = None,
    join: Join = None,
    lease: Lease = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would judge, and call and cost at most.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor report.")] = False,
) -> int:
    """Judge stored transcripts again, played here or imported: by another judge, in another way, after fewer rounds.

    Each becomes a branch of the episode it was: the same turns, another verdict. `oversight compare` pairs them.
    """
    import shlex

    from oversight.engine.sharing import sharing_of
    from oversight.secrecy import masked

    how = sharing_of(share, listen, join, lease, announce)
    sharing = how and how()
    settings = {"concurrency": concurrency, "max_cost": max_cost, "max_calls": max_calls}

    def planned() -> Plan:
        from oversight.engine.rejudge import plan_rejudgement
        from oversight.store.reading import open_reader

        with open_reader(db, patience(sharing)) as reader:
            return plan_rejudgement(
                reader,
                judge,
                only=only,
                rounds=rounds,
                reverse=reverse,
                limit=limit,
                **{name: value for name, value in settings.items() if value is not None},
            )

    command = masked(shlex.join(["oversight", *(ctx.obj or ["rejudge"])]))
    return play(planned, Path(db), command, dry_run=dry_run, quiet=quiet, sharing=sharing)
