"""OpenAI's chat completions, by the openai SDK; and every server that speaks them, by `base_url`."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from oversight.errors import Transport, UserError
from oversight.models.api.base import CONNECT, ApiModel
from oversight.models.api.options import address
from oversight.models.interface import Completion, Message, Request, Stop
from oversight.question import content_key
from oversight.secrecy import without_keys

HOME = "https://api.openai.com/v1"
TOP = 20
"""Alternatives to the first token that are asked for: the most OpenAI gives."""

REASONS = re.compile(r"^(?:o\d|gpt-[5-9](?!.*chat))")
"""OpenAI's models that reason before they reply, and take no temperature."""


class OpenAIModel(ApiModel):
    """`openai/<model>`: OpenAI's, or with `base_url` that of another server.

    `top_log_probs` is how many alternatives to a reply's first token are asked for (1 to 20).
    """

    key_names = ("OPENAI_API_KEY",)
    default_url = HOME
    letters = True
    seeds = True
    half_price = True

    def __init__(self, name: str, *, top_log_probs: int = TOP, **options: Any) -> None:
        self.top = top_log_probs
        super().__init__(name, **options)
        if not 1 <= top_log_probs <= TOP:
            raise UserError(f"model {name!r}: top_log_probs is {top_log_probs}; it may be 1 to {TOP}")
        self.temperatures = (1.0, 1.0) if self.reasons else (0.0, 2.0)
        self.seeds = not self.reasons

    @property
    def at_home(self) -> bool:
        """Whether calls go to OpenAI itself."""
        return self.base_url == HOME

    def always_reasons(self, features: frozenset[str]) -> bool:
        """See `ApiModel.always_reasons`."""
        return self.at_home and ("reasoning" in features or bool(REASONS.match(self.served_name)))

    def url(self, given: str | None) -> str:
        """See `ApiModel.url`."""
        from oversight.models.api.keys import variable

        url = given or address(self.name, variable("OPENAI_BASE_URL") or HOME)
        if given is None:
            self.default_url = url  # the key beside OPENAI_BASE_URL is the one for it
        return url

    def connect(self, key: str) -> Any:
        """See `ApiModel.connect`."""
        import openai

        assert self.manners is not None
        timeout = openai.Timeout(self.manners.attempt, connect=min(CONNECT, self.manners.attempt))
        return openai.AsyncOpenAI(
            api_key=key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=_client(timeout=timeout),
            organization=os.environ.get("OPENAI_ORG_ID") if self.at_home else None,
            project=os.environ.get("OPENAI_PROJECT_ID") if self.at_home else None,
        )

    async def names(self) -> list[str] | None:
        """See `ApiModel.names`."""
        import openai

        try:
            page = await self.client.models.list(timeout=30.0)
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            raise
        found = getattr(page, "data", None)
        return [m.id for m in found] if isinstance(found, list) and found else None

    def body(self, request: Request) -> dict[str, Any]:
        """The request as it goes over the wire."""
        s = request.sampling
        body: dict[str, Any] = {
            "model": self.served_name,
            "messages": [_message(message) for message in request.messages],
            "max_completion_tokens" if self.at_home else "max_tokens": s.max_tokens + self.hidden,
        }
        if s.temperature != 1:
            body["temperature"] = s.temperature
        if s.top_p != 1:
            body["top_p"] = s.top_p
        if s.stop:
            body["stop"] = list(s.stop)
        if self.effort:
            body["reasoning_effort"] = self.effort
        if self.seeds:
            body["seed"] = request.seed & (2**31 - 1)
        if self.at_home and len(request.messages) > 1:
            # Prompts with one beginning are sent to one cache.
            body["prompt_cache_key"] = f"{content_key('cache', request.messages[0].content):016x}"
        if request.schema and self.structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": json.loads(request.schema)},
            }
        if request.letters:
            body |= {"logprobs": True, "top_logprobs": self.top}
        if request.messages[-1].role == "assistant":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    async def ask(self, request: Request) -> Completion:
        """See `ApiModel.ask`."""
        from openai.types.chat import ChatCompletion

        # Not `chat.completions.create`: it walks all messages for keys to rename, which is half its time.
        response = await self.client.post(
            "/chat/completions", cast_to=ChatCompletion, body=self.body(request)
        )
        return self.read(response, request)

    async def send_batch(self, tag: str, requests: Mapping[int, Request]) -> str:
        """See `BatchModel.send_batch`."""
        lines = []
        for key, request in requests.items():
            body = self.body(request)
            line = {"custom_id": f"{key:016x}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            lines.append(json.dumps(line, ensure_ascii=False))
        with self.translated():
            content = "\n".join(lines).encode()
            file = await self.client.files.create(file=(f"{tag}.jsonl", content), purpose="batch")
            batch = await self.client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"oversight": tag},
            )
        return str(batch.id)

    async def find_batch(self, tag: str, sent: datetime, keys: Collection[int]) -> str | None:
        """See `BatchModel.find_batch`."""
        with self.translated():
            async for batch in self.client.batches.list(limit=100):
                if (batch.metadata or {}).get("oversight") == tag:
                    return str(batch.id)
                if batch.created_at < sent.replace(tzinfo=UTC).timestamp() - 3600:  # the latest come first
                    break
        return None

    async def collect_batch(self, name: str) -> Mapping[int, Any] | None:
        """See `BatchModel.collect_batch`."""
        with self.translated():
            batch = await self.client.batches.retrieve(name)
            if batch.status == "failed":
                errors = getattr(batch.errors, "data", None) or []
                raise UserError(
                    f"model {self.name!r}: the provider refused batch {name}: "
                    + ("; ".join(str(e.message) for e in errors[:3]) or "no reason given")
                )
            if batch.status not in ("completed", "expired", "cancelled"):
                return None
            files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
            texts = [(await self.client.files.content(file)).text for file in files]
            lines = [json.loads(line) for text in texts for line in text.splitlines() if line.strip()]
        return {int(line["custom_id"], 16): line for line in lines}

    def from_batch(self, told: Any, request: Request) -> Completion:
        """See `BatchModel.from_batch`."""
        from openai.types.chat import ChatCompletion

        response, error = told.get("response") or {}, told.get("error") or {}
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            try:
                return self.read(ChatCompletion.model_validate(body), request)
            except ValueError:
                raise Transport("an answer that is no chat completion", charged=True) from None
        if not isinstance(status, int):
            raise Transport(f"the batch ended without this call: {error.get('message') or error.get('code')}")
        detail = body.get("error") if isinstance(body, dict) else error
        return self.failed_in_batch(status, detail if isinstance(detail, dict) else {})

    def read(self, response: Any, request: Request) -> Completion:
        """A response of the SDK as a completion. Raises `Transport` where it is none."""
        choices = getattr(response, "choices", None)
        if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
            raise Transport(
                f"an answer that is no chat completion: {' '.join(without_keys(str(response)).split())[:100]!r}",
                charged=True,
            )
        choice = choices[0]
        message = choice.message
        refusal = getattr(message, "refusal", None)
        # No field of OpenAI's own: DeepSeek, vLLM and litellm add one.
        private = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or ""
        usage = getattr(response, "usage", None)
        prompt = getattr(usage, "prompt_tokens_details", None)
        completion = getattr(usage, "completion_tokens_details", None)
        said = bool(message.content) and not refusal and choice.finish_reason != "content_filter"
        # What was withheld has no log-probs; that is no lack of the model's.
        scores, unlisted = self._scores(choice, request.letters) if request.letters and said else (None, ())
        fingerprint = getattr(response, "system_fingerprint", None)
        served = " ".join(str(part) for part in (getattr(response, "model", None), fingerprint) if part)
        return Completion(
            text=refusal or message.content or "",
            stop="refused" if refusal else _STOPS.get(choice.finish_reason, "end"),
            prompt_tokens=count_of(usage, "prompt_tokens"),
            completion_tokens=count_of(usage, "completion_tokens"),
            cached_tokens=count_of(prompt, "cached_tokens"),
            reasoning_tokens=count_of(completion, "reasoning_tokens"),
            scores=scores,
            unlisted=unlisted,
            private=private if isinstance(private, str) else "",
            provider_id=text_of(getattr(response, "id", None)),
            served=served or None,
            notes="" if usage is not None else "no usage given",
        )

    def _scores(
        self, choice: Any, letters: Sequence[str]
    ) -> tuple[tuple[float, ...] | None, tuple[str, ...]]:
        """Log-probs of the letters as the reply's first token; None where the reply lacks them."""
        content = getattr(getattr(choice, "logprobs", None), "content", None)
        listed = (getattr(content[0], "top_logprobs", None) if content else None) or ()
        given = {getattr(t, "token", None): getattr(t, "logprob", None) for t in listed}
        told = {
            token: p for token, p in given.items() if isinstance(token, str) and isinstance(p, float | int)
        }
        return letter_scores(told, letters) if told else (None, ())


def _client(**options: Any) -> Any:
    """The SDK's own client, but for the stream of a response that was read: it refers to the response, which would
    then wait for the garbage collector with all it holds, tens of thousands of them half a second at a time."""
    import httpx
    import openai

    class Client(openai.DefaultAioHttpClient):
        async def send(self, request: httpx.Request, *, stream: bool = False, **how: Any) -> httpx.Response:
            response = await super().send(request, stream=stream, **how)
            if not stream:
                response.stream = httpx.ByteStream(b"")
            return response

    return Client(**options)


def letter_scores(
    listed: Mapping[str, float], letters: Sequence[str]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """For each letter the log-prob of all listed tokens that spell it, and which letters are not listed.

    Those get the least listed token's log-prob, which theirs cannot exceed.
    """
    floor = min(listed.values(), default=0.0)
    scores: list[float] = []
    unlisted: list[str] = []
    for letter in letters:
        mine = [p for token, p in listed.items() if token.strip(" \n\t()[]*\"'.:") == letter]
        if mine:
            top = max(mine)
            scores.append(top + math.log(sum(math.exp(p - top) for p in mine)))
        else:
            scores.append(floor)
            unlisted.append(letter)
    return tuple(scores), tuple(unlisted)


_STOPS: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "content_filter": "filter",
    "max_tokens": "length",
}


def _message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}]
    for image in message.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    return {"role": message.role, "content": parts}


def count_of(holder: Any, name: str) -> int | None:
    value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def text_of(value: Any) -> str | None:
    """What a server says where a text belongs; None where it is none, or empty."""
    return value if isinstance(value, str) and value else None
