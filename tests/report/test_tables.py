"""Tables fit the terminal they are printed on, or become records; a pipe gets every cell whole."""

from __future__ import annotations

import io
import random

import pytest
from rich.console import Console
from rich.text import Text

from oversight.report.tables import plain_table, print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


def printed(rows: list[list[str]], file: io.StringIO, **how: str) -> list[str]:
    table = plain_table(*(f"c{n}" for n in range(len(rows[0]))))
    for row in rows:
        table.add_row(*row)
    print_table(table, file, **how)
    return file.getvalue().splitlines()


def test_a_pipe_gets_what_rich_prints_where_there_is_room() -> None:
    draw = random.Random(1)
    for _ in range(50):
        table = plain_table(*(draw.choice(["n", "a long head", "北京"]) for _ in range(draw.randint(1, 4))))
        for column in table.columns:
            column.justify = draw.choice(["left", "right"])
        for _ in range(draw.randint(0, 4)):
            cells = ["x", "", "a b  ", Text("Ärger 北京 " * draw.randint(0, 3)), Text("NULL", "dim")]
            table.add_row(*(draw.choice(cells) for _ in table.columns))
        ours, theirs = io.StringIO(), io.StringIO()
        print_table(table, ours)
        Console(file=theirs, highlight=False, width=10_000_000).print(table, crop=False)
        assert ours.getvalue() == theirs.getvalue()


def test_what_fits_is_a_table() -> None:
    lines = printed([["a", "b" * 40], ["c", "d"]], Terminal())
    assert len(lines) == 4 and all(len(line) <= 80 for line in lines)
    assert "b" * 40 in lines[2]


def test_the_widest_column_gives_way_first() -> None:
    lines = printed([["x" * 30, "y" * 200]], Terminal())
    assert all(len(line) <= 80 for line in lines)
    assert "x" * 30 in lines[2] and lines[2].rstrip().endswith("…")


def test_the_flexible_column_gives_way_before_any_other() -> None:
    lines = printed([["m" * 60, *("n" * 9 for _ in range(5))]], Terminal(), flexible="c0")
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].count("n" * 9) == 5 and "…" in lines[2]


def test_too_many_columns_become_records_that_lose_nothing() -> None:
    row = [f"value {n} " + "z" * 90 for n in range(12)]
    lines = printed([row, row], Terminal())
    assert all(len(line) <= 80 for line in lines)
    assert sum(line.startswith("── ") for line in lines) == 2
    assert "".join(lines).count("z") == 2 * 12 * 90


def test_a_pipe_gets_every_cell_whole() -> None:
    lines = printed([["x" * 500] * 9], io.StringIO())
    assert lines[2].count("x") == 4500
