"""YAML as people write it: one safe document, and no key twice, of which one would silently win."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class BadYaml(ValueError):
    """A text that is not YAML; `line` counts from 1 where it is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


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


def read_yaml(text: str) -> Any:
    """What a YAML text says. Raises `BadYaml`, whatever is wrong with it."""
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "this is not YAML"
        raise BadYaml(problem, mark.line + 1 if mark else None) from None
    except RecursionError:
        raise BadYaml("this is nested too deeply") from None
    except ValueError as error:  # a date of a 99th month, a number of 5,000 digits
        raise BadYaml(str(error)) from None
