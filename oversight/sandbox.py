"""The sandbox that prompt templates run in: it reaches for nothing, chances nothing, and comes to an end.

Whatever a template does is paid for out of one allowance, `MOST` for each prompt: a character that it
makes costs one, a turn of a loop or a macro's call `TURN`. So a template that loops for ever, or doubles
a text a hundred times, ends after a second at the same place on every machine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from oversight.moves import Seat
from oversight.views import Answer, Line

MOST = 20_000_000
"""Characters: about five times the longest context that models have."""
TURN = 20
ROLES = ("system", "user", "assistant")
"""What a template calls to make a message."""
LONGEST_SOURCE = 1_000_000
"""Characters of a template itself."""

_PARTS: dict[type, frozenset[str]] = {
    Answer: frozenset({"letter", "text"}),
    Line: frozenset({"title", "role", "kind", "round", "text", "lines", "mine", "to"}),
    Seat: frozenset({"name", "role", "title"}),
}
"""What templates name of a view's parts: texts and numbers, which the sandbox need not look into."""

_CLOSED_METHODS = frozenset(
    ["center", "encode", "expandtabs", "format", "format_map", "join", "ljust", "replace", "rjust", "to_bytes", "translate", "zfill"]
)  # fmt: skip
"""Methods of texts and numbers that can make a long one of a short one; what is useful of them there is as a filter."""
_FILTERS = frozenset(
    [
        "abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape",
        "format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min",
        "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string",
        "striptags", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
    ]
)  # fmt: skip

_left = threading.local()


class UsedUp(TemplateRuntimeError):
    """A prompt took more than its allowance."""


def allow() -> None:
    """A new prompt begins: it has the whole allowance. One is rendered at a time in each thread."""
    _left.characters = MOST


def spend(characters: int) -> None:
    """Raises `UsedUp` where that is more than what is left of the allowance."""
    _left.characters -= characters
    if _left.characters < 0:
        raise UsedUp(f"it does not end, or makes more than {MOST:,} characters")


def printed(value: Any) -> Any:
    """Only texts and numbers are put into a prompt: what else prints may differ from run to run."""
    if isinstance(value, str):
        _left.characters = left = _left.characters - len(value)  # as `spend` does: this is called the most
        if left < 0:
            spend(0)
        return value
    if isinstance(value, int | float | jinja2.Undefined):
        return value
    raise TypeError(f"it prints a {type(value).__name__}, not a text or number; name a part of it")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's, with the allowance."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def getattr(self, obj: Any, attribute: str) -> Any:
        if attribute in _PARTS.get(type(obj), ()):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> None:
        """Texts have no `format` here: jinja would let it through, made safe against attributes and not against
        a width of gigabytes."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes | int) and attr in _CLOSED_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return _formatted(left, right)
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * (max(right, 0) if operator == "**" else 1) + right.bit_length()
            if bits > 10_000:
                raise TemplateRuntimeError("it makes a number of thousands of digits")
        elif operator in "+*":
            sizes = [len(x) if hasattr(x, "__len__") else x for x in (left, right)]
            if all(isinstance(size, int) for size in sizes):
                spend(max(0, sizes[0] + sizes[1] if operator == "+" else sizes[0] * sizes[1]))
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > LONGEST_SOURCE:
            raise jinja2.TemplateSyntaxError(f"it is longer than {LONGEST_SOURCE:,} characters", 1)
        tree: nodes.Template = _Metered().visit(super()._parse(source, name, filename))
        return tree


_TICK, _CONCAT, _MESSAGE = "a turn", "a concatenation", "a message"  # names that no template can write


class _Metered(NodeTransformer):
    """Each turn of a loop and each call of a macro pays, and so does `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_tick(node)))
        if node.test is not None:  # or a loop could skip for ever
            node.test = nodes.And(_tick(node), node.test)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_tick(node)))
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        """`{% call user() %}` makes a message of its body without a macro made for it each time."""
        self.generic_visit(node)
        called = node.call.node
        plain = not (
            node.args or node.call.args or node.call.kwargs or node.call.dyn_args or node.call.dyn_kwargs
        )
        if plain and isinstance(called, nodes.Name) and called.name in ROLES:
            taken = nodes.Filter(
                None, _MESSAGE, [nodes.Const(called.name)], [], None, None, lineno=node.lineno
            )
            return nodes.FilterBlock(node.body, taken, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        first, *rest = node.nodes
        return nodes.Filter(first, _CONCAT, rest, [], None, None, lineno=node.lineno)


def _tick(node: nodes.Node) -> nodes.Expr:
    text = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
    return nodes.Filter(nodes.Const(TURN + text), _TICK, [], [], None, None, lineno=node.lineno)


@jinja2.pass_context  # so that it is not done once and for all as the template is compiled
def _turned(context: Context, characters: int) -> bool:
    spend(characters)
    return True


@jinja2.pass_context
def _taken(context: Context, content: str, role: str) -> str:
    taken: str = context.resolve(role)(content)
    return taken


@jinja2.pass_context
def _concatenated(context: Context, *parts: Any) -> str:
    return "".join(str(printed(part)) for part in parts)


def _range(*bounds: int) -> range:
    found = range(*bounds)
    spend(TURN * len(found))
    return found


def _formatted(text: str, values: Any) -> str:
    if re.search(r"%[^a-zA-Z%]*(\d{4,}|\*)", text):
        raise TemplateRuntimeError("it pads a text to more than 999 characters")
    for value in (
        values.values() if isinstance(values, dict) else values if isinstance(values, tuple) else (values,)
    ):
        printed(value)
    return str(text % values)


def _format(text: str, *values: Any, **named: Any) -> str:
    return _formatted(str(text), named or values)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text = _string(text)
    spend(text.count(old) * len(new))
    return str.replace(text, old, new, count)


def _join(values: Any, d: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        values = [environment.getitem(value, attribute) for value in values]
    texts = [str(printed(value)) for value in values]
    spend(len(d) * len(texts))
    return d.join(texts)


def _string(value: Any) -> str:
    return str(printed(value))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    by = width if isinstance(width, str) else " " * min(width, 1000)
    lines = text.split("\n")
    spend(len(by) * len(lines))
    put = [by + line if (n or first) and (line or blank) else line for n, line in enumerate(lines)]
    return "\n".join(put)


def _round(value: float, precision: int = 0) -> float:
    return round(value, min(precision, 15))


def _sum(values: Any, attribute: str | None = None) -> float:
    if attribute is not None:
        values = [environment.getitem(value, attribute) for value in values]
    total: float = sum(printed(value) for value in values)
    return total


def _paying(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paying for what it is given."""

    @wraps(filter)
    def paid(*given: Any, **named: Any) -> Any:
        spend(TURN + sum(len(value) for value in given if isinstance(value, str | list | tuple | dict)))
        return filter(*given, **named)

    return paid


def _made() -> Sandbox:
    made = Sandbox(
        undefined=jinja2.StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    for name in ("lipsum", "cycler", "joiner"):
        del made.globals[name]
    made.globals["range"] = _range
    own = {"format": _format, "replace": _replace, "join": _join, "string": _string, "indent": _indent}
    own |= {"round": _round, "sum": _sum}
    # No `random`: the same view makes the same prompt. What else is missing pads, or prints what has no end.
    kept = {name: filter for name, filter in made.filters.items() if name in _FILTERS}
    made.filters = {name: _paying(filter) for name, filter in {**kept, **own}.items()}
    made.filters |= {_TICK: _turned, _CONCAT: _concatenated, _MESSAGE: _taken}
    return made


environment = _made()
