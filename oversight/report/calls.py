"""The calls behind an episode: what each seat was shown, byte for byte, and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oversight.report.images import Picture, read_pictures
from oversight.report.safe import one_line, visible
from oversight.report.transcript import Transcript

if TYPE_CHECKING:
    from oversight.store.reading import Reader


@dataclass(frozen=True)
class SeatMessage:
    """A message as it was sent."""

    role: str
    content: str
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class SeatCall:
    """A call of one seat, with its messages in order; `scores` are log-probs in nats."""

    seat: str
    act: str
    round: int
    model: str
    kind: str
    messages: tuple[SeatMessage, ...]
    continuations: tuple[str, ...]
    text: str
    private: str
    stop: str
    scores: tuple[float, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    seconds: float
    paid: bool


def read_calls(reader: Reader, t: Transcript) -> list[SeatCall]:
    """An episode's calls in the order of its turns; a call used twice at one place is given once."""
    rows = reader.sql(
        "SELECT u.turn, u.seat, min(u.n) AS n, u.call, bool_or(u.paid), m.name, c.kind, c.messages, "
        'coalesce(c.continuations, []), c."text", c.private, c.stop_reason, coalesce(c.scores, []), '
        "c.prompt_tokens, c.completion_tokens, c.cost, c.seconds "
        "FROM uses u JOIN calls c USING (call) JOIN models m USING (model) WHERE u.episode = ? "
        "GROUP BY ALL ORDER BY u.turn, n",
        [t.key],
    ).rows
    keys = sorted({key for row in rows for key in row[7]})
    sent = reader.sql(
        "SELECT message, role, content, coalesce(images, []) FROM messages "
        "WHERE list_contains(?::UBIGINT[], message)",
        [keys],
    ).rows
    pictures = read_pictures(reader, (image for row in sent for image in row[3]))
    contents = {
        key: SeatMessage(role, content, tuple(pictures[image] for image in images))
        for key, role, content, images in sent
    }
    turns = {turn.index: turn for turn in t.turns}
    calls = []
    for row in rows:
        index, seat, _, _, paid, model, kind, messages, continuations, text, private, stop, scores = row[:13]
        prompt_tokens, completion_tokens, cost, seconds = row[13:]
        turn = turns.get(index)
        if turn and turn.seat != seat:
            turn = None  # the verdict before that turn
        calls.append(
            SeatCall(
                seat,
                turn.kind if turn else "judge",
                turn.round if turn else max((x.round for x in t.turns), default=0),
                model,
                kind,
                tuple(contents[key] for key in messages),
                tuple(continuations),
                text,
                private,
                stop,
                tuple(scores),
                prompt_tokens,
                completion_tokens,
                cost,
                seconds,
                paid,
            )
        )
    return calls


def as_seen(calls: list[SeatCall]) -> Iterator[str]:
    """Lines that show calls whole: each message as it was sent, and the reply. Nothing is wrapped."""
    for n, call in enumerate(calls, start=1):
        when = f"round {call.round}" if call.round else "before any round"
        yield f"═══ call {n} of {len(calls)}: {call.act}, {when}, {one_line(call.model)}, {call.kind}"
        for message in call.messages:
            yield f"─── {message.role}"
            yield from (picture.said for picture in message.images)
            yield visible(message.content)
        if call.kind == "score":
            yield "─── log-probs of what could follow"
            for continuation, score in zip(call.continuations, call.scores, strict=True):
                yield f"{score:10.4f}  {one_line(continuation)!r}"
        else:
            yield f"─── reply ({call.stop})"
            if call.private:
                yield f"(private) {visible(call.private)}"
            yield visible(call.text)
        yield ""
