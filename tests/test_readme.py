"""What the README shows works as typed, and what it promises of the package holds."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

(TEMPLATE,) = re.findall(r"```jinja\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
DEBATER = (ROOT / "protocols" / "debate" / "debater.jinja").read_text()


def block(with_: str) -> str:
    return next(b for b in BLOCKS if with_ in b)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def oversight(*arguments: str, cwd: Path) -> str:
    return run(sys.executable, "-m", "oversight", *arguments, cwd=cwd)


def test_the_python_example_runs(tmp_path: Path) -> None:
    out = run(sys.executable, "-c", block("oversight.run("), cwd=tmp_path)
    assert "direct" in out and "debate" in out


def test_a_protocol_and_a_model_of_ones_own_run(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "protocol.py").write_text(block("@protocol"))
    (folder / "judge.jinja").write_text(TEMPLATE)
    (folder / "debater.jinja").write_text(DEBATER)
    (tmp_path / "mymodels.py").write_text(block("class Echo"))
    out = oversight(
        "run", "./mine", "--task", "dossier", "--judge", "mymodels:Echo", "--debater", "mymodels:Echo",
        "--limit", "4", "--db", "my.duckdb", cwd=tmp_path,
    )  # fmt: skip
    assert "mine" in out and "decided" in out


def test_importing_oversight_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, oversight; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'torch', 'transformers', 'pandas', 'duckdb', 'jinja2', 'numpy', 'pydantic', 'statsmodels', 'typer'}))"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == "[]"


def test_the_wheel_carries_the_folders_inside_the_package_and_nothing_at_top_level(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    wheel = tmp_path / run(sys.executable, "-c", build, cwd=ROOT).strip().splitlines()[-1]
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0].split("-")[0] for n in names} == {"oversight"}
    assert "oversight/bundled/protocols/debate/judge.jinja" in names
    assert "oversight/bundled/tasks/quality/task.py" in names
    assert "oversight/store/schema.sql" in names
