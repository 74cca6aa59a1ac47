"""Keys: from the environment, or from a `.env` file in this folder or one above it."""

from __future__ import annotations

import os
from functools import cache

from dotenv import find_dotenv, load_dotenv


@cache
def _load() -> str:
    """Read the nearest `.env` into the environment, which wins; the file's path, "" if there is none."""
    path = find_dotenv(usecwd=True)
    if path:
        load_dotenv(path)
    return path


def find_key(*names: str) -> str | None:
    """The first of the environment variables `names` that is set, in the environment or a `.env` file."""
    _load()
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def key_missing(model: str, names: tuple[str, ...]) -> str:
    """What to say where there is none."""
    where = f"the environment or in {_load() or 'a .env file'}"
    return f"model {model!r} needs a key: set {' or '.join(names)} in {where}"
