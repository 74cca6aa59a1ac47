"""The owner's side of a shared run: it leases episodes and calls, and writes what workers bring.

Workers say what they played in the words of `Log`'s own methods; the owner calls those methods, so that a row is
the same whoever played it, and content that is there already is not written twice. What a worker says of an
episode counts only while it holds its lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oversight import __version__
from oversight.engine.plan import Plan
from oversight.engine.sharing import CANCELLED
from oversight.engine.sharing.desk import Desk, Entry, Judged
from oversight.engine.sharing.leases import OWNER, Leases
from oversight.engine.sharing.wire import Key, plain, read
from oversight.engine.turns import Line, lines_of
from oversight.episode import Episode, Planned
from oversight.errors import OverBudget
from oversight.models.interface import Completion, Model
from oversight.moves import Verdict
from oversight.store.database import first_line
from oversight.store.log import Log

if TYPE_CHECKING:
    from oversight.engine.play import Play
    from oversight.engine.run import Progress

ANSWERED = 15.0
"""Seconds in which a worker has its answer, or asks again."""

FAREWELL = 10.0
"""Seconds that the owner waits, when all is done, for workers to hear it."""


AT_ONCE = 2_000
"""Episodes that are written down as planned before they are committed."""

ENDED = {"error": "the run that was to be joined has just ended; the same command goes on", "ended": True}


def agreed(plan: Plan, retry_failed: bool) -> tuple[str, array[int]]:
    """What two processes must agree in to share a run (its episodes, in their order, and the models) as a digest,
    and the episodes' keys."""
    found, keys = hashlib.blake2b(digest_size=16), array("Q")
    for planned in plan.episodes():
        keys.append(planned.episode.key)
        found.update(keys[-1].to_bytes(8, "big"))
        found.update(bytes([planned.label.index]))
    for model in plan.models:
        found.update(f"\0{model.identity}".encode())
    found.update(b"\1" if retry_failed else b"\0")
    return found.hexdigest(), keys


@dataclass
class Worker:
    """A process that joined: its run's key, and the message of its that is being answered or was last."""

    run: int
    number: int = -1
    answer: asyncio.Task[Any] | None = None
    played: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    left: bool = False


class Host:
    """Leases for one run, and the writing of what workers bring. All but `answer` on the event loop."""

    def __init__(self, plan: Plan, log: Log, progress: Progress, retry_failed: bool, ttl: float) -> None:
        self._plan, self._log, self._progress = plan, log, progress
        self._digest, self._keys = agreed(plan, retry_failed)
        self._ttl = ttl
        self._line = lines_of(plan)
        self.lines = sorted(set(self._line.values()))
        self._desk = Desk(plan, log)
        self._leases = Leases(ttl)
        self._own: dict[int, int] = {}
        """The places of the episodes that the owner plays, by their keys."""
        self._workers: dict[int, Worker] = {}
        self._begun = bytearray(len(self._keys))
        """Whether somebody has begun an episode in this run, by its place."""
        self._idle: list[asyncio.Future[None]] = []
        self._awaited: dict[int, list[asyncio.Future[None]]] = {}
        self._over = False
        """Whether our own budget is spent."""
        self._playing = 0
        self._closing = False
        self._unread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    # the owner's own part: what `oversight.engine.run` and `Caller` ask

    async def open(self, todo: Iterator[tuple[int, Planned]]) -> None:
        """Take all that is to be played; from here on workers are answered."""
        for number, (place, planned) in enumerate(todo, start=1):
            self._leases.add(place, self._line[planned.episode.arm.key])
            if number % AT_ONCE == 0:
                await self._log.durable()
        self._leases.join(OWNER)
        self._unread = self._progress.unread
        self._loop = asyncio.get_running_loop()
        await self._log.durable()
        self._ready.set()

    async def take(self, line: Line) -> Planned | None:
        """The next episode for one of the owner's places; None when all have a verdict."""
        while self._leases.left and not self._over:
            for place in self._leases.take(OWNER, line):
                await self._stored([place])
                planned = self._plan.at(place)
                self._own[planned.episode.key] = place
                return planned
            waiting = asyncio.get_running_loop().create_future()
            self._idle.append(waiting)
            await waiting
        return None

    def holds(self, episode: Episode) -> bool:
        """The owner's leases never run out."""
        return True

    async def see_through(self, play: Play) -> Verdict | None:
        """Play an episode that was taken to its verdict."""
        place = self._own.pop(play.episode.key)
        self._playing += 1
        try:
            verdict = await play.run()
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise RuntimeError(CANCELLED) from None  # it would be waited for for ever
        except OverBudget:  # the others have budgets of their own
            self._over = True
            self._leases.give_back(OWNER, place)
            self._stir()
            raise
        finally:
            self._playing -= 1
        self._leases.done(OWNER, place)
        if not self._leases.left:
            self._stir()
        return verdict

    async def claim(self, key: int, model: Model, messages: Sequence[int]) -> Completion | None:
        """The completion of a call that a worker makes or has made; None where it is ours to make."""
        while not self._leases.claim(OWNER, key):
            waiting = asyncio.get_running_loop().create_future()
            self._awaited.setdefault(key, []).append(waiting)
            await waiting
        if not self._log.has_call(key):
            return None
        self.release(key)
        return await self._log.get_call(key, model, messages)

    async def sure(self) -> None:
        """The owner's leases never run out."""

    def release(self, key: int) -> None:
        """A call that was ours to make is in the store, or will not be."""
        self._released(OWNER, [key])

    async def attend(self) -> None:
        """Let leases run out, until every episode has a verdict, or nobody is left to play."""
        try:
            while self._leases.left and not (
                self._over and not self._playing and self._leases.alive == [OWNER]
            ):
                await asyncio.sleep(min(1.0, self._ttl / 4))
                if self._log.failed is not None:
                    raise self._log.failed
                for who in self._leases.expire(self._answered()):
                    self._log.left(who, "killed", None, self._workers[who].played.total())
                    self._gone()
            self._closing = True
            until = asyncio.get_running_loop().time() + FAREWELL
            while self._leases.alive != [OWNER] and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.02)
                self._leases.expire(self._answered())
        finally:
            self._closing = True
            for run, worker in self._workers.items():
                if not worker.left:
                    self._log.left(run, "killed", None, worker.played.total())

    def _answered(self) -> set[int]:
        """Workers whose message is being answered."""
        return {run for run, w in self._workers.items() if w.answer is not None and not w.answer.done()}

    # what workers ask

    def answer(self, message: Any) -> Any:
        """The answer to a worker's message. Called in threads of the server's."""
        if not self._ready.is_set() or self._loop is None:
            return {"wait": True}
        answering = self._answer(message)
        try:
            return asyncio.run_coroutine_threadsafe(answering, self._loop).result(ANSWERED)
        except TimeoutError:  # a slow disk, a busy machine: it is being worked on
            return {"wait": True}
        except (RuntimeError, CancelledError):  # the loop is closed, or is being closed
            answering.close()
            return ENDED

    async def _answer(self, message: Any) -> Any:
        if message["do"] == "join":
            return await self._join(message)
        if message["do"] not in ("go", "leave"):
            return {"error": f"no message {message['do']!r}"}
        worker = self._workers.get(message["run"])
        if worker is None:
            return {"error": "this worker did not join"}
        if message["number"] != worker.number:
            if message["number"] != worker.number + 1:
                return {"error": "messages out of order"}
            worker.number += 1
            worker.answer = asyncio.ensure_future(self._exchange(worker, message))
        assert worker.answer is not None
        return await asyncio.shield(worker.answer)  # asked again, it has the same answer

    async def _join(self, message: Any) -> Any:
        if self._closing or not self._leases.left:  # what comes next may be another plan, of another part
            return ENDED
        if (theirs := message.get("version")) != __version__:
            return {
                "error": f"that run is played by oversight {__version__} and this is {theirs}: all must be the same"
            }
        if message["digest"] != self._digest:
            return {
                "error": "that run plans other episodes, models or retries: join it with the command it was started "
                "with (its data and versions must be the same too)",
                "other": True,
            }
        run = read(Key, message["run"])
        if run not in self._workers:
            command, config, code = (read(str, message[name]) for name in ("command", "config", "code"))
            self._log.joined(run, read(Key, message["seed"]), command, config, code, len(self._plan))
            self._workers[run] = Worker(run)
            self._leases.join(run)
            await self._log.durable()
        finished: dict[str, list[int]] = {}
        for key in self._keys:
            if (status := self._log.finished.get(key)) is not None:
                finished.setdefault(status, []).append(key)
        return {
            "ttl": self._ttl,
            "members": len(self._leases.alive),
            "finished": finished,
            "unread": [key for key in self._keys if key in self._log.unread] if self._log.unread else [],
        }

    async def _exchange(self, worker: Worker, message: Any) -> Any:
        try:
            return await self._exchanged(worker, message)
        except (LookupError, ValueError, TypeError) as error:
            said = first_line(str(error))
            return {"error": f"a worker's message cannot be read ({type(error).__name__}: {said})"}

    async def _exchanged(self, worker: Worker, message: Any) -> Any:
        if worker.left:
            return {"error": "this worker has taken its leave"}
        entries = [self._desk.read(op) for op in message["ops"]]
        held = self._leases.hear(worker.run) and message["epoch"] == self._leases.members[worker.run].epoch
        with self._log.written_by(worker.run):
            left_out = [entry for entry in entries if not self._write(worker, entry, held)]
        self._released(worker.run, message["release"])
        if entries:
            await self._log.durable()
        self._released(worker.run, [entry.call for entry in entries if entry.call is not None])
        answer: dict[str, Any] = {"epoch": self._leases.members[worker.run].epoch}
        answer["unwritten"] = [entry.call for entry in left_out if entry.call is not None]
        if message["do"] == "leave":
            done = read(int, message["already_done"])
            self._log.left(worker.run, read(str, message["status"]), done, worker.played.total())
            await self._log.durable()
            worker.left = True
            self._leases.leave(worker.run)
            self._gone()
        elif held:
            for place in message["give_back"]:
                self._leases.give_back(worker.run, place)
                self._stir()
            answer["calls"] = await self._calls(worker, message["calls"])
            answer["episodes"] = await self._episodes(worker, message["places"])
        else:
            self._log.left(worker.run, "running", None, 0)
        answer["over"] = not self._leases.left
        answer["elsewhere"] = dict(self._progress.statuses + self._progress.elsewhere - worker.played)
        answer["unread"] = self._progress.unread - self._unread - worker.unread
        return answer

    async def _calls(self, worker: Worker, wanted: Iterable[Sequence[Any]]) -> list[Any]:
        """For each call: its completion, True where it is the worker's to make, None where another is making it."""

        async def one(key: int, place: int, messages: list[int]) -> Any:
            if not self._leases.claim(worker.run, key):
                return None
            if not self._log.has_call(key):
                return True
            self._released(worker.run, [key])
            return plain(await self._log.get_call(key, self._desk.model(place), messages))

        return await asyncio.gather(*(one(*call) for call in wanted))

    async def _episodes(self, worker: Worker, places: Iterable[Sequence[int]]) -> list[Any]:
        granted = [
            place for line, most in places for place in self._leases.take(worker.run, self.lines[line], most)
        ]
        await self._stored(granted)
        return [
            [place, [[n, plain(turn)] for n, turn in self._log.played(self._keys[place]).items()]]
            for place in granted
        ]

    def _write(self, worker: Worker, entry: Entry, held: bool) -> bool:
        """Write down one thing that a worker did, unless its lease ran out: then the episode, and a call that
        somebody makes meanwhile, is another's. Whether it was written."""
        if entry.episode is not None and not (held and self._leases.holds(worker.run, entry.episode)):
            return False
        if entry.call is not None and self._leases.of_another(worker.run, entry.call):
            return False
        entry.write()
        if entry.judged is not None and entry.episode is not None:
            self._leases.done(worker.run, entry.episode)
            self._count(worker, entry.judged)
        return True

    def _count(self, worker: Worker, judged: Judged) -> None:
        worker.played[judged.status] += 1
        self._progress.elsewhere[judged.status] += 1
        worker.unread += judged.unread
        self._progress.unread += judged.unread
        if not self._leases.left:
            self._stir()

    # who waits for what

    async def _stored(self, places: Sequence[int]) -> None:
        """See to it that `Log.played` has the turns of episodes that somebody has begun in this run."""
        again = [self._keys[place] for place in places if self._begun[place]]
        if again:
            await self._log.durable()
            self._log.read_turns(again)
        for place in places:
            self._begun[place] = True

    def _gone(self) -> None:
        """A worker's leases are free."""
        self._stir()
        for key in list(self._awaited):
            self._wake(self._awaited.pop(key))

    def _released(self, who: int, calls: Iterable[int]) -> None:
        calls = list(calls)
        self._leases.release(who, calls)
        for key in calls:
            self._wake(self._awaited.pop(key, []))

    def _stir(self) -> None:
        """Episodes have become free, or there will be none."""
        idle, self._idle = self._idle, []
        self._wake(idle)

    def _wake(self, waiting: list[asyncio.Future[None]]) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(None)
