"""What models behind an API have in common: how they are named and set up, and what their errors mean."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from oversight.errors import ContextOverflow, RateLimited, Rejected, Transport, UserError, unknown
from oversight.library import spell
from oversight.models.api.lost import is_of_sdk, let_go, never_sent, unanswered
from oversight.models.interface import BatchModel, Completion, Manners, Request
from oversight.models.prices import look_up
from oversight.secrecy import without_keys

USUAL = Manners()
HIDDEN = 16_000
"""Tokens a reasoning model gets beside those asked for: it stops when both are used up."""

CONNECT = 30.0
"""Seconds that it may take to get a connection: what was not sent by then costs nothing."""
PASSING = (408, 409, 425)
"""Statuses that another attempt may change, beside those from 500 on."""


class Withheld(Exception):
    """The provider's filter turned the request away: a reply of its kind, not a failure of the call."""


class ApiModel(BatchModel):
    """A model of a provider. Subclasses know the SDK.

    Options that all of them take: `base_url`; `key_env`, the environment variable that holds the key;
    `in_flight`, calls at once (adapts between 1 and 512 where not given); `attempts`, `attempt_timeout` and
    `call_timeout` in seconds; `effort` for reasoning models, and `hidden`, the tokens they may reason with;
    `check=false` to leave out the look at whether the model is there. What a model can do is taken from the
    price table where it is known there, and can be set: `images`, `structured`, `log_probs`, `prefill`, `batches`.
    """

    kind = "api"
    elicitation = "hard"
    prefills = False
    key_names: tuple[str, ...] = ()
    default_url = ""
    half_price = False
    """Whether the provider makes calls in batches."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        key_env: str | None = None,
        in_flight: int | None = None,
        attempts: int = USUAL.attempts,
        attempt_timeout: float = USUAL.attempt,
        call_timeout: float = USUAL.call,
        effort: str | None = None,
        hidden: int | None = None,
        check: bool = True,
        images: bool | None = None,
        structured: bool | None = None,
        log_probs: bool | None = None,
        prefill: bool | None = None,
        context: int | None = None,
        batches: bool | None = None,
    ) -> None:
        self.name = name
        self.provider, _, self.served_name = name.partition("/")
        if not self.served_name:
            raise UserError(f"model {name!r} names no model: write {self.provider}/NAME")
        if any(c.isspace() or not c.isprintable() for c in name):
            raise UserError(f"model {name!r}: no model's name has a space or a control character in it")
        self.manners = Manners(
            start=in_flight or USUAL.start,
            most=in_flight or USUAL.most,
            attempts=attempts,
            attempt=attempt_timeout,
            call=call_timeout,
        )
        self.base_url = self.url(base_url)
        # A name at another address may be anything.
        known = look_up(name) if self.base_url == self.default_url else None
        features = known.features if known else frozenset()
        self.key_env = key_env
        self.effort = effort
        self.reasons = self.always_reasons(features) or effort is not None or bool(hidden)
        self.hidden = (HIDDEN if self.reasons else 0) if hidden is None else hidden
        self.check = check
        self.images = "vision" in features if images is None else images
        self.structured = "response_schema" in features if structured is None else structured
        self.letters = self.letters and not self.reasons if log_probs is None else log_probs
        self.prefills = bool(prefill)
        self.batches = self.base_url == self.default_url and self.half_price if batches is None else batches
        self.context = known.context if known and context is None else context
        self.price = known.price if known else None
        shapes = {"effort": effort, "hidden": hidden, "prefill": prefill, "structured": structured}
        where = "" if self.base_url == self.default_url else f"@{open_url(self.base_url)}"
        self.identity = spell(f"{name}{where}", {k: v for k, v in shapes.items() if v is not None})
        self._client: Any = None

    # What a backend says

    def always_reasons(self, features: frozenset[str]) -> bool:
        """Whether the model reasons before it replies, unasked. `features` are the price table's."""
        return "reasoning" in features

    def url(self, given: str | None) -> str:
        """The address that calls go to."""
        return (given or self.default_url).rstrip("/")

    def connect(self, key: str) -> Any:
        """The SDK's client, made within the run's event loop."""
        raise NotImplementedError

    async def names(self) -> list[str] | None:
        """The models that are there; None where the server does not say."""
        raise NotImplementedError

    async def ask(self, request: Request) -> Completion:
        """One attempt. Errors of the SDK are translated by the caller."""
        raise NotImplementedError

    # What the engine asks

    def key(self) -> str:
        """The key. Raises `UserError` naming the variable that is not set."""
        from oversight.models.api.keys import find_key, key_missing

        if self.key_env:
            names: tuple[str, ...] = (self.key_env,)
        elif self.base_url != self.default_url:
            return "none"  # a key is for its own provider: it goes to no other address unless told to
        else:
            names = self.key_names
        found = find_key(*names)
        if found is None:
            raise UserError(key_missing(self.name, names))
        if not re.fullmatch(r"[!-~]+", found):
            raise UserError(
                f"model {self.name!r}: what is in {' or '.join(names)} is no key: it has a space or the like in it"
            )
        return found

    @property
    def client(self) -> Any:
        """The SDK's client."""
        if self._client is None:
            self._client = self.connect(self.key())
        return self._client

    async def ready(self) -> None:
        """See `Model.ready`: the key is there, the address answers, and the model is known there."""
        _ = self.client
        if not self.check:
            return
        try:
            with self.translated():
                names = await self.names()
        except (Transport, Rejected) as error:
            raise UserError(
                f"model {self.name!r}: {open_url(self.base_url)} does not answer as it should: {error}; "
                "mend base_url, or leave this look out with check=false"
            ) from None
        if names and self.served_name not in names:
            raise unknown(
                f"model at {open_url(self.base_url)}",
                self.served_name,
                names,
                "(check=false takes it as it is)",
            )

    async def done(self) -> None:
        """See `Model.done`."""
        client, self._client = self._client, None
        if client is not None:
            closed = client.close()
            if inspect.isawaitable(closed):
                await closed

    async def generate(self, request: Request) -> Completion:
        """One attempt at a reply. Raises `Transport`, `RateLimited`, `ContextOverflow` or `Rejected`; and
        `UserError` for what is wrong with the key, the name or the options."""
        if request.messages[-1].role == "assistant" and not self.prefills:
            raise UserError(
                f"model {self.name!r} cannot go on from an opening that a template or style gives its reply "
                "(prefill=true if it can)"
            )
        started = time.perf_counter()
        try:
            with self.translated():
                completion = await self.ask(request)
        except Withheld as error:
            return Completion(stop="filter", notes=str(error), seconds=time.perf_counter() - started)
        return completion

    def translated(self) -> _Translated:
        """A block in which the SDK's errors become ours, without secrets."""
        return _Translated(self)

    def translate(self, error: Exception) -> Exception:
        """What an SDK's error means to us; other errors as they are."""
        status = getattr(error, "status_code", None)
        if isinstance(error, UserError | Transport | Rejected | ContextOverflow | Withheld):
            return error
        if not isinstance(status, int) or unanswered(error):
            if is_of_sdk(error) or isinstance(error, json.JSONDecodeError):
                return Transport(self.clean(error), charged=not never_sent(error))
            return error
        return self.meaning(status, error)

    def meaning(self, status: int, error: Exception) -> Exception:
        """What a provider's answer of this status means."""
        body = getattr(error, "body", None)
        detail = body.get("error", body) if isinstance(body, Mapping) else {}
        detail = detail if isinstance(detail, Mapping) else {}
        code = str(detail.get("code") or detail.get("type") or "")
        return self.verdict(status, self.clean(error), code, retry_after(_headers(error)))

    def failed_in_batch(self, status: int, detail: Mapping[str, Any]) -> Completion:
        """A request that a batch brought an error for: raised, or the reply that it amounts to."""
        code = str(detail.get("code") or detail.get("type") or "")
        error = self.verdict(status, self.shown(str(detail.get("message") or code)), code, None)
        if isinstance(error, Withheld):
            return Completion(stop="filter", notes=str(error))
        raise error

    def verdict(self, status: int, said: str, code: str, after: float | None) -> Exception:
        """What a status means, with what was said and the provider's word for it."""
        low = f"{code} {said}".lower()
        if status in (401, 403):
            names = (self.key_env,) if self.key_env else self.key_names
            return UserError(
                f"model {self.name!r}: the key in {' or '.join(names) or 'no variable'} was refused "
                f"({status}): {said}"
            )
        if status == 404:
            return UserError(f"model {self.name!r} is not at {open_url(self.base_url)} (404): {said}")
        if status == 402 or (
            status == 429 and re.search(r"insufficient_quota|billing|spend.?limit|credit", low)
        ):
            return UserError(f"model {self.name!r}: there is no money left ({status}): {said}")
        if status in (429, 529):
            return RateLimited(f"{status}: {said}", after=after)
        if status in PASSING or status >= 500 or status < 400:
            # A 200 with no reply in it, or a proxy that waited in vain.
            late = status < 400 or status in (504, 524)
            return Transport(f"{status}: {said}", after=after, charged=late)
        if numbers := context_numbers(low):
            return ContextOverflow(self.name, *numbers)
        if re.search(r"content.?filter|content_policy|responsibleai|safety", low):
            return Withheld(said)
        if re.search(
            r"unsupported|unknown (?:name|parameter|field)|unrecognized|invalid_parameter", low
        ) or re.search(
            r"temperature|top_p|max_(?:completion_)?tokens|log_?probs|response_format|output_config|json_schema|"
            r"reasoning|effort|prefill|does not support|not supported",
            low,
        ):
            return UserError(
                f"model {self.name!r} does not take what it was asked ({status}): {said} (a seat's temperature=1 "
                "sends none; structured=false, log_probs=false and elicit=hard ask for less)"
            )
        return Rejected(f"{status}: {said}")

    def clean(self, error: Exception) -> str:
        """What an error says, in one line, without keys."""
        message = getattr(error, "message", None) or str(error) or type(error).__name__
        body = getattr(error, "body", None)
        if isinstance(body, Mapping):
            inner = body.get("error", body)
            message = (inner.get("message") if isinstance(inner, Mapping) else None) or message
        cause = error.__cause__
        if cause is not None and str(cause) and str(cause) not in str(message):
            message = f"{message} ({type(cause).__name__}: {cause})"
        return self.shown(str(message))

    def shown(self, message: str) -> str:
        """A message in one line, without keys."""
        text = " ".join(without_keys(message).split())
        return text if len(text) <= 300 else text[:297] + "…"


class _Translated:
    """See `ApiModel.translated`. No generator: its frame would keep the SDK's error, which may repeat a key,
    for whoever prints a traceback with its variables."""

    def __init__(self, model: ApiModel) -> None:
        self.model = model

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        ours = self.model.translate(error)
        if ours is not error:
            let_go(error)
            del error, trace
            try:
                raise ours from None
            finally:  # nothing is left of the SDK's error, which holds its request, the reply and the connection
                ours.__context__ = None
                del ours


def _headers(error: Exception) -> Mapping[str, str]:
    """Of the response an error is about; litellm keeps the provider's apart from those it made up."""
    given = getattr(error, "litellm_response_headers", None)
    return given or getattr(getattr(error, "response", None), "headers", None) or {}


def open_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait that a reply's headers ask for: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    try:
        if ms := headers.get("retry-after-ms"):
            return max(0.0, float(ms) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


_CONTEXT = (
    re.compile(
        r"maximum context length (?:is|of) (?P<there>[\d,]+).*?(?P<needed>[\d,]{2,})\s+(?:input )?tokens",
        re.S,
    ),
    re.compile(r"(?P<needed>[\d,]+) tokens > (?P<there>[\d,]+)"),
    re.compile(r"(?P<needed>[\d,]+).{0,80}?exceeds?.{0,80}?(?P<there>[\d,]{3,})", re.S),
)
_OVERFLOW = re.compile(
    r"context_length_exceeded|context length|context window|prompt is too long|too many (?:input )?tokens|"
    r"exceeds? the (?:available )?context|string_above_max_length"
)


def context_numbers(text: str) -> tuple[int | None, int | None] | None:
    """Tokens needed and there, from a provider's complaint about the context's length; None for other texts."""
    if not _OVERFLOW.search(text):
        return None
    for pattern in _CONTEXT:
        if match := pattern.search(text):
            return int(match["needed"].replace(",", "")), int(match["there"].replace(",", ""))
    return None, None
