"""How a seat speaks: from its view to a turn, in one of the speaking styles.

free     the model writes a speech
prefill  the same, its reply begun for it with the answer it argues (for models that forget their side)
quotes   it picks one of the passage's own sentences: the one not yet said that makes its own judgement
         lean furthest to the answer it argues (for models that cannot argue; a best-of-n over quotes,
         with itself as judge)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from oversight.errors import BadProtocol, Empty, Truncated
from oversight.models.interface import Completion, Message, Request
from oversight.moves import Turn
from oversight.player import SCORING, STEM, Act, Player, delivered, prefilled, scores_of
from oversight.quotes import check_quotes, clip_quotes, split_quotes
from oversight.text import count_words, cut_words, sentences, split_private
from oversight.views import View

STYLES = {
    "free": "the model writes a speech",
    "prefill": "the same, its reply begun with the answer it argues",
    "quotes": "the passage's own sentence that most favours the answer it argues, by the model's log-probs",
}


def speak(view: View, player: Player, params: Mapping[str, Any]) -> Act[Turn]:
    """Play a `Speak` or `Ask` move. Raises `CallFailed` where no speech can be shown."""
    if view.act == "speak" and player.style == "quotes":
        return (yield from _by_quotes(view, player))
    messages = player.prompt(view, params)
    opening = ""
    if view.act == "speak" and player.style == "prefill" and view.answer is not None:
        opening = f'The answer is "{view.answer.text}" because'
        messages = prefilled(messages, opening)
    room = 2 * player.words + 200 if view.act == "speak" else 2 * min(player.words, 60)
    completion = yield Request(messages, player.room(room), view=view)
    return turn_from(delivered(completion, view.seat.title), view, player, opening)


def turn_from(completion: Completion, view: View, player: Player, opening: str = "") -> Turn:
    """A reply as a turn: private reasoning taken out, quotes checked, the limits held.

    Raises `Empty` (or `Truncated`, when the token limit came first) if nothing public is left.
    """
    public, private = split_private(completion.text)
    if completion.private:
        private = f"{completion.private}\n{private}".strip()
    if not public:
        if completion.stop == "length":
            raise Truncated(f"{view.seat.title}: the token limit came before anything was said aloud")
        raise Empty(f"{view.seat.title}: nothing was said aloud")
    if opening:
        public = f"{opening} {public}"
    text, spans = split_quotes(public)
    full = text
    text, quotes = check_quotes(text, spans, view.passage, player.quote_words)
    cut: Literal["words", "length"] | None = None
    if count_words(text) > player.words:
        end, cut = cut_words(text, player.words), "words"
    elif completion.stop == "length":
        end, cut = cut_words(text + " .", count_words(text)), "length"  # back to the last whole sentence
    if cut:
        spans = clip_quotes(quotes, end)
        whole = {q.start: q for q in quotes}
        text, quotes = check_quotes(text[:end], spans, view.passage, player.quote_words)
        quotes = tuple(replace(q, cut=whole[q.start].cut or q.end < whole[q.start].end) for q in quotes)
    return Turn(
        kind="ask" if view.act == "ask" else "speak",
        seat=view.seat.name,
        round=view.round,
        text=text,
        private=private,
        full=full if full != text else None,
        cut=cut,
        quotes=quotes,
    )


def _by_quotes(view: View, player: Player) -> Act[Turn]:
    if view.passage is None or view.answer is None:
        raise BadProtocol(
            "style 'quotes' needs a seat that reads a passage and argues an answer; "
            f"{view.seat.title} does not"
        )
    if not player.model.scores:
        raise BadProtocol(
            f"style 'quotes' needs log-probs, which {player.model.name} does not give; "
            "use style=free or prefill"
        )
    said = " ".join(line.text for line in view.turns if line.mine)
    pool = [s for s in dict.fromkeys(sentences(view.passage)) if s not in said] or sentences(view.passage)
    answers = sorted(a.text for a in view.answers)  # one order for all seats, so that they share these calls
    requests = tuple(
        Request(
            (
                Message("user", f"Question: {view.question}\n\n{sentence}", view.images),
                Message("assistant", view.stem or STEM),
            ),
            SCORING,
            continuations=tuple(f" {a}" for a in answers),
            view=view,
        )
        for sentence in pool
    )
    completions: tuple[Completion, ...] = yield requests
    mine = answers.index(view.answer.text)
    scores = [scores_of(completion, view) for completion in completions]
    ranked = sorted(range(len(pool)), key=lambda i: (-_lean(scores[i], mine), i))
    best = next((i for i in ranked if count_words(pool[i]) <= player.quote_words), ranked[0])
    quotes = f"<quote>{pool[best]}</quote>"
    return turn_from(Completion(f"The answer is {view.answer.text}. {quotes}"), view, player)


def _lean(scores: Sequence[float], mine: int) -> float:
    """Log-odds of the answer argued against the likeliest other one."""
    return scores[mine] - max((s for i, s in enumerate(scores) if i != mine), default=-math.inf)
