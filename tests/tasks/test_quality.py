"""The QuALITY task: real rows where the data folder is there, malformed ones always."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from oversight import BadQuestion, Label, Question, UserError
from oversight.library import find_task

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "hub"
real = pytest.mark.skipif(
    not (DATA / "emozilla__quality").is_dir(),
    reason="no ../shared/data/hub/emozilla__quality beside the checkout",
)
ROW = {
    "article": "A STORY\n\nOnce.",
    "question": "Why?",
    "options": ["a", "b", "c", "d"],
    "answer": 2,
    "hard": True,
}


def read(**params: Any) -> list[tuple[Question, Label]]:
    return list(find_task("quality").questions(**{"seed": 0, **params}))


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERSIGHT_DATA", str(DATA))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes rows as the hub's validation file."""
    monkeypatch.setenv("OVERSIGHT_DATA", str(tmp_path))
    folder = tmp_path / "emozilla__quality" / "data"
    folder.mkdir(parents=True)

    def write(*changes: dict[str, Any]) -> None:
        with duckdb.connect() as connection:
            connection.execute(
                "create table t (article text, question text, options text[], answer bigint, hard boolean)"
            )
            for change in changes:
                connection.execute("insert into t values (?, ?, ?, ?, ?)", list({**ROW, **change}.values()))
            connection.execute(f"copy t to '{folder / 'validation-00000-of-00001.parquet'}' (format parquet)")

    return write


@real
@pytest.mark.usefixtures("mirror")
def test_the_real_rows() -> None:
    items = read()
    assert len(items) == len({q.source_id for q, _ in items}) == len({q.key for q, _ in items}) == 202
    assert len({q.group for q, _ in items}) == len({q.passage for q, _ in items}) == 15
    assert {q.meta["hard"] for q, _ in items} == {None}
    assert sorted(Counter(q.meta["answer"] for q, _ in items).items()) == [(0, 56), (1, 52), (2, 43), (3, 51)]
    for q, label in items:
        assert q.answers[label.index] == q.meta["options"][q.meta["answer"]]
        assert len(q.answers) == 2 and set(q.answers) < set(q.meta["options"])
        assert 2_000 < len((q.passage or "").split()) == q.meta["words"] < 6_000
    titles = {q.meta["title"] for q, _ in items}
    assert len(titles) == 15 and "LOST IN TRANSLATION" in titles


@real
@pytest.mark.usefixtures("mirror")
def test_the_training_rows_are_marked_hard_or_not() -> None:
    assert [len(read(split="train", hard=hard)) for hard in (None, True, False)] == [5, 4, 1]
    with pytest.raises(
        UserError, match="no validation question is marked hard=True; 202 in these files are not"
    ):
        read(hard=True)


@real
@pytest.mark.usefixtures("mirror")
def test_four_answers_are_all_the_options_in_an_order_of_the_seed() -> None:
    for q, label in read(answers=4):
        assert sorted(q.answers) == sorted(q.meta["options"])
        assert q.answers[label.index] == q.meta["options"][q.meta["answer"]]
    assert [q.answers for q, _ in read(answers=4)] != [q.answers for q, _ in read(answers=4, seed=1)]


@real
@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("answers", [2, 4])
def test_every_place_and_every_wrong_option_is_as_likely(answers: int) -> None:
    items = [item for seed in range(12) for item in read(answers=answers, seed=seed)]
    places = Counter(label.index for _, label in items)
    assert all(abs(places[i] / len(items) - 1 / answers) < 0.04 for i in range(answers))
    if answers == 2:
        first = items[0][0].source_id
        drawn = Counter(q.answers[1 - label.index] for q, label in items if q.source_id == first)
        assert len(drawn) == 3


def test_a_pair_does_not_depend_on_the_rows_read_beside_it(rows: Any) -> None:
    changes = [{"question": f"Why {i}?"} for i in range(12)]
    rows(*changes)
    every = {q.source_id: (q.answers, label) for q, label in read()}
    rows(*reversed(changes[3:7]))
    some = {q.source_id: (q.answers, label) for q, label in read()}
    assert len(some) == 4 and some.items() <= every.items()


def test_two_questions_of_the_same_words_on_one_story_are_told_apart_by_their_options(rows: Any) -> None:
    rows({}, {"options": ["a", "b", "c", "e"]}, {"article": "ANOTHER\n\nTwice."})
    items = read()
    assert len({q.source_id for q, _ in items}) == 3
    assert [q.meta["title"] for q, _ in items] == ["A STORY", "A STORY", "ANOTHER"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"article": " \n"}, "the article is empty"),
        ({"article": None}, "the article is empty"),
        ({"question": " "}, "the question is empty"),
        ({"options": ["a", "b", "c"]}, "3 options; there should be 4"),
        ({"options": None}, "0 options"),
        ({"answer": 4}, "the answer is 4; it should be 0 to 3"),
        ({"answer": -1}, "the answer is -1"),
        ({"answer": None}, "the answer is None"),
        ({"options": ["a", "b", "c", " A "]}, "options are empty or equal"),
        ({"options": ["a", "b", "c", " "]}, "options are empty or equal"),
    ],
)
def test_a_malformed_row_is_refused_by_its_id(rows: Any, change: dict[str, Any], says: str) -> None:
    rows(change)
    with pytest.raises(BadQuestion, match=r"^quality-[0-9a-f]{16}-[0-9a-f]{16}: ") as caught:
        read()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_split_that_the_mirror_lacks_is_named(rows: Any) -> None:
    rows({})
    with pytest.raises(
        UserError, match=r"has no train-\*\.parquet; it has data/validation-00000-of-00001\.parquet"
    ):
        read(split="train")


def test_three_answers_cannot_be_had() -> None:
    with pytest.raises(UserError, match="answers is 3; choose 2 or 4"):
        read(answers=3)
