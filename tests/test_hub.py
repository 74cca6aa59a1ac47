"""Reading a hub data set's files: from a mirror folder, from a (local) hub, and the ways it goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from oversight import UserError, hub

REVISION = "0123456789abcdef0123456789abcdef01234567"


def parquet(path: Path, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"copy ({select}) to '{path}' (format parquet)")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror folder with one data set, some/set."""
    monkeypatch.setenv("OVERSIGHT_DATA", str(tmp_path))
    folder = tmp_path / "some__set"
    parquet(folder / "data" / "train-00001-of-00002.parquet", "select 3 as n, ['x', 'y'] as items")
    parquet(folder / "data" / "train-00000-of-00002.parquet", "select unnest([1, 2]) as n, ['z'] as items")
    parquet(folder / "main" / "test-00000-of-00001.parquet", "select 4 as n, []::text[] as items")
    return folder


def read(pattern: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return list(hub.rows("some/set", REVISION, pattern, columns))


@pytest.mark.usefixtures("mirror")
def test_files_are_read_in_the_order_of_their_paths() -> None:
    assert [row["n"] for row in read("train-*.parquet")] == [1, 2, 3]
    assert read("train-*.parquet")[2] == {"n": 3, "items": ["x", "y"]}
    assert read("train-*.parquet", ["items"])[0] == {"items": ["z"]}


@pytest.mark.usefixtures("mirror")
def test_a_pattern_may_name_the_folder() -> None:
    assert [row["n"] for row in read("main/test-*.parquet")] == [4]
    with pytest.raises(UserError, match="has no data/test"):
        read("data/test-*.parquet")


@pytest.mark.usefixtures("mirror")
def test_a_missing_split_is_answered_with_what_there_is() -> None:
    with pytest.raises(UserError) as caught:
        hub.rows("some/set", REVISION, "validation-*.parquet")  # at once, not at the first row
    assert "some__set has no validation-*.parquet; it has data/train-00000-of-00002.parquet" in str(
        caught.value
    )


@pytest.mark.usefixtures("mirror")
def test_a_missing_column_is_answered_with_what_there_is() -> None:
    with pytest.raises(UserError, match="has no column 'label'; it has n, items"):
        read("train-*.parquet", ["n", "label"])


def test_a_later_mirror_is_looked_in_for_what_the_first_lacks(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = mirror.parent / "other [2]*"
    parquet(other / "some__set" / "validation-0.parquet", "select 9 as n")
    monkeypatch.setenv("OVERSIGHT_DATA", os.pathsep.join([str(mirror.parent), "", "/no/such", str(other)]))
    assert read("validation-*.parquet") == [{"n": 9}]


def test_text_formats_keep_texts_as_they_are(mirror: Path) -> None:
    lines = [{"id": "007", "day": "2024-01-02", "more": {"a": [1]}}, {"id": "1e5", "day": "Ünï\u2028code"}]
    (mirror / "a.jsonl").write_text(
        "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8"
    )
    (mirror / "b.json").write_text(json.dumps(lines))
    (mirror / "c.json").write_text(json.dumps({"version": 1, "rows": lines}))
    (mirror / "d.csv").write_text('\ufeffid,day,more\n007,2024-01-02,"two\nlines, ""quoted"""\n', "utf-8")
    assert read("a.jsonl") == read("b.json") == read("c.json") == lines
    assert read("a.jsonl", ["id", "more"]) == [{"id": "007", "more": {"a": [1]}}, {"id": "1e5", "more": None}]
    assert read("d.csv") == [{"id": "007", "day": "2024-01-02", "more": 'two\nlines, "quoted"'}]
    with pytest.raises(UserError, match="has no column 'label'; it has id, day, more"):
        read("d.csv", ["label"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.parquet", "not parquet", r"a\.parquet cannot be read"),
        ("a.jsonl", '{"a": 1}\n{"a":', r"a\.jsonl, line 2 is not JSON"),
        ("a.jsonl", "[1]\n", r"a\.jsonl, line 1: a row is an object"),
        ("a.json", "{}", r"a\.json holds no list of rows"),
        ("a.json", "[", r"a\.json is not JSON"),
        ("a.bin", "", "not a kind of file that can be read"),
    ],
)
def test_a_spoilt_file_is_named_on_one_line(mirror: Path, name: str, content: str, says: str) -> None:
    (mirror / name).write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        read(name)
    assert "\n" not in str(caught.value)


# Downloading. The hub library reads its settings when it is imported, hence a process each.

_SCRIPT = """
import json, sys
from oversight import UserError, hub
try:
    print(json.dumps(list(hub.rows(*sys.argv[1:]))))
except UserError as error:
    print("UserError:", error)
"""


@pytest.fixture
def download(tmp_path: Path) -> Callable[..., str]:
    """Reads rows in a process of its own, with its own cache and these settings; returns what it printed."""

    def go(pattern: str, hub_id: str = "some/set", revision: str = REVISION, **env: str) -> str:
        # No proxy and no token of the machine's own.
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("HF_")}
        kept |= {
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        kept |= {"OVERSIGHT_DATA": str(tmp_path / "empty"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **env}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, hub_id, revision, pattern],
            env=kept, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert len(done.stdout.splitlines()) == 1, done.stdout
        return done.stdout.strip()

    return go


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A hub on the loopback interface: some/set is open, its copy some/gated needs a token."""
    content = {"data/train.jsonl": b'{"n": 1}\n', "data/test.jsonl": b'{"n": 2}\n'}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, _ = self.path.partition("?")
            api, file = "/api/datasets/some/", f"/resolve/{REVISION}/"
            gated = "/some/gated" in path and self.headers["authorization"] != "Bearer hf_let_me_in"
            if not path.startswith(
                (api + "set", api + "gated", "/datasets/some/set", "/datasets/some/gated")
            ):
                self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif REVISION not in path:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            elif file in path:
                body = content[path.split(file)[1]]
                if gated:
                    self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
                else:
                    self.reply(200, body, {"ETag": f'"{len(body)}-{path[-9:]}"', "X-Repo-Commit": REVISION})
            elif "/tree/" in path:
                tree = [
                    {"type": "file", "path": p, "size": len(b), "oid": "0" * 40} for p, b in content.items()
                ]
                self.reply(200, json.dumps(tree).encode())
            else:
                info = {"id": "some/set", "sha": REVISION, "siblings": [{"rfilename": p} for p in content]}
                self.reply(200, json.dumps(info).encode())

        do_HEAD = do_GET

        def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_that_no_mirror_has_are_downloaded_and_kept(
    download: Callable[..., str], endpoint: str, tmp_path: Path
) -> None:
    assert download("train*.jsonl", HF_ENDPOINT=endpoint) == '[{"n": 1}]'
    assert download("train*.jsonl", HF_HUB_OFFLINE="1") == '[{"n": 1}]'
    assert not list((tmp_path / "cache").rglob("test.jsonl")), "only what was asked for is fetched"
    # The cache has the revision, but not this file of it.
    assert "set OVERSIGHT_DATA to a folder holding some__set" in download("test*.jsonl", HF_HUB_OFFLINE="1")
    assert "some/set has no dev*.jsonl; it has data/test.jsonl, data/train.jsonl" in download(
        "dev*.jsonl", HF_ENDPOINT=endpoint
    )


def test_a_gated_data_set_needs_a_token(download: Callable[..., str], endpoint: str) -> None:
    said = download("train*.jsonl", "some/gated", HF_ENDPOINT=endpoint)
    assert "accept the terms at https://huggingface.co/datasets/some/gated, set HF_TOKEN" in said
    said = download("train*.jsonl", "some/gated", HF_ENDPOINT=endpoint, HF_TOKEN="hf_a_wrong_secret")
    assert "set HF_TOKEN" in said and "hf_a_wrong_secret" not in said
    assert (
        download("train*.jsonl", "some/gated", HF_ENDPOINT=endpoint, HF_TOKEN="hf_let_me_in") == '[{"n": 1}]'
    )


def test_what_the_hub_does_not_have_is_named(download: Callable[..., str], endpoint: str) -> None:
    assert "no data set no/such" in download("*.jsonl", "no/such", HF_ENDPOINT=endpoint)
    assert "some/set has no revision " + "f" * 40 in download(
        "*.jsonl", revision="f" * 40, HF_ENDPOINT=endpoint
    )


def test_without_a_connection_the_message_says_what_to_set(download: Callable[..., str]) -> None:
    said = download("train*.jsonl", HF_HUB_OFFLINE="1")
    assert said.startswith("UserError: some/set cannot be had from the hub (")
    assert said.endswith("set OVERSIGHT_DATA to a folder holding some__set, or connect to the hub")
