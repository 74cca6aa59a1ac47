"""Dossiers: generated prose about an invented place, and questions that only its reader can answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from oversight import Label, Question, UserError, task

from .asking import Asked, Asker
from .passage import KINDS, compose
from .world import Dice

MIN_WORDS, MAX_WORDS = 60, 3000


@task(
    asymmetry="the helpers have read the passage; the judge has not",
    source="generated from the seed, without a model",
    licence="Apache-2.0",
    generated=True,
)
def dossier(
    *,
    seed: int,
    words: int = 120,
    answers: Literal[2, 4] = 2,
    kinds: str = "all",
    wording: Literal["plain", "varied"] = "varied",
    per_passage: int = 4,
) -> Iterator[tuple[Question, Label]]:
    """Generated passages about an invented place, with questions about them. Endless.

    words: length of a passage, 60 to 3000.
    answers: answers to choose from, 2 or 4.
    kinds: "all", or one or more of fact, who, two_facts, comparison, count, change, joined by "+".
    wording: "plain" states one fact in each sentence and asks in the same words; "varied" does not.
    per_passage: questions on one passage before the next begins; a short passage may have fewer.
    """
    wanted = _checked(words, answers, kinds, wording, per_passage)
    varied = wording == "varied"
    number = 0
    put: set[tuple[str, ...]] = set()
    while True:
        dice = Dice(f"dossier {seed} {number}")
        passage = compose(dice, words, answers, dice.mixed(wanted), varied)
        group = "dossier-" + hashlib.blake2b(passage.text.encode(), digest_size=8).hexdigest()
        asker = Asker(dice, passage, answers, varied)
        for slot in range(per_passage):
            turn = slot % len(passage.kinds)
            kinds_by_turn = passage.kinds[turn:] + passage.kinds[:turn]
            # "How many people came on foot?" of two passages would be one question to a judge: asked once.
            asked = next(
                (a for kind in 2 * kinds_by_turn if (a := asker.ask(kind)) and _words_alone(a) not in put),
                None,
            )
            if asked is None:
                break
            put.add(_words_alone(asked))
            index = dice.below(answers)
            wrong = dice.mixed(asked.wrong)
            shown = {passage.proof[fact] for fact in asked.proof}
            question = Question(
                text=asked.text,
                answers=(*wrong[:index], asked.true, *wrong[index:]),
                passage=passage.text,
                group=group,
                stem=asked.stem,
                source_id=f"{group}-{slot}",
                meta={
                    "kind": asked.kind,
                    "words": passage.words,
                    "setting": passage.setting,
                    "evidence": [passage.sentences[i] for i in sorted(shown)],
                },
            )
            yield question, Label(index)
        number += 1


def _words_alone(asked: Asked) -> tuple[str, ...]:
    """What a judge without the passage is shown, whatever the order of the answers."""
    return (asked.text, *sorted((asked.true, *asked.wrong)))


def _checked(words: int, answers: int, kinds: str, wording: str, per_passage: int) -> list[str]:
    """The kinds asked for; `UserError` for parameters out of range."""
    if not MIN_WORDS <= words <= MAX_WORDS:
        raise UserError(f"dossier: words is {words}; choose {MIN_WORDS} to {MAX_WORDS}")
    if answers not in (2, 4):
        raise UserError(f"dossier: answers is {answers}; choose 2 or 4")
    if wording not in ("plain", "varied"):
        raise UserError(f"dossier: wording is {wording!r}; choose plain or varied")
    if per_passage < 1:
        raise UserError(f"dossier: per_passage is {per_passage}; choose 1 or more")
    names = [name.strip() for name in kinds.replace(",", "+").split("+")]
    if names == ["all"]:
        return list(KINDS)
    for name in names:
        if name not in KINDS:
            raise UserError(f"dossier: no kind {name!r}; choose all, or from {', '.join(KINDS)}")
    return list(dict.fromkeys(names))
