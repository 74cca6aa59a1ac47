"""What any seat of any protocol can be given: better speeches, beliefs on the way, queries, a panel, examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import rows

from oversight import UserError

Play = Callable[..., Any]
Replies = Callable[[str], str]

DEBATER = """
from oversight import Completion, Model

SENT = []

class Debater(Model):
    identity = "debater"
    scores = True
    def __init__(self, likes="", identity=None):
        self.likes = likes
        self.identity = identity or f"debater {likes}"
    async def generate(self, request):
        SENT.append((self.identity, request))
        text = request.messages[-1].content
        if "convince a careful judge most" in text:
            letters = [line[1] for line, after in zip(text.splitlines(), text.splitlines()[1:])
                       if line.startswith("(") and self.likes in after]
            return Completion(f"Answer: {letters[0]}" if letters else "None of them.")
        if "Name its weakest points" in text:
            return Completion("Too vague.")
        if "write the speech anew" in text:
            return Completion("Better: it was so.")
        if request.view.act == "judge":
            return Completion("Answer: A")
        return Completion(f"Sample {request.nth} of {request.of}.")
    async def score(self, request):
        SENT.append((self.identity, request))
        heard = " ".join(m.content for m in request.messages)
        first = request.continuations[0]
        wins = self.likes and self.likes in heard
        return Completion(scores=tuple(0.0 if (c == first) == bool(wins) else -3.0 for c in request.continuations))
"""


@pytest.fixture
def debater(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "debating.py").write_text(DEBATER)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("debating", None)
    yield "debating:Debater"
    sys.modules.pop("debating", None)


def query(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    return rows(tmp_path / "db.duckdb", sql)


# optimised speakers


@pytest.mark.parametrize("prefer", ["self", "judge", "debating:Debater:likes=Sample 2"])
def test_the_speech_that_the_preference_names_is_the_turn_and_all_samples_are_kept(
    prefer: str, play: Play, debater: str, tmp_path: Path
) -> None:
    own = "Sample 2" if prefer == "self" else "Sample 0"
    judge = "Sample 2" if prefer == "judge" else "Sample 1"
    speaker = {"model": f"{debater}:likes={own}", "best_of": 4, "prefer": prefer, "temperature": 0.8}
    play("consultancy:rounds=1", judge=f"{debater}:likes={judge}", debater=speaker, limit=1)
    assert query(tmp_path, "SELECT DISTINCT text FROM turns") == [("Sample 2 of 4.",)]
    kept = query(
        tmp_path,
        "SELECT n, kind, text, score, shown FROM drafts WHERE episode = (SELECT min(episode) FROM drafts)",
    )
    assert sorted(kept) == [(n, "sample", f"Sample {n} of 4.", float(n == 2), n == 2) for n in range(4)]


def test_by_log_probs_the_sample_that_makes_the_judge_believe_most_is_shown(
    play: Play, debater: str, tmp_path: Path
) -> None:
    judge = {"model": f"{debater}:likes=Sample 1", "elicit": "hard"}
    speaker = {"model": debater, "best_of": 3, "prefer": "judge", "prefer_by": "letters", "temperature": 0.8}
    play("consultancy:rounds=1", judge=judge, debater=speaker, limit=1, order="fixed")
    shown = query(
        tmp_path,
        "SELECT e.argued, list(d.score ORDER BY n), arg_min(d.n, -d.score), any_value(t.text) FROM drafts d "
        "JOIN episodes e USING (episode) JOIN turns t USING (episode) GROUP BY ALL ORDER BY e.argued",
    )
    # Letter A is likely where "Sample 1" was said: best for who argues the first answer, worst for the other.
    assert [(argued, text) for argued, _, _, text in shown] == [(0, "Sample 1 of 3."), (1, "Sample 0 of 3.")]
    assert all(len(scores) == 3 and max(scores) > 0.9 for _, scores, _, _ in shown)


def test_what_prefers_in_the_judges_place_reads_what_the_judge_reads(
    play: Play, debater: str, tmp_path: Path
) -> None:
    speaker = {"model": debater, "best_of": 2, "prefer": "self", "prefer_by": "texts", "temperature": 0.8}
    play("consultancy:rounds=2,ask=false", judge=f"{debater}:identity=judge", debater=speaker, limit=1)
    sent = sys.modules["debating"].SENT
    scored = [r for who, r in sent if r.continuations and who != "judge"]
    assert scored and all(r.view.passage is None and r.view.seat.role == "judge" for r in scored)
    assert {len(r.view.turns) for r in scored} == {1, 2}
    assert not [r for r in scored if "Chronicle" in " ".join(m.content for m in r.messages)]


def test_a_preference_that_names_none_fails_the_episode_and_never_picks_one(
    play: Play, debater: str, tmp_path: Path
) -> None:
    speaker = {"model": f"{debater}:likes=nothing of the kind", "best_of": 2, "temperature": 0.8}
    run = play("consultancy:rounds=1", judge=debater, debater=speaker, limit=1)
    assert run.statuses == {"failed": 2}
    assert query(tmp_path, "SELECT DISTINCT reason FROM verdicts") == [("undecided",)]


def test_a_speech_is_criticised_and_written_anew(play: Play, debater: str, tmp_path: Path) -> None:
    speaker = {"model": debater, "refine": 2}
    play("consultancy:rounds=1", judge=debater, debater=speaker, limit=1)
    assert query(tmp_path, "SELECT DISTINCT text FROM turns") == [("Better: it was so.",)]
    made = query(
        tmp_path, "SELECT kind, text FROM drafts WHERE episode = (SELECT min(episode) FROM drafts) ORDER BY n"
    )
    assert made == [
        ("draft", "Sample 0 of 1."),
        ("critique", "Too vague."),
        ("draft", "Better: it was so."),
        ("critique", "Too vague."),
    ]


def test_drafts_reach_no_other_seat(play: Play, debater: str, tmp_path: Path) -> None:
    speaker = {"model": f"{debater}:likes=Sample 1", "best_of": 2, "refine": 1, "temperature": 0.8}
    play("consultancy:rounds=2,ask=false", judge=f"{debater}:identity=judge", debater=speaker, limit=1)
    judged = [r for who, r in sys.modules["debating"].SENT if who == "judge" and r.view.act == "judge"]
    read = " ".join(m.content for r in judged for m in r.messages)
    assert "Better: it was so." in read and "Sample" not in read and "Too vague" not in read


@pytest.mark.parametrize(
    ("seat", "said"),
    [
        ({"best_of": 4}, "at temperature 0: give it a temperature"),
        ({"prefer": "judge"}, "prefer and prefer_by choose among several speeches: add best_of=4"),
        ({"best_of": 2, "temperature": 1, "prefer_by": "hard"}, "no preference 'hard'"),
        ({"best_of": 2, "temperature": 1, "style": "quotes"}, "style=quotes is a best-of-n already"),
        ({"queries": 2}, "queries is a judge's setting"),
    ],
)
def test_a_speaker_that_cannot_be_optimised_so_is_refused_in_one_line(
    seat: dict[str, Any], said: str, play: Play, replies: Replies
) -> None:
    with pytest.raises(UserError, match=said) as refused:
        play("debate", debater={"model": replies('judge: "Answer: A"\nspeak: "x"'), **seat})
    assert "\n" not in str(refused.value)


def test_a_preference_that_cannot_be_read_of_any_sample_picks_none(
    play: Play, debater: str, tmp_path: Path
) -> None:
    speaker = {"model": debater, "best_of": 2, "prefer_by": "credence", "temperature": 0.8}
    run = play("consultancy:rounds=1", judge=debater, debater=speaker, limit=1)
    assert run.statuses == {"failed": 2} and not query(tmp_path, "SELECT * FROM turns")
    assert query(tmp_path, "SELECT DISTINCT reason FROM verdicts") == [("undecided",)]


def test_a_model_that_cannot_prefer_so_is_refused_before_a_call(play: Play, debater: str) -> None:
    speaker = {"model": debater, "best_of": 2, "prefer_by": "logprobs", "temperature": 0.8}
    with pytest.raises(UserError, match="which prefer_by=logprobs needs; it can do: choice, credence"):
        play("consultancy:rounds=1", judge=debater, debater=speaker, limit=1)


def test_who_prefers_in_the_judges_place_is_shown_no_image_that_the_judge_is_not(
    play: Play, debater: str, tmp_path: Path
) -> None:
    folder = tmp_path / "pictured"
    folder.mkdir()
    (folder / "task.py").write_text(
        "from oversight import Image, Label, Question, task\n"
        "PNG = bytes.fromhex('89504e470d0a1a0a') + b'x'\n"
        "@task(asymmetry='', source='', licence='')\n"
        "def pictured(*, seed: int):\n"
        "    image = Image('image/png', PNG)\n"
        "    yield Question('Who?', ('Mira', 'Jo'), images=(image,), images_hidden=True), Label(0)\n"
    )
    import debating  # type: ignore[import-not-found]

    debating.Debater.images = True
    speaker = {"model": f"{debater}:likes=Sample 1", "best_of": 2, "prefer": "self", "temperature": 0.8}
    play("consultancy:rounds=1", tasks=[str(folder)], judge=debater, debater=speaker, limit=1)
    sent = [r for _, r in debating.SENT]
    asked = [r for r in sent if "convince a careful judge most" in r.messages[-1].content]
    assert asked and not any(m.images for r in asked for m in r.messages)
    assert any(m.images for r in sent for m in r.messages)


# beliefs


def test_beliefs_are_read_after_every_turn_and_change_nothing(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    model = replies('judge: "Answer: A"\nspeak: "{answer}, round {round}."\njudge ask: "Why?"')
    play("consultancy:rounds=2", judge=model, debater=model, limit=1)
    calls = {text for (text,) in query(tmp_path, "SELECT call FROM calls")}
    run = play("consultancy:rounds=2", judge={"model": model, "beliefs": True}, debater=model, limit=1)
    assert calls < {text for (text,) in query(tmp_path, "SELECT call FROM calls")}
    assert run.calls == 1 + 2 + 2, "before the first turn (shared), after it, and after the judge's question"
    found = query(
        tmp_path,
        "SELECT episode, list(turn ORDER BY turn), list(final ORDER BY turn) FROM beliefs GROUP BY ALL",
    )
    assert sorted((turns, final) for _, turns, final in found) == sorted(
        [([3], [True])] * 2 + [([0, 1, 2, 3], [False, False, False, True])] * 2
    )


# queries


def test_a_judge_spends_its_queries_before_its_verdict(play: Play, replies: Replies, tmp_path: Path) -> None:
    model = replies(
        'judge: "Answer: A"\nspeak: "Round {round}."\njudge ask: "Why, {round}?"\njudge choose: "Answer: B"\nanswer: "So {round}."'
    )
    play("debate:rounds=1", judge={"model": model, "queries": 2}, debater=model, limit=1)
    assert query(tmp_path, "SELECT turn, target, query, answer, placebo FROM queries ORDER BY turn") == [
        (2, "B", "Why, 1?", "So 1.", False),
        (4, "B", "Why, 2?", "So 2.", False),
    ]
    assert query(tmp_path, "SELECT options FROM choices LIMIT 1") == [(["Debater A", "Debater B"],)]
    verdict = query(tmp_path, "SELECT turn FROM verdicts WHERE final")
    assert verdict == [(6,)]


def test_in_a_placebo_arm_another_question_is_answered_and_the_first_turns_are_shared(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    text = 'judge: "Answer: A"\nspeak: "S."\njudge ask: "Why?"\nanswer: "{question} It was {answer}."'
    model = replies(text)
    play("consultancy:rounds=1", judge={"model": model, "queries": 1}, debater=model, limit=8)
    run = play(
        "consultancy:rounds=1", judge={"model": model, "queries": 1, "placebo": True}, debater=model, limit=8
    )
    assert run.calls == 2 * 16, (
        "the speech and the query are found in the store, the answer and verdict are not"
    )
    wrong = query(
        tmp_path,
        "SELECT r.placebo, contains(r.answer, q.text) FROM queries r JOIN episodes e USING (episode) JOIN questions q USING (question)",
    )
    assert sorted(wrong) == sorted([(False, True)] * 16 + [(True, False)] * 16)
    mark = "SELECT count(*) FROM quotes JOIN turns USING (episode, turn) WHERE placebo AND passage_start IS NOT NULL"
    assert query(tmp_path, mark) == [(0,)]


def test_queries_need_somebody_to_ask(play: Play, replies: Replies) -> None:
    with pytest.raises(UserError, match="seats nobody whom the judge could ask"):
        play("direct", judge={"model": replies('judge: "Answer: A"'), "queries": 1})


# panels


def test_a_panels_verdict_is_pooled_and_each_members_is_kept(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    sure, doubtful = replies("judge: {A: 0.0, B: -2.0}"), replies("judge: {A: -1.0, B: 0.0}")
    judge = {"model": sure, "elicit": "letters", "panel": [f"{doubtful}:elicit=letters"]}
    play("direct", judge=judge, limit=1, order="fixed")
    found = query(
        tmp_path,
        "SELECT judge, elicitation, final, closing, probabilities FROM verdicts ORDER BY final DESC, judge",
    )
    assert [(e, f, c) for _, e, f, c, _ in found] == [
        ("pooled-log-odds", True, True),
        ("letters", False, True),
        ("letters", False, True),
    ]
    assert found[0][0] == f"panel({sure}, {doubtful})" and {found[1][0], found[2][0]} == {sure, doubtful}
    # Mean of the log-odds 2 and -1 is 0.5.
    assert found[0][4][0] == pytest.approx(0.6224593312)
    assert query(tmp_path, "SELECT DISTINCT judge FROM judgements") == [(found[0][0],)]


def test_judges_that_name_a_letter_are_pooled_by_majority(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    a, b, c = (replies(f'judge: "Answer: {said}"') for said in ("A", "B", "(A)"))
    play("direct", judge={"model": a, "panel": [b, c]}, limit=1, order="fixed")
    assert query(tmp_path, "SELECT elicitation, choice FROM verdicts WHERE final") == [("pooled-majority", 0)]
    with pytest.raises(UserError, match="pool=mean needs probabilities"):
        play("direct", judge={"model": a, "panel": [b], "pool": "mean"}, limit=1)


def test_one_opinion_is_not_counted_twice(play: Play, replies: Replies, toy: str) -> None:
    a, b = replies('judge: "Answer: A"'), replies('judge: "Answer: B"')
    for judge in (
        {"model": a, "panel": [a]},
        {"model": a, "panel": [b, b]},
        {"model": a, "panel": [f"{a}:words=99"]},  # a judge makes no speeches
        {"model": a, "elicit": "hard+credence", "panel": [a]},
    ):
        with pytest.raises(UserError, match=r"is in it twice.*leave one out, or set them apart"):
            play("direct", judge=judge, limit=1)
    play("direct", judge={"model": a, "panel": [b, f"{a}:temperature=1"]}, limit=1)


# thinking and examples


def test_a_judge_that_thinks_is_read_by_its_last_line(play: Play, replies: Replies, tmp_path: Path) -> None:
    model = replies('judge: "A seems right at first.\\nBut the quote is about B.\\nAnswer: B"')
    play("direct", judge={"model": model, "think": True, "elicit": "hard"}, limit=1, order="fixed")
    assert query(tmp_path, "SELECT status, choice FROM verdicts") == [("decided", 1)]
    (last,) = query(tmp_path, "SELECT content FROM messages WHERE content LIKE '%Reason first%'")
    assert "End with one line" in last[0]
    with pytest.raises(UserError, match="think=true needs a verdict in words"):
        play("direct", judge={"model": model, "think": True, "elicit": "letters"}, limit=1)


def test_examples_stand_between_the_rules_and_the_question(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    examples = tmp_path / "shots.yaml"
    examples.write_text("- user: Is it so?\n- assistant: 'Answer: A'\n")
    model = replies('judge: "Answer: A"')
    play("direct", judge={"model": model, "examples": str(examples)}, limit=1)
    roles = query(
        tmp_path,
        "SELECT list(m.role ORDER BY i) FROM calls c, unnest(c.messages) WITH ORDINALITY u(k, i) JOIN messages m ON m.message = u.k GROUP BY c.call",
    )
    assert roles == [(["system", "user", "assistant", "user", "user"],)]
    examples.write_text("- user: Is it so?\n")
    with pytest.raises(UserError, match="the last item needs its"):
        play("direct", judge={"model": model, "examples": str(examples)}, limit=1)


# opponents


def test_each_debater_meets_each_opponent_on_either_side(
    play: Play, replies: Replies, tmp_path: Path
) -> None:
    strong, weak = replies('speak: "strong"'), replies('speak: "weak"')
    judge = replies('judge: "Answer: A"')
    run = play("debate:rounds=1", judge=judge, debater=strong, opponents=[weak], limit=2)
    assert run.planned == 4
    said = query(tmp_path, "SELECT seat, text, count(*) FROM turns GROUP BY ALL ORDER BY ALL")
    assert said == [("A", "strong", 2), ("A", "weak", 2), ("B", "strong", 2), ("B", "weak", 2)]
    arms = query(tmp_path, "SELECT speaker, players FROM arms ORDER BY speaker")
    assert sorted(s for s, _ in arms) == sorted([f"{strong} vs {weak}", f"{weak} vs {strong}"])
    assert {json.loads(p)["A"]["model"] for _, p in arms} == {strong, weak}


def test_a_judge_whose_queries_help_is_helped_by_answers_and_not_by_a_placebo(
    play: Play, tmp_path: Path
) -> None:
    # Simulated players with known dials: alone at chance, sure once its question was answered.
    judge = {"model": "simulated/judge:accuracy=0.5,query_value=6,credulity=0", "queries": 1}
    for placebo in (False, True):
        play("debate:rounds=1", judge={**judge, "placebo": placebo}, debater="simulated/debater", limit=200)
    rates = dict(
        query(
            tmp_path,
            "SELECT q.placebo, avg(correct::INT) FROM judgements JOIN (SELECT DISTINCT episode, placebo FROM queries) q USING (episode) GROUP BY ALL",
        )
    )
    assert rates[False] > 0.97
    assert 0.38 < rates[True] < 0.62, "four standard errors about one half"
