"""A worker's side of a shared run: a log that writes to the owner, and leases that the owner gives.

All that the engine adds, asks and waits for gathers while one message is under way and goes with the next, so a
thousand calls in flight cost a few messages a second each way. A message has a number: one whose answer was lost is
sent again, and the owner answers it as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oversight import __version__
from oversight.engine.plan import Plan
from oversight.engine.sharing import CANCELLED
from oversight.engine.sharing.wire import (
    Op,
    plain,
    plain_chosen,
    plain_readings,
    plain_request,
    read,
)
from oversight.engine.turns import Line, lines_of
from oversight.episode import Episode, Planned
from oversight.errors import CallFailed, OverBudget, StoreError
from oversight.models.interface import Completion, Model, Request
from oversight.moves import Seat, Turn, Verdict
from oversight.question import Label
from oversight.secrecy import without_keys
from oversight.store.keys import Keys, Statuses
from oversight.store.log import Chosen, Reading
from oversight.store.share import Link, Silent, Unheard

if TYPE_CHECKING:
    from oversight.engine.play import Play
    from oversight.engine.run import Progress

GATHER = 0.004
"""Seconds in which what belongs together gathers before a message is sent."""

AGAIN = 0.1
"""Seconds until the owner is asked again for what another process is at."""


PATIENCE = 30.0
"""Seconds for which an owner that is not heard is asked again."""

AT_FIRST = 5.0
"""As many before it was ever heard."""


@dataclass
class Held:
    """An episode that is leased to us: its place in the plan, the turns it has already, and what plays it."""

    place: int
    episode: Episode
    turns: Mapping[int, Turn]
    task: asyncio.Task[Verdict] | None = None


class Guest:
    """Plays as a worker: the `Log`, and the leases, of a run that another process owns.

    `name` is what the owner is called, `digest` what our plan must share with its. `gone` says, after an unheard
    message, whether it is known to have ended; `joined` is called with the number of others at work.
    """

    def __init__(
        self,
        plan: Plan,
        progress: Progress,
        digest: str,
        link: Link,
        name: str,
        gone: Callable[[], bool],
        joined: Callable[[int], None],
    ) -> None:
        self.path = name
        self.run = 0
        self.failed: StoreError | None = None
        self.finished = Statuses({})
        self.unread: set[int] = set()
        self.standing: Counter[str] = Counter()
        self._digest, self._link, self._gone, self._joined = digest, link, gone, joined
        self._thread = ThreadPoolExecutor(1, "oversight-guest")
        self._plan, self._progress = plan, progress
        self._line = lines_of(plan)
        self.lines = sorted(set(self._line.values()))
        self._places = {id(model): place for place, model in enumerate(plan.models)}
        self._held: dict[int, Held] = {}
        """What is leased to us, by the episode's key."""
        self._ttl = 60.0
        self._number = -1
        self._epoch = 0
        self._heard = 0.0
        self._ops: list[Op] = []
        self._texts = Keys()
        """Messages whose text the owner has."""
        self._durable: asyncio.Future[None] | None = None
        self._calls: dict[int, tuple[list[Any], asyncio.Future[Completion | None]]] = {}
        self._release: list[int] = []
        self._give_back: list[int] = []
        self._wanted: list[tuple[Line, asyncio.Future[Planned | None]]] = []
        self._over = False
        self._unread_elsewhere = 0
        self._news: asyncio.Event
        self._settled: asyncio.Future[None]

    # coming and going

    def begin(self, run: int, seed: int, command: str, config: str, code: str, planned: int) -> None:
        """Join the owner's run as `run`. Raises `StoreError` where it does not take us, or does not answer."""
        self.run = run
        message = {"do": "join", "run": run, "digest": self._digest, "version": __version__}
        message |= {"seed": seed, "command": command, "config": config, "code": code}
        try:
            told = self._ask(message)
        except BaseException as error:  # there is nobody to take leave of, nor to be asked again
            self.failed = error if isinstance(error, StoreError) else StoreError("did not join")
            raise
        self._heard = _now()
        self._ttl = float(told["ttl"])
        self.finished = Statuses.told(told["finished"])
        self.unread = set(told["unread"])
        self._joined(told["members"] - 1)

    def end(self, status: str, already_done: int, played: int) -> None:
        """Take leave. An owner that is gone is let be: the next run says of this one that it was killed."""
        if self.failed is None:
            try:
                self._ask({**self._message(), "do": "leave", "status": status, "already_done": already_done})
            except StoreError as error:
                self.failed = error

    def close(self) -> None:
        self._thread.shutdown()
        self._link.close()

    def _ask(self, message: Any) -> Any:
        """Ask the owner, from a thread of its own, so that Ctrl-C is heard meanwhile."""
        return self._thread.submit(self._asked, message).result()

    def _asked(self, message: Any) -> Any:
        until = time.monotonic() + (PATIENCE if self._heard else AT_FIRST)
        while self.failed is None:
            try:
                answer = self._link.ask(message)
                if "wait" not in answer:
                    return answer
                until = time.monotonic() + PATIENCE  # it is there, and busy planning or writing
            except Unheard as error:
                if self._gone() or time.monotonic() > until:
                    raise Silent(
                        f"the run that shares {self.path} has ended or cannot be reached ({error}); every reply that it "
                        "took is kept, and the same command goes on"
                    ) from None
            time.sleep(0.25)
        raise self.failed

    # what `oversight.engine.run` asks

    def add_episode(self, episode: Episode, label: Label, publish: bool) -> None:
        """The owner has written it down."""

    async def open(self, todo: Iterator[tuple[int, Planned]]) -> None:
        """Take what may be leased to us, and begin to talk with the owner."""
        for _ in todo:  # counts what is done already; which is ours, the owner says
            pass
        self._settled = asyncio.get_running_loop().create_future()
        self._news = asyncio.Event()
        self._talking = asyncio.ensure_future(self._talk())

    async def take(self, line: Line) -> Planned | None:
        """The next episode that the owner leases to us; None when all have a verdict, or our budget is spent."""
        if self.failed is not None:
            raise self.failed
        if self._over:
            return None
        wanted: asyncio.Future[Planned | None] = asyncio.get_running_loop().create_future()
        self._wanted.append((line, wanted))
        self._news.set()
        return await wanted

    def holds(self, episode: Episode) -> bool:
        """Whether an episode that was taken is still ours: its lease may have run out before it was begun."""
        held = self._held.get(episode.key)
        return held is not None and held.episode is episode

    async def see_through(self, play: Play) -> Verdict | None:
        """Play an episode that was taken and is held; None where its lease ran out under way."""
        held = self._held[play.episode.key]
        held.task = asyncio.ensure_future(play.run())
        try:
            return await held.task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # not its lease has ended but the run
                raise
            if self.holds(play.episode):  # others would wait for it for ever
                raise RuntimeError(CANCELLED) from None
            return None
        except OverBudget:
            if self.holds(play.episode):
                self._give_back.append(held.place)
            self._finish()
            raise
        finally:
            if self.holds(play.episode):
                del self._held[play.episode.key]
            self._settle()

    async def attend(self) -> None:
        """Wait until all episodes have a verdict, or our budget is spent. Raises `StoreError` where the owner is gone."""
        await asyncio.shield(self._settled)

    async def claim(self, key: int, model: Model, messages: Sequence[int]) -> Completion | None:
        """The completion of a call that somebody has made or is making; None where it is ours to make."""
        asked = self._calls.get(key)
        if asked is None or asked[1].done():
            future: asyncio.Future[Completion | None] = asyncio.get_running_loop().create_future()
            asked = self._calls[key] = ([key, self._places[id(model)], list(messages)], future)
            self._news.set()
        return await asked[1]

    async def sure(self) -> None:
        """Wait while it is in doubt whether our leases still hold: this process may have slept, and another may have
        paid for what we are about to. Raises `StoreError` where the owner is gone."""
        while _now() - self._heard > self._ttl / 2:
            if self.failed is not None:
                raise self.failed
            self._news.set()
            await asyncio.sleep(AGAIN)

    def release(self, key: int) -> None:
        """A call that was ours to make is in the store, or will not be."""
        self._release.append(key)

    # the log

    def played(self, episode: int) -> Mapping[int, Turn]:
        held = self._held.get(episode)
        return {} if held is None else held.turns

    def has_call(self, key: int) -> bool:
        return False  # whether it is in the store, `claim` finds out

    def has_scores(self, model: Model) -> bool:
        return False  # this process's own calls tell

    def add_call(
        self, key: int, model: Model, kind: str, request: Request, messages: list[int], sample: int,
        completion: Completion, started: datetime, seconds: float, attempts: int,
    ) -> None:  # fmt: skip
        asked = plain_request(request, messages, self._texts)
        place = self._places[id(model)]
        self._add("call", key, place, asked, sample, plain(completion), plain(started), seconds, attempts)

    def keep(self, key: int, model: Model, messages: Sequence[int], completion: Completion) -> None:
        """Who wants it again asks the owner."""

    def add_failure(self, key: int, model: Model, at: datetime, error: CallFailed) -> None:
        said = without_keys(str(error))
        self._add("failure", key, self._places[id(model)], plain(at), error.reason, said)

    def add_turn(self, episode: Episode, index: int, turn: Turn, seat: Seat, uses: Sequence[int]) -> None:
        self._say("turn", episode, index, plain(turn), list(uses))

    def add_uses(self, episode: Episode, index: int, seat: str, uses: Sequence[int], first: int = 0) -> None:
        self._say("uses", episode, index, seat, list(uses), first)

    def add_choices(self, episode: Episode, chosen: Sequence[Chosen]) -> None:
        self._say("choices", episode, [plain_chosen(one) for one in chosen])

    def add_verdicts(self, episode: Episode, verdicts: Sequence[tuple[int, Sequence[Reading]]]) -> None:
        told = [[index, plain_readings(episode, readings)] for index, readings in verdicts]
        self._say("verdicts", episode, told)

    def forget_failure(self, episode: Episode, turns: int) -> None:
        self._say("forget", episode, turns)

    def durable(self) -> asyncio.Future[None]:
        """Done when the owner has committed all that was added. Raises `StoreError` where it is gone."""
        if self.failed is not None:
            raise self.failed
        if self._durable is None:
            self._durable = asyncio.get_running_loop().create_future()
            self._news.set()
        return asyncio.shield(self._durable)

    def _say(self, what: str, episode: Episode, *more: Any) -> None:
        """Something of an episode, unless its lease ran out."""
        if self.holds(episode):
            self._add(what, self._held[episode.key].place, *more)

    def _add(self, *op: Any) -> None:
        self._ops.append(list(op))
        self._news.set()

    # talking

    async def _talk(self) -> None:
        """Send what has gathered and hear what the owner says, again and again."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                pause = AGAIN if self._calls or self._wanted else min(self._ttl / 4, 10.0)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)
                await asyncio.sleep(GATHER)
                self._news.clear()
                message, durable = self._message(), self._durable
                self._durable = None
                asked = _now()
                answer = await loop.run_in_executor(self._thread, self._asked, message)
                self._heard = asked  # it cannot have been renewed before that
                self._hear(message, answer)
                if durable is not None and not durable.done():
                    durable.set_result(None)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it was, those who wait must hear of it
            self._fail(
                error
                if isinstance(error, StoreError)
                else StoreError(f"the run that shares {self.path}: {error}"),
                durable,
            )

    def _message(self) -> dict[str, Any]:
        self._calls = {key: asked for key, asked in self._calls.items() if not asked[1].done()}
        self._wanted = [wanted for wanted in self._wanted if not wanted[1].done()]
        places = Counter(self.lines.index(line) for line, _ in self._wanted)
        self._number += 1
        message = {
            "do": "go",
            "run": self.run,
            "number": self._number,
            "epoch": self._epoch,
            "ops": self._ops,
            "release": self._release,
            "give_back": self._give_back,
            "calls": [asked for asked, _ in self._calls.values()],
            "places": list(places.items()),
        }
        self._ops, self._release, self._give_back = [], [], []
        return message

    def _hear(self, message: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        for op in message["ops"]:
            if op[0] == "call" and op[1] not in answer["unwritten"]:
                for key, _ in op[3]["messages"]:
                    if key not in self._texts:
                        self._texts.add(key)
        self._progress.elsewhere = Counter(answer["elsewhere"])
        self._progress.unread += answer["unread"] - self._unread_elsewhere
        self._unread_elsewhere = answer["unread"]
        if answer["epoch"] != self._epoch:
            self._lose(answer["epoch"])
            return
        for (key, *_), told in zip(message["calls"], answer.get("calls", ()), strict=False):
            self._hear_call(key, told)
        for place, turns in answer.get("episodes", ()):
            self._hear_episode(place, {index: read(Turn, turn) for index, turn in turns})
        if answer["over"]:
            self._finish()

    def _hear_call(self, key: int, told: Any) -> None:
        future = self._calls[key][1]
        if future.done():  # its play has been cancelled
            if told is True:
                self._release.append(key)
        elif told is not None:
            future.set_result(None if told is True else read(Completion, told))

    def _hear_episode(self, place: int, turns: dict[int, Turn]) -> None:
        waiting = [wanted for wanted in self._wanted if not wanted[1].done()]
        if not waiting:
            self._give_back.append(place)
            return
        planned = self._plan.at(place)
        line = self._line[planned.episode.arm.key]
        wanted = next((wanted for wanted in waiting if wanted[0] == line), waiting[0])
        self._held[planned.episode.key] = Held(place, planned.episode, turns)
        wanted[1].set_result(planned)

    def _lose(self, epoch: int) -> None:
        """Our leases ran out: what we held is another's now."""
        self._epoch = epoch
        self._ops = [op for op in self._ops if op[0] in ("call", "failure")]
        self._give_back = []
        lost, self._held = self._held, {}
        for held in lost.values():
            if held.task is not None:
                held.task.cancel()
        self._settle()

    def _finish(self) -> None:
        """No further episode is taken."""
        self._over = True
        for _, wanted in self._wanted:
            if not wanted.done():
                wanted.set_result(None)
        self._settle()

    def _settle(self) -> None:
        if self._over and not self._held and not self._settled.done():
            self._settled.set_result(None)

    def _fail(self, error: StoreError, durable: asyncio.Future[None] | None) -> None:
        self.failed = error
        waiting: list[asyncio.Future[Any] | None] = [durable, self._durable, self._settled]
        waiting += [future for _, future in self._calls.values()]
        waiting += [future for _, future in self._wanted]
        for future in waiting:
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # there may be no waiter


def _now() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
