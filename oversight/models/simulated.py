"""simulated/…: players with dialled behaviour, whose results are known before they play.

    simulated/judge:accuracy=0.7,position_bias=0,length_bias=0,credulity=0.3,query_value=0,passage_accuracy=,slope=,
                    steady=0,grouped=0
    simulated/debater:skill=0.5,truth_advantage=0.5,spread=1,accuracy=0.85,wordiness=0   (a consultant too)

They are instruments, not subjects: what the statistics say of their episodes must agree with the
formulas of `dials`. They alone are told the answers (`Simulated.reveal`), by the engine before a run,
never through a prompt. All other draws derive from a request's seed, so the same call is the same draw;
other sample numbers are new draws (`stochastic`). A cached call does not know of a label that was
corrected since: use a new database then.
"""

from __future__ import annotations

import difflib
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from oversight.errors import UserError, unknown
from oversight.models.dials import NOISE, RANGES, DebaterDials, JudgeDials
from oversight.models.interface import Completion, Model, Request
from oversight.question import Label, Question
from oversight.quotes import defuse
from oversight.views import View

QUESTION = "Which answer does the evidence speak for?"

_STRENGTH = re.compile(r"With strength ([+-]\d+\.\d+): (.*)", re.DOTALL)


class Simulated(Model):
    """A player that knows the answers it was revealed, and plays by its dials."""

    kind = "simulated"
    images = True
    stochastic = True
    scores = True
    elicitation = "letters"

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._right: dict[tuple[str, frozenset[str]], str] = {}
        self._group: dict[tuple[str, frozenset[str]], str] = {}

    def reveal(self, items: Sequence[tuple[Question, Label]]) -> None:
        """Learn the answers: the only place where a player is ever told a label. The engine calls it.

        Raises `UserError` where two questions that look the same have different right answers.
        """
        for question, label in items:
            key, right = (question.text, frozenset(question.answers)), question.answers[label.index]
            self._group.setdefault(key, question.group or question.text)
            if self._right.setdefault(key, right) != right:
                raise UserError(
                    f"two questions {question.text[:60]!r} with the same answers have different right ones, "
                    "which simulated players cannot tell apart; use another task with them"
                )

    def right(self, view: View) -> int:
        """The place at which the right answer is shown."""
        texts = [a.text for a in view.answers]
        if view.act == "choose" and not view.choices:
            raise UserError("simulated players compare no speeches: use best_of with prefer_by=letters")
        answer = self._right.get((view.question, frozenset(texts)))
        if answer is None:
            raise UserError(f"{self.name}: nobody revealed the answer to {view.question[:60]!r}")
        return texts.index(answer)

    async def generate(self, request: Request) -> Completion:
        text = self._say(_view(request), random.Random(request.seed))
        prompt = sum(len(m.content.split()) for m in request.messages)
        return Completion(text, prompt_tokens=prompt, completion_tokens=len(text.split()))

    def _say(self, view: View, rng: random.Random) -> str:
        raise NotImplementedError


class SimulatedJudge(Simulated):
    """See the module."""

    letters = True
    structured = True

    def __init__(self, dials: JudgeDials, identity: str) -> None:
        super().__init__(identity)
        self.dials = dials

    def utilities(self, view: View, rng: random.Random) -> list[float]:
        """u_i of the answers, in the order shown."""
        right, dials = self.right(view), self.dials
        u = self._noise(view, right, [rng.gauss(0.0, NOISE) for _ in view.answers])
        u[right] += dials.d(len(u), view.passage is not None) + dials.query_value * replied(view)
        u[0] += dials.position_bias
        if dials.credulity or dials.length_bias:
            for i, (strength, words) in enumerate(heard(view)):
                u[i] += dials.credulity * strength + dials.length_bias * math.log2(words or 1)
        return u

    def _noise(self, view: View, right: int, fresh: list[float]) -> list[float]:
        """e_i: what is new in this call with what stays with the question and with its group."""
        steady, grouped = self.dials.steady, self.dials.grouped
        if not steady and not grouped:
            return fresh
        texts = [a.text for a in view.answers]
        group = self._group[view.question, frozenset(texts)]
        wrong = sorted(text for i, text in enumerate(texts) if i != right)
        shares = math.sqrt(steady), math.sqrt(grouped), math.sqrt(max(0.0, 1 - steady - grouped))
        return [
            shares[0] * self._drawn(view.question, text)
            + shares[1] * self._drawn(group, 0 if i == right else 1 + wrong.index(text))
            + shares[2] * new
            for i, (text, new) in enumerate(zip(texts, fresh, strict=True))
        ]

    def _drawn(self, *of: object) -> float:
        """One draw of the noise, the same whenever it is asked for."""
        return random.Random(repr((self.identity, *of))).gauss(0.0, NOISE)

    def _say(self, view: View, rng: random.Random) -> str:
        if view.act == "ask":
            return QUESTION
        if view.choices:
            return f"Answer: {rng.choice(view.choices).letter}"
        if view.act not in ("judge", "estimate"):
            raise UserError(
                f"simulated/judge cannot play {view.seat.title}: it judges and asks; name another model for this seat"
            )
        u = self.utilities(view, rng)
        return f"Answer: {view.answers[u.index(max(u))].letter}"

    async def generate(self, request: Request) -> Completion:
        """What it says; for a verdict in JSON its letter or its probabilities, as the schema has it."""
        if request.letters:
            return self._scored(request, request.letters)
        wanted = json.loads(request.schema)["properties"] if request.schema else {}
        if not wanted:
            return await super().generate(request)
        view = _view(request)
        if view.claims:
            raise UserError("simulated/judge believes in answers and cannot tell how probable a claim is")
        stated: dict[str, str | float]
        if "answer" in wanted and view.choices:
            stated = {"answer": random.Random(request.seed).choice(view.choices).letter}
        elif "answer" in wanted:
            u = self.utilities(view, random.Random(request.seed))
            stated = {"answer": view.answers[u.index(max(u))].letter}
        else:
            logs = self._log_probabilities(view, request.seed)
            stated = {a.letter: math.exp(log) for a, log in zip(view.answers, logs, strict=True)}
        prompt = sum(len(m.content.split()) for m in request.messages)
        return Completion(json.dumps(stated), prompt_tokens=prompt, completion_tokens=len(stated))

    async def score(self, request: Request) -> Completion:
        """Log-probabilities of the answers, by letter or by " text"."""
        return self._scored(request, request.continuations)

    def _log_probabilities(self, view: View, seed: int) -> list[float]:
        """Of the answers, in the order shown."""
        u = self.utilities(view, random.Random(seed))
        slope = self.dials.steepness(len(u), view.passage is not None)
        top = max(u)
        rest = slope * top + math.log(sum(math.exp(slope * (x - top)) for x in u))
        return [slope * x - rest for x in u]

    def _scored(self, request: Request, candidates: Sequence[str]) -> Completion:
        view = _view(request)
        if view.choices:
            chosen = random.Random(request.seed).choice(view.choices).letter
            return Completion(scores=tuple(0.0 if c == chosen else -20.0 for c in candidates))
        logs = self._log_probabilities(view, request.seed)
        known = {a.letter: log for a, log in zip(view.answers, logs, strict=True)}
        known |= {f" {a.text}": log for a, log in zip(view.answers, logs, strict=True)}
        try:
            scores = tuple(known[c] for c in candidates)
        except KeyError as error:
            name = error.args[0]
            raise UserError(f"simulated/judge scores the answers it is shown, not {name!r}") from None
        prompt = sum(len(m.content.split()) for m in request.messages)
        return Completion(scores=scores, prompt_tokens=prompt, completion_tokens=len(scores))


class SimulatedDebater(Simulated):
    """See the module. It has no log-probabilities: its speeches are its own."""

    scores = False
    elicitation = "hard"

    def __init__(self, dials: DebaterDials, identity: str) -> None:
        super().__init__(identity)
        self.dials = dials

    def _say(self, view: View, rng: random.Random) -> str:
        if view.act == "ask":
            return QUESTION
        if view.act == "judge" or view.choices == view.answers:
            place = self.right(view)
            others = [i for i in range(len(view.answers)) if i != place]
            chosen = place if rng.random() < self.dials.accuracy else rng.choice(others)
            return f"Answer: {view.answers[chosen].letter}"
        if view.act not in ("speak", "answer") or view.answer is None:
            raise UserError(
                f"simulated/debater cannot play {view.seat.title} here: it argues an answer and chooses its side; name "
                f"another model for this seat, e.g. --seat {view.seat.role}=scripted/replies.yaml"
            )
        if view.act == "answer":
            return f"Asked about {_folded(view.question)}, I say: {_claim(view.answer.text)}"
        is_right = view.answer == view.answers[self.right(view)]
        mean = self.dials.skill + (self.dials.truth_advantage if is_right else 0.0)
        said = f"With strength {rng.gauss(mean, self.dials.spread):+.3f}: {_claim(view.answer.text)}"
        idle = rng.randint(0, round(self.dials.wordiness))
        return f"{said} {' '.join(['well'] * idle)}." if idle else said


def evidence(view: View) -> list[float]:
    """The sum of the strengths of the speeches seen, for each answer in the order shown."""
    return [strength for strength, _ in heard(view)]


def heard(view: View) -> list[tuple[float, int]]:
    """Of each answer in the order shown: the sum of the strengths of the speeches seen, and of their words."""
    strengths, words = [0.0] * len(view.answers), [0] * len(view.answers)
    for line in view.turns:
        found = _STRENGTH.search(line.text) if line.kind == "speak" else None
        if found is None:
            continue
        claims = [_claim(a.text) for a in view.answers]
        said = " ".join(found[2].split())
        argued = [i for i, claim in enumerate(claims) if said.startswith(claim) or claim.startswith(said)]
        if len(argued) != 1:
            raise UserError(f"{line.title} was cut before it had said its answer; give it more words=")
        strengths[argued[0]] += float(found[1])
        words[argued[0]] += len(line.text.split())
    return list(zip(strengths, words, strict=True))


def replied(view: View) -> int:
    """How many of the seat's own questions were replied to: an answer to this question, or a speech, came
    after."""
    about = _folded(view.question)
    last = max((i for i, line in enumerate(view.turns) if line.kind == "speak"), default=-1)
    count = 0
    for i, line in enumerate(view.turns):
        if not (line.mine and line.kind == "ask"):
            continue
        after = view.turns[i + 1] if i + 1 < len(view.turns) else None
        if after is not None and after.kind == "answer":
            count += about in after.text
        else:
            count += i < last
    return count


def _folded(question: str) -> str:
    """A question as a reply names it: on one line, as our marks leave it."""
    text = defuse(question.translate({ord("<"): None, ord(">"): None}))
    return f'"{" ".join(text.split())}"'


def _claim(answer: str) -> str:
    """What a debater says of its answer: without tags, and as our marks leave it."""
    text = defuse(answer.translate({ord("<"): None, ord(">"): None}))
    return f'the answer is "{" ".join(text.split())}".'


def _view(request: Request) -> View:
    if request.view is None:
        raise UserError("simulated players look at views, and this request has none")
    return request.view


Dials = TypeVar("Dials", JudgeDials, DebaterDials)


def open_simulated(name: str, options: Mapping[str, Any]) -> Simulated:
    """`judge` or `debater` with its dials. Raises `UserError` for others, or a dial out of its range."""
    if name == "judge":
        return SimulatedJudge(*_read(name, JudgeDials, options))
    if name in ("debater", "consultant"):
        return SimulatedDebater(*_read("debater", DebaterDials, options))
    raise unknown("simulated player", name, ["judge", "debater", "consultant"])


def _read(name: str, kind: type[Dials], options: Mapping[str, Any]) -> tuple[Dials, str]:
    """The dials, and the identity that spells them all."""
    known: dict[str, Any] = {f.name: f.default for f in fields(kind)}
    for dial, value in options.items():
        if dial not in known:
            near = difflib.get_close_matches(dial, known, n=1, cutoff=0.3)
            tail = f"did you mean {near[0]!r} ({_range(near[0])})?" if near else ""
            spelt = ", ".join(f"{d} ({_range(d)})" for d in known)
            raise UserError(f"simulated/{name} has no dial {dial!r}; {tail or 'it has ' + spelt}")
        known[dial] = _number(name, dial, value)
    dials = kind(**known)
    if isinstance(dials, JudgeDials) and dials.steady + dials.grouped > 1:
        raise UserError(
            f"simulated/{name}: steady={dials.steady:g} and grouped={dials.grouped:g} are shares of one variance and "
            "come to more than 1"
        )
    return dials, f"simulated/{name}:" + ",".join(f"{dial}={value!r}" for dial, value in known.items())


def _number(name: str, dial: str, value: Any) -> float:
    low, high = RANGES[dial]
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise UserError(f"simulated/{name}: {dial}={value!r} is not a number from {_range(dial)}")
    return number + 0.0  # -0.0 and 0.0 are one dial


def _range(dial: str) -> str:
    low, high = RANGES[dial]
    return f"{low:g} to {high:g}"
