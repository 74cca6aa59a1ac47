"""The dossier task: what its passages state, its questions ask, and nobody can guess without reading."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations, islice, pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from oversight import Label, Question, UserError
from oversight.library import find_task

KINDS = ("fact", "who", "two_facts", "comparison", "count", "change")
Item = tuple[Question, Label]


def draw(n: int, **params: Any) -> list[Item]:
    return list(islice(find_task("dossier").questions(**{"seed": 0, **params}), n))


def right(item: Item) -> str:
    return item[0].answers[item[1].index]


def passages(items: list[Item]) -> Iterator[Question]:
    yield from {q.group: q for q, _ in items}.values()


# A reader who knows nothing of how passages are made: plain sentences in, answers out.

_NAME = r"[A-Z]\w+ [A-Z]\w+"
_SENTENCES = [
    ("birthplace", rf"({_NAME}) was born in (.+)"),
    ("age", rf"({_NAME}) was (\d+) years old"),
    ("job", rf"({_NAME}) was (the .+)"),
    ("arrival", rf"({_NAME}) arrived on (.+)"),
    ("travel", rf"({_NAME}) came (by .+|on .+)"),
    ("lodging", rf"({_NAME}) slept in (.+)"),
    ("belonging", rf"({_NAME}) brought (.+)"),
    ("garment", rf"({_NAME}) wore (.+)"),
    ("pet", rf"({_NAME}) had an? \w+ called (.+)"),
    ("instrument", rf"({_NAME}) played (.+)"),
    ("hobby", rf"({_NAME}) collected (.+)"),
    ("dish", rf"({_NAME}) cooked (.+)"),
    ("drink", rf"({_NAME}) drank (.+) at breakfast"),
    ("shift", rf"({_NAME}) took the (\w+day) shift"),
    ("tally", rf"({_NAME}) \w+ (\d+) .+"),
    ("owner", rf"({_NAME}) owned (.+)"),
    ("made", r"(The .+) was made in (\d+)"),
    ("mark", r"(The .+) was marked with (.+)"),
    ("price", r"(The .+) was insured for (\d+) pounds"),
    ("place", r"(The .+) was kept in (.+)"),
    ("deed", rf"({_NAME}) (\w+ .+)"),
]
_ASKED = [
    ("birthplace", r"Where was (.+) born"),
    ("job", r"What was the job of (.+)"),
    ("age", r"How old was (.+)"),
    ("arrival", r"When did (.+) arrive"),
    ("travel", r"How did (.+) travel"),
    ("lodging", r"In which \w+ did (.+) sleep"),
    ("belonging", r"What did (.+) bring"),
    ("garment", r"What did (.+) wear"),
    ("pet", r"What was the name of the animal that (.+) had"),
    ("instrument", r"What did (.+) play"),
    ("hobby", r"What did (.+) collect"),
    ("dish", r"Which dish did (.+) cook"),
    ("drink", r"What did (.+) drink at breakfast"),
    ("shift", r"Which shift did (.+) take"),
    ("owner", r"What did (.+) own"),
    ("deed", r"Which of these did (.+) do"),
    ("made", r"When was (.+) made"),
    ("mark", r"What was (.+) marked with"),
    ("price", r"For how many pounds was (.+) insured"),
    ("place", r"Where was (.+) kept"),
    ("tally", r"How many .+ did (.+) \w+"),
]
_MORE = {
    **dict.fromkeys(("older", "oldest"), ("age", 1)),
    **dict.fromkeys(("younger", "youngest"), ("age", -1)),
    **dict.fromkeys(("later", "last", "after"), ("arrival", 1)),
    **dict.fromkeys(("earlier", "first", "before"), ("arrival", -1)),
    **dict.fromkeys(("more", "most"), ("tally", 1)),
    **dict.fromkeys(("fewer", "fewest"), ("tally", -1)),
}


class Reader:
    def __init__(self, text: str) -> None:
        self.known: dict[str, dict[str, str]] = defaultdict(dict)
        self.states: list[tuple[str, str, str]] = []  # before or after, event, what then held
        for sentence in re.split(r"(?<=\.)\s+", text):
            body = sentence.rstrip(".")
            if match := re.fullmatch(r"(Before|After) (the .+?), (.+)", body):
                self.states.append((match[1].lower(), match[2], match[3]))
                continue
            for name, pattern in _SENTENCES:
                if match := re.fullmatch(pattern, body):
                    subject = re.sub("^The ", "the ", match[1])
                    assert subject not in self.known[name], f"said twice: {sentence}"
                    self.known[name][subject] = match[2]
                    break

    def answer(self, question: str, answers: tuple[str, ...]) -> str:
        body = question.rstrip("?")
        if match := re.fullmatch(r"(.+) (before|after|between) (the .+)", body):
            return self._then(*match.groups())
        if body.startswith("How many people"):
            return str(self._count(body))
        if match := re.fullmatch(r"Which of these (was .+)", body):
            said = [(name, re.fullmatch(form, f"The thing {match[1]}")) for name, form in _SENTENCES[-5:-2]]
            (subject,) = [x for name, m in said if m for x, v in self.known[name].items() if v == m[2]]
            return subject
        if match := re.fullmatch(r"(?:Who|Which) .*?(\w+)(?: \w+)*?(?:,| of) .+ (?:or|and) .+", body):
            return self._best(body, answers)
        for name, pattern in _ASKED:
            if match := re.fullmatch(pattern, body):
                who = match[1] if match[1] in self.known[name] else self._person(match[1])
                return self.known[name][who]
        if body.startswith("Who "):
            return self._person("the person who " + body[4:])
        raise AssertionError(f"cannot read {question!r}")

    def _person(self, described: str) -> str:
        """Who "the person who ..." is: the one of whom the passage says it."""
        found = []
        if match := re.fullmatch(r"the person who was (the .+)", described):
            described = match[1]
        for pattern, name in (
            (r"the person (?:who was )?born in (.+)", "birthplace"),
            (r"the person aged (.+)", "age"),
            (r"the person who was (.+) years old", "age"),
            (r"the person with an animal called (.+)", "pet"),
            (r"the person who had an animal called (.+)", "pet"),
            (r"the owner of (.+)", "owner"),
        ):
            if match := re.fullmatch(pattern, described):
                found += [p for p, v in self.known[name].items() if v == match[1]]
        if not found and (match := re.fullmatch(r"the person who (.+)", described)):
            for name, pattern in _SENTENCES:
                if said := re.fullmatch(pattern, f"Some Body {match[1]}"):
                    found += [p for p, v in self.known[name].items() if v == said[2]]
                    break
        if not found:
            found = [p for p, v in self.known["job"].items() if v == described]
        assert len(found) == 1, f"{described}: {found}"
        return found[0]

    def _number(self, name: str, subject: str) -> int:
        value = self.known[name][subject]
        if name != "arrival":
            return int(value)
        day, month = value.split()
        return ["April", "May", "June"].index(month) * 40 + int(day)

    def _scale(self, words: str) -> tuple[str, int]:
        if "worth" in words:
            return "price", 1 if re.search(r"\b(more|most)\b", words) else -1
        if words.startswith("Which was"):
            return "made", 1 if re.search(r"later|last", words) else -1
        return next(_MORE[w] for w in words.split() if w in _MORE)

    def _best(self, body: str, answers: tuple[str, ...]) -> str:
        name, sign = self._scale(re.split(r",| of (?=[A-Z]|the )", body)[0])
        assert all(a in body for a in answers)
        ranked = sorted(answers, key=lambda a: sign * self._number(name, a))
        assert self._number(name, ranked[-1]) != self._number(name, ranked[-2])
        return ranked[-1]

    def _count(self, body: str) -> int:
        for name, pattern in (
            ("travel", r".+ came (.+)"),
            ("drink", r".+ drank (.+) at breakfast"),
            ("shift", r".+ took the (.+) shift"),
        ):
            if match := re.fullmatch(pattern, body):
                return sum(v == match[1] for v in self.known[name].values())
        match = re.fullmatch(rf"(.+) (?:than|before|after) ({_NAME})", body)
        assert match is not None, body
        name, sign = self._scale(body)
        line = self._number(name, match[2])
        return sum(sign * self._number(name, p) > sign * line for p in self.known[name])

    def _then(self, asked: str, when: str, event: str) -> str:
        if when == "between":
            when, event = "after", event.split(" and ")[0]
        said = [s for w, e, s in self.states if (w, e) == (when, event)]
        for pattern, form in (
            (r"Where was (.+) kept", "{} was kept in (.+)"),
            (r"Where did (.+) work", "{} worked in (.+)"),
            (r"Who looked after (.+)", "(.+) looked after {}"),
        ):
            if match := re.fullmatch(pattern, asked):
                found = [m[1] for s in said if (m := re.fullmatch(form.format(re.escape(match[1])), s))]
                assert len(found) == 1, (asked, when, event, found)
                return found[0]
        raise AssertionError(f"cannot read {asked!r}")


@pytest.mark.parametrize("answers", [2, 4])
@pytest.mark.parametrize("words", [60, 90, 160, 500, 1500])
def test_an_independent_reader_of_plain_passages_finds_every_answer(words: int, answers: int) -> None:
    readers: dict[str, Reader] = {}
    kinds: Counter[str] = Counter()
    n = 600 if words < 500 else 200
    items = draw(n, words=words, answers=answers, wording="plain", seed=words, per_passage=8)
    for q, label in items:
        reader = readers[q.group] = readers.get(q.group) or Reader(q.passage or "")
        assert reader.answer(q.text, q.answers) == q.answers[label.index], (q.text, q.answers, q.passage)
        kinds[q.meta["kind"]] += 1
    assert set(kinds) == set(KINDS)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(-(2**40), 2**40),
    words=st.integers(60, 700),
    answers=st.sampled_from([2, 4]),
    wording=st.sampled_from(["plain", "varied"]),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, unique=True),
)
def test_any_seed_and_parameters_give_sound_questions(
    seed: int, words: int, answers: int, wording: str, kinds: list[str]
) -> None:
    items = draw(12, seed=seed, words=words, answers=answers, wording=wording, kinds="+".join(kinds))
    assert len({q.key for q, _ in items}) == len({q.source_id for q, _ in items}) == 12
    for q, label in items:
        passage, kind = q.passage or "", q.meta["kind"]
        assert kind in kinds
        assert len(q.answers) == answers and 0 <= label.index < answers
        assert q.meta["words"] == len(passage.split())
        assert abs(q.meta["words"] - words) <= max(12, words // 10)
        proof = q.meta["evidence"]
        assert proof and all(sentence in passage for sentence in proof)
        true, wrong = q.answers[label.index], [a for i, a in enumerate(q.answers) if i != label.index]
        if kind == "count":
            assert all(a.isdigit() and int(a) >= 1 for a in q.answers)
            continue
        # Wrong answers are said of something else in the passage.
        assert all(a.lower() in passage.lower() for a in (true, *wrong))
        if kind == "two_facts":
            assert len(proof) == 2
        if kind == "comparison":
            assert all(a in q.text for a in q.answers)
        if kind == "change":
            assert true in " ".join(proof)


@pytest.mark.parametrize("wording", ["plain", "varied"])
@pytest.mark.parametrize("words", [60, 61, 75, 90, 120, 250, 400, 1000, 3000])
def test_passages_have_the_wanted_length(words: int, wording: str) -> None:
    for answers in (2, 4):
        for q in passages(draw(160 if words < 1000 else 24, words=words, wording=wording, answers=answers)):
            assert abs(len((q.passage or "").split()) - words) <= max(6, words * 0.03)


@pytest.mark.parametrize("words", [60, 400, 3000])
def test_prose_is_written_as_prose_is(words: int) -> None:
    for wording in ("plain", "varied"):
        for q in passages(draw(200 if words < 1000 else 40, words=words, wording=wording)):
            text = q.passage or ""
            assert not re.search(r"  |\{|\}| ,|\.\.|,,|\bNone\b| \.", text), text
            sentences = re.split(r"(?<=\.)\s+", text)
            assert all(s[0].isupper() and s.endswith(".") for s in sentences)
            named = [s for s in sentences if not re.search(r"\b(she|he|it)\b", s, re.IGNORECASE)]
            assert len(set(named)) == len(named), "a sentence is said twice"
            assert not re.search(r"\ba [aeiou]\w|\ban [^aeiouh\W]", text, re.IGNORECASE), text
            assert q.text.endswith("?") and q.text[0].isupper() and "{" not in q.text
            if wording == "plain":
                assert named == sentences
            # A pronoun never opens a paragraph.
            assert not re.search(r"(^|\n)(She|He|It)\b", text)


def test_the_stream_is_the_same_everywhere_and_a_prefix_of_itself() -> None:
    digest = hashlib.blake2b(digest_size=8)
    for q, label in draw(200):
        digest.update(
            json.dumps([q.text, q.answers, q.passage, q.source_id, dict(q.meta), label.index]).encode()
        )
    assert digest.hexdigest() == "abb270ddc48c0fd0"
    assert [q.key for q, _ in draw(37)] == [q.key for q, _ in draw(200)][:37]
    assert {q.group for q, _ in draw(100, seed=1)}.isdisjoint(q.group for q, _ in draw(100))


def test_a_passage_has_several_questions_and_its_own_group() -> None:
    items = draw(400, words=200, per_passage=5)
    by_group = Counter(q.group for q, _ in items)
    assert set(by_group.values()) <= {3, 4, 5} and by_group.most_common(1)[0][1] == 5
    assert len({q.passage for q, _ in items}) == len(by_group) <= 84
    assert all(a.group == b.group or b.group not in {q.group for q, _ in items[:i]}
               for i, ((a, _), (b, _)) in enumerate(pairwise(items), 1))  # fmt: skip
    assert len({(q.group, q.text) for q, _ in items}) == 400


def test_no_two_questions_are_the_same_to_a_judge_without_the_passage() -> None:
    for kinds, words in (("all", 120), ("count", 60), ("fact", 75)):
        shown = [(q.text, *sorted(q.answers)) for q, _ in draw(3000, kinds=kinds, words=words)]
        assert len(set(shown)) == 3000


def test_kinds_come_about_equally_often_where_there_is_room() -> None:
    kinds = Counter(q.meta["kind"] for q, _ in draw(2000, words=400, per_passage=5))
    assert all(kinds[kind] > 300 for kind in KINDS)
    for kind in KINDS:
        assert {q.meta["kind"] for q, _ in draw(60, words=60, kinds=kind, answers=4)} == {kind}
    assert {q.meta["kind"] for q, _ in draw(200, kinds="fact+count")} == {"fact", "count"}
    assert len({q.meta["setting"] for q, _ in draw(400)}) == 6


@pytest.mark.parametrize("answers", [2, 4])
def test_the_right_answer_is_at_no_telling_place(answers: int) -> None:
    items = draw(6000, answers=answers)
    assert chisquare([Counter(label.index for _, label in items)[i] for i in range(answers)]).pvalue > 1e-3
    for kind in KINDS:
        seen = Counter(label.index for q, label in items if q.meta["kind"] == kind)
        assert chisquare([seen[i] for i in range(answers)]).pvalue > 1e-4, kind


@pytest.mark.parametrize(("answers", "wording"), [(2, "plain"), (2, "varied"), (4, "varied")])
def test_nothing_but_the_passage_tells(answers: int, wording: str) -> None:
    """Guessing by length, order, frequency, or by a naive Bayes model of question and answer, is chance."""
    items = draw(16000, answers=answers, wording=wording, seed=5)
    train, test = items[:12000], items[12000:]
    log: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}

    def features(q: Question, answer: str) -> list[str]:
        ask = q.text.split()[:3]
        words = answer.lower().split()
        return [
            *words,
            *(f"{'_'.join(ask)}|{w}" for w in words),
            f"{q.meta['kind']}|{answer}",
            f"len{len(answer)}",
        ]

    for q, label in train:
        for i, answer in enumerate(q.answers):
            log[i == label.index].update(features(q, answer))
    total = {side: sum(log[side].values()) for side in log}

    def bayes(q: Question, answer: str) -> float:
        return sum(
            math.log((log[True][f] + 1) / total[True])
            - math.log((log[False][f] + answers - 1) / total[False])
            for f in features(q, answer)
        )

    guesses: dict[str, Callable[[Question, str], float]] = {
        "naive Bayes": bayes,
        "longest": lambda q, a: len(a),
        "shortest": lambda q, a: -len(a),
        "largest": lambda q, a: float(a) if a.isdigit() else 0,
        "first in the alphabet": lambda q, a: -ord(a.split()[-1][0].lower()),
        "most of the question's words": lambda q, a: len(set(a.split()) & set(q.text.split())),
        "named first in the question": lambda q, a: -q.text.find(a),
    }
    commonest = Counter(a for q, _ in train for a in q.answers)
    guesses["commonest answer"] = lambda q, a: commonest[a]
    for name, score in guesses.items():
        hits = 0.0
        for q, label in test if name == "naive Bayes" else items:
            scores = [score(q, a) for a in q.answers]
            best = [i for i, s in enumerate(scores) if s == max(scores)]
            hits += (label.index in best) / len(best)
        n = len(test) if name == "naive Bayes" else len(items)
        chance = 1 / answers
        assert abs(hits / n - chance) < 4 * math.sqrt(chance * (1 - chance) / n), f"{name}: {hits / n:.3f}"


def test_names_and_values_do_not_look_alike(pools: ModuleType, settings_of: ModuleType) -> None:
    def apart(a: str, b: str) -> int:
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            last, row[0] = row[0], i
            for j, y in enumerate(b, 1):
                last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
        return row[-1]

    for names in (pools.WOMEN + pools.MEN, pools.SURNAMES, pools.TOWNS, pools.PET_NAMES):
        assert len(set(names)) == len(names)
        assert all(apart(a.lower(), b.lower()) >= 3 for a, b in combinations(names, 2))
    everywhere = [pools.BELONGINGS, pools.INSTRUMENTS, pools.DISHES, pools.HOBBIES, pools.MARKS, pools.DRINKS]
    for setting in settings_of.SETTINGS:
        values = [v for pool in (*everywhere, setting.places, setting.jobs, setting.deeds, setting.things,
                                 setting.duties, setting.modes) for v in pool]  # fmt: skip
        bare = [re.sub(r"^(a|an|the) ", "", v) for v in values]
        assert len(set(bare)) == len(bare), [v for v, n in Counter(bare).items() if n > 1]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"words": 59}, "words is 59; choose 60 to 3000"),
        ({"words": 3001}, "words is 3001"),
        ({"answers": 3}, "answers is 3; choose 2 or 4"),
        ({"kinds": "facts"}, "no kind 'facts'; choose all, or from fact, who, two_facts"),
        ({"kinds": ""}, "no kind ''"),
        ({"wording": "odd"}, "wording is 'odd'; choose plain or varied"),
        ({"per_passage": 0}, "per_passage is 0"),
    ],
)
def test_a_bad_parameter_is_named_on_one_line(params: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        draw(1, **params)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_parameter_is_documented() -> None:
    task = find_task("dossier")
    for name in task.signature.parameters:
        assert name == "seed" or re.search(rf"^{name}: \S", task.doc, re.MULTILINE), name


@pytest.fixture
def pools() -> ModuleType:
    return _sibling("pools")


@pytest.fixture
def settings_of() -> ModuleType:
    return _sibling("settings")


def _sibling(name: str) -> ModuleType:
    return importlib.import_module(f"{find_task('dossier').questions.__module__}.{name}")
