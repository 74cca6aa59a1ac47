"""The one interface every model has: a request goes in, a completion comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from oversight.views import View

Role = Literal["system", "user", "assistant"]
Stop = Literal["end", "length", "refused", "filter"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. A final `assistant` message is a prefill: the reply goes on from it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. Temperature 0 is greedy; `max_tokens` counts the reply's tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 300
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call. With `continuations` it asks for their log-probabilities instead of a reply.

    `seed` derives from the call's content and sample number, never from the episode. `view` is what
    the prompt was rendered from: models that run here (simulated, scripted) may look at it; it is
    not part of the call's identity.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    continuations: tuple[str, ...] = ()
    seed: int = 0
    view: View | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back. Token counts are the backend's own; None means it did not say.

    `text` excludes a prefill. `scores`, for a request with continuations: for each of them the sum
    over its tokens of log p(token | prompt, earlier tokens), in nats. `private` is reasoning the
    backend delivered apart from the text. `cost` in US dollars; None is unknown, not free.
    """

    text: str = ""
    stop: Stop = "end"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    scores: tuple[float, ...] | None = None
    private: str = ""
    cost: float | None = None
    provider_id: str | None = None

    def without_surrogates(self) -> Completion:
        """The same with lone surrogates, which no file can hold, replaced by U+FFFD."""
        try:
            (self.text + self.private + (self.provider_id or "")).encode("utf-8")
            return self
        except UnicodeEncodeError:
            provider_id = None if self.provider_id is None else _mend(self.provider_id)
            return replace(self, text=_mend(self.text), private=_mend(self.private), provider_id=provider_id)


def _mend(text: str) -> str:
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


class Model:
    """What the engine needs of a model. A plug-in subclasses this and writes `generate`.

    `identity` is what makes two models the same one for the cache: a weights hash, a base URL and
    revision, a script's hash. Resolving it may be slow (hashing weights); it is read once.
    `generate` and `score` raise `CallFailed` subclasses for calls that gave nothing usable; any
    other exception is treated as a bug in the model and stops the run.
    """

    name: str = ""
    """As the user wrote it."""
    identity: str = ""
    elicitation: str = "hard"
    """How this model's verdicts are read unless the user says otherwise (see `oversight.elicit`)."""
    scores: bool = False
    """Whether `score` works."""
    reuse: bool = True
    """False: calls are never answered from the store (people, models in training)."""
    stochastic: bool = False
    """True: it draws even at temperature 0 and for log-probs, so each sample number is a new call."""
    in_flight: int | None = None
    """Most calls at once; None leaves it to the model."""
    context: int | None = None
    """Tokens of context, where known."""
    kind: str = "model"
    """local, scripted, simulated, api or human: what the store says about it."""

    @property
    def activity(self) -> str:
        """What it is doing at this moment, in a few words for the progress display; "" for nothing to say."""
        return ""

    async def generate(self, request: Request) -> Completion:
        """Reply to `request.messages`."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    async def score(self, request: Request) -> Completion:
        """Log-probabilities of `request.continuations` after `request.messages`, in `Completion.scores`."""
        raise NotImplementedError(f"{type(self).__name__} has no log-probabilities")

    def close(self) -> None:
        """Release what the model holds (threads, memory). Called once, at the end of a run."""
