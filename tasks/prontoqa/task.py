"""PrOntoQA: two chains of reasoning about fictional kinds, one of which the rules do not bear out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oversight import BadQuestion, Label, Question, choices, hub, task

from .prover import Literal, Rule, Unreadable, prove, read_context, read_question, trace

HUB_ID = "renma/ProntoQA"
REVISION = "0455c56c8db19d49a7d4bae1cb4f501f659e8c95"
FILE = "ProntoQA_dev_gpt-4.json"
COLUMNS = ("id", "context", "question", "answer", "options")


@task(
    asymmetry="the judge is the weaker model; everyone sees the rules (with hidden=true the judge does not)",
    source="PrOntoQA (Saparov and He 2023, arXiv 2210.01240), renma/ProntoQA on the Hugging Face hub",
    licence="MIT",
)
def prontoqa(*, seed: int, hidden: bool = False) -> Iterator[tuple[Question, Label]]:
    """Is a statement true or false? The right chain of reasoning against its negation. (Kenton 2024)

    hidden: true to hide the rules from the judge, as a passage.
    """
    rows = hub.rows(HUB_ID, REVISION, FILE, COLUMNS)
    yield from choices.asked("prontoqa", (_item(row, hidden, seed) for row in rows))


def _item(row: dict[str, Any], hidden: bool, seed: int) -> tuple[Question, Label] | str:
    """The question, or why there is none. Raises `BadQuestion` for a row without its parts."""
    name = str(row["id"] or "a row without an id")
    context, asked = str(row["context"] or "").strip(), str(row["question"] or "").strip()
    if not context or not asked:
        raise BadQuestion(f"{name}: the context or the question is empty")
    if row["answer"] not in ("A", "B"):
        raise BadQuestion(f"{name}: the answer is {row['answer']!r}; it should be A (true) or B (false)")
    if [str(o).split()[-1] for o in row["options"] or ()] != ["True", "False"]:
        raise BadQuestion(f"{name}: the options are {row['options']!r}; they should be True and False")
    try:
        ontology = read_context(context)
        claim = read_question(asked, ontology.who)
        fact, rules = prove(ontology, claim.name)
    except Unreadable:
        return "cannot be proved"
    if not rules:
        return "the answer is given outright"
    found = rules[-1].then
    if (found == claim) is not (row["answer"] == "A"):
        return "the proof contradicts the answer"
    right = _answer(ontology.who, fact, rules, claim)
    wrong = _answer(ontology.who, fact, (*rules[:-1], rules[-1].negated()), claim)
    source_id = "prontoqa-" + choices.digest(context, asked)
    # Seeded by the row's own content, so that which rows are read beside it changes nothing.
    answers, label = choices.placed(right, [wrong], choices.chance("prontoqa", seed, source_id))
    question = Question(
        text=asked if hidden else f"{context}\n\n{asked}",
        answers=answers,
        passage=context if hidden else None,
        passage_name="set of rules" if hidden else "text",
        source_id=source_id,
        meta={
            "id": row["id"],
            "answer": row["answer"],
            "hops": len(rules),
            "rules": len(ontology.rules),
            "pair": "the last rule and what follows from it, negated",
        },
    )
    return question, label


def _answer(who: str, fact: Literal, rules: tuple[Rule, ...], claim: Literal) -> str:
    verdict = "true" if rules[-1].then == claim else "false"
    return " ".join([*trace(who, fact, rules), f"So the statement is {verdict}."])
