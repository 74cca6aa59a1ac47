"""A report for readers: one Markdown file and one HTML file that needs nothing beside it, with figures and SQL.

Text of models and tasks is data in both: escaped in HTML, and in Markdown written so that nothing of it is markup.
The HTML has no script and no link, and forbids itself to fetch anything.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oversight.measure import accuracy
from oversight.report.figures import Drawn, draw
from oversight.report.folder import check_folder, write_folder
from oversight.report.measures import sections, statements
from oversight.report.safe import one_line
from oversight.report.sections import Section

if TYPE_CHECKING:
    from jinja2 import Environment

    from oversight.store.reading import Reader

_MARKUP = re.compile(r"[\\`*_\[\]<>|&$~#@]|://|(?<=www)\.|^[-+](?=\s)|(?<=\d)[.)](?=\s)", re.IGNORECASE)


@dataclass(frozen=True)
class Headline:
    """The database's file name, the run that is told of, and how far it is. No folder: a report is passed on."""

    database: str
    which: str
    version: str


@dataclass(frozen=True)
class Part:
    """A section under its name, with the SQL of its numbers."""

    name: str
    section: Section
    sql: Mapping[str, str]


def write_report(reader: Reader, out: Path, run: int | None = None, force: bool = False) -> list[str]:
    """Write report.md, report.html and figures/ to the folder `out`: of the whole database, or of what one run
    planned. Returns the names of the files.

    Raises `UserError` where there is nothing to report, where `out` holds files that are no report's (unless
    `force`) or cannot be written, and `StoreError`. What fails leaves `out` as it was.
    """
    check_folder(out, force)
    files = document(reader, run)
    write_folder(out, files, force)
    return list(files)


def document(reader: Reader, run: int | None = None) -> dict[str, bytes]:
    """The files of a report, by name. Raises as `write_report`."""
    parts = [
        Part(name.replace(" ", "-"), section, statements(name, run))
        for name, section in sections(reader, run).items()
    ]
    drawn = {figure.name: draw(figure.drawing) for part in parts for figure in part.section.figures}
    head = _headline(reader, run)
    files = {"report.md": _markdown(head, parts), "report.html": _html(head, parts, drawn)}
    for name, figure in drawn.items():
        files |= {f"figures/{name}.png": figure.png, f"figures/{name}.svg": figure.svg}
    return files


def _headline(reader: Reader, run: int | None) -> Headline:
    from oversight import __version__

    (rid, status, started, _, planned, judged), *_ = reader.sql(accuracy.statements(run)["run"]).rows
    which = "Run" if run is not None else "The whole database; last run"
    told = f"{which} {rid[:8]}, {started:%Y-%m-%d %H:%M} UTC: {judged:,} of {planned:,} judged ({status})."
    return Headline(reader.path.name, told, f"oversight {__version__}")


def _markdown(head: Headline, parts: Sequence[Part]) -> bytes:
    template = _environment(escaped=False).get_template("report.md.jinja")
    return _encoded(template.render(head=head, parts=parts))


def _html(head: Headline, parts: Sequence[Part], drawn: Mapping[str, Drawn]) -> bytes:
    inline = {name: base64.b64encode(figure.svg).decode("ascii") for name, figure in drawn.items()}
    template = _environment(escaped=True).get_template("report.html.jinja")
    return _encoded(template.render(head=head, parts=parts, inline=inline))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8")


def _environment(escaped: bool) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return resources.files("oversight.report").joinpath(name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {"line": one_line, "plain": plain}
    environment.filters |= filters
    return environment


def plain(text: str) -> str:
    """One line of Markdown that shows this text and has no markup in it, in a table's cell too."""
    return _MARKUP.sub(_escaped, one_line(text))


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    if found == "_":
        return r"\_"  # in every second name, and readable so
    return "".join(f"&#{ord(c)};" for c in found)
