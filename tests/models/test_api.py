"""API models over a real server: what goes out, what comes back, and what goes wrong."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import pytest
from support import KEY
from wire import Fault, Reply, Seen, Usage, Wire

from oversight.errors import ContextOverflow, RateLimited, Rejected, Transport, UserError
from oversight.models import open_model
from oversight.models.api import keys
from oversight.models.interface import Completion, Image, Message, Model, Request, Sampling

PROVIDERS = ("openai", "anthropic", "litellm")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    keys._load.cache_clear()


def opened(wire: Wire, provider: str, **options: Any) -> Model:
    name, url = {
        "openai": ("openai/gpt-4o-mini", wire.openai),
        "anthropic": ("anthropic/claude-haiku-4-5", wire.url),
        "litellm": ("hosted_vllm/gpt-4o-mini", wire.openai),
    }[provider]
    return open_model(name, {"base_url": url, "key_env": "TEST_KEY", **options})


def say(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user", text) for text in texts)


def ask(model: Model, *requests: Request) -> list[Any]:
    """The completions or errors of all requests, asked at once."""

    async def calls() -> list[Any]:
        try:
            await model.ready()
            return await asyncio.gather(*(model.generate(r) for r in requests), return_exceptions=True)
        finally:
            await model.done()

    return asyncio.run(calls())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_goes_out_and_comes_back_whole(provider: str, wire: Wire) -> None:
    wire.answer = lambda seen: Reply("  Bergen.\n", usage=Usage(prompt=12, completion=5))
    request = Request(
        (Message("system", "Be brief."), *say("Where?")),
        Sampling(temperature=0.5, top_p=0.9, max_tokens=77, stop=("END",)),
        seed=123,
    )
    (one,) = ask(opened(wire, provider), request)
    assert isinstance(one, Completion)
    assert (one.text, one.stop, one.prompt_tokens, one.completion_tokens) == ("  Bergen.\n", "end", 12, 5)
    assert one.served is not None and ("gpt" in one.served or "claude" in one.served)
    assert one.provider_id
    body = wire.seen[-1].body
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 77)
    assert body["stop_sequences" if provider == "anthropic" else "stop"] == ["END"]
    if provider == "anthropic":
        assert body["system"] == [{"type": "text", "text": "Be brief."}]
        assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Where?"}]}]
    else:
        assert [m["content"] for m in body["messages"]] == ["Be brief.", "Where?"]
        assert body["seed"] == 123


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("reply", "stop"),
    [
        (Reply("It ends in the mid", stop="length"), "length"),
        (Reply("I cannot help with that.", refusal="I cannot help with that.", stop="refused"), "refused"),
        (Reply("", stop="filter"), "filter"),
    ],
)
def test_kinds_of_endings_are_told_apart(provider: str, reply: Reply, stop: str, wire: Wire) -> None:
    wire.answer = lambda seen: reply
    (one,) = ask(opened(wire, provider), Request(say("x")))
    if provider == "litellm" and stop == "refused":
        assert one.text == "I cannot help with that." or one.stop == "refused"
    elif provider == "anthropic" and stop == "filter":
        assert one.stop == "refused"  # Anthropic's word for both
    else:
        assert one.stop == stop


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("what", ["drop", "drop body", "malformed", "wrong type", "empty", "truncated"])
def test_a_broken_answer_is_a_transport_error(provider: str, what: Any, wire: Wire) -> None:
    wire.answer = lambda seen: Fault(what)
    (one,) = ask(opened(wire, provider), Request(say("x")))
    assert isinstance(one, Transport) and one.again, repr(one)
    assert "\n" not in str(one) and KEY not in str(one)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [429, 529, 500, 503])
def test_being_turned_away_is_told_from_being_broken(provider: str, status: int, wire: Wire) -> None:
    wire.answer = lambda seen: Fault(status, retry_after=7)
    (one,) = ask(opened(wire, provider), Request(say("x")))
    if provider == "litellm" and status == 529:
        assert isinstance(one, Transport)
    else:
        assert isinstance(one, RateLimited) == (status in (429, 529)), repr(one)
    assert isinstance(one, Transport) and one.again
    assert one.after == 7.0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_can_never_work_names_the_thing(
    provider: str, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(say("x"))
    model = opened(wire, provider, check=False)
    wire.answer = lambda seen: Fault(
        400, "Unsupported value: 'temperature' does not support 0.", "unsupported_value"
    )
    (one,) = ask(model, request)
    assert isinstance(one, UserError) and "temperature" in str(one) and model.name in str(one)
    wire.answer = lambda seen: Fault(
        429, "You exceeded your current quota, check your billing details", "insufficient_quota"
    )
    (one,) = ask(model, request)
    assert isinstance(one, UserError) and "no money left" in str(one)
    wire.answer = lambda seen: Fault(400, "messages: this one is strange", "invalid_request_error")
    (one,) = ask(model, request)
    assert isinstance(one, Rejected) and "this one is strange" in str(one)
    monkeypatch.setenv("TEST_KEY", "sk-test-wrong-9999999999")
    (one,) = ask(opened(wire, provider, check=False), request)
    assert isinstance(one, UserError) and "TEST_KEY was refused" in str(one)
    assert "9999999999" not in str(one)


@pytest.mark.parametrize(
    ("provider", "message", "numbers"),
    [
        (
            "openai",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            (9001, 8192),
        ),
        (
            "litellm",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            (9001, 8192),
        ),
        ("anthropic", "prompt is too long: 208310 tokens > 200000 maximum", (208310, 200000)),
        ("openai", "the request exceeds the available context size, try increasing it", (None, None)),
    ],
)
def test_too_long_a_prompt_is_told_with_its_numbers(
    provider: str, message: str, numbers: Any, wire: Wire
) -> None:
    wire.answer = lambda seen: Fault(400, message)
    (one,) = ask(opened(wire, provider), Request(say("x")))
    assert isinstance(one, ContextOverflow), repr(one)
    assert (one.needed, one.available) == numbers


def test_a_filter_that_turns_the_prompt_away_is_a_filter(wire: Wire) -> None:
    wire.answer = lambda seen: Fault(
        400, "The prompt triggered the content management policy", "content_filter"
    )
    (one,) = ask(opened(wire, "openai"), Request(say("x")))
    assert one.stop == "filter" and one.text == ""


def test_log_probs_of_letters_are_summed_over_their_spellings(wire: Wire) -> None:
    wire.answer = lambda seen: Reply("A", logprobs=({"A": -0.5, " A": -2.0, "B": -1.5, "I": -4.0},))
    model = opened(wire, "openai")
    (one, other) = ask(model, Request(say("x"), letters=("A", "B")), Request(say("y"), letters=("A", "C")))
    assert one.scores == pytest.approx((math.log(math.exp(-0.5) + math.exp(-2.0)), -1.5))
    assert one.unlisted == ()
    assert other.scores[1] == -4.0 and other.unlisted == ("C",)
    assert wire.seen[-1].body["top_logprobs"] == 20
    wire.answer = lambda seen: Reply("A")
    (none,) = ask(model, Request(say("x"), letters=("A", "B")))
    assert none.scores is None and none.unlisted == ()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_schema_is_sent_where_the_model_keeps_to_one(provider: str, wire: Wire) -> None:
    wire.answer = lambda seen: Reply('{"answer": "A"}')
    schema = '{"type": "object"}'
    for structured in (True, False):
        ask(opened(wire, provider, structured=structured), Request(say("x"), schema=schema))
        body = wire.seen[-1].body
        sent = body.get("response_format") or body.get("output_config")
        assert bool(sent) == structured
        if sent:
            found = sent["json_schema"] if provider == "openai" else sent["format"]
            assert found["schema"] == {"type": "object"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_hidden_reasoning_is_counted_kept_apart_and_given_room(provider: str, wire: Wire) -> None:
    wire.answer = lambda seen: Reply(
        "B", reasoning="Hm, A or B?", usage=Usage(prompt=9, completion=50, reasoning=40)
    )
    (one,) = ask(
        opened(wire, provider, hidden=2048), Request(say("x"), Sampling(temperature=1.0, max_tokens=10))
    )
    assert (one.text, one.private, one.completion_tokens) == ("B", "Hm, A or B?", 50)
    assert one.reasoning_tokens == (40 if provider != "anthropic" else one.reasoning_tokens)
    assert wire.seen[-1].body["max_tokens"] == 2058
    assert "temperature" not in wire.seen[-1].body


@pytest.mark.parametrize("provider", PROVIDERS)
def test_images_are_sent_as_each_provider_wants_them(provider: str, wire: Wire) -> None:
    png = Image("image/png", b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    ask(opened(wire, provider, images=True), Request((Message("user", "what?", images=(png,)),)))
    content = wire.seen[-1].body["messages"][0]["content"]
    kinds = [part["type"] for part in content]
    assert kinds == (["image", "text"] if provider == "anthropic" else ["text", "image_url"])


def test_a_missing_usage_is_unknown_not_zero(wire: Wire) -> None:
    wire.answer = lambda seen: Reply("x", usage=None)
    (one,) = ask(opened(wire, "openai"), Request(say("x")))
    assert one.prompt_tokens is None and one.completion_tokens is None and one.notes == "no usage given"


def test_the_growing_prompt_of_a_seat_is_read_from_anthropics_cache() -> None:
    passage = Message("system", "The lighthouse stood on the rock. " * 300)
    turns = [Message("user", f"Turn {i}. " + "It was built of stone. " * 60) for i in range(6)]
    with Wire(key=KEY, cache=100) as wire:
        model = opened(wire, "anthropic")

        async def calls() -> list[Completion]:
            try:
                # One at a time: a cache can be read once the reply that wrote it has begun.
                return [
                    await model.generate(Request((passage, *turns[:n], Message("user", f"Round {n}"))))
                    for n in (0, 2, 4, 6)
                ]
            finally:
                await model.done()

        first, second, third, fourth = asyncio.run(calls())
    assert first.cached_tokens == 0 and (first.cache_write_tokens or 0) > 1000
    assert (second.cached_tokens or 0) >= (first.cache_write_tokens or 0)
    assert (fourth.cached_tokens or 0) > (third.cached_tokens or 0) > (second.cached_tokens or 0)
    assert all(c.prompt_tokens is not None for c in (first, second))
    # What is asked once is not written: a short prompt that nothing continues.
    assert not [m for m in _marked(wire.seen[0]) if m.startswith("Round")]


def _marked(seen: Seen) -> list[str]:
    blocks = [*seen.body.get("system", []), *(b for m in seen.body["messages"] for b in m["content"])]
    return [b["text"] for b in blocks if "cache_control" in b]


def test_prompts_with_nothing_in_common_are_not_written_to_the_cache(wire: Wire) -> None:
    requests = [Request(say(f"Question {i}: " + "word " * 2000)) for i in range(3)]
    ask(opened(wire, "anthropic"), *requests)
    assert all(not _marked(seen) for seen in wire.seen if seen.path == "/v1/messages")


# Before anything is spent


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai/gpt-4o-mini", "OPENAI_API_KEY"),
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("mistral/mistral-small", "MISTRAL_API_KEY"),
    ],
)
def test_a_missing_key_is_named(name: str, variable: str) -> None:
    with pytest.raises(UserError, match=f"needs a key: set {variable}"):
        asyncio.run(open_model(name, {}).ready())


def test_a_key_is_found_in_a_env_file_above(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"FROM_FILE={KEY}\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    keys._load.cache_clear()
    try:
        (one,) = ask(opened(wire, "openai", key_env="FROM_FILE"), Request(say("x")))
    finally:
        os.environ.pop("FROM_FILE", None)
    assert isinstance(one, Completion)


def test_a_key_goes_to_no_other_address_unless_told_to(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-itself-12345")
    wire.key = ""
    model = open_model("openai/gpt-4o-mini", {"base_url": wire.openai})
    ask(model, Request(say("x")))
    assert all("sk-of-openai" not in str(seen.headers) for seen in wire.seen)
    assert model.price is None  # nor does a price


@pytest.mark.parametrize("name", ["openai/gpt-4o-mni", "anthropic/claude-haiku-45"])
def test_a_misspelt_model_names_the_nearest(name: str, wire: Wire) -> None:
    url = wire.openai if name.startswith("openai") else wire.url
    model = open_model(name, {"base_url": url, "key_env": "TEST_KEY"})

    async def ready() -> None:
        try:
            await model.ready()
        finally:
            await model.done()

    with pytest.raises(UserError, match=r"did you mean '(gpt-4o-mini|claude-haiku-4-5)'"):
        asyncio.run(ready())
    assert not [seen for seen in wire.seen if seen.method == "POST"]


def test_an_address_where_nobody_answers_is_named() -> None:
    model = open_model("openai/x", {"base_url": "http://127.0.0.1:9/v1"})

    async def ready() -> None:
        try:
            await model.ready()
        finally:
            await model.done()

    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1 does not answer"):
        asyncio.run(ready())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("openai/", {}, "names no model"),
        ("openai/x", {"base_url": "localhost:8000"}, "is no address"),
        ("openai/x", {"in_flight": 0}, "must be a whole number, at least 1"),
        ("openai/x", {"attempts": "many"}, "must be a whole number, at least 1"),
        ("openai/x", {"top_log_probs": 50}, "may be 1 to 20"),
        ("openai/x", {"tmeperature": 1}, "has no option 'tmeperature'"),
        ("opnai/x", {}, "did you mean 'openai'"),
        ("anthropic/claude-haiku-4-5", {"log_probs": True}, "gives no log-probs.*leave it out"),
    ],
)
def test_bad_options_are_refused_at_once(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_model(name, options)


def test_what_a_model_is_takes_in_the_address_and_leaves_out_the_key() -> None:
    def identity(**options: Any) -> str:
        return open_model("openai/m", options).identity

    assert identity() == "openai/m"
    assert identity(base_url="http://a/v1") != identity(base_url="http://b/v1")
    assert identity(effort="high") != identity(effort="low") != identity()
    assert identity(in_flight=3, attempts=2, check=False, key_env="X") == identity()


def ready(model: Model) -> None:
    async def go() -> None:
        try:
            await model.ready()
        finally:
            await model.done()

    asyncio.run(go())


def test_litellm_looks_whether_the_model_is_at_its_address(wire: Wire) -> None:
    def seated(name: str, **options: Any) -> Model:
        return open_model(name, {"base_url": wire.openai, "key_env": "TEST_KEY", **options})

    ready(seated("hosted_vllm/gpt-4o-mini"))
    with pytest.raises(
        UserError, match=r"no model at http://127.0.0.1:\d+/v1 'gpt-4o-mimi'; did you mean 'gpt-4o-mini'"
    ):
        ready(seated("hosted_vllm/gpt-4o-mimi"))
    ready(seated("hosted_vllm/gpt-4o-mimi", check=False))
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1 does not answer"):
        ready(seated("hosted_vllm/x", base_url="http://127.0.0.1:9/v1"))
    wire.models = ()  # a server that lists none
    ready(seated("hosted_vllm/anything"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mistral/mistral-large-latest", ""),
        ("mistral/mistral-larg-latest", "mistral-large-latest"),
        ("mistral/mistral-large-9901", ""),  # newer than the table, as far as anybody knows
        ("mistral/something-else", ""),
    ],
)
def test_of_a_provider_without_an_address_a_misspelt_model_is_refused(name: str, meant: str) -> None:
    model = open_model(name, {"key_env": "TEST_KEY"})
    if meant:
        with pytest.raises(UserError, match=f"in litellm's table .* did you mean '{meant}'.*check=false"):
            ready(model)
    else:
        ready(model)
    ready(open_model(name, {"key_env": "TEST_KEY", "check": False}))
