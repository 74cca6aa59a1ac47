"""A passage of a wanted length: which facts of the world go into it, in which order, and where it breaks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .columns import Column
from .prose import Block, Sentence, about, along, happenings, history, length, opening
from .settings import ASIDES
from .world import Change, Dice, Fact, World, found

_LEAST = 4.0  # facts that any passage has room for
KINDS = ("fact", "who", "two_facts", "comparison", "count", "change")


@dataclass(slots=True)
class Passage:
    """The text and everything that it states. `kinds` are the kinds of question it was built to carry."""

    text: str
    words: int
    setting: str
    kinds: list[str]
    columns: dict[str, list[Fact]]  # by column name
    changes: list[Change]
    counted: dict[str, tuple[str, list[int]]]
    proof: dict[Fact, int]  # the sentence that states a fact
    sentences: list[str]


def compose(dice: Dice, words: int, answers: int, kinds: Sequence[str], varied: bool) -> Passage:
    """A passage of about `words` words, for the first of `kinds` and as many others as there is room for."""
    per_fact = 7.6 if varied else 6.6
    room = max(_LEAST, (words - 10) / per_fact)
    best: Passage | None = None
    for _ in range(12):
        plan = _plan(dice, room, answers, kinds)
        world = found(dice, plan.people, plan.things, plan.events)
        blocks, changes = _core(world, plan, answers, varied)
        story = _story(world, changes, varied)
        written = sum(length(b) for b in (*blocks, *story))
        over = written > words + 3
        if not over:
            written += _fill(world, blocks, {c.subject for c in changes}, words - written, varied)
        if best is None or abs(written - words) < abs(best.words - words):
            best = _assemble(world, blocks, story, changes, plan.kinds)
        if abs(written - words) <= max(4, words // 50):
            break
        if not over:
            room *= 1.1
        elif room > _LEAST:
            room = max(_LEAST, min(room * 0.93, room * words / written))
        else:
            varied = False
    assert best is not None
    return best


@dataclass(slots=True)
class _Plan:
    kinds: list[str]
    people: int
    columns: int  # of people, in all
    needs: list[str]  # sorts of column that the kinds need: "own", "number", "shared"
    changes: int
    things: int
    events: int


def _plan(dice: Dice, room: float, answers: int, kinds: Sequence[str]) -> _Plan:
    """How many people, columns and changes `room` facts are to be spent on."""
    people = max(answers, min(36, round(math.sqrt(room * (1.2 + 0.8 * dice.random())))))
    chosen: list[str] = []
    needs: list[str] = []
    changes = 0
    for kind in kinds:
        want = {
            "fact": ["own"],
            "who": ["own"],
            "two_facts": ["own", "own"],
            "comparison": ["number"],
            "count": ["shared"],
            "change": [],
        }[kind]
        more = [s for s in ("own", "number", "shared") for _ in range(want.count(s) - needs.count(s))]
        shifts = (answers // 2 if kind == "change" else 0) if not changes else 0
        if not chosen or people * len(needs + more) + 3.2 * (changes + shifts) <= room:
            chosen.append(kind)
            needs += more
            changes += shifts
    left = room - people * len(needs) - 3.2 * changes
    if changes:
        changes += int(left / 40)
        left -= 3.2 * int(left / 40)
    columns = len(needs) + max(0, int(0.85 * left / people))
    return _Plan(
        kinds=chosen,
        people=people,
        columns=max(columns, 0 if changes else 1),
        needs=needs,
        changes=min(changes, 16),
        things=max(changes, min(14, 2 + int(room / 12))),
        events=(1 if room < 25 or dice.chance(0.4) else 2) if changes else 0,
    )


def _core(world: World, plan: _Plan, answers: int, varied: bool) -> tuple[list[Block], list[Change]]:
    """The blocks that the questions need, the opening first, and the changes."""
    dice = world.dice
    columns = _chosen(world.columns, plan)
    # Facts of some columns are told from person to person, of the others person by person.
    across = [c for c in columns if varied and len(world.people) > 2 and dice.chance(0.3)]
    blocks: list[Block] = [[opening(world, varied)]]
    changes = list(_changes(world, plan, answers))
    facts = {c.name: world.facts(c, answers) for c in columns}
    for person in world.people:
        own = [f for c in columns if c not in across for f in facts[c.name] if f.subject == person.name]
        if own:
            blocks.append(about(world, person.name, person.pronoun, own, varied))
    for column in across:
        held = facts[column.name]
        for i in range(0, len(held), 6):
            blocks.append(along(world, column, held[i : i + 6], topic=plan.people > 4 and i == 0))
    return blocks, changes


def _story(world: World, changes: list[Change], varied: bool) -> list[Block]:
    """What happened and what it changed, to be told in this order."""
    blocks: list[Block] = []
    for i, change in enumerate(changes):
        if i % 4 == 0:
            blocks.append(happenings(world) if i == 0 else [])
        blocks[-1] += history(world, change, varied)
    return blocks


def _chosen(columns: list[Column], plan: _Plan) -> list[Column]:
    """The columns that the kinds need, then others up to the plan's number."""
    chosen: list[Column] = []
    for sort in plan.needs:
        chosen.append(next(c for c in columns if c.sort == sort and c not in chosen))
    chosen += [c for c in columns if c not in chosen][: max(0, plan.columns - len(chosen))]
    return chosen


def _changes(world: World, plan: _Plan, answers: int) -> Iterator[Change]:
    people, things = world.dice.mixed(world.people), list(world.things)
    duties = world.dice.mixed(world.setting.duties)
    for i in range(plan.changes):
        # With four answers the other places come from a second change of place.
        duty = answers == 2 or (i >= 2 and plan.people >= 4)
        what = world.dice.pick(("kept", "worked", "duty") if duty else ("kept", "worked"))
        if what == "duty" and duties and plan.people > 2:
            yield world.change(what, duties.pop())
        elif what == "worked" and people:
            person = people.pop()
            yield world.change(what, person.name, person.pronoun)
        elif things:
            yield world.change("kept", things.pop())


def _fill(world: World, blocks: list[Block], moved: set[str], gap: int, varied: bool) -> int:
    """Add up to `gap` words: more facts, then remarks that state none. Returns how many were added."""
    dice, wanted = world.dice, gap
    remarks = dice.mixed(world.setting.fillers)
    if varied:
        # Now and then a remark, so that the facts do not march.
        for _ in range(min(4, gap // 40)):
            remark = Sentence(remarks.pop())
            blocks.append([remark])
            gap -= remark.words
    refused = 0
    for more in _extras(world, blocks, moved, varied):
        if gap < 6 or refused > 2:
            break
        kept: Block = []
        for sentence in more:
            if sentence.words > gap + 2:
                break
            kept.append(sentence)
            gap -= sentence.words
        if any(s.facts for s in kept):
            _join(blocks, kept)
        else:
            gap += length(kept)
            refused += 1
    rest = [Sentence(text) for text in (*remarks, *dice.mixed(ASIDES))]
    while gap > 2 and rest:
        best = min(rest, key=lambda s: (max(0, s.words - gap - 1) * 9 + max(0, gap - s.words), s.text))
        if abs(gap - best.words) >= gap:
            break
        rest.remove(best)
        blocks.append([best])
        gap -= best.words
    return wanted - gap


def _join(blocks: list[Block], more: Block) -> None:
    """Add a block; a sentence on one person goes with what else is told of that person, at the end, where
    its full name does no harm."""
    rest: Block = []
    for sentence in more:
        subjects = {f.subject for f in sentence.facts}
        home = next((b for b in blocks if b[-1].facts and {f.subject for f in b[-1].facts} == subjects), None)
        if home and len(subjects) == 1 and sentence.facts[0].subject in sentence.text:
            home.append(sentence)
        else:
            rest.append(sentence)
    if rest:
        blocks.append(rest)


def _extras(world: World, blocks: list[Block], moved: set[str], varied: bool) -> Iterator[Block]:
    """Blocks on what the passage has not told yet: things, and columns in small portions."""
    dice = world.dice
    told = {f.column.name for block in blocks for s in block for f in s.facts}
    later: list[Block] = []
    # Never a shared column: how many hold a value has to be drawn for all the people at once.
    for column in world.columns:
        if column.name not in told and column.sort != "shared":
            facts = world.facts(column, 2)
            for i in range(0, len(facts), 3):
                part = facts[i : i + 3]
                later.append(
                    along(world, column, part, topic=False)
                    if varied
                    else [s for f in part for s in about(world, f.subject, "", [f], False)]
                )
    for thing in world.things:
        facts = dice.some(world.thing_facts(thing), 2 + dice.below(2))
        if thing not in moved and dice.chance(0.6):
            facts.append(world.place_fact(thing))
        later.append(about(world, thing, "it", facts, varied))
    yield from dice.mixed(later)


def _assemble(
    world: World, blocks: list[Block], story: list[Block], changes: list[Change], kinds: list[str]
) -> Passage:
    body = world.dice.mixed(blocks[1:])
    at = world.dice.below(len(body) + 1)
    body[at:at] = story
    # Short passages are one paragraph; in longer ones small blocks share a paragraph.
    short = sum(length(block) for block in body) <= 150
    paragraphs: list[Block] = [list(blocks[0])]
    for block in body:
        if short or length(paragraphs[-1]) + length(block) <= 70 or length(block) < 12:
            paragraphs[-1].extend(block)
        else:
            paragraphs.append(list(block))
    sentences = [s for p in paragraphs for s in p]
    columns: dict[str, list[Fact]] = {}
    proof: dict[Fact, int] = {}
    for i, sentence in enumerate(sentences):
        for fact in sentence.facts:
            proof[fact] = i
            columns.setdefault(fact.column.name, []).append(fact)
    return Passage(
        text="\n\n".join(" ".join(s.text for s in p) for p in paragraphs),
        words=sum(s.words for s in sentences),
        setting=world.setting.key,
        kinds=kinds,
        columns=columns,
        changes=changes,
        counted=world.counted,
        proof=proof,
        sentences=[s.text for s in sentences],
    )
