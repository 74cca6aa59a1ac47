"""How a view is put to a model: Jinja templates, sandboxed, strict about names, one file each.

A template is a list of messages:

    {% call system() %}You are {{ seat.title }} …{% endcall %}
    {% for turn in turns %}{% call user() %}{{ turn.title }}:
    {{ turn.lines }}{% endcall %}{% endfor %}
    {% call user() %}Round {{ round }} of {{ rounds }}.{% endcall %}

Messages are taken as the calls are made, never found in the rendered text, so nothing a model wrote
can begin one. What a template may name: `View`'s fields, the protocol's parameters, `words` and
`quote_words` (the seat's budgets) and, for a judge, `elicit` (how the verdict is asked for).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from oversight.errors import BadProtocol, UserError
from oversight.models.interface import Message, Role
from oversight.question import content_key, hex_id
from oversight.views import View, template_variables

_environment = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)


@dataclass(frozen=True)
class Template:
    """One template file. Its `hash`, over the whole source, is part of an episode's identity."""

    name: str
    source: str
    hash: str
    compiled: jinja2.Template

    def render(self, view: View, params: Mapping[str, Any], **extra: Any) -> tuple[Message, ...]:
        """The messages for a view. Raises `BadProtocol` for a name the view does not have, for text
        outside a message, for anything the sandbox forbids, and when there is no message."""
        messages: list[Message] = []

        def taker(role: Role) -> Any:
            def take(caller: Any) -> str:
                content = str(caller()).strip()
                if content:
                    messages.append(Message(role, content))
                return ""

            return take

        names = template_variables(view, params)
        names.update(extra, system=taker("system"), user=taker("user"), assistant=taker("assistant"))
        try:
            rest = self.compiled.render(names)
        except jinja2.UndefinedError as error:
            raise BadProtocol(
                f"template {self.name}: {error.message}; {view.seat.title} has: {', '.join(sorted(names))}"
            ) from None
        except SecurityError as error:
            raise BadProtocol(f"template {self.name} reaches for what is closed to it: {error}") from None
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise BadProtocol(f"template {self.name}: {error}") from None
        if rest.strip():
            raise BadProtocol(
                f"template {self.name} has text outside a message: {rest.strip()[:60]!r}; "
                "put it into {% call user() %}…{% endcall %}"
            )
        if not messages:
            raise BadProtocol(f"template {self.name} made no message")
        return tuple(messages)


def load_template(path: Path) -> Template:
    """Read and compile a template file. Raises `UserError` naming the file (and line) otherwise."""
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"no template at {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"template {path} is not UTF-8 text") from None
    return template_from(source, f"{path.parent.name}/{path.name}")


@lru_cache(maxsize=256)
def template_from(source: str, name: str) -> Template:
    """A template from its source."""
    try:
        compiled = _environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise BadProtocol(f"template {name}, line {error.lineno}: {error.message}") from None
    return Template(name, source, hex_id(content_key("template", source)), compiled)
