"""Player: how one role is played, and the generators of calls that playing it comes down to.

Like a protocol, an act does no I/O: it yields a `Request` (or a tuple of them, to be made side by
side) and is sent the `Completion` (or the tuple). The engine makes the calls.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from oversight.errors import Empty, Filtered
from oversight.models.interface import Completion, Message, Model, Request, Sampling
from oversight.prompts import Template
from oversight.views import View

T = TypeVar("T")
Act = Generator[Request | tuple[Request, ...], Any, T]


SCORING = Sampling(max_tokens=0)
"""For log-probs: a forward pass draws nothing, so how replies are sampled is no part of such a call."""


STEM = "The answer is"
"""What an answer's text goes on from where the question has no stem of its own."""
LETTERED = ("hard", "credence", "votes", "logprobs", "letters")
"""Elicitations for which the answers are listed by letter; the others read texts, which a list only blurs."""


@dataclass(frozen=True)
class Player:
    """How a role is played: by which model, told by which template, drawn how.

    `style` is how it speaks (`oversight.speech`), `elicit` the ways in which its verdict is read
    (`oversight.elicit`), the first of them the episode's; `votes` how many are drawn. `words` is the limit of a speech, quotes included; `quote_words` the
    budget of its quotes. `sampling.max_tokens` 0 means: enough for the act.
    """

    role: str
    model: Model
    template: Template
    sampling: Sampling = SCORING
    style: str = "free"
    elicit: tuple[str, ...] = ("hard",)
    votes: int = 5
    words: int = 150
    quote_words: int = 75

    @property
    def identity(self) -> tuple[Any, ...]:
        """What of it makes an episode another episode."""
        s = self.sampling
        drawn = (s.temperature, s.top_p, s.max_tokens, list(s.stop))
        acts = self.elicit if self.role == "judge" else ()
        acts += (f"votes={self.votes}",) if "votes" in acts else ()
        return (
            self.role,
            self.model.identity,
            self.template.hash,
            drawn,
            self.style,
            self.words,
            self.quote_words,
            *acts,
        )

    def prompt(
        self, view: View, params: Mapping[str, Any], elicit: str = "", way: str = ""
    ) -> tuple[Message, ...]:
        """The messages that put a view to this player's model; `elicit` is how a verdict is asked for, `way`
        how it is read (else, the first of this player's)."""
        return self.template.render(
            view,
            params,
            words=self.words,
            quote_words=self.quote_words,
            lettered=(way or self.elicit[0]) in LETTERED,
            elicit=elicit,
        )

    def room(self, tokens: int) -> Sampling:
        """Its sampling, with `tokens` for the reply unless the user set a number."""
        s = self.sampling
        return s if s.max_tokens else Sampling(s.temperature, s.top_p, tokens, s.stop)


def delivered(completion: Completion, who: str) -> Completion:
    """The completion, if the provider delivered one.

    Raises `Filtered` where it or the model declined, `Empty` where nothing came.
    """
    if completion.stop in ("filter", "refused"):
        raise Filtered(
            f"{who}: the reply was {'withheld by a filter' if completion.stop == 'filter' else 'refused'}"
        )
    if not completion.text.strip() and not completion.scores:
        raise Empty(f"{who}: the reply was empty")
    return completion


def scores_of(completion: Completion, view: View) -> tuple[float, ...]:
    """A log-prob for each answer (the engine has seen to it that they are there)."""
    return delivered(completion, view.seat.title).scores or ()


def prefilled(messages: tuple[Message, ...], opening: str) -> tuple[Message, ...]:
    """The messages with `opening` for the reply to go on from; a template's own opening comes first."""
    if messages[-1].role == "assistant":
        own = messages[-1].content
        return (*messages[:-1], Message("assistant", f"{own} {opening}"))
    return (*messages, Message("assistant", opening))
