"""`oversight models`, `oversight doctor`, and models of one's own."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from wire import Fault, Reply, Seen, Wire

from oversight.engine.about import about_model
from oversight.engine.doctor import calls_of, dearest, probes
from oversight.models import open_model
from oversight.models.api import keys
from oversight.models.interface import Sampling

KEY = "sk-test-0123456789abcdef"
DOCS = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)
    keys._load.cache_clear()
    yield
    keys._load.cache_clear()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(answer=able, key=KEY) as server:
        yield server


def able(seen: Seen) -> Reply | Fault:
    """A model that can do all that a doctor tries."""
    if seen.body.get("logprobs"):
        return Reply("A", logprobs=({"A": -0.25, "B": -1.5},))
    if seen.body.get("response_format") or seen.body.get("output_config"):
        return Reply('{"answer": "yes"}')
    if seen.body["messages"][-1]["role"] == "assistant":
        return Reply(" four, five, six.")
    return Reply("Red." if "image" in json.dumps(seen.body) else "Hello there.")


def findings(out: str) -> dict[str, str]:
    """What the doctor said of each thing."""
    return dict(re.findall(r"^(\S.*?)  +(works.*|does not work.*)$", out, re.MULTILINE))


def at(wire: Wire, provider: str = "openai", **options: object) -> str:
    name, url = {
        "openai": ("openai/gpt-4o-mini", wire.openai),
        "anthropic": ("anthropic/claude-haiku-4-5", wire.url),
        "litellm": ("hosted_vllm/gpt-4o-mini", wire.openai),
    }[provider]
    given = {"base_url": url, "key_env": "TEST_KEY", **options}
    return f"{name}:{','.join(f'{k}={v}' for k, v in given.items())}"


# models


def test_models_lists_every_way_of_naming_one_and_whether_its_key_is_there(oversight, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    status, out, _ = oversight("models")
    assert status == 0
    assert "OPENAI_API_KEY is set; elicit=hard|credence|votes|logprobs\n" in out
    assert "ANTHROPIC_API_KEY is not set; elicit=hard|credence|votes\n" in out
    assert "package.module:name" in out and "a .env file (there is none)" in out
    assert KEY not in out
    assert out.startswith(oversight("list", "models")[1])


def test_the_env_file_is_named_and_its_keys_are_set(oversight, folder, monkeypatch):
    (folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\n")
    try:
        _, out, _ = oversight("models")
        told = json.loads(oversight("models", "--json")[1])
    finally:
        os.environ.pop("ANTHROPIC_API_KEY", None)
    assert "ANTHROPIC_API_KEY is set" in out and str(folder / ".env") in out
    assert told["env_file"] == str(folder / ".env")
    anthropic = next(p for p in told["providers"] if p["name"] == "anthropic/")
    assert anthropic["keys"] == {"ANTHROPIC_API_KEY": True}
    assert KEY not in out + json.dumps(told)


def test_what_is_not_installed_says_how_to_install_it(oversight, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "peft" else name)
    _, out, _ = oversight("models")
    assert out.count("missing: peft: pip install 'oversight[local]'") == 1


def test_a_named_model_is_told_with_price_context_and_what_it_can_do(oversight):
    status, out, _ = oversight("models", "openai/gpt-4o-mini", "simulated/judge")
    assert status == 0
    assert "$0.15 in, $0.6 out, $0.075 cached per million tokens; in batches 50% of it" in out
    assert "128,000 tokens" in out
    assert "images, structured output, log-probs of letters" in out
    assert "hard (default) | credence | votes | logprobs" in out
    assert "set OPENAI_API_KEY in the environment" in out
    (told, player) = json.loads(oversight("models", "openai/gpt-4o-mini", "simulated/judge", "--json")[1])
    assert (told["price_in"], told["context"], told["images"], told["prefill"]) == (
        0.15,
        128_000,
        True,
        False,
    )
    assert (player["price_in"], player["kind"], player["warnings"]) == (0.0, "simulated", [])


def test_options_change_what_is_told_of_a_model(oversight):
    spec = "openai/mine:base_url=http://127.0.0.1:9/v1,log_probs=false,price_in=1,price_out=2,context=4096"
    (told,) = json.loads(oversight("models", spec, "--json")[1])
    assert told["elicitations"] == ["hard", "credence", "votes"]
    assert (told["price_in"], told["price_out"], told["context"]) == (1.0, 2.0, 4096)
    assert told["identity"] == "openai/mine@http://127.0.0.1:9/v1"


def test_a_model_past_its_day_is_warned_of(monkeypatch):
    from oversight.models import prices

    entry = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "deprecation_date": "2026-03-01"}
    monkeypatch.setattr(prices, "_table", lambda: {"openai/old": {**entry, "litellm_provider": "openai"}})
    model = open_model("openai/old", {})
    before = about_model(model, date(2026, 2, 28))
    after = about_model(model, date(2026, 3, 1))
    assert before.retires == after.retires == "2026-03-01"
    assert not [w for w in before.warnings if "withdrawn" in w]
    assert [w for w in after.warnings if "withdrawn on 2026-03-01" in w]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gpt-4o-mini", "did you mean 'openai/gpt-4o-mini'?"),
        ("smolm2", "did you mean 'smollm2'?"),
        ("opnai/gpt-4o", "did you mean 'openai'?"),
        ("openai/gpt-4o:temprature=1", "has no option 'temprature'; did you mean 'temperature'?"),
        ("openai/gpt-4o:bse_url=x", "did you mean 'base_url'?"),
        ("players:brokn", "did you mean 'broken'?"),
        ("openai/gpt-4o:temperature=hot", "temperature"),
    ],
)
def test_a_wrong_name_or_option_is_one_line_with_the_right_one(spec, said, oversight):
    for command in ("models", "doctor"):
        status, out, err = oversight(command, spec)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert said in err


def test_a_name_the_price_table_does_not_have_is_told_with_the_nearest(oversight):
    _, out, _ = oversight("models", "openai/gpt-4o-mni")
    assert "the price table does not have it; did you mean 'openai/gpt-4o-mini'?" in out


# doctor


@pytest.mark.parametrize("provider", ["openai", "anthropic", "litellm"])
def test_a_doctor_tries_everything_once_and_says_which_options_to_set(provider, oversight, wire, folder):
    before = sorted(folder.iterdir())
    status, out, err = oversight("doctor", at(wire, provider, price_in=1, price_out=2))
    made = sum(seen.method == "POST" for seen in wire.seen)
    assert status == 0, out + err
    assert err.startswith(f"doctor: {made} tiny calls to ") and len(err.splitlines()) == 1
    found = findings(out)
    assert list(found) == [
        "reply",
        "the same again",
        "log-probs of letters",
        "structured output",
        "prefill",
        "images",
    ]
    assert (
        '"Hello there."' in found["reply"] and "answered by" in found["reply"] and "$0.0000" in found["reply"]
    )
    assert found["the same again"] == 'works: "Hello there.", twice'
    assert found["structured output"].endswith("; set structured=true")
    assert found["prefill"].endswith("; set prefill=true")
    assert found["images"].endswith("; set images=true") and "Red" in found["images"]
    letters = found["log-probs of letters"]
    if provider == "anthropic":
        assert letters == "does not work: no log-probs came"
    else:
        assert letters.startswith("works: A -0.25, B -1.50")
        assert letters.endswith("; set log_probs=true") == (provider == "litellm")
    assert KEY not in out + err
    assert sorted(folder.iterdir()) == before


def test_a_doctor_says_what_does_not_work_in_the_providers_words(oversight, wire):
    def poor(seen: Seen) -> Reply | Fault:
        if seen.body.get("response_format"):
            return Fault(400, "response_format is not supported by this model")
        if seen.body.get("logprobs"):
            return Reply("A")
        return Reply(f"Hello number {len(wire.seen)}.")

    wire.answer = poor
    status, out, _ = oversight("doctor", at(wire, structured="true"))
    found = findings(out)
    assert status == 0
    assert found["the same again"].startswith("does not work: ") and ", then " in found["the same again"]
    assert "response_format is not supported by this model" in found["structured output"]
    assert found["structured output"].endswith("; set structured=false")
    assert "no log-probs came" in found["log-probs of letters"]
    assert found["log-probs of letters"].endswith("; set log_probs=false")
    assert found["prefill"].startswith("does not work: ") and "set" not in found["prefill"]


@pytest.mark.parametrize("fault", [Fault(500, f"broken, your key is {KEY}"), Fault("drop"), Fault(401, "no")])
def test_a_plain_call_that_fails_is_the_end(fault, oversight, wire):
    wire.answer = lambda seen: fault
    status, out, err = oversight("doctor", at(wire))
    assert status == 1
    assert list(findings(out)) == ["reply"] and findings(out)["reply"].startswith("does not work: ")
    assert sum(seen.method == "POST" for seen in wire.seen) == 1
    assert KEY not in out + err and "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "said"),
    [("gpt-4o-mni", "did you mean 'gpt-4o-mini'?"), ("gpt-4o-mini", "TEST_KEY was refused")],
)
def test_a_wrong_name_or_key_is_one_line_before_any_call(name, said, oversight, wire, monkeypatch):
    if "refused" in said:
        monkeypatch.setenv("TEST_KEY", "sk-test-wrong-99999999")
    status, out, err = oversight("doctor", f"openai/{name}:base_url={wire.openai},key_env=TEST_KEY")
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert said in err and "9999" not in err
    assert not [seen for seen in wire.seen if seen.method == "POST"]


def test_a_temperature_that_a_model_does_not_take_is_refused_unasked(oversight, wire):
    status, out, err = oversight("doctor", at(wire, "anthropic", temperature=1.5))
    assert (status, out) == (2, "") and "takes 0 to 1; temperature is 1.5" in err
    assert not wire.seen


def test_the_cost_told_beforehand_is_not_passed(wire):
    model = open_model(*_spec(at(wire, price_in=1000, price_out=1000)))
    tried = probes(model, Sampling())
    assert calls_of(tried) == 7
    most = dearest(model, tried)
    assert most is not None and 0 < most < 2000 * 1000 * 7 / 1e6
    assert dearest(open_model(*_spec(at(wire))), tried) is None


def _spec(spec: str) -> tuple[str, dict[str, object]]:
    from oversight.experiment import seat_from

    seat = seat_from(spec)
    return seat.model, seat.options


# Models of one's own


def example(language: str) -> str:
    """The example in docs/models.md."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return str(found)


@pytest.fixture
def plugged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The documented module, in the current folder."""
    (folder / "mymodels.py").write_text(example("python"))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(sys.modules, "mymodels", None)  # undone at the end, with what is imported in between
    del sys.modules["mymodels"]
    return folder


def judged(oversight, model: str, *options: str) -> tuple[int, str, str]:
    return oversight("run", "direct", "--task", "./toy", "--judge", model, "--limit", "4", *options)


def test_the_documented_model_is_under_fifteen_lines_and_runs_by_path(oversight, plugged):
    assert len(example("python").splitlines()) < 15
    status, out, err = judged(oversight, "mymodels:Keen")
    assert status == 0, err
    rows = oversight("query", "select distinct status, judge from judgements", "--format", "csv")[1]
    assert rows.splitlines()[1:] == ["decided,mymodels:Keen"]
    status, out, err = oversight("models", "mymodels:Keen:letter=B")
    assert "keen-1:B" in out, err
    status, out, err = oversight("doctor", "mymodels:Keen")
    assert status == 0 and findings(out)["reply"].startswith('works: "Answer: A"')


def test_the_documented_entry_point_names_it(oversight, plugged):
    written = plugged / "mymodels-1.dist-info"
    written.mkdir()
    (written / "METADATA").write_text("Metadata-Version: 2.1\nName: mymodels\nVersion: 1\n")
    group, line = example("toml").strip().splitlines()
    assert group == '[project.entry-points."oversight.models"]'
    (written / "entry_points.txt").write_text(f"[oversight.models]\n{line.replace(chr(34), '')}\n")
    for name, identity in (("keen", "keen-1:A"), ("keen:letter=B", "keen-1:B"), ("keen/B", "keen-1:B")):
        (told,) = json.loads(oversight("models", name, "--json")[1])
        assert told["identity"] == identity
    status, _, err = judged(oversight, "keen:letter=B")
    assert status == 0, err
    assert "keen" in oversight("models")[1]
    assert "has no option 'leter'; did you mean 'letter'?" in oversight("models", "keen:leter=B")[2]


BAD = """
from oversight import Completion, Model

class Good(Model):
    async def generate(self, request):
        return Completion("Answer: A")

class Raises(Good):
    async def generate(self, request):
        raise ZeroDivisionError("what\\never")

class Leaves(Good):
    async def generate(self, request):
        raise SystemExit(3)

class Never(Good):
    async def ready(self):
        raise RuntimeError("no licence")

class Untidy(Good):
    async def done(self):
        raise RuntimeError("not done")

    def close(self):
        raise OSError("not closed")

def away():
    raise KeyError("x")
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", "model 'badmodels:Raises' raised ZeroDivisionError: what ever ("),
        ("Leaves", "model 'badmodels:Leaves' raised SystemExit: 3 ("),
        ("Never", "model 'badmodels:Never' raised RuntimeError: no licence ("),
        ("away", "model 'badmodels:away' cannot be made: KeyError: 'x'"),
    ],
)
def test_what_a_model_raises_is_one_line_that_names_it(name, said, oversight, folder):
    (folder / "badmodels.py").write_text(BAD)
    status, _, err = judged(oversight, f"badmodels:{name}", "-q")
    assert status == 2
    assert len(err.splitlines()) == 1 and err.startswith(f"oversight: {said}")


def test_a_model_that_cannot_be_let_go_of_does_not_spoil_the_run(oversight, folder, caplog):
    (folder / "badmodels.py").write_text(BAD)
    status, out, _ = judged(oversight, "badmodels:Untidy")
    assert status == 0 and "direct" in out
    warned = [record.getMessage() for record in caplog.records]
    assert [w for w in warned if "done(): RuntimeError: not done" in w]
    assert [w for w in warned if "close(): OSError: not closed" in w]
