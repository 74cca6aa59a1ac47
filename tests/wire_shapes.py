"""What goes over the wire: requests as they arrived, replies and faults, in OpenAI's and Anthropic's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any, Literal

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]
Provider = Literal["openai", "anthropic"]
Stop = Literal["end", "length", "stop", "filter", "refused"]

STOPS: dict[Provider, dict[Stop, str]] = {
    "openai": {
        "end": "stop",
        "length": "length",
        "stop": "stop",
        "filter": "content_filter",
        "refused": "stop",
    },
    "anthropic": {
        "end": "end_turn",
        "length": "max_tokens",
        "stop": "stop_sequence",
        "filter": "refusal",
        "refused": "refusal",
    },
}
OPENAI_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
CREATED = 1_760_000_000
"""When everything here was created: a fixed second, so that equal requests get equal bytes."""
_ids = count(1)


def new_id(prefix: str) -> str:
    """An id no other reply of this process has."""
    return f"{prefix}{next(_ids):08d}"


def tokens(text: str) -> int:
    """Tokens of a text as this server counts them: four characters each."""
    return (len(text) + 3) // 4


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived. Header names are in lower case; `body` is the JSON, or bytes where it is
    none; `at` is in seconds since the server started."""

    path: str
    method: str
    headers: Mapping[str, str]
    body: Any
    at: float

    @property
    def provider(self) -> Provider:
        """Whose API was asked."""
        theirs = self.path.startswith("/v1/messages") or "anthropic-version" in self.headers
        return "anthropic" if theirs else "openai"

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of every message, the system's first. Pictures and other blocks are left out."""
        system = [("system", text_of(self.body["system"]))] if self.body.get("system") else []
        return [*system, *((m["role"], text_of(m["content"])) for m in self.body["messages"])]

    @property
    def last(self) -> str:
        """Text of the last message."""
        return text_of(self.body["messages"][-1]["content"])


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its text blocks joined."""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content or ())


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as `Completion` counts them: `prompt` holds what was `cached` and `written`, `completion`
    holds `reasoning`. None is counted here; Anthropic's input_tokens are what is left of the prompt."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model says.

    `logprobs`: for each token of the reply its alternatives, the one said first; sent where asked for.
    `usage` None: the reply does not tell. `reasoning`: a thinking block, or `reasoning_content` as vLLM
    and DeepSeek send it. `refusal`: OpenAI's field, Anthropic's explanation. `model`: what answered, if
    not what was asked for. `delay`: seconds before it is sent, beside the server's latency. `pace`:
    seconds between the pieces in which the body then comes.
    """

    text: str = ""
    stop: Stop = "end"
    logprobs: tuple[Mapping[str, float], ...] = ()
    usage: Usage | None = Usage()
    reasoning: str = ""
    refusal: str | None = None
    model: str | None = None
    stop_sequence: str | None = None
    fingerprint: str | None = "fp_wire"
    delay: float = 0.0
    pace: float = 0.0


Trouble = Literal["hang", "drop", "drop body", "malformed", "wrong type", "empty", "truncated"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong instead of a reply.

    `what`: an HTTP status, sent as the provider's error with `message` and `code` (OpenAI's code,
    Anthropic's type; "" is the usual one for the status), or

    hang: no answer until the client leaves; drop: the connection is cut before any header;
    drop body: cut in the middle of the body; malformed: JSON by its type, not by its content;
    wrong type: a proxy's HTML page with status 200; empty: status 200 and no body;
    truncated: the body ends early, and its length says so.

    `retry_after`: the header's value, seconds or an HTTP date; None leaves it out. In a batch, anything
    but a status is a request that was not made before the batch expired. `reply` is what "drop body" and
    "truncated" cut.
    """

    what: int | Trouble
    message: str = "something went wrong"
    code: str = ""
    retry_after: float | str | None = None
    headers: Headers = ()
    delay: float = 0.0
    reply: Reply = field(default=Reply("This sentence is cut before its end."))

    def error(self, provider: Provider, request_id: str) -> Json:
        """The body of an error with a status, as the provider writes it."""
        assert isinstance(self.what, int)
        if provider == "anthropic":
            kind = self.code or ANTHROPIC_ERRORS.get(self.what, "api_error")
            return {
                "type": "error",
                "error": {"type": kind, "message": self.message},
                "request_id": request_id,
            }
        kind, code = OPENAI_ERRORS.get(self.what, ("server_error", None))
        return {
            "error": {"message": self.message, "type": kind, "param": None, "code": self.code or code},
        }


def default_answer(seen: Seen) -> Reply:
    """A reply that follows from the last message alone; with log-probs asked for, a letter and its rival."""
    digest = blake2b(seen.last.encode("utf-8", "replace"), digest_size=4).hexdigest()
    said, rival = ("A", "B") if int(digest, 16) % 2 else ("B", "A")
    if seen.body.get("logprobs"):
        return Reply(said, logprobs=({said: -0.25, rival: -1.5},))
    return Reply(f"Answer: {said}" if "Which answer is right" in seen.last else f"Answer: {said} ({digest})")


# requests


def complaint(seen: Seen) -> Fault | None:
    """What either provider refuses about a request for a reply, as far as it is checked here."""
    body = seen.body
    if not isinstance(body, dict):
        return Fault(400, "We could not parse the JSON body of your request.")
    for name in ("model", "messages"):
        if not body.get(name):
            return Fault(400, f"{name}: Field required")
    if seen.provider == "openai":
        if body.get("top_logprobs") is not None and not body.get("logprobs"):
            return Fault(400, "'top_logprobs' is only allowed when 'logprobs' is enabled.")
        if (body.get("top_logprobs") or 0) > 20:
            return Fault(400, "Invalid 'top_logprobs': must be less than or equal to 20.")
        return None
    if "anthropic-version" not in seen.headers:
        return Fault(400, "anthropic-version: header is required")
    if not isinstance(body.get("max_tokens"), int):
        return Fault(400, "max_tokens: Field required")
    for i, message in enumerate(body["messages"]):
        if message["role"] not in ("user", "assistant"):
            return Fault(400, f'messages: Unexpected role "{message["role"]}" in messages.{i}.')
    if body["messages"][-1]["role"] == "assistant" and seen.last != seen.last.rstrip():
        return Fault(400, "messages: final assistant content cannot end with trailing whitespace")
    return None


def unknown_model(provider: Provider, name: str) -> Fault:
    """The error for a model the server does not have."""
    if provider == "anthropic":
        return Fault(404, f"model: {name}")
    return Fault(404, f"The model `{name}` does not exist or you do not have access to it.")


def wrong_key(provider: Provider, key: str) -> Fault:
    """The error for a key that is not the server's. Some servers repeat the whole key, so this one does."""
    if provider == "anthropic":
        return Fault(401, "invalid x-api-key")
    return Fault(401, f"Incorrect API key provided: {key}.")


def blocks_of(body: Json) -> list[tuple[str, bool]]:
    """The prompt in blocks, in the order in which providers cache it: text, and whether it is marked."""
    found: list[tuple[str, bool]] = []
    parts = [body["system"]] if body.get("system") else []
    for content in [*parts, *(m["content"] for m in body["messages"])]:
        if isinstance(content, str):
            found.append((content, False))
        else:
            found += [(json.dumps(_bare(b)), bool(b.get("cache_control"))) for b in content or ()]
    if body.get("cache_control") and found:  # at the top: the last block is meant
        found[-1] = (found[-1][0], True)
    return found


def _bare(block: Json) -> Json:
    return {k: v for k, v in block.items() if k != "cache_control"}


# replies


def filled(reply: Reply, body: Json, cached: int, written: int) -> Usage | None:
    """The reply's usage with what it leaves open counted: the prompt's and the reply's tokens."""
    usage = reply.usage
    if usage is None:
        return None
    reasoning = tokens(reply.reasoning) if usage.reasoning is None else usage.reasoning
    said = tokens(reply.text) if not reply.logprobs else len(reply.logprobs)
    return Usage(
        prompt=prompt_tokens(body) if usage.prompt is None else usage.prompt,
        completion=said + reasoning if usage.completion is None else usage.completion,
        cached=cached if usage.cached is None else usage.cached,
        written=written if usage.written is None else usage.written,
        reasoning=reasoning,
    )


def prompt_tokens(body: Json) -> int:
    """Tokens of the whole prompt."""
    return sum(tokens(text) for text, _ in blocks_of(body))


def body_of(provider: Provider, reply: Reply, asked: Json, usage: Usage | None) -> Json:
    """A whole reply, as the provider writes it."""
    return (_anthropic_body if provider == "anthropic" else _openai_body)(reply, asked, usage)


def events_of(provider: Provider, reply: Reply, asked: Json, usage: Usage | None) -> Iterator[bytes]:
    """The same as server-sent events, a few characters of text at a time."""
    return (_anthropic_events if provider == "anthropic" else _openai_events)(reply, asked, usage)


def _pieces(text: str) -> list[str]:
    return [text[i : i + 8] for i in range(0, len(text), 8)]


def _openai_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": (usage.prompt or 0) + (usage.completion or 0),
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _openai_logprobs(reply: Reply, asked: Json) -> Json | None:
    if not asked.get("logprobs") or not reply.logprobs:
        return None
    content = []
    for alternatives in reply.logprobs:
        said = next(iter(alternatives))
        ranked = sorted(alternatives.items(), key=lambda item: -item[1])[: asked.get("top_logprobs") or 0]
        content.append(
            {**_token(said, alternatives[said]), "top_logprobs": [_token(t, p) for t, p in ranked]}
        )
    return {"content": content, "refusal": None}


def _token(text: str, logprob: float) -> Json:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _openai_body(reply: Reply, asked: Json, usage: Usage | None) -> Json:
    message: Json = {"role": "assistant", "content": reply.text, "refusal": reply.refusal, "annotations": []}
    if reply.refusal is not None and not reply.text:
        message["content"] = None
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _openai_logprobs(reply, asked),
        "finish_reason": STOPS["openai"][reply.stop],
    }
    body = {**_openai_head(reply, asked, "chat.completion"), "choices": [choice]}
    return body if usage is None else {**body, "usage": _openai_usage(usage)}


def _openai_head(reply: Reply, asked: Json, kind: str) -> Json:
    return {
        "id": new_id("chatcmpl-"),
        "object": kind,
        "created": CREATED,
        "model": reply.model or asked["model"],
        "service_tier": "default",
        "system_fingerprint": reply.fingerprint,
    }


def _openai_events(reply: Reply, asked: Json, usage: Usage | None) -> Iterator[bytes]:
    head = _openai_head(reply, asked, "chat.completion.chunk")
    with_usage = bool((asked.get("stream_options") or {}).get("include_usage")) and usage is not None

    def chunk(delta: Json, finish: str | None = None, logprobs: Json | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        body = {**head, "choices": [choice]}
        return _event({**body, "usage": None} if with_usage else body)

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in _pieces(reply.reasoning):
        yield chunk({"reasoning_content": piece})
    logprobs = _openai_logprobs(reply, asked)
    if logprobs is not None:
        for said, one in zip(reply.logprobs, logprobs["content"], strict=True):
            yield chunk({"content": next(iter(said))}, logprobs={"content": [one], "refusal": None})
    else:
        for piece in _pieces(reply.text):
            yield chunk({"content": piece})
    for piece in _pieces(reply.refusal or ""):
        yield chunk({"refusal": piece})
    yield chunk({}, STOPS["openai"][reply.stop])
    if with_usage and usage is not None:
        yield _event({**head, "choices": [], "usage": _openai_usage(usage)})
    yield b"data: [DONE]\n\n"


def _event(body: Json, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(body).encode() + b"\n\n"


def _anthropic_usage(usage: Usage) -> Json:
    cached, written = usage.cached or 0, usage.written or 0
    told: Json = {
        "input_tokens": max(0, (usage.prompt or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.completion,
        "service_tier": "standard",
    }
    if usage.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return told


def _anthropic_content(reply: Reply) -> list[Json]:
    thinking = [{"type": "thinking", "thinking": reply.reasoning, "signature": "c2lnbmVk"}]
    text = [{"type": "text", "text": reply.text}]
    return [*(thinking if reply.reasoning else []), *(text if reply.text else [])]


def _anthropic_ending(reply: Reply) -> Json:
    ending: Json = {
        "stop_reason": STOPS["anthropic"][reply.stop],
        "stop_sequence": reply.stop_sequence,
    }
    if ending["stop_reason"] == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": reply.refusal}
    return ending


def _anthropic_head(reply: Reply, asked: Json) -> Json:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": reply.model or asked["model"],
    }


def _anthropic_body(reply: Reply, asked: Json, usage: Usage | None) -> Json:
    body = {
        **_anthropic_head(reply, asked),
        "content": _anthropic_content(reply),
        **_anthropic_ending(reply),
    }
    return body if usage is None else {**body, "usage": _anthropic_usage(usage)}


def _anthropic_events(reply: Reply, asked: Json, usage: Usage | None) -> Iterator[bytes]:
    told = {} if usage is None else _anthropic_usage(usage)
    start = {
        **_anthropic_head(reply, asked),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**told, "output_tokens": 1} if told else None,
    }
    yield _event({"type": "message_start", "message": start}, "message_start")
    yield _event({"type": "ping"}, "ping")
    for i, block in enumerate(_anthropic_content(reply)):
        kind: str = block["type"]
        blank = {**block, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
        yield _event(
            {"type": "content_block_start", "index": i, "content_block": blank}, "content_block_start"
        )
        deltas: list[Json] = [{"type": f"{kind}_delta", kind: piece} for piece in _pieces(block[kind])]
        if kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        for delta in deltas:
            yield _event({"type": "content_block_delta", "index": i, "delta": delta}, "content_block_delta")
        yield _event({"type": "content_block_stop", "index": i}, "content_block_stop")
    ending: Json = {"type": "message_delta", "delta": _anthropic_ending(reply)}
    if told:
        ending["usage"] = {"output_tokens": told["output_tokens"]}
    yield _event(ending, "message_delta")
    yield _event({"type": "message_stop"}, "message_stop")


# models


def model_of(provider: Provider, name: str) -> Json:
    """One model, as the provider describes it."""
    if provider == "anthropic":
        made = datetime.fromtimestamp(CREATED, UTC).isoformat()
        return {"type": "model", "id": name, "display_name": name, "created_at": made, "lifecycle": "active"}
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "wire"}


def page_of(provider: Provider, rows: list[Json], query: Mapping[str, str]) -> Json:
    """A page of a list, as both providers cut it: `limit` rows after the one named."""
    after = query.get("after_id" if provider == "anthropic" else "after")
    ids = [row["id"] for row in rows]
    rest = rows[ids.index(after) + 1 :] if after in ids else rows
    page = rest[: int(query.get("limit", 20))]
    return {
        **({} if provider == "anthropic" else {"object": "list"}),
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rest) > len(page),
    }
