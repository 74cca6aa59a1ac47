"""What models cost: litellm's table, read as a file, and the user's prices over it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from oversight.errors import UserError
from oversight.models import open_model
from oversight.models import prices as module
from oversight.models.interface import Completion, Price
from oversight.models.prices import FREE, look_up, price_of, priced

TABLE = {
    "gpt-x": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2e-6,
        "output_cost_per_token": 8e-6,
        "cache_read_input_token_cost": 1e-6,
        "max_input_tokens": 1000,
        "max_output_tokens": 100,
        "supports_vision": True,
        "supports_response_schema": False,
        "deprecation_date": "2027-01-01",
    },
    "claude-x": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 4e-6,
        "output_cost_per_token": 2e-5,
        "cache_creation_input_token_cost": 5e-6,
        "input_cost_per_token_batches": 1e-6,
        "output_cost_per_token_batches": 5e-6,
    },
    "near/x": {"litellm_provider": "near", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "half/x": {"litellm_provider": "half", "input_cost_per_token": 1e-6},
}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_table", lambda: TABLE)


def test_the_installed_table_is_found_without_importing_litellm() -> None:
    code = (
        "import sys\nfrom oversight.models.prices import price_of\n"
        "assert price_of('openai/gpt-4o').input > 0\nassert price_of('anthropic/claude-sonnet-4-5').output > 0\n"
        "print('litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_name_is_found_with_its_provider_and_not_with_anothers(table: None) -> None:
    assert price_of("openai/gpt-x") == Price(2e-6, 8e-6, cached=1e-6, batch=0.5)
    assert price_of("openai/ft:gpt-x:us:1") is None
    assert price_of("anthropic/gpt-x") is None
    assert price_of("hosted_vllm/gpt-x") is None


def test_what_a_batch_costs_is_the_tables_where_it_says(table: None) -> None:
    found = price_of("anthropic/claude-x")
    assert found == Price(4e-6, 2e-5, cache_write=5e-6, batch=0.25)


def test_a_zero_or_half_a_price_in_the_table_is_unknown_and_never_nothing(table: None) -> None:
    assert price_of("near/x") is None
    assert price_of("half/x") is None


def test_what_else_the_table_says(table: None) -> None:
    known = look_up("openai/gpt-x")
    assert known is not None
    assert (known.context, known.most_output, known.retires) == (1000, 100, "2027-01-01")
    assert known.features == {"vision"}


def test_the_users_prices_win_and_scale_what_is_cached(table: None) -> None:
    assert price_of("openai/gpt-x", {"price_in": 4}) == Price(4e-6, 8e-6, cached=2e-6, batch=0.5)
    own = {"price_in": "1", "price_out": 3, "price_cached": 0.5}
    assert price_of("openai/gpt-x", own) == Price(1e-6, 3e-6, cached=0.5e-6, batch=0.5)
    assert price_of("hosted_vllm/own", own) == Price(1e-6, 3e-6, cached=0.5e-6)


@pytest.mark.parametrize("wrong", ["free", -1, True, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"price_in=.* is no price: write US dollars per million"):
        price_of("hosted_vllm/own", {"price_in": wrong, "price_out": 1})


def test_half_a_price_is_refused_where_the_table_has_none(table: None) -> None:
    with pytest.raises(UserError, match="give price_in and price_out"):
        price_of("hosted_vllm/own", {"price_out": 1})


def test_any_model_takes_prices_which_are_no_part_of_what_it_is(replies: Callable[[], str]) -> None:
    name = replies()
    plain, dear = open_model(name, {}), open_model(name, {"price_in": 1, "price_out": 2})
    assert plain.identity == dear.identity
    assert (plain.price, dear.price) == (FREE, Price(1e-6, 2e-6))


def test_a_models_own_word_on_cost_wins_and_unknown_tokens_make_unknown_cost() -> None:
    price = Price(1e-6, 2e-6)
    assert priced(Completion(prompt_tokens=3, completion_tokens=2), price).cost == pytest.approx(7e-6)
    assert priced(Completion(prompt_tokens=3, completion_tokens=2, cost=5.0), price).cost == 5.0
    assert priced(Completion(), price).cost is None
    assert priced(Completion(prompt_tokens=3, completion_tokens=2), None).cost is None
    assert priced(Completion(), FREE).cost == 0.0
