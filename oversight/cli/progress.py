"""Live progress of a run on standard error: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from oversight.engine.calls import Caller
    from oversight.engine.run import Progress

EVERY = 5.0
"""Seconds between lines where there is no terminal."""


@contextmanager
def shown(progress: Progress, planned: int, done_before: int, quiet: bool) -> Iterator[None]:
    """Show a run's progress while the block plays it."""
    if quiet:
        yield
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        watch = _Watch(progress, planned, done_before)
        console = Console(stderr=True, highlight=False)
        with Live(get_renderable=watch.render, console=console, refresh_per_second=4, transient=True):
            yield
    else:
        watch = _Watch(progress, planned, done_before)
        over = threading.Event()

        def tell() -> None:
            while not over.wait(EVERY):
                print(watch.line(), file=sys.stderr, flush=True)

        teller = threading.Thread(target=tell, name="oversight-progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()
        print(watch.line(), file=sys.stderr, flush=True)


class _Watch:
    def __init__(self, progress: Progress, planned: int, done_before: int) -> None:
        self.progress, self.planned, self.before = progress, planned, done_before
        self.began = time.monotonic()

    @property
    def done(self) -> int:
        return self.before + self.progress.done + self.progress.elsewhere.total()

    def line(self) -> str:
        return f"{self.done:,} of {self.planned:,} episodes{self._left()}; {self._spent()}"

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(1, self.planned), completed=self.done, width=24)
        head.add_row(bar, Text(f"{self.done:,} of {self.planned:,} episodes{self._left()}"))
        stopping = [Text("stopping …", "yellow")] if self.progress.stopping else []
        return Group(head, Text(self._spent(), "dim"), *stopping)

    def _left(self) -> str:
        seconds = time.monotonic() - self.began
        statuses = "".join(f", {n:,} {s}" for s, n in self.progress.statuses.items() if s != "decided")
        share = self._share()
        left = "" if share is None else f", about {clock(seconds * (1 - share) / share)} left"
        return f"{statuses}, {clock(seconds)}{left}"

    def _share(self) -> float | None:
        """What part is heard of all calls that this process will ask for, if every episode takes as many as
        those that are played; those under way together end together, so that episodes alone would tell nothing."""
        played, caller = self.progress.done, self.progress.caller
        if played < 3 or self.done >= self.planned or caller is None or not self.progress.calls:
            return None
        mine = played / (played + self.progress.elsewhere.total())
        episodes = played + mine * (self.planned - self.done)
        share = caller.heard / (self.progress.calls / played * episodes)
        return (
            share if share < 1 else None
        )  # those that ended were the short ones: nothing is known of the others

    def _spent(self) -> str:
        caller = self.progress.caller
        if caller is None:
            return "no calls yet"
        found = f" ({caller.reused:,} more shared or found)" if caller.reused else ""
        doing = f"; {caller.batches.activity}" if caller.batches and caller.batches.activity else ""
        doing += "".join(f"; {m.name} is {now}" for m in self.progress.models if (now := m.activity))
        return f"{caller.made:,} calls{found}, {self._tokens(caller)}{doing}"

    def _tokens(self, caller: Caller) -> str:
        if caller.untold == caller.made > 0:
            return "tokens unknown"
        rate = (caller.prompt_tokens + caller.completion_tokens) / max(1e-9, time.monotonic() - self.began)
        rest = f" and those of {caller.untold:,} calls unknown" if caller.untold else ""
        return f"tokens {caller.prompt_tokens:,} in {caller.completion_tokens:,} out, {rate:,.0f}/s{rest}"


def clock(seconds: float) -> str:
    """`4 s`, `3:05`, `1:02:03`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
