"""Figures: readable without colour, true to their numbers, and unmoved by what stands in a name."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from oversight.report import figures
from oversight.report.figures import COLOURS, MARKERS, Dot, Panel, Panels, Point, Rows, draw, shortened

HOSTILE = ["$\\frac{", "_hidden", "<b>&\"'", "\x1b[31mred", "漢字 😀", "x" * 500, "a\nb", "‮evil"]


def rows(*names: str, unit: figures.Unit = "share") -> Rows:
    dots = [Dot("debate", name, 0.5 + n / 100, 0.4, 0.7, outer=(0.3, 0.8)) for n, name in enumerate(names)]
    return Rows(tuple(dots), "judge accuracy", unit)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"), dtype=float) / 255


def has(png: bytes, colour: str) -> bool:
    return bool((np.abs(pixels(png) - to_rgb(colour)).max(axis=2) < 0.01).any())


def test_both_formats_are_what_they_say_and_as_wide_as_a_page():
    drawn = draw(rows("one", "two"))
    assert pixels(drawn.png).shape[1] == round(figures.WIDTH * figures.DPI)
    assert ET.fromstring(drawn.svg).tag.endswith("svg")


def test_each_series_has_a_colour_and_a_marker_that_no_other_has():
    pairs = {(COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]) for n in range(56)}
    assert len(pairs) == 56
    drawn = draw(rows(*(f"judge {n}" for n in range(7))))
    assert all(has(drawn.png, colour) for colour in COLOURS)


def test_equal_numbers_make_equal_files():
    what = rows("one", "two")
    assert draw(what) == draw(what)
    assert draw(what).svg != draw(rows("one", "three")).svg


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_is_drawn_as_text_whatever_stands_in_it(name: str):
    """No mathematics, no missing glyph (a warning, here an error), no markup; a name that begins with _ has its
    place in the legend."""
    drawn = draw(rows(name, "plain"))
    ET.fromstring(drawn.svg)
    panel = Panel(name, (Point(name, 0.2, 0.5), Point(name, 0.4, 0.6, 0.5, 0.7)))
    ET.fromstring(draw(Panels((panel,), "x", "y", "share")).svg)
    tags = {element.tag.partition("}")[2] for element in ET.fromstring(drawn.svg).iter()}
    assert {"script", "a", "b", "image", "foreignObject"}.isdisjoint(tags)


def test_a_label_keeps_its_beginning_and_end_in_three_lines():
    label = shortened("debate:rounds=3," + "option=value," * 20 + "last=1")
    lines = label.split("\n")
    assert len(lines) == 3 and label.startswith("debate:rounds=3,") and label.endswith("last=1")
    assert all(len(line) <= figures.LABEL + 2 for line in lines) and "…" in label
    assert shortened("debate:rounds=3") == "debate:rounds=3"


def test_names_that_are_alike_when_shortened_are_numbered():
    alike = [f"{'a' * 80}{middle}{'b' * 90}" for middle in "xy"]
    assert shortened(alike[0]) == shortened(alike[1])
    assert len(set(figures._told_apart(alike))) == 2


def test_what_has_no_interval_is_hollow():
    bare = Panels((Panel("", (Point("a", 0.5, 0.5),)),), "x", "y", "share")
    full = Panels((Panel("", (Point("a", 0.5, 0.5, 0.5, 0.5),)),), "x", "y", "share")

    def inked(what: Panels) -> int:
        return int((np.abs(pixels(draw(what).png) - to_rgb(COLOURS[0])).max(axis=2) < 0.05).sum())

    assert inked(bare) < inked(full)


def test_a_value_is_drawn_where_the_axis_says(monkeypatch: pytest.MonkeyPatch):
    """The marker of 50 % lies half-way between those of 0 % and 100 %."""
    made = []
    monkeypatch.setattr(figures, "_saved", lambda figure, *_: made.append(figure) or b"")
    draw(Rows(tuple(Dot(f"r{v}", "a", v, v, v) for v in (0.0, 0.5, 1.0)), "accuracy", "share"))
    axes = made[0].axes[0]
    ticks = dict(zip(axes.get_xticks(), (label.get_text() for label in axes.get_xticklabels()), strict=True))
    assert ticks[0.0] == "0 %" and ticks[0.5] == "50 %" and ticks[1.0] == "100 %"
    (series,) = (line for line in axes.lines if len(line.get_xdata()) == 3 and line.get_marker() == "o")
    assert series.get_xdata().tolist() == [0.0, 0.5, 1.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["r0.0", "r0.5", "r1.0"]
    low, high = axes.get_ylim()
    assert low > high  # the first row is at the top


@pytest.mark.parametrize(
    "name", ["debate:rounds={},order=sequential,cross=true", "debate:rounds=1,side=open (debater skill={})"]
)
def test_no_label_lies_on_another(name: str, monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(figures, "_saved", lambda figure, *_: made.append(figure) or b"")
    names = [name.format(n) for n in range(9)]
    panels = tuple(Panel(name, tuple(Point(s, 0.2, 0.5, 0.4, 0.6) for s in names)) for name in names)
    draw(Panels(panels, "tokens an episode (prompt and completion)", "judge accuracy", "number"))
    (figure, _) = made
    (legend,) = figure.legends
    boxes = [legend.get_window_extent(), *(axes.get_tightbbox() for axes in figure.axes)]
    for n, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[n + 1 :])
        assert one.x0 >= -1 and one.x1 <= figure.bbox.width + 1


def test_rounds_are_whole_and_zero_is_in_sight(monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(figures, "_saved", lambda figure, *_: made.append(figure) or b"")
    draw(Panels((Panel("", (Point("a", 0, 0.5), Point("a", 1, 0.6))),), "rounds", "belief", "number"))
    assert all(tick == round(tick) for tick in made[0].axes[0].get_xticks())
    draw(Rows((Dot("r", "a", 1.2, 1.1, 1.3),), "score difference", "number", zero=True))
    low, high = made[-1].axes[0].get_xlim()
    assert low <= 0 < 1.3 <= high


def test_the_users_own_settings_change_nothing(tmp_path: Path):
    what = rows("one")
    before = draw(what)
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "text.usetex": True}):
        assert draw(what) == before


def test_the_svg_needs_no_font_and_nothing_else():
    svg = draw(rows("one", "two")).svg.decode()
    assert "<text" not in svg and "<image" not in svg
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))
