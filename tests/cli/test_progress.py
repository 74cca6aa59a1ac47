"""What a run says of itself while it is played."""

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from oversight.cli.progress import _Watch
from oversight.engine.run import Progress


def line(
    *,
    played: int,
    calls_of_played: int,
    calls: int,
    planned: int,
    seconds: float,
    elsewhere: int = 0,
    before: int = 0,
) -> str:
    caller: Any = SimpleNamespace(
        made=calls, reused=0, heard=calls, untold=0, prompt_tokens=0, completion_tokens=0, batches=None
    )
    progress = Progress(
        statuses=Counter(decided=played),
        elsewhere=Counter(decided=elsewhere),
        caller=caller,
        calls=calls_of_played,
    )
    watch = _Watch(progress, planned, before)
    watch.began = time.monotonic() - seconds
    return watch.line()


@pytest.mark.parametrize(
    ("told", "left"),
    [
        # A hundred at once: the first end when nearly all their calls are made. By episodes it would be 9:50 more.
        ({"played": 5, "calls_of_played": 35, "calls": 630, "planned": 100, "seconds": 30}, "3 s"),
        # The same, where a thousand are planned and a hundred under way.
        ({"played": 5, "calls_of_played": 35, "calls": 630, "planned": 1000, "seconds": 30}, "5:03"),
        ({"played": 50, "calls_of_played": 350, "calls": 350, "planned": 100, "seconds": 60}, "1:00"),
        # Three quarters were brought by others, who go on.
        (
            {
                "played": 50,
                "calls_of_played": 350,
                "calls": 350,
                "planned": 400,
                "seconds": 60,
                "elsewhere": 150,
            },
            "1:00",
        ),
        # Played before this run: no part of its pace.
        (
            {
                "played": 50,
                "calls_of_played": 350,
                "calls": 350,
                "planned": 500,
                "seconds": 60,
                "before": 400,
            },
            "1:00",
        ),
    ],
)
def test_what_is_left_is_told_by_calls(told: dict[str, int], left: str) -> None:
    assert f", about {left} left;" in line(**told)


@pytest.mark.parametrize(
    "told",
    [
        {"played": 2, "calls_of_played": 14, "calls": 630, "planned": 100, "seconds": 30},
        {"played": 100, "calls_of_played": 700, "calls": 700, "planned": 100, "seconds": 30},
        {"played": 5, "calls_of_played": 0, "calls": 0, "planned": 100, "seconds": 30},  # all were stored
        # Those that ended are of a short protocol.
        {"played": 5, "calls_of_played": 5, "calls": 700, "planned": 100, "seconds": 30},
    ],
)
def test_nothing_is_told_of_what_nobody_knows(told: dict[str, int]) -> None:
    assert "left" not in line(**told) and "30 s" in line(**told)
