"""What the tests share: a small endless task, scripted players, and a way to play and compare."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import KEY, REPLIES, TASK
from wire import Wire

from oversight.engine.plan import make_plan
from oversight.engine.run import Progress, play_plan
from oversight.engine.sharing import Sharing
from oversight.episode import Run
from oversight.experiment import experiment_from


def pytest_configure() -> None:
    """A busy machine fails nothing; and signals are as a terminal gives them: a suite started in the background
    ignores Ctrl-C, and so would the runs that it starts and interrupts."""
    settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("suite")
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def toy(tmp_path: Path) -> str:
    """The path of a task folder."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "task.py").write_text(TASK)
    return str(folder)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of `wire`, in TEST_KEY."""
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def wire(key: None) -> Iterator[Wire]:
    """A server that speaks as the providers do."""
    with Wire(key=KEY) as server:
        yield server


@pytest.fixture
def replies(tmp_path: Path) -> Callable[[str], str]:
    """Makes a scripted model of YAML text."""
    made = 0

    def make(text: str = REPLIES) -> str:
        nonlocal made
        made += 1
        path = tmp_path / f"replies{made}.yaml"
        path.write_text(text)
        return f"scripted/{path}"

    return make


@pytest.fixture
def play(tmp_path: Path, toy: str, replies: Callable[[str], str]) -> Callable[..., Run]:
    """Plays an experiment (toy task, scripted players unless told otherwise) into tmp_path/db.duckdb."""
    scripted = replies(REPLIES)

    def go(
        *protocols: Any,
        progress: Progress | None = None,
        retry_failed: bool = True,
        sharing: Sharing | None = None,
        **settings: Any,
    ) -> Run:
        values = {
            "protocols": list(protocols),
            "tasks": [toy],
            "judge": scripted,
            "debater": scripted,
            "limit": 4,
            "db": tmp_path / "db.duckdb",
            **settings,
        }
        plan = make_plan(experiment_from(values))
        try:
            return play_plan(plan, progress, retry_failed=retry_failed, sharing=sharing)
        finally:
            plan.close()

    return go
