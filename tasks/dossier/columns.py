"""What can be said of a person or a thing, and how it is said and asked.

A column is one attribute: everybody's birthplace, everything's year of making. In its templates `{v}` is
the value, `{x}` the subject (a name, or a description such as "the harbour pilot"), `{list}` names to choose
from. The first predicate and the first wording of a question are the plain ones and resemble each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from .settings import Setting


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One attribute. `rank` is where it comes when a person is described: origins first, habits last."""

    name: str
    sort: Literal["own", "number", "shared"]  # nobody else's value · comparable · several people's value
    rank: float
    say: tuple[str, ...]  # predicates after the subject, in the past tense
    ask: tuple[str, ...]  # for the value, given the subject
    who: tuple[str, ...] = ()  # for the subject, given the value
    that: str = ""  # a description of the subject by the value
    pair: tuple[tuple[int, str], ...] = ()  # (+1 for the larger, -1 for the smaller; question)
    most: tuple[tuple[int, str], ...] = ()
    than: tuple[tuple[int, str], ...] = ()  # how many come after (+1) or before (-1) {x}
    many: tuple[str, ...] = ()  # how many have the value
    topic: tuple[str, ...] = ()  # first sentence of a paragraph on this column


def _columns(tally: tuple[str, str, str], lodging: str) -> tuple[Column, ...]:
    did, do, what = tally
    return (
        Column(
            "birthplace", "own", 0,
            ("was born in {v}", "came into the world in {v}", "was a native of {v}"),
            ("Where was {x} born?", "In which town was {x} born?", "Which town was the birthplace of {x}?"),
            ("Who was born in {v}?", "Whose birthplace was {v}?"),
            "the person born in {v}",
            topic=("People came from many different towns.", "Hardly anybody was from the area."),
        ),
        Column(
            "job", "own", 0.5,
            ("was {v}", "worked as {v}", "had been hired as {v}"),
            ("What was the job of {x}?", "Which job did {x} have?"),
            ("Who was {v}?", "Which person worked as {v}?"),
            "{v}",
            topic=("Everyone had a part to play.", "The work was divided with some care."),
        ),
        Column(
            "age", "number", 0.7,
            ("was {v} years old", "had just turned {v}", "was aged {v}"),
            ("How old was {x}?", "What was the age of {x}?"),
            ("Who was {v} years old?", "Who was aged {v}?"),
            "the person aged {v}",
            ((1, "Who was older, {list}?"), (-1, "Who was younger, {list}?")),
            ((1, "Who was the oldest of {list}?"), (-1, "Who was the youngest of {list}?")),
            ((1, "How many people were older than {x}?"), (-1, "How many people were younger than {x}?")),
            topic=("There were old hands and young ones.", "Ages varied a good deal."),
        ),
        Column(
            "arrival", "number", 1,
            ("arrived on {v}", "first turned up on {v}", "got there on {v}"),
            ("When did {x} arrive?", "On which day did {x} arrive?"),
            ("Who arrived on {v}?", "Whose day of arrival was {v}?"),
            "the person who arrived on {v}",
            ((-1, "Who arrived earlier, {list}?"), (1, "Who arrived later, {list}?")),
            ((-1, "Who arrived first of {list}?"), (1, "Who arrived last of {list}?")),
            ((-1, "How many people arrived before {x}?"), (1, "How many people arrived after {x}?")),
            topic=("Not everybody arrived together.", "The arrivals were spread over that spring."),
        ),
        Column(
            "travel", "shared", 1.1,
            ("came {v}", "travelled {v}", "made the journey {v}"),
            ("How did {x} travel?", "How did {x} make the journey?"),
            many=("How many people came {v}?", "How many people made the journey {v}?"),
            topic=("People had travelled in every possible way.", "Not everybody had come the same way."),
        ),
        Column(
            "lodging", "own", 1.5,
            ("slept in {v}", "had a bed in {v}", "was given {v}"),
            (f"In which {lodging} did {{x}} sleep?", f"Which {lodging} was given to {{x}}?"),
            ("Who slept in {v}?", "To whom was {v} given?"),
            "the person who slept in {v}",
            topic=("The sleeping arrangements caused some talk.", f"Each {lodging} was painted differently."),
        ),
        Column(
            "belonging", "own", 1.2,
            ("brought {v}", "arrived with {v}", "had packed {v}"),
            ("What did {x} bring?", "What had {x} packed?"),
            ("Who brought {v}?", "Who had packed {v}?"),
            "the person who brought {v}",
            topic=("The luggage was inspected.", "Some curious things came out of the luggage."),
        ),
        Column(
            "garment", "own", 1.4,
            ("wore {v}", "was usually seen in {v}", "never went out without {v}"),
            ("What did {x} wear?", "In what was {x} usually seen?"),
            ("Who wore {v}?", "Who was usually seen in {v}?"),
            "the person who wore {v}",
            topic=("People could be told apart from far off.", "Everybody had a favourite garment."),
        ),
        Column(
            "pet", "own", 2,
            ("had {a} called {v}", "owned {a} by the name of {v}", "looked after {a} called {v}"),
            ("What was the name of the animal that {x} had?", "Which animal belonged to {x}?"),
            ("Who had an animal called {v}?", "To whom did the animal called {v} belong?"),
            "the person with an animal called {v}",
            topic=("There were animals, too.", "The animals were a story of their own."),
        ),
        Column(
            "instrument", "own", 2.1,
            ("played {v}", "practised {v} in the evenings", "knew how to play {v}"),
            ("What did {x} play?", "Which instrument did {x} play?"),
            ("Who played {v}?", "Who knew how to play {v}?"),
            "the person who played {v}",
            topic=("In the evenings there was music.", "Nobody was short of music."),
        ),
        Column(
            "hobby", "own", 2.2,
            ("collected {v}", "had a large collection of {v}", "spent every free hour collecting {v}"),
            ("What did {x} collect?", "What was in the collection of {x}?"),
            ("Who collected {v}?", "Who had a collection of {v}?"),
            "the person who collected {v}",
            topic=("Several people were collectors.", "Free hours were given to collecting."),
        ),
        Column(
            "dish", "own", 2.6,
            ("cooked {v}", "once made {v} for everyone", "surprised the others with {v}"),
            ("Which dish did {x} cook?", "What did {x} make for everyone?"),
            ("Who cooked {v}?", "Who made {v} for everyone?"),
            "the person who cooked {v}",
            topic=("The cooking was shared.", "Some meals were talked about long afterwards."),
        ),
        Column(
            "drink", "shared", 2.4,
            ("drank {v} at breakfast", "began each day with {v}", "asked for {v} every morning"),
            ("What did {x} drink at breakfast?", "With which drink did {x} begin each day?"),
            many=("How many people drank {v} at breakfast?", "How many people began each day with {v}?"),
            topic=("Breakfast was a serious matter.", "At breakfast tastes differed."),
        ),
        Column(
            "shift", "shared", 2.5,
            ("took the {v} shift", "worked the {v} shift", "signed up for the {v} shift"),
            ("Which shift did {x} take?", "For which shift did {x} sign up?"),
            many=("How many people took the {v} shift?", "How many people signed up for the {v} shift?"),
            topic=("The weekly shifts were soon shared out.", "A list of shifts hung on the wall."),
        ),
        Column(
            "tally", "number", 2.8,
            (f"{did} {{v}} {what}", f"{did} {{v}} {what} in all", f"{did} exactly {{v}} {what}"),
            (f"How many {what} did {{x}} {do}?", f"What number of {what} did {{x}} {do}?"),
            (f"Who {did} {{v}} {what}?", f"Which person {did} exactly {{v}} {what}?"),
            f"the person who {did} {{v}} {what}",
            ((1, f"Who {did} more {what}, {{list}}?"), (-1, f"Who {did} fewer {what}, {{list}}?")),
            (
                (1, f"Who {did} the most {what} of {{list}}?"),
                (-1, f"Who {did} the fewest {what} of {{list}}?"),
            ),
            (
                (1, f"How many people {did} more {what} than {{x}}?"),
                (-1, f"How many people {did} fewer {what} than {{x}}?"),
            ),
            topic=("Everything was counted.", "A careful count was kept."),
        ),
        Column(
            "deed", "own", 3,
            ("{v}", "once {v}", "{v} that year"),
            ("Which of these did {x} do?", "For which deed was {x} known?"),
            ("Who {v}?", "Which person {v}?"),
            "the person who {v}",
            topic=("Some deeds were not forgotten.", "Everyone was known for something."),
        ),
        Column(
            "owner", "own", 2.3,
            ("owned {v}", "was the owner of {v}", "had inherited {v}"),
            ("What did {x} own?", "Which thing belonged to {x}?"),
            ("Who owned {v}?", "To whom did {v} belong?"),
            "the owner of {v}",
            topic=("The more valuable things had owners.", "Everyone knew what belonged to whom."),
        ),
    )  # fmt: skip


# Of things. A later year is a younger thing, hence the signs.
MADE = Column(
    "made", "number", 0,
    ("was made in {v}", "dated from {v}", "had been made in {v}"),
    ("When was {x} made?", "In which year was {x} made?"),
    ("Which of these was made in {v}?", "Which of these dated from {v}?"),
    "",
    ((-1, "Which was older, {list}?"), (1, "Which was made later, {list}?")),
    ((-1, "Which was the oldest of {list}?"), (1, "Which was made last of {list}?")),
)  # fmt: skip
MARK = Column(
    "mark", "own", 1,
    ("was marked with {v}", "bore {v} as a mark", "could be recognised by {v}"),
    ("What was {x} marked with?", "By what mark could {x} be recognised?"),
    ("Which of these was marked with {v}?", "Which of these bore {v} as a mark?"),
)  # fmt: skip
PRICE = Column(
    "price", "number", 2,
    ("was insured for {v} pounds", "was valued at {v} pounds", "was thought to be worth {v} pounds"),
    ("For how many pounds was {x} insured?", "How many pounds was {x} thought to be worth?"),
    ("Which of these was insured for {v} pounds?", "Which of these was thought to be worth {v} pounds?"),
    "",
    ((1, "Which was worth more, {list}?"), (-1, "Which was worth less, {list}?")),
    ((1, "Which was worth the most of {list}?"), (-1, "Which was worth the least of {list}?")),
)  # fmt: skip
PLACE = Column(
    "place", "own", 3,
    ("was kept in {v}", "had its place in {v}", "stood in {v}"),
    ("Where was {x} kept?", "In which place was {x} kept?"),
)  # fmt: skip
# A state of a `Change`: it is worded by the change, and asked for with its time.
STATE = Column("state", "own", 4, (), ())
THING_COLUMNS = (MADE, MARK, PRICE)


@cache
def columns_of(setting: Setting) -> tuple[Column, ...]:
    """The columns of a setting's people, in a fixed order."""
    return _columns(setting.tally, setting.lodging)
