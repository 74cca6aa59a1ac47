"""Templates that would not end, grow without end or lead elsewhere are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from oversight import BadProtocol, Question, Seat, UserError
from oversight.prompts import load_template, template_from
from oversight.views import view

LOOPS = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"
GROWS = "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = GROWN %}{% endfor %}{{ ns.x }}"
ENDLESS = {
    "loops in loops": LOOPS,
    "loops over what is there already": "{% set r = range(400)|list %}{% for a in r %}{% for b in r %}{% for c in r %}"
    "{% endfor %}{% endfor %}{% endfor %}x",
    "loops over what is there, passed over": "{% set r = range(400)|list %}{% for a in r %}{% for b in r %}"
    "{% for c in r if false %}{% endfor %}{% endfor %}{% endfor %}x",
    "loops that pass over everything": "{% for a in range(99999) if false %}{% endfor %}" * 500,
    "loops over a long list": "{% for a in [1] * 9999999 %}{% for b in [1] * 9999999 %}{% endfor %}{% endfor %}",
    "a long list gone over again and again": "{% set r = range(90000)|list %}{% for i in range(90000) %}"
    "{% if r|map('upper')|list %}{% endif %}{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(100) }}",
    "a block taken twice, thirty deep": "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call f() %}" * 30
    + "xxxxxxxxxx"
    + "{% endcall %}" * 30,
    "a text times a billion": "{{ 'a' * 10 ** 9 }}",
    "a list times a billion": "{{ ([1] * 10 ** 9)|length }}",
    "a text doubled by ~": GROWS.replace("GROWN", "ns.x ~ ns.x"),
    "a text doubled by +": GROWS.replace("GROWN", "ns.x + ns.x"),
    "a text doubled by replace": GROWS.replace("GROWN", "ns.x|replace('a', 'aa')"),
    "a text doubled by join": GROWS.replace("GROWN", "[ns.x, ns.x]|join"),
    "a text doubled by format": GROWS.replace("GROWN", "'%s%s'|format(ns.x, ns.x)"),
    "a text doubled by a block": GROWS.replace("{% set ns.x = GROWN %}", "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
    "a text replaced by itself": "{% set x = 'y' * 9999999 %}{{ x|replace('y', x) }}",
    "a number squared": GROWS.replace("'a'", "2").replace("GROWN", "ns.x * ns.x"),
    "a number to a billion": "{{ 7 ** (10 ** 9) }}",
    "a number of a billion digits": "{{ '%1000000000d' % 1 }}",
    "a width that is given": "{{ '%*d' % (1000000000, 1) }}",
    "a number padded by a filter": "{{ '%1000000000d'|format(1) }}",
    "a text padded by its method": "{{ 'a'.ljust(10 ** 9) }}",
    "a text padded by another": "{{ 'a'.zfill(10 ** 9) }}",
    "a text padded by a filter": "{{ 'a'|center(10 ** 9) }}",
    "lists in lists, printed": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x|string }}",
    "lists in lists, joined": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x|join }}",
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_without_an_end_comes_to_one(name: str) -> None:
    question, seat = Question("Who?", ("Mira", "Jo")), Seat("judge", "judge")
    looking = view(question, (0, 1), [seat], [], seat, "judge", reads=False)
    with pytest.raises(BadProtocol, match=r"^template judge\.jinja") as refused:
        source = "{% call user() %}" + ENDLESS[name] + "{% endcall %}"
        template_from(source, "judge.jinja").render(looking, {})
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


GROWING = {
    "ljust": "'a'.ljust(300000)", "rjust": "'a'.rjust(300000)", "center": "'a'.center(300000)",
    "zfill": "'a'.zfill(300000)", "expandtabs": "'\\t'.expandtabs(300000)", "join": "('a' * 999).join('b' * 999)",
    "replace": "('a' * 999).replace('a', 'b' * 999)", "translate": "'a'.translate({97: 'b' * 9999})",
    "to_bytes": "(1).to_bytes(300000, 'big')", "format": "'{:300000}'.format(1)", "format_map": "'{x:300000}'.format_map({'x': 1})", "encode": "'a'.encode('utf-32')",
}  # fmt: skip


@pytest.mark.parametrize("method", GROWING)
def test_no_method_makes_a_long_text_of_a_short_one_unpaid(method: str) -> None:
    question, seat = Question("Who?", ("Mira", "Jo")), Seat("judge", "judge")
    looking = view(question, (0, 1), [seat], [], seat, "judge", reads=False)
    template = (
        "{% call user() %}{% if " + GROWING[method] + " %}x{% endif %}{% endcall %}"
    )  # and nothing is printed
    with pytest.raises(BadProtocol, match="reaches for what is closed"):
        template_from(template, "judge.jinja").render(looking, {})


def test_what_templates_do_need_is_there() -> None:
    question, seat = Question("Who?", ("Mira", "Jo")), Seat("judge", "judge")
    looking = view(question, (0, 1), [seat], [], seat, "judge", reads=False)
    source = (
        "{% call user() %}{{ answers|map(attribute='text')|join(', ') }}; {{ '%.2f'|format(0.5) }}; "
        "{{ '%s of %d' % ('x', 3) }}; {{ 'a' ~ 1 ~ 'b' }}; {{ question|replace('Who', 'What') }}; "
        "{{ [1, 2]|sum }}; {{ 2 ** 10 }}; {{ 'a\nb'|indent(2) }}; {{ 1.256|round(1) }}; "
        "{% for i in range(3) if i != 1 %}{{ i }}{% endfor %}{% endcall %}"
    )
    (message,) = template_from(source, "t").render(looking, {})
    assert message.content == "Mira, Jo; 0.50; x of 3; a1b; What?; 3; 1024; a\n  b; 1.3; 02"


def test_a_long_prompt_is_no_endless_one() -> None:
    question = Question("Who?", ("Mira", "Jo"), passage="word " * 800_000)
    seat = Seat("A", "debater", 0)
    looking = view(question, (0, 1), [seat], [], seat, "speak", reads=True)
    (message,) = template_from("{% call user() %}{{ passage }}{% endcall %}", "t").render(looking, {})
    assert len(message.content) == 3_999_999


def test_a_template_that_is_a_link_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{% call user() %}SECRET{% endcall %}")
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "judge.jinja").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="a link that leads out of its folder"):
        load_template(folder / "judge.jinja")
    (folder / "plain.jinja").write_text("{% call user() %}x{% endcall %}")
    (folder / "inside.jinja").symlink_to("plain.jinja")
    load_template(folder / "inside.jinja")
