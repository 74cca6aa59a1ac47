"""Options of models behind an API: each of its kind, or one line that says so."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from oversight.errors import UserError
from oversight.secrecy import MASK, without_keys

WHOLE = {"in_flight": 1, "attempts": 1, "context": 1, "hidden": 0, "thinking": 1, "top_log_probs": 1}
"""Options that are whole numbers, and the least that each may be."""
SECONDS = ("attempt_timeout", "call_timeout")
SWITCHES = ("check", "images", "structured", "log_probs", "prefill", "batches")
TEXTS = ("base_url", "effort")


def checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, for the model `name`. Raises `UserError` for a value of another kind.

    Options nobody knows are passed on: the model says so itself.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option in ("self", "name"):  # what Python would take for its own
            raise UserError(f"model {name!r} has no option {option!r}")
        if wanted := _wrong(option, value):
            said = without_keys(repr(value))
            raise UserError(f"model {name!r}: {option} is {said}; it must be {wanted}")
    if "base_url" in given:
        given["base_url"] = address(name, given["base_url"])
    if "key_env" in given and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", str(given["key_env"])):
        raise UserError(  # it may be the key itself, which is not repeated
            f"model {name!r}: key_env is the name, in capitals, of the environment variable that holds the key"
        )
    return given


def address(name: str, url: str) -> str:
    """An address that calls can go to. Raises `UserError` for one that is none, or has a secret in it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port of 99999, half an IPv6 address
        good = False
    if "@" in url or "?" in url or "#" in url:
        raise UserError(
            f"model {name!r}: a base_url has no user, password or query: put the key into an environment "
            "variable and say key_env=VARIABLE"
        )
    if not good or re.search(r"[^!-~]", url):
        said = MASK if without_keys(url) != url else url
        raise UserError(f"model {name!r}: base_url {said!r} is no address; e.g. http://localhost:8000/v1")
    return url.rstrip("/")


def _wrong(option: str, value: Any) -> str:
    """What an option's value must be, where it is something else; else ""."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if option in WHOLE and not (number and isinstance(value, int) and value >= WHOLE[option]):
        return f"a whole number, at least {WHOLE[option]}"
    if option in SECONDS and not (number and 0 < value < math.inf):
        return "a number of seconds above 0"
    if option in SWITCHES and not isinstance(value, bool):
        return "true or false"
    if option in TEXTS and not (isinstance(value, str) and value.strip()):
        return "a text"
    return ""
