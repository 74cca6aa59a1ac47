"""Secrets never land: what looks like a key is masked before anything is stored or printed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"
SHORTEST = 8
"""Characters that a value must have to be taken for a key wherever it turns up in a text."""
_NAME = r"[\w-]*(?:api_?key|key|token|secret|password|passwd|credential|authorization)s?"
_PAIR = re.compile(rf"""(\b{_NAME}["']?\s*[=:]\s*["']?)([^\s,"'}}]+)""", re.IGNORECASE)
_SURE = re.compile(
    r"""(\b[\w-]*(?:api_?key|secret|passw(?:or)?d|credential)s?["']?\s*[=:]\s*["']?)([^\s,"'}]+)""", re.I
)
"""Pairs that are secret in any text; "token: …" and "key=value" are also said of other things."""
_WORD = re.compile(rf"^(?!max_tokens$|stop_token).*{_NAME}$", re.IGNORECASE)
_MARKS = re.compile(r"(?<![\w-])(?:sk-[\w*-]{6,}|(?<=Bearer )\S+)")
_USER = re.compile(r"(://)[^\s/?#\"']*@")
_QUERY = re.compile(r"(https?://[^\s?\"']*\?)[^\s\"']+", re.IGNORECASE)

_met: set[str] = set()


@lru_cache(maxsize=4096)  # each call that fails asks it of every variable of the environment
def is_secret(name: str) -> bool:
    """Whether an option of that name is likely to hold a secret (`api_key`, `token`; not `max_tokens`)."""
    return bool(_WORD.match(name))


def remember(secret: str) -> None:
    """A key that has been found, wherever that was: from now on it is taken out of every text."""
    if len(secret) >= SHORTEST:
        _met.add(secret)


def keys_there() -> list[str]:
    """Every key that is known: of the environment, and those found; the longest first, for a key may hold another."""
    there = {v.strip() for name, v in os.environ.items() if is_secret(name) and len(v.strip()) >= SHORTEST}
    return sorted(there | _met, key=len, reverse=True)


def masked(text: str) -> str:
    """A command, a setting or a value as it was typed, with the values of `api_key=…` and the like taken
    out, beside what `without_keys` takes out."""
    text = _PAIR.sub(lambda m: m[0] if "max_tokens" in m[1].lower() else m[1] + MASK, text)
    return without_keys(text)


def without_keys(text: str) -> str:
    """A message without keys: those of the environment, what looks like one, and what a URL has of user,
    password and query."""
    for secret in keys_there():
        text = text.replace(secret, MASK)
    text = _QUERY.sub(rf"\1{MASK}", _USER.sub(rf"\1{MASK}@", text))
    return _MARKS.sub(MASK, _SURE.sub(rf"\1{MASK}", text))


def masked_in(value: Any) -> Any:
    """A value as JSON has it, with every text in it masked and the options that hold secrets too."""
    if isinstance(value, Mapping):
        return {k: MASK if is_secret(str(k)) else masked_in(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked_in(v) for v in value]
    return masked(value) if isinstance(value, str) else value


def open_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that hold secrets."""
    return {name: value for name, value in options.items() if not is_secret(name)}
