"""Rehearsal: a protocol driven with made-up turns, so that what cannot be played is found before it costs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any

from oversight.elicit import judge, pool
from oversight.engine.stage import Stage, script_of, turn_of
from oversight.episode import Episode
from oversight.errors import BadProtocol, CallFailed
from oversight.library import broken
from oversight.models.interface import Completion, Model, Request
from oversight.moves import Ask, Choose, Estimate, Judge, Kind, Move, Pool, Speak, Together, Turn, Verdict
from oversight.player import Elsewhere, Player
from oversight.protocol import Protocol
from oversight.question import content_key, hex_id
from oversight.sandbox import remembering
from oversight.views import View

MOST_MOVES = 1000
"""Moves of one episode: more than any protocol means to make, few enough to notice one without an end."""


Hear = Callable[[Model, str, Request], str]
"""Is told each request a rehearsal comes to, its model and role; what it returns stands for the reply in later
prompts."""

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
    seen: list[Turn] = list(episode.given)
    arm, stage = episode.arm, Stage(episode)
    made = 0

    def one(move: Any, known: tuple[Turn, ...]) -> Any:
        if isinstance(move, Together):
            answers: list[Any] = []
            for part in move.parts:
                if isinstance(part, Generator):
                    answers.append(drive(part, known))
                else:
                    answers.append(one(part, known))
            return tuple(answers)
        if isinstance(move, Pool):
            moves.append(move)
            return pool(move.verdicts, move.how)
        if not isinstance(move, Speak | Ask | Judge | Choose | Estimate):
            raise BadProtocol(f"protocol {arm.protocol.name!r} yielded {move!r}, which is no move")
        moves.append(move)
        stage.check(move)
        if isinstance(move, Judge) and move.seat.role != "judge":
            raise BadProtocol(
                f"protocol {arm.protocol.name!r} asks {move.seat.title} for a verdict; only the judge gives one"
            )
        looking = stage.look(move, known)
        if isinstance(move, Judge):
            return judged(looking)
        player, act = stage.act(move, looking, known)
        if isinstance(move, Choose | Estimate):
            way = player.elicit[0] if player.role == "judge" else player.model.elicitation
            heard(
                move.seat.role,
                player,
                act,
                _reply(way if isinstance(move, Choose) else "credence", looking),
            )
            # All on one answer, and on the next the next time: a protocol that goes on until estimates stand
            # still goes on for as long as it may.
            turned = sum(isinstance(m, Estimate) for m in moves) % len(looking.options)
            shares = tuple(float(i == turned) for i in range(len(looking.options)))
            return Verdict("decided", way, shares, 0 if isinstance(move, Choose) else None)
        requests = heard(move.seat.role, player, act, said_by(player))
        said = "…"
        if hear is not None:
            said = _long_turn([name for name, _ in requests], requests[0][1], player)
        if isinstance(move, Speak) and move.like:
            said = _alike(move.like, said)
        kind: Kind = "ask" if isinstance(move, Ask) else "answer" if move.reply else "speak"
        turn = turn_of(move, Turn(kind, move.seat.name, looking.round, said))
        seen.append(turn)
        return turn

    def heard(role: str, player: Player, act: Any, text: str) -> list[tuple[str, Request]]:
        """Hear what an act asks for, or make it ask once."""
        if hear is None:
            next(act)
            return []
        return [(hear(model, role, r), r) for model, r in _asked(act, player.model, text)]

    def said_by(player: Player) -> str:
        # Its last line is for a preference among speeches, which is read as a letter.
        return "letters " * max(1, min(player.words, 20)) + "\nAnswer: A"

    def judged(looking: View) -> Verdict:
        own = arm.judge
        for player in (own, *own.judging.panel):
            for way, reading in zip(player.elicit, judge(looking, player, arm.params), strict=True):
                heard("judge", player, reading, _reply(way, looking))
        n = len(looking.answers)
        shares = None if own.elicit[0] == "hard" else (1 / n,) * n
        verdict = Verdict("decided", own.elicit[0], shares, 0)
        return pool((verdict,) * 2, own.judging.pool) if own.judging.panel else verdict

    def drive(script: Any, known: tuple[Turn, ...] | None = None) -> Any:
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
            except StopIteration as stop:
                return stop.value
            except (Exception, SystemExit) as error:
                raise broken(arm.protocol, error) from error
            made += 1
            if made > MOST_MOVES:
                raise too_long(arm.protocol)
            before = tuple(seen) if known is None else (*known, *seen[start:])
            answer = one(move, before)

    def believed() -> None:
        """What the judge believes before the first turn and on the way."""
        for place in range(len(seen) if arm.judge.judging.beliefs else 0):
            judged(stage.look(Judge(episode.case.judge), tuple(seen[:place])))

    try:
        script = script_of(episode)
    except (Exception, SystemExit) as error:  # a function that is no generator runs here already
        raise broken(arm.protocol, error) from error
    try:
        with remembering():
            drive(script)
            believed()
    except RecursionError:
        raise BadProtocol(f"protocol {arm.protocol.name!r} nests Together without an end") from None
    if not any(isinstance(move, Judge | Pool) for move in moves):
        raise BadProtocol(f"protocol {arm.protocol.name!r} ends without a Judge move")
    return tuple(moves)


def _asked(act: Generator[Any, Any, Any], own: Model, text: str) -> Iterable[tuple[Model, Request]]:
    """What an act asks for, and of which model, when every reply is `text`, with equal scores where scores are
    wanted."""
    answer: Any = None
    while True:
        try:
            wanted = act.send(answer)
        except (StopIteration, CallFailed):
            return
        model, requests = own, (wanted,) if isinstance(wanted, Request) else wanted
        if isinstance(wanted, Elsewhere):
            model, requests = wanted.model, wanted.requests
        for request in requests:
            yield model, request
        replies = tuple(
            Completion(text, scores=(0.0,) * len(r.continuations or r.letters) or None) for r in requests
        )
        answer = replies[0] if isinstance(wanted, Request) else replies


def _reply(way: str, looking: View) -> str:
    """A reply from which a verdict can be read in that way."""
    letters = [a.letter for a in looking.options]
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


def _alike(like: str, said: str) -> str:
    """A made-up turn in the form of another text: its words shared out among that text's lines."""
    lines, words = like.splitlines(), said.split()
    each = -(-len(words) // len(lines))
    return "\n".join(f"{line} {' '.join(words[i * each : (i + 1) * each])}" for i, line in enumerate(lines))
