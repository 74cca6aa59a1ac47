"""The one interface every model has: a request goes in, a completion comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from oversight.question import Image as Image
from oversight.question import content_key

if TYPE_CHECKING:
    from oversight.views import View

Role = Literal["system", "user", "assistant"]
Stop = Literal["end", "length", "refused", "filter"]


@dataclass(frozen=True)
class Message:
    """One chat message. A final `assistant` message is a prefill: the reply goes on from it."""

    role: Role
    content: str
    images: tuple[Image, ...] = ()

    @cached_property
    def key(self) -> int:
        """Content key."""
        images = [image.key for image in self.images]
        return content_key("message", self.role, self.content, *([images] if images else []))


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

    `letters`: the reply is to be one of these, and its log-probs as the reply's first token are wanted in
    `Completion.scores` (for models with `letters`). `schema`: the reply is to be JSON that fits this JSON
    schema, given as text (for models with `structured`). `nth` of `of`: which of several draws of the same
    prompt this is (votes); each is a call of its own. `seed` derives from the call's content and sample number, never from the episode. `view` is what
    the prompt was rendered from: models that run here (simulated, scripted) may look at it; it is
    not part of the call's identity.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    continuations: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    schema: str = ""
    nth: int = 0
    of: int = 1
    seed: int = 0
    view: View | None = field(default=None, compare=False)

    def seeded(self, seed: int) -> Request:
        """The same with another seed."""
        r = self
        return Request(
            r.messages, r.sampling, r.continuations, r.letters, r.schema, r.nth, r.of, seed, r.view
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back. Token counts are the backend's own; None means it did not say.

    `text` excludes a prefill. `scores`, for a request with continuations: for each of them the sum
    over its tokens of log p(token | prompt, earlier tokens), in nats; for one with letters: the log-prob
    of each as the first token, `unlisted` naming those for which the backend gave only an upper bound.
    `private` is reasoning the backend delivered apart from the text. Of `prompt_tokens`, `cached_tokens`
    were read from a cache and `cache_write_tokens` written to one; of `completion_tokens`,
    `reasoning_tokens` were hidden reasoning. `cost` in US dollars; None is unknown, not free. `served` is
    the model as the provider names what answered; `notes` what it could not do as asked. `seconds`: from
    sending the request to the reply's last byte, where waiting for one's turn should not count.
    """

    text: str = ""
    stop: Stop = "end"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    scores: tuple[float, ...] | None = None
    unlisted: tuple[str, ...] = ()
    private: str = ""
    cost: float | None = None
    provider_id: str | None = None
    served: str | None = None
    notes: str = ""
    seconds: float | None = None

    def without_surrogates(self) -> Completion:
        """The same with lone surrogates, which no file can hold, replaced by U+FFFD."""
        texts = (self.text, self.private, self.provider_id or "", self.served or "", self.notes)
        try:
            "".join(texts).encode("utf-8")
            return self
        except UnicodeEncodeError:
            text, private, provider_id, served, notes = map(_mend, texts)
            return replace(
                self,
                text=text,
                private=private,
                provider_id=provider_id or None,
                served=served or None,
                notes=notes,
            )


def _mend(text: str) -> str:
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


@dataclass(frozen=True, slots=True)
class Manners:
    """How an API wants to be treated: concurrency that adapts, and attempts that are bounded.

    `start` calls at once to begin with, never more than `most`. Timeouts in seconds: `attempt` for one
    attempt, `call` for all of them with the waiting between. Nine attempts outlast a server that is away for a
    minute and a half.
    """

    start: int = 16
    most: int = 512
    attempts: int = 9
    attempt: float = 300.0
    call: float = 1800.0


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a token. `cached` (read from the provider's cache) and `cache_write` default to `input`;
    `batch` is what a batch call costs as a share of this."""

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    batch: float = 1.0

    def cost(self, completion: Completion) -> float | None:
        """Of a completion; None where token counts are missing."""
        c = completion
        if c.prompt_tokens is None or c.completion_tokens is None:
            return None
        read, written = c.cached_tokens or 0, c.cache_write_tokens or 0
        fresh = max(0, c.prompt_tokens - read - written)
        cached = self.input if self.cached is None else self.cached
        write = self.input if self.cache_write is None else self.cache_write
        return fresh * self.input + read * cached + written * write + c.completion_tokens * self.output


class Model:
    """What the engine needs of a model. A plug-in subclasses this and writes `generate`.

    `identity` is what makes two models the same one for the cache: a weights hash, a base URL and
    revision, a script's hash. Resolving it may be slow (hashing weights); it is read once.
    `generate` and `score` raise `CallFailed` subclasses for calls that gave nothing usable; any
    other exception is a bug in the model: it stops the run, with one line that names both. What `done`
    and `close` raise is a warning, for no reply is lost by it.
    """

    name: str = ""
    """As the user wrote it."""
    identity: str = ""
    elicitation: str = "hard"
    """How this model's verdicts are read unless the user says otherwise (see `oversight.elicit`)."""
    scores: bool = False
    """Whether `score` works."""
    letters: bool = False
    """Whether `generate` gives the log-probs of `Request.letters`."""
    structured: bool = False
    """Whether `generate` keeps to `Request.schema`."""
    prefills: bool = True
    """Whether a reply goes on from a final assistant message."""
    temperatures: tuple[float, float] = (0.0, 2.0)
    """The lowest and highest temperature it takes. Both are 1 for a model that draws as it likes."""
    hidden: int = 0
    """Tokens that a reply may take beside those asked for: hidden reasoning."""
    images: bool = False
    """Whether it reads `Message.images`."""
    price: Price | None = None
    """What a token costs; None is unknown."""
    manners: Manners | None = None
    """Set for models behind an API: the engine then bounds and repeats their calls."""
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

    async def ready(self) -> None:
        """Called once in a run before its first call. Raises `UserError` for what would make every call
        fail: a key, a name or an address that is wrong."""

    async def done(self) -> None:
        """Called once in a run after its last call: the place to close connections."""

    async def generate(self, request: Request) -> Completion:
        """Reply to `request.messages`."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    async def score(self, request: Request) -> Completion:
        """Log-probabilities of `request.continuations` after `request.messages`, in `Completion.scores`."""
        raise NotImplementedError(f"{type(self).__name__} has no log-probabilities")

    def close(self) -> None:
        """Release what the model holds (threads, memory). Called once, at the end of a run."""


class BatchModel(Model):
    """A model whose provider makes calls in batches, later and for less. Requests are known by their calls' keys."""

    batches: bool = True
    """Whether it does so at the address it is at."""

    async def send_batch(self, tag: str, requests: Mapping[int, Request]) -> str:
        """Send a batch; the provider's name for it. `tag` is ours, sent along where that can be."""
        raise NotImplementedError

    async def find_batch(self, tag: str, sent: datetime, keys: Collection[int]) -> str | None:
        """The provider's name for a batch whose answer was lost; None where it is not there."""
        raise NotImplementedError

    async def collect_batch(self, name: str) -> Mapping[int, Any] | None:
        """What came of each request, as the provider tells it; None while the batch is under way."""
        raise NotImplementedError

    def from_batch(self, told: Any, request: Request) -> Completion:
        """The completion in what `collect_batch` brought for a request. Raises `CallFailed` as `generate`
        does."""
        raise NotImplementedError
