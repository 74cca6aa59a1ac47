"""What comes over the wire and where it ends: the ledger, the store, and each way of reading a verdict."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from support import rows
from wire import Fault, Reply, Seen, Wire

import oversight
from oversight.engine import batches
from oversight.engine.calls import check_reply
from oversight.errors import UserError
from oversight.models import open_model
from oversight.models.api.anthropic import AnthropicModel
from oversight.models.api.openai import OpenAIModel
from oversight.models.interface import Completion, Message, Request

POSTS = ("/v1/chat/completions", "/v1/messages")
SPEECH = "I say so, for the passage says so."


pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "o.duckdb"


def seat(wire: Wire, provider: str, **options: Any) -> str:
    name, url = (
        ("openai/gpt-4o-mini", wire.openai)
        if provider == "openai"
        else ("anthropic/claude-haiku-4-5", wire.url)
    )
    given = {"base_url": url, "key_env": "TEST_KEY", "attempts": 1, **options}
    return f"{name}:" + ",".join(f"{k}={v}" for k, v in given.items())


def asked(wire: Wire) -> int:
    return sum(seen.path in POSTS for seen in wire.seen)


OVERFLOW = {
    "openai": Fault(
        400, "This model's maximum context length is 8192 tokens. Your messages resulted in 9001 tokens."
    ),
    "anthropic": Fault(400, "prompt is too long: 208310 tokens > 200000 maximum"),
}
DECLINED = "I cannot help with that."
ENDINGS = {
    # how it ends: what is sent, the judge's status and reason, the debater's reason, whether it is stored
    "refused": (Reply(DECLINED, refusal=DECLINED, stop="refused"), ("refused", None), "filter", True),
    "cut": (Reply("On the one hand", stop="length"), ("failed", "truncated"), None, True),
    "empty": (Reply("  "), ("failed", "empty"), "empty", True),
    "too long": (None, ("failed", "context"), "context", False),
    "broken": (Fault(500), ("failed", "transport"), "transport", False),
}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_judges_reply_ends_in_the_ledger_and_is_asked_for_once(
    ending: str, provider: str, wire: Wire, toy: str, db: Path
) -> None:
    sent, entry, _, stored = ENDINGS[ending]
    reply = sent or OVERFLOW[provider]
    wire.answer = lambda seen: reply
    play = lambda: oversight.run("direct", toy, judge=seat(wire, provider), limit=2, db=db)  # noqa: E731
    play()
    assert rows(db, "SELECT DISTINCT status, reason FROM verdicts") == [entry]
    kept = rows(db, "SELECT DISTINCT text FROM calls")
    assert kept == ([(reply.text,)] if isinstance(reply, Reply) else [])
    before = asked(wire)
    assert before == 2
    play()
    # What came is never asked for again; what did not is, once.
    assert asked(wire) == before + (0 if stored else 2)
    assert rows(db, "SELECT DISTINCT status, reason FROM verdicts") == [entry]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("ending", [name for name, row in ENDINGS.items() if row[2]])
def test_a_debaters_reply_that_cannot_be_shown_fails_its_episode(
    ending: str, provider: str, wire: Wire, toy: str, db: Path
) -> None:
    sent, _, reason, stored = ENDINGS[ending]
    reply = sent or OVERFLOW[provider]
    wire.answer = lambda seen: reply
    players = {"judge": "simulated/judge", "debater": seat(wire, provider)}
    play = lambda: oversight.run("debate:rounds=1", toy, **players, limit=2, db=db)  # noqa: E731
    play()
    assert rows(db, "SELECT DISTINCT status, reason FROM verdicts") == [("failed", reason)]
    before = asked(wire)
    play()
    assert asked(wire) == before + (0 if stored else before)


def test_a_filter_at_openai_is_a_filter_before_and_after(wire: Wire, toy: str, db: Path) -> None:
    for reply in (Reply("", stop="filter"), Fault(400, "The prompt triggered the policy", "content_filter")):
        wire.answer = lambda seen: reply  # noqa: B023
        file = db.with_stem(type(reply).__name__)
        for _ in range(2):
            oversight.run("direct", toy, judge=seat(wire, "openai"), limit=1, db=file)
        assert rows(file, "SELECT status, reason FROM verdicts") == [("failed", "filter")]
        assert rows(file, "SELECT stop_reason FROM calls") == [("filter",)]
    assert asked(wire) == 2


def test_a_window_that_was_full_is_a_reply_that_was_cut(wire: Wire) -> None:
    """Anthropic ends a reply where the context does; it is paid, so it is kept."""
    told = {"id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
    told |= {
        "content": [{"type": "text", "text": "On the one"}],
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }
    model = open_model("anthropic/claude-haiku-4-5", {"base_url": wire.url})
    assert isinstance(model, AnthropicModel)
    completion = model.read({**told, "stop_reason": "model_context_window_exceeded"})
    assert (completion.text, completion.stop, completion.completion_tokens) == ("On the one", "length", 3)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [({"input_tokens": 2**40}, None), ([1, 2], None), ("many", None), ({"input_tokens": 9}, 9)],
)
def test_what_a_server_says_of_itself_in_odd_kinds_is_left_out(usage: Any, counted: Any, wire: Wire) -> None:
    """The reply is paid: it is kept, whatever stands beside it."""
    told = {
        "id": 5,
        "model": {"name": "x"},
        "content": [{"type": "text", "text": "Answer: A"}],
        "usage": usage,
    }
    model = open_model("anthropic/claude-haiku-4-5", {"base_url": wire.url})
    assert isinstance(model, AnthropicModel)
    completion = model.read(told)
    check_reply(completion, Request((Message("user", "?"),)), model)
    assert (completion.provider_id, completion.served, completion.prompt_tokens) == (None, None, counted)


def test_half_a_surrogate_pair_is_mended_wherever_it_stands() -> None:
    odd = "a\ud800"
    mended = Completion(odd, private=odd, provider_id=odd, served=odd, notes=odd).without_surrogates()
    assert mended == Completion(
        "a\ufffd", private="a\ufffd", provider_id="a\ufffd", served="a\ufffd", notes="a\ufffd"
    )
    assert Completion(odd).without_surrogates() == Completion("a\ufffd")


@pytest.mark.parametrize(
    ("reply", "entry"),
    [
        (Reply(DECLINED, refusal=DECLINED, stop="refused"), ("refused", None, DECLINED)),
        (Reply("", stop="filter"), ("failed", "filter", None)),
        (Reply(""), ("failed", "empty", None)),
    ],
)
def test_log_probs_of_what_was_withheld_are_not_missed(
    reply: Reply, entry: Any, wire: Wire, toy: str, db: Path
) -> None:
    wire.answer = lambda seen: reply
    judge = seat(wire, "openai", elicit="logprobs")
    for _ in range(2):
        oversight.run("direct", toy, judge=judge, limit=1, db=db)
    ((status, reason, raw),) = rows(db, "SELECT status, reason, raw FROM verdicts")
    assert (status, reason, raw or None) == entry
    assert asked(wire) == 1


LISTED = {"A": -0.25, " A": -3.0, "The": -4.0, "a": -5.0}
GARBAGE = "Both have a point."


class Judge:
    """Says nothing readable at first, and what it is asked for when it is asked again."""

    def __init__(self, structured: bool, garbage: bool) -> None:
        self.structured, self.garbage = structured, garbage
        self.schemas = 0

    def __call__(self, seen: Seen) -> Reply:
        if seen.body.get("logprobs"):
            return Reply("A", logprobs=(LISTED,))
        self.schemas += bool(seen.body.get("response_format"))
        again = "That is no verdict" in seen.last
        if self.garbage and not again:
            return Reply(GARBAGE)
        if '"A": …' in seen.last:
            return Reply(json.dumps({"A": 0.7, "B": 0.3}))
        return Reply('{"answer": "A"}' if self.structured else "Answer: A")


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("garbage", [True, False])
def test_one_judge_is_read_in_every_way_over_the_wire(
    structured: bool, garbage: bool, wire: Wire, toy: str, db: Path
) -> None:
    wire.answer = judge = Judge(structured, garbage)
    spelt = seat(
        wire,
        "openai",
        elicit="logprobs+credence+hard+votes",
        votes=3,
        temperature=0.7,
        structured=str(structured).lower(),
    )
    order = {"order": "fixed", "limit": 2}
    assert oversight.run("direct", toy, judge=spelt, db=db, **order).run.statuses == {"decided": 2}
    found = {
        way: row
        for way, *row in rows(
            db,
            "SELECT DISTINCT elicitation, status, choice, round(probabilities[1], 6), first_raw, detail, final FROM verdicts",
        )
    }
    spelled = math.log(math.exp(-0.25) + math.exp(-3.0))
    share = math.exp(spelled) / (math.exp(spelled) + math.exp(-5.0))
    bound = "upper bound only for B: not among the likeliest tokens"
    assert found["logprobs"] == ["decided", 0, round(share, 6), None, bound, True]
    first, again = (GARBAGE, "asked again") if garbage else (None, None)
    assert found["credence"][:2] == ["decided", 0] and found["credence"][2] == 0.7
    assert found["credence"][3] == first and (found["credence"][4] or "").startswith(again or "")
    assert found["hard"][:2] == ["decided", 0] and found["hard"][3:5] == [first, again]
    assert found["votes"][:3] == ["decided", 0, 1.0]
    assert found["votes"][4] == ("3 of 3 votes asked again" if garbage else None)
    # Two questions: one call for log-probs, one for a credence, three votes of which the first is the hard one.
    assert asked(wire) == 2 * (1 + (1 + 3) * (1 + garbage))
    assert judge.schemas == (2 * (1 + 3) * (1 + garbage) if structured else 0)
    assert rows(db, "SELECT DISTINCT unlisted FROM calls WHERE letters IS NOT NULL") == [(["B"],)]


def test_letters_that_are_not_listed_at_all_are_no_verdict(wire: Wire, toy: str, db: Path) -> None:
    wire.answer = lambda seen: Reply("The", logprobs=({"The": -0.1, "I": -3.0},))
    oversight.run("direct", toy, judge=seat(wire, "openai", elicit="logprobs"), limit=2, db=db)
    assert rows(db, "SELECT DISTINCT status, raw, probabilities FROM verdicts") == [
        ("unparsable", "The", None)
    ]


class Forgetful:
    """Gives log-probs but for the prompts that `lacks` picks, by the order in which they first came; and for
    those only so often."""

    def __init__(self, lacks: Callable[[int], bool], times: int = 10**9) -> None:
        self.lacks, self.times = lacks, times
        self.prompts: Counter[str] = Counter()

    def __call__(self, seen: Seen) -> Reply:
        prompt = json.dumps(seen.body["messages"])
        self.prompts[prompt] += 1
        lacking = self.lacks(list(self.prompts).index(prompt)) and self.prompts[prompt] <= self.times
        return Reply("A") if lacking else Reply("A", logprobs=(LISTED,))


@pytest.mark.parametrize("times", [1, 10**9])
def test_a_reply_without_the_log_probs_that_others_had_is_a_broken_one(
    times: int, wire: Wire, toy: str, db: Path
) -> None:
    wire.answer = forgetful = Forgetful(lambda nth: nth == 2, times)
    judge = seat(wire, "openai", elicit="logprobs", attempts=2, in_flight=1)
    played = oversight.run("direct", toy, judge=judge, limit=4, db=db)
    assert played.run.statuses == ({"decided": 4} if times == 1 else {"decided": 3, "failed": 1})
    assert sorted(forgetful.prompts.values()) == [1, 1, 1, 2]
    assert {reason for (reason,) in rows(db, "SELECT reason FROM failures")} == {"transport"}
    ((said,),) = rows(db, "SELECT DISTINCT detail FROM failures")
    assert "returned scores None where 2 log-probs were asked for" in said
    if times > 1:
        assert rows(db, "SELECT reason FROM verdicts WHERE status = 'failed'") == [("transport",)]
        wire.answer = Forgetful(lambda nth: False)
        assert oversight.run("direct", toy, judge=judge, limit=4, db=db).run.statuses == {"decided": 4}
    assert rows(db, "SELECT count(*), count(scores) FROM calls") == [(4, 4)]


def test_a_model_that_never_gives_log_probs_is_told_of_at_its_first_reply(
    wire: Wire, toy: str, db: Path
) -> None:
    wire.answer = Forgetful(lambda nth: True)
    with pytest.raises(UserError, match=r"gave no log-probs.*use elicit=hard, credence or votes") as error:
        oversight.run(
            "direct", toy, judge=seat(wire, "openai", elicit="logprobs", in_flight=1), limit=4, db=db
        )
    assert "\n" not in str(error.value)
    assert asked(wire) <= 2  # one more may be on its way when the first comes back


def test_a_run_that_goes_on_knows_from_the_store_that_the_model_gives_them(
    wire: Wire, toy: str, db: Path
) -> None:
    judge = seat(wire, "openai", elicit="logprobs", in_flight=1)
    wire.answer = Forgetful(lambda nth: False)
    oversight.run("direct", toy, judge=judge, limit=2, db=db)
    wire.answer = Forgetful(lambda nth: nth == 0)
    played = oversight.run("direct", toy, judge=judge, limit=4, db=db)
    assert played.run.statuses == {"decided": 3, "failed": 1}


def test_a_batch_with_one_reply_without_log_probs_loses_that_call_alone(
    wire: Wire, toy: str, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERSIGHT_BATCH_POLL", "0.05")
    monkeypatch.setattr(batches, "QUIET", 0.1)
    judge = seat(wire, "openai", elicit="logprobs", batches="true")
    play = lambda: oversight.run("direct", toy, judge=judge, limit=4, db=db, batch=True)  # noqa: E731
    wire.answer = Forgetful(lambda nth: nth == 2)
    assert play().run.statuses == {"decided": 3, "failed": 1}
    wire.answer = Forgetful(lambda nth: False)
    assert play().run.statuses == {"decided": 4}
    assert asked(wire) == 0


def test_a_listing_that_is_none_is_no_listing() -> None:
    model = open_model("openai/gpt-4o-mini", {"base_url": "http://127.0.0.1:9/v1"})
    assert isinstance(model, OpenAIModel)
    request = Request((Message("user", "x"),), letters=("A", "B"))
    for listed in (None, [], [{"token": "A", "logprob": None}], [{"token": 7, "logprob": -1.0}], [None]):
        token = {"token": "A", "bytes": None, "logprob": -0.1, "top_logprobs": listed}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A"}}
        told = ChatCompletion.construct(choices=[{**choice, "logprobs": {"content": [token]}}])
        assert model.read(told, request).scores is None, listed
