"""Images out of the database: what they are in a line, and written into a folder to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oversight.errors import UserError
from oversight.question import hex_id
from oversight.report.safe import one_line

if TYPE_CHECKING:
    from oversight.store.reading import Reader

# A database may come from anywhere: what it says never becomes a path.
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored image without its data: key, media type, size in bytes."""

    key: int
    media_type: str
    size: int

    @property
    def said(self) -> str:
        """As a transcript says it: "[image image/png 12 kB]"."""
        return f"[image {one_line(self.media_type)} {max(1, round(self.size / 1000)):,} kB]"

    @property
    def file(self) -> str:
        """The name of its file: its key, and the ending of its media type."""
        return f"{hex_id(self.key)}.{ENDINGS.get(self.media_type, 'bin')}"


def read_pictures(reader: Reader, keys: Iterable[int]) -> dict[int, Picture]:
    """The images of these keys, by key. Raises `StoreError`."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = reader.sql(
        "SELECT image, media_type, octet_length(data) FROM images WHERE list_contains(?::UBIGINT[], image)",
        [wanted],
    ).rows
    return {row[0]: Picture(*row) for row in rows}


def save_pictures(reader: Reader, pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """Write images into `folder`, which is made where it is missing; the files. Raises `UserError`."""
    files = []
    for picture in dict.fromkeys(pictures):
        file = folder / picture.file
        data: bytes = reader.sql("SELECT data FROM images WHERE image = ?", [picture.key]).rows[0][0]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror}; name another --images folder") from None
        files.append(file)
    return files
