"""Rehearsal: a protocol driven with made-up turns, so that what cannot be played is found before it costs."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import Any

from oversight.elicit import judge
from oversight.episode import Episode
from oversight.errors import BadProtocol
from oversight.library import broken
from oversight.moves import Ask, Judge, Move, Speak, Together, Turn, Verdict
from oversight.protocol import Protocol
from oversight.speech import speak
from oversight.views import Act, view

MOST_MOVES = 1000
"""Moves of one episode: more than any protocol means to make, few enough to notice one without an end."""


def too_long(protocol: Protocol) -> BadProtocol:
    return BadProtocol(
        f"protocol {protocol.name!r} makes more than {MOST_MOVES:,} moves: give it fewer rounds, or an end"
    )


def rehearse(episode: Episode) -> tuple[Move, ...]:
    """Drive an episode's protocol and render every prompt with made-up turns, making no call.

    Finds a template or protocol that breaks its contract before anything is spent. Returns the moves.
    """
    moves: list[Move] = []
    seen: list[Turn] = []
    arm = episode.arm
    made = 0

    def one(move: Any, known: tuple[Turn, ...]) -> Any:
        if isinstance(move, Together):
            answers: list[Any] = []
            for part in move.parts:
                if isinstance(part, Generator):
                    drive(part, known)
                    answers.append(None)
                else:
                    answers.append(one(part, known))
            return tuple(answers)
        if not isinstance(move, Speak | Ask | Judge):
            raise BadProtocol(f"protocol {arm.protocol.name!r} yielded {move!r}, which is no move")
        moves.append(move)
        if move.seat not in episode.seats:
            raise BadProtocol(
                f"protocol {arm.protocol.name!r} moves a seat it did not declare: {move.seat!r}"
            )
        player = arm.players[move.seat.role]
        if isinstance(move, Judge) and move.seat.role != "judge":
            raise BadProtocol(
                f"protocol {arm.protocol.name!r} asks {move.seat.title} for a verdict; only the judge gives one"
            )
        act: Act = "judge" if isinstance(move, Judge) else "ask" if isinstance(move, Ask) else "speak"
        reads = move.passage if isinstance(move, Judge) else episode.role_reads(move.seat.role)
        looking = view(
            episode.question,
            episode.assignment.order,
            episode.seats,
            known,
            move.seat,
            act,
            reads=reads,
        )
        next(judge(looking, player, arm.params) if act == "judge" else speak(looking, player, arm.params))
        if isinstance(move, Judge):
            share = 1 / len(episode.assignment.order)
            return Verdict("decided", player.elicit, (share,) * len(episode.assignment.order), 0)
        turn = Turn("ask" if act == "ask" else "speak", move.seat.name, looking.round, "…")
        seen.append(turn)
        return turn

    def drive(script: Any, known: tuple[Turn, ...] | None = None) -> None:
        nonlocal made
        if inspect.iscoroutine(script):
            script.close()  # or Python warns that nobody awaited it
        if not inspect.isgenerator(script):
            raise BadProtocol(f"protocol {arm.protocol.name!r} is not a generator: it must `yield` its moves")
        answer: Any = None
        start = len(seen)
        while True:
            try:
                move = script.send(answer)
            except StopIteration:
                return
            except (Exception, SystemExit) as error:
                raise broken(arm.protocol, error) from error
            made += 1
            if made > MOST_MOVES:
                raise too_long(arm.protocol)
            before = tuple(seen) if known is None else (*known, *seen[start:])
            answer = one(move, before)

    try:
        script = arm.protocol.script(episode.case, **arm.params)
    except (Exception, SystemExit) as error:  # a function that is no generator runs here already
        raise broken(arm.protocol, error) from error
    try:
        drive(script)
    except RecursionError:
        raise BadProtocol(f"protocol {arm.protocol.name!r} nests Together without an end") from None
    if not any(isinstance(move, Judge) for move in moves):
        raise BadProtocol(f"protocol {arm.protocol.name!r} ends without a Judge move")
    return tuple(moves)
