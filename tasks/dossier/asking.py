"""Questions about a passage, each with one right answer and wrong ones that are true of something else.

Which answer is right is always one of several equally likely cases: the people and things are
interchangeable, and counts are drawn after the numbers to choose from. So nothing but the passage helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .passage import Passage
from .world import Dice, Fact, offered

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """`key` is what the question is about: a passage is asked the same thing once."""

    kind: str
    text: str
    true: str
    wrong: list[str]
    proof: list[Fact]
    key: str
    stem: str = ""


class Asker:
    """Draws questions about one passage."""

    def __init__(self, dice: Dice, passage: Passage, answers: int, varied: bool) -> None:
        self._dice, self._passage, self._answers, self._varied = dice, passage, answers, varied
        self._tables = [facts for facts in passage.columns.values() if facts[0].column.ask]
        self._people = [facts for facts in self._tables if facts[0].column.that or facts[0].column.many]
        self._ways: dict[str, Callable[[], Asked | None]] = {
            "fact": self._fact,
            "who": self._who,
            "two_facts": self._two_facts,
            "comparison": self._comparison,
            "count": self._count,
            "change": self._change,
        }
        self._seen: set[str] = set()

    def ask(self, kind: str) -> Asked | None:
        """A question of that kind that was not asked before; None where none was found."""
        for _ in range(12):
            asked = self._ways[kind]()
            if asked and asked.key not in self._seen:
                self._seen.add(asked.key)
                return asked
        return None

    def _word(self, wordings: Sequence[T]) -> T:
        """A wording of a question: in plain passages the first."""
        return self._dice.pick(wordings) if self._varied else wordings[0]

    def _wrong(self, candidates: Iterable[str], true: str) -> list[str]:
        """As many different wrong answers as are needed, or none."""
        different = [v for v in dict.fromkeys(candidates) if v != true]
        return self._dice.some(different, self._answers - 1) if len(different) >= self._answers - 1 else []

    def _fact(self) -> Asked | None:
        facts = self._dice.pick(self._tables)
        fact = self._dice.pick(facts)
        column = fact.column
        text = self._word(column.ask).replace("{x}", fact.subject)
        wrong = self._wrong([f.value for f in facts], fact.value)
        key = f"fact {column.name} {fact.subject}"
        stem = f"{fact.subject} {_before_value(fact)}"
        return Asked("fact", text, fact.value, wrong, [fact], key, stem) if wrong else None

    def _who(self) -> Asked | None:
        facts = self._dice.pick(self._tables)
        fact = self._dice.pick(facts)
        others = [f.subject for f in facts if f.value != fact.value]
        if not fact.column.who or len(others) < len(facts) - 1:  # another has the same value
            return None
        text = self._word(fact.column.who).replace("{v}", fact.value)
        wrong = self._wrong(others, fact.subject)
        key = f"who {fact.column.name} {fact.subject}"
        return Asked("who", text, fact.subject, wrong, [fact], key) if wrong else None

    def _two_facts(self) -> Asked | None:
        """The first fact describes a person, the second is asked for; one sentence must not state both."""
        dice, proof = self._dice, self._passage.proof
        described = [facts for facts in self._people if facts[0].column.that]
        if not described or len(self._people) < 2:
            return None
        first = dice.pick(dice.pick(described))
        known = self._passage.columns[first.column.name]
        facts = dice.pick(self._people)
        second = next((f for f in facts if f.subject == first.subject), None)
        if (
            second is None
            or second.column is first.column
            or proof[second] == proof[first]
            or sum(f.value == first.value for f in known) > 1
        ):
            return None
        person = first.column.that.replace("{v}", first.value)
        text = self._word(second.column.ask).replace("{x}", person)
        wrong = self._wrong((f.value for f in facts), second.value)
        key = f"two {second.column.name} {first.subject}"
        stem = f"{person[0].upper()}{person[1:]} {_before_value(second)}"
        return Asked("two_facts", text, second.value, wrong, [first, second], key, stem) if wrong else None

    def _comparison(self) -> Asked | None:
        tables = [t for t in self._tables if t[0].column.pair and len(t) >= self._answers]
        if not tables:
            return None
        facts = self._dice.some(self._dice.pick(tables), self._answers)
        column = facts[0].column
        sign, text = self._dice.pick(column.pair if self._answers == 2 else column.most)
        best = max(facts, key=lambda f: sign * f.order)
        names = [f.subject for f in facts]
        listed = " or ".join(names) if len(names) == 2 else ", ".join(names[:-1]) + " and " + names[-1]
        key = f"comparison {column.name} " + "/".join(sorted(names))
        wrong = [f.subject for f in facts if f is not best]
        return Asked("comparison", text.replace("{list}", listed), best.subject, wrong, facts, key)

    def _count(self) -> Asked | None:
        dice = self._dice
        ranked = [t for t in self._people if t[0].column.than and len(t) > self._answers]
        shared = [t for t in self._people if t[0].column.name in self._passage.counted]
        if not ranked and not shared:
            return None
        facts = dice.pick(shared if shared and (not ranked or dice.chance(0.5)) else ranked)
        column = facts[0].column
        if column.name in self._passage.counted:
            value, counts = self._passage.counted[column.name]
            matching = [f for f in facts if f.value == value]
            text = self._word(column.many).replace("{v}", value)
            key = f"count {column.name}"
        else:
            # First the numbers to choose from, then the number, then somebody of whom it is true.
            counts = offered(dice, min(len(facts) - 1, 8), self._answers)
            number = dice.pick(counts)
            sign, text = dice.pick(column.than)
            line = sorted(facts, key=lambda f: -sign * f.order)
            matching = line[:number]
            text = text.replace("{x}", line[number].subject)
            facts = [*matching, line[number]]
            key = f"count {column.name} {line[number].subject}"
        true = len(matching)
        wrong = [str(c) for c in counts if c != true]
        return Asked("count", text, str(true), wrong, matching if column.many else facts, key)

    def _change(self) -> Asked | None:
        changes = self._passage.changes
        if not changes:
            return None
        dice = self._dice
        change = dice.pick(changes)
        state = dice.below(len(change.states))
        true = change.states[state].value
        text = self._word(CHANGE_WORDINGS[change.what])
        text = text.replace("{x}", change.subject).replace("{when}", change.when(state))
        other_states = dice.mixed(s.value for s in change.states if s.value != true)
        if change.what == "duty":
            elsewhere = [f.subject for facts in self._people for f in facts]
        else:
            elsewhere = [s.value for c in changes if c.what != "duty" for s in c.states]
            elsewhere += [f.value for f in self._passage.columns.get("place", ())]
        elsewhere = [v for v in dict.fromkeys(elsewhere) if v != true and v not in other_states]
        wrong = [*other_states, *dice.mixed(elsewhere)][: self._answers - 1]
        key = f"change {change.subject} {state}"
        if len(wrong) < self._answers - 1:
            return None
        return Asked("change", text, true, wrong, list(change.states), key)


def _before_value(fact: Fact) -> str:
    """The plain predicate up to the value, which an answer then completes."""
    return fact.column.say[0].partition("{v}")[0].replace("{a}", fact.extra).strip()


CHANGE_WORDINGS = {
    "kept": ("Where was {x} kept {when}?", "In which place could {x} be found {when}?"),
    "worked": ("Where did {x} work {when}?", "What was the workplace of {x} {when}?"),
    "duty": ("Who looked after {x} {when}?", "Who was responsible for {x} {when}?"),
}
