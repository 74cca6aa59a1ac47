"""Keys: from the environment, or from a `.env` file in this folder or one above it."""

from __future__ import annotations

import os
from functools import cache

from dotenv import find_dotenv, load_dotenv

from oversight.secrecy import remember


@cache
def _load() -> str:
    """Read the nearest `.env` into the environment, which wins; the file's path, "" if there is none."""
    path = find_dotenv(usecwd=True)
    if path:
        load_dotenv(path)
    return path


def env_file() -> str:
    """The `.env` file that keys are looked for in after the environment, "" if there is none."""
    return _load()


def variable(*names: str) -> str | None:
    """The first of the environment variables `names` that is set, in the environment or a `.env` file."""
    _load()
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def find_key(*names: str) -> str | None:
    """As `variable`, and what is found is kept out of every text from now on."""
    found = variable(*names)
    if found is not None:
        remember(found)
    return found


def key_missing(model: str, names: tuple[str, ...]) -> str:
    """What to say where there is none."""
    where = f"the environment or in {_load() or 'a .env file'}"
    return f"model {model!r} needs a key: set {' or '.join(names)} in {where}"
