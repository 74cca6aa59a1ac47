"""Anthropic's messages, by the anthropic SDK, with its prompt cache used where prompts grow."""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from oversight.errors import Transport, UserError
from oversight.models.api.base import CONNECT, ApiModel
from oversight.models.api.openai import count_of, text_of
from oversight.models.interface import Completion, Message, Request, Stop
from oversight.secrecy import without_keys

HOME = "https://api.anthropic.com"
WORTH = 4_000
"""Characters below which no model caches a prompt's beginning."""

REMEMBERED = 50_000
"""Beginnings of prompts that are kept in mind."""

PLAIN = re.compile(r"claude-(?:3|instant|2|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-\d{8})?$)")
"""Models that take a temperature and think only when told to; later ones do neither."""

_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",  # what there was room for is a reply, and paid
    "refusal": "refused",
}


_STATUS = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    "api_error": 500,
}


class AnthropicModel(ApiModel):
    """`anthropic/<model>`. `thinking` is the budget, in tokens, of models that think when told to."""

    key_names = ("ANTHROPIC_API_KEY",)
    default_url = HOME
    half_price = True
    temperatures = (0.0, 1.0)

    def __init__(self, name: str, *, thinking: int | None = None, **options: Any) -> None:
        if thinking:
            options.setdefault("hidden", thinking)
        super().__init__(name, **options)
        if self.letters:
            raise UserError(
                f"model {name!r}: Anthropic gives no log-probs, so log_probs=true cannot be: leave it out"
            )
        self.thinking = thinking
        if thinking:
            self.identity += f":thinking={thinking}"
        if self.reasons:
            self.temperatures = (1.0, 1.0)
        self._seen: OrderedDict[int, None] = OrderedDict()

    def always_reasons(self, features: frozenset[str]) -> bool:
        """See `ApiModel.always_reasons`."""
        return not PLAIN.match(self.served_name)

    def connect(self, key: str) -> Any:
        """See `ApiModel.connect`."""
        import anthropic

        assert self.manners is not None
        timeout = anthropic.Timeout(self.manners.attempt, connect=min(CONNECT, self.manners.attempt))
        return anthropic.AsyncAnthropic(
            api_key=key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=anthropic.DefaultAioHttpClient(timeout=timeout),
        )

    async def names(self) -> list[str] | None:
        """See `ApiModel.names`."""
        import anthropic

        try:
            model = await self.client.models.retrieve(self.served_name, timeout=30.0)
            return [self.served_name, model.id]
        except anthropic.NotFoundError:
            try:
                page = await self.client.models.list(limit=1000, timeout=30.0)
            except anthropic.NotFoundError:
                return None
            return [m.id for m in page.data]

    def body(self, request: Request) -> dict[str, Any]:
        """The request as it goes over the wire."""
        s = request.sampling
        body: dict[str, Any] = {
            "model": self.served_name,
            "max_tokens": s.max_tokens + self.hidden,
            **self._prompt(request.messages),
        }
        if s.stop:
            body["stop_sequences"] = list(s.stop)
        if self.thinking:
            body["thinking"] = {"type": "enabled", "budget_tokens": self.thinking}
        output: dict[str, Any] = {"effort": self.effort} if self.effort else {}
        if request.schema and self.structured:
            output["format"] = {"type": "json_schema", "schema": json.loads(request.schema)}
        if output:
            body["output_config"] = output
        body |= {k: v for k, v in (("temperature", s.temperature), ("top_p", s.top_p)) if v != 1}
        return body

    async def ask(self, request: Request) -> Completion:
        """See `ApiModel.ask`."""
        # Not `messages.create`: it walks all messages for keys to rename, and newer SDKs have no temperature.
        # Not its types either: making them takes a third of the SDK's time.
        return self.read(await self.client.post("/v1/messages", cast_to=object, body=self.body(request)))

    async def send_batch(self, tag: str, requests: Mapping[int, Request]) -> str:
        """See `BatchModel.send_batch`."""
        wanted = []
        for key, request in requests.items():
            wanted.append({"custom_id": f"{key:016x}", "params": self.body(request)})
        with self.translated():
            batch = await self.client.messages.batches.create(requests=wanted)
        return str(batch.id)

    async def find_batch(self, tag: str, sent: datetime, keys: Collection[int]) -> str | None:
        """See `BatchModel.find_batch`. A batch here has no tag: one of that time and size is looked into."""
        since = sent.replace(tzinfo=UTC)
        with self.translated():
            async for batch in self.client.messages.batches.list(limit=100):
                if batch.created_at < since - timedelta(minutes=5):  # the latest come first
                    break
                counts = batch.request_counts
                total = sum(
                    (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired)
                )
                if total != len(keys) or batch.created_at > since + timedelta(hours=1):
                    continue
                if batch.processing_status != "ended":
                    return str(batch.id)
                if {
                    int(r.custom_id, 16) if _is_key(r.custom_id) else -1
                    async for r in await self.client.messages.batches.results(batch.id)
                } == set(keys):
                    return str(batch.id)
        return None

    async def collect_batch(self, name: str) -> Mapping[int, Any] | None:
        """See `BatchModel.collect_batch`."""
        with self.translated():
            batch = await self.client.messages.batches.retrieve(name)
            if batch.processing_status != "ended":
                return None
            results = await self.client.messages.batches.results(name)
            return {int(r.custom_id, 16): r.result async for r in results if _is_key(r.custom_id)}

    def from_batch(self, told: Any, request: Request) -> Completion:
        """See `BatchModel.from_batch`."""
        if told.type == "succeeded":
            return self.read(told.message.model_dump())
        if told.type != "errored":
            raise Transport(f"the batch ended without this call: {told.type}")
        detail = told.error.error
        return self.failed_in_batch(
            _STATUS.get(detail.type, 400), {"type": detail.type, "message": detail.message}
        )

    def read(self, told: Any) -> Completion:
        """A response's JSON as a completion. Raises `Transport` where it is none."""
        blocks = told.get("content") if isinstance(told, dict) else None
        if not isinstance(blocks, list):
            raise Transport(
                f"an answer that is no message: {' '.join(without_keys(str(told)).split())[:100]!r}",
                charged=True,
            )
        usage = told.get("usage")
        read, written = (
            count_of(usage, "cache_read_input_tokens"),
            count_of(usage, "cache_creation_input_tokens"),
        )
        fresh = count_of(usage, "input_tokens")
        details = usage.get("output_tokens_details") if isinstance(usage, dict) else None
        return Completion(
            text="".join(_parts(blocks, "text")),
            stop=_STOPS.get(told.get("stop_reason"), "end"),
            # Anthropic counts what was cached apart; here it is part of the prompt, as everywhere.
            prompt_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
            completion_tokens=count_of(usage, "output_tokens"),
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=count_of(details, "thinking_tokens"),
            private="\n".join(_parts(blocks, "thinking")),
            provider_id=text_of(told.get("id")),
            served=text_of(told.get("model")),
            notes="" if usage is not None else "no usage given",
        )

    def _prompt(self, messages: Sequence[Message]) -> dict[str, Any]:
        """System and messages, each message a block of its own, with marks up to where it is worth caching.

        A beginning is written to the cache when it is long and another prompt has begun so before, or is
        sure to (a long system message: the passage). So nothing is written that is never read, but for the
        passages asked about once.
        """
        marks = self._marks(messages)
        system: list[dict[str, Any]] = []
        turns: list[dict[str, Any]] = []
        for i, message in enumerate(messages):
            blocks = _blocks(message)
            if i in marks:
                blocks[-1]["cache_control"] = {"type": "ephemeral"}
            if message.role == "system" and not turns:
                system += blocks
            elif turns and turns[-1]["role"] == _role(message):
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": _role(message), "content": blocks})
        if not turns:
            turns.append({"role": "user", "content": system.pop(-1)["text"]})
        return {"system": system, "messages": turns} if system else {"messages": turns}

    def _marks(self, messages: Sequence[Message]) -> set[int]:
        """Indices of the messages after which the prompt's beginning is cached."""
        size, key, shared = 0, 0, -1
        sizes: list[int] = []
        marks: set[int] = set()
        for i, message in enumerate(messages):
            size += len(message.content)
            sizes.append(size)
            key = hash((key, message))
            if key in self._seen:
                shared = i
                self._seen.move_to_end(key)
            else:
                self._seen[key] = None
            if message.role == "system" and len(message.content) >= WORTH:
                marks.add(i)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if shared >= 0:
            # What was shared before, and all but the last message, on which the next round goes on.
            marks |= {i for i in (shared, len(messages) - 2) if i >= shared and sizes[i] >= WORTH}
        return set(sorted(marks)[-4:])  # Anthropic takes four


def _parts(blocks: Sequence[Any], kind: str) -> list[str]:
    """The texts of a reply's blocks of a kind: a `text` block has its `text`, and so on."""
    return [b[kind] for b in blocks if isinstance(b, dict) and b.get("type") == kind and b.get(kind)]


def _is_key(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{16}", name))


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _blocks(message: Message) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": image.media_type,
                "data": base64.b64encode(image.data).decode(),
            },
        }
        for image in message.images
    ]
    return [*blocks, {"type": "text", "text": message.content}]
