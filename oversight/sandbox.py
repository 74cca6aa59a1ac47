"""The sandbox that prompt templates run in: it reaches for nothing, chances nothing, and comes to an end.

Whatever a template does is paid for out of one allowance, `MOST` for each prompt: a character that it
makes costs one, a turn of a loop or a macro's call `TURN`. So a template that loops for ever, or doubles
a text a hundred times, ends after a second at the same place on every machine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import count
from typing import Any, get_args

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateRuntimeError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from oversight.models.interface import Message, Role
from oversight.moves import Seat
from oversight.recent import Recent
from oversight.views import Answer, Line

MOST = 20_000_000
"""Characters: about five times the longest context that models have."""
TURN = 20
ROLES: tuple[Role, ...] = get_args(Role)
"""What a template calls to make a message."""
LONGEST_SOURCE = 1_000_000
"""Characters of a template itself."""

_PARTS: dict[type, frozenset[str]] = {
    Answer: frozenset({"letter", "text"}),
    Line: frozenset({"title", "role", "kind", "round", "text", "lines", "mine", "to"}),
    Seat: frozenset({"name", "role", "title"}),
    LoopContext: frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0"}),
}
"""What templates name of a view's parts and of loops: texts and numbers, which the sandbox need not look into."""
_HOLDERS = {
    name: frozenset(kind for kind, names in _PARTS.items() if name in names)
    for name in frozenset().union(*_PARTS.values())
}

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


def allow(taken: Taken | None = None) -> None:
    """A new prompt begins: it has the whole allowance. One is rendered at a time in each thread."""
    _left.characters = MOST
    _left.taken = taken


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


class _Generator(CodeGenerator):
    """Jinja's, reading the parts of a view where the template stands: a prompt names dozens of them."""

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        known = isinstance(node.node, nodes.Name) and node.attr in _HOLDERS
        if known:
            self.write("(")
            self.visit(node.node, frame)
            self.write(f".{node.attr} if type(")
            self.visit(node.node, frame)
            self.write(f") in environment.holders[{node.attr!r}] else ")
        super().visit_Getattr(node, frame)
        if known:
            self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's, with the allowance."""

    code_generator_class = _Generator
    holders = _HOLDERS
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


# Filters with names that no template can write.
_TICK, _CONCAT, _NEW, _TAKE = "a turn", "a concatenation", "is new", "is taken"


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
        """`{% call user() %}` makes a message of its body without a macro made for it each time, and only where
        it is not remembered."""
        body = nodes.Template(node.body, lineno=node.lineno)
        body.environment = node.environment
        lasting = next(body.find_all(_EFFECTS), None) is None
        used = sorted(find_undeclared_variables(body)) if lasting else []
        self.generic_visit(node)
        called = node.call.node
        plain = not (
            node.args or node.call.args or node.call.kwargs or node.call.dyn_args or node.call.dyn_kwargs
        )
        if not (plain and isinstance(called, nodes.Name) and called.name in ROLES):
            return node
        at = node.lineno
        told: list[nodes.Expr] = [nodes.Const(called.name)]
        if not lasting:
            taken = nodes.Filter(None, _TAKE, told, [], None, None, lineno=at)
            return nodes.FilterBlock(node.body, taken, lineno=at)
        told += [nodes.Const(next(_blocks)), *(nodes.Name(name, "load", lineno=at) for name in used)]
        new = nodes.Filter(told[0], _NEW, told[1:], [], None, None, lineno=at)
        taken = nodes.Filter(None, _TAKE, told, [], None, None, lineno=at)
        return nodes.If(new, [nodes.FilterBlock(node.body, taken, lineno=at)], [], [], lineno=at)

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


_Made = dict[Any, tuple[Message | None, int, Any]]
_remembered: ContextVar[_Made | None] = ContextVar("remembered", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """While an episode is played, by this task and those it starts, a message that depends on texts, numbers and
    parts of a view alone is rendered once, and what it cost is paid each time: most of a prompt stands in the
    seat's last one too, and in those of other seats."""
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


class Taken:
    """The messages that a template makes."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.made: _Made = {} if (made := _remembered.get()) is None else made
        """Those made before, None for an empty one, with what they cost."""
        self.begun = 0

    def take(self, role: Role, content: str) -> Message | None:
        content = content.strip()
        if not content:
            return None
        message = _lately.find((role, content)) or _lately.put((role, content), Message(role, content))
        self.messages.append(message)
        return message


_lately: Recent[tuple[Role, str], Message] = Recent(lambda of, _: len(of[1]))
"""Messages with their keys: systems and passages recur in thousands of episodes."""


def _taker(role: Role) -> Callable[[Any], str]:
    def take(caller: Any) -> str:  # a macro's, or a text
        _left.taken.take(role, caller if isinstance(caller, str) else str(caller()))
        return ""

    return take


_EFFECTS = (nodes.Call, nodes.CallBlock, nodes.Macro, nodes.NSRef)
"""What a block that is remembered does not hold: it may do more than make a text, or less the next time."""
_blocks = count()


@jinja2.pass_context  # as above
def _new(context: Context, role: Role, block: int, *values: Any) -> bool:
    """Whether a message must be rendered; one that was made of the same values before is taken again."""
    taken: Taken = _left.taken
    made = taken.made.get((block, *map(id, values)))
    if made is None:
        taken.begun = _left.characters
        return True
    message, cost, _ = made
    spend(cost)
    if message is not None:
        taken.messages.append(message)
    return False


def _take(content: str, role: Role, block: int = -1, *values: Any) -> str:
    taken: Taken = _left.taken
    message = taken.take(role, content)
    if block >= 0 and all(map(_lasting, values)):
        # With the values themselves, or what is made later might have the id of one.
        taken.made[block, *map(id, values)] = message, taken.begun - _left.characters, values
    return ""


def _lasting(value: Any) -> bool:
    """Whether a value can never change."""
    kind = type(value)
    return kind in _LASTING or (kind is tuple and all(map(_lasting, value)))


_LASTING = frozenset((str, int, float, bool, type(None), Answer, Line, Seat))


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
    made.globals.update((role, _taker(role)) for role in ROLES)
    own = {"format": _format, "replace": _replace, "join": _join, "string": _string, "indent": _indent}
    own |= {"round": _round, "sum": _sum}
    # No `random`: the same view makes the same prompt. What else is missing pads, or prints what has no end.
    kept = {name: filter for name, filter in made.filters.items() if name in _FILTERS}
    made.filters = {name: _paying(filter) for name, filter in {**kept, **own}.items()}
    made.filters |= {_TICK: _turned, _CONCAT: _concatenated, _NEW: _new, _TAKE: _take}
    return made


environment = _made()
