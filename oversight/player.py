"""Player: how one role is played, and the generators of calls that playing it comes down to.

Like a protocol, an act does no I/O: it yields a `Request` (or a tuple of them, to be made side by
side) and is sent the `Completion` (or the tuple). The engine makes the calls.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from oversight.errors import BadProtocol, Empty, Filtered, UserError
from oversight.models.interface import Completion, Message, Model, Request, Sampling
from oversight.moves import Pooling
from oversight.prompts import Template
from oversight.views import View

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Requests for another model than the player's own."""

    model: Model
    requests: tuple[Request, ...]


Act = Generator[Request | tuple[Request, ...] | Elsewhere, Any, T]


SCORING = Sampling(max_tokens=0)
"""For log-probs: a forward pass draws nothing, so how replies are sampled is no part of such a call."""


STEM = "The answer is"
"""What an answer's text goes on from where the question has no stem of its own."""
LETTERED = ("hard", "credence", "votes", "logprobs", "letters")
"""Elicitations for which the answers are listed by letter; the others read texts, which a list only blurs."""


@dataclass(frozen=True)
class Optimised:
    """How a speaker is made more persuasive (Khan 2024; Kenton 2024).

    `best_of` speeches are drawn and the one that `prefer` likes best is made: by "choice" (it reads them all
    and names one) or by a way of reading a verdict that gives probabilities (it sits in the judge's place with
    each of them: the one that makes the argued answer most probable). Then, `refine` times, the speaker
    criticises what it has and writes it anew. `prefer` is a model, or "self" or "judge".
    """

    best_of: int = 1
    prefer: Model | Literal["self", "judge"] = "self"
    prefer_by: str = "choice"
    refine: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        prefer = self.prefer if isinstance(self.prefer, str) else self.prefer.identity
        return (self.best_of, *((prefer, self.prefer_by) if self.best_of > 1 else ()), self.refine)


@dataclass(frozen=True)
class Judging:
    """What a judge does beside giving its verdict.

    `beliefs`: its verdict is also read before the first turn and after every move that brought turns, which
    changes nothing that follows. `queries`: questions it may put before its verdict to seats that speak;
    `placebo`: they are answered as if another question of the task had been asked. `panel`: players that judge
    with it, and `pool` how their verdicts are made one. `think`: it may reason before a verdict in words.
    """

    beliefs: bool = False
    queries: int = 0
    placebo: bool = False
    panel: tuple[Player, ...] = ()
    pool: Pooling = "log_odds"
    think: bool = False

    @property
    def identity(self) -> tuple[Any, ...]:
        panel = ([player.identity for player in self.panel], self.pool) if self.panel else ()
        return (self.beliefs, self.queries, self.placebo, *panel, self.think)


@dataclass(frozen=True)
class Player:
    """How a role is played: by which model, told by which template, drawn how.

    `style` is how it speaks (`oversight.speech`), `elicit` the ways in which its verdict is read
    (`oversight.elicit`), the first of them the episode's; `votes` how many are drawn. `words` is the limit of a
    speech, quotes included; `quote_words` the budget of its quotes. `sampling.max_tokens` 0 means: enough for
    the act. `examples` are messages put after a prompt's system messages (a few-shot player).
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
    optimised: Optimised = Optimised()
    judging: Judging = Judging()
    examples: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        seen: set[tuple[Any, ...]] = set()
        for member in (self, *self.judging.panel):
            if member.opinion in seen and member.model.reuse:  # a person asked again may answer otherwise
                raise UserError(
                    f"panel: {member.model.name!r} is in it twice, and would be counted twice for one opinion (the judge "
                    "itself is its first member): leave one out, or set them apart by temperature, elicit or template"
                )
            seen.add(member.opinion)

    @property
    def opinion(self) -> tuple[Any, ...]:
        """What decides a judge's verdict: two of whom it is the same make the same calls."""
        s, j = self.sampling, self.judging
        drawn = (s.temperature, s.top_p, s.max_tokens, s.stop)
        votes = self.votes if "votes" in self.elicit else 0
        return (
            self.model.identity,
            self.template.hash,
            drawn,
            self.elicit[:1],
            votes,
            self.examples,
            j.think,
        )

    @property
    def name(self) -> str:
        """The model's name; a panel's is made of its members'."""
        members = (self, *self.judging.panel)
        if len(members) == 1:
            return self.model.name
        return f"panel({', '.join(member.model.name for member in members)})"

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model it needs."""
        others = [model for member in self.judging.panel for model in member.models]
        prefer = self.optimised.prefer
        return (self.model, *others, *([] if isinstance(prefer, str) else [prefer]))

    def describe(self) -> dict[str, Any]:
        """All that it is, as JSON takes it, for the store."""
        s, o, j = self.sampling, self.optimised, self.judging
        judges = self.role == "judge"
        told: dict[str, Any] = {
            "model": self.model.name,
            "identity": self.model.identity,
            "template": self.template.hash,
            "temperature": s.temperature,
            "top_p": s.top_p,
            "max_tokens": s.max_tokens or None,
            "stop": list(s.stop),
            "style": self.style,
            "elicit": "+".join(self.elicit) if judges else None,
            "votes": self.votes if judges and "votes" in self.elicit else None,
            "words": self.words,
            "quote_words": self.quote_words,
        }
        if o != Optimised():
            prefer = o.prefer if isinstance(o.prefer, str) else o.prefer.name
            told |= {"best_of": o.best_of, "prefer": prefer, "prefer_by": o.prefer_by, "refine": o.refine}
        if j != Judging():
            told |= {"beliefs": j.beliefs, "queries": j.queries, "placebo": j.placebo, "think": j.think}
            told |= {"panel": [p.describe() for p in j.panel], "pool": j.pool} if j.panel else {}
        if self.examples:
            told["examples"] = len(self.examples)
        return told

    @property
    def identity(self) -> tuple[Any, ...]:
        """What of it makes an episode another episode."""
        s = self.sampling
        drawn = (s.temperature, s.top_p, s.max_tokens, list(s.stop))
        acts = self.elicit if self.role == "judge" else ()
        acts += (f"votes={self.votes}",) if "votes" in acts else ()
        more: tuple[Any, ...] = ()
        if self.optimised != Optimised():
            more += (["optimised", *self.optimised.identity],)
        if self.judging != Judging():
            more += (["judging", *self.judging.identity],)
        if self.examples:
            more += (["examples", *((m.role, m.content) for m in self.examples)],)
        return (
            self.role,
            self.model.identity,
            self.template.hash,
            drawn,
            self.style,
            self.words,
            self.quote_words,
            *acts,
            *more,
        )

    def prompt(
        self, view: View, params: Mapping[str, Any], elicit: str = "", way: str = ""
    ) -> tuple[Message, ...]:
        """The messages that put a view to this player's model; `elicit` is how a verdict is asked for, `way`
        how it is read (else, the first of this player's)."""
        messages = self.template.render(
            view,
            params,
            words=self.words,
            quote_words=self.quote_words,
            lettered=(way or self.elicit[0]) in LETTERED,
            elicit=elicit,
        )
        if elicit and not any(elicit.strip() in m.content for m in messages):
            raise BadProtocol(
                f"template {self.template.name} does not put the question to the {self.role}: it must hold "
                "{{ elicit }} in a message"
            )
        if not self.examples:
            return messages
        at = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
        return (*messages[:at], *self.examples, *messages[at:])

    def room(self, tokens: int) -> Sampling:
        """Its sampling, with `tokens` for the reply unless the user set a number."""
        s = self.sampling
        return s if s.max_tokens else Sampling(s.temperature, s.top_p, tokens, s.stop)


def side_by_side(acts: Sequence[Act[T]]) -> Act[list[T]]:
    """Play several acts of one player together: all that are under way ask at once. They may not ask
    elsewhere."""
    ended: dict[int, T] = {}
    wanted: dict[int, Request | tuple[Request, ...]] = {}

    def go(i: int, answer: Any) -> None:
        try:
            asked = acts[i].send(answer)
        except StopIteration as stop:
            ended[i] = stop.value
            return
        assert not isinstance(asked, Elsewhere)
        wanted[i] = asked

    for i in range(len(acts)):
        go(i, None)
    while wanted:
        asking = dict(wanted)
        wanted.clear()
        flat = tuple(r for w in asking.values() for r in ((w,) if isinstance(w, Request) else w))
        completions = iter((yield flat))
        for i, w in asking.items():
            go(i, next(completions) if isinstance(w, Request) else tuple(next(completions) for _ in w))
    return [ended[i] for i in range(len(acts))]


def elsewhere(model: Model, act: Act[T]) -> Act[T]:
    """An act whose requests go to another model."""
    answer: Any = None
    while True:
        try:
            wanted = act.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if isinstance(wanted, Elsewhere):
            answer = yield wanted
        elif isinstance(wanted, Request):
            (answer,) = yield Elsewhere(model, (wanted,))
        else:
            answer = yield Elsewhere(model, wanted)


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
