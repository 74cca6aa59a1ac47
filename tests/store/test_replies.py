"""Calls found again: those of late in memory, the others in few queries beside the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support import lack_of_memory

from oversight.errors import StoreError
from oversight.models.interface import Completion, Message, Model, Request, Sampling
from oversight.store import memory
from oversight.store.database import CATALOG
from oversight.store.log import Log

NOW = datetime(2026, 1, 2, 3, 4, 5)


class Mine(Model):
    """Known by its identity alone."""

    def __init__(self, identity: str = "mine") -> None:
        self.name = self.identity = identity


def completion(n: int) -> Completion:
    return Completion(
        f"reply {n}", token_ids=(n, 2), logprobs=(-0.5, -n / 4), scores=(-0.5, -1e-9), cost=n / 7,
        prompt_tokens=3, completion_tokens=2, unlisted=("B",), private="aside", provider_id="p", notes="batch",
    )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log with a hundred calls of one prompt."""
    log = Log(tmp_path / "db.duckdb")
    log.run = 1
    message = Message("user", "Well?")
    request = Request((message,), Sampling(1.0))

    async def fill() -> None:
        for n in range(100):
            log.add_call(n, Mine(), "generate", request, [message.key], n, completion(n), NOW, 0.5, 1)
        await log.durable()

    asyncio.run(fill())
    yield log
    log.close()


def found(log: Log, keys: list[int], model: Model | None = None) -> list[Completion]:
    async def get() -> list[Completion]:
        prompt = [Message("user", "Well?").key]
        return list(await asyncio.gather(*(log.get_call(key, model or Mine(), prompt) for key in keys)))

    return asyncio.run(get())


def test_calls_wanted_at_once_are_read_by_few_queries_in_another_thread(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []
    real = log._replies._rows_of

    def rows_of(keys: Any) -> Any:
        asked.append((len(keys), threading.current_thread() is threading.main_thread()))
        return real(keys)

    monkeypatch.setattr(log._replies, "_rows_of", rows_of)
    assert found(log, list(range(100)) * 2) == [completion(n) for n in range(100)] * 2
    assert asked == [(100, False)]
    assert found(log, [7, 5]) == [completion(7), completion(5)]
    assert len(asked) == 1  # they are remembered


def test_what_is_remembered_is_of_that_model_and_prompt(log: Log) -> None:
    assert found(log, [3]) == [completion(3)]
    with pytest.raises(StoreError, match="share the key"):
        found(log, [3], Mine("another"))


def test_a_call_that_is_not_there_and_a_file_that_cannot_be_read_are_said(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"call 00000000000003e8 has gone"):
        found(log, [1000])

    def broken(keys: Any) -> Any:
        raise OSError("Input/output error")

    monkeypatch.setattr(log._replies, "_rows_of", broken)
    with pytest.raises(StoreError, match="cannot be read: Input/output error"):
        found(log, [8, 9])


def test_what_is_kept_need_not_be_read(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log._replies, "_rows_of", None)
    log.keep(5, Mine(), [Message("user", "Well?").key], completion(5))
    assert found(log, [5]) == [completion(5)]


def test_a_reply_waits_for_memory_that_a_reader_holds(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Really: there is none, and half a second later there is."""
    monkeypatch.setattr(memory, "PAUSES", (0.05,) * 1000)
    log.writer.con.execute(f"CHECKPOINT {CATALOG}")
    with lack_of_memory(log.writer.con) as over:
        assert found(log, [7, 5]) == [completion(7), completion(5)]
        assert over.is_set()


def test_who_reads_holds_the_file_in_memory(log: Log) -> None:
    """Replies are not read, nor anything else, while DuckDB is made to forget, and it is not made to while they are;
    but who reads waits for nobody else who does."""
    reads = log.writer.reads
    with ThreadPoolExecutor(2) as pool:
        for read in (lambda: found(log, [7]) == [completion(7)], lambda: log.has_scores(Mine())):
            with reads.none() as alone:
                assert alone
                reading = pool.submit(read)
                with pytest.raises(TimeoutError):
                    reading.result(0.3)
            assert reading.result(60) is True
        with reads.one():
            assert pool.submit(log.has_scores, Mine()).result(60) is True
            with reads.none() as alone:
                assert not alone
