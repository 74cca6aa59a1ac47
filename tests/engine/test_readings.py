"""A verdict is read in the ways that were asked for, each on its own, and what it took to read it is kept."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support import rows

from oversight import UserError

HEAD = """
import json
from oversight import Completion, Filtered, Message, Model, Transport

SENT = []

class Judge(Model):
    identity = "judge"
    replies = ()
    async def generate(self, request):
        SENT.append(request)
        reply = self.replies[(len(request.messages) > 3) if request.of == 1 else request.nth]
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Completion) else Completion(reply)
"""
"""A judge that replies first one thing and, asked again (`direct` has three messages), another; or, for
votes, one thing for each."""


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a module `judging` of Python text; `judge.sent()` are the requests its models got."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(body: str, options: str = "") -> str:
        (tmp_path / "judging.py").write_text(f"{HEAD}\n{body}\n")
        sys.modules.pop("judging", None)
        return f"judging:model{options}"

    yield make
    sys.modules.pop("judging", None)


def sent() -> list[Any]:
    return list(sys.modules["judging"].SENT)


def verdicts(tmp_path: Path, columns: str) -> list[tuple[Any, ...]]:
    return rows(tmp_path / "db.duckdb", f"SELECT {columns} FROM verdicts ORDER BY episode, turn, NOT final")


# asked again


def test_a_reply_that_cannot_be_read_is_asked_for_once_more(play, judge, tmp_path: Path) -> None:
    run = play("direct", judge=judge("class model(Judge): replies = ('Hm.', 'Answer: B')"), limit=1)
    assert (run.calls, dict(run.statuses)) == (2, {"decided": 1})
    assert verdicts(tmp_path, "raw, first_raw, detail") == [("Answer: B", "Hm.", "asked again")]
    first, again = (request.messages for request in sent())
    assert again[: len(first)] == first and again[len(first)].role == "assistant"
    assert again[len(first)].content == "Hm."
    assert again[-1].content == (
        'That is no verdict: it names no answer. Reply with one line, "Answer: " and the letter A or B.'
    )
    assert rows(tmp_path / "db.duckdb", "SELECT seat, n, paid FROM uses ORDER BY n") == [
        ("judge", 0, True),
        ("judge", 1, True),
    ]


def test_it_is_asked_again_once_and_not_more(play, judge, tmp_path: Path) -> None:
    run = play("direct", judge=judge("class model(Judge): replies = ('Hm.', 'Well.')"), limit=1)
    assert (run.calls, dict(run.statuses)) == (2, {"unparsable": 1})
    assert verdicts(tmp_path, "raw, first_raw, detail, choice") == [
        ("Well.", "Hm.", "asked again; it names no answer", None)
    ]


def test_a_reply_that_is_read_at_once_leaves_nothing_to_say(play, judge, tmp_path: Path) -> None:
    play("direct", judge=judge("class model(Judge): replies = ('Answer: A', 'Answer: B')"), limit=1)
    assert verdicts(tmp_path, "raw, first_raw, detail") == [("Answer: A", None, None)]


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ("Completion('I will not.', stop='refused')", "refused", None),
        ("Completion('Answer: A', stop='length')", "failed", "truncated"),
        ("Completion('', stop='filter')", "failed", "filter"),
    ],
)
def test_after_a_refusal_a_filter_or_the_token_limit_nothing_more_is_asked(
    play, judge, tmp_path: Path, reply: str, status: str, reason: str | None
) -> None:
    run = play("direct", judge=judge(f"class model(Judge): replies = ({reply}, 'Answer: B')"), limit=1)
    assert run.calls == 1
    assert verdicts(tmp_path, "status, reason, choice") == [(status, reason, None)]


def test_a_template_that_begins_the_reply_is_continued_when_asked_again(play, judge, tmp_path: Path) -> None:
    template = tmp_path / "begun.jinja"
    template.write_text(
        "{% call system() %}S{% endcall %}{% call user() %}{{ elicit }}{% endcall %}"
        "{% call assistant() %}I think{% endcall %}"
    )
    model = judge("class model(Judge): replies = ('hm.', 'Answer: A')", f":template={template}")
    play("direct", judge=model, limit=1)
    assert [(m.role, m.content) for m in sent()[-1].messages][2:3] == [("assistant", "I think hm.")]


# structured output


@pytest.mark.parametrize(
    ("elicit", "reply", "properties"),
    [
        ("hard", {"answer": "B"}, {"answer": {"type": "string", "enum": ["A", "B"]}}),
        ("credence", {"A": 0.25, "B": 0.75}, {"A": {"type": "number"}, "B": {"type": "number"}}),
    ],
)
def test_a_model_that_keeps_to_a_schema_is_given_one(
    play, judge, tmp_path: Path, elicit: str, reply: dict[str, Any], properties: dict[str, Any]
) -> None:
    body = f"class model(Judge):\n    structured, replies = True, ({json.dumps(reply)!r},)"
    play("direct", judge=judge(body, f":elicit={elicit}"), limit=1, order="fixed")
    (request,) = sent()
    schema = json.loads(request.schema)
    assert schema["properties"] == properties and schema["required"] == list(properties)
    assert schema["additionalProperties"] is False and "JSON" in request.messages[-1].content
    assert verdicts(tmp_path, "choice") == [(1,)]


def test_other_models_are_asked_in_words_alone(play, judge, tmp_path: Path) -> None:
    play("direct", judge=judge("class model(Judge): replies = ('Answer: A',)"), limit=1)
    assert [request.schema for request in sent()] == [""]


# credence


def test_stated_probabilities_are_stored_in_the_questions_own_order(play, replies, tmp_path: Path) -> None:
    model = replies("judge: {A: 0.9, B: 0.3}")
    play("direct", judge=f"{model}:elicit=credence", order="both", limit=2)
    found = rows(
        tmp_path / "db.duckdb",
        "SELECT answer_order, choice, probabilities, detail FROM verdicts JOIN episodes USING (episode)",
    )
    for order, choice, probabilities, detail in found:
        assert choice == order[0] and probabilities[order[0]] == 0.75
        assert detail == "summed to 1.2; divided by it"
    assert len(found) == 4


def test_what_states_no_probabilities_is_unparsable(play, replies, tmp_path: Path) -> None:
    run = play("direct", judge=replies("judge: 'Answer: A'") + ":elicit=credence", limit=2)
    assert dict(run.statuses) == {"unparsable": 2}
    assert (
        verdicts(tmp_path, "probabilities, detail") == [(None, "asked again; it gives no probabilities")] * 2
    )


def test_even_odds_are_a_tie(play, replies, tmp_path: Path) -> None:
    play("direct", judge=replies("judge: 'A: 50%, B: 50%'") + ":elicit=credence", limit=1)
    assert verdicts(tmp_path, "status, choice") == [("tie", None)]


# votes


def vote(play: Any, judge: Any, *replies: str, options: str = "") -> Any:
    body = f"class model(Judge): replies = ({', '.join(replies)},)"
    how = f":elicit=votes,votes={len(replies)},temperature=1{options}"
    return play("direct", judge=judge(body, how), limit=1, order="fixed")


def test_probabilities_are_the_shares_of_the_votes(play, judge, tmp_path: Path) -> None:
    run = vote(play, judge, "'Answer: A'", "'Answer: B'", "'Answer: A'", "'Answer: A'")
    assert run.calls == 4 and sorted(r.nth for r in sent()) == [0, 1, 2, 3]
    assert verdicts(tmp_path, "status, choice, probabilities, detail") == [("decided", 0, [0.75, 0.25], None)]
    ((raw,),) = verdicts(tmp_path, "raw")
    assert json.loads(raw) == ["Answer: A", "Answer: B", "Answer: A", "Answer: A"]


def test_votes_that_name_no_answer_are_counted_and_left_out(play, judge, tmp_path: Path) -> None:
    vote(play, judge, "'Answer: B'", "'Hm.'", "Completion('No.', stop='refused')", "'Answer: B'")
    ((status, probabilities, detail, raw, first),) = verdicts(
        tmp_path, "status, probabilities, detail, raw, first_raw"
    )
    assert (status, probabilities) == ("decided", [0.0, 1.0])
    assert detail == "1 of 4 votes refused; 1 of 4 votes unparsable; 1 of 4 votes asked again"
    assert json.loads(raw) == ["Answer: B", "Hm.", "No.", "Answer: B"]
    assert json.loads(first) == [None, "Hm.", None, None]


@pytest.mark.parametrize(
    ("cast", "status"),
    [
        (("'Answer: A'", "'Answer: B'"), "tie"),
        (("'Hm.'", "'Well.'"), "unparsable"),
        (("Completion('No.', stop='refused')",) * 2, "refused"),
        (("Completion('No.', stop='refused')", "'Hm.'"), "unparsable"),
    ],
)
def test_ties_are_ties_and_no_votes_no_verdict(play, judge, tmp_path, cast, status: str) -> None:
    vote(play, judge, *cast)
    assert verdicts(tmp_path, "status, choice") == [(status, None)]


def test_a_vote_that_failed_fails_the_verdict_and_the_others_are_kept(play, judge, tmp_path: Path) -> None:
    run = vote(play, judge, "'Answer: A'", "Transport('down')", "'Answer: A'")
    assert run.failed == 1
    assert verdicts(tmp_path, "status, reason, elicitation") == [("failed", "transport", "votes")]
    assert rows(tmp_path / "db.duckdb", "SELECT count(*) FROM calls") == [(2,)]
    again = vote(play, judge, "'Answer: B'", "'Answer: B'", "'Answer: B'")
    assert again.calls == 1 and verdicts(tmp_path, "choice, probabilities") == [(0, [2 / 3, 1 / 3])]


def test_the_number_of_votes_is_part_of_an_arm_only_where_there_are_votes(play, replies, tmp_path) -> None:
    model = replies("judge: [['Answer: A', 'Answer: B', 'Answer: A']]")
    three = play("direct", judge=f"{model}:elicit=votes,votes=3,temperature=1", limit=1)
    five = play("direct", judge=f"{model}:elicit=votes,temperature=1", limit=1)
    assert (three.calls, five.calls, five.calls_from_store) == (3, 2, 3)
    found = rows(
        tmp_path / "db.duckdb",
        "SELECT players ->> '$.judge.votes', probabilities FROM judgements JOIN arms USING (arm)",
    )
    assert sorted(v for v, _ in found) == ["3", "5"]


# log-probs of the first token

LISTED = """
class model(Judge):
    letters = True
    replies = (Completion('A', stop='length', scores=(-0.5, -3.0), unlisted={unlisted}),)
"""


@pytest.mark.parametrize(
    ("unlisted", "status", "detail"),
    [
        ("()", "decided", None),
        ("('B',)", "decided", "upper bound only for B: not among the likeliest tokens"),
        ("('A', 'B')", "unparsable", "none of the letters is among the likeliest first tokens"),
    ],
)
def test_letters_of_which_only_a_bound_is_known_are_named(
    play, judge, tmp_path: Path, unlisted: str, status: str, detail: str | None
) -> None:
    play("direct", judge=judge(LISTED.format(unlisted=unlisted), ":elicit=logprobs"), limit=1, order="fixed")
    ((found, said, raw, probabilities),) = verdicts(tmp_path, "status, detail, raw, probabilities")
    assert (found, said, raw) == (status, detail, "A")
    if status == "decided":
        assert probabilities[0] / probabilities[1] == pytest.approx(12.182494)  # e^2.5
    (request,) = sent()
    assert request.letters == ("A", "B") and request.sampling.max_tokens <= 8
    assert request.messages[-1].content.endswith("Reply with the letter alone: A or B.")


# several ways


def test_several_ways_are_rows_of_one_episode_of_which_the_first_counts(play, replies, tmp_path) -> None:
    model = replies("judge: A\nspeak: x")
    run = play("debate:rounds=1", judge=f"{model}:elicit=texts+hard+letters", limit=3)
    assert (run.planned, dict(run.statuses)) == (3, {"decided": 3})
    db = tmp_path / "db.duckdb"
    found = rows(db, "SELECT elicitation, final, count(*) FROM readings GROUP BY ALL ORDER BY 1")
    assert found == [("hard", False, 3), ("letters", False, 3), ("texts", True, 3)]
    assert rows(db, "SELECT elicitation, count(*) FROM judgements GROUP BY ALL") == [("texts", 3)]
    assert rows(db, "SELECT DISTINCT turn FROM verdicts") == [(2,)]


def test_the_ways_are_part_of_an_arm_and_share_their_calls(play, replies, tmp_path: Path) -> None:
    model = replies("judge: A\nspeak: x")
    first = play("direct", judge=f"{model}:elicit=letters", limit=2)
    second = play("direct", judge={"model": model, "elicit": ["letters", "texts"]}, limit=2)
    third = play("direct", judge=f"{model}:elicit=texts+letters", limit=2)
    assert [r.played for r in (first, second, third)] == [2, 2, 2]
    assert [r.calls for r in (first, second, third)] == [2, 2, 0]
    assert rows(tmp_path / "db.duckdb", "SELECT count(*) FROM arms") == [(3,)]


@pytest.mark.parametrize(
    ("elicit", "says"),
    [("hard+hrad", "'hard'"), ("hard+texts+hard", "names 'hard' twice"), ("hard+", "no elicit")],
)
def test_unknown_and_repeated_ways_are_refused(play, replies, elicit: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        play("direct", judge=replies() + f":elicit={elicit}")


DOWN = """
import pathlib
class model(Judge):
    scores = True
    replies = ('Answer: A',)
    async def score(self, request):
        if pathlib.Path(__file__).with_name('down').exists():
            raise Transport('down')
        return Completion(scores=(-0.1, -2.0))
"""


def test_a_further_reading_that_failed_leaves_the_verdict_and_is_tried_again(
    play, judge, tmp_path: Path
) -> None:
    (tmp_path / "down").touch()
    model, db = judge(DOWN, ":elicit=hard+letters"), tmp_path / "db.duckdb"
    run = play("direct", judge=model, limit=3)
    assert (dict(run.statuses), run.failed, run.unread) == ({"decided": 3}, 0, 3)
    assert rows(db, "SELECT status FROM runs") == [("failed",)]
    found = "SELECT elicitation, final, status, reason, count(*) FROM verdicts GROUP BY ALL ORDER BY 1"
    assert rows(db, found) == [
        ("hard", True, "decided", None, 3),
        ("letters", False, "failed", "transport", 3),
    ]
    kept = play("direct", judge=model, limit=3, retry_failed=False)
    assert (kept.played, kept.unread) == (0, 3)
    (tmp_path / "down").unlink()
    again = play("direct", judge=model, limit=3)
    assert (again.calls, again.calls_from_store, again.unread) == (3, 3, 0)
    assert rows(db, found) == [("hard", True, "decided", None, 3), ("letters", False, "decided", None, 3)]
    uses = "SELECT count(*), count(DISTINCT call), sum(paid::int) FROM uses"
    assert rows(db, uses) == [(6, 6, 6)]
    assert play("direct", judge=model, limit=3).played == 0


def test_where_the_first_way_failed_the_episode_did_and_the_others_are_kept(play, judge, tmp_path) -> None:
    (tmp_path / "down").touch()
    run = play("direct", judge=judge(DOWN, ":elicit=letters+hard"), limit=1)
    assert (run.failed, run.unread) == (1, 0)
    assert verdicts(tmp_path, "elicitation, final, status") == [
        ("letters", True, "failed"),
        ("hard", False, "decided"),
    ]


def test_an_episode_that_failed_before_its_verdict_failed_in_every_way(play, replies, tmp_path) -> None:
    model = replies("judge: A\nspeak: ' '")
    assert play("debate", judge=f"{model}:elicit=texts+hard", debater=model, limit=1).failed == 1
    assert verdicts(tmp_path, "elicitation, final, status, reason") == [
        ("texts", True, "failed", "empty"),
        ("hard", False, "failed", "empty"),
    ]


def test_verdicts_on_the_way_are_read_in_every_way_and_kept_once_when_tried_again(
    play, judge, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "protocol.py").write_text(
        "from oversight import Judge, Speak, protocol\n\n@protocol(seats=('judge', 'debater'))\n"
        "def mine(case):\n    '''Mine.'''\n    yield Judge(case.judge)\n"
        "    yield Speak(case.debaters[0])\n    yield Judge(case.judge)\n    yield Judge(case.judge, passage=True)\n"
    )
    for role in ("judge", "debater"):
        (folder / f"{role}.jinja").write_text(
            "{% call user() %}{{ passage is defined }}{{ turns | length }}{% endcall %}"
            "{% call user() %}x{% endcall %}{% call user() %}"
            + ("{{ elicit }}" if role == "judge" else "x")
            + "{% endcall %}"
        )
    (tmp_path / "down").touch()
    model, db = judge(DOWN, ":elicit=hard+letters"), tmp_path / "db.duckdb"
    assert play(str(folder), judge=model, limit=1).unread == 1
    (tmp_path / "down").unlink()
    assert play(str(folder), judge=model, limit=1).unread == 0
    found = rows(db, "SELECT turn, elicitation, final, closing, status FROM verdicts ORDER BY ALL")
    assert found == [
        (0, "hard", False, False, "decided"),
        (0, "letters", False, False, "decided"),
        (1, "hard", False, False, "decided"),
        (1, "hard", True, True, "decided"),
        (1, "letters", False, False, "decided"),
        (1, "letters", False, True, "decided"),
    ]
    assert rows(db, "SELECT elicitation FROM readings ORDER BY final DESC") == [("hard",), ("letters",)]
    assert rows(db, "SELECT count(*), sum(paid::int) FROM uses") == [(7, 7)]


# what a model cannot do is refused before anything is spent


@pytest.mark.parametrize(
    ("body", "options", "says"),
    [
        ("pass", ":elicit=letters", "has no log-probs, which elicit=letters needs; it can do: hard, credence, votes$"),
        ("pass", ":elicit=hard+texts", "which elicit=texts needs; it can do: hard, credence, votes$"),
        ("scores = True", ":elicit=logprobs", "first token, which elicit=logprobs needs; it can do: hard, credence, votes, letters, texts"),
        ("elicitation = 'letters'", "", "elicit=letters needs"),
        ("pass", ":elicit=votes", "at temperature 0: give the judge a temperature"),
        ("pass", ":elicit=hard,votes=3", "votes=3 is for elicit=votes"),
        ("pass", ":elicit=votes,votes=0,temperature=1", "votes"),
    ],
)  # fmt: skip
def test_a_way_the_judge_cannot_be_read_is_refused_with_those_it_can(
    play, judge, tmp_path: Path, body: str, options: str, says: str
) -> None:
    with pytest.raises(UserError, match=says) as refused:
        play("direct", judge=judge(f"class model(Judge): {body}", options))
    assert "\n" not in str(refused.value) and not (tmp_path / "db.duckdb").exists()


def test_a_model_that_draws_anyway_may_vote_at_temperature_0(play, judge) -> None:
    body = "class model(Judge): stochastic, replies = True, ('Answer: A',) * 5"
    assert play("direct", judge=judge(body, ":elicit=votes"), limit=1).calls == 5


def test_a_reply_cannot_be_begun_for_a_model_that_does_not_go_on_from_it(play, judge, tmp_path: Path) -> None:
    model = judge("class model(Judge): prefills = False", ":style=prefill")
    with pytest.raises(UserError, match=r"which style=prefill needs; it can do: free$"):
        play("debate", debater=model)
    assert not (tmp_path / "db.duckdb").exists()


# the report


def test_the_report_shows_other_readings_only_where_there_are_some(play, replies, tmp_path: Path) -> None:
    from rich.console import Console

    from oversight.measure.readings import measure_readings
    from oversight.report.terminal import report
    from oversight.store.reading import open_reader

    def shown() -> str:
        with open_reader(tmp_path / "db.duckdb") as reader:
            console = Console(width=80, record=True, file=io.StringIO())
            console.print(report(reader))
            return console.export_text()

    model = replies("judge: {A: -0.1, B: -2.0}")  # by log-probs A; asked, nothing that can be read
    play("direct", judge=f"{model}:elicit=letters", limit=8)
    assert "read in other ways" not in shown()
    play("direct", judge=f"{model}:elicit=letters+hard+texts", limit=8, order="both")
    text = shown()
    assert "read in other ways" in text and max(map(len, text.splitlines())) <= 80
    with open_reader(tmp_path / "db.duckdb") as reader:
        letters, hard, texts = measure_readings(reader)
        counted = dict(reader.sql("SELECT elicitation, sum(correct::int) FROM readings GROUP BY ALL").rows)
    assert [one.elicitation for one in (letters, hard, texts)] == ["letters", "hard", "texts"]
    assert (hard.unparsable, hard.decided, hard.accuracy, hard.episodes) == (16, 0, None, 16)
    assert (letters.decided, letters.accuracy) == (16, 0.5) and texts.interval == letters.interval
    assert counted["texts"] == 8
