"""A new file is made beside its name and takes it when it is whole.

It is made in a hidden folder whose name is always the same, and which is locked while a process is at it: what a
killed one left is cleared away by the next that makes the same file, and two never make it at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from oversight.errors import StoreError
from oversight.store.database import first_line


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """A draft beside `out` that takes its name when the block ends well. Raises `StoreError` where `out` is there,
    or another process is making it."""
    if out.exists() or out.is_symlink():
        raise StoreError(f"{out} is there already, and nothing is overwritten: name a new file")
    if not out.resolve().parent.is_dir():
        raise StoreError(f"no folder {out.parent}: make it, or name another file")
    try:
        with _folder(out) as folder:
            draft = folder / "draft.duckdb"
            yield draft
            if out.exists():
                raise StoreError(f"{out} has appeared meanwhile, and nothing is overwritten: name a new file")
            draft.rename(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}") from None
    except duckdb.Error as error:
        raise StoreError(f"{out} cannot be written: {first_line(str(error).split(': ', 1)[-1])}") from None


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    real = out.resolve()
    folder = real.parent / f".{real.name}.draft"
    held = _hold(folder, out)
    try:
        _clear(folder)
        yield folder
    finally:
        _clear(folder)
        (folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is something that is not ours
            folder.rmdir()
        os.close(held)


def _hold(folder: Path, out: Path) -> int:
    """Lock the folder, made if it is not there: the lock goes with the process that holds it."""
    while True:
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link: remove it, or name another file")
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = folder / "lock"
        try:
            held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:  # whoever had it has just removed it
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.stat().st_ino == os.fstat(held).st_ino:
                return held
        except BlockingIOError:
            os.close(held)
            raise StoreError(
                f"another process is making {out}: wait for it to end, or name another file"
            ) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(held)
            raise
        os.close(held)


def _clear(folder: Path) -> None:
    """Remove drafts, with what DuckDB keeps beside them."""
    for left in folder.glob("*.duckdb*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
