"""A server that is none of ours: `transformers serve` with the embedded model, as judge of a whole run."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

for needed in ("torch", "transformers", "fastapi", "accelerate"):
    pytest.importorskip(needed)

import oversight  # noqa: E402
from oversight.models.interface import Message, Request, Sampling  # noqa: E402
from oversight.models.local import smollm2  # noqa: E402
from oversight.models.local.model import open_smollm2  # noqa: E402

NAME = smollm2.FOLDER
"""The model as this server knows it: the path it was started with."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with SmolLM2."""
    folder = smollm2.get()
    scratch = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", NAME]
    # It lists what is in the hub's cache, and fails where there is none.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(scratch)}
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder.parent,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", scratch / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")


def test_a_run_is_judged_by_a_server_of_others(served: str, tmp_path: Path) -> None:
    replies = tmp_path / "debater.yaml"
    replies.write_text('speak: "It was {answer}."')
    played = oversight.run(
        ["direct", "debate:rounds=1"],
        task="dossier:words=75,kinds=fact,wording=plain",
        judge=f"openai/{NAME}:base_url={served},elicit=hard,max_tokens=16",
        debater=f"scripted/{replies}",
        limit=1,
        db=tmp_path / "judged.duckdb",
    )
    assert len(played.judgements) == 2
    assert played.judgements["status"].isin(["decided", "unparsable", "failed"]).all()
    assert not played.judgements["reason"].isin(["transport", "rejected"]).any()
    calls = played.sql("SELECT text, served, completion_tokens FROM calls WHERE served IS NOT NULL")
    assert len(calls) >= 2
    assert calls["text"].str.len().min() > 0
    assert calls["served"].str.startswith(NAME).all()
    assert calls["completion_tokens"].between(1, 16).all()


def test_it_says_what_the_same_weights_say_here(served: str) -> None:
    question = "What is the capital of France?"
    with openai.OpenAI(base_url=served, api_key="none") as client:
        theirs = client.chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=12
        )
    model = open_smollm2(device="cpu")
    try:
        ours = asyncio.run(model.generate(Request((Message("user", question),), Sampling(max_tokens=12))))
    finally:
        model.close()
    assert theirs.choices[0].message.content == ours.text == "The capital of France is Paris."
    assert theirs.usage is not None
    assert theirs.usage.prompt_tokens == ours.prompt_tokens
