"""The hidden world of one passage: people, things and events, and every fact about them.

Everything here is drawn, nothing is worded. Values are dealt out independently of one another, so that a
name says nothing about a job, nor a question about its answer, to somebody who has not read the passage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from . import pools
from .columns import PLACE, STATE, THING_COLUMNS, Column, columns_of
from .settings import SETTINGS, Event, Setting

T = TypeVar("T")


class Dice:
    """Seeded draws built on `Random.random` alone: the one method whose sequence Python promises to keep."""

    __slots__ = ("random",)

    def __init__(self, seed: str) -> None:
        self.random = Random(seed).random

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def chance(self, p: float) -> bool:
        return self.random() < p

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.random() * len(items))]

    def mixed(self, items: Iterable[T]) -> list[T]:
        """The items in random order."""
        out = list(items)
        random = self.random
        for i in range(len(out) - 1, 0, -1):
            j = int(random() * (i + 1))
            out[i], out[j] = out[j], out[i]
        return out

    def some(self, items: Sequence[T], k: int) -> list[T]:
        """`k` different items (fewer where there are fewer), in random order."""
        pool = list(items)
        out: list[T] = []
        for _ in range(min(k, len(pool))):
            j = int(self.random() * len(pool))
            out.append(pool[j])
            pool[j] = pool[-1]
            pool.pop()
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    name: str
    pronoun: str


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """`subject` has `value` in `column`. `order` compares numbers; `extra` fills `{a}` in a predicate."""

    column: Column
    subject: str
    value: str
    order: int = 0
    extra: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What differed before and after events: there is one state more than there are events.

    what: "kept" (a thing's place), "worked" (a person's place of work), "duty" (who looked after `subject`).
    """

    what: str
    subject: str
    states: tuple[Fact, ...]
    events: tuple[Event, ...]
    pronoun: str = "it"

    def when(self, state: int) -> str:
        """The stretch of time in which `state` held."""
        if state == 0:
            return f"before {self.events[0].noun}"
        if state == len(self.events):
            return f"after {self.events[-1].noun}"
        return f"between {self.events[state - 1].noun} and {self.events[state].noun}"


@dataclass(slots=True)
class World:
    """Who and what there is, and the values still to be dealt."""

    dice: Dice
    setting: Setting
    name: str
    people: list[Person]
    things: list[str]
    events: list[tuple[Event, str]]  # with their months, in order of time
    columns: list[Column]  # of people, in the order in which they are brought in
    # The counts offered for a value of a shared column; the truth is a fair draw from them.
    counted: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    _dealt: dict[str, list[Fact]] = field(default_factory=dict)
    _deck: list[str] = field(default_factory=list)

    def facts(self, column: Column, answers: int) -> list[Fact]:
        """The column's fact for each of the people that there is a value for, in the people's order."""
        if column.name not in self._dealt:
            self._dealt[column.name] = _deal(self, column, answers)
        return self._dealt[column.name]

    def thing_facts(self, thing: str) -> list[Fact]:
        """What there is to say of a thing, but for where it is kept."""
        return [f for column in THING_COLUMNS for f in self._thing_column(column) if f.subject == thing]

    def _thing_column(self, column: Column) -> list[Fact]:
        key = f"thing {column.name}"
        if key not in self._dealt:
            dice, n = self.dice, len(self.things)
            if column.name == "mark":
                marks = dice.some(pools.MARKS, n)
                facts = [Fact(column, t, v) for t, v in zip(self.things, marks, strict=False)]
            else:
                low, step, span = (1751, 1, 200) if column.name == "made" else (40, 10, 90)
                numbers = [low + step * i for i in dice.some(range(span), n)]
                facts = [Fact(column, t, str(v), v) for t, v in zip(self.things, numbers, strict=True)]
            self._dealt[key] = facts
        return self._dealt[key]

    def place_fact(self, thing: str) -> Fact:
        return Fact(PLACE, thing, self._next_places(1)[0])

    def change(self, what: str, subject: str, pronoun: str = "it") -> Change:
        """A change of `subject`, with one event or, where the passage has two, perhaps both."""
        dice = self.dice
        events = tuple(event for event, _ in self.events)
        if len(events) > 1 and dice.chance(0.6):
            events = (dice.pick(events),)
        n = len(events) + 1
        names = [p.name for p in self.people]
        values = dice.some(names, n) if what == "duty" else self._next_places(n)
        return Change(what, subject, tuple(Fact(STATE, subject, v) for v in values), events, pronoun)

    def _next_places(self, n: int) -> list[str]:
        """Places in turn, so that few things share one; `n` different ones."""
        if len(self._deck) < n:
            self._deck = self.dice.mixed(self.setting.places)
        taken, self._deck = self._deck[:n], self._deck[n:]
        return taken


def found(dice: Dice, people: int, things: int, events: int) -> World:
    """A new world with that many people, things and events (as far as there are names for them)."""
    setting = dice.pick(SETTINGS)
    drawn = dice.some(pools.EVENT_MONTHS, events)
    months = [month for month in pools.EVENT_MONTHS if month in drawn]
    columns = dice.mixed(columns_of(setting))
    return World(
        dice=dice,
        setting=setting,
        name=dice.pick(setting.names),
        people=_people(dice, people),
        things=dice.some(setting.things, things),
        events=list(zip(dice.some(setting.events, events), months, strict=False)),
        columns=columns,
    )


def _people(dice: Dice, n: int) -> list[Person]:
    """Names of which, in a small company, no two begin alike."""
    first = _initials_apart(dice.mixed([*((w, "she") for w in pools.WOMEN), *((m, "he") for m in pools.MEN)]))
    last = _initials_apart([(s, "") for s in dice.some(pools.SURNAMES, n + 12)])
    return [Person(f"{f} {s}", pronoun) for (f, pronoun), (s, _) in zip(first[:n], last[:n], strict=False)]


def _initials_apart(names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    seen: set[str] = set()
    fresh: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for entry in names:
        (rest if entry[0][0] in seen else fresh).append(entry)
        seen.add(entry[0][0])
    return fresh + rest


def offered(dice: Dice, most: int, answers: int) -> list[int]:
    """Nearby counts from 1 to `most` to choose among; empty where there are too few."""
    if most < answers:
        return []
    if answers > 2:
        start = 1 + dice.below(most - answers + 1)
        return list(range(start, start + answers))
    low = 1 + dice.below(most - 1)
    return [low, low + 1 if low + 2 > most or dice.chance(0.6) else low + 2]


def _deal(world: World, column: Column, answers: int) -> list[Fact]:
    dice, setting, people = world.dice, world.setting, world.people
    n = len(people)
    if column.sort == "shared":
        return _deal_shared(world, column, answers)
    name = column.name
    if name == "age":
        return _numbers(column, people, [21 + i for i in dice.some(range(59), n)])
    if name == "tally":
        return _numbers(column, people, [3 + i for i in dice.some(range(95), n)])
    if name == "arrival":
        days = [f"{d + 1} {month}" for month, length in pools.ARRIVAL_MONTHS for d in range(length)]
        drawn = dice.some(range(len(days)), n)
        return [Fact(column, p.name, days[i], i) for p, i in zip(people, drawn, strict=True)]
    if name == "garment":
        rounds = -(-n // len(pools.COLOURS))
        colours = [c for _ in range(rounds) for c in dice.mixed(pools.COLOURS)][:n]
        start = dice.below(len(pools.GARMENTS))
        pairs = [(c, pools.GARMENTS[(start + i + i // len(pools.COLOURS)) % len(pools.GARMENTS)])
                 for i, c in enumerate(colours)]  # fmt: skip
        return [Fact(column, p.name, pools.an(f"{c} {g}")) for p, (c, g) in zip(people, pairs, strict=True)]
    if name == "pet":
        pets = zip(people, dice.some(pools.PET_NAMES, n), strict=False)
        return [Fact(column, p.name, v, extra=dice.pick(pools.ANIMALS)) for p, v in pets]
    pool: Sequence[str]
    if name == "lodging":
        pool = [f"the {colour} {setting.lodging}" for colour in pools.COLOURS]
    elif name == "owner":
        pool = world.things
    else:
        pool = {
            "birthplace": pools.TOWNS,
            "job": setting.jobs,
            "deed": setting.deeds,
            "belonging": pools.BELONGINGS,
            "instrument": pools.INSTRUMENTS,
            "hobby": pools.HOBBIES,
            "dish": pools.DISHES,
        }[name]
    # Where there are fewer values than people, the last people go without.
    return [Fact(column, p.name, v) for p, v in zip(people, dice.some(pool, n), strict=False)]


def _numbers(column: Column, people: list[Person], numbers: list[int]) -> list[Fact]:
    return [Fact(column, p.name, str(v), v) for p, v in zip(people, numbers, strict=True)]


def _deal_shared(world: World, column: Column, answers: int) -> list[Fact]:
    """Values held by several people. How many hold the one to be asked about is drawn from the counts that
    will be offered, each as likely as the next; drawing the people first would make some counts likelier
    than others, which is a hint."""
    dice, n = world.dice, len(world.people)
    values = dice.mixed(
        {"travel": world.setting.modes, "drink": pools.DRINKS, "shift": pools.WEEKDAYS}[column.name]
    )
    counts = offered(dice, min(n, 8), answers)
    if not counts:
        return [Fact(column, p.name, v) for p, v in zip(world.people, dice.some(values, n), strict=False)]
    true = dice.pick(counts)
    held = [values[0]] * true
    world.counted[column.name] = (values[0], counts)
    # The other counts come true of other values as far as there are people left.
    for value, count in zip(values[1:], dice.mixed(c for c in counts if c != true), strict=False):
        held += [value] * count
    while len(held) < n:
        held.append(dice.pick(values[1:]))
    held = dice.mixed(held[:n])
    return [Fact(column, p.name, v) for p, v in zip(world.people, held, strict=True)]
