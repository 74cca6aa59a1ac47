"""Inspect AI's `.eval` logs as files: a zip of JSON, read and written here without Inspect itself.

Inspect's own package brings eighty others, some of which our pins exclude, and the format is plain:
`header.json`, `summaries.json` and one `samples/<id>_epoch_<n>.json` a sample. Newer logs are packed with
Zstandard, which Python's zipfile knows from 3.14 on only; the `inspect` extra is the unpacker.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oversight.errors import UserError

Json = dict[str, Any]
_ZSTANDARD = 93
LARGEST = 256_000_000
"""Bytes of one of a log's parts, unpacked: a file of a few kilobytes can stand for any number."""
_LOCAL_HEADER = 30
"""Bytes of a zip entry's local header before its name and extra field."""


class EvalLog:
    """A finished log, open for reading; use as a context manager.

    Raises `UserError` for a file that is no such log, is not finished or is damaged, and, naming the extra, for
    one whose packing nothing here can undo.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise UserError(f"{path} is a folder: name one .eval log in it")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is a pipe, socket or device, not a file")
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile:
            raise UserError(
                f"{path} is no .eval log: a log in JSON becomes one by "
                "`inspect log convert --to eval`, or by a run with --log-format eval"
            ) from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
        self._names = set(self._zip.namelist())
        if "header.json" not in self._names:
            self._zip.close()
            raise UserError(
                f"{path} has no header.json: it is no .eval log, or one of a run that has not ended"
            )

    def __enter__(self) -> EvalLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def header(self) -> Json:
        """What the log says of the whole: `eval`, `plan`, `results`, `status`."""
        return self._read("header.json")

    def samples(self) -> Iterator[Json]:
        """The samples, by name."""
        for name in sorted(self._names):
            if name.startswith("samples/") and name.endswith(".json"):
                yield self._read(name)

    def _read(self, name: str) -> Json:
        info = self._zip.getinfo(name)
        if info.file_size > LARGEST:  # no more than it says is unpacked
            raise UserError(f"{self.path}: {name} comes to more than {LARGEST // 1_000_000} MB")
        try:
            packed = info.compress_type == _ZSTANDARD and not hasattr(zipfile, "ZIP_ZSTANDARD")
            text = self._unpacked(info) if packed else self._zip.read(info)
            found = json.loads(text)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RecursionError) as error:
            raise UserError(f"{self.path}: {name} is damaged: {error}") from None
        if not isinstance(found, dict):
            raise UserError(f"{self.path}: {name} holds a {type(found).__name__}, not an object")
        return found

    def _unpacked(self, info: zipfile.ZipInfo) -> bytes:
        try:
            import zstandard
        except ModuleNotFoundError:
            raise UserError(
                f"{self.path} is packed with Zstandard: `pip install 'oversight[inspect]'` unpacks it"
            ) from None
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER)
            file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
            try:
                with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
                    text = stream.read(info.file_size)
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None
        if zlib.crc32(text) != info.CRC:
            raise ValueError("its checksum is wrong")
        return bytes(text)


def write_eval_log(path: Path, header: Mapping[str, Any], samples: Iterable[Json]) -> int:
    """Write a finished log; `samples` one at a time, so that none but its summary is held. Returns their number.

    Packed with deflate, which every version of Inspect reads.
    """
    summaries = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_:
        start = {"version": header["version"], "eval": header["eval"], "plan": header["plan"]}
        _add(zip_, "_journal/start.json", start)
        for sample in samples:
            _add(zip_, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
            summaries.append(_summary(sample))
        _add(zip_, "summaries.json", summaries)
        _add(zip_, "header.json", header)
    return len(summaries)


def _add(zip_: zipfile.ZipFile, name: str, value: Any) -> None:
    info = zipfile.ZipInfo(name)  # no time of its own: the same log is the same file
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    zip_.writestr(info, json.dumps(value, ensure_ascii=False, allow_nan=False))


def _summary(sample: Json) -> Json:
    kept = ("id", "epoch", "input", "choices", "target", "metadata", "scores", "model_usage", "uuid")
    error = sample.get("error")
    return {
        **{key: sample[key] for key in kept},
        "completed": True,
        "message_count": len(sample["messages"]),
        **({"error": error["message"]} if error else {}),
    }
