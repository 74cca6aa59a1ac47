"""Where a model of somebody's own meets the engine: what it raises becomes one line that names it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from types import TracebackType

from oversight.errors import BadModel, OversightError
from oversight.models.interface import Model
from oversight.secrecy import without_keys

log = logging.getLogger("oversight")


class blamed:
    """A block in which `model` is used. Raises `BadModel` for what it raises unannounced."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, OversightError):
            said = f"{_said(error)} (OVERSIGHT_DEBUG=1 shows where)"
            raise BadModel(f"model {self._model.name!r} raised {said}") from error


async def make_ready(models: Iterable[Model]) -> None:
    """Before their first calls. Raises `UserError` for what would make every call fail."""

    async def one(model: Model) -> None:
        with blamed(model):
            await model.ready()

    await asyncio.gather(*(one(model) for model in models))


async def finish(models: Iterable[Model]) -> None:
    """After their last calls. Every reply is kept by then, so what goes wrong is a warning."""

    async def one(model: Model) -> None:
        try:
            await model.done()
        except (Exception, SystemExit) as error:
            _warn(model, "done", error)

    await asyncio.gather(*(one(model) for model in models))


def let_go(models: Iterable[Model]) -> None:
    """Close each of them, whatever another does. What goes wrong is a warning."""
    for model in models:
        try:
            model.close()
        except (Exception, SystemExit) as error:
            _warn(model, "close", error)


def _warn(model: Model, where: str, error: BaseException) -> None:
    log.warning(
        "oversight: model %r raised in %s(): %s; no reply is lost by it", model.name, where, _said(error)
    )


def _said(error: BaseException) -> str:
    return without_keys(" ".join(f"{type(error).__name__}: {error}".rstrip(": ").split()))
