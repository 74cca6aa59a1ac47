"""An episode is found by its place in the plan as it is found by going through all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oversight.engine.plan import make_plan
from oversight.experiment import experiment_from


@pytest.mark.parametrize("more", [{}, {"order": "both", "samples": 3}, {"order": "fixed", "limit": 1}])
def test_an_episode_is_found_by_its_place(
    toy: str, replies: Callable[[str], str], more: dict[str, object]
) -> None:
    player = replies('judge: "Answer: A"\nspeak: "It was {answer}."')
    given = {"judge": player, "debater": player, "limit": 5, **more}
    arms = ["direct", "consultancy:rounds=1", "debate:rounds=1"]
    tasks = [toy, f"{toy}:answers=3"]  # a consultancy is played once for each answer
    plan = make_plan(experiment_from({"protocols": arms, "tasks": tasks, **given}))
    whole = list(plan.episodes())
    assert len(plan) == len(whole)
    assert [plan.at(place) for place in range(len(plan))] == whole
    for nowhere in (-1, len(whole)):
        with pytest.raises(IndexError):
            plan.at(nowhere)
    plan.close()
