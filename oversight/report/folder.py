"""The folder that a written report lies in: filled when everything is made, and nothing of another's overwritten."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from oversight.errors import UserError

MARK = ".oversight-report"
"""In each folder that a report was written to: it may be written there again."""

_OURS = re.compile(r"report\.(md|html)|figures/[a-z]+(-[a-z]+)*(-\d+)?\.(png|svg)")


def check_folder(out: Path, force: bool) -> None:
    """Raise `UserError` where `out` is a file, or, without `force`, a folder with something in it that no report
    was written to."""
    if (out.exists() or out.is_symlink()) and not out.is_dir():
        raise UserError(f"{out} is a file: name a folder with --out")
    try:
        strange = out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()
    except OSError as error:
        raise UserError(f"{out} cannot be read: {error.strerror or error}") from None
    if strange and not force:
        raise UserError(
            f"{out} holds other files: name another --out, or write the report among them with --force"
        )


def write_folder(out: Path, files: Mapping[str, bytes], force: bool) -> None:
    """Write the files (by path under `out`), which are all made beside it before the first is put in its place, and
    remove what an earlier report left that this one has not. Other files stay as they are. Raises `UserError`."""
    check_folder(out, force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent if out.name else out))
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror or error}") from None
    try:
        for name, content in files.items():
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_bytes(content)
        (made / MARK).write_text(
            "Made by `oversight report --out`, which may replace its files.\n", encoding="utf-8"
        )
        _put(made, out, files)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, out: Path, files: Mapping[str, bytes]) -> None:
    """The mark first, so that after a kill half-way the same command goes on."""
    ours = (out / MARK).is_file()
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name in (MARK, *files):
        (made / name).replace(out / name)
    if not ours:
        return
    for old in [*out.iterdir(), *(out / "figures").iterdir()]:
        name = old.relative_to(out).as_posix()
        if name not in files and _OURS.fullmatch(name):
            old.unlink()
