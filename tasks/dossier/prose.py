"""Facts put into sentences. Each function writes one block: a few sentences that can stand anywhere.

A block names its person or thing in full before it says "she", "he" or "it", and speaks of nobody else
while it does, so blocks can be put in any order and no pronoun becomes ambiguous. Plain prose has one
fact in each sentence and no pronouns at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .columns import Column
from .world import Change, Dice, Fact, World


@dataclass(slots=True, eq=False)
class Sentence:
    """`text` is the proof of `facts`."""

    text: str
    facts: tuple[Fact, ...] = ()
    words: int = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.text[0].upper() + self.text[1:]
        self.words = self.text.count(" ") + 1


Block = list[Sentence]


def length(block: Block) -> int:
    return sum(s.words for s in block)


def opening(world: World, varied: bool) -> Sentence:
    template = world.dice.pick(world.setting.openings) if varied else world.setting.plain
    return Sentence(template.replace("{n}", world.name))


def says(fact: Fact, dice: Dice | None = None) -> str:
    """The predicate that states a fact: the plain one without dice."""
    template = dice.pick(fact.column.say) if dice and dice.chance(0.7) else fact.column.say[0]
    return template.replace("{v}", fact.value).replace("{a}", fact.extra)


def about(world: World, subject: str, pronoun: str, facts: Sequence[Fact], varied: bool) -> Block:
    """A block on one person or thing."""
    dice = world.dice
    if not varied:
        return [Sentence(f"{subject} {says(f)}.", (f,)) for f in dice.mixed(facts)]
    # Origins come before habits, more or less.
    todo = sorted(facts, key=lambda f: f.column.rank + 1.6 * dice.random())
    block: Block = []
    while todo:
        fact = todo.pop(0)
        full = not block or dice.chance(0.12)
        name = subject if full else pronoun
        job = next((f for f in todo if f.column.name == "job"), None)
        style = dice.random()
        if full and job and style < 0.5:
            todo.remove(job)
            block.append(Sentence(f"{name}, {job.value}, {says(fact, dice)}.", (job, fact)))
        elif todo and fact.column.name == "birthplace" and style < 0.4:
            other = todo.pop(0)
            block.append(Sentence(f"Born in {fact.value}, {name} {says(other, dice)}.", (fact, other)))
        elif todo and full and style < 0.3:
            other = todo.pop(0)
            which = "which" if pronoun == "it" else "who"
            block.append(Sentence(f"{name}, {which} {says(fact, dice)}, {says(other, dice)}.", (fact, other)))
        elif todo and style < 0.6:
            other = todo.pop(0)
            again = f", and {pronoun}" if dice.chance(0.4) else " and"
            block.append(Sentence(f"{name} {says(fact, dice)}{again} {says(other, dice)}.", (fact, other)))
        elif style > 0.93:
            block.append(
                Sentence(f"According to {world.setting.record}, {name} {says(fact, dice)}.", (fact,))
            )
        else:
            block.append(Sentence(f"{name} {says(fact, dice)}.", (fact,)))
    return block


def along(world: World, column: Column, facts: Sequence[Fact], topic: bool) -> Block:
    """A block on one column, from person to person."""
    dice = world.dice
    block = [Sentence(dice.pick(column.topic))] if topic and column.topic else []
    todo = dice.mixed(facts)
    while todo:
        fact = todo.pop(0)
        alike = next((f for f in todo if f.value == fact.value), None)
        style = dice.random()
        if alike and style < 0.6:
            todo.remove(alike)
            block.append(
                Sentence(f"Both {fact.subject} and {alike.subject} {says(fact, dice)}.", (fact, alike))
            )
        elif todo and style < 0.45:
            other = todo.pop(0)
            join = dice.pick((", while", ", and", ";"))
            first = says(fact, dice)
            second = first if other.value == fact.value else says(other)
            block.append(Sentence(f"{fact.subject} {first}{join} {other.subject} {second}.", (fact, other)))
        elif style > 0.92:
            block.append(
                Sentence(f"According to {world.setting.record}, {fact.subject} {says(fact, dice)}.", (fact,))
            )
        else:
            block.append(Sentence(f"{fact.subject} {says(fact, dice)}.", (fact,)))
    return block


def happenings(world: World) -> Block:
    """When the events were: the changes are dated by them."""
    return [Sentence(event.line(month)) for event, month in world.events]


# {x} the subject in full, {p} its pronoun, {v} the state, {e} the event, {E} the event at a sentence's start.
_BEFORE = {
    "kept": (
        "Before {e}, {x} was kept in {v}.",
        "Until {e}, {x} was kept in {v}.",
        "Before {e}, anyone who needed {x} had to look in {v}.",
    ),
    "worked": (
        "Before {e}, {x} worked in {v}.",
        "Until {e}, {x} worked in {v}.",
        "Before {e}, {x} spent every working day in {v}.",
    ),
    "duty": (
        "Before {e}, {v} looked after {x}.",
        "Until {e}, {v} was responsible for {x}.",
        "Before {e}, it was {v} who took care of {x}.",
    ),
}
_AFTER = {
    "kept": (
        "After {e}, {x} was kept in {v}.",
        "After {e}, {p} was moved to {v}.",
        "{E} changed that, and afterwards {x} had to be fetched from {v}.",
    ),
    "worked": (
        "After {e}, {x} worked in {v}.",
        "After {e}, {p} moved to {v} and worked there instead.",
        "{E} changed that, and from then on {p} worked in {v}.",
    ),
    "duty": (
        "After {e}, {v} looked after {x}.",
        "After {e}, {v} took over.",
        "{E} changed that, and {v} became responsible for {x}.",
    ),
}


def history(world: World, change: Change, varied: bool) -> Block:
    """A block on one thing, person or duty that did not stay as it was."""
    dice = world.dice
    block = []
    for i, state in enumerate(change.states):
        event = change.events[max(0, i - 1)].noun
        templates = (_AFTER if i else _BEFORE)[change.what]
        text = dice.pick(templates) if varied else templates[0]
        text = text.replace("{E}", event[0].upper() + event[1:]).replace("{e}", event)
        text = text.replace("{x}", change.subject).replace("{p}", change.pronoun).replace("{v}", state.value)
        block.append(Sentence(text, (state,)))
    return block
