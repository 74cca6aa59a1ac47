"""The files of a data set on the Hugging Face hub, at a pinned revision: from a mirror folder, or downloaded.

`OVERSIGHT_DATA` names one or more mirror folders (separated as in PATH), each holding `<org>__<name>`
folders with the hub's own files. They are looked in first; a data set in none of them is downloaded into
the hub library's cache. Nothing but the files asked for is fetched, and no code of the data set is run.
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from oversight.errors import Unreachable, UserError
from oversight.store.memory import in_memory

MIRRORS = "OVERSIGHT_DATA"
Row = dict[str, Any]


def rows(hub_id: str, revision: str, pattern: str, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of the data set's files that match, file by file in the order of their paths.

    `pattern` is a glob for the end of a path: `validation-*.parquet` matches `data/validation-0000.parquet`,
    `main/test-*.parquet` only those in a folder `main`. Files are parquet, jsonl, json (a list, or
    an object with one list in it) or csv (all values are text). `columns` are read where given; a row of a
    json file that lacks one has None.

    Raises `UserError` at once where no file can be had, and while reading for one that is not as expected.
    """
    return _read(files(hub_id, revision, pattern), None if columns is None else list(columns))


def files(hub_id: str, revision: str, pattern: str) -> list[Path]:
    """The data set's files that match, on this machine. Raises `UserError` where there are none."""
    mirrored = [m for m in _mirrors() if m.is_dir()]
    held = [f for f in (m / hub_id.replace("/", "__") for m in mirrored) if f.is_dir()]
    for folder in held:
        if found := _matching(folder, pattern):
            return found
    if held:
        raise UserError(f"{held[0]} has no {pattern}; it has {_some(_paths(held[0]))}")
    return _download(hub_id, revision, pattern)


def _mirrors() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get(MIRRORS, "").split(os.pathsep) if part]


def _paths(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")


def _matching(folder: Path, pattern: str) -> list[Path]:
    return [folder / path for path in _paths(folder) if _fits(path, pattern)]


def _some(paths: Iterable[str]) -> str:
    """A few paths, for a message."""
    shown = [p for p in paths if not p.startswith(".")]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "") or "no files"


def _download(hub_id: str, revision: str, pattern: str) -> list[Path]:
    try:
        # Used only here: importing it takes longer than everything else that a run from a mirror imports.
        from huggingface_hub import HfApi, errors, snapshot_download
    except ImportError:
        raise Unreachable(
            f"{hub_id} has to be downloaded: pip install huggingface_hub, or {_way(hub_id)}"
        ) from None
    try:
        folder = Path(
            snapshot_download(
                hub_id, repo_type="dataset", revision=revision, allow_patterns=[pattern, f"*/{pattern}"]
            )
        )
        if found := _matching(folder, pattern):
            return found
        # Without a connection the library answers with what it has, which may be other files.
        there = HfApi().list_repo_files(hub_id, repo_type="dataset", revision=revision)
    except errors.GatedRepoError:
        raise Unreachable(
            f"{hub_id} is gated: accept the terms at https://huggingface.co/datasets/{hub_id}, set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise Unreachable(f"the hub's {hub_id} has no revision {revision}") from None
    except errors.RepositoryNotFoundError:
        raise Unreachable(f"the hub has no data set {hub_id}, or it is private: set HF_TOKEN") from None
    except Exception as error:  # the library lets its http client's own errors through
        raise Unreachable(f"{hub_id} cannot be had from the hub ({_brief(error)}): {_way(hub_id)}") from error
    raise UserError(f"the hub's {hub_id} has no {pattern}; it has {_some(sorted(there))}")


def _way(hub_id: str) -> str:
    return f"set {MIRRORS} to a folder holding {hub_id.replace('/', '__')}, or connect to the hub"


def _brief(error: BaseException) -> str:
    """The kind of an error and the start of what it says, on one line."""
    text = " ".join(str(error).split())
    return (
        f"{type(error).__name__}: {text[:100]}{'…' if len(text) > 100 else ''}"
        if text
        else type(error).__name__
    )


# reading


def _read(paths: list[Path], columns: list[str] | None) -> Iterator[Row]:
    for path in paths:
        reader = _READERS.get(path.suffix)
        if reader is None:
            raise UserError(f"{path}: not a kind of file that can be read ({', '.join(sorted(_READERS))})")
        yield from reader(path, columns)


def _parquet(path: Path, columns: list[str] | None) -> Iterator[Row]:
    import duckdb

    with in_memory() as connection:
        try:
            relation = connection.read_parquet(glob.escape(str(path)))
            names = relation.columns
            _require(path, columns, names)
            wanted = names if columns is None else columns
            quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in wanted)
            relation = relation.project(quoted)
            while batch := relation.fetchmany(256):
                for values in batch:
                    yield dict(zip(wanted, values, strict=True))
        except duckdb.Error as error:
            raise UserError(f"{path} cannot be read ({_brief(error)}): fetch it again") from error


# Text formats are read by the standard library: a sniffing reader turns a column of texts that look like
# dates or numbers into something else.


def _jsonl(path: Path, columns: list[str] | None) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _row(f"{path}, line {number}", _parsed(f"{path}, line {number}", line), columns)


def _json(path: Path, columns: list[str] | None) -> Iterator[Row]:
    data = _parsed(str(path), path.read_text(encoding="utf-8"))
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else None
    if not isinstance(data, list):
        raise UserError(f"{path} holds no list of rows")
    for number, item in enumerate(data, 1):
        yield _row(f"{path}, row {number}", item, columns)


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({_brief(error)}): fetch it again") from None


def _row(where: str, item: Any, columns: list[str] | None) -> Row:
    if not isinstance(item, dict):
        raise UserError(f"{where}: a row is an object with named fields")
    return item if columns is None else {name: item.get(name) for name in columns}


def _csv(path: Path, columns: list[str] | None) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # an article is longer than the default allows
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        _require(path, columns, reader.fieldnames or [])
        for row in reader:
            yield dict(row) if columns is None else {name: row[name] for name in columns}


def _require(path: Path, columns: Iterable[str] | None, names: Sequence[str]) -> None:
    for name in columns or ():
        if name not in names:
            raise UserError(f"{path} has no column {name!r}; it has {', '.join(names)}")


_READERS = {".parquet": _parquet, ".jsonl": _jsonl, ".json": _json, ".csv": _csv}
