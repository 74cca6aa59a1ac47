"""Models by name. Each backend is loaded when it is used."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from oversight.errors import UserError, unknown
from oversight.library import spell
from oversight.models.interface import Model
from oversight.models.prices import OPTIONS as PRICES
from oversight.models.prices import set_price, with_provider
from oversight.secrecy import open_options


@dataclass(frozen=True)
class Provider:
    """A way of naming models: its prefix, what it takes, how one is opened, its class (as module:name), and
    the modules that it cannot do without."""

    prefix: str
    doc: str
    open: Callable[[str, Mapping[str, Any]], Model]
    made: str
    needs: tuple[str, ...] = ()

    @property
    def model(self) -> type[Model]:
        """The class. No backend's own library is imported for it."""
        module, _, name = self.made.partition(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _smollm2(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.local.model import open_smollm2

    return open_smollm2(**options)


def _torch(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.local.model import LocalModel

    return LocalModel(name.removeprefix("torch/"), **options)


def _openai(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.openai import OpenAIModel
    from oversight.models.api.options import checked

    return OpenAIModel(name, **checked(name, options))


def _anthropic(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.anthropic import AnthropicModel
    from oversight.models.api.options import checked

    return AnthropicModel(name, **checked(name, options))


def _litellm(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.api.litellm import LiteLLMModel, check_provider
    from oversight.models.api.options import checked

    check_provider(name)
    return LiteLLMModel(name, **checked(name, options))


def _scripted(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.scripted import open_scripted

    return open_scripted(name.removeprefix("scripted/"), **options)


def _simulated(name: str, options: Mapping[str, Any]) -> Model:
    from oversight.models.simulated import open_simulated

    return open_simulated(name.removeprefix("simulated/"), options)


_LOCAL = "oversight.models.local.model:LocalModel"
_IN_TORCH = ("torch", "transformers")
PROVIDERS = {
    p.prefix: p
    for p in (
        Provider(
            "smollm2",
            "the embedded default: SmolLM2-135M-Instruct on this machine",
            _smollm2,
            _LOCAL,
            _IN_TORCH,
        ),
        Provider(
            "torch/",
            "torch/<path or hub id>: a Hugging Face causal LM with a chat template; +<path or hub id>: with a LoRA adapter",
            _torch,
            _LOCAL,
            (*_IN_TORCH, "peft"),
        ),
        Provider(
            "openai/",
            "openai/<model>: OpenAI's, or any server that speaks its API by base_url",
            _openai,
            "oversight.models.api.openai:OpenAIModel",
            ("openai", "aiohttp"),
        ),
        Provider(
            "anthropic/",
            "anthropic/<model>: Claude",
            _anthropic,
            "oversight.models.api.anthropic:AnthropicModel",
            ("anthropic", "aiohttp"),
        ),
        Provider(
            "scripted/",
            "scripted/<file.yaml> or scripted/<module:function>: exact replies, for tests",
            _scripted,
            "oversight.models.scripted:Scripted",
        ),
        Provider(
            "simulated/",
            "simulated/judge or simulated/debater: players with dialled skill, for known answers",
            _simulated,
            "oversight.models.simulated:Simulated",
        ),
    )
}

OTHERS = Provider(
    "<provider>/",
    "<provider>/<model>: any other that litellm knows (gemini/…, bedrock/…, mistral/…, openrouter/…, ollama/…)",
    _litellm,
    "oversight.models.api.litellm:LiteLLMModel",
    ("litellm",),
)


def provider_of(name: str) -> Provider | None:
    """Who opens a model of that name; None for a plug-in, or a name of another form."""
    found = PROVIDERS.get(name) or next(
        (p for p in PROVIDERS.values() if p.prefix.endswith("/") and name.startswith(p.prefix)), None
    )
    plugged = _entry(name) is not None or _is_path(name)
    return OTHERS if found is None and "/" in name and not plugged else found


def open_model(name: str, options: Mapping[str, Any]) -> Model:
    """The model of that name. Raises `UserError` for one nobody knows, or options it does not take.

    Any model takes `price_in`, `price_out` and `price_cached`, which are no part of what it is.
    """
    prices = {o: v for o, v in options.items() if o in PRICES}
    options = {o: v for o, v in options.items() if o not in PRICES}
    try:
        if provider := provider_of(name):
            model = provider.open(name, options)
        elif entry := _entry(name):
            model = _from_entry(entry, name, options)
        elif _is_path(name):
            model = _plugin(name, options)
        else:
            raise _nobody(name)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise _no_option(name, error, _options_of(provider_of(name))) from None
        raise
    if not isinstance(model, Model):
        raise UserError(
            f"{name!r} is not a model: {type(model).__name__} does not derive from oversight.Model"
        )
    model.name = model.name or name
    model.identity = model.identity or spell(name, open_options(options))
    set_price(model, name, prices)
    return model


def _entry(name: str) -> EntryPoint | None:
    """The entry point that a name begins with."""
    points = entry_points(group="oversight.models")
    return next((e for e in points if e.name == name.split("/")[0]), None)


def _is_path(name: str) -> bool:
    """Whether a name is `package.module:name`."""
    return ":" in name and "/" not in name.split(":")[0]


def _nobody(name: str) -> UserError:
    """A name nobody knows, with the one that was meant."""
    if whole := with_provider(name):
        return UserError(f"no model {name!r}; did you mean {whole!r}? (see `oversight models`)")
    known = [*PROVIDERS, *(e.name for e in entry_points(group="oversight.models"))]
    return unknown("model", name, known, "(see `oversight models`)")


def _options_of(provider: Provider | None) -> list[str]:
    """What models of a provider, and seats, can be told."""
    from oversight.experiment import SeatConfig

    kinds = provider.model.__mro__ if provider else ()
    taken = (inspect.signature(vars(kind)["__init__"]) for kind in kinds[:-1] if "__init__" in vars(kind))
    own = [p.name for s in taken for p in s.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return [*own, *PRICES, *SeatConfig.model_fields]


def _no_option(name: str, error: BaseException, known: Iterable[str]) -> UserError:
    """What to say of an option that a model does not take, with the nearest it does."""
    wrong = str(error).split("'")[-2]
    near = difflib.get_close_matches(wrong, [*known, *_options_of(None)], n=1)
    return UserError(
        f"model {name!r} has no option {wrong!r}{f'; did you mean {near[0]!r}?' if near else ''}"
    )


def _from_entry(entry: EntryPoint, name: str, options: Mapping[str, Any]) -> Any:
    """`entry` or `entry/rest`: what the entry point names is called, with the rest if there is one."""
    try:
        made = entry.load()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"model {name!r}: entry point {entry.value!r} cannot be loaded: {reason}") from error
    _, slash, rest = name.partition("/")
    return _made(name, made, (rest,) if slash else (), options)


def _plugin(name: str, options: Mapping[str, Any]) -> Any:
    """`package.module:name`, a `Model` subclass or a function that returns a model."""
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise UserError(f"model {name!r}: no module {error.name!r}") from None
    except AttributeError:
        near = difflib.get_close_matches(attribute, dir(sys.modules.get(module_name)), n=1)
        tail = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"model {name!r}: module {module_name!r} has no {attribute!r}{tail}") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"model {name!r}: module {module_name!r} cannot be imported: {reason}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    return _made(name, made, (), options)


def _made(name: str, made: Any, arguments: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    """What a plug-in's class or function makes."""
    try:
        return made(*arguments, **options)
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError):
            raise
        if "unexpected keyword argument" in str(error):
            raise _no_option(name, error, inspect.signature(made).parameters) from None
        raise UserError(f"model {name!r} cannot be made: {type(error).__name__}: {error}") from error
