"""What an episode's prompts have in common is rendered once, and nobody can tell."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from oversight import sandbox
from oversight.errors import BadProtocol
from oversight.models.interface import Message
from oversight.moves import Seat, Turn
from oversight.prompts import Template, template_from
from oversight.question import Question
from oversight.sandbox import MOST, remembering
from oversight.views import Sight

JUDGE, A, B = Seat("judge", "judge"), Seat("A", "debater", 0), Seat("B", "debater", 1)
QUESTION = Question("Who mended the clock?", ("Mira", "Jo"), passage="Mira mended the clock. " * 9)
SPEECHES = tuple(Turn("speak", name, n, f"Speech {n} of {name}.") for n in (1, 2, 3) for name in "AB")


def sources() -> list[str]:
    """Blocks of every kind."""
    return [
        "{% call user() %}{{ passage }}{% endcall %}",
        "{% for t in turns %}{% call user() %}{{ loop.index }} {{ t.title }}: {{ t.lines }}{% endcall %}{% endfor %}{{ user('.') }}",
        "{% set n = namespace(said=0) %}{% for t in turns %}{% set n.said = n.said + 1 %}"
        "{% call user() %}{{ n.said }} {{ t.text }}{% endcall %}{% endfor %}{% call user() %}.{% endcall %}",
        "{% for t in turns %}{% set who = t.title ~ '!' %}{% call user() %}{{ who }}{% endcall %}{% endfor %}"
        "{% call user() %}{{ turns|length }}, {{ seat.name }}, {{ act }}{% endcall %}",
        "{% call user() %}{% for i in range(round) %}{{ i }}{% endfor %}{% endcall %}",
        "{% call user() %}{{ x }}{% endcall %}{% call system() %}{{ x == 1 }}{% endcall %}",
        "{% macro m(t) %}{{ user(t.text) }}{% endmacro %}{% for t in turns %}{{ m(t) }}{% endfor %}{{ user('.') }}",
        "{% call user() %} {% endcall %}{% call user() %}{{ answer.text if answer is defined }}.{% endcall %}",
    ]


def shown(source: str, extra: dict[str, Any]) -> list[tuple[Message, ...]]:
    """What a template makes of the views of a whole debate."""
    sight, template = Sight(QUESTION, (0, 1), (JUDGE, A, B)), template_from(source, "t")
    looks = [
        *(sight.view(SPEECHES[: 2 * n], seat, "speak", reads=True) for n in range(4) for seat in (A, B)),
        sight.view(SPEECHES, JUDGE, "judge", reads="passage" in source),
    ]
    return [template.render(looking, {}, **extra) for looking in looks]


@pytest.mark.parametrize("source", sources())
def test_remembered_messages_are_those_that_would_be_rendered(source: str):
    for x in (1, True, 1.0, "1", 0.0, -0.0):
        plain = shown(source, {"x": x})
        with remembering():
            assert shown(source, {"x": x}) == plain


def test_a_seat_is_asked_until_it_speaks_and_by_what_it_sees():
    said = Turn("speak", "A", 1, "It was Mira.")
    to_all, to_a, to_b = (Turn("ask", "judge", 1, "Why?", to=to) for to in (None, "A", "B"))
    unseen = Turn("ask", "judge", 1, "Why?", visible_to=("judge", "B"))
    answered = Turn("answer", "A", 1, "For the clock goes.")
    by_b = Turn("ask", "B", 1, "Where?", to="A")
    sight = Sight(QUESTION, (0, 1), (JUDGE, A, B))
    for turns, a, b in (
        ((said,), False, False),
        ((said, to_all), True, True),
        ((said, to_a), True, False),
        ((said, to_b), False, True),
        ((said, unseen), False, True),
        ((said, by_b), False, False),
        ((to_all, answered), True, True),
        ((to_all, said), False, True),
        ((to_all, said, to_a), True, True),
    ):
        views = [sight.view(turns, seat, "speak", reads=True) for seat in (A, B)]
        assert [view.asked for view in views] == [a, b], turns
        assert not sight.view(turns, JUDGE, "judge", reads=False).asked


def test_values_that_are_equal_and_print_otherwise_are_not_taken_for_each_other():
    template = template_from("{% call user() %}{{ x }}{% endcall %}", "t")
    looking = Sight(QUESTION, (0, 1), (JUDGE,)).view((), JUDGE, "judge", reads=False)
    with remembering():
        said = [
            template.render(looking, {}, x=x)[0].content
            for x in (1, True, 1.0, "1", 0.0, -0.0)
            for _ in range(2)
        ]
    assert said == ["1", "1", "True", "True", "1.0", "1.0", "1", "1", "0.0", "0.0", "-0.0", "-0.0"]


def test_every_protocol_is_prompted_as_if_nothing_were_remembered(
    play: Any, toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    render, blocks = Template.render, Counter[str]()

    def both(self: Template, *given: Any, **named: Any) -> tuple[Message, ...]:
        made = render(self, *given, **named)
        with remembering():
            assert render(self, *given, **named) == made
        blocks.update(message.role for message in made)
        return made

    monkeypatch.setattr(Template, "render", both)
    play(
        "debate:rounds=2,ask=each,cross=true", "debate:side=free", "consultancy:rounds=2", "double_consultancy",
        "propaganda", "proposer_critic", "market_making", "prover_estimator", "direct",
        tasks=[toy], db=tmp_path / "o.duckdb", limit=2,
    )  # fmt: skip
    assert sum(blocks.values()) > 200


def test_what_is_remembered_is_paid_for_each_time():
    source = "{% for i in range(3000) %}{% call user() %}{{ passage }}{% endcall %}{% endfor %}"
    question = Question("Who?", ("Mira", "Jo"), passage="x" * (MOST // 2500))
    looking = Sight(question, (0, 1), (JUDGE, A, B)).view(SPEECHES, A, "speak", reads=True)
    with remembering(), pytest.raises(BadProtocol, match="does not end, or makes more than"):
        template_from(source, "t").render(looking, {})


def test_one_episode_remembers_nothing_of_another():
    with remembering():
        shown(sources()[0], {})
        outer = dict(sandbox._remembered.get() or {})
        with remembering():
            assert sandbox._remembered.get() == {}
        assert sandbox._remembered.get() == outer != {}
    assert sandbox._remembered.get() is None
