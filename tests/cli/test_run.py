"""`oversight run`: what it says before, during and after, and its exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oversight.store.reading import open_reader

PLAYED = ("--task", "./toy", "--judge", "scripted/rep.yaml", "--debater", "scripted/rep.yaml")


def start(*argv: str, cwd: Path) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", "import sys; from oversight.cli import main; sys.exit(main())", *argv]
    return subprocess.Popen(program, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_ends_in_a_report_and_commands_that_work(oversight):
    status, out, err = oversight("run", "direct", "debate:rounds=1", *PLAYED, "--limit", "12")
    assert status == 0
    assert err.startswith("24 episodes planned: 24 to play in oversight.duckdb\n")
    assert "24 of 24 judged" in out
    shown = next(line.split()[2] for line in out.splitlines() if line.startswith("  oversight show"))
    assert oversight("show", shown)[0] == 0
    asked = next(line for line in out.splitlines() if line.startswith("  oversight query"))
    assert oversight("query", asked.split('"')[1])[0] == 0


def test_the_same_command_again_plays_nothing(oversight):
    oversight("run", "debate:rounds=1", *PLAYED, "--limit", "6")
    status, _, err = oversight("run", "debate:rounds=1", *PLAYED, "--limit", "6")
    assert status == 0
    assert err.startswith("6 episodes planned, 6 already done: 0 to play")
    assert "0 calls" in err


def test_a_failed_episode_makes_the_status_one_and_is_tried_again(oversight):
    argv = ("run", "direct", "--task", "./toy", "--judge", "scripted/players:mixed", "--limit", "20")
    status, _, err = oversight(*argv)
    assert status == 1
    assert (
        "2 of 20 episodes failed (transport: 2; e.g. the server is away); the same command tries them again"
        in err
    )
    status, _, err = oversight(*argv)
    assert status == 1
    assert err.startswith(
        "20 episodes planned, 18 already done, 2 failed before and are tried again: 2 to play"
    )
    status, _, err = oversight(*argv, "--keep-failed")
    assert status == 1
    assert err.startswith("20 episodes planned, 20 already done, 2 failed and are left so: 0 to play")


def test_quiet_says_nothing(oversight):
    assert oversight("run", "direct", *PLAYED, "--limit", "3", "-q") == (0, "", "")


def test_a_file_is_the_same_as_options_and_options_override_it(oversight, folder):
    (folder / "e.yaml").write_text(
        "protocol: [direct, {debate: {rounds: 1}}]\ntask: ./toy\njudge: scripted/rep.yaml\n"
        "debater: scripted/rep.yaml\nlimit: 4\ndb: file.duckdb\n"
    )
    _, _, err = oversight("run", "e.yaml")
    assert err.startswith("8 episodes planned")
    _, _, err = oversight("run", "e.yaml", "--limit", "6")
    assert err.startswith("12 episodes planned, 8 already done")
    _, _, err = oversight("run", "direct", "debate:rounds=1", *PLAYED, "--limit", "6", "--db", "file.duckdb")
    assert err.startswith("12 episodes planned, 12 already done")
    _, _, err = oversight("run", "e.yaml", "debate:rounds=2", "--limit", "6")
    assert err.startswith("6 episodes planned: 6 to play in file.duckdb")


def test_seat_gives_a_player_to_a_role(oversight):
    argv = (
        "run",
        "consultancy:rounds=1",
        "--task",
        "./toy",
        "--judge",
        "scripted/rep.yaml",
        "--limit",
        "2",
        "-q",
    )
    assert oversight(*argv, "--seat", "consultant=scripted/rep.yaml")[0] == 0


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(folder):
    argv = ("run", "debate:rounds=1", "--task", "./toy", "--limit", "12", "--concurrency", "2")
    players = ("--judge", "scripted/players:slow", "--debater", "scripted/players:slow")
    process = start(*argv, *players, cwd=folder)
    deadline = time.monotonic() + 60
    made = folder / "slow.txt"
    while time.monotonic() < deadline and not (made.exists() and made.stat().st_size > 6):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = err.splitlines()[-1]
    assert last.startswith("oversight: stopped;")
    assert last.endswith(f"The same command goes on: oversight {' '.join((*argv, *players))}")
    with open_reader(folder / "oversight.duckdb") as reader:
        kept = reader.sql("SELECT count(*) FROM calls").rows[0][0]
    again = start(*argv, *players, cwd=folder)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    with open_reader(folder / "oversight.duckdb") as reader:
        assert reader.sql("SELECT count(*) FROM verdicts").rows == [(12,)]
        assert reader.sql("SELECT count(*), count(DISTINCT call) FROM calls").rows == [(36, 36)]
    assert 0 < kept < 36


def test_a_bug_of_a_model_is_one_line_and_the_traceback_can_be_had(oversight, folder):
    argv = ("run", "direct", "--task", "./toy", "--judge", "scripted/players:broken", "--limit", "2")
    status, _, err = oversight(*argv)
    assert status == 2
    assert err.splitlines()[-1].startswith(
        "oversight: model 'scripted/players:broken' raised KeyError: 'oops' ("
    )
    assert "Traceback" not in err
    env = {**os.environ, "OVERSIGHT_DEBUG": "1"}
    program = [sys.executable, "-c", "import sys; from oversight.cli import main; sys.exit(main())", *argv]
    done = subprocess.run(program, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("module", ["oversight", "oversight.cli"])
def test_imports_are_light(module):
    code = (
        f"import sys; before = set(sys.modules); import {module}; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "duckdb",
        "pandas",
        "numpy",
        "scipy",
        "statsmodels",
        "torch",
        "pydantic",
        "yaml",
        "jinja2",
        "transformers",
    }
    assert not heavy & set(done.stdout.split())


def test_a_library_that_swallows_ctrl_c_does_not_make_the_run_go_on():
    from oversight.cli.run import _interruptible

    with pytest.raises(KeyboardInterrupt), _interruptible(), contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# parts of a file


PARTS = """
protocol: direct
task: ./toy
judge: scripted/rep.yaml
limit: 2
parts:
  debated:
    protocol: debate:rounds=1
    debater: scripted/rep.yaml
  shots:
    judge: {model: scripted/rep.yaml, examples: shots.yaml}
"""


@pytest.fixture
def published(tmp_path: Path) -> str:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "shots.yaml").write_text("- user: Which?\n- assistant: 'Answer: B'\n")
    (folder / "experiment.yaml").write_text(PARTS)
    return str(folder / "experiment.yaml")


def test_a_part_of_a_file_is_played_in_place_of_its_main_grid(oversight, published):
    def played(*parts: str) -> list[tuple[object, ...]]:
        options = [word for part in parts for word in ("--part", part)]
        status, _, err = oversight("run", published, *options)
        assert status == 0, err
        with open_reader(Path("oversight.duckdb")) as reader:
            counts = (
                "SELECT a.protocol, count(*) FROM episodes JOIN arms a USING (arm) GROUP BY ALL ORDER BY ALL"
            )
            return list(reader.sql(counts).rows)

    assert played() == [("direct", 2)]
    assert played("debated") == [("debate", 2), ("direct", 2)]
    # Its examples lie beside the file, not where the command is typed.
    assert played("all") == [("debate", 2), ("direct", 4)]


def test_a_part_that_is_not_there_is_named_with_those_that_are(oversight, published):
    status, _, err = oversight("run", published, "--part", "debate")
    assert status == 2 and "no part 'debate'; did you mean 'debated'?" in err
    assert "--part is about a part of an experiment's file" in oversight("run", "direct", "--part", "all")[2]
