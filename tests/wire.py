"""A real HTTP server on loopback that speaks OpenAI's and Anthropic's APIs: for tests and benchmarks.

with Wire(answer=lambda seen: Reply("Answer: A")) as wire:
    AsyncOpenAI(base_url=wire.openai, api_key=wire.key)
    AsyncAnthropic(base_url=wire.url, api_key=wire.key)

As a process of its own: python tests/wire.py --port 0 --latency 0.05 --rate 100
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import parse_qsl

import uvicorn
from wire_batches import Batches, Outcome
from wire_shapes import (
    Fault,
    Headers,
    Json,
    Provider,
    Reply,
    Seen,
    Usage,
    blocks_of,
    body_of,
    complaint,
    default_answer,
    events_of,
    filled,
    model_of,
    new_id,
    page_of,
    tokens,
    unknown_model,
    wrong_key,
)

__all__ = ["Fault", "Reply", "Seen", "Usage", "Wire"]

Answer = Callable[[Seen], Reply | Fault]
Hint = Literal["seconds", "milliseconds", "date", ""]
GENERATES = ("/v1/chat/completions", "/v1/messages")
MODELS = ("gpt-test", "gpt-4o-mini", "claude-test", "claude-haiku-4-5")
PROXY_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Wire:
    """A server on 127.0.0.1, from `with` on. Its settings may be changed at any time.

    `answer`: what is said to a request. `latency`: seconds before each reply. `rate`: requests for a reply
    that it allows a second, from a bucket that holds one second's (at least one); more get 429, with
    Retry-After as `hint` says ("milliseconds" is OpenAI's retry-after-ms, "" none). `key`: "" lets everyone
    in. `models`: those it has. `cache`: tokens from which a repeated prefix is read from a simulated
    prompt cache; None: no cache. `port`: 0 is a free one. `remember`: False keeps no `seen`, for millions
    of requests.

    What `answer` raises is sent as status 500, and raised again where the `with` ends.
    """

    def __init__(
        self,
        answer: Answer = default_answer,
        latency: float = 0.0,
        rate: float | None = None,
        key: str = "sk-test",
        *,
        hint: Hint = "seconds",
        models: tuple[str, ...] = MODELS,
        cache: int | None = None,
        port: int = 0,
        remember: bool = True,
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.rate = rate
        self.key = key
        self.hint: Hint = hint
        self.models = models
        self.cache = PromptCache(cache)
        self.port = port
        self.remember = remember
        self.seen: list[Seen] = []
        """Requests in order of arrival."""
        self.batched: list[Seen] = []
        """Requests made from batches, in the order in which they were made."""
        self.statuses: Counter[int] = Counter()
        """How many responses had which status; connections cut before a header are under 0."""
        self.in_flight_peak = 0
        """Most requests for a reply that were being answered at one moment."""
        self.batches = Batches(self._make, lambda: self.url)
        """Files and batches. `wire.batches.polls = k` says when one ends; `finish()` ends all now."""
        self._in_flight = 0
        self._bucket = Bucket()
        self._raised: list[Exception] = []
        self._started = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                interface="asgi3",
                lifespan="off",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                log_config=None,
                log_level="critical",
                timeout_keep_alive=600,
                timeout_graceful_shutdown=1,
            )
        )

    @property
    def url(self) -> str:
        """The root, as Anthropic's clients want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.url}/v1"

    def __enter__(self) -> Wire:
        listening = self._listen()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="wire", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        assert self._thread is not None
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_all)
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        if self._raised and error is None:
            raise self._raised[0]
        for raised in self._raised:
            error.add_note(f"the server's side raised {raised!r}")

    def serve_forever(self) -> None:
        """Serve in this thread until a signal ends it; prints the URL."""
        listening = self._listen()
        print(self.url, flush=True)
        self._server.run(sockets=[listening])

    def _listen(self) -> socket.socket:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        self.port = listening.getsockname()[1]
        return listening

    async def _serve(self, listening: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[listening])

    def _cut_all(self) -> None:
        """Leave no client waiting, and no request hanging, when the server goes."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    # one request

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        try:
            await self._respond(scope, receive, send)
        except Exception as error:
            self._raised.append(error)
            raise

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        body = await _read(receive)
        at = time.monotonic() - self._started
        seen = Seen(scope["path"], scope["method"], headers, _parsed(body), at)
        if self.remember:
            self.seen.append(seen)
        line = Line(self, seen.provider, scope, receive, send)
        fault = self._wrong_key(seen)
        if fault is not None:
            await line.fault(fault)
        elif seen.path in GENERATES and seen.method == "POST":
            await self._generate(line, seen)
        else:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            await self._other(line, seen, query, body)

    async def _generate(self, line: Line, seen: Seen) -> None:
        self._in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self._in_flight)
        try:
            outcome: Reply | Fault | None = self._refused(seen) or self._too_fast(line.provider)
            if outcome is None:
                outcome = self._answer(seen)
                if self.latency or outcome.delay:
                    await asyncio.sleep(self.latency + outcome.delay)
            await self._carry_out(line, seen, outcome)
        finally:
            self._in_flight -= 1

    async def _carry_out(self, line: Line, seen: Seen, outcome: Reply | Fault) -> None:
        if isinstance(outcome, Reply):
            await self._say(line, seen, outcome)
            return
        streamed = bool(seen.body.get("stream")) if isinstance(seen.body, dict) else False
        kind = "text/event-stream" if streamed else "application/json"
        match outcome.what:
            case int():
                await line.fault(outcome)
            case "hang":
                await line.gone()
            case "drop":
                await line.cut()
            case "drop body":
                whole = b"".join(self._rendered(seen, outcome.reply))
                await line.head(200, kind, outcome.headers, None if streamed else len(whole))
                await line.piece(whole[: len(whole) // 2], more=True)
                await line.cut()
            case "malformed":
                await line.whole(200, b'data: {"choices": [}\n\n' if streamed else b'{"id": "x", [}', kind)
            case "wrong type":
                await line.whole(200, PROXY_PAGE, "text/html")
            case "empty":
                await line.whole(200, b"", kind)
            case "truncated":
                whole = b"".join(self._rendered(seen, outcome.reply))
                await line.whole(200, whole[: len(whole) // 2], kind, outcome.headers)

    async def _say(self, line: Line, seen: Seen, reply: Reply) -> None:
        pieces = self._rendered(seen, reply)
        if seen.body.get("stream"):
            await line.stream(pieces, "text/event-stream", reply.pace)
        elif reply.pace:
            (whole,) = pieces
            parts = (whole[i : i + 64] for i in range(0, len(whole), 64))
            await line.stream(parts, "application/json", reply.pace)
        else:
            await line.whole(200, next(iter(pieces)))

    def _rendered(self, seen: Seen, reply: Reply) -> Iterable[bytes]:
        """The reply's body: events where it is streamed, else one piece."""
        usage = filled(reply, seen.body, *self.cache.look(seen.provider, seen.body))
        if seen.body.get("stream"):
            return events_of(seen.provider, reply, seen.body, usage)
        return [json.dumps(body_of(seen.provider, reply, seen.body, usage)).encode()]

    def _answer(self, seen: Seen) -> Reply | Fault:
        try:
            return self.answer(seen)
        except Exception as error:
            self._raised.append(error)
            return Fault(500, f"the test's answer raised {type(error).__name__}")

    def _wrong_key(self, seen: Seen) -> Fault | None:
        bearer = seen.headers.get("authorization", "").removeprefix("Bearer ")
        given = seen.headers.get("x-api-key") or bearer
        return None if self.key in ("", given) else wrong_key(seen.provider, given)

    def _refused(self, seen: Seen) -> Fault | None:
        fault = complaint(seen)
        if fault is None and seen.body["model"] not in self.models:
            return unknown_model(seen.provider, seen.body["model"])
        return fault

    def _too_fast(self, provider: Provider) -> Fault | None:
        if self.rate is None:
            return None
        wait = self._bucket.take(self.rate)
        if not wait:
            return None
        whole = math.ceil(wait)
        hints: dict[Hint, Headers] = {
            "seconds": (("retry-after", str(whole)),),
            "milliseconds": (("retry-after-ms", str(math.ceil(1000 * wait))),),
            "date": (("retry-after", formatdate(math.ceil(time.time() + wait), usegmt=True)),),
            "": (),
        }
        said = "Rate limit reached" if provider == "openai" else "This request would exceed your rate limit"
        return Fault(429, f"{said}. Please try again in {whole}s.", headers=hints[self.hint])

    def _make(self, path: str, body: Json) -> Outcome:
        """Make one request of a batch."""
        theirs = {"anthropic-version": "batch"} if path == "/v1/messages" else {}
        seen = Seen(path, "POST", theirs, body, time.monotonic() - self._started)
        self.batched.append(seen)
        outcome = self._refused(seen) or self._answer(seen)
        if isinstance(outcome, Fault):
            if not isinstance(outcome.what, int):
                return None
            return outcome.what, outcome.error(seen.provider, new_id("req_"))
        usage = filled(outcome, body, *self.cache.look(seen.provider, body))
        return 200, body_of(seen.provider, outcome, body, usage)

    # everything but replies

    async def _other(self, line: Line, seen: Seen, query: dict[str, str], body: bytes) -> None:
        try:
            told = self._found(seen, query, body)
        except (KeyError, ValueError, TypeError) as error:
            told = Fault(400, f"Invalid request: {type(error).__name__} {error}")
        if isinstance(told, Fault):
            await line.fault(told)
        elif isinstance(told, bytes):
            await line.whole(200, told, "application/octet-stream")
        else:
            await line.whole(200, json.dumps(told).encode())

    def _found(self, seen: Seen, query: dict[str, str], body: bytes) -> Json | bytes | Fault:
        """The answer to anything but a request for a reply: JSON, a file's content or a refusal."""
        kept, provider, parts = self.batches, seen.provider, seen.path.strip("/").split("/")
        missing = Fault(404, f"No such thing: {seen.method} {seen.path}", code="not_found_error")
        match (seen.method, *parts[1:]):
            case ("GET", "models"):
                return page_of(provider, [model_of(provider, m) for m in self.models], query)
            case ("GET", "models", *name):
                model = "/".join(name)
                return model_of(provider, model) if model in self.models else unknown_model(provider, model)
            case ("POST", "files"):
                return kept.upload(seen.headers.get("content-type", ""), body)
            case ("GET", "files"):
                return page_of(provider, [told for told, _ in reversed(kept.files.values())], query)
            case ("GET", "files", name) if name in kept.files:
                return kept.files[name][0]
            case ("GET", "files", name, "content") if name in kept.files:
                return kept.files[name][1]
            case ("DELETE", "files", name) if name in kept.files:
                del kept.files[name]
                return {"id": name, "object": "file", "deleted": True}
            case ("POST", "batches"):
                if seen.body["input_file_id"] not in kept.files:
                    return Fault(400, f"No such file: {seen.body['input_file_id']}", code="invalid_file")
                return kept.create_openai(seen.body)
            case ("POST", "messages", "batches"):
                return kept.create_anthropic(seen.body)
            case ("GET", "batches") | ("GET", "messages", "batches"):
                return page_of(provider, kept.listed(provider), query)
            case ("GET", "batches", name) | ("GET", "messages", "batches", name) if name in kept.batches:
                return kept.poll(kept.batches[name])
            case ("POST", "batches", name, "cancel") | ("POST", "messages", "batches", name, "cancel") if (
                name in kept.batches
            ):
                return kept.cancel(kept.batches[name])
            case ("GET", "messages", "batches", name, "results") if name in kept.batches:
                return missing if kept.batches[name].state == "open" else kept.results(kept.batches[name])
        if seen.path == "/wire":  # what a benchmark in another process wants to know
            return {"statuses": self.statuses, "in_flight_peak": self.in_flight_peak}
        return missing


@dataclass(frozen=True, slots=True)
class Line:
    """The way back to one client."""

    wire: Wire
    provider: Provider
    scope: Any
    receive: Any
    send: Any

    async def whole(
        self, status: int, body: bytes, kind: str = "application/json", headers: Headers = ()
    ) -> None:
        """A response with all of its body."""
        await self.head(status, kind, headers, len(body))
        await self.piece(body, more=False)

    async def stream(self, pieces: Iterable[bytes], kind: str, pace: float) -> None:
        """A good response in pieces, `pace` seconds between two."""
        await self.head(200, kind, (), None)
        for piece in pieces:
            await self.piece(piece, more=True)
            if pace:
                await asyncio.sleep(pace)
        await self.piece(b"", more=False)

    async def fault(self, fault: Fault) -> None:
        """An error with a status, as the provider sends it."""
        assert isinstance(fault.what, int)
        request_id = new_id("req_")
        again: Headers = () if fault.retry_after is None else (("retry-after", str(fault.retry_after)),)
        body = json.dumps(fault.error(self.provider, request_id)).encode()
        await self.whole(fault.what, body, headers=(*fault.headers, *again))

    async def head(self, status: int, kind: str, headers: Headers, length: int | None) -> None:
        """Status and headers. Without a length the body comes in chunks."""
        self.wire.statuses[status] += 1
        own = "request-id" if self.provider == "anthropic" else "x-request-id"
        sized = () if length is None else (("content-length", str(length)),)
        every = (("content-type", kind), (own, new_id("req_")), *sized, *headers)
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in every]
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})

    async def piece(self, body: bytes, more: bool) -> None:
        """Some of the body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def gone(self) -> None:
        """Return when the client has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def cut(self) -> None:
        """End the connection without a word."""
        connections: Iterable[Any] = self.wire._server.server_state.connections
        ours = next((c for c in connections if c.scope is self.scope), None)
        if ours is not None:
            ours.transport.close()  # what was written still goes out
        self.wire.statuses[0] += 1
        await self.gone()


class Bucket:
    """A token bucket of one second's size (at least one), full to begin with."""

    def __init__(self) -> None:
        self._level = math.inf
        self._at = time.monotonic()

    def take(self, rate: float) -> float:
        """0 if there was a token to take, else the seconds until there is one."""
        now = time.monotonic()
        self._level = min(max(rate, 1.0), self._level + rate * (now - self._at))
        self._at = now
        if self._level < 1:
            return (1 - self._level) / rate
        self._level -= 1
        return 0.0


class PromptCache:
    """A provider's prompt cache, without expiry. `minimum`: tokens of the shortest prefix it keeps."""

    def __init__(self, minimum: int | None) -> None:
        self.minimum = minimum
        self._kept: set[bytes] = set()

    def look(self, provider: Provider, body: Json) -> tuple[int, int]:
        """Tokens of this prompt that were read from the cache, and that were written to it."""
        if self.minimum is None:
            return 0, 0
        return (self._marked if provider == "anthropic" else self._unasked)(body, self.minimum)

    def _unasked(self, body: Json, minimum: int) -> tuple[int, int]:
        """OpenAI's: any prefix of at least the minimum, in steps of an eighth of it (1024 and 128 there)."""
        text = "".join(text for text, _ in blocks_of(body))
        step, read, digest = max(1, minimum // 8), 0, blake2b(body["model"].encode())
        end = 0
        for size in range(minimum, len(text) // 4 + 1, step):
            digest.update(text[end : 4 * size].encode("utf-8", "replace"))
            end = 4 * size
            if digest.digest() in self._kept:
                read = size
            self._kept.add(digest.digest())
        return read, 0

    def _marked(self, body: Json, minimum: int) -> tuple[int, int]:
        """Anthropic's: written where a block is marked, read at any block up to the last mark."""
        size, digest = 0, blake2b(body["model"].encode())
        prefixes = []
        for text, marked in blocks_of(body):
            size += tokens(text)
            digest.update(b"\0" + text.encode("utf-8", "replace"))
            prefixes.append((size, digest.digest(), marked))
        marks = [i for i, (size, _, marked) in enumerate(prefixes) if marked and size >= minimum]
        if not marks:
            return 0, 0
        last = marks[-1]
        read = max((size for size, key, _ in prefixes[: last + 1] if key in self._kept), default=0)
        self._kept.update(prefixes[i][1] for i in marks)
        return read, prefixes[last][0] - read


async def _read(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def _parsed(body: bytes) -> Any:
    """The JSON of a body, or itself."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def main() -> None:
    """Serve as a process of its own."""
    options = argparse.ArgumentParser(description="A server that speaks OpenAI's and Anthropic's APIs.")
    options.add_argument("--port", type=int, default=0, help="0 is a free one; the URL is printed")
    options.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    options.add_argument("--rate", type=float, help="requests a second that it allows")
    options.add_argument("--hint", default="seconds", choices=["seconds", "milliseconds", "date", ""])
    options.add_argument("--cache", type=int, help="tokens from which a repeated prefix is cached")
    options.add_argument("--key", default="sk-test")
    given = options.parse_args()
    Wire(**vars(given), remember=False).serve_forever()


if __name__ == "__main__":
    main()
