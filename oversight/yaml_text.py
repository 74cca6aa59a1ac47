"""YAML as people write it: one safe document, and no key twice, of which one would silently win."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Any

import yaml


class BadYaml(ValueError):
    """A text that is not YAML; `line` counts from 1 where it is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


MOST_VALUES = 1_000_000
"""What a document may come to with its aliases written out: nine lines can stand for a billion values."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is set twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number: int = super().construct_yaml_int(node)
        if number.bit_length() > 1000:  # of more than 4,300 digits Python would not even print it
            raise yaml.constructor.ConstructorError(
                None, None, "a number of hundreds of digits", node.start_mark
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for. One that holds itself has no size, and counts as too many."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1
        parts = itertools.chain(*node.value) if isinstance(node, yaml.MappingNode) else iter(node.value)
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def read_yaml(text: str) -> Any:
    """What a YAML text says. Raises `BadYaml`, whatever is wrong with it."""
    try:
        loader = _Loader(text)  # a SafeLoader
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > MOST_VALUES:
                raise BadYaml(f"its aliases (*name) stand for more than {MOST_VALUES:,} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "this is not YAML"
        raise BadYaml(problem, mark.line + 1 if mark else None) from None
    except RecursionError:
        raise BadYaml("this is nested too deeply") from None
    except ValueError as error:  # a date of a 99th month, a number of 5,000 digits
        raise BadYaml(str(error)) from None
