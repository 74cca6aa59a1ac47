"""Files and places that would hang, fill the machine or lead elsewhere are refused in one line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support import REPLIES

from oversight import UserError
from oversight.cli import main
from oversight.errors import StoreError
from oversight.experiment import experiment_from, load_experiment
from oversight.library import find_protocol, find_task
from oversight.models import open_model
from oversight.prompts import load_template
from oversight.store.backup import backup
from oversight.store.check import check, salvage
from oversight.store.database import open_for_writing
from oversight.store.eval_log import EvalLog
from oversight.store.exports import export
from oversight.store.imports.nyu import read_nyu
from oversight.store.merge import merge
from oversight.store.reading import open_reader

# places that are no files


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.yaml")
    return tmp_path / "pipe.yaml"


READERS: dict[str, Callable[[Path], Any]] = {
    "a database to read": open_reader,
    "a database to write": open_for_writing,
    "a template": load_template,
    "an experiment": load_experiment,
    "replies": lambda path: open_model(f"scripted/{path}", {}),
    "an archive": EvalLog,
}


@pytest.mark.parametrize("what", READERS)
def test_a_pipe_is_refused_and_not_waited_for(what: str, pipe: Path) -> None:
    with pytest.raises(UserError, match="pipe, socket or device"):
        READERS[what](pipe)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
@pytest.mark.parametrize("what", READERS)
def test_a_device_without_an_end_is_refused(what: str, tmp_path: Path) -> None:
    if what == "a template":
        place = Path("/dev/zero")
    else:
        place = tmp_path / "zero.yaml"
        place.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="pipe, socket or device"):
        READERS[what](place)


@pytest.mark.parametrize("name", ["md:x", "sqlite:x", "file:x", "postgres:x", ":memory:", "x'; --", "a?b*"])
def test_a_database_may_have_any_name_and_is_a_file(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    open_for_writing(Path(name)).close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    open_for_writing(Path(name)).close()
    with open_reader(name) as reader:
        assert reader.sql("SELECT count(*) FROM meta").rows == [(2,)]
    assert not check(Path(name)).flaws
    assert backup(Path(name), Path("copy"))["meta"] == 2


OPENERS: dict[str, Callable[[Path, Path], Any]] = {
    "read": lambda path, out: open_reader(path),
    "write": lambda path, out: open_for_writing(path),
    "check": lambda path, out: check(path),
    "salvage": salvage,
    "back up": backup,
    "merge": lambda path, out: merge([out.with_name("ours.duckdb"), path], out),
    "export": lambda path, out: export(path, out, "jsonl"),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_file_of_another_kind_fetches_nothing_to_open_it(opener: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.duckdb") as other:
        other.execute("CREATE TABLE meta (x)")
    open_for_writing(tmp_path / "ours.duckdb").close()
    with pytest.raises(StoreError) as refused:
        OPENERS[opener](tmp_path / "x.duckdb", tmp_path / "out")
    assert "\n" not in str(refused.value) and not re.search("extension|download", str(refused.value))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_database_that_would_read_other_files_is_refused(opener: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    for name in ("ours", "theirs"):
        open_for_writing(tmp_path / f"{name}.duckdb").close()
    with duckdb.connect(str(tmp_path / "theirs.duckdb")) as con:
        con.execute("DROP TABLE passages")
        con.execute(
            f"CREATE VIEW passages AS SELECT 1::UBIGINT AS passage, content AS text FROM read_text('{tmp_path}/secret')"
        )
    with pytest.raises(StoreError, match="has a view for the table passages"):
        OPENERS[opener](tmp_path / "theirs.duckdb", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x" * 300, "loop/x", "b\udcffd"])
@pytest.mark.parametrize(
    "argv", [("report", "--db"), ("check",), ("merge", "out"), ("backup",), ("run", "direct", "--db"), ("run",), ("query",)]
)  # fmt: skip
def test_a_name_that_no_file_can_have_is_said_in_one_line(
    argv: tuple[str, ...], name: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    more = ["other"] if argv[0] in ("merge", "backup") else ["--task", "x", "--judge", "simulated/judge"]
    assert main([*argv, name, *(more if argv[0] in ("merge", "backup", "run") else [])]) == 2
    said = capsys.readouterr().err
    assert said.startswith("oversight: ") and said.count("\n") == 1


@pytest.mark.parametrize("what", ["a template", "an experiment", "replies"])
def test_a_file_of_gigabytes_is_refused_unread(what: str, tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(50_000_000_000)  # it takes no room
    with pytest.raises(UserError, match="larger than 10 MB"):
        READERS[what](tmp_path / "big.yaml")


# YAML

BOMB = "bomb:\n- &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    "text", [BOMB, "bomb: &a [*a]\n", "bomb: &a {x: *a}\n"], ids=["grows", "itself", "mapped"]
)
def test_a_yaml_bomb_is_refused_wherever_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    for read in (READERS["an experiment"], READERS["replies"]):
        with pytest.raises(UserError, match=r"aliases \(\*name\) stand for more than"):
            read(path)


def test_yaml_makes_no_python_objects(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("protocol: !!python/object/apply:os.system ['touch made']\n")
    with pytest.raises(UserError, match="could not determine a constructor"):
        load_experiment(path)
    assert not Path("made").exists()


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "9" * 30, "9" * 5000, "1e400", ".nan"])
@pytest.mark.parametrize("setting", ["limit", "samples", "concurrency"])
def test_numbers_without_measure_are_refused(setting: str, number: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "e.yaml").write_text(
        f"protocols: [direct]\ntasks: [sums]\njudge: simulated/judge\n{setting}: {number}\n"
    )
    assert main(["run", str(tmp_path / "e.yaml"), "--db", str(tmp_path / "x.duckdb")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("oversight: ") and said.count("\n") == 1 and len(said) < 1000


# archives


def packed(path: Path, name: str, *parts: bytes) -> Path:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        for part in parts:
            file.write(part)
    return path


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    blanks = b" " * 1_000_000
    bomb = packed(tmp_path / "bomb.eval", "header.json", b'{"version": 2, "pad": "', *[blanks] * 1_000, b'"}')
    assert bomb.stat().st_size < 2_000_000
    tracemalloc.start()
    with pytest.raises(UserError, match=r"header\.json comes to more than 256 MB"), EvalLog(bomb) as log:
        log.header  # noqa: B018
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_an_archive_that_says_less_than_it_holds_is_damaged(tmp_path: Path) -> None:
    path = packed(tmp_path / "liar.eval", "header.json", b"{" + b" " * 300_000_000 + b"}")
    data = path.read_bytes()
    path.write_bytes(data.replace((300_000_002).to_bytes(8, "little"), (100).to_bytes(8, "little")).replace(
        (300_000_002).to_bytes(4, "little"), (100).to_bytes(4, "little")))  # fmt: skip
    with pytest.raises(UserError, match="header"), EvalLog(path) as log:
        log.header  # noqa: B018


def test_an_archive_nested_without_end_is_damaged(tmp_path: Path) -> None:
    path = packed(tmp_path / "deep.eval", "header.json", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(UserError, match=r"header\.json is damaged: maximum recursion"), EvalLog(path) as log:
        log.header  # noqa: B018


def test_nothing_of_an_archive_is_put_into_files(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "inside").mkdir()
    path = packed(tmp_path / "inside" / "out.eval", "../../made", b"x")
    with pytest.raises(UserError, match=r"no header\.json"):
        EvalLog(path)
    assert not (tmp_path / "made").exists() and not (tmp_path.parent / "made").exists()


def test_an_import_reads_what_is_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "theirs" / "debates" / "official").mkdir(parents=True)
    (tmp_path / "theirs" / "debates-metadata.jsonl").write_text('{"name": "../../../secret"}\n')
    with pytest.raises(UserError, match=r"names '\.\./\.\./\.\./secret'; there is no"):
        list(read_nyu(tmp_path / "theirs"))


# names

NAMES = [
    "../../../etc/passwd",
    "..",
    "../debate",
    "/etc",
    "debate/../../x",
    "~root",
    "a\0b",
    "debate\n",
    "",
    "C:\\x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_or_a_folder_with_the_right_file_in_it(name: str) -> None:
    for find in (find_protocol, find_task):
        with pytest.raises(UserError) as refused:
            find(name)
        assert "\n" not in str(refused.value).replace("debate\n", "")


def test_a_name_of_a_thousand_options_is_only_long() -> None:
    spec = "debate:" + ",".join(f"k{n}=1" for n in range(1000))
    with pytest.raises(UserError):
        experiment_from({"protocols": [spec], "tasks": "x", "judge": 3})


# the command line, in a process of its own


def start(folder: Path, *argv: str, **settings: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "oversight", *argv]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder, **settings}
    return subprocess.Popen(command, **settings)


@pytest.fixture
def played(play: Any, tmp_path: Path) -> Path:
    (tmp_path / "rep.yaml").write_text(REPLIES)
    play("debate:rounds=1", "direct", limit=2, db=tmp_path / "oversight.duckdb")
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "argv", [("report",), ("show", "last"), ("query", "FROM turns", "--format", "csv"), ("check",)]
)
def test_output_that_cannot_be_written_is_said_in_one_line(argv: tuple[str, ...], played: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start(played, *argv, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.count("\n") == 1
    assert "the output cannot be written: No space left on device" in err


def opened(pid: int) -> set[str]:
    """Names of the files that a process has open; where the system does not tell, that it has the database."""
    folder = Path(f"/proc/{pid}/fd")
    if not folder.is_dir():
        time.sleep(5)
        return {"oversight.duckdb"}
    names = set()
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.add(file.readlink().name)
    return names


def test_ctrl_c_stops_a_query_that_would_not_end(played: Path) -> None:
    process = start(played, "query", "SELECT count(*) FROM range(1_000_000_000_000) a")
    while "oversight.duckdb" not in opened(process.pid) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)  # it has begun, or is about to
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
