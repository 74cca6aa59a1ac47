"""What is known of models and their providers before any call: for `oversight models`. No network is used."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import entry_points

from oversight.elicit import able
from oversight.errors import UserError
from oversight.models import OTHERS, PROVIDERS, Provider
from oversight.models.api.base import ApiModel, open_url
from oversight.models.api.keys import variable
from oversight.models.api.litellm import LiteLLMModel
from oversight.models.interface import Model
from oversight.models.prices import WAY_OUT, look_up, nearest

PLUG_IN = "package.module:name"


@dataclass(frozen=True, slots=True)
class AboutProvider:
    """A way of naming models. `keys`: the variables in which its key is looked for, and whether each is set
    (in the environment or a `.env`). `missing`: what is not installed or fetched, "" for nothing.
    `elicitations`: the ways in which such a model's verdicts can be read."""

    name: str
    doc: str
    keys: Mapping[str, bool]
    missing: str
    elicitations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AboutModel:
    """One model, as far as that is known without a call.

    Prices are US dollars per million tokens, `batch` what a batch call costs as a share of a call; `context`
    and `hidden` (room for reasoning nobody sees) are tokens; None is unknown. `log_probs` are those of a
    reply's first token, `scores` those of any continuation. `key`: the variable with its key, and whether it
    is set; "" for a model that needs none. `retires`: the day it is withdrawn, as YYYY-MM-DD.
    """

    name: str
    kind: str
    identity: str
    address: str
    key: str
    elicitations: tuple[str, ...]
    usual_elicitation: str
    context: int | None
    price_in: float | None
    price_out: float | None
    price_cached: float | None
    batch: float | None
    images: bool
    structured: bool
    log_probs: bool
    scores: bool
    prefill: bool
    temperature: tuple[float, float]
    hidden: int
    retires: str | None
    warnings: tuple[str, ...]


def about_providers() -> list[AboutProvider]:
    """Every way of naming a model, with entry points of installed packages."""
    rows = [_provider(p) for p in PROVIDERS.values()]
    rows += [
        AboutProvider(e.name, f"from the installed {e.value}", {}, "", ())
        for e in entry_points(group="oversight.models")
    ]
    own = "a Model class of your own, or a function that returns one"
    return [*rows, _provider(OTHERS), AboutProvider(PLUG_IN, own, {}, "", ())]


def about_model(model: Model, today: date | None = None) -> AboutModel:
    """What an opened model says of itself, and the price table of it."""
    api = model if isinstance(model, ApiModel) else None
    at_home = api is not None and api.base_url == api.default_url
    known = look_up(model.name) if at_home else None
    price, retires = model.price, known.retires if known else None
    key, wrong = _key(api) if api else ("", "")
    warnings = [wrong] if wrong else []
    if retires and retires <= (today or date.today()).isoformat():
        warnings.append(f"it was withdrawn on {retires}: take another model")
    if at_home and known is None:
        near = nearest(model.name)
        warnings.append(f"the price table does not have it{f'; did you mean {near!r}?' if near else ''}")
    if api and price is None:
        warnings.append(f"its price is unknown: {WAY_OUT}")
    return AboutModel(
        name=model.name,
        kind=model.kind,
        identity=model.identity,
        address=open_url(api.base_url) if api and api.base_url else "",
        key=key,
        elicitations=tuple(able(model)),
        usual_elicitation=model.elicitation,
        context=model.context,
        price_in=_per_million(price.input if price else None),
        price_out=_per_million(price.output if price else None),
        price_cached=_per_million(price.cached if price else None),
        batch=price.batch if price and api and api.batches else None,
        images=model.images,
        structured=model.structured,
        log_probs=model.letters,
        scores=model.scores,
        prefill=model.prefills,
        temperature=model.temperatures,
        hidden=model.hidden,
        retires=retires,
        warnings=tuple(warnings),
    )


def _per_million(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars * 1e6, 6)


def _provider(provider: Provider) -> AboutProvider:
    kind = provider.model
    names: tuple[str, ...] = getattr(kind, "key_names", ()) if provider is not OTHERS else ()
    keys = {name: variable(name) is not None for name in names}
    return AboutProvider(provider.prefix, provider.doc, keys, _missing(provider), tuple(able(kind)))


def _missing(provider: Provider) -> str:
    gone = [module for module in provider.needs if importlib.util.find_spec(module) is None]
    if gone:
        extra = "oversight[local]" if "torch" in provider.needs else "oversight"
        return f"{', '.join(gone)}: pip install '{extra}'"
    if provider.prefix == "smollm2":
        from oversight.models.local import smollm2

        try:
            smollm2.find()
        except UserError as error:
            return str(error)
    return ""


def _key(model: ApiModel) -> tuple[str, str]:
    """Where a model's key is, and what is wrong with that."""
    try:
        found = model.key()
    except UserError as error:
        return "missing", str(error)
    if found == "none":
        return "none is sent (key_env=VARIABLE names one)", ""
    if isinstance(model, LiteLLMModel) and not model.key_env:
        return "set, as litellm finds it", ""
    names = (model.key_env,) if model.key_env else model.key_names
    return f"{next((n for n in names if variable(n)), names[0])} is set", ""
