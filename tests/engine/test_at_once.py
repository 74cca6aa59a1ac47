"""What is made side by side: nobody's call is dropped because another's failed, and nothing goes on behind a run that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from oversight.engine.play import _at_once


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_all_are_let_finish_before_one_that_failed_is_heard(failing: int):
    ended: list[int] = []

    async def part(n: int) -> int:
        await asyncio.sleep(0.02 if n != failing else 0)
        ended.append(n)
        if n == failing:
            raise ValueError(n)
        return n

    async def main() -> list[Any]:
        return list(await _at_once([part(n) for n in range(3)]))

    made = asyncio.run(main())
    assert ended[0] == failing and sorted(ended) == [0, 1, 2]
    assert [repr(one) for one in made] == [repr(ValueError(n)) if n == failing else str(n) for n in range(3)]


def test_they_run_side_by_side():
    there = asyncio.Barrier(3)

    async def main() -> list[Any]:
        return list(await _at_once([there.wait() for _ in range(3)]))

    assert sorted(asyncio.run(main())) == [0, 1, 2]


@pytest.mark.parametrize("number", [0, 1])
def test_there_may_be_one_or_none(number: int):
    async def part() -> str:
        return "x"

    async def main() -> list[Any]:
        return list(await _at_once([part() for _ in range(number)]))

    assert asyncio.run(main()) == ["x"] * number


@pytest.mark.parametrize("at", [0, 1], ids=["waiting for the first", "waiting for the others"])
def test_where_it_is_stopped_all_are_stopped_and_waited_for(at: int):
    ended: list[int] = []

    async def part(n: int) -> None:
        try:
            await asyncio.sleep(0 if n < at else 60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # what it has to put in order
            ended.append(n)
            raise

    async def main() -> None:
        parts: list[Coroutine[Any, Any, None]] = [part(n) for n in range(3)]
        playing = asyncio.create_task(_at_once(parts))
        await asyncio.sleep(0.02)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        assert sorted(ended) == list(range(at, 3))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_part_that_is_stopped_by_itself_lets_the_others_finish():
    ended: list[int] = []

    async def ends() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def goes_on() -> None:
        await asyncio.sleep(0.02)
        ended.append(1)

    async def main() -> list[Any]:
        return list(await _at_once([ends(), goes_on(), ends()]))

    made = asyncio.run(main())
    assert ended == [1] and [type(one) for one in made] == [
        asyncio.CancelledError, type(None), asyncio.CancelledError
    ]  # fmt: skip


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("other", [True, False])
def test_a_part_that_keeps_a_cancellation_to_itself_keeps_no_run_going(at: int, other: bool):
    ended: list[int] = []

    async def keeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if other:
                raise ConnectionError from None

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    async def soon() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        parts: list[Coroutine[Any, Any, None]] = [keeps(), waits()]
        playing = asyncio.create_task(_at_once([soon(), *parts] if at else parts))
        await asyncio.sleep(0.02)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        assert ended == [1]

    asyncio.run(main())
