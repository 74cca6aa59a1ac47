"""Models by name. Each backend is loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from oversight.errors import UserError, unknown
from oversight.library import spell
from oversight.models.interface import Model
from oversight.models.prices import OPTIONS as PRICES
from oversight.models.prices import set_price
from oversight.secrecy import open_options


@dataclass(frozen=True)
class Provider:
    """A way of naming models: its prefix, what it takes, and how one is opened."""

    prefix: str
    doc: str
    open: Callable[[str, Mapping[str, Any]], Model]


def _smollm2(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.local.model import open_smollm2

    return open_smollm2(**options)


def _torch(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.local.model import LocalModel

    return LocalModel(name.removeprefix("torch/"), **options)


def _openai(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.openai import OpenAIModel

    return OpenAIModel(name, **options)


def _anthropic(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.anthropic import AnthropicModel

    return AnthropicModel(name, **options)


def _litellm(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.litellm import LiteLLMModel, check_provider

    check_provider(name)
    return LiteLLMModel(name, **options)


def _scripted(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.scripted import open_scripted

    return open_scripted(name.removeprefix("scripted/"), **options)


def _simulated(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.simulated import open_simulated

    return open_simulated(name.removeprefix("simulated/"), options)


PROVIDERS = {
    p.prefix: p
    for p in (
        Provider("smollm2", "the embedded default: SmolLM2-135M-Instruct on this machine", _smollm2),
        Provider(
            "torch/",
            "torch/<path or hub id>: a Hugging Face causal LM with a chat template; +<path or hub id>: with a LoRA adapter",
            _torch,
        ),
        Provider(
            "openai/", "openai/<model>: OpenAI's, or any server that speaks its API by base_url", _openai
        ),
        Provider("anthropic/", "anthropic/<model>", _anthropic),
        Provider(
            "scripted/",
            "scripted/<file.yaml> or scripted/<module:function>: exact replies, for tests",
            _scripted,
        ),
        Provider(
            "simulated/",
            "simulated/judge or simulated/debater: players with dialled skill, for known answers",
            _simulated,
        ),
    )
}


def open_model(name: str, options: Mapping[str, Any]) -> Model:
    """The model of that name. Raises `UserError` for one nobody knows, or options it does not take.

    Any model takes `price_in`, `price_out` and `price_cached`, which are no part of what it is.
    """
    prices = {o: v for o, v in options.items() if o in PRICES}
    options = {o: v for o, v in options.items() if o not in PRICES}
    provider = PROVIDERS.get(name) or next(
        (p for p in PROVIDERS.values() if p.prefix.endswith("/") and name.startswith(p.prefix)), None
    )
    try:
        if provider:
            model = provider.open(name, options)
        elif entry := next(
            (e for e in entry_points(group="oversight.models") if e.name == name.split("/")[0]), None
        ):
            model = entry.load()(name, **options)
        elif ":" in name and "/" not in name.split(":")[0]:
            model = _plugin(name, options)
        elif "/" in name:
            model = _litellm(name, options)
        else:
            known = [*PROVIDERS, *(e.name for e in entry_points(group="oversight.models"))]
            raise unknown("model", name, known, "(see `oversight list models`)")
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            wrong = str(error).split("'")[-2]
            raise UserError(f"model {name!r} has no option {wrong!r}") from None
        raise
    if not isinstance(model, Model):
        raise UserError(
            f"{name!r} is not a model: {type(model).__name__} does not derive from oversight.Model"
        )
    model.name = model.name or name
    model.identity = model.identity or spell(name, open_options(options))
    set_price(model, name, prices)
    return model


def _plugin(name: str, options: Mapping[str, Any]) -> Any:
    """`package.module:name`, a `Model` subclass or a function that returns a model."""
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise UserError(f"model {name!r}: no module {error.name!r}") from None
    except AttributeError:
        raise UserError(f"model {name!r}: module {module_name!r} has no {attribute!r}") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"model {name!r}: module {module_name!r} cannot be imported: {reason}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    try:
        return made(**options)
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError) or "unexpected keyword argument" in str(error):
            raise
        raise UserError(f"model {name!r} cannot be made: {type(error).__name__}: {error}") from error
