"""The server that API models are tested against, itself tested with the real SDKs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Coroutine
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from wire import Fault, Reply, Seen, Usage, Wire

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # before litellm is imported: it would ask the network

import anthropic
import openai

HELLO: Any = [{"role": "user", "content": "Hello"}]


def with_openai(
    wire: Wire, use: Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    """What `use` gives with a client that does not retry."""

    async def go() -> Any:
        settings = {"api_key": wire.key, "max_retries": 0, **options}
        async with openai.AsyncOpenAI(base_url=wire.openai, **settings) as client:
            return await use(client)

    return asyncio.run(go())


def with_anthropic(
    wire: Wire, use: Callable[[anthropic.AsyncAnthropic], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    """What `use` gives with a client that does not retry."""

    async def go() -> Any:
        settings = {"api_key": wire.key, "max_retries": 0, **options}
        async with anthropic.AsyncAnthropic(base_url=wire.url, **settings) as client:
            return await use(client)

    return asyncio.run(go())


def chat(wire: Wire, client: dict[str, Any] | None = None, **asked: Any) -> Any:
    asked = {"model": "gpt-test", "messages": HELLO, **asked}
    return with_openai(wire, lambda c: c.chat.completions.create(**asked), **(client or {}))


def message(wire: Wire, client: dict[str, Any] | None = None, **asked: Any) -> Any:
    asked = {"model": "claude-test", "messages": HELLO, "max_tokens": 50, **asked}
    return with_anthropic(wire, lambda c: c.messages.create(**asked), **(client or {}))


def always(outcome: Reply | Fault) -> Callable[[Seen], Reply | Fault]:
    return lambda seen: outcome


# replies


def test_openai_reads_a_reply_with_its_usage_and_ids() -> None:
    said = Reply("Hi.", usage=Usage(prompt=40, completion=7, cached=32, reasoning=5), reasoning="Hm.")
    with Wire(always(said)) as wire:
        got = chat(wire)
    assert got.choices[0].message.content == "Hi."
    assert got.choices[0].message.reasoning_content == "Hm."
    assert (got.choices[0].finish_reason, got.model, got.system_fingerprint) == (
        "stop",
        "gpt-test",
        "fp_wire",
    )
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (40, 7, 47)
    assert got.usage.prompt_tokens_details.cached_tokens == 32
    assert got.usage.completion_tokens_details.reasoning_tokens == 5
    assert got._request_id.startswith("req_")


def test_anthropic_reads_the_same_reply_in_its_own_shape() -> None:
    usage = Usage(prompt=40, completion=7, cached=32, written=4, reasoning=5)
    with Wire(always(Reply("Hi.", usage=usage, reasoning="Hm."))) as wire:
        got = message(wire)
    assert [b.type for b in got.content] == ["thinking", "text"]
    assert (got.content[0].thinking, got.content[1].text) == ("Hm.", "Hi.")
    assert (got.stop_reason, got.model) == ("end_turn", "claude-test")
    assert (got.usage.input_tokens, got.usage.output_tokens) == (4, 7)
    assert (got.usage.cache_read_input_tokens, got.usage.cache_creation_input_tokens) == (32, 4)
    assert got._request_id.startswith("req_")


@pytest.mark.parametrize(
    ("stop", "theirs", "other"),
    [
        ("length", "length", "max_tokens"),
        ("stop", "stop", "stop_sequence"),
        ("filter", "content_filter", "refusal"),
        ("refused", "stop", "refusal"),
    ],
)
def test_each_provider_names_the_stop_its_way(stop: Any, theirs: str, other: str) -> None:
    with Wire(always(Reply("So", stop, refusal="I must not." if stop == "refused" else None))) as wire:
        choice, got = chat(wire).choices[0], message(wire)
    assert (choice.finish_reason, got.stop_reason) == (theirs, other)
    assert choice.message.refusal == ("I must not." if stop == "refused" else None)


def test_a_refusal_without_text_has_no_content() -> None:
    with Wire(always(Reply(stop="refused", refusal="No."))) as wire:
        assert chat(wire).choices[0].message.content is None
        got = message(wire)
    assert got.content == []
    assert got.stop_details.explanation == "No."


def test_usage_may_be_missing() -> None:
    with Wire(always(Reply("Hi.", usage=None))) as wire:
        assert chat(wire).usage is None


def test_logprobs_come_where_asked_for_and_as_many_as_asked_for() -> None:
    said = Reply("B", logprobs=({"B": -0.2, "A": -0.1, "b": -4.0},))
    with Wire(always(said)) as wire:
        assert chat(wire).choices[0].logprobs is None
        (token,) = chat(wire, logprobs=True, top_logprobs=2).choices[0].logprobs.content
        assert (token.token, token.logprob, bytes(token.bytes)) == ("B", -0.2, b"B")
        assert [(t.token, t.logprob) for t in token.top_logprobs] == [("A", -0.1), ("B", -0.2)]
        with pytest.raises(openai.BadRequestError, match="less than or equal to 20"):
            chat(wire, logprobs=True, top_logprobs=21)


def test_openai_streams_the_text_piece_by_piece_and_the_usage_last() -> None:
    async def read(client: openai.AsyncOpenAI) -> list[Any]:
        asked: Any = {"stream": True, "stream_options": {"include_usage": True}}
        stream = await client.chat.completions.create(model="gpt-test", messages=HELLO, **asked)
        return [chunk async for chunk in stream]

    text = "A reply that is longer than a single piece."
    with Wire(always(Reply(text, "length", usage=Usage(9, 3)))) as wire:
        chunks = with_openai(wire, read)
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == text
    assert len(chunks) > 4
    assert chunks[-2].choices[0].finish_reason == "length"
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (9, 3)


def test_anthropic_streams_what_it_says_whole() -> None:
    async def read(client: anthropic.AsyncAnthropic) -> Any:
        async with client.messages.stream(model="claude-test", messages=HELLO, max_tokens=9) as stream:
            return await stream.get_final_message()

    reply = Reply("A reply that is longer than a piece.", usage=Usage(9, 3, cached=2), reasoning="Long ago.")
    with Wire(always(reply)) as wire:
        streamed, whole = with_anthropic(wire, read), message(wire)
    assert [b.model_dump() for b in streamed.content] == [b.model_dump() for b in whole.content]
    assert streamed.stop_reason == whole.stop_reason == "end_turn"
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (7, 3)
    assert streamed.usage.cache_read_input_tokens == 2


def test_litellm_reads_both(monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    async def ask(**asked: Any) -> Any:
        try:
            return await litellm.acompletion(messages=HELLO, num_retries=0, **asked)
        finally:  # it keeps a client for each event loop, with its connections
            await litellm.close_litellm_async_clients()

    with Wire(always(Reply("Hi.", usage=Usage(9, 3, cached=2)))) as wire:
        one = asyncio.run(ask(model="openai/gpt-test", api_base=wire.openai, api_key=wire.key))
        two = asyncio.run(ask(model="anthropic/claude-test", api_base=wire.url, api_key=wire.key))
        with pytest.raises(litellm.exceptions.AuthenticationError):
            asyncio.run(ask(model="anthropic/claude-test", api_base=wire.url, api_key="sk-wrong"))
    for got in (one, two):
        assert got.choices[0].message.content == "Hi."
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (9, 3)
        assert got.usage.prompt_tokens_details.cached_tokens == 2
    assert [s.path for s in wire.seen] == ["/v1/chat/completions", "/v1/messages", "/v1/messages"]


def test_the_default_reply_follows_from_the_last_message() -> None:
    with Wire() as wire:
        first, again = chat(wire), chat(wire)
        other = chat(wire, messages=[{"role": "user", "content": "Goodbye"}])
        letter = chat(wire, logprobs=True, top_logprobs=5).choices[0]
    texts = [got.choices[0].message.content for got in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert letter.message.content == letter.logprobs.content[0].token
    assert {t.token for t in letter.logprobs.content[0].top_logprobs} == {"A", "B"}


def test_what_was_asked_is_seen_in_order() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    output = {"format": {"type": "json_schema", "schema": schema}}
    with Wire(lambda seen: Reply(json.dumps({"a": len(seen.messages)}))) as wire:
        chat(wire, response_format=form, seed=3)
        got = message(wire, system="Be brief.", extra_body={"output_config": output})
    assert json.loads(got.content[0].text) == {"a": 2}
    assert [(s.method, s.path, s.provider) for s in wire.seen] == [
        ("POST", "/v1/chat/completions", "openai"),
        ("POST", "/v1/messages", "anthropic"),
    ]
    assert (wire.seen[0].body["response_format"], wire.seen[0].body["seed"]) == (form, 3)
    assert wire.seen[0].headers["authorization"] == f"Bearer {wire.key}"
    assert wire.seen[1].body["output_config"] == output
    assert wire.seen[1].messages == [("system", "Be brief."), ("user", "Hello")]
    assert 0 < wire.seen[0].at < wire.seen[1].at


def test_in_flight_peak_is_how_many_were_answered_at_once() -> None:
    async def twelve(client: openai.AsyncOpenAI) -> None:
        async def one() -> None:
            async with gate:
                await client.chat.completions.create(model="gpt-test", messages=HELLO)

        gate = asyncio.Semaphore(5)
        await asyncio.gather(*(one() for _ in range(12)))

    with Wire(latency=0.2) as wire:
        with_openai(wire, twelve)
    assert (wire.in_flight_peak, len(wire.seen), wire.statuses) == (5, 12, {200: 12})


# refusals


def test_a_wrong_key_is_an_authentication_error() -> None:
    with Wire() as wire:
        with pytest.raises(openai.AuthenticationError) as first:
            chat(wire, {"api_key": "sk-wrong"})
        with pytest.raises(anthropic.AuthenticationError) as second:
            message(wire, {"api_key": "sk-wrong"})
    assert first.value.code == "invalid_api_key"
    assert second.value.body == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "invalid x-api-key"},
        "request_id": second.value.body["request_id"],  # type: ignore[index]
    }


def test_an_unknown_model_is_not_found() -> None:
    with Wire(models=("gpt-test",)) as wire:
        with pytest.raises(openai.NotFoundError, match="`gpt-none` does not exist") as error:
            chat(wire, model="gpt-none")
        assert error.value.code == "model_not_found"
        with pytest.raises(anthropic.NotFoundError, match="model: claude-test"):
            message(wire)
        wire.models = ("claude-test",)
        assert message(wire).content


def test_models_are_listed_in_both_shapes() -> None:
    async def names(client: Any) -> list[str]:
        return [m.id async for m in client.models.list()]

    with Wire(models=("a", "b")) as wire:
        assert with_openai(wire, names) == with_anthropic(wire, names) == ["a", "b"]
        assert with_anthropic(wire, lambda c: c.models.retrieve("a")).display_name == "a"
        assert with_openai(wire, lambda c: c.models.retrieve("b")).owned_by == "wire"
        with pytest.raises(openai.NotFoundError):
            with_openai(wire, lambda c: c.models.retrieve("c"))


def test_anthropic_wants_max_tokens_and_its_two_roles() -> None:
    with Wire() as wire:
        with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
            message(wire, extra_body={"max_tokens": None})
        with pytest.raises(anthropic.BadRequestError, match='Unexpected role "system"'):
            message(wire, messages=[{"role": "system", "content": "x"}, *HELLO])
        with pytest.raises(anthropic.BadRequestError, match="trailing whitespace"):
            message(wire, messages=[*HELLO, {"role": "assistant", "content": "So "}])


@pytest.mark.parametrize(
    ("status", "theirs", "other", "kind"),
    [
        (400, openai.BadRequestError, anthropic.BadRequestError, "invalid_request_error"),
        (403, openai.PermissionDeniedError, anthropic.PermissionDeniedError, "permission_error"),
        (429, openai.RateLimitError, anthropic.RateLimitError, "rate_limit_error"),
        (500, openai.InternalServerError, anthropic.InternalServerError, "api_error"),
        (529, openai.InternalServerError, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_a_status_is_the_error_that_the_sdk_has_for_it(
    status: int, theirs: Any, other: Any, kind: str
) -> None:
    with Wire(always(Fault(status, "Not now.", retry_after=7))) as wire:
        with pytest.raises(theirs, match=r"Not now\.") as first:
            chat(wire)
        with pytest.raises(other, match=r"Not now\.") as second:
            message(wire)
    for error in (first, second):
        assert error.value.response.headers["retry-after"] == "7"
        assert error.value.request_id.startswith("req_")
    assert second.value.body["error"]["type"] == kind


def test_a_code_of_ones_own_replaces_the_usual_one() -> None:
    with Wire(always(Fault(429, "You exceeded your quota.", "insufficient_quota"))) as wire:
        with pytest.raises(openai.RateLimitError) as error:
            chat(wire)
        assert "retry-after" not in error.value.response.headers
    assert error.value.code == "insufficient_quota"


def test_beyond_its_rate_it_refuses_until_there_is_a_token() -> None:
    async def burst(client: openai.AsyncOpenAI) -> list[Any]:
        asked = (client.chat.completions.create(model="gpt-test", messages=HELLO) for _ in range(6))
        return await asyncio.gather(*asked, return_exceptions=True)

    with Wire(rate=0.01) as wire:  # the first of a hundred seconds is in the bucket
        refused = [e for e in with_openai(wire, burst) if isinstance(e, openai.RateLimitError)]
        assert len(refused) == 5
        assert wire.statuses == {200: 1, 429: 5}
        assert {e.response.headers["retry-after"] for e in refused} <= {"99", "100"}
        wire.hint = "milliseconds"
        (one, *_) = with_openai(wire, burst)
        assert 98_000 < int(one.response.headers["retry-after-ms"]) <= 100_000
        wire.hint = "date"
        (one, *_) = with_openai(wire, burst)
        assert parsedate_to_datetime(one.response.headers["retry-after"]).tzinfo
        wire.hint = ""
        (one, *_) = with_openai(wire, burst)
        assert not [name for name in one.response.headers if name.startswith("retry-after")]
        wire.rate = None
        assert len([g for g in with_openai(wire, burst) if not isinstance(g, Exception)]) == 6


# faults below the API


@pytest.mark.parametrize("what", ["drop", "drop body"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_connection_is_a_connection_error_to_both(what: Any, stream: bool) -> None:
    async def drained(client: Any) -> None:
        if isinstance(client, openai.AsyncOpenAI):
            got: Any = await client.chat.completions.create(model="gpt-test", messages=HELLO, stream=stream)
        else:
            got = await client.messages.create(
                model="claude-test", messages=HELLO, max_tokens=9, stream=stream
            )
        async for _ in got:
            pass

    with Wire(always(Fault(what))) as wire:
        for use, module in ((with_openai, openai), (with_anthropic, anthropic)):
            with pytest.raises(Exception) as error:
                use(wire, drained)
            if what == "drop":
                assert isinstance(error.value, module.APIConnectionError)
            else:
                said = f"{type(error.value).__name__} {error.value!r} {error.value.__cause__!r}"
                assert "incomplete" in said or "peer closed" in said
    assert wire.statuses[0] == 2


@pytest.mark.parametrize("what", ["malformed", "truncated", "empty"])
def test_a_body_that_is_not_json_is_not_read_as_a_reply(what: Any) -> None:
    with Wire(always(Fault(what))) as wire:
        for ask in (chat, message):
            with pytest.raises((json.JSONDecodeError, openai.APIError, anthropic.APIError)):
                ask(wire)


def test_a_proxys_page_is_no_completion() -> None:
    with Wire(always(Fault("wrong type"))) as wire:
        assert "502 Bad Gateway" in chat(wire)  # the SDK hands over the text of what is no JSON


def test_a_hanging_request_ends_with_the_clients_patience_or_with_the_server() -> None:
    async def leave_it(client: openai.AsyncOpenAI) -> None:
        asked = asyncio.create_task(client.chat.completions.create(model="gpt-test", messages=HELLO))
        while not wire.in_flight_peak:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(wire.__exit__, None, None, None)
        await asked

    with Wire(always(Fault("hang"))) as wire, pytest.raises(openai.APITimeoutError):
        chat(wire, timeout=0.2)
    wire = Wire(always(Fault("hang"))).__enter__()
    with pytest.raises(openai.APIConnectionError):
        with_openai(wire, leave_it)


def test_a_reply_may_be_late_or_slow_and_is_whole_all_the_same() -> None:
    text = "a reply in many pieces " * 20
    with Wire(always(Reply(text, pace=0.01))) as wire:
        assert chat(wire).choices[0].message.content == text
        assert message(wire).content[0].text == text
        wire.answer = always(Reply("late", delay=30))
        with pytest.raises(openai.APITimeoutError):
            chat(wire, timeout=0.2)


def test_what_an_answer_raises_is_raised_by_the_server() -> None:
    def wrong(seen: Seen) -> Reply:
        raise AssertionError("the judge saw the passage")

    with (
        pytest.raises(AssertionError, match="saw the passage"),
        Wire(wrong) as wire,
        pytest.raises(openai.InternalServerError),
    ):
        chat(wire)


# the prompt cache


def test_openais_cache_reads_a_repeated_prefix_from_the_minimum_on() -> None:
    passage = "".join(f"Sentence {i} of the passage. " for i in range(40))

    def cached(text: str) -> int:
        got = chat(wire, messages=[{"role": "user", "content": text}])
        tokens: int = got.usage.prompt_tokens_details.cached_tokens
        assert tokens <= got.usage.prompt_tokens
        return tokens

    with Wire(cache=64) as wire:
        assert cached(passage + "Who?") == 0
        grown = [cached(passage[: 4 * n] + f"{n}?") for n in (32, 80, 160)]
        assert grown[0] == 0
        assert 64 <= grown[1] < grown[2] <= 162
        wire.cache.minimum = None
        assert cached(passage + "Who?") == 0


def test_anthropics_cache_writes_where_it_is_marked_and_reads_what_was_written() -> None:
    passage = {"type": "text", "text": "long " * 100, "cache_control": {"type": "ephemeral"}}

    def used(*blocks: Any) -> tuple[int, int, int]:
        usage = message(wire, messages=[{"role": "user", "content": list(blocks)}]).usage
        return usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.input_tokens

    who, why = ({"type": "text", "text": t} for t in ("Who?", "And why was that so?"))
    with Wire(cache=64) as wire:
        assert used({"type": "text", "text": passage["text"]}, who)[:2] == (0, 0)
        written, read, rest = used(passage, who)
        assert written > 64
        assert (read, rest > 0) == (0, True)
        assert used(passage, why)[:2] == (0, written)
        more, read, _ = used(passage, why, {**who, "cache_control": {"type": "ephemeral"}})
        assert (read, more > 0) == (written, True)


# batches


def lines(*bodies: dict[str, Any]) -> bytes:
    rows = [
        {"custom_id": f"n{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for i, body in enumerate(bodies)
    ]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


async def start(client: openai.AsyncOpenAI, data: bytes) -> Any:
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    assert (await client.files.content(file.id)).content == data
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "r"}
    )


async def rows_of(client: openai.AsyncOpenAI, file: str) -> dict[str, Any]:
    text = (await client.files.content(file)).text
    return {row["custom_id"]: row for row in map(json.loads, text.splitlines())}


def asks(*texts: str) -> list[dict[str, Any]]:
    return [{"model": "gpt-test", "messages": [{"role": "user", "content": t}]} for t in texts]


def echo(seen: Seen) -> Reply | Fault:
    if seen.last == "bad":
        return Fault(400, "Too bad.")
    return Fault("hang") if seen.last == "late" else Reply(seen.last.upper())


def test_an_openai_batch_ends_at_its_kth_poll_with_the_failures_apart() -> None:
    async def play(client: openai.AsyncOpenAI) -> None:
        batch: Any = await start(client, lines(*asks("é one", "bad", "two")))
        assert (batch.status, batch.metadata) == ("in_progress", {"run": "r"})
        states = [(await client.batches.retrieve(batch.id)).status for _ in range(3)]
        assert states == ["in_progress", "in_progress", "completed"]
        batch = await client.batches.retrieve(batch.id)
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
        good, bad = await rows_of(client, batch.output_file_id), await rows_of(client, batch.error_file_id)
        assert list(good) == ["n2", "n0"]  # in no order that one may rely on
        assert good["n0"]["response"]["body"]["choices"][0]["message"]["content"] == "É ONE"
        assert bad["n1"]["response"]["status_code"] == 400
        assert bad["n1"]["response"]["body"]["error"]["message"] == "Too bad."

    with Wire(echo) as wire:
        wire.batches.polls = 3
        with_openai(wire, play)
    assert [s.last for s in wire.batched] == ["é one", "bad", "two"]


def test_an_openai_batch_may_expire_with_some_of_its_requests_made() -> None:
    async def play(client: openai.AsyncOpenAI) -> None:
        batch: Any = await start(client, lines(*asks("one", "late")))
        batch = await client.batches.retrieve(batch.id)
        assert (batch.status, batch.request_counts.completed) == ("expired", 1)
        assert list(await rows_of(client, batch.output_file_id)) == ["n0"]
        late = (await rows_of(client, batch.error_file_id))["n1"]
        assert (late["response"], late["error"]["code"]) == (None, "batch_expired")

    with Wire(echo) as wire:
        with_openai(wire, play)


def test_an_openai_batch_with_a_bad_file_fails_and_one_can_be_cancelled_or_listed() -> None:
    async def play(client: openai.AsyncOpenAI) -> None:
        failed = await start(client, lines(*asks("one")) + b"\nnonsense")
        assert (failed.status, failed.errors.data[0].message) == ("failed", "line 2 is not a request")
        others = [await start(client, lines(*asks(t))) for t in ("a", "b")]
        assert (await client.batches.cancel(others[0].id)).status == "cancelled"
        listed = [(b.id, b.status) async for b in client.batches.list(limit=2)]
        wanted = [(others[1].id, "in_progress"), (others[0].id, "cancelled"), (failed.id, "failed")]
        assert listed == wanted
        wire.batches.finish()
        assert (await client.batches.retrieve(others[1].id)).status == "completed"
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve("batch_none")

    with Wire(echo) as wire:
        wire.batches.polls = None
        with_openai(wire, play)


def test_an_anthropic_batch_gives_each_request_its_own_result() -> None:
    async def play(client: anthropic.AsyncAnthropic) -> None:
        params = [{**a, "model": "claude-test", "max_tokens": 9} for a in asks("one", "bad", "late")]
        requests: Any = [{"custom_id": f"n{i}", "params": p} for i, p in enumerate(params)]
        batch = await client.messages.batches.create(requests=requests)
        assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 3)
        assert (await client.messages.batches.retrieve(batch.id)).processing_status == "in_progress"
        assert [b.id async for b in client.messages.batches.list()] == [batch.id]
        ended = await client.messages.batches.retrieve(batch.id)
        counts = ended.request_counts
        assert ended.processing_status == "ended"
        assert (counts.succeeded, counts.errored, counts.expired) == (1, 1, 1)
        results = {r.custom_id: r.result async for r in await client.messages.batches.results(batch.id)}
        assert list(results) == ["n2", "n1", "n0"]
        assert results["n0"].message.content[0].text == "ONE"  # type: ignore[union-attr]
        assert results["n1"].error.error.message == "Too bad."  # type: ignore[union-attr]
        assert results["n2"].type == "expired"

    with Wire(echo) as wire:
        wire.batches.polls = 2
        with_anthropic(wire, play)


# as a process


def test_it_runs_as_a_process_that_prints_its_address() -> None:
    script = Path(__file__).parents[1] / "wire.py"
    command = [sys.executable, str(script), "--port", "0", "--rate", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            asked = urllib.request.Request(
                f"{url}/v1/chat/completions",
                json.dumps({"model": "gpt-test", "messages": HELLO}).encode(),
                {"authorization": "Bearer sk-test", "content-type": "application/json"},
            )
            with urllib.request.urlopen(asked, timeout=30) as response:
                assert json.load(response)["choices"][0]["finish_reason"] == "stop"
            stats = urllib.request.Request(f"{url}/wire", headers={"authorization": "Bearer sk-test"})
            with urllib.request.urlopen(stats, timeout=30) as response:
                assert json.load(response) == {"statuses": {"200": 1}, "in_flight_peak": 1}
        finally:
            process.terminate()
