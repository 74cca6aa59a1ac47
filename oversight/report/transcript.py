"""One episode out of the database: found by its id, read whole, and told as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from oversight.errors import UserError
from oversight.moves import Quote
from oversight.protocol import letter
from oversight.quotes import CLOSE, OPEN, defuse
from oversight.report.images import Picture, read_pictures
from oversight.report.naming import protocol_title
from oversight.report.safe import cell, one_line, visible

if TYPE_CHECKING:
    from oversight.store.reading import Reader


@dataclass(frozen=True)
class SaidDraft:
    """What a speaker made on the way to a turn: see `oversight.moves.Draft`."""

    kind: str
    text: str
    score: float | None
    shown: bool


@dataclass(frozen=True)
class SaidChoice:
    """What a seat chose or estimated after `turn` turns. `kind` answer: one of the question's, to argue it;
    else choice or estimate, over `options`, or over the question's answers where that is None."""

    turn: int
    seat: str
    role: str
    kind: str
    options: Sequence[str] | None
    choice: int | None
    probabilities: Sequence[float] | None


@dataclass(frozen=True)
class SaidTurn:
    """A turn as stored. `cut` says by what it was shortened; `addressed` whom a question is for."""

    index: int
    kind: str
    seat: str
    role: str
    round: int
    text: str
    private: str
    full: str | None
    cut: str | None
    words: int
    addressed: str | None
    placebo: bool
    visible_to: tuple[str, ...] | None
    quotes: tuple[Quote, ...]
    drafts: tuple[SaidDraft, ...]

    @property
    def title(self) -> str:
        role = self.role.replace("_", " ").capitalize()
        return role if self.seat == self.role else f"{role} {self.seat}"


@dataclass(frozen=True)
class SaidVerdict:
    """A verdict; choice and probabilities are over the question's answers, not the order shown. `closing`: read
    at the episode's end."""

    turn: int
    judge: str
    elicitation: str
    final: bool
    closing: bool
    status: str
    reason: str | None
    detail: str | None
    choice: int | None
    probabilities: Sequence[float] | None
    raw: str


@dataclass(frozen=True)
class Transcript:
    """Everything there is to read of an episode. `order[i]` is the answer shown at place i."""

    id: str
    key: int
    protocol: str
    params: dict[str, Any]
    judge: str
    speaker: str | None
    task: str
    group: str
    question: str
    answers: tuple[str, ...]
    order: tuple[int, ...]
    argues: dict[str, int]
    passage: str | None
    passage_name: str
    images: tuple[Picture, ...]
    images_hidden: bool
    label: int
    sample: int
    turns: tuple[SaidTurn, ...]
    choices: tuple[SaidChoice, ...]
    verdicts: tuple[SaidVerdict, ...]

    @property
    def queries(self) -> set[int]:
        """Turns in which the judge asks somebody who then answers, beside the protocol's rounds."""
        pairs = zip(self.turns, self.turns[1:], strict=False)
        return {
            ask.index
            for ask, reply in pairs
            if ask.kind == "ask"
            and ask.role == "judge"
            and (reply.kind, reply.seat) == ("answer", ask.addressed)
        }

    @property
    def seats(self) -> list[str]:
        """Names of its seats, the judge first."""
        return list(dict.fromkeys(["judge", *self.argues, *(turn.seat for turn in self.turns)]))


def find_episode(reader: Reader, wanted: str) -> str:
    """The full id for an id, a unique beginning of one, `last` or `random`. Raises `UserError`."""
    ids = "SELECT lower(lpad(to_hex(episode), 16, '0')) AS id FROM episodes"
    if wanted == "last":
        newest = (
            "SELECT lower(lpad(to_hex(u.episode), 16, '0')) FROM uses u JOIN calls c USING (call) "
            "WHERE u.paid{} ORDER BY c.started DESC, u.episode LIMIT 1"
        )
        # Among the newest calls first: of a million, joining all takes a second.
        recent = newest.format(" AND u.call IN (SELECT call FROM calls ORDER BY started DESC LIMIT 2000)")
        rows = (
            reader.sql(recent).rows or reader.sql(newest.format("")).rows or reader.sql(f"{ids} LIMIT 1").rows
        )
    elif wanted == "random":
        rows = reader.sql(f"{ids} ORDER BY random() LIMIT 1").rows
    else:
        prefix = wanted.lower()
        if not prefix or set(prefix) - set("0123456789abcdef") or len(prefix) > 16:
            raise UserError(
                f"{wanted!r} is no episode id: up to sixteen hexadecimal digits, last or random "
                "(`oversight show` lists some)"
            )
        rows = reader.sql(
            f"SELECT id FROM ({ids}) WHERE starts_with(id, ?) ORDER BY id LIMIT 5", [prefix]
        ).rows
        if len(rows) > 1:
            some = ", ".join(row[0] for row in rows[:4])
            raise UserError(
                f"{wanted!r} is the beginning of several episodes: {some}{' …' if len(rows) > 4 else ''}"
            )
    if not rows:
        raise UserError(f"no episode {wanted!r} in {reader.path} (`oversight show` lists some)")
    return str(rows[0][0])


def read_transcript(reader: Reader, episode: str) -> Transcript:
    """The episode of a full id. Raises `StoreError`."""
    key = int(episode, 16)
    head = reader.sql(
        'SELECT a.protocol, a.params, a.judge, a.speaker, e.task, q."group", q.text, q.answers, '
        "e.answer_order, e.assignment, p.text, coalesce(q.passage_name, 'text'), coalesce(q.images, []), "
        "coalesce(q.images_hidden, false), l.label, e.sample FROM episodes e "
        "JOIN arms a USING (arm) JOIN questions q USING (question) JOIN labels l USING (question) "
        "LEFT JOIN passages p ON p.passage = q.passage WHERE e.episode = ?",
        [key],
    ).rows[0]
    (
        protocol,
        params,
        judge,
        speaker,
        task,
        group,
        question,
        answers,
        order,
        assignment,
        passage,
        passage_name,
        images,
        images_hidden,
        label,
        sample,
    ) = head
    pictures = read_pictures(reader, images)
    quotes: dict[int, list[Quote]] = {}
    for turn, *rest in reader.sql(
        'SELECT turn, "start", "end", verified, passage_start, passage_end, cut FROM quotes '
        "WHERE episode = ? ORDER BY turn, quote",
        [key],
    ).rows:
        quotes.setdefault(turn, []).append(Quote(*rest))
    turns = reader.sql(
        'SELECT turn, kind, seat, role, round, "text", private, "full", cut, words, addressed, coalesce(placebo, false), visible_to FROM turns '
        "WHERE episode = ? ORDER BY turn",
        [key],
    ).rows
    drafts: dict[int, list[SaidDraft]] = {}
    for turn, *rest in reader.sql(
        'SELECT turn, kind, "text", score, shown FROM drafts WHERE episode = ? ORDER BY turn, n', [key]
    ).rows:
        drafts.setdefault(turn, []).append(SaidDraft(*rest))
    choices = reader.sql(
        "SELECT turn, seat, role, kind, options, choice, probabilities FROM choices WHERE episode = ? ORDER BY turn, n",
        [key],
    ).rows
    verdicts = reader.sql(
        "SELECT turn, judge, elicitation, final, closing, status, reason, detail, choice, probabilities, raw FROM verdicts "
        "WHERE episode = ? ORDER BY final, turn, elicitation",
        [key],
    ).rows
    return Transcript(
        id=episode,
        key=key,
        protocol=protocol,
        params=json.loads(params),
        judge=judge,
        speaker=speaker,
        task=task,
        group=group,
        question=question,
        answers=tuple(answers),
        order=tuple(order),
        argues={s: int(a) for s, _, a in (part.partition("=") for part in assignment.split(",") if part)},
        passage=passage,
        passage_name=passage_name,
        images_hidden=images_hidden,
        images=tuple(pictures[key] for key in images),
        label=label,
        sample=sample,
        turns=tuple(
            SaidTurn(
                *(*row, seen and tuple(seen), tuple(quotes.get(row[0], ())), tuple(drafts.get(row[0], ())))
            )
            for *row, seen in turns
        ),
        choices=tuple(SaidChoice(*row) for row in choices),
        verdicts=tuple(SaidVerdict(*row) for row in verdicts),
    )


def told(t: Transcript, private: bool = False) -> Iterator[RenderableType]:
    """The transcript for a person: who argues what, the turns, the verdict, and only then the truth."""
    speaker = f" · speaker {t.speaker}" if t.speaker else ""
    yield cell(f"Episode {t.id}", "bold")
    yield cell(f"{protocol_title(t.protocol, t.params)} · {t.task} · judge {t.judge}{speaker}", "dim")
    yield ""
    yield Text.assemble(("Question  ", "bold"), cell(t.question))
    for picture in t.images:
        yield cell(f"          {picture.said}", "dim")
    argued_by = {answer: seat for seat, answer in t.argues.items()}
    for i, answer in enumerate(t.order):
        seat = argued_by.get(answer)
        who = f"   argued by {_title(t, seat)}" if seat else ""
        yield Text.assemble(f"  ({letter(i)}) ", cell(t.answers[answer]), (who, "dim"))
    now, asked = 0, 0
    queries = t.queries
    for turn in t.turns:
        yield from _choices(t, [c for c in t.choices if c.turn == turn.index])
        yield from _verdicts(t, [v for v in t.verdicts if not v.closing and v.turn == turn.index])
        if turn.index in queries:
            asked += 1
            yield Text(f"\nQuery {asked}", "bold underline")
        elif turn.index - 1 not in queries and turn.round > now:  # what is asked in between is of its round
            now = turn.round
            yield Text(f"\nRound {now}", "bold underline")
        yield from _turn(turn, private)
    yield from _choices(t, [c for c in t.choices if c.turn >= len(t.turns)])
    yield from _verdicts(t, [v for v in t.verdicts if not v.closing and v.turn >= len(t.turns)])
    yield from _ending(t)


def _title(t: Transcript, seat: str) -> str:
    return next(
        (turn.title for turn in t.turns if turn.seat == seat), seat if len(seat) > 2 else f"seat {seat}"
    )


def _choices(t: Transcript, choices: Sequence[SaidChoice]) -> Iterator[RenderableType]:
    for c in choices:
        role = c.role.replace("_", " ").capitalize()
        title = role if c.seat == c.role else f"{role} {c.seat}"
        among = list(c.options) if c.options is not None else list(t.answers)
        if c.kind == "estimate":
            places = range(len(among)) if c.options is not None else t.order
            shares = ", ".join(f'"{among[i]}" {(c.probabilities or [0.0])[i]:.0%}' for i in places)
            said = f"{title} estimates: {shares}"
        else:
            does = "chooses to argue" if c.kind == "answer" else "chooses"
            said = (
                f'{title} {does} "{among[c.choice]}"' if c.choice is not None else f"{title} chooses nothing"
            )
        yield Text.assemble("\n", cell(said, "italic"))


def _turn(turn: SaidTurn, private: bool) -> Iterator[RenderableType]:
    act = {"ask": "asks", "answer": "answers"}.get(turn.kind, "")
    if turn.placebo:
        act += " (a placebo: another question)"
    to = f" {turn.addressed}" if turn.addressed else ""
    head = f"{turn.title} {act}{to}".strip()
    words = f"{turn.words} word{'' if turn.words == 1 else 's'}"
    yield Text.assemble("\n", cell(head, "bold"), (f"  ({words})", "dim"))
    if turn.private:
        if private:
            yield _indented(Text.assemble(("private: ", "bold"), visible(turn.private)), "dim")
        else:
            yield Text("  (thought in private; --private shows it)", "dim")
    if turn.drafts:
        samples = sum(draft.kind == "sample" for draft in turn.drafts)
        critiques = sum(draft.kind == "critique" for draft in turn.drafts)
        made = [f"best of {samples}"] * (samples > 0) + [f"criticised {_times(critiques)}"] * (critiques > 0)
        yield Text(f"  ({', '.join(made)}{'' if private else '; --private shows the drafts'})", "dim")
        for draft in turn.drafts if private else ():
            score = f" {draft.score:.2f}" if draft.score is not None else ""
            mark = " ←" if draft.shown else ""
            yield _indented(
                Text.assemble((f"{draft.kind}{score}{mark}: ", "bold"), visible(draft.text)), "dim"
            )
    yield _indented(marked(turn.text, turn.quotes))
    if turn.cut:
        why = "its limit of words" if turn.cut == "words" else "the token limit"
        total = len((turn.full or turn.text).split())
        yield Text(f"  [cut at {why}: {words} of {total}]", "yellow")


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def marked(text: str, quotes: Sequence[Quote]) -> Text:
    """A speech with our marks around its quotes, ⟦✓ "…"⟧ or ⟦✗ "…"⟧; those brackets are nobody else's."""
    out = Text()
    at = 0
    for quote in quotes:
        out.append(visible(defuse(text[at : quote.start])))
        said = visible(defuse(text[quote.start : quote.end])).strip().strip('"“”')
        out.append(
            f'{OPEN}{"✓" if quote.verified else "✗"} "{said}"{CLOSE}', "green" if quote.verified else "red"
        )
        at = quote.end
    out.append(visible(defuse(text[at:])))
    return out


def _indented(text: Text, style: str = "") -> Padding:
    return Padding(text, (0, 0, 0, 2), style=style, expand=False)


def _verdicts(t: Transcript, verdicts: Sequence[SaidVerdict]) -> Iterator[RenderableType]:
    for verdict in verdicts:
        who = "" if verdict.judge == t.judge else f" {one_line(verdict.judge)}"
        yield Text.assemble("\n", (f"Judge{who}, on the way  ", "bold"), _belief(t, verdict))


def _ending(t: Transcript) -> Iterator[RenderableType]:
    final = next((v for v in t.verdicts if v.final), None)
    truth = t.order.index(t.label)
    yield ""
    if final is None:
        yield Text.assemble(("Verdict   ", "bold"), "none yet: the episode was not finished")
    else:
        yield Text.assemble(("Verdict   ", "bold"), _belief(t, final))
        if final.status in ("unparsable", "refused") and final.raw:
            yield _indented(Text(visible(final.raw)), "dim")
    for other in t.verdicts:
        if other.closing and not other.final:
            who = "" if final is None or other.judge == final.judge else f"{one_line(other.judge)}  "
            yield Text.assemble(("Also read ", "bold"), who, _belief(t, other))
    line = Text.assemble(("Truth     ", "bold"), f"({letter(truth)}) ", cell(t.answers[t.label]))
    if final is not None and final.status == "decided":
        right = final.choice == t.label
        line.append(
            "   the judge was right" if right else "   the judge was wrong", "green" if right else "red"
        )
    yield line


def _belief(t: Transcript, verdict: SaidVerdict) -> Text:
    if verdict.status != "decided" or verdict.choice is None:
        text = Text(verdict.status, "yellow")
        if verdict.reason:
            text.append(f" ({verdict.reason}): {one_line(verdict.detail or '')}")
    else:
        text = Text.assemble(f"({letter(t.order.index(verdict.choice))}) ", cell(t.answers[verdict.choice]))
    if verdict.probabilities is not None:
        shares = "  ".join(
            f"{letter(i)} {100 * verdict.probabilities[a]:.1f} %" for i, a in enumerate(t.order)
        )
        text.append(f"   {shares}")
    how = verdict.elicitation
    if verdict.detail and not verdict.reason:
        how += f": {one_line(verdict.detail)}"
    return text.append(f"   ({how})", "dim")


def print_transcript(t: Transcript, private: bool = False) -> None:
    """Print it to standard output."""
    console = Console(highlight=False)
    for part in told(t, private):
        console.print(part, markup=False)
