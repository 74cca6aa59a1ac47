"""What a seat may see of an episode, where no prompt of its was kept: for imported transcripts, and seats not asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from oversight.moves import Kind, Seat, Turn
from oversight.question import Question
from oversight.report.safe import one_line, visible
from oversight.report.transcript import Transcript
from oversight.views import View, view


def as_view(t: Transcript, seat: str) -> Iterator[str]:
    """Lines that show the seat's view of the whole play. A view is a function of question, assignment and turns, so
    it is what a prompt would be made of now; who was not the judge is taken to have read the passage."""
    seen = view_of(t, seat)
    yield f"═══ nothing was sent to {one_line(seat)} from here: its view, of which a prompt is made"
    yield f"Question: {visible(seen.question)}"
    yield from (f"({a.letter}) {visible(a.text)}" for a in seen.answers)
    yield from (picture.said for picture in t.images if seen.seat.role != "judge" or not t.images_hidden)
    if seen.answer is not None:
        yield f"It argues ({seen.answer.letter})."
    if seen.passage is not None:
        yield f"─── {one_line(seen.passage_name)}"
        yield visible(seen.passage)
    elif t.passage is not None:
        yield f"It does not see the {one_line(seen.passage_name)}."
    for line in seen.turns:
        yield f"─── {one_line(line.title)}{f' to {one_line(line.to)}' if line.to else ''}"
        yield visible(line.lines)
    if seen.notes:
        yield "─── its own notes"
        yield from (visible(note) for note in seen.notes)


def view_of(t: Transcript, seat: str) -> View:
    """The view of a seat when the play is over."""
    roles = {"judge": "judge"} | {turn.seat: turn.role for turn in t.turns}
    seats = [
        Seat(name, roles.get(name, name), t.order.index(t.argues[name]) if name in t.argues else None)
        for name in t.seats
    ]
    turns = [
        Turn(cast(Kind, s.kind), s.seat, s.round, s.text, s.private, quotes=s.quotes, visible_to=s.visible_to, to=s.addressed)
        for s in t.turns
    ]  # fmt: skip
    own = next(one for one in seats if one.name == seat)
    question = Question(t.question, t.answers, t.passage, passage_name=t.passage_name)
    judges = own.role == "judge"
    return view(question, t.order, seats, turns, own, "judge" if judges else "speak", reads=not judges)
