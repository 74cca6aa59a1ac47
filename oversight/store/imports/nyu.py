"""The NYU human debates (Michael et al. 2023, arXiv 2311.08702): debates and consultancies with human judges.

Of each debate its public part: the speeches with their quotes, what the judge asked, and every distribution a
judge gave, on the way, at the end, and offline (by people who read it later). Scratchpads and the surveys that
people filled in afterwards stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from oversight.elicit.reading import from_probabilities
from oversight.errors import BadQuestion, UserError
from oversight.moves import Quote, Turn
from oversight.question import Label, Question
from oversight.store.imports.records import Author, Imported, Judged, Said

METADATA = "debates-metadata.jsonl"
TASK = "nyu2023"
"""The debates of the paper; the others are the task `nyu2023:in_paper=false`."""
LIVE = "credence"
"""How the judge in the room was read: by a stated distribution. Offline judges have a name of their own."""

# How the Penn Treebank writes what a tokeniser would otherwise trip over, and where it leaves no space.
_WRITTEN = {
    "``": '"',
    "''": '"',
    "`": "'",
    "--": "—",
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
} | {
    "-LCB-": "{",
    "-RCB-": "}",
}
_CLOSES = frozenset([*".,!?;:%)]}", "''", "n't", "-RRB-", "-RSB-", "-RCB-", "\n", "..."])
_OPENS = frozenset([*"$£€#([{", "``", "`", "-LRB-", "-LSB-", "-LCB-", "\n"])


def read_nyu(path: Path) -> Iterator[Imported]:
    """Debates of the folder that holds `debates-metadata.jsonl` and `debates/official/`, by name.

    Raises `UserError` for a folder without them, or a file that is not what it should be.
    """
    if not (path / METADATA).is_file():
        raise UserError(f"{path} has no {METADATA}: name the folder of the NYU data that holds it")
    about = {}
    for number, line in enumerate(_text(path / METADATA).split("\n"), start=1):
        if not line.strip():
            continue
        entry = _json(line, f"{path / METADATA}, line {number}")
        about[str(entry.get("name"))] = entry
    for name in sorted(about):
        file = path / "debates" / "official" / f"{name}.json"
        if Path(name).name != name or not file.is_file():
            raise UserError(f"{METADATA} names {name!r}; there is no {file}")
        room = _json(_text(file), str(file))
        try:
            yield _episode(name, about[name], room)
        except (AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
            raise UserError(f"{file} is not as the NYU data is: {type(error).__name__}: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no UTF-8: {error.reason} at byte {error.start}") from None


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{where} holds a {type(found).__name__}, not an object")
    return found


@dataclass(frozen=True)
class _Story:
    """A story as text, and where each of its tokens stands in it: start and end offsets."""

    text: str
    places: tuple[tuple[int, int], ...]

    def span(self, first: int, past: int) -> tuple[int, int]:
        """The offsets of tokens first … past-1, without line breaks at the edges; one range runs beyond the end."""
        begin, end = self.places[first][0], self.places[min(past, len(self.places)) - 1][1]
        said = self.text[begin:end]
        return begin + len(said) - len(said.lstrip()), end - len(said) + len(said.rstrip())


@lru_cache(maxsize=8)
def _story(tokens: tuple[str, ...]) -> _Story:
    out: list[str] = []
    places = []
    length, previous = 0, "\n"
    for token in tokens:
        glued = token in _CLOSES or previous in _OPENS or token.startswith("'") or token == "" or length == 0
        written = ("" if glued else " ") + _WRITTEN.get(token, token)
        out.append(written)
        places.append((length + (not glued), length + len(written)))
        length += len(written)
        previous = token or previous
    return _Story("".join(out), tuple(places))


def _episode(name: str, about: Mapping[str, Any], room: Mapping[str, Any]) -> Imported:
    setup, human, debate = room["setup"], about["setting"]["isHuman"], about["setting"]["isDebate"]
    source = setup["sourceMaterial"]["QuALITYSourceMaterial"]
    story = _story(tuple(source["contents"]))
    shown = [answer.strip() for answer in setup["answers"]]
    # The same two answers were shown in either order: one question, and the order of this showing.
    answers = sorted(shown)
    order = tuple(answers.index(answer) for answer in shown)
    question = Question(
        text=setup["question"].strip(),
        answers=tuple(answers),
        passage=story.text,
        group=f"quality-{source['articleId']}",
        meta={"title": source["title"], "article": source["articleId"]},
    )
    if len(order) != 2:
        raise BadQuestion(f"{name}: {len(order)} answers; the NYU debates have two")
    seats = {
        role[-1]: order["AB".index(role[-1])] for role in sorted(setup["roles"]) if role.startswith("Debater")
    }
    live = "Judge" in setup["roles"]
    turns, verdicts = _played(room["rounds"], story, debate, human)
    in_paper = bool(about["includedInPaper"])
    return Imported(
        name=name,
        task=TASK if in_paper else f"{TASK}:in_paper=false",
        protocol="debate" if debate else "consultancy",
        params={"ask": live, "until": "judge" if live else "debaters"},
        question=question,
        label=Label(order[setup["correctAnswerIndex"]]),
        judge="human",
        speaker="human" if human else "GPT-4",
        turns=turns,
        verdicts=verdicts,
        order=order,
        argues=seats if debate else {"consultant": next(iter(seats.values()))},
        expected=live,
        meta=_about(about, setup, in_paper),
    )


def _about(about: Mapping[str, Any], setup: Mapping[str, Any], in_paper: bool) -> dict[str, Any]:
    """What the source says of a debate, its own scores included."""
    state, details = next(iter(about["status"].items()))
    result = details.get("result") or {}
    judging = result.get("judgingInfo") or {}
    human, debate = about["setting"]["isHuman"], about["setting"]["isDebate"]
    return {
        "setting": f"{'human' if human else 'AI'} {'debate' if debate else 'consultancy'}",
        "in_paper": in_paper,
        "status": state,
        "ended_by": next(iter(result.get("endedBy") or {}), None),
        "continues": judging.get("numContinues"),
        "judge_reward": judging.get("judgeReward"),
        "rules": setup["rules"],
        "created": setup["creationTime"],
    }


def _played(
    rounds: Sequence[Mapping[str, Any]], story: _Story, debate: bool, human: bool
) -> tuple[tuple[Said, ...], tuple[Judged, ...]]:
    """Turns and verdicts in order. A belief comes before the words that were given with it."""
    turns: list[Said] = []
    verdicts: list[Judged] = []
    after = [0]
    """Turns there were after each round of speeches; the first is before any."""
    for phase in rounds:
        kind, content = next(iter(phase.items()))
        if kind in ("SimultaneousSpeeches", "SequentialSpeeches"):
            for place, speech in sorted(content["speeches"].items()):
                seat = "AB"[int(place)] if debate else "consultant"
                text, quotes = _speech(speech["content"], story)
                turn = Turn("speak", seat, len(after), text, quotes=quotes)
                turns.append(Said(turn, _author(speech["speaker"]), "debater" if debate else "consultant"))
            after.append(len(turns))
        elif kind == "JudgeFeedback":
            by = _author(content["feedback"]["speaker"])
            words, quotes = _speech(content["feedback"]["content"], story)
            final = content["endDebate"]
            believed = from_probabilities(content["distribution"], LIVE, raw=words if final else "")
            verdicts.append(Judged(believed, by, len(turns), final))
            if words and not final:
                turns.append(Said(Turn("ask", "judge", len(after), words, quotes=quotes), by, "judge"))
        elif kind == "OfflineJudgments":
            for person, judging in sorted(content["judgments"].items()):
                verdicts += _offline(person, judging, story, after, len(turns))
        elif kind != "NegotiateEnd":
            raise KeyError(kind)
    return tuple(turns), tuple(verdicts)


def _offline(
    person: str, judging: Mapping[str, Any], story: _Story, after: Sequence[int], turns: int
) -> Iterator[Judged]:
    """Of a person who read it later: once at the end ("timed"), or before and after each round ("stepped")."""
    way = f"{LIVE}:offline={judging['mode']}"
    for step, one in enumerate(judging["judgments"]):
        seen = turns if judging["mode"] == "timed" else after[min(step, len(after) - 1)]
        words, _ = _speech(one["feedback"]["content"], story)
        yield Judged(from_probabilities(one["distribution"], way, raw=words), _author(person), seen)


def _author(person: str) -> Author:
    return Author(person, "api") if person == "GPT-4" else Author(f"human/{person}")


def _speech(content: Sequence[Mapping[str, Any]], story: _Story) -> tuple[str, tuple[Quote, ...]]:
    """A speech as text, its quotes as spans of it and of the story.

    On the site a quote is set apart; here it gets a space where what is typed beside it would run into it.
    """
    out, length, quotes, after_quote = "", 0, [], False
    for segment in content:
        quoted = "Quote" in segment
        if quoted:
            begin, end = story.span(*segment["Quote"]["span"])
            piece = story.text[begin:end]
        else:
            piece = segment["Text"]["text"]
        if not piece:
            continue
        if (
            out
            and not (out[-1].isspace() or piece[0].isspace())
            and _apart(out[-1], piece[0], after_quote, quoted)
        ):
            out += " "
        length = len(out)
        out += piece
        if quoted:
            quotes.append(Quote(length, length + len(piece), True, begin, end))
        after_quote = quoted
    return _stripped(out, quotes)


def _apart(last: str, first: str, after_quote: bool, quoted: bool) -> bool:
    """Whether a space belongs between two segments: not within quotation marks or brackets that a debater typed."""
    if after_quote and quoted:
        return True
    if quoted:
        return last.isalnum() or last in ".,:;!?)"
    return after_quote and (first.isalnum() or first in "([")


def _stripped(text: str, quotes: Sequence[Quote]) -> tuple[str, tuple[Quote, ...]]:
    """Without white space around it."""
    cut = len(text) - len(text.lstrip())
    moved = (Quote(q.start - cut, q.end - cut, q.verified, q.passage_start, q.passage_end) for q in quotes)
    return text.strip(), tuple(moved)
