"""Bad options of models behind an API: one line, exit status 2, nothing written, nothing sent or loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GPT, CLAUDE = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"
TASK = ("--task", "./toy", "--limit", "2")

JUDGES = {
    "a temperature nobody takes": (f"{GPT}:temperature=3", "less than or equal to 2"),
    "a temperature that is no number": (f"{GPT}:temperature=nan", "temperature"),
    "a temperature Anthropic does not take": (
        f"{CLAUDE}:temperature=1.5",
        "takes 0 to 1; temperature is 1.5",
    ),
    "a temperature for a model that takes none": ("openai/o3:temperature=0.5", "takes no temperature"),
    "log-probs of Anthropic": (f"{CLAUDE}:elicit=logprobs", "can do: hard, credence, votes"),
    "log-probs of a model that reasons": ("openai/o3:elicit=logprobs", "has no log-probs"),
    "log-probs that were denied": (f"{GPT}:elicit=hard+logprobs,log_probs=false", "has no log-probs"),
    "texts scored by an API": (f"{GPT}:elicit=texts", "it can do: hard, credence, votes, logprobs"),
    "votes that are all one": (f"{GPT}:elicit=votes", "give the judge a temperature"),
    "votes nobody counts": (f"{GPT}:votes=3", "add elicit=votes"),
    "no votes": (f"{GPT}:elicit=votes,temperature=1,votes=0", "votes"),
    "votes without end": (f"{GPT}:elicit=votes,temperature=1,votes=99999999", "votes"),
    "one way twice": (f"{GPT}:elicit=hard+hard", "twice"),
    "no way": (f"{GPT}:elicit=", "no elicitation ''"),
    "no calls at once": (f"{GPT}:in_flight=0", "in_flight is 0"),
    "a truth value of calls": (f"{GPT}:in_flight=true", "in_flight is True"),
    "half a call": (f"{GPT}:in_flight=2.5", "in_flight is 2.5"),
    "no attempts": (f"{GPT}:attempts=0", "attempts is 0"),
    "attempts without end": (f"{GPT}:attempts=.inf", "attempts is inf"),
    "no time": (f"{GPT}:attempt_timeout=0", "number of seconds above 0"),
    "a time that is no number": (f"{GPT}:call_timeout=.nan", "number of seconds above 0"),
    "reasoning of less than nothing": (f"{GPT}:hidden=-1", "at least 0"),
    "a context that is no number": (f"{GPT}:context=big", "context is 'big'"),
    "a switch that is neither": (f"{GPT}:structured=maybe", "true or false"),
    "an effort that is a number": (f"{GPT}:effort=3", "it must be a text"),
    "thinking of less than nothing": (f"{CLAUDE}:thinking=-5", "thinking is -5"),
    "too many alternatives": (f"{GPT}:top_log_probs=21", "may be 1 to 20"),
    "a price in words": (f"{GPT}:price_in=cheap", "price_in='cheap' is no price"),
    "a price below nothing": (f"{GPT}:price_in=-1,price_out=2", "price_in=-1 is no price"),
    "a price that is no number": (f"{GPT}:price_in=nan,price_out=1", "is no price"),
    "half a price": ("openai/mine:base_url=http://h/v1,price_in=1", "half a price"),
    "an address without http": (f"{GPT}:base_url=localhost:8000", "is no address"),
    "an address that is a number": (f"{GPT}:base_url=3", "it must be a text"),
    "an address of another kind": (f"{CLAUDE}:base_url=ftp://x/y", "is no address"),
    "an address without a host": (f"{GPT}:base_url=http://", "is no address"),
    "an address with no such port": (f"{CLAUDE}:base_url=http://h:99999/v1", "is no address"),
    "half an address of six": (f"{GPT}:base_url=http://[::1/v1", "is no address"),
    "an address with a space": ("hosted_vllm/x:base_url=http://h h/v1", "is no address"),
    "an address with a password": (f"{GPT}:base_url=http://u:p@h/v1", "no user, password or query"),
    "a variable that is none": (f"{GPT}:key_env=my-key", "key_env is the name"),
    "no name": ("openai/", "names no model"),
    "a name with a space": ("openai/ x", "a space or a control character"),
    "a name with a control character": ("openai/x\x1b[31my", "a space or a control character"),
    "a name that turns the line round": ("anthropic/\u202ex", "a space or a control character"),
    "an unknown provider": ("opnai/x", "did you mean 'openai'"),
    "an option nobody knows": (f"{GPT}:tmeperature=1", "has no option 'tmeperature'"),
    "an option that is ours": (f"{GPT}:name=x", "has no option 'name'"),
    "another that is ours": (f"{CLAUDE}:self=1", "has no option 'self'"),
    "an option twice": (f"{GPT}:in_flight=1,in_flight=2", "'in_flight' twice"),
    "a reply longer than numbers go": (f"{GPT}:max_tokens=99999999999", "max_tokens"),
    "batches where there are none": ("hosted_vllm/x:batches=true", "has no batches here"),
}


def refused(ran) -> str:
    status, out, err = ran
    assert status == 2, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("oversight: ")
    return err


@pytest.fixture(autouse=True)
def no_keys(monkeypatch, folder):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    assert not list(folder.glob("oversight.duckdb*"))


@pytest.mark.parametrize("case", JUDGES)
def test_a_judge_is_refused(oversight, case):
    judge, named = JUDGES[case]
    assert named in refused(oversight("run", "direct", *TASK, "--judge", judge))


LIMITS = {
    "a cost below nothing": (("--max-cost", "-1"), "max_cost"),
    "a cost that is no number": (("--max-cost", "nan"), "max_cost: input should be a finite number"),
    "a cost without end": (("--max-cost", "inf"), "max_cost"),
    "a cost in words": (("--max-cost", "lots"), "--max-cost"),
    "half a call": (("--max-calls", "1.5"), "--max-calls"),
    "calls below nothing": (("--max-calls", "-1"), "max_calls"),
    "a limit where a price is unknown": (
        ("--judge", "openai/mine:base_url=http://h/v1", "--max-cost", "1"),
        "nobody said: give it price_in",
    ),
    "batches of a model that runs here": (("--batch",), "none of these models has a batch endpoint"),
    "batches of a server of one's own": (
        ("--batch", "--judge", f"{GPT}:base_url=http://h/v1"),
        "none of these models has a batch endpoint",
    ),
    "batches of litellm": (
        ("--batch", "--judge", "gemini/gemini-2.0-flash"),
        "none of these models has a batch endpoint",
    ),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_limit_is_refused(oversight, case):
    argv, named = LIMITS[case]
    assert named in refused(oversight("run", "direct", *TASK, "--judge", "scripted/rep.yaml", *argv))


SEAT = "judge: {model: openai/gpt-4o-mini, %s}"
YAML = {
    "a truth value for a cost": ("max_cost: true", "max_cost: input should be a number"),
    "a cost that is no number": ("max_cost: .nan", "finite number"),
    "half a call": ("max_calls: 1.5", "max_calls"),
    "batches of some kind": ("batch: maybe", "batch"),
    "a truth value for a temperature": (SEAT % "temperature: true", "temperature: input should be a number"),
    "a truth value for tokens": (SEAT % "max_tokens: true", "max_tokens: input should be a number"),
    "a truth value for votes": (SEAT % "votes: true, elicit: votes", "votes: input should be a number"),
    "a truth value for words": (SEAT % "words: true", "words: input should be a number"),
    "a truth value for calls": (SEAT % "in_flight: true", "in_flight is True"),
    "a date for attempts": (SEAT % "attempts: 2025-01-01", "attempts is"),
    "a list for an address": (SEAT % "base_url: [a]", "base_url is ['a']"),
    "a mapping for a variable": (SEAT % "key_env: {a: b}", "key_env is the name"),
    "a list for a price": (SEAT % "price_in: [1]", "is no price"),
    "a way that is a number": (SEAT % "elicit: [hard, 3]", "elicit.1"),
    "an option that is a number": (SEAT % "3: 4", "judge.0"),
}


@pytest.mark.parametrize("case", YAML)
def test_a_file_is_refused(oversight, folder, case):
    line, named = YAML[case]
    seat = "" if line.startswith("judge") else "judge: scripted/rep.yaml\n"
    (folder / "e.yaml").write_text(f"protocol: direct\ntask: ./toy\nlimit: 2\n{seat}{line}\n")
    assert named in refused(oversight("run", "e.yaml"))


@pytest.mark.parametrize("argv", ["dry run", "help", "import"])
def test_no_sdk_is_loaded_before_a_call_is_made(folder, argv):
    """And a dry run needs neither key nor network."""
    judge = f"{GPT}:elicit=logprobs+credence"
    code = {
        "dry run": f"from oversight.cli import main; status = main({['run', 'debate', *TASK, '--judge', judge, '--debater', CLAUDE, '--dry-run']!r})",
        "help": "from oversight.cli import main; status = main(['--help'])",
        "import": "import oversight; status = 0",
    }[argv]
    loaded = "import sys; print('LOADED', status, *sorted({m.split('.')[0] for m in sys.modules}))"
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "all")}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{loaded}"],
        cwd=folder,
        env=env | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    _, status, *modules = done.stdout.splitlines()[-1].split()
    assert status == "0", done.stderr
    assert not {"openai", "anthropic", "litellm", "torch", "transformers"} & set(modules)
