"""What one seat may see: a pure function of question, assignment, answer order, turns and seat.

Everything that reaches a prompt comes through here. There is no label to be had, the passage
(and an image hidden like one) is there only where the seat may read it, and what other seats said comes with our marks and none of
theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from oversight.moves import Seat, Turn
from oversight.protocol import letter
from oversight.question import Image, Question
from oversight.quotes import defuse, marked, quoted_lines

Act = Literal["speak", "answer", "ask", "judge", "choose", "estimate"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as shown: its letter and its text."""

    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A turn as another seat, or its own speaker later, may see it.

    `text` carries our marks; `lines` is the same with "> " before each line, so that nothing in it
    can pass for a header or another speaker. `mine` says that this seat said it; `to` whom a question was
    put to, "" for nobody in particular.
    """

    title: str
    role: str
    kind: str
    round: int
    text: str
    lines: str
    mine: bool
    to: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Exactly what one seat may see when it is to act. Templates are rendered from this alone.

    `answer` is what the seat argues, `others` what it argues against; `notes` its own private
    reasoning of earlier turns; `passage` is None where it may not read it. `images` go with the first
    user message; `images_hidden` says that some other seat does not see them. `round` counts this seat's
    acts of this kind from 1; for who judges, chooses or estimates it is the last round played. `choices` and
    `claims` are what there is to choose from and to estimate, where it is not the answers; `about` is the
    move's text, `to` the title of whom a question is put to. `asked` says that the judge has asked this seat, or
    nobody in particular, since it last spoke. `passage_name` says what the question hides from some seat, "" where
    it hides nothing.
    """

    seat: Seat
    act: Act
    round: int
    question: str
    answers: tuple[Answer, ...]
    turns: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    passage: str | None = None
    answer: Answer | None = None
    others: tuple[Answer, ...] = ()
    stem: str = ""
    images: tuple[Image, ...] = ()
    images_hidden: bool = False
    choices: tuple[Answer, ...] = ()
    claims: tuple[Answer, ...] = ()
    about: str = ""
    to: str = ""
    asked: bool = False
    passage_name: str = ""

    @property
    def options(self) -> tuple[Answer, ...]:
        """What a verdict is about: the choices or claims put to the seat, else the answers."""
        return self.choices or self.claims or self.answers


class Sight:
    """What the seats of one playing of a protocol see. What recurs in their views (the answers as shown, each turn
    with our marks) is made once and goes with this.

    `order[i]` is the index in `question.answers` of the answer shown at i; seats carry the assignment.
    """

    def __init__(self, question: Question, order: Sequence[int], seats: Sequence[Seat]) -> None:
        self._question = question
        self._titles = {seat.name: (seat.title, seat.role) for seat in seats}
        self._shown = tuple(Answer(letter(i), question.answers[j]) for i, j in enumerate(order))
        self._others = [
            tuple(other for other in self._shown if other is not answer) for answer in self._shown
        ]
        self._lines: dict[tuple[int, bool], tuple[Turn, Line]] = {}

    def view(
        self,
        turns: Sequence[Turn],
        seat: Seat,
        act: Act,
        *,
        reads: bool,
        choices: Sequence[str] = (),
        claims: Sequence[str] = (),
        about: str = "",
        to: Seat | None = None,
    ) -> View:
        """The view of `seat`. `reads` says whether this seat may read the passage now. For the rest, see `View`."""
        question, name = self._question, seat.name
        heard: list[Line] = []
        notes: list[str] = []
        played = last = 0
        asked = False
        for turn in turns:
            mine = turn.seat == name
            if mine:
                played += turn.kind == act
                if turn.private:
                    notes.append(turn.private)
                if turn.kind == "speak":
                    asked = False
            if turn.round > last:
                last = turn.round
            if mine or turn.visible_to is None or name in turn.visible_to:
                line = self._line(turn, mine)
                heard.append(line)
                if line.role == "judge" and not mine and turn.to in (None, name):
                    asked = True
        return View(
            seat=seat,
            act=act,
            round=played + 1 if act in _SAID else last,
            question=question.text,
            answers=self._shown,
            turns=tuple(heard),
            notes=tuple(notes),
            passage=question.passage if reads else None,
            answer=self._shown[seat.answer] if seat.answer is not None else None,
            others=self._others[seat.answer] if seat.answer is not None else (),
            stem=question.stem,
            images=question.seen(reads),
            images_hidden=reads and question.images_hidden,
            choices=_lettered(choices) if choices else (),
            claims=_lettered(claims) if claims else (),
            about=defuse(about) if about else "",
            to=to.title if to is not None else "",
            asked=asked,
            passage_name=question.hides,
        )

    def _line(self, turn: Turn, mine: bool) -> Line:
        """A turn as another seat, or as its own speaker, sees it."""
        found = self._lines.get((id(turn), mine))
        if found is None:
            twin = self._lines.get((id(turn), not mine))
            if twin is not None:
                t = twin[1]
                line = Line(t.title, t.role, t.kind, t.round, t.text, t.lines, mine, t.to)
            else:
                title, role = self._titles[turn.seat]
                text = marked(turn.text, turn.quotes)
                to = self._titles[turn.to][0] if turn.to else ""
                line = Line(title, role, turn.kind, turn.round, text, quoted_lines(text), mine, to)
            found = self._lines[id(turn), mine] = turn, line  # with the turn, or its id might be another's
        return found[1]


def view(
    question: Question,
    order: Sequence[int],
    seats: Sequence[Seat],
    turns: Sequence[Turn],
    seat: Seat,
    act: Act,
    *,
    reads: bool,
) -> View:
    """One view by itself, see `Sight`."""
    return Sight(question, order, seats).view(turns, seat, act, reads=reads)


_SAID = ("speak", "answer", "ask")


def _lettered(texts: Sequence[str]) -> tuple[Answer, ...]:
    return tuple(Answer(letter(i), defuse(text)) for i, text in enumerate(texts))


def unhelped(view: View) -> View:
    """The same seat without passage, hidden images and turns: what calibration against the unhelped prompt
    uses."""
    images = () if view.images_hidden else view.images
    return replace(
        view,
        turns=(),
        notes=(),
        passage=None,
        answer=None,
        others=(),
        images=images,
        images_hidden=False,
        asked=False,
    )


def template_variables(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a template may name. `passage`, `answer` and `others` are undefined where the seat has none.

    `images` are the media types of those the seat sees: they go with the messages, never into their text.
    """
    names: dict[str, Any] = {
        "seat": view.seat,
        "act": view.act,
        "round": view.round,
        "question": view.question,
        "answers": view.answers,
        "turns": view.turns,
        "notes": view.notes,
        "images": tuple(image.media_type for image in view.images),
        "choices": view.choices,
        "claims": view.claims,
        "about": view.about,
        "about_lines": quoted_lines(view.about) if view.about else "",
        "to": view.to,
        "asked": view.asked,
        "passage_name": view.passage_name,
    }
    for name, value in params.items():
        if name not in _RESERVED:
            names[name] = value
    if view.passage is not None:
        names["passage"] = view.passage
    if view.answer is not None:
        names["answer"] = view.answer
        names["others"] = view.others
    return names


_RESERVED = frozenset(
    [
        "seat",
        "act",
        "round",
        "question",
        "answers",
        "turns",
        "notes",
        "images",
        "choices",
        "claims",
        "about",
        "about_lines",
        "to",
        "asked",
        "passage_name",
        "passage",
        "answer",
        "others",
        "system",
        "user",
        "assistant",
        "words",
        "quote_words",
        "elicit",
        "lettered",
    ]
)
