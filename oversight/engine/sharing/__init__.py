"""Several processes on one experiment: one of them owns the database file, the others join it.

leases  who plays which episode and makes which call, and until when (no I/O)
desk    what workers bring, read before it is written
wire    what owner and workers tell each other, as JSON takes it
host    the owner's side: it leases, and writes what workers bring with its own log
guest   a worker's side: a log that writes to the owner

No process plans for another: each makes the same plan, and a lease says whose turn it is.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from oversight.errors import StoreError, UserError
from oversight.store.database import HeldFile
from oversight.store.log import Log
from oversight.store.serve import Note, Server, note_path, read_note, serve
from oversight.store.share import (
    TOKEN,
    Address,
    Ended,
    Endpoint,
    Link,
    Silent,
    address_of,
    given_token,
    listening_address,
)

if TYPE_CHECKING:
    from oversight.engine.plan import Plan
    from oversight.engine.play import Play
    from oversight.engine.run import Progress
    from oversight.engine.turns import Line
    from oversight.episode import Episode, Planned
    from oversight.models.interface import Completion, Model
    from oversight.moves import Verdict

TTL = 60.0
"""Seconds after which the leases of a worker that is not heard run out."""

PATIENCE = 20.0
"""Seconds to wait for a process that has just opened the file to say that it shares it."""


CANCELLED = "a call was cancelled from within: a model raised CancelledError"
"""Nobody asked, and the episode is missing."""


class Shared(Protocol):
    """What the engine asks of either side of a shared run."""

    async def open(self, todo: Iterator[tuple[int, Planned]]) -> None: ...
    async def take(self, line: Line) -> Planned | None: ...
    def holds(self, episode: Episode) -> bool: ...
    async def see_through(self, play: Play) -> Verdict | None: ...
    async def attend(self) -> None: ...
    async def claim(self, key: int, model: Model, messages: Sequence[int]) -> Completion | None: ...
    async def sure(self) -> None: ...
    def release(self, key: int) -> None: ...

    @property
    def lines(self) -> list[Line]: ...


@dataclass
class Sharing:
    """How a run is shared: whoever opens the file first owns it, the others join.

    `listen`: where the owner listens; None is a free port of this machine. `join`: an owner elsewhere, whose token
    is in the environment. `ttl`: seconds after which a worker that is not heard loses its leases. `tell` is called
    with a line when it is known who owns the file.
    """

    listen: Address | None = None
    join: Address | None = None
    ttl: float = TTL
    tell: Callable[[str], None] = lambda line: None
    _endpoint: Endpoint | None = field(default=None, init=False)

    def open(
        self, plan: Plan, progress: Progress, retry_failed: bool, begun: tuple[int, int, str, str, str, int]
    ) -> tuple[Log, Shared]:
        """The log to play with, begun by what `Log.begin` takes, and who leases. Raises `StoreError` where the run cannot be owned or joined."""
        if plan.experiment.batch:
            raise UserError("--batch gathers the calls of one process: leave it out, or --share")

        def joined(link: Link, owner: str, gone: Callable[[], bool]) -> tuple[Log, Shared]:
            from oversight.engine.sharing.guest import Guest
            from oversight.engine.sharing.host import agreed

            told = partial(self._joined, owner)
            guest = Guest(plan, progress, agreed(plan, retry_failed)[0], link, owner, gone, told)
            try:
                guest.begin(*begun)
            except BaseException:
                guest.close()
                raise
            return cast(Log, guest), guest  # it is a log in all that the engine asks of one

        if (whom := self.join) is not None:
            if (token := given_token()) is None:
                raise UserError(f"--join {whom} needs the writing token of that run in {TOKEN}")
            return self._patiently(lambda: joined(Link(whom, token), str(whom), lambda: False))
        path = plan.experiment.db.resolve()
        until = time.monotonic() + PATIENCE
        while True:
            try:
                log = Log(path)
            except HeldFile as held:
                note = read_note(note_path(path))
                if note is None or note.pid != held.pid:  # not known yet, or of a run that crashed
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
                    continue
                if not note.share or not note.share_token:
                    raise StoreError(
                        f"{path} is open for writing in process {held.pid}, which does not share it: start that run with "
                        "--share as well, wait for it to end, or name another --db"
                    ) from None
                link = Link(address_of(note.share), note.share_token)
                try:
                    return joined(link, f"{plan.experiment.db} (process {note.pid})", gone_of(note))
                except Ended:  # meanwhile: the file is free, or another's
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
                    continue
            return self._owned(plan, progress, retry_failed, log, begun)

    def _patiently(self, join: Callable[[], tuple[Log, Shared]]) -> tuple[Log, Shared]:
        """Join an owner. One that says it has ended may be between two parts of an experiment."""
        until, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                return join()
            except Ended as ended:
                told = told or not isinstance(ended, Silent)
                if not told or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _owned(
        self,
        plan: Plan,
        progress: Progress,
        retry: bool,
        log: Log,
        begun: tuple[int, int, str, str, str, int],
    ) -> tuple[Log, Shared]:
        from oversight.engine.sharing.host import Host

        try:
            host = Host(plan, log, progress, retry, self.ttl)
            self._endpoint = Endpoint(host.answer, self.listen, given_token())
            log.begin(*begun)
        except BaseException:
            self.close()
            log.close()
            raise
        away = f", and --join {self.listen} from another machine" if self.listen else ""
        self.tell(f"{plan.experiment.db} is shared: the same command in another terminal joins{away}")
        return log, host

    def _joined(self, owner: str, others: int) -> None:
        self.tell(f"joined the run that shares {owner}; with this one {others + 1} processes work on it")

    def serve(self, log: Any) -> Server | None:
        """Let others read, where the file is ours, and tell those on this machine how to join."""
        if self._endpoint is None:
            return None
        return serve(log.writer.con, log.path, share=(self._endpoint.reached, self._endpoint.token))

    def close(self) -> None:
        """Stop sharing."""
        if self._endpoint is not None:
            self._endpoint.close()


def sharing_of(
    share: bool,
    listen: str | None,
    join: str | None,
    lease: float | None,
    tell: Callable[[str], None] = lambda line: None,
) -> Callable[[], Sharing] | None:
    """How a run is shared, as a user says it, made anew for each part of an experiment; None where it is not.
    Raises `UserError` for addresses that are none or not safe, and for what does not go together."""
    if not (share or listen or join):
        if lease is not None:
            raise UserError("--lease is about a run that is shared: add --share, or leave it out")
        return None
    if join and (share or listen):
        raise UserError(
            "--join works on another process's run, --share and --listen share one's own: give either"
        )
    if lease is not None and join:
        raise UserError("--lease is for the run that is joined to say: leave it out")
    if lease is not None and not 1 <= lease < math.inf:
        raise UserError(f"--lease is {lease:g}; choose 1 (second) or more")
    given_token()  # one that is too short is said before anything is done
    at, whom = listening_address(listen) if listen else None, address_of(join) if join else None
    return lambda: Sharing(at, whom, TTL if lease is None else lease, tell)


def gone_of(note: Note) -> Callable[[], bool]:
    """Whether the process on this machine that left a note has ended."""

    def gone() -> bool:
        try:
            os.kill(note.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    return gone
