from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oversight.recent import Recent


@given(st.lists(st.text("ab", max_size=6), max_size=200))
def test_it_gives_what_the_function_gives_and_holds_two_generations_at_most(asked: list[str]):
    made: list[str] = []

    def make(text: str) -> tuple[str, int]:
        made.append(text)
        return text, len(text)

    memory = Recent(make, len, 20)
    for text in asked:
        assert memory.get(text) == (text, len(text))
        held = {*memory._new, *memory._old}
        assert text in held
        assert sum(map(len, held)) <= 2 * (20 + 6)
    assert len(made) <= len(asked)


def test_what_is_asked_for_again_and_again_is_made_once():
    made: list[str] = []
    memory = Recent(lambda text: made.append(text) or text, len, 100)
    for n in range(200):
        memory.get("the passage")
        memory.get(f"speech {n}")
    assert made.count("the passage") == 1
