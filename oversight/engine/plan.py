"""From an experiment to its episodes: arms, a sample of questions, and every combination of them."""

from __future__ import annotations

import itertools
import reprlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oversight.engine.rehearse import rehearse
from oversight.engine.seating import check_names, players_of
from oversight.episode import Arm, Assignment, Episode, Planned
from oversight.errors import BadQuestion, Unreachable, UserError, unknown
from oversight.experiment import Experiment, Named
from oversight.library import broken, find_protocol, find_task, read_params, spell
from oversight.models.contract import let_go
from oversight.models.interface import BatchModel, Model
from oversight.moves import Judge
from oversight.protocol import Protocol
from oversight.question import Label, Question, content_key
from oversight.task import Task

MOST_QUESTIONS = 1_000_000
"""Of a finite task: all of them are looked at, so one that has no end must be noticed."""


@dataclass(frozen=True)
class Sampled:
    """A task with the questions drawn from it, in the order they are played.

    `name` carries the parameters that differ from the task's defaults.
    """

    task: Task
    name: str
    items: tuple[tuple[Question, Label], ...]

    def another(self, question: Question) -> Question:
        """Another question on another passage (another at all where there is only one passage), for a placebo.

        Raises `UserError` where there is only one question.
        """
        at = self._places[question.key]
        after = [q for q, _ in (*self.items[at + 1 :], *self.items[:at])]
        if not after:
            raise UserError(f"a placebo needs a second question of task {self.name!r}: take a higher limit")
        # Not always the next: questions on one passage would all get the same one.
        others = [q for q in after if q.cluster != question.cluster] or after
        return others[at % len(others)]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {q.key: i for i, (q, _) in enumerate(self.items)}


@dataclass(frozen=True)
class Plan:
    """Everything that is to be played, and the models it needs."""

    experiment: Experiment
    arms: tuple[Arm, ...]
    tasks: tuple[Sampled, ...]
    models: tuple[Model, ...]

    def __len__(self) -> int:
        """How many episodes there are."""
        return self._ends[-1] if self._ends else 0

    def episodes(self) -> Iterator[Planned]:
        """The episodes, question by question, so that every arm advances alike."""
        e = self.experiment
        for sampled in self.tasks:
            for question, label in sampled.items:
                orders = answer_orders(question, e.order, e.seed)
                for arm, order, sample in itertools.product(self.arms, orders, range(e.samples)):
                    for answer in _argued(arm, question):
                        yield _planned(sampled, question, label, arm, order, sample, answer)

    def at(self, place: int) -> Planned:
        """The episode at a place in that order, made anew. Raises `IndexError` where there is none."""
        if not 0 <= place < len(self):
            raise IndexError(f"no episode {place} among {len(self)}")
        e = self.experiment
        number = bisect_right(self._ends, place)
        place -= self._ends[number - 1] if number else 0
        for sampled in self.tasks:
            if number < len(sampled.items):
                break
            number -= len(sampled.items)
        question, label = sampled.items[number]
        orders = answer_orders(question, e.order, e.seed)
        for arm in self.arms:
            argued = _argued(arm, question)
            if place < (own := len(orders) * e.samples * len(argued)):
                break
            place -= own
        place, answer = divmod(place, len(argued))
        order, sample = divmod(place, e.samples)
        return _planned(sampled, question, label, arm, orders[order], sample, argued[answer])

    @cached_property
    def _ends(self) -> array[int]:
        """How many episodes there are up to the end of each question."""
        e = self.experiment
        each = (2 if e.order == "both" else 1) * e.samples
        ends, total = array("Q"), 0
        for sampled in self.tasks:
            for question, _ in sampled.items:
                total += each * sum(len(_argued(arm, question)) for arm in self.arms)
                ends.append(total)
        return ends

    def close(self) -> None:
        """Let the models go."""
        let_go(self.models)


def _argued(arm: Arm, question: Question) -> Sequence[int | None]:
    """Which answer the one speaker argues for, in turn; None where nobody alone does."""
    return range(len(question.answers)) if arm.protocol.argued_by_one else (None,)


def _planned(
    sampled: Sampled,
    question: Question,
    label: Label,
    arm: Arm,
    order: tuple[int, ...],
    sample: int,
    argued: int | None,
) -> Planned:
    other = sampled.another(question) if arm.judge.judging.placebo else None
    return Planned(Episode(arm, sampled.name, question, Assignment(order, argued), sample, other), label)


def make_plan(experiment: Experiment) -> Plan:
    """Find everything an experiment names, check that it fits together, and draw the questions.

    Every arm is rehearsed once on each task with made-up turns, so that what cannot be played is
    refused before a call is made. Raises `UserError`.
    """
    models: dict[str, Model] = {}
    # What needs no model is looked for first: a misspelt task should not cost a minute of loading.
    protocols = []
    for named in experiment.protocols:
        protocol = find_protocol(named.name)
        params = read_params(protocol, named.params, "protocol")
        protocols.append((_given(protocol, params), params))
    tasks = _distinct(_samples(experiment))
    roles = {role.name for protocol, _ in protocols for role in protocol.roles}
    for name in experiment.seats:
        if name not in roles:
            raise unknown("role", name, roles, "(of these protocols)")
    for protocol, _ in protocols:
        for role in protocol.roles:
            for seat in experiment.players(role.name):
                check_names(seat)
    arms: dict[int, Arm] = {}
    try:
        for protocol, params in protocols:
            for players in players_of(protocol, experiment, models):
                arm = Arm(protocol, params, players)
                arms.setdefault(arm.key, arm)
        if experiment.batch and not any(isinstance(m, BatchModel) and m.batches for m in models.values()):
            raise UserError("batch: none of these models has a batch endpoint; openai/… and anthropic/… have")
        plan = Plan(experiment, tuple(arms.values()), tasks, tuple(models.values()))
        _rehearse(plan)
    except BaseException:
        let_go(models.values())
        raise
    return plan


def answer_orders(question: Question, order: str, seed: int) -> list[tuple[int, ...]]:
    """In which orders a question's answers are shown (indices in `Question.answers`)."""
    places = range(len(question.answers))
    if order == "fixed":
        return [tuple(places)]
    shuffled = tuple(sorted(places, key=lambda i: content_key("order", seed, question.key, i)))
    return [shuffled] if order == "random" else [shuffled, shuffled[::-1]]


def draw(items: list[tuple[Question, Label]], limit: int | None, seed: int) -> list[tuple[Question, Label]]:
    """A seeded sample that spreads over groups: one question of each before a second of any.

    The groups' order and the order within each are the seed's, so a smaller limit takes a prefix.
    """
    groups: dict[str, list[tuple[Question, Label]]] = {}
    for item in items:
        groups.setdefault(item[0].cluster, []).append(item)
    ranked = sorted(groups, key=lambda g: content_key("group", seed, g))
    for group in ranked:
        groups[group].sort(key=lambda item: content_key("question", seed, item[0].key))
    rows = itertools.zip_longest(*(groups[g] for g in ranked))
    drawn = [item for row in rows for item in row if item is not None]
    return drawn[:limit]


def _distinct(tasks: Iterable[Sampled]) -> tuple[Sampled, ...]:
    """The tasks, one named twice taken once. Raises `UserError` for two tasks of one name."""
    found: dict[str, Sampled] = {}
    for one in tasks:
        other = found.setdefault(one.name, one)
        if [q.key for q, _ in other.items] != [q.key for q, _ in one.items]:
            raise UserError(
                f"two different tasks are called {one.name!r}: rename the function of one of them"
            )
    return tuple(found.values())


def _samples(experiment: Experiment) -> list[Sampled]:
    """Of every task its questions. Raises `Unreachable` naming all whose data cannot be had."""
    there, missing = {}, {}
    for n, named in enumerate(experiment.tasks):
        try:
            there[n] = _sample(named, experiment)
        except Unreachable as error:
            missing[n] = error
    if not missing:
        return list(there.values())
    if len(experiment.tasks) == 1:
        raise missing[0]
    spelt = [spell(named.name, named.params) for named in experiment.tasks]
    named_all = "; ".join(f"{spelt[n]}: {error}" for n, error in missing.items())
    others = " ".join(f"--task {spelt[n]}" for n in there)
    raise Unreachable(
        f"{len(missing)} of {len(experiment.tasks)} tasks cannot be had ({named_all})"
        + (f"; to leave them out name the others: {others}" if others else "")
    )


def _sample(named: Named, experiment: Experiment) -> Sampled:
    task = find_task(named.name)
    params = read_params(task, named.params, "task")
    if task.generated:
        if experiment.limit is None:
            raise UserError(
                f"task {task.name!r} has no end: say how many questions with --limit, e.g. --limit 100"
            )
        items = list(itertools.islice(_pairs(task, experiment.seed, params), experiment.limit))
    else:
        items = draw(list(_pairs(task, experiment.seed, params)), experiment.limit, experiment.seed)
    if not items:
        raise UserError(f"task {task.name!r} has no questions with these parameters")
    seen: set[int] = set()
    for question, label in items:
        name = f"question {question.source_id or question.id} of task {task.name!r}"
        if not 0 <= label.index < len(question.answers):
            raise BadQuestion(f"{name} has label {label.index} but {len(question.answers)} answers")
        if question.key in seen:
            raise BadQuestion(f"{name} is there twice")
        seen.add(question.key)
    defaults = {n: p.default for n, p in task.signature.parameters.items()}
    return Sampled(
        task, spell(task.name, {k: v for k, v in params.items() if defaults[k] != v}), tuple(items)
    )


def _pairs(task: Task, seed: int, params: dict[str, Any]) -> Iterator[tuple[Question, Label]]:
    """What a task yields. Raises `UserError` naming its file and line where it raises or yields another thing."""
    try:
        items: Iterable[Any] = task.questions(seed=seed, **params)
        if not isinstance(items, Iterable):
            raise TypeError(f"it must yield (Question, Label) pairs, and returned {reprlib.repr(items)}")
        named: dict[str, int] = {}
        for number, item in enumerate(items, start=1):
            match item:
                case (Question(source_id=name) as question, Label(index=index)) if type(index) is int:
                    if name and named.setdefault(name, question.key) != question.key:
                        raise ValueError(
                            f"two different questions have the source_id {name!r}: give each its own, or none"
                        )
                    yield item
                case (Question(), Label(index=index)):
                    raise TypeError(f"a Label holds the index of the right answer, from 0, and not {index!r}")
                case _:
                    what = reprlib.repr(item)
                    raise TypeError(f"it must yield (Question, Label) pairs, and yielded {what}")
            if number == MOST_QUESTIONS and not task.generated:
                raise ValueError(
                    f"more than {number:,} questions: a task without an end needs generated=True"
                )
    except (Exception, SystemExit) as error:
        raise broken(task, error) from error


def _given(protocol: Protocol, params: Mapping[str, Any]) -> Protocol:
    try:
        return protocol.given(params)
    except (Exception, SystemExit) as error:
        raise broken(protocol, error) from error


def _rehearse(plan: Plan) -> None:
    for sampled in plan.tasks:
        question = sampled.items[0][0]
        for arm in plan.arms:
            argued = 0 if arm.protocol.argued_by_one else None
            order = tuple(range(len(question.answers)))
            other = sampled.another(question) if arm.judge.judging.placebo else None
            moves = rehearse(Episode(arm, sampled.name, question, Assignment(order, argued), placebo=other))
            needs = any(isinstance(move, Judge) and move.passage for move in moves)
            for q, _ in sampled.items:
                if needs and q.passage is None and not q.images_hidden:
                    raise BadQuestion(
                        f"question {q.source_id or q.id} of task {sampled.name!r} has no passage, which "
                        f"{arm.title} gives to the judge"
                    )
                if q.images:
                    _check_sight(q, sampled.name, arm, needs)


def _check_sight(question: Question, task: str, arm: Arm, judge_reads: bool) -> None:
    """Raise `UserError` where a seat is shown images that its model cannot see."""
    for role in arm.protocol.roles:
        reads = role.reads or (judge_reads and role.name == "judge")
        members = [p.model for seat, p in arm.players.items() if seat == role.name or p.role == role.name]
        members += [p.model for p in arm.players[role.name].judging.panel]
        model = next((m for m in members if not m.images), None)
        if question.seen(reads) and model is not None:
            raise UserError(
                f"question {question.source_id or question.id} of task {task!r} has images, which model "
                f"{model.name!r} ({role.name}) cannot see: take one that can, or another task"
            )
