"""`oversight show`: one episode as a person reads it, or exactly what one of its seats saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oversight.cli.common import DEFAULT_DB, Db, db_option, open_db

if TYPE_CHECKING:
    from oversight.report.calls import SeatCall
    from oversight.report.transcript import Transcript
    from oversight.store.reading import Reader


def show(
    episode: Annotated[str, typer.Argument(help="Its id or the beginning of it, last, or random.")] = "",
    db: Db = DEFAULT_DB,
    seat: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="SEAT",
            help="Every message this seat (judge, A, …) was sent, as it was sent; its view, if it was sent none.",
        ),
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="With the seats' private reasoning.")] = False,
    calls: Annotated[bool, typer.Option("--calls", help="A table of its calls.")] = False,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Write its question's images there.")
    ] = None,
) -> int:
    """A transcript: the question, who argued what, the verdict, then the truth."""
    with open_db(db) as reader:
        if not episode:
            _offer(reader, db)
            return 0
        from oversight.report.calls import as_seen, read_calls
        from oversight.report.seen import as_view
        from oversight.report.transcript import find_episode, print_transcript, read_transcript

        transcript = read_transcript(reader, find_episode(reader, episode))
        if images is not None:
            _save_images(reader, transcript, images)
            return 0
        made = read_calls(reader, transcript) if seat or calls else []
    if seat:
        name = _seat(transcript, seat)
        own = [call for call in made if call.seat == name]
        for line in as_seen(own) if own else as_view(transcript, name):
            print(line)
        return 0
    if calls:
        _print_calls(made)
        return 0
    print_transcript(transcript, private)
    return 0


def _save_images(reader: Reader, transcript: Transcript, folder: Path) -> None:
    from oversight.errors import UserError
    from oversight.report.images import save_pictures

    if not transcript.images:
        raise UserError(f"episode {transcript.id} has no images")
    for file in save_pictures(reader, transcript.images, folder):
        print(file)


def _seat(transcript: Transcript, wanted: str) -> str:
    from oversight.errors import unknown

    by_name = {name.casefold(): name for name in transcript.seats}
    by_name |= {turn.title.casefold(): turn.seat for turn in transcript.turns}
    if wanted.casefold() not in by_name:
        raise unknown(f"seat in episode {transcript.id}:", wanted, transcript.seats)
    return by_name[wanted.casefold()]


def _offer(reader: Reader, db: Path) -> None:
    """A few episodes worth reading: of each protocol one that went right, one wrong, one undecided."""
    import json

    from oversight.report.naming import protocol_title
    from oversight.report.safe import cell
    from oversight.report.tables import plain_table, print_table

    rows = reader.sql(
        "SELECT j.id, j.protocol, j.params, j.task, CASE WHEN j.status <> 'decided' THEN j.status "
        "WHEN j.correct THEN 'right' ELSE 'wrong' END AS came_to, q.text "
        "FROM judgements j JOIN episodes e USING (episode) JOIN questions q ON q.question = e.question "
        "QUALIFY row_number() OVER (PARTITION BY j.arm, came_to ORDER BY j.id) = 1 "
        "ORDER BY j.protocol, j.params, came_to LIMIT 12"
    ).rows
    table = plain_table("episode", "protocol", "task", "verdict", "question")
    for eid, protocol, params, task, came_to, question in rows:
        table.add_row(
            eid, cell(protocol_title(protocol, json.loads(params))), cell(task), came_to, cell(question)
        )
    print_table(table, flexible="question")
    print(f"\nNext: oversight show {rows[-1][0] if rows else 'last'}{db_option(db)}")


def _print_calls(calls: list[SeatCall]) -> None:
    from oversight.report.safe import cell
    from oversight.report.tables import plain_table, print_table
    from oversight.report.terminal import count

    priced = any(c.cost is not None for c in calls)
    heads = [
        "call",
        "seat",
        "act",
        "round",
        "model",
        "kind",
        "in",
        "out",
        "seconds",
        *(["cost $"] if priced else []),
        "",
    ]
    table = plain_table(*heads)
    for n, c in enumerate(calls, start=1):
        cost = [] if not priced else ["unknown" if c.cost is None else f"{c.cost:.5f}"]
        tokens = (count(c.prompt_tokens), count(c.completion_tokens))
        numbers = (*tokens, f"{c.seconds:.3f}", *cost)
        made = "made" if c.paid else "found"
        table.add_row(str(n), cell(c.seat), c.act, str(c.round), cell(c.model), c.kind, *numbers, made)
    print_table(table, flexible="model")
