"""One run: a plan is played into a database, and can be stopped and gone on with at any moment."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from oversight.engine.batches import MOST, Batches, poll_of_environment
from oversight.engine.budget import Budget, budget_of
from oversight.engine.calls import Caller
from oversight.engine.plan import Plan
from oversight.engine.play import Play
from oversight.engine.sharing import CANCELLED, Shared, Sharing
from oversight.engine.turns import Line, Turns
from oversight.episode import Planned, Run
from oversight.errors import OverBudget
from oversight.models.contract import finish, make_ready
from oversight.models.interface import Model
from oversight.question import Label, Question
from oversight.secrecy import masked, masked_in
from oversight.store.log import Log
from oversight.store.serve import Server, Serving

AT_A_TURN = 16
"""Episodes that begin at one turn of the loop."""


@dataclass
class Progress:
    """How far a run has come; the engine counts, whoever likes looks."""

    planned: int = 0
    already_done: int = 0
    retried: int = 0
    unread: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Final verdicts that other processes brought to a shared run, by status."""
    caller: Caller | None = None
    models: tuple[Model, ...] = ()
    calls: int = 0
    """Calls, made or found, of the episodes played in this run."""
    started: float = field(default_factory=time.monotonic)
    stopping: bool = False

    @property
    def done(self) -> int:
        """Episodes played in this run."""
        return sum(self.statuses.values())


def play_plan(
    plan: Plan,
    progress: Progress | None = None,
    *,
    retry_failed: bool = True,
    command: str = "",
    sharing: Sharing | None = None,
) -> Run:
    """Play what of a plan has no verdict yet; failed episodes are tried again unless told otherwise.

    Blocks until done, or until SIGINT or SIGTERM: then calls under way are dropped, all that is
    committed stays, and the `Run` says `stopped`; likewise where the experiment's `max_cost` or `max_calls`
    is reached, but then calls under way are let finish. With `sharing`, other processes play it as well.
    Raises `UserError` for what the user can mend.
    """
    progress = progress or Progress()
    budget = budget_of(plan.experiment, plan.models)
    run = int.from_bytes(secrets.token_bytes(8), "big")
    begun = (run, plan.experiment.seed, masked(command), _config(plan), _code(), len(plan))
    log, shared = (
        (Log(plan.experiment.db.resolve()), None)
        if sharing is None
        else sharing.open(plan, progress, retry_failed, begun)
    )
    server: Serving | Server | None = None
    began = time.monotonic()
    status = "crashed"
    try:
        _reveal(plan)
        if sharing is None:
            log.begin(*begun)
        server = Serving(log.writer.con, log.path) if sharing is None else sharing.serve(log)
        progress.planned, progress.models = len(plan), tuple(plan.models)
        with _for_thousands():
            stopped = _run_loop(_play_all(plan, log, progress, retry_failed, budget, shared))
        status = (
            "stopped"
            if stopped
            else "failed"
            if progress.statuses["failed"] or progress.elsewhere["failed"] or progress.unread
            else "finished"
        )
    except KeyboardInterrupt:  # before or after the loop, which hears of it itself
        status = "stopped"
        raise
    finally:
        try:
            if server is not None:
                server.stop()
            log.end(status, progress.already_done, progress.done)
        finally:
            if sharing is not None:
                sharing.close()
            log.close()
    if log.failed:
        raise log.failed
    caller = progress.caller
    return Run(
        key=run,
        database=str(plan.experiment.db),
        planned=progress.planned,
        already_done=progress.already_done,
        played=progress.done,
        statuses=dict(progress.statuses + progress.elsewhere + log.standing),
        calls=caller.made if caller else 0,
        calls_from_store=caller.reused if caller else 0,
        seconds=time.monotonic() - began,
        stopped=status == "stopped",
        limit=budget.said,
        unread=progress.unread,
    )


@contextmanager
def _for_thousands() -> Iterator[None]:
    """The interpreter as thousands of episodes in flight need it. Cyclic garbage is looked for less often, and not
    among what was there before: that search is a quarter of the engine's time, and finds next to nothing. And the
    thread that commits waits a millisecond for its turn, at each of a commit's dozens of steps, where it would wait
    five: the episodes wait for it."""
    before, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(400_000, 10, 5)
    sys.setswitchinterval(min(interval, 0.001))
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*before)
        gc.unfreeze()


async def _play_all(
    plan: Plan, log: Log, progress: Progress, retry_failed: bool, budget: Budget, shared: Shared | None
) -> bool:
    """True when it was stopped before the end."""
    batches = Batches(log, poll=poll_of_environment()) if plan.experiment.batch else None
    caller = progress.caller = Caller(log, budget, batches, shared)
    publish = {s.name: s.task.publish for s in plan.tasks}

    def wanted() -> Iterator[tuple[int, Planned]]:
        for place, planned in enumerate(plan.episodes()):
            before = log.finished.get(planned.episode.key)
            unread = planned.episode.key in log.unread
            log.add_episode(planned.episode, planned.label, publish[planned.episode.task])
            if before is not None and not (retry_failed and (before == "failed" or unread)):
                progress.already_done += 1
                progress.unread += unread
                log.standing[before] += 1
                continue
            progress.retried += before is not None
            yield place, planned

    turns: Turns | Shared = shared or Turns(plan, wanted())
    if shared is not None:
        await shared.open(wanted())
    ready: asyncio.Future[Any] | None = None

    async def work(line: Line) -> None:
        nonlocal ready
        while (planned := await turns.take(line)) is not None:
            if ready is None:  # only where something is left to play
                ready = asyncio.ensure_future(make_ready(plan.models))
            await asyncio.shield(ready)
            if shared is not None and not shared.holds(planned.episode):  # its lease ran out meanwhile
                continue
            play = Play(planned.episode, caller, log)
            try:
                verdict = await (play.run() if shared is None else shared.see_through(play))
            except OverBudget:  # the next episode may find all its calls in the store
                continue
            if verdict is None:  # another process plays it now
                continue
            progress.statuses[verdict.status] += 1
            progress.unread += play.unread
            progress.calls += play.calls

    places = min(_at_once(plan), max(1, len(plan)))
    workers: list[asyncio.Task[None]] = []
    if shared is not None:
        workers.append(asyncio.create_task(shared.attend()))
    _on_signals(workers, progress)
    try:
        for i in range(places):
            workers.append(asyncio.create_task(work(turns.lines[i % len(turns.lines)])))
            if i % AT_A_TURN == 0:  # replies to the first calls are heard while others begin
                await asyncio.sleep(0)
                if ready is not None and not ready.done():
                    await asyncio.wait((ready, *workers), return_when=asyncio.FIRST_COMPLETED)
                if any(w.done() and not w.cancelled() and w.exception() for w in workers):
                    break
            if progress.stopping:
                break
        done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if task.cancelled():
                if not progress.stopping:  # nobody asked, and its episodes are missing
                    raise RuntimeError(CANCELLED)
            elif (error := task.exception()) is not None:
                raise error
        return progress.stopping or bool(budget.over)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        if batches is not None:
            await batches.stop()
        await finish(plan.models)
        if not log.failed:
            await log.durable()


def _at_once(plan: Plan) -> int:
    """Episodes under way at once. In batches as many as there are, for each turn waits for hours."""
    e = plan.experiment
    return MOST if e.batch and "concurrency" not in e.model_fields_set else e.concurrency


def _on_signals(workers: list[asyncio.Task[None]], progress: Progress) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # in a notebook the kernel owns the signals

    def handle() -> None:
        if progress.stopping:
            os._exit(130)  # asked twice: what is committed is safe, the rest is not waited for
        progress.stopping = True
        for worker in workers:
            worker.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            loop.add_signal_handler(number, handle)


def _run_loop(main: Any) -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return bool(asyncio.run(main))
    # Called where a loop runs already (a notebook): ours gets a thread of its own.
    result: list[bool] = []
    problem: list[BaseException] = []
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def watched() -> None:
        task = asyncio.current_task()
        assert task is not None
        inside.append((asyncio.get_running_loop(), task))
        result.append(bool(await main))

    def target() -> None:
        try:
            asyncio.run(watched())
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=target, name="oversight-run")
    thread.start()
    try:
        thread.join()
    except BaseException:  # the cell was interrupted: the run must end before its database is closed
        if inside:
            loop, task = inside[0]
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if problem:
        raise problem[0]
    return result[0]


def _reveal(plan: Plan) -> None:
    """Tell simulated players, whose accuracy is dialled, what is right. Nobody else is ever told."""
    simulated: list[Model] = [m for m in plan.models if m.kind == "simulated"]
    if not simulated:
        return
    from oversight.models.simulated import Simulated

    key: list[tuple[Question, Label]] = [item for sampled in plan.tasks for item in sampled.items]
    for model in simulated:
        if isinstance(model, Simulated):
            model.reveal(key)


def _config(plan: Plan) -> str:
    """The experiment as JSON, without secrets."""
    return json.dumps(masked_in(plan.experiment.model_dump(mode="json")))


def _code() -> str:
    return json.dumps(
        {"python": sys.version.split()[0], "platform": platform.platform(), "machine": platform.machine()}
    )
