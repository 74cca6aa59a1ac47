"""From an experiment to its episodes: arms, a sample of questions, and every combination of them."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from oversight.elicit import ELICITATIONS, NEEDS_SCORES
from oversight.engine.rehearse import rehearse
from oversight.episode import Arm, Assignment, Episode, Planned
from oversight.errors import BadQuestion, UserError, unknown
from oversight.experiment import Experiment, Named, SeatConfig
from oversight.library import broken, find_protocol, find_task, read_params, spell
from oversight.models import open_model
from oversight.models.interface import Model, Sampling
from oversight.moves import Judge
from oversight.player import Player
from oversight.prompts import load_template
from oversight.protocol import Protocol
from oversight.question import Label, Question, content_key
from oversight.speech import STYLES
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


@dataclass(frozen=True)
class Plan:
    """Everything that is to be played, and the models it needs."""

    experiment: Experiment
    arms: tuple[Arm, ...]
    tasks: tuple[Sampled, ...]
    models: tuple[Model, ...]

    def __len__(self) -> int:
        """How many episodes there are."""
        e = self.experiment
        orders = 2 if e.order == "both" else 1
        total = 0
        for sampled in self.tasks:
            for question, _ in sampled.items:
                total += sum(len(question.answers) if arm.protocol.argued_by_one else 1 for arm in self.arms)
        return total * orders * e.samples

    def episodes(self) -> Iterator[Planned]:
        """The episodes, question by question, so that every arm advances alike."""
        e = self.experiment
        for sampled in self.tasks:
            for question, label in sampled.items:
                orders = answer_orders(question, e.order, e.seed)
                for arm, order, sample in itertools.product(self.arms, orders, range(e.samples)):
                    argued = range(len(question.answers)) if arm.protocol.argued_by_one else [None]
                    for answer in argued:
                        yield Planned(
                            Episode(arm, sampled.name, question, Assignment(order, answer), sample), label
                        )

    def close(self) -> None:
        """Let the models go."""
        for model in self.models:
            model.close()


def make_plan(experiment: Experiment) -> Plan:
    """Find everything an experiment names, check that it fits together, and draw the questions.

    Every arm is rehearsed once on each task with made-up turns, so that what cannot be played is
    refused before a call is made. Raises `UserError`.
    """
    models: dict[str, Model] = {}
    # What needs no model is looked for first: a misspelt task should not cost a minute of loading.
    protocols = [(p, find_protocol(p.name)) for p in experiment.protocols]
    params = [read_params(protocol, named.params, "protocol") for named, protocol in protocols]
    tasks = _distinct(_sample(named, experiment) for named in experiment.tasks)
    for _, protocol in protocols:
        for role in protocol.roles:
            for seat in experiment.players(role.name):
                _check_names(seat)
    arms: dict[int, Arm] = {}
    try:
        for (_, protocol), values in zip(protocols, params, strict=True):
            for players in _players(protocol, experiment, models):
                arm = Arm(protocol, values, players)
                arms.setdefault(arm.key, arm)
        plan = Plan(experiment, tuple(arms.values()), tasks, tuple(models.values()))
        _rehearse(plan)
    except BaseException:
        for model in models.values():
            model.close()
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
        for number, item in enumerate(items, start=1):
            match item:
                case (Question(), Label(index=index)) if type(index) is int:
                    yield item
                case _:
                    what = reprlib.repr(item)
                    raise TypeError(f"it must yield (Question, Label) pairs, and yielded {what}")
            if number == MOST_QUESTIONS and not task.generated:
                raise ValueError(
                    f"more than {number:,} questions: a task without an end needs generated=True"
                )
    except (Exception, SystemExit) as error:
        raise broken(task, error) from error


def _players(
    protocol: Protocol, experiment: Experiment, models: dict[str, Model]
) -> Iterator[dict[str, Player]]:
    roles = [role.name for role in protocol.roles]
    for chosen in itertools.product(*(experiment.players(role) for role in roles)):
        yield {role: _player(role, seat, protocol, models) for role, seat in zip(roles, chosen, strict=True)}


def _check_names(seat: SeatConfig) -> None:
    if seat.style is not None and seat.style not in STYLES:
        raise unknown("speaking style", seat.style, STYLES)
    if seat.elicit is not None and seat.elicit not in ELICITATIONS:
        raise unknown("elicitation", seat.elicit, ELICITATIONS)


def _player(role: str, seat: SeatConfig, protocol: Protocol, models: dict[str, Model]) -> Player:
    spelt = repr((seat.model, sorted(seat.options.items())))
    if spelt not in models:
        models[spelt] = open_model(seat.model, seat.options)
    model = models[spelt]
    elicit = seat.elicit or model.elicitation
    if elicit not in ELICITATIONS:  # the model's own choice; the user's is checked before
        raise unknown(f"elicitation of model {model.name!r}:", elicit, ELICITATIONS)
    if role == "judge" and elicit in NEEDS_SCORES and not model.scores:
        raise UserError(
            f"model {model.name!r} has no log-probs, which elicit={elicit} needs; use elicit=hard"
        )
    if protocol.folder is None and seat.template is None:
        raise UserError(
            f"protocol {protocol.name!r} comes without a folder of templates: give the {role} a template=FILE"
        )
    path = seat.template or (protocol.folder or seat.template) / f"{role}.jinja"  # type: ignore[operator]
    return Player(
        role=role,
        model=model,
        template=load_template(path),
        sampling=Sampling(seat.temperature, seat.top_p, seat.max_tokens, tuple(seat.stop)),
        style=seat.style or "free",
        elicit=elicit,
        words=seat.words,
        quote_words=seat.quote_words,
    )


def _rehearse(plan: Plan) -> None:
    for sampled in plan.tasks:
        question = sampled.items[0][0]
        for arm in plan.arms:
            argued = 0 if arm.protocol.argued_by_one else None
            order = tuple(range(len(question.answers)))
            moves = rehearse(Episode(arm, sampled.name, question, Assignment(order, argued)))
            needs = any(isinstance(move, Judge) and move.passage for move in moves)
            for q, _ in sampled.items if needs else ():
                if q.passage is None:
                    raise BadQuestion(
                        f"question {q.source_id or q.id} of task {sampled.name!r} has no passage, which "
                        f"{arm.title} gives to the judge"
                    )
