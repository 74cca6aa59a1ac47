"""Trying a model: one plain call, then one for each further thing that it may be able to do. Nothing is stored."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from oversight.engine.calls import check_reply
from oversight.engine.tokens import most_dollars, most_tokens
from oversight.errors import OversightError
from oversight.models.contract import blamed
from oversight.models.interface import Completion, Image, Message, Model, Request, Sampling
from oversight.models.prices import priced
from oversight.player import SCORING
from oversight.secrecy import without_keys

FEW = 24
"""Tokens of a reply, beside hidden reasoning."""
SEED = 20_250_101
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
)
Look = Callable[[Completion], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One tiny call, or two equal ones, and what the reply says. `option` is the seat's option for what is
    tried, `believed` what the model says of itself."""

    what: str
    request: Request
    look: Look
    option: str = ""
    believed: bool = True
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a probe. `works`: whether it did; `said`: the reply in a few words, or the provider's reason;
    `advice`: the option to set, "" where there is nothing to do."""

    what: str
    works: bool
    said: str
    advice: str = ""


def probes(model: Model, sampling: Sampling) -> list[Probe]:
    """What to try with a model, the plain call first; with `sampling`'s temperature and top_p.

    A model behind an API is tried beyond what it says of itself, since an option can set that.
    """
    api = model.kind == "api"
    low, high = model.temperatures
    lowest = Sampling(low, max_tokens=FEW)
    plain = Request(_user("Say hello in one short sentence."), _few(sampling), seed=SEED)
    found = [Probe("reply", plain, _replied)]
    if low < high:
        again = Request(_user("Name a colour. Reply with one word."), lowest, seed=SEED)
        found.append(Probe("the same again", again, _replied, twice=True))
    if api or model.letters:
        asked = _user("Is the sky blue? (A) yes (B) no. Reply with the letter alone: A or B.")
        letters = Request(asked, Sampling(low, max_tokens=4), letters=("A", "B"), seed=SEED)
        found.append(Probe("log-probs of letters", letters, _lettered, "log_probs", model.letters))
    if model.scores:
        messages = (
            *_user("What is the capital of France?"),
            Message("assistant", "The capital of France is"),
        )
        texts = Request(messages, SCORING, (" Paris", " Madrid"), seed=SEED)
        found.append(Probe("log-probs of texts", texts, _scored))
    if api or model.structured:
        asked = _user('Is the sky blue? Reply in JSON: {"answer": "yes"} or {"answer": "no"}.')
        schema = Request(asked, lowest, schema=SCHEMA, seed=SEED)
        found.append(Probe("structured output", schema, _structured, "structured", model.structured))
    if api or model.prefills:
        counting = (*_user("Count from one to six, in words."), Message("assistant", "one, two, three,"))
        begun = Request(counting, lowest, seed=SEED)
        found.append(Probe("prefill", begun, _went_on, "prefill", model.prefills))
    if api or model.images:
        dot = Message("user", "Which colour is this? Reply with one word.", (Image("image/png", red_dot()),))
        found.append(Probe("images", Request((dot,), lowest, seed=SEED), _replied, "images", model.images))
    return found


def calls_of(tried: Iterable[Probe]) -> int:
    """How many calls they come to."""
    return sum(2 if probe.twice else 1 for probe in tried)


def dearest(model: Model, tried: list[Probe]) -> float | None:
    """The most that all of it can cost, in US dollars; None where the price is unknown."""
    if model.price is None:
        return None
    costs = (calls_of([p]) * most_dollars(model.price, *most_tokens(model, p.request)) for p in tried)
    return sum(costs)


async def examine(model: Model, tried: list[Probe]) -> AsyncIterator[Finding]:
    """What came of each probe, in order; no more after a plain call that failed. The model is ready."""
    if model.kind == "api":  # what it would not try, or not send, for its belief that it cannot
        model.structured = model.prefills = model.images = True
    for number, probe in enumerate(tried):
        finding = await _try(model, probe)
        yield finding
        if number == 0 and not finding.works:
            return


async def _try(model: Model, probe: Probe) -> Finding:
    started = time.perf_counter()
    try:
        reply = await _call(model, probe.request)
        took = time.perf_counter() - started if reply.seconds is None else reply.seconds
        works, said = probe.look(reply)
        if probe.what == "reply":
            said = "; ".join((said, *_particulars(reply, took)))
        elif probe.twice:
            second = await _call(model, probe.request)
            works = second.text == reply.text
            said = f"{_quoted(reply)}, twice" if works else f"{_quoted(reply)}, then {_quoted(second)}"
    except OversightError as error:
        works, said = False, str(error).removeprefix(f"model {model.name!r} ")
    return Finding(probe.what, works, without_keys(said), _advice(model, probe, works))


async def _call(model: Model, request: Request) -> Completion:
    with blamed(model):
        reply = await (model.score(request) if request.continuations else model.generate(request))
    if not (request.letters and isinstance(reply, Completion) and reply.scores is None):  # none is an answer
        check_reply(reply, request, model)
    return priced(reply.without_surrogates(), model.price)


def _advice(model: Model, probe: Probe, works: bool) -> str:
    if model.kind != "api" or not probe.option or works == probe.believed:
        return ""
    return f"set {probe.option}={'true' if works else 'false'}"


def _particulars(reply: Completion, took: float) -> list[str]:
    """Of a plain reply: who answered, tokens, time and cost."""
    said = [f"answered by {reply.served}"] if reply.served else []
    if reply.prompt_tokens is None or reply.completion_tokens is None:
        said.append("no token counts")
    else:
        hidden = f" ({reply.reasoning_tokens:,} of them reasoning)" if reply.reasoning_tokens else ""
        said.append(f"{reply.prompt_tokens:,} tokens in, {reply.completion_tokens:,} out{hidden}")
    rate = f", {reply.completion_tokens / took:,.0f} tokens/s" if reply.completion_tokens and took > 0 else ""
    said.append(f"{took:.2f} s{rate}")
    if reply.cost is None:
        return [*said, "cost unknown"]
    return [*said, f"${reply.cost:.6f}" if reply.cost else "free"]


# What a reply says


def _replied(reply: Completion) -> tuple[bool, str]:
    if reply.stop in ("refused", "filter"):
        return False, f"{'refused' if reply.stop == 'refused' else 'withheld by a filter'}: {_quoted(reply)}"
    if not reply.text.strip():
        ended = "; the token limit ended it" if reply.stop == "length" else ""
        return False, f"an empty reply{ended}"
    return True, _quoted(reply)


def _lettered(reply: Completion) -> tuple[bool, str]:
    if not reply.scores:
        return False, "no log-probs came"
    if len(reply.unlisted) == len(reply.scores):
        return False, "neither letter is among the likeliest first tokens"
    bound = f" (upper bound for {', '.join(reply.unlisted)})" if reply.unlisted else ""
    return True, ", ".join(f"{x} {p:.2f}" for x, p in zip("AB", reply.scores, strict=False)) + bound


def _scored(reply: Completion) -> tuple[bool, str]:
    paris, madrid = reply.scores or (0.0, 0.0)
    return True, f'after "The capital of France is": Paris {paris:.2f}, Madrid {madrid:.2f}'


def _structured(reply: Completion) -> tuple[bool, str]:
    try:
        value = json.loads(reply.text)
    except ValueError:
        return False, f"no JSON: {_quoted(reply)}"
    fits = isinstance(value, dict) and list(value) == ["answer"] and value["answer"] in ("yes", "no")
    return fits, _quoted(reply) if fits else f"JSON that does not fit the schema: {_quoted(reply)}"


def _went_on(reply: Completion) -> tuple[bool, str]:
    text = reply.text.lower().strip()
    on = text.startswith("four") and "three" not in text
    return on, f'"one, two, three," {"…" if on else "was not gone on from:"} {_quoted(reply)}'


def _quoted(reply: Completion) -> str:
    text = " ".join(reply.text.split())
    return f'"{text if len(text) <= 60 else text[:59] + "…"}"'


def _user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def _few(sampling: Sampling) -> Sampling:
    return Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens or FEW, sampling.stop)


def red_dot() -> bytes:
    """A PNG of one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
