"""Secrets never land: what looks like a key is masked before anything is stored or printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
_NAME = r"[\w-]*(?:api_?key|key|token|secret|password|passwd|credential|authorization)s?"
_PAIR = re.compile(rf"""(\b{_NAME}["']?\s*[=:]\s*["']?)([^\s,"'}}]+)""", re.IGNORECASE)
_WORD = re.compile(rf"^(?!max_tokens$|stop_token).*{_NAME}$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether an option of that name is likely to hold a secret (`api_key`, `token`; not `max_tokens`)."""
    return bool(_WORD.match(name))


def masked(text: str) -> str:
    """Text with the values of `api_key=…` and the like taken out."""
    return _PAIR.sub(lambda m: m[0] if "max_tokens" in m[1].lower() else m[1] + MASK, text)


def open_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without those that hold secrets."""
    return {name: value for name, value in options.items() if not is_secret(name)}
