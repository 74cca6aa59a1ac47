"""Rehearsal: a protocol driven with made-up turns, so that what cannot be played is found before it costs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any

from oversight.elicit import judge
from oversight.episode import Episode
from oversight.errors import BadProtocol, CallFailed
from oversight.library import broken
from oversight.models.interface import Completion, Request
from oversight.moves import Ask, Judge, Move, Seat, Speak, Together, Turn, Verdict
from oversight.player import Player
from oversight.protocol import Protocol
from oversight.question import content_key, hex_id
from oversight.speech import speak
from oversight.views import Act, View, view

MOST_MOVES = 1000
"""Moves of one episode: more than any protocol means to make, few enough to notice one without an end."""


Hear = Callable[[Seat, Request], str]
"""Is told each request a rehearsal comes to; what it returns stands for the reply in later prompts."""

A_WORD = 8
"""Letters of a made-up word with the space after it: longer than most, so that the marks on quotes, of
which made-up speeches have none, are in it."""


def too_long(protocol: Protocol) -> BadProtocol:
    return BadProtocol(
        f"protocol {protocol.name!r} makes more than {MOST_MOVES:,} moves: give it fewer rounds, or an end"
    )


def rehearse(episode: Episode, hear: Hear | None = None) -> tuple[Move, ...]:
    """Drive an episode's protocol and render every prompt with made-up turns, making no call.

    Finds a template or protocol that breaks its contract before anything is spent. Returns the moves.
    With `hear`, turns are as long as their seats may make them, and every request there would be is heard,
    but for those that ask again for a verdict that cannot be parsed.
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
        said = "…"
        if hear is not None and act == "judge":
            for way, reading in zip(player.elicit, judge(looking, player, arm.params), strict=True):
                for request in _asked(reading, _reply(way, looking)):
                    hear(move.seat, request)
        elif act == "judge":
            for reading in judge(looking, player, arm.params):
                next(reading)
        else:
            requests = _several(next(speak(looking, player, arm.params)))
            if hear is not None:
                said = _long_turn([hear(move.seat, r) for r in requests], requests[0], player)
        if isinstance(move, Judge):
            share = 1 / len(episode.assignment.order)
            return Verdict("decided", player.elicit[0], (share,) * len(episode.assignment.order), 0)
        turn = Turn("ask" if act == "ask" else "speak", move.seat.name, looking.round, said)
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


def _several(wanted: Request | tuple[Request, ...]) -> tuple[Request, ...]:
    return (wanted,) if isinstance(wanted, Request) else wanted


def _asked(act: Generator[Any, Any, Any], text: str) -> Iterable[Request]:
    """What an act asks for when every reply is `text`, with equal scores where scores are wanted."""
    answer: Any = None
    while True:
        try:
            wanted = act.send(answer)
        except (StopIteration, CallFailed):
            return
        requests = _several(wanted)
        yield from requests
        replies = tuple(
            Completion(text, scores=(0.0,) * len(r.continuations or r.letters) or None) for r in requests
        )
        answer = replies[0] if isinstance(wanted, Request) else replies


def _reply(way: str, looking: View) -> str:
    """A reply from which a verdict can be read in that way."""
    letters = [a.letter for a in looking.answers]
    if way == "credence":
        return "\n".join(f"{letter}: {1.0 if letter == letters[0] else 0.0}" for letter in letters)
    return f"Answer: {letters[0]}"


def _long_turn(names: list[str], request: Request, player: Player) -> str:
    """A turn as long as it may be, which begins with `names`: other calls, other turns."""
    size = A_WORD * player.words
    if request.sampling.max_tokens:  # a token is more than three letters (see oversight.engine.tokens)
        size = min(size, 3 * request.sampling.max_tokens)
    name = hex_id(content_key(*names))
    return name + " letters" * (max(0, size - len(name)) // A_WORD)
