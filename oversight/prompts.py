"""How a view is put to a model: Jinja templates, sandboxed, strict about names, one file each.

A template is a list of messages:

    {% call system() %}You are {{ seat.title }} …{% endcall %}
    {% for turn in turns %}{% call user() %}{{ turn.title }}:
    {{ turn.lines }}{% endcall %}{% endfor %}
    {% call user() %}Round {{ round }} of {{ rounds }}.{% endcall %}

Messages are taken as the calls are made, never found in the rendered text, so nothing a model wrote
can begin one. Images go with the first user message. What a template may name: `View`'s fields, the protocol's parameters, `words` and
`quote_words` (the seat's budgets), `lettered` (whether the answers are to be listed by letter) and
`elicit` (how a judge is asked for its verdict; empty where it is read without asking).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError

from oversight.errors import BadProtocol, TooLong, UserError
from oversight.files import read_text
from oversight.models.interface import Message
from oversight.question import Image, content_key, hex_id
from oversight.sandbox import MOST, Taken, UsedUp, allow, environment
from oversight.views import View, template_variables

_BROKEN = (
    jinja2.TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    MemoryError,
)
"""What a template that is wrong can raise."""


LONG = MOST // 20
"""Characters of a view beyond which it may be the view, and not the template, that makes a prompt too long."""


def _characters(view: View) -> int:
    """How long all is together that a seat may see."""
    said = (line.lines for line in view.turns)
    return sum(
        map(len, (view.question, view.passage or "", *(a.text for a in view.answers), *said, *view.notes))
    )


def _line(error: BaseException) -> str:
    """An error as one line."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class Template:
    """One template file. Its `hash`, over the whole source, is part of an episode's identity."""

    name: str
    source: str
    hash: str
    compiled: jinja2.Template

    def render(self, view: View, params: Mapping[str, Any], **extra: Any) -> tuple[Message, ...]:
        """The messages for a view. Raises `BadProtocol` for a name the view does not have, for text
        outside a message, for anything the sandbox forbids or that has no end, when there is no message, and
        when there are images and no user message to put them into; `TooLong` where it is what was said that has
        no room, which is no fault of the template's."""
        taken = Taken()
        names = template_variables(view, params)
        names.update(extra)
        allow(taken)
        try:
            rest = self.compiled.render(names)
        except jinja2.UndefinedError as error:
            raise BadProtocol(
                f"template {self.name}: {_line(error)}{_hint(str(error), names)}; {view.seat.title} has: "
                f"{', '.join(sorted(names))}"
            ) from None
        except SecurityError as error:
            raise BadProtocol(
                f"template {self.name} reaches for what is closed to it: {_line(error)}"
            ) from None
        except _BROKEN as error:
            if isinstance(error, UsedUp) and (shown := _characters(view)) > LONG:
                raise TooLong(
                    f"{view.seat.title}'s prompt is to show {shown:,} characters, which is too much"
                ) from None
            raise BadProtocol(f"template {self.name}: {_line(error)}") from None
        if rest.strip():
            raise BadProtocol(
                f"template {self.name} has text outside a message: {rest.strip()[:60]!r}; "
                "put it into {% call user() %}…{% endcall %}"
            )
        if not taken.messages:
            raise BadProtocol(f"template {self.name} made no message")
        return self._illustrated(tuple(taken.messages), view.images)

    def _illustrated(self, messages: tuple[Message, ...], images: tuple[Image, ...]) -> tuple[Message, ...]:
        """The messages, the first of the user's with the images."""
        if not images:
            return messages
        at = next((i for i, message in enumerate(messages) if message.role == "user"), None)
        if at is None:
            raise BadProtocol(f"template {self.name} has no user message to put the question's images into")
        return (*messages[:at], replace(messages[at], images=images), *messages[at + 1 :])


def _hint(said: str, names: Mapping[str, Any]) -> str:
    """What a template that names something unknown may have meant."""
    named = re.search(r"'(\w+)' is undefined", said)
    if named is None:
        return ""
    if named[1] in ("passage", "answer", "others"):
        return f" for this seat ({{% if {named[1]} is defined %}} asks)"
    near = difflib.get_close_matches(named[1], names, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def load_template(path: Path) -> Template:
    """Read and compile a template file. Raises `UserError` naming the file (and line) otherwise.

    A link that leads out of its folder is refused: a folder from elsewhere could put any file of this machine
    into its prompts.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise UserError(f"template {path} is a link that leads out of its folder: put a copy in its place")
    try:
        source = read_text(path)
    except OSError as error:
        raise UserError(f"no template at {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"template {path} is not UTF-8 text") from None
    return template_from(source, f"{path.parent.name}/{path.name}")


@lru_cache(maxsize=256)
def template_from(source: str, name: str) -> Template:
    """A template from its source."""
    allow()  # constant expressions are worked out as it is compiled
    try:
        compiled = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise BadProtocol(f"template {name}, line {error.lineno}: {_line(error)}") from None
    except (*_BROKEN, SyntaxError) as error:  # Python's own limits, on what jinja made of it
        raise BadProtocol(f"template {name}: {_line(error)}") from None
    compiled.globals = dict(compiled.globals)  # else a chain of maps, walked anew for every prompt
    return Template(name, source, hex_id(content_key("template", source)), compiled)
