"""Judging again what was played before, here or elsewhere: another judge, prompt, elicitation or answer order, after
fewer rounds.

Each transcript becomes a branch: an episode of its own that begins with another's turns and goes on with a
verdict. It is played like any other, so what was judged is never judged twice, and both can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oversight.engine.plan import Plan, Sampled
from oversight.engine.rehearse import rehearse
from oversight.engine.seating import judge_player
from oversight.episode import Arm, Assignment, Episode, Planned
from oversight.errors import UserError
from oversight.experiment import Experiment, SeatConfig, experiment_from
from oversight.library import find_protocol
from oversight.models.contract import let_go
from oversight.models.interface import Model
from oversight.moves import JUDGE, Judge, Quote, Script, Seat, Turn
from oversight.protocol import Case, Protocol
from oversight.question import Image, Label, Question, content_key
from oversight.task import Task

if TYPE_CHECKING:
    from oversight.store.reading import Reader


@dataclass(frozen=True)
class Again(Arm):
    """An arm that another judge sits in. `before` are the players it had, as stored."""

    before: Mapping[str, Any] = field(default_factory=dict)
    said_by: str | None = None

    @cached_property
    def key(self) -> int:
        own = self.players["judge"].identity
        params = dict(self.params)
        return content_key("judged again", self.protocol.name, params, dict(self.before), self.said_by, own)

    @property
    def speaker(self) -> str | None:
        return self.said_by

    def describe(self) -> str:
        return json.dumps({**self.before, "judge": self.judge.describe()}, sort_keys=True)


@dataclass(frozen=True)
class Branch(Episode):
    """An episode that begins with the turns of another, `parent`."""

    parent: int = 0
    turns: tuple[Turn, ...] = ()
    sitting: tuple[Seat, ...] = ()

    @cached_property
    def key(self) -> int:
        return content_key(
            "branch", self.parent, len(self.turns), self.arm.key, self.assignment.order, self.sample
        )

    @property
    def given(self) -> tuple[Turn, ...]:
        return self.turns

    @property
    def origin(self) -> tuple[int, int]:
        return self.parent, len(self.turns)

    @cached_property
    def seats(self) -> tuple[Seat, ...]:
        return self.sitting


@dataclass(frozen=True)
class Rejudgement(Plan):
    """A plan whose episodes are branches."""

    branches: tuple[Planned, ...] = ()

    def __len__(self) -> int:
        return len(self.branches)

    def episodes(self) -> Iterator[Planned]:
        return iter(self.branches)

    def at(self, place: int) -> Planned:
        return self.branches[place]


def plan_rejudgement(
    reader: Reader,
    judges: Sequence[str | Mapping[str, Any] | SeatConfig],
    *,
    only: str = "",
    rounds: int | None = None,
    reverse: bool = False,
    limit: int | None = None,
    **settings: Any,
) -> Rejudgement:
    """What judging again comes to: every transcript that `only` (a SQL condition on `stored`, see `TRANSCRIPTS`)
    selects, for each judge.

    `rounds` cuts transcripts after so many rounds of speeches; `reverse` shows the answers in the opposite order.
    `settings` are an experiment's (max_cost, concurrency, …). Raises `UserError` where nothing is selected, or a
    judge's template or seat does not fit.
    """
    if not judges:
        raise UserError("no judge was named: say who judges again")
    stored = _stored(reader, only, limit)
    protocols = sorted({row["protocol"] for row in stored})
    tasks = sorted({row["task"] for row in stored})
    experiment = experiment_from(
        {
            "protocols": [{"name": name} for name in protocols],
            "tasks": [{"name": name} for name in tasks],
            "judges": list(judges),
            "db": reader.path,
            **settings,
        }
    )
    models: dict[str, Model] = {}
    try:
        return _planned(reader, stored, experiment, models, rounds, reverse)
    except BaseException:
        let_go(models.values())
        raise


TRANSCRIPTS = """SELECT lower(lpad(to_hex(e.episode), 16, '0')) AS id, e.episode, e.task, e.question, e.answer_order,
       e.assignment, e.argued, e.sample, a.protocol, a.params, a.judge, a.speaker, a.players
FROM episodes e JOIN arms a USING (arm)
WHERE e.parent IS NULL AND EXISTS (SELECT 1 FROM turns t WHERE t.episode = e.episode)"""
"""What can be judged again: `only` is a condition on its columns."""


def _stored(reader: Reader, only: str, limit: int | None) -> list[dict[str, Any]]:
    if ";" in only:
        raise UserError(f"only={only!r} is not one condition, such as protocol = 'debate'")
    where = f"WHERE ({only})" if only.strip() else ""
    found = reader.sql(f"SELECT * FROM ({TRANSCRIPTS}) stored {where} ORDER BY episode")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    if not rows:
        raise UserError(
            f"no transcript in {reader.path}"
            + (f" has {only}" if only.strip() else "")
            + ": judging again is for what has turns (`oversight show` lists some)"
        )
    return rows[:limit]


def _planned(
    reader: Reader,
    stored: Sequence[Mapping[str, Any]],
    experiment: Experiment,
    models: dict[str, Model],
    rounds: int | None,
    reverse: bool,
) -> Rejudgement:
    questions = _questions(reader, {row["question"] for row in stored})
    turns, roles = _turns(reader, {row["episode"] for row in stored})
    branches: list[Planned] = []
    arms: dict[int, Again] = {}
    made: dict[tuple[Any, ...], Again] = {}
    for row in stored:
        question, label, _ = questions[row["question"]]
        kept = cut(turns[row["episode"]], rounds)
        order = tuple(row["answer_order"])
        if reverse:
            order = order[::-1]
        seats = _seats(row["assignment"], roles[row["episode"]], order)
        for n, judge in enumerate(experiment.judges):
            spelt = (row["protocol"], row["params"], row["speaker"], row["players"], n)
            if spelt not in made:
                made[spelt] = _arm(row, judge, models, rounds, reverse)
            arm = made[spelt]
            arms.setdefault(arm.key, arm)
            branch = Branch(
                arm,
                row["task"],
                question,
                Assignment(order, row["argued"]),
                row["sample"],
                parent=row["episode"],
                turns=kept,
                sitting=seats,
            )
            branches.append(Planned(branch, label))
    for arm in arms.values():
        rehearse(next(p.episode for p in branches if p.episode.arm is arm))
    tasks = tuple(
        Sampled(_task(name, publish), name, tuple(items))
        for name, (publish, items) in _by_task(stored, questions)
    )
    return Rejudgement(experiment, tuple(arms.values()), tasks, tuple(models.values()), tuple(branches))


def cut(turns: Sequence[Turn], rounds: int | None) -> tuple[Turn, ...]:
    """The turns up to the end of so many rounds of speeches, without questions that nobody came to answer."""
    if rounds is None:
        return tuple(turns)
    if rounds < 0:
        raise UserError(f"rounds is {rounds}; choose 0 or more")
    end = next((i for i, t in enumerate(turns) if t.kind == "speak" and t.round > rounds), len(turns))
    while end < len(turns) and end and turns[end - 1].kind == "ask":
        end -= 1
    return tuple(turns[:end])


def _protocol(name: str, seat: SeatConfig) -> Protocol:
    """The protocol's folder of templates, for one move: the judge's verdict."""
    folder = None
    try:
        folder = find_protocol(name).folder
    except UserError:
        if seat.template is None:
            raise UserError(
                f"there is no protocol {name!r} here to take a judge's template from: give the judge a template=FILE"
            ) from None
    return Protocol(name, _verdict, (JUDGE,), folder=folder, code="judged again")


def _verdict(case: Case, **params: Any) -> Script:
    yield Judge(case.judge)


def _all_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters a template may name: those stored, and the protocol's defaults for the others."""
    try:
        defaults = {n: p.default for n, p in list(find_protocol(name).signature.parameters.items())[1:]}
    except UserError:
        defaults = {}
    return {**defaults, **params}


def _arm(
    row: Mapping[str, Any], judge: SeatConfig, models: dict[str, Model], rounds: int | None, reverse: bool
) -> Again:
    protocol = _protocol(row["protocol"], judge)
    player = judge_player(judge, protocol, models)
    if player.judging.queries:
        raise UserError("queries: who spoke is not there to be asked again; set queries=0")
    params = _all_params(row["protocol"], json.loads(row["params"]))
    params |= {"shown_rounds": rounds} if rounds is not None else {}
    params |= {"reversed": True} if reverse else {}
    return Again(protocol, params, {"judge": player}, json.loads(row["players"]), row["speaker"])


def _seats(assignment: str, roles: Mapping[str, str], order: Sequence[int]) -> tuple[Seat, ...]:
    """The seats of a stored episode, with the places at which the answers they argue are shown."""
    argued = dict(part.split("=") for part in assignment.split(",") if part)
    # A seat that was cut short before it spoke is of the role of those that did.
    other = next((role for role in roles.values() if role != "judge"), None)
    names = dict.fromkeys(["judge", *argued, *roles])
    return tuple(
        Seat(
            name,
            roles.get(name) or (name if name == "judge" else other or name),
            order.index(int(argued[name])) if name in argued else None,
        )
        for name in names
    )


def _questions(reader: Reader, keys: set[int]) -> dict[int, tuple[Question, Label, bool]]:
    rows = reader.sql(
        'SELECT q.question, q.text, q.answers, p.text, q."group", q.stem, q.source_id, q.images, q.images_hidden, '
        "coalesce(q.passage_name, 'text'), q.publish, l.label FROM questions q JOIN labels l USING (question) "
        "LEFT JOIN passages p USING (passage)"
    ).rows
    pictures = {
        key: Image(kind, bytes(data))
        for key, kind, data in reader.sql("SELECT image, media_type, data FROM images").rows
    }
    found = {}
    for key, text, answers, passage, group, stem, source, images, hidden, name, publish, label in rows:
        if key in keys:
            seen = tuple(pictures[image] for image in images or ())
            question = Question(
                text, tuple(answers), passage, group, stem or "", source or "", {}, seen, bool(hidden), name
            )
            found[key] = question, Label(label), bool(publish)
    return found


def _turns(reader: Reader, wanted: set[int]) -> tuple[dict[int, list[Turn]], dict[int, dict[str, str]]]:
    """The turns of episodes, and the role of each seat that made some."""
    quotes: dict[tuple[int, int], list[Quote]] = {}
    for episode, turn, *rest in reader.sql(
        'SELECT episode, turn, "start", "end", verified, passage_start, passage_end, cut FROM quotes '
        "ORDER BY episode, turn, quote"
    ).rows:
        if episode in wanted:
            quotes.setdefault((episode, turn), []).append(Quote(*rest))
    turns: dict[int, list[Turn]] = {}
    roles: dict[int, dict[str, str]] = {}
    for (
        episode,
        turn,
        kind,
        seat,
        role,
        round_,
        text,
        private,
        full,
        cut_,
        visible,
        to,
        placebo,
    ) in reader.sql(
        'SELECT episode, turn, kind, seat, role, round, "text", private, "full", cut, visible_to, addressed, placebo '
        "FROM turns ORDER BY episode, turn"
    ).rows:
        if episode in wanted:
            roles.setdefault(episode, {})[seat] = role
            seen = tuple(visible) if visible is not None else None
            own = tuple(quotes.get((episode, turn), ()))
            turns.setdefault(episode, []).append(
                Turn(kind, seat, round_, text, private or "", full, cut_, own, seen, to, bool(placebo))
            )
    return turns, roles


def _by_task(
    stored: Sequence[Mapping[str, Any]], questions: Mapping[int, tuple[Question, Label, bool]]
) -> list[tuple[str, tuple[bool, list[tuple[Question, Label]]]]]:
    found: dict[str, tuple[bool, dict[int, tuple[Question, Label]]]] = {}
    for row in stored:
        question, label, publish = questions[row["question"]]
        found.setdefault(row["task"], (publish, {}))[1][row["question"]] = (question, label)
    return [(name, (publish, list(items.values()))) for name, (publish, items) in found.items()]


def _task(name: str, publish: bool) -> Task:
    return Task(name, _no_questions, "", "", "", publish=publish)


def _no_questions(**_: Any) -> Iterator[tuple[Question, Label]]:
    return iter(())
