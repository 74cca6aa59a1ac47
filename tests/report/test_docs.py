"""What docs/measures.md shows is what its commands print. REWRITE_DOCS=1 writes it anew."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from oversight.cli import main

DOC = Path(__file__).parents[2] / "docs" / "measures.md"
BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)


def test_every_console_block_is_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def played(match: re.Match[str]) -> str:
        lines = []
        for line in match[1].splitlines():
            if not line.startswith("$ oversight "):
                continue
            assert main(shlex.split(line)[2:]) == 0
            out = [printed.rstrip() for printed in capsys.readouterr().out.splitlines()]
            lines += [line, *out]
        return "\n".join(lines) + "\n"

    text = DOC.read_text(encoding="utf-8")
    now, blocks = BLOCK.subn(played, text)
    if os.environ.get("REWRITE_DOCS"):
        DOC.write_text(now, encoding="utf-8")
    assert blocks == 3 and now == text, "run this test with REWRITE_DOCS=1, and look at what changed"
