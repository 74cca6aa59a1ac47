"""From an experiment to its episodes: arms, a sample of questions, and every combination of them."""

from __future__ import annotations

import itertools
import reprlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from oversight.elicit import ELICITATIONS, able, lacks
from oversight.engine.rehearse import rehearse
from oversight.episode import Arm, Assignment, Episode, Planned
from oversight.errors import BadQuestion, Unreachable, UserError, unknown
from oversight.experiment import Experiment, Named, SeatConfig, seat_from
from oversight.library import broken, find_protocol, find_task, read_params, spell
from oversight.models import open_model
from oversight.models.contract import let_go
from oversight.models.interface import BatchModel, Message, Model, Sampling
from oversight.moves import Judge
from oversight.player import Judging, Optimised, Player
from oversight.prompts import load_template
from oversight.protocol import Protocol
from oversight.question import Label, Question, content_key
from oversight.speech import STYLES
from oversight.task import Task
from oversight.yaml_text import BadYaml, read_yaml

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
                _check_names(seat)
    arms: dict[int, Arm] = {}
    try:
        for protocol, params in protocols:
            for players in _players(protocol, experiment, models):
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


def _players(
    protocol: Protocol, experiment: Experiment, models: dict[str, Model]
) -> Iterator[dict[str, Player]]:
    """Who plays: every combination of the players named for each role. Where debaters have opponents, each
    pair is played with either of them as A."""
    roles = [role.name for role in protocol.roles]
    for chosen in itertools.product(*(experiment.players(role) for role in roles)):
        players = {
            role: _player(role, seat, protocol, models) for role, seat in zip(roles, chosen, strict=True)
        }
        for player in players.values():
            _check_preference(player, players["judge"])
        if not experiment.opponents or "debater" not in roles:
            yield players
            continue
        for seat in experiment.opponents:
            own, other = players["debater"], _player("debater", seat, protocol, models)
            _check_preference(other, players["judge"])
            # The role's player takes no seat here: a pair from either list is one pair.
            yield {**players, "debater": own, "A": own, "B": other}
            yield {**players, "debater": other, "A": other, "B": own}


def _check_names(seat: SeatConfig) -> None:
    if seat.style is not None and seat.style not in STYLES:
        raise unknown("speaking style", seat.style, STYLES)
    if seat.prefer_by is not None and seat.prefer_by not in PREFERENCES:
        raise unknown("preference", seat.prefer_by, PREFERENCES)
    for n, way in enumerate(seat.elicit or ()):
        if way not in ELICITATIONS:
            raise unknown("elicitation", way, ELICITATIONS)
        if way in (seat.elicit or ())[:n]:
            raise UserError(f"elicit={'+'.join(seat.elicit or ())} names {way!r} twice: name each way once")


def judge_player(seat: SeatConfig, protocol: Protocol, models: dict[str, Model]) -> Player:
    """A judge of a protocol; its models join `models`. Raises `UserError` for a seat that cannot be one."""
    _check_names(seat)
    return _player("judge", seat, protocol, models)


PREFERENCES = ("choice", *(way for way in ELICITATIONS if way != "hard"))
"""How the best of several speeches is found: by a choice, or by a way of reading that gives probabilities."""


def _player(role: str, seat: SeatConfig, protocol: Protocol, models: dict[str, Model]) -> Player:
    model = _model(seat.model, seat.options, models)
    sampling = Sampling(temperature_of(seat, model), seat.top_p, seat.max_tokens, tuple(seat.stop))
    if role == "judge":
        _check_elicit(seat, model, sampling)
        _check_not(seat, "speaker", "best_of", "prefer", "prefer_by", "refine")
    else:
        _check_style(seat, model)
        _check_not(seat, "judge", "beliefs", "queries", "placebo", "panel", "pool", "think")
    if protocol.folder is None and seat.template is None:
        raise UserError(
            f"protocol {protocol.name!r} comes without a folder of templates: give the {role} a template=FILE"
        )
    path = seat.template or (protocol.folder or seat.template) / f"{role}.jinja"  # type: ignore[operator]
    return Player(
        role=role,
        model=model,
        template=load_template(path),
        sampling=sampling,
        style=seat.style or "free",
        elicit=_ways(seat, model),
        votes=seat.votes,
        words=seat.words,
        quote_words=seat.quote_words,
        optimised=_optimised(seat, model, sampling, models),
        judging=_judging(seat, model, protocol, models),
        examples=_examples(seat.examples),
    )


def _check_preference(player: Player, judge: Player) -> None:
    """Raise `UserError` where the model that prefers cannot be read as asked."""
    o = player.optimised
    if o.best_of == 1 or o.prefer_by == "choice":
        return
    model = (
        o.prefer if not isinstance(o.prefer, str) else judge.model if o.prefer == "judge" else player.model
    )
    if what := lacks(model, o.prefer_by):
        raise UserError(
            f"model {model.name!r} has no {what}, which prefer_by={o.prefer_by} needs; it can do: choice, "
            f"{', '.join(way for way in able(model) if way in PREFERENCES)}"
        )


def _model(name: str, options: Mapping[str, Any], models: dict[str, Model]) -> Model:
    spelt = repr((name, sorted(options.items())))
    if spelt not in models:
        models[spelt] = open_model(name, dict(options))
    return models[spelt]


def _optimised(seat: SeatConfig, model: Model, sampling: Sampling, models: dict[str, Model]) -> Optimised:
    """How a speaker is optimised. Raises `UserError` where it cannot be."""
    if seat.best_of == 1 and (seat.prefer or seat.prefer_by):
        raise UserError(
            "prefer and prefer_by choose among several speeches: add best_of=4, or leave them out"
        )
    if seat.style == "quotes" and (seat.best_of > 1 or seat.refine):
        raise UserError(
            "style=quotes is a best-of-n already: leave best_of and refine out, or take style=free"
        )
    if seat.style == "prefill" and seat.refine:
        raise UserError("refine writes a speech anew, which style=prefill does not: take style=free")
    if seat.best_of > 1 and sampling.temperature == 0 and not model.stochastic:
        raise UserError(
            f"best_of={seat.best_of} would draw one speech {seat.best_of} times from model {model.name!r} at "
            "temperature 0: give it a temperature, e.g. temperature=0.8"
        )
    prefer: Model | Literal["self", "judge"] = "self"
    if seat.prefer == "judge":
        prefer = "judge"
    elif seat.prefer not in (None, "self"):
        other = seat_from(str(seat.prefer))
        prefer = _model(other.model, other.options, models)
    return Optimised(seat.best_of, prefer, seat.prefer_by or "choice", seat.refine)


def _judging(seat: SeatConfig, model: Model, protocol: Protocol, models: dict[str, Model]) -> Judging:
    """What a judge does beside its verdict. Raises `UserError` where it cannot."""
    ways = _ways(seat, model)
    if seat.think and set(ways) - {"hard", "credence", "votes"}:
        raise UserError(
            f"think=true needs a verdict in words: elicit=hard, credence or votes, not {'+'.join(ways)}"
        )
    if seat.placebo and not seat.queries:
        raise UserError("placebo=true is about the judge's queries: add queries=1, or leave it out")
    if seat.queries and all(role.name == "judge" for role in protocol.roles):
        raise UserError(
            f"queries={seat.queries}: protocol {protocol.name!r} seats nobody whom the judge could ask; leave it "
            "out, or take another protocol"
        )
    if seat.pool is not None and not seat.panel:
        raise UserError("pool is about a panel's verdicts: add panel=MODEL+MODEL, or leave it out")
    panel = tuple(_player("judge", one, protocol, models) for one in seat.panel)
    pool = seat.pool or ("majority" if ways[0] == "hard" else "log_odds")
    firsts = {ways[0], *(one.elicit[0] for one in panel)}
    if panel and pool != "majority" and "hard" in firsts:
        raise UserError(
            f"pool={pool} needs probabilities, which elicit=hard does not give: take another elicit, or pool=majority"
        )
    if any(one.judging != Judging() for one in panel):
        raise UserError("panel: only its first judge, the one that names it, asks and believes on the way")
    return Judging(seat.beliefs, seat.queries, seat.placebo, panel, pool if panel else "log_odds", seat.think)


def _check_not(seat: SeatConfig, whose: str, *names: str) -> None:
    """Raise `UserError` for a setting that is another seat's."""
    for name in names:
        if name in seat.model_fields_set:
            raise UserError(f"{name} is a {whose}'s setting: give it to a {whose}, or leave it out")


def _examples(path: Path | None) -> tuple[Message, ...]:
    """The messages of a file of examples. Raises `UserError` for anything else."""
    if path is None:
        return ()
    try:
        told = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadYaml) as error:
        raise UserError(f"examples {path} cannot be read: {error}") from None
    way = "a list of {user: …} and {assistant: …}, in turn"
    if not isinstance(told, list) or not told:
        raise UserError(f"examples {path}: write {way}")
    messages = []
    for n, one in enumerate(told):
        role: Literal["user", "assistant"] = "assistant" if n % 2 else "user"
        if not isinstance(one, dict) or list(one) != [role] or not isinstance(one[role], str):
            raise UserError(f"examples {path}, item {n + 1}: write {way}; {role} is due")
        messages.append(Message(role, one[role].strip()))
    if len(messages) % 2:
        raise UserError(f"examples {path}: the last item needs its {{assistant: …}}")
    return tuple(messages)


def _ways(seat: SeatConfig, model: Model) -> tuple[str, ...]:
    return tuple(seat.elicit) if seat.elicit else (model.elicitation,)


def _check_elicit(seat: SeatConfig, model: Model, sampling: Sampling) -> None:
    """Raise `UserError` where a judge's verdicts cannot be read as asked."""
    ways = _ways(seat, model)
    for way in ways:
        if way not in ELICITATIONS:  # the model's own choice; the user's is checked before
            raise unknown(f"elicitation of model {model.name!r}:", way, ELICITATIONS)
        if what := lacks(model, way):
            raise UserError(
                f"model {model.name!r} has no {what}, which elicit={way} needs; "
                f"it can do: {', '.join(able(model))}"
            )
    if "votes" in ways and sampling.temperature == 0 and not model.stochastic:
        raise UserError(
            f"elicit=votes would draw one reply {seat.votes} times from model {model.name!r} at temperature 0: "
            "give the judge a temperature, e.g. temperature=0.7"
        )
    if "votes" in seat.model_fields_set and "votes" not in ways:
        raise UserError(
            f"votes={seat.votes} is for elicit=votes, and this judge has elicit={'+'.join(ways)}: "
            "add elicit=votes or leave votes out"
        )


def _check_style(seat: SeatConfig, model: Model) -> None:
    """Raise `UserError` where a seat cannot speak as asked."""
    if seat.style == "prefill" and not model.prefills:
        styles = ", ".join(
            style for style in STYLES if style != "prefill" and (style != "quotes" or model.scores)
        )
        raise UserError(
            f"model {model.name!r} does not go on from a reply begun for it, which style=prefill needs; "
            f"it can do: {styles}"
        )


def temperature_of(seat: SeatConfig, model: Model) -> float:
    """The temperature a seat's model draws at: the lowest it takes, unless the user set one.

    Raises `UserError` for one it does not take.
    """
    low, high = model.temperatures
    if seat.temperature is None:
        return low
    if not low <= seat.temperature <= high:
        takes = "draws as it likes and takes no temperature" if low == high else f"takes {low:g} to {high:g}"
        raise UserError(f"model {model.name!r} {takes}; temperature is {seat.temperature:g}")
    return seat.temperature


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
