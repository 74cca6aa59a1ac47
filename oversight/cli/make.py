"""`oversight make`: have a model write what a task needs and its source lacks (wrong solutions), into a file.

A task's folder that has a `make.py` defines `make(ask, limit, *, option=…)`, whose options are written as the
task's are. `ask(prompts, drawn)` returns a reply for each prompt, None for a call that gave none; `drawn` is
which draw of them it is, from 0. It returns an object with `rows` (of JSON) and `counts` (by what they count).
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oversight.errors import OverBudget, UserError

if TYPE_CHECKING:
    from oversight.engine.budget import Budget
    from oversight.engine.calls import Caller
    from oversight.experiment import SeatConfig
    from oversight.models.interface import Model, Sampling
    from oversight.task import Task

TEMPERATURE, TOKENS = 0.8, 800
"""How replies are drawn unless the user says otherwise: unlike each other, and with room for a solution."""


def make(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="Whose make.py, e.g. gsm8k:style=prose.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="Who writes: name:key=value,key=value.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The JSON file to write; one there is replaced.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many problems.")] = None,
    db: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where calls are kept; default FILE.duckdb beside it.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="DOLLARS", min=0, help="Stop before the calls can cost more.")
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Stop before making more calls; those found are free."),
    ] = None,
) -> int:
    """Have a model write a task's wrong answers, checked by the task, into a file.

    Every reply is kept as it comes: the same command again goes on, and makes no call twice.
    """
    import shlex

    from oversight.secrecy import masked

    command = masked(shlex.join(["oversight", *(ctx.obj or ["make", task])]))
    making = Making(task, model, out, db or out.with_name(f"{out.name}.duckdb"), limit, command)
    _check_folders(making.out, making.db)
    try:
        return _make(making, max_cost, max_calls)
    except KeyboardInterrupt:
        _tell(f"oversight: stopped; every reply that came is kept. The same command goes on: {command}")
        return 130


@dataclass(frozen=True, slots=True)
class Making:
    """What is asked for: task and model as the user wrote them, where it goes, and the whole command."""

    task: str
    model: str
    out: Path
    db: Path
    limit: int | None
    command: str


class Asker:
    """Makes a task's calls through the engine, so that each is durable before it is used, and made once.

    `failed` counts the calls that gave no usable reply, by reason; `said` is the first error there was.
    """

    def __init__(self, model: Model, sampling: Sampling, caller: Caller, runner: asyncio.Runner) -> None:
        self.model, self.sampling, self.caller, self.runner = model, sampling, caller, runner
        self.failed: Counter[str] = Counter()
        self.said = ""
        self._over: OverBudget | None = None
        self._ready = False

    def __call__(self, prompts: Sequence[str], drawn: int) -> list[str | None]:
        _tell(f"make: draw {drawn + 1}, {len(prompts):,} prompts to {self.model.name}")
        return self.runner.run(self._all(prompts, drawn))

    def failures(self) -> str:
        """How many calls gave no usable reply, and why; "" for none."""
        if not self.failed:
            return ""
        reasons = ", ".join(f"{reason}: {n:,}" for reason, n in self.failed.most_common())
        said = f", e.g. {self.said}" if self.said else ""
        return f"{self.failed.total():,} calls gave no usable reply ({reasons}){said}"

    async def _all(self, prompts: Sequence[str], drawn: int) -> list[str | None]:
        from oversight.models.contract import make_ready

        if not self._ready:
            await make_ready([self.model])
            self._ready = True
        calls = [asyncio.ensure_future(self._one(prompt, drawn)) for prompt in prompts]
        try:
            replies = await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        if self._over:
            raise self._over
        return replies

    async def _one(self, prompt: str, drawn: int) -> str | None:
        from oversight.errors import CallFailed
        from oversight.models.interface import Message, Request

        try:
            made = await self.caller.make(
                self.model, Request((Message("user", prompt),), self.sampling), drawn
            )
        except OverBudget as error:  # calls under way are paid: they are let finish
            self._over = error
            return None
        except CallFailed as error:
            self.failed[error.reason] += 1
            self.said = self.said or str(error)
            return None
        if made.completion.stop != "end":
            self.failed["truncated" if made.completion.stop == "length" else made.completion.stop] += 1
            return None
        return made.completion.text


def _make(making: Making, max_cost: float | None, max_calls: int | None) -> int:
    from oversight.experiment import seat_from
    from oversight.library import find_task, split_spec
    from oversight.models import open_model
    from oversight.models.contract import let_go

    name, given = split_spec(making.task)
    task = find_task(name)
    write = maker(task)
    options = _options(task, write, given)
    seat = seat_from(making.model)
    model = open_model(seat.model, seat.options)
    try:
        sampling = _sampling(seat, model)
        budget = _budget(model, max_cost, max_calls)
        try:
            made, asker = _played(
                lambda ask: write(ask, making.limit, **options), model, sampling, making, budget
            )
        except OverBudget:
            _tell(
                f"oversight: stopped at the limit, {budget.said}; every reply that came is kept in {making.db}, "
                f"and {making.out} is not written. A limit is for one invocation: the same command goes on, with "
                f"a higher one further: {making.command}"
            )
            return 3
    finally:
        let_go([model])
    for what, n in made.counts.items():
        print(f"{n:>8,}  {what}")
    print(f"{asker.caller.made:>8,}  calls made, {asker.caller.reused:,} found in {making.db}")
    failures = asker.failures()
    if not made.rows:
        nothing = f"make {task.name}: nothing came of it, and {making.out} is not written"
        if failures:
            _tell(f"oversight: {nothing}: {failures}; the same command tries again: {making.command}")
            return 1
        more = (
            f"; draw more often, {task.name}:samples={2 * options['samples']}" if "samples" in options else ""
        )
        raise UserError(f"{nothing}: every call was answered, and no reply was of use{more}")
    _write(making.out, [{**row, "made_by": model.name} for row in made.rows])
    print(f"{len(made.rows):>8,}  rows in {making.out}")
    if failures:
        _tell(
            f"oversight: {failures}; the same command tries those again that got no answer: {making.command}"
        )
        return 1
    return 0


def maker(task: Task) -> Callable[..., Any]:
    """The `make` of a task's folder. Raises `UserError` where it has none."""
    import importlib

    from oversight.errors import BadProtocol

    package = task.questions.__module__
    try:
        found = getattr(importlib.import_module(f"{package}.make"), "make", None)
    except ModuleNotFoundError as error:
        if error.name != f"{package}.make":
            raise BadProtocol(f"the make.py of task {task.name!r}: {error}") from error
        raise UserError(f"task {task.name!r} has no make.py: there is nothing to make for it") from None
    if not callable(found):
        raise BadProtocol(f"the make.py of task {task.name!r} defines no make(ask, limit, …)")
    return found  # type: ignore[no-any-return]


def _options(task: Task, write: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options of a task's `make`, read as the task's own are."""
    import inspect
    from dataclasses import replace
    from functools import partial

    from oversight.library import read_params

    like_task = replace(task, questions=partial(write, None, None), doc=inspect.getdoc(write) or "")
    return read_params(like_task, given, "make")


def _sampling(seat: SeatConfig, model: Model) -> Sampling:
    """How the model draws. Raises `UserError` for a model that writes nothing, or always the same."""
    from oversight.engine.seating import temperature_of
    from oversight.models.interface import Sampling

    if model.kind in ("simulated", "human"):
        raise UserError(f"model {model.name!r} writes no solutions: name one that generates text")
    low, high = model.temperatures
    unsaid = seat.temperature is None
    temperature = min(max(TEMPERATURE, low), high) if unsaid else temperature_of(seat, model)
    if temperature == 0:
        raise UserError("make draws a problem several times: give the model a temperature above 0")
    return Sampling(temperature, seat.top_p, seat.max_tokens or TOKENS, tuple(seat.stop))


def _budget(model: Model, max_cost: float | None, max_calls: int | None) -> Budget:
    from oversight.engine.budget import Budget
    from oversight.models.prices import WAY_OUT

    if max_cost is not None and model.price is None:
        raise UserError(f"max_cost needs to know what model {model.name!r} costs, and nobody said: {WAY_OUT}")
    return Budget(max_cost, max_calls)


def _played(
    write: Callable[[Asker], Any], model: Model, sampling: Sampling, making: Making, budget: Budget
) -> tuple[Any, Asker]:
    """What `write` made, its calls kept as those of a run without episodes."""
    from oversight.engine.calls import Caller
    from oversight.models.contract import finish
    from oversight.secrecy import masked
    from oversight.store.log import Log
    from oversight.store.serve import Serving

    log = Log(making.db.resolve())
    status, server = "crashed", None
    try:
        config = {"make": making.task, "model": masked(making.model), "limit": making.limit}
        run = int.from_bytes(secrets.token_bytes(8), "big")
        log.begin(run, 0, making.command, json.dumps(config), "{}", 0)
        server = Serving(log.writer.con, log.path)
        with asyncio.Runner() as runner:
            asker = Asker(model, sampling, Caller(log, budget), runner)
            try:
                made = write(asker)
            finally:
                runner.run(finish([model]))
        status = "failed" if asker.failed else "finished"
    except (KeyboardInterrupt, OverBudget):
        status = "stopped"
        raise
    finally:
        if server is not None:
            server.stop()
        log.end(status, 0, 0)
        log.close()
    return made, asker


def _check_folders(*files: Path) -> None:
    """Before anything is paid: whether the files can be written there."""

    for file in files:
        if not file.resolve().parent.is_dir():
            raise UserError(f"no folder {file.parent}: make it, or name another file than {file}")
        if file.is_dir():
            raise UserError(f"{file} is a folder: name a file")


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows, or nothing: a half-written file would be read as a whole one."""

    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{out} cannot be written: {error.strerror}; name another --out") from None


def _tell(line: str) -> None:
    from oversight.report.safe import one_line
    from oversight.secrecy import without_keys

    print(one_line(without_keys(line)), file=sys.stderr, flush=True)
