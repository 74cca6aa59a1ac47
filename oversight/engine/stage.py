"""How a move is staged: what its seat sees, who plays it, and the act it comes down to. The same in rehearsal
and in play."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from oversight.elicit import choose, estimate, judge
from oversight.episode import Episode
from oversight.errors import BadProtocol, Undecided, UserError
from oversight.library import bundled
from oversight.models.interface import Sampling
from oversight.moves import Ask, Choose, Estimate, Judge, Script, Seat, Speak, Together, Turn, Verdict
from oversight.player import Act, Player
from oversight.prompts import Template, load_template
from oversight.protocol import Case
from oversight.speech import Bench, speak
from oversight.views import Sight, View, view

JUDGE = Seat("judge", "judge")


@dataclass(frozen=True, slots=True)
class OtherwiseAsked(Speak):
    """A placebo's reply: what the seat says to another question, about that question's passage."""


def script_of(episode: Episode) -> Script:
    """The episode's protocol, with the judge's queries before its verdict. Raises what the protocol raises."""
    script = episode.arm.protocol.script(episode.case, **episode.arm.params)
    judging = episode.arm.judge.judging
    if not judging.queries or not isinstance(script, Generator):
        return script
    return _asking(script, episode.case, judging.queries, episode.placebo is not None)


def _asking(script: Script, case: Case, queries: int, placebo: bool) -> Script:
    """A protocol whose judge puts `queries` questions before its first verdict, each to a seat it chooses."""
    seats = {seat.name: seat for seat in case.seats if seat.role != "judge"}
    if not seats:
        raise UserError("queries: this protocol seats nobody whom the judge could ask; set queries=0")
    spoke: dict[str, Seat] = {}
    reply = OtherwiseAsked if placebo else Speak
    answer: Any = None
    left = queries
    while True:
        try:
            move = script.send(answer)
        except StopIteration:
            if left:
                raise UserError(
                    f"queries={queries}: this protocol's judge gives its verdicts within parts of a play that do not "
                    "see each other, where it cannot ask; set queries=0"
                ) from None
            return
        for part in move.parts if isinstance(move, Together) else (move,):
            if isinstance(part, Speak):
                spoke[part.seat.name] = part.seat
        if isinstance(move, Judge):
            # Who has not spoken has no answer of its own yet where sides are chosen.
            whom = tuple(spoke.values()) or tuple(seats.values())
            for _ in range(left):
                at = 0
                if len(whom) > 1:
                    at = (yield Choose(case.judge, among=tuple(seat.title for seat in whom))).choice
                yield Ask(case.judge, to=whom[at])
                yield reply(whom[at], reply=True)
            left = 0
        answer = yield move


class Stage:
    """Where one episode is played: what a move's seat sees, who plays it, and how."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self._sight = Sight(episode.question, episode.assignment.order, episode.seats)
        self._seats = {(seat.name, seat.role) for seat in episode.seats}

    def check(self, move: Speak | Ask | Judge | Choose | Estimate) -> None:
        """Raise `BadProtocol` for a seat that the protocol did not declare."""
        to = move.to if isinstance(move, Ask) else None
        for seat in (move.seat,) if to is None else (move.seat, to):
            known = isinstance(seat, Seat) and (seat.name, seat.role) in self._seats
            if not known or (
                seat.answer is not None and not 0 <= seat.answer < len(self.episode.assignment.order)
            ):
                raise BadProtocol(
                    f"protocol {self.episode.arm.protocol.name!r} moves a seat it did not declare: {seat!r}"
                )

    def look(self, move: Speak | Ask | Judge | Choose | Estimate, seen: tuple[Turn, ...]) -> View:
        """What the seat that moves may see, after the turns `seen`."""
        e, seat, view = self.episode, move.seat, self._sight.view
        if isinstance(move, Judge):
            return view(seen, seat, "judge", reads=move.passage, about=move.about)
        reads = e.role_reads(seat.role)
        if isinstance(move, Choose):
            if move.alone:
                if e.arm.named_seats and any(s.role == seat.role and s != seat for s in e.seats):
                    raise UserError(
                        f"{seat.title} chooses which side it argues, and an opponent's model might have to argue it: leave "
                        "opponents out, or let sides be assigned"
                    )
                return view((), JUDGE, "judge", reads=reads)
            among = move.among or e.case.answers
            return view(seen, seat, "choose", reads=reads, choices=among, about=move.about)
        if isinstance(move, Estimate):
            return view(seen, seat, "estimate", reads=reads, claims=move.claims, about=move.about)
        if isinstance(move, Ask):
            return view(seen, seat, "ask", reads=reads, about=move.about, to=move.to)
        if isinstance(move, OtherwiseAsked) and e.placebo is not None:
            return _placebo(e, e.placebo, seat, seen)
        known = seen if move.seen is None else move.seen
        return view(known, seat, "answer" if move.reply else "speak", reads=reads, about=move.about)

    def act(
        self, move: Speak | Ask | Choose | Estimate, looking: View, seen: tuple[Turn, ...]
    ) -> tuple[Player, Act[Turn] | Act[Verdict]]:
        """Who plays a move, and how."""
        arm = self.episode.arm
        player = arm.player(move.seat)
        if isinstance(move, Choose):
            if move.alone:
                player = _alone(player)
                return player, judge(looking, player, {})[0]
            return player, choose(looking, player, arm.params)
        if isinstance(move, Estimate):
            return player, estimate(looking, player, arm.params)

        def after(turn: Turn | None) -> View:
            known = seen if turn is None else (*seen, turn)
            return self._sight.view(known, JUDGE, "judge", reads=False)

        return player, speak(looking, player, arm.params, Bench(arm.judge, after))


def _placebo(episode: Episode, other: Any, seat: Seat, seen: tuple[Turn, ...]) -> View:
    """The view of a seat that is asked another question, of a task's other item, and nothing before it."""
    asked = replace(seen[-1], text=other.text, quotes=(), full=None)
    n = len(other.answers)
    there = seat.arguing(None if seat.answer is None else seat.answer % n)
    reads = episode.role_reads(seat.role)
    return view(other, range(n), episode.seats, (asked,), there, "answer", reads=reads)


def turn_of(move: Speak | Ask, turn: Turn) -> Turn:
    """A turn with what the move says of it."""
    if isinstance(move, Ask):
        return turn if move.to is None else replace(turn, to=move.to.name)
    if move.only is not None:
        turn = replace(turn, visible_to=tuple(seat.name for seat in move.only))
    if isinstance(move, OtherwiseAsked):
        # Its quotes are in another passage: offsets into this one they have none.
        quotes = tuple(replace(q, passage_start=None, passage_end=None) for q in turn.quotes)
        turn = replace(turn, placebo=True, quotes=quotes)
    return turn


def decided(move: Choose | Estimate, verdict: Verdict) -> Verdict:
    """The verdict of a seat that had to choose or estimate. Raises `Undecided` for one that did not."""
    missing = verdict.choice is None if isinstance(move, Choose) else verdict.probabilities is None
    if not missing:
        return verdict
    what = "chose nothing" if isinstance(move, Choose) else "gave no estimate"
    said = f" ({verdict.detail})" if verdict.detail else ""
    raise Undecided(f"{move.seat.title} {what}: {verdict.status}{said}: {verdict.raw[-80:]!r}")


@cache
def _direct_template() -> Template:
    return load_template(bundled("protocols") / "direct" / "judge.jinja")


def _alone(player: Player) -> Player:
    """The player as the direct protocol would seat it, unless told otherwise."""
    model = player.model
    sampling = Sampling(model.temperatures[0], max_tokens=0)
    return Player("judge", model, _direct_template(), sampling, elicit=(model.elicitation,))
