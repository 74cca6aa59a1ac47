from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oversight.recent import Recent


@given(st.lists(st.text("ab", max_size=6), max_size=200))
def test_it_knows_what_was_put_in_or_forgets_it_and_holds_two_generations_at_most(asked: list[str]):
    memory: Recent[str, tuple[str, int]] = Recent(lambda text, _: len(text), 20)
    for text in asked:
        found = memory.find(text)
        assert found in (None, (text, len(text)))
        if found is None:
            memory.put(text, (text, len(text)))
        assert memory.find(text) == (text, len(text))
        held = {*memory._new, *memory._old}
        assert sum(map(len, held)) <= 2 * (20 + 6)


def test_what_is_asked_for_again_and_again_is_never_forgotten():
    memory: Recent[str, str] = Recent(lambda text, _: len(text), 100)
    memory.put("the passage", "known")
    for n in range(200):
        assert memory.find("the passage") == "known"
        memory.put(f"speech {n}", "said")
    assert memory.find("speech 0") is None
