"""Which replies that did not come may have been charged for: what `max_cost` counts of a bad network."""

from __future__ import annotations

import asyncio
import socket

import pytest
from wire import Fault, Wire

from oversight.errors import CallFailed, Transport
from oversight.models import open_model
from oversight.models.interface import Message, Request, Sampling

REQUEST = Request((Message("user", "Well?"),), Sampling(1.0))
PROVIDERS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-haiku-4-5",
    "litellm": "hosted_vllm/gpt-4o-mini",
}


pytestmark = pytest.mark.usefixtures("key")


def charged(provider: str, url: str) -> bool:
    """Whether the one attempt at a call, which brings nothing, may have been charged."""
    root = url.removesuffix("/v1")
    model = open_model(
        PROVIDERS[provider],
        {
            "key_env": "TEST_KEY",
            "base_url": root if provider == "anthropic" else f"{root}/v1",
            "check": False,
        },
    )

    async def call() -> CallFailed:
        await model.ready()
        try:
            with pytest.raises(CallFailed) as failed:
                await model.generate(REQUEST)
            return failed.value
        finally:
            await model.done()

    error = asyncio.run(call())
    assert isinstance(error, Transport), error
    return error.charged


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("harm", ["drop", "drop body", "malformed", "empty", "truncated", 504])
def test_what_was_asked_may_be_charged(wire: Wire, provider: str, harm: str | int) -> None:
    wire.answer = lambda seen: Fault(harm)  # type: ignore[arg-type]
    assert charged(provider, wire.openai)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("harm", [429, 500, 503])
def test_what_was_turned_away_is_not(wire: Wire, provider: str, harm: int) -> None:
    wire.answer = lambda seen: Fault(harm)
    assert not charged(provider, wire.openai)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_was_never_sent_is_not(provider: str) -> None:
    """Nobody listens; there is no such machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert not charged(provider, f"http://127.0.0.1:{free}")
    assert not charged(provider, "http://no-such-machine.invalid")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_connection_that_nobody_takes_is_not_waited_for_long(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"oversight.models.api.{provider}.CONNECT", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        try:
            for _ in range(3):  # more than it queues
                one = socket.socket()
                waiting.append(one)
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            assert not charged(provider, f"http://127.0.0.1:{full.getsockname()[1]}")
        finally:
            for one in waiting:
                one.close()
