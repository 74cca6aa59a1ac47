"""What models cost, and what else is known of them by name: litellm's table, read as a file.

The table is a JSON inside the installed litellm package. It is read where a model behind an API is opened,
once, and without importing litellm, which takes seconds.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from oversight.errors import UserError
from oversight.models.interface import Completion, Model, Price

FREE = Price(0.0, 0.0)
"""Of models that run here."""
RUN_HERE = ("local", "scripted", "simulated", "human")
"""Kinds of models (`Model.kind`) that cost nothing unless the user says so."""
OPTIONS = ("price_in", "price_out", "price_cached")
"""A seat's options for what its model costs: US dollars per million tokens of prompt, of reply, and of
prompt read from the provider's cache."""
WAY_OUT = "give it price_in=…,price_out=… (US dollars per million tokens)"
TABLE = "model_prices_and_context_window_backup.json"
HALF = ("openai", "anthropic")
"""Providers whose batches cost half where the table says nothing of them."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the table says of a model.

    `context`: tokens of prompt it takes; `most_output`: tokens of reply. `features`: what it is listed to
    support (vision, response_schema, assistant_prefill, prompt_caching, reasoning, …): that one is not
    listed does not mean that it is missing. `retires`: the day it is withdrawn, as YYYY-MM-DD.
    """

    price: Price | None
    context: int | None
    most_output: int | None
    features: frozenset[str]
    retires: str | None


def price_of(name: str, options: Mapping[str, Any] | None = None) -> Price | None:
    """What a token of the model `name` (`provider/model`, as litellm spells it) costs; None is unknown.

    `price_in`, `price_out` and `price_cached` among the options win over the table. A `price_in` of one's
    own scales what the table says of cached prompts. Dearer tiers for very long prompts are left out.

    Raises `UserError` for a price that is no number from 0 up, or half a price where the table has none.
    """
    given = {o: _dollars(name, o, options[o]) for o in OPTIONS if options and options.get(o) is not None}
    known = look_up(name)
    listed = known.price if known else None
    if not given:
        return listed
    if listed is None:
        if not {"price_in", "price_out"} <= given.keys():
            raise UserError(
                f"model {name!r}: {', '.join(given)} is half a price: give price_in and price_out"
            )
        listed = Price(given["price_in"], given["price_out"], batch=_batch(name, {}))
    mine = _scaled(listed, given.get("price_in", listed.input))
    mine = replace(mine, output=given.get("price_out", mine.output))
    return replace(mine, cached=given.get("price_cached", mine.cached))


def look_up(name: str) -> Known | None:
    """The table's entry for `provider/model`, which may stand there without its provider; None for none."""
    table = _table()
    provider, _, model = name.partition("/")
    entry = table.get(name)
    for short in (model, ":".join(model.split(":")[:2])):  # ft:gpt-4o:acme:… is priced as ft:gpt-4o
        if entry is None and short and _provider(table.get(short)) == provider:
            entry = table[short]
    return None if entry is None else _known(name, entry)


def with_provider(model: str) -> str | None:
    """`provider/model` for a model that the table lists under its bare name; None for others."""
    provider = _provider(_table().get(model))
    return f"{provider}/{model}" if provider else None


def nearest(name: str) -> str | None:
    """The most similar `provider/model` of the same provider in the table; None where none is similar."""
    provider, _, model = name.partition("/")
    there = [m.removeprefix(f"{provider}/") for m, entry in _table().items() if _provider(entry) == provider]
    near = difflib.get_close_matches(model, there, n=1)
    return f"{provider}/{near[0]}" if near else None


def set_price(model: Model, name: str, options: Mapping[str, Any]) -> None:
    """Give an opened model its price: the user's, else its own, else none to pay if it runs here.

    Raises `UserError` as `price_of` does.
    """
    if any(options.get(o) is not None for o in OPTIONS):
        model.price = price_of(name, options)
    elif model.price is None and model.kind in RUN_HERE:
        model.price = FREE


def priced(completion: Completion, price: Price | None) -> Completion:
    """The completion with its cost: what its model said, else by the price; None where that is unknown."""
    if completion.cost is not None or price is None:
        return completion
    cost = 0.0 if price == FREE else price.cost(completion)
    return completion if cost is None else replace(completion, cost=cost)


def _dollars(name: str, option: str, value: Any) -> float:
    """US dollars a token, of dollars per million."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UserError(
            f"model {name!r}: {option}={value!r} is no price: write US dollars per million tokens, e.g. {option}=2.5"
        )
    return number / 1e6


def _scaled(price: Price, prompt: float) -> Price:
    share = prompt / price.input if price.input else 1.0
    cached = None if price.cached is None else price.cached * share
    written = None if price.cache_write is None else price.cache_write * share
    return Price(prompt, price.output, cached, written, price.batch)


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, Any]]:
    found = importlib.util.find_spec("litellm")
    for folder in (found.submodule_search_locations or ()) if found else ():
        try:
            table = json.loads((Path(folder) / TABLE).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a litellm that keeps it elsewhere: prices are unknown, not wrong
            continue
        return {name: entry for name, entry in table.items() if isinstance(entry, dict)}
    return {}


def _provider(entry: Mapping[str, Any] | None) -> str:
    """An entry's provider as names begin with it (the table has variants: text-completion-openai)."""
    listed = str(entry.get("litellm_provider", "")) if entry else ""
    return listed.removeprefix("text-completion-").removesuffix("_chat").partition("-")[0]


def _known(name: str, entry: Mapping[str, Any]) -> Known:
    supported = (key.removeprefix("supports_") for key, value in entry.items() if value is True)
    return Known(
        price=_price(name, entry),
        context=_count(entry.get("max_input_tokens")) or _count(entry.get("max_tokens")),
        most_output=_count(entry.get("max_output_tokens")),
        features=frozenset(supported),
        retires=entry.get("deprecation_date"),
    )


def _price(name: str, entry: Mapping[str, Any]) -> Price | None:
    prompt, reply = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if prompt is None or reply is None or not (prompt or reply):
        return None  # a zero there stands for a price nobody filled in as often as for none
    cached, written = entry.get("cache_read_input_token_cost"), entry.get("cache_creation_input_token_cost")
    return Price(prompt, reply, cached or None, written or None, _batch(name, entry))


def _batch(name: str, entry: Mapping[str, Any]) -> float:
    """What a batch call costs as a share of a call."""
    sides = ("input_cost_per_token", "output_cost_per_token")
    shares = [entry[f"{s}_batches"] / entry[s] for s in sides if entry.get(s) and entry.get(f"{s}_batches")]
    return max(shares, default=0.5 if name.partition("/")[0] in HALF else 1.0)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
