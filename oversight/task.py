"""A task: a set of questions with known answers, and the reason a judge needs help on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oversight.question import Label, Question

Items = Iterator[tuple[Question, Label]]


@dataclass(frozen=True)
class Task:
    """A question set. `questions(seed=…, **params)` yields `(Question, Label)` pairs.

    `asymmetry` says what the helpers have that the judge lacks. A `generated` task is endless and
    yields in the order it is to be used; any other is finite and is sampled by the engine.
    `publish` False: the questions must not appear in exports or results.
    """

    name: str
    questions: Callable[..., Items]
    asymmetry: str
    source: str
    licence: str
    generated: bool = False
    publish: bool = True
    doc: str = ""

    @property
    def signature(self) -> inspect.Signature:
        """The task's parameters: names, types, defaults; `seed` is the engine's."""
        return inspect.signature(self.questions, eval_str=True)


def task(
    *, asymmetry: str, source: str, licence: str, generated: bool = False, publish: bool = True
) -> Callable[[Callable[..., Items]], Task]:
    """Make a generator function `(seed, **params) -> (Question, Label)…` a `Task`.

    The function's parameters, their types, defaults and docstring are the task's options in the
    command line and in YAML. It must take `seed: int`, be deterministic in it, and put the right
    answer at no telling place.
    """

    def wrap(function: Callable[..., Items]) -> Task:
        return Task(
            name=function.__name__,
            questions=function,
            asymmetry=asymmetry,
            source=source,
            licence=licence,
            generated=generated,
            publish=publish,
            doc=inspect.getdoc(function) or "",
        )

    return wrap
