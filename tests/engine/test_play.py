"""Episodes are played as their protocol says, each call once, and everything is written down."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from pathlib import Path

import pytest
from support import REPLIES, content, rows

from oversight import BadProtocol, StoreError, UserError
from oversight.library import _load
from oversight.store.writer import Writer


def test_a_debate_has_its_turns_in_order_and_one_final_verdict(play, tmp_path: Path) -> None:
    run = play("debate:rounds=2", limit=3)
    assert (run.planned, run.played, dict(run.statuses)) == (3, 3, {"decided": 3})
    db = tmp_path / "db.duckdb"
    assert rows(db, "SELECT turn, seat, round FROM turns ORDER BY episode, turn")[:4] == [
        (0, "A", 1), (1, "B", 1), (2, "A", 2), (3, "B", 2)
    ]  # fmt: skip
    assert rows(db, "SELECT count(*), count(DISTINCT episode) FROM verdicts WHERE final") == [(3, 3)]


def test_the_private_part_of_a_speech_is_kept_apart(play, tmp_path: Path) -> None:
    play("debate:rounds=1", limit=1)
    for text, private in rows(tmp_path / "db.duckdb", "SELECT text, private FROM turns"):
        assert private == "Win." and "Win." not in text and "<thinking>" not in text


def test_simultaneous_speeches_do_not_see_each_other_and_sequential_ones_do(play, tmp_path: Path) -> None:
    sees_round_1 = (
        "SELECT count(*) FROM uses u JOIN calls c USING (call), unnest(c.messages) AS x(message) "
        "JOIN messages m ON m.message = x.message WHERE u.turn = 1 AND m.content LIKE 'Debater A, round 1:%'"
    )
    play("debate:rounds=1,order=simultaneous", limit=1)
    assert rows(tmp_path / "db.duckdb", sees_round_1) == [(0,)]
    play("debate:rounds=1,order=sequential", limit=1, db=tmp_path / "two.duckdb")
    assert rows(tmp_path / "two.duckdb", sees_round_1) == [(1,)]


def test_the_consultant_is_played_on_every_answer(play, tmp_path: Path, toy: str) -> None:
    play("consultancy:rounds=1", tasks=[f"{toy}:answers=4"], limit=2)
    found = rows(tmp_path / "db.duckdb", "SELECT question, argued FROM episodes")
    assert sorted(a for _, a in found) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_there_are_as_many_debaters_as_answers(play, tmp_path: Path, toy: str) -> None:
    play("debate:rounds=1", tasks=[f"{toy}:answers=4"], limit=1)
    db = tmp_path / "db.duckdb"
    assert [s for (s,) in rows(db, "SELECT seat FROM turns ORDER BY turn")] == ["A", "B", "C", "D"]
    ((order, assignment),) = rows(db, "SELECT answer_order, assignment FROM episodes")
    assert assignment == ",".join(f"{s}={a}" for s, a in zip("ABCD", order, strict=True))


def test_both_orders_are_each_others_reverse(play, tmp_path: Path) -> None:
    play("direct", order="both", limit=5)
    orders = rows(
        tmp_path / "db.duckdb",
        "SELECT list(answer_order ORDER BY answer_order) FROM episodes GROUP BY question",
    )
    assert orders == [([[0, 1], [1, 0]],)] * 5


def test_choices_are_stored_in_the_questions_own_order(play, tmp_path: Path, replies) -> None:
    scores = replies("judge: {A: -0.1, B: -2.0}\nspeak: x")
    play("direct", judge=f"{scores}:elicit=letters", order="both", limit=4)
    for order, choice, p in rows(
        tmp_path / "db.duckdb",
        "SELECT answer_order, choice, probabilities FROM verdicts JOIN episodes USING (episode)",
    ):
        assert choice == order[0] and p[order[0]] > 0.8 and abs(sum(p) - 1) < 1e-12


def test_a_second_judge_pays_only_for_the_judge(play, tmp_path: Path, replies) -> None:
    first = play("debate", limit=3)
    other = replies(REPLIES.replace("Answer: A", "Answer: B"))
    second = play("debate", judge=other, limit=3)
    assert (first.calls, second.calls, second.calls_from_store) == (3 * 7, 3, 3 * 6)
    paid = rows(tmp_path / "db.duckdb", "SELECT sum(paid::int), count(*) FROM uses")
    assert paid == [(24, 42)]


def test_running_again_makes_no_call_and_changes_nothing(play, tmp_path: Path) -> None:
    play("debate", "consultancy", "direct")
    before = content(tmp_path / "db.duckdb")
    again = play("debate", "consultancy", "direct")
    assert (again.calls, again.played, again.already_done) == (0, 0, again.planned)
    assert content(tmp_path / "db.duckdb") == before


def test_two_runs_with_one_seed_are_identical(play, tmp_path: Path) -> None:
    for name in ("one", "two"):
        play("debate", "consultancy", "direct:passage=true", order="both", db=tmp_path / f"{name}.duckdb")
    assert content(tmp_path / "one.duckdb") == content(tmp_path / "two.duckdb")


def test_equal_calls_in_flight_are_made_once(play, tmp_path: Path) -> None:
    """The first speeches of 3-round and 1-round consultancies differ only in 'round 1 of n'; direct ones not at all."""
    run = play("direct", samples=5, limit=2)
    assert (run.planned, run.calls, run.calls_from_store) == (10, 2, 8)


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ("Answer: A", "decided", None),
        ("I would say A or B", "unparsable", None),
        ("   ", "failed", "empty"),
    ],
)
def test_every_planned_episode_has_one_verdict_and_none_is_made_up(
    play, tmp_path, replies, reply, status, reason
) -> None:
    run = play("direct", judge=replies(f"judge: {reply!r}"), limit=3)
    assert dict(run.statuses) == {status: 3}
    found = rows(tmp_path / "db.duckdb", "SELECT status, reason, choice IS NULL FROM verdicts WHERE final")
    assert found == [(status, reason, status != "decided")] * 3


def test_equal_probabilities_are_a_tie(play, tmp_path: Path, replies) -> None:
    play("direct", judge=replies("judge: {A: -1.0, B: -1.0}") + ":elicit=letters", limit=2)
    assert (
        rows(tmp_path / "db.duckdb", "SELECT status, choice, probabilities FROM verdicts")
        == [("tie", None, [0.5, 0.5])] * 2
    )


def write_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> str:
    (tmp_path / "mymodel.py").write_text(
        f"from oversight import Completion, ContextOverflow, Transport\n{body}"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import sys

    sys.modules.pop("mymodel", None)
    return "scripted/mymodel:reply"


def test_a_transport_error_fails_its_episode_and_is_tried_again(play, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "down").write_text("")
    model = write_model(
        tmp_path,
        monkeypatch,
        "import pathlib\ndef reply(request):\n"
        "    if pathlib.Path('down').exists() and any('lost the key' in m.content for m in request.messages):\n"
        "        raise Transport('no route to host')\n"
        "    return 'Answer: A'\n",
    )
    run = play("direct", judge=f"{model}:elicit=hard", limit=8)
    assert dict(run.statuses) == {"decided": 6, "failed": 2}
    db = tmp_path / "db.duckdb"
    assert rows(db, "SELECT DISTINCT reason, detail FROM verdicts WHERE status='failed'") == [
        ("transport", "no route to host")
    ]
    assert rows(db, "SELECT count(*) FROM failures") == [(2,)]
    left = play("direct", judge=f"{model}:elicit=hard", limit=8, retry_failed=False)
    assert (left.calls, dict(left.statuses)) == (0, {"decided": 6, "failed": 2})
    (tmp_path / "down").unlink()
    again = play("direct", judge=f"{model}:elicit=hard", limit=8)
    assert (again.calls, dict(again.statuses)) == (2, {"decided": 8})
    assert rows(db, "SELECT count(*), count(DISTINCT episode) FROM verdicts WHERE final") == [(8, 8)]


def test_a_prompt_longer_than_the_context_fails_its_episode_with_the_numbers(
    play, tmp_path, monkeypatch
) -> None:
    model = write_model(
        tmp_path, monkeypatch, "def reply(request):\n    raise ContextOverflow('tiny', 5200, 2048)\n"
    )
    run = play("direct", judge=f"{model}:elicit=hard", limit=2)
    assert run.failed == 2
    ((reason, detail),) = rows(tmp_path / "db.duckdb", "SELECT DISTINCT reason, detail FROM verdicts")
    assert reason == "context" and "5,200" in detail and "2,048" in detail


def test_a_debater_whose_reply_is_all_thinking_is_empty_not_shown(play, tmp_path: Path, replies) -> None:
    run = play("debate", debater=replies("speak: '<thinking>only this'"), limit=1)
    assert run.failed == 1
    assert rows(tmp_path / "db.duckdb", "SELECT reason FROM verdicts") == [("empty",)]


def test_a_speech_over_the_limit_is_cut_at_a_sentence_and_kept_whole(play, tmp_path: Path, replies) -> None:
    long = "One two three. Four five six. Seven eight nine ten."
    play("debate:rounds=1", debater=replies(f"speak: {long!r}") + ":words=8", limit=1)
    assert rows(tmp_path / "db.duckdb", 'SELECT DISTINCT text, "full", cut, words FROM turns') == [
        ("One two three. Four five six.", long, "words", 6)
    ]


def test_quotes_are_checked_and_have_a_budget(play, tmp_path: Path, replies) -> None:
    said = "It says <quote>painted the  gate</quote> and <quote>sold the moon</quote> and <quote>lost the key</quote>."
    play(
        "consultancy:rounds=1",
        debater=replies(f"speak: {said!r}\njudge: 'Answer: A'") + ":quote_words=7",
        limit=1,
    )
    found = rows(
        tmp_path / "db.duckdb",
        'SELECT DISTINCT quote, q.verified, q.cut, substr(t.text, q."start" + 1, q."end" - q."start") FROM quotes q '
        "JOIN turns t USING (episode, turn) ORDER BY 1",
    )
    assert found == [
        (0, True, False, "painted the  gate"), (1, False, False, "sold the moon"), (2, True, True, "lost")
    ]  # fmt: skip


def protocol_folder(tmp_path: Path, body: str, seats: str = '("judge", "debater")') -> str:
    folder = tmp_path / f"mine{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    (folder / "protocol.py").write_text(
        f"from oversight import Judge, Seat, Speak, Together, protocol\n\n@protocol(seats={seats})\ndef mine(case):\n    '''Mine.'''\n{body}"
    )
    (folder / "judge.jinja").write_text(
        "{% call user() %}{{ question }}{% for t in turns %}\n{{ t.title }}: {{ t.text }}{% endfor %}{{ elicit }}{% endcall %}"
    )
    (folder / "debater.jinja").write_text(
        "{% call user() %}{{ answer.text }} {{ turns | length }}{% endcall %}"
    )
    return str(folder)


def test_a_protocol_folder_runs_by_path_and_generators_can_be_played_side_by_side(
    play, tmp_path: Path
) -> None:
    folder = protocol_folder(
        tmp_path,
        "    def twice(d):\n        yield Speak(d)\n        yield Speak(d)\n"
        "    yield Together(*(twice(d) for d in case.debaters))\n    yield Judge(case.judge)\n",
    )
    play(folder, limit=2)
    turns = rows(tmp_path / "db.duckdb", "SELECT turn, seat, round FROM turns ORDER BY episode, turn")
    assert turns[:4] == [(0, "A", 1), (1, "A", 2), (2, "B", 1), (3, "B", 2)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("    yield Speak(case.debaters[0])\n", "ends without a Judge move"),
        ("    yield 7\n    yield Judge(case.judge)\n", "which is no move"),
        ("    yield Speak(case.consultant)\n", "one consultant seat"),
        ("    return Judge(case.judge)\n", "is not a generator"),
        ("    yield Speak(Seat('X', 'critic'))\n", "did not declare"),
    ],
)
def test_a_protocol_that_breaks_its_contract_is_refused_before_any_call(play, tmp_path, body, says) -> None:
    with pytest.raises(BadProtocol, match=says):
        play(protocol_folder(tmp_path, body))
    assert not (tmp_path / "db.duckdb").exists()


def test_a_stored_turn_that_no_longer_fits_is_an_error_not_a_surprise(play, tmp_path: Path, replies) -> None:
    folder = protocol_folder(
        tmp_path,
        "    first = case.debaters[Path(__file__).with_name('other').exists()]\n"
        "    yield Speak(first)\n    yield Judge(case.judge)\n",
    )
    source = Path(folder, "protocol.py")
    source.write_text("from pathlib import Path\n" + source.read_text())
    judge = replies("judge: ' '")
    play(folder, judge=judge, limit=1)
    Path(folder, "other").touch()
    with pytest.raises(StoreError, match="played differently before"):
        play(folder, judge=judge, limit=1)


def test_a_protocol_whose_code_changed_is_another_protocol(play, tmp_path: Path) -> None:
    folder = protocol_folder(
        tmp_path, "    a, b = case.debaters\n    yield Speak(a)\n    yield Judge(case.judge)\n"
    )
    first = play(folder, limit=2)
    source = Path(folder, "protocol.py")
    source.write_text(source.read_text().replace("Speak(a)", "Speak(b)"))
    _load.cache_clear()
    second = play(folder, limit=2)
    assert (first.played, second.played, second.already_done) == (2, 2, 0)


def test_a_label_that_changed_is_refused(play, tmp_path: Path, toy: str) -> None:
    play("direct", limit=2)
    source = Path(toy, "task.py")
    source.write_text(source.read_text().replace("flip: bool = False", "flip: bool = True"))
    _load.cache_clear()
    with pytest.raises(StoreError, match="toy-0 has label"):
        play("direct", limit=2)


def test_one_question_in_two_tasks_counts_in_each(play, tmp_path: Path, toy: str) -> None:
    play("direct", tasks=[toy, f"{toy}:answers=2", f"{toy}:answers=4"], limit=3)
    found = rows(tmp_path / "db.duckdb", "SELECT task, episodes FROM accuracy ORDER BY task")
    assert found == [("toy", 3), ("toy:answers=4", 3)]


def test_a_call_is_paid_once_whoever_fails_and_is_tried_again(play, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "down").write_text("")
    model = write_model(
        tmp_path,
        monkeypatch,
        "import pathlib\ndef reply(request):\n"
        "    if pathlib.Path('down').exists() and request.view.seat.name == 'B':\n"
        "        raise Transport('no route to host')\n"
        "    return f'I say {request.seed}'\n",
    )
    db = tmp_path / "db.duckdb"
    for _ in range(2):
        assert play("debate:rounds=1", debater=model, limit=2).failed == 2
    (tmp_path / "down").unlink()
    play("debate:rounds=1", debater=model, limit=2)
    paid = "SELECT count(*), count(DISTINCT call) FROM uses WHERE paid"
    assert rows(db, paid) == [(6, 6)] and rows(db, "SELECT count(*) FROM calls") == [(6,)]
    assert rows(db, "SELECT count(*) FROM (SELECT DISTINCT episode, turn, seat, n FROM uses)") == [(6,)]
    assert rows(db, "SELECT count(*) FROM uses") == [(6,)]


def test_secrets_do_not_land(play, tmp_path: Path, monkeypatch) -> None:
    write_model(
        tmp_path,
        monkeypatch,
        "from oversight import Model\nclass Mine(Model):\n"
        "    def __init__(self, api_key='', say='A'):\n        self.say = say\n"
        "    async def generate(self, request):\n        return Completion(f'Answer: {self.say}')\n",
    )
    play("direct", judge="mymodel:Mine:api_key=sk-verysecret", limit=1)
    for path in tmp_path.glob("db.duckdb*"):
        assert b"sk-verysecret" not in path.read_bytes()
    play("direct", judge="mymodel:Mine:say=B", limit=1)
    assert len(rows(tmp_path / "db.duckdb", "SELECT DISTINCT identity FROM models")) == 2


def test_calls_have_seeds_of_their_content(play, tmp_path: Path, monkeypatch) -> None:
    """Two judges over one debate share the debaters' calls; another sample draws anew."""
    model = write_model(tmp_path, monkeypatch, "def reply(request):\n    return f'Speech {request.seed}'\n")
    play("debate:rounds=1", debater=f"{model}:temperature=1", samples=2, limit=2)
    texts = Counter(t for (t,) in rows(tmp_path / "db.duckdb", "SELECT text FROM turns"))
    assert len(texts) == 8 and set(texts.values()) == {1}


def test_a_model_that_breaks_stops_the_run_with_its_own_error(play, tmp_path: Path, monkeypatch) -> None:
    model = write_model(tmp_path, monkeypatch, "def reply(request):\n    return 1 / 0\n")
    with pytest.raises(UserError, match="raised ZeroDivisionError") as raised:
        play("direct", judge=f"{model}:elicit=hard")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert rows(tmp_path / "db.duckdb", "SELECT status FROM runs") == [("crashed",)]


def test_a_question_without_the_passage_an_arm_needs_is_refused_with_its_id(play, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "task.py").write_text(
        "from oversight import Label, Question, task\n@task(asymmetry='x', source='x', licence='x')\ndef bare(*, seed: int):\n"
        "    '''Bare.'''\n    yield Question('Q?', ('a', 'b'), source_id='bare-17'), Label(0)\n"
    )
    with pytest.raises(UserError, match="bare-17"):
        play("direct:passage=true", tasks=[str(folder)])


def test_a_speech_that_has_room_in_no_prompt_fails_its_episode_and_no_other(
    play, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "endless.py").write_text(
        "asked = []\n"
        "def speak(request):\n"
        "    asked.append(request.view.question)\n"
        "    return 'x' * 11_000_000 if request.view.question == asked[0] else 'Short.'\n"
        "def judge(request):\n"
        "    return 'Answer: A'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"judge": "scripted/endless:judge", "debater": "scripted/endless:speak:words=1000"}
    for _ in range(2):  # what is stored of it does not keep the next run from going on
        play("debate:rounds=2", limit=3, retry_failed=False, **settings)
        ledger = "SELECT status, reason, count(*) FROM judgements GROUP BY ALL ORDER BY ALL"
        assert rows(tmp_path / "db.duckdb", ledger) == [("decided", None, 2), ("failed", "context", 1)]
    longest = 'SELECT max(strlen("text")) FROM calls'
    assert rows(tmp_path / "db.duckdb", longest) == [(11_000_000,)]


def test_nothing_is_made_of_a_reply_before_it_is_committed(play, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "watched.py").write_text(
        "events = []\n"
        "def speak(request):\n"
        "    events.append(('asked', tuple(line.text for line in request.view.turns)))\n"
        "    return f'Speech {len(events)}.'\n"
        "def judge(request):\n"
        "    events.append(('asked', tuple(line.text for line in request.view.turns)))\n"
        "    return 'Answer: A'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    events = importlib.import_module("watched").events
    real = Writer._commit

    def slowly(self, rows, first) -> None:
        time.sleep(0.05)  # long enough for whoever does not wait
        real(self, rows, first)
        events.extend(("committed", row) for row in rows.get("calls", ()))

    monkeypatch.setattr(Writer, "_commit", slowly)
    play(
        "debate:rounds=2,order=sequential",
        limit=2,
        judge="scripted/watched:judge",
        debater="scripted/watched:speak",
    )
    committed: set[str] = set()
    for kind, told in events:
        if kind == "committed":
            committed |= {value for value in told if isinstance(value, str)}
        else:
            assert set(told) <= committed, "a speech was shown that was not committed"
    assert sum(kind == "committed" for kind, _ in events) == 10
