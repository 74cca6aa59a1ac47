"""A key is the hash of what it stands for as Python's own JSON, whatever writes that JSON: stored calls are found by it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from oversight import Image
from oversight.models.interface import Message
from oversight.question import content_key, hex_id

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.integers() | st.text(st.characters(exclude_categories=()))) | st.lists(anything))
@example(["message", "user", "a\ud800b"])
@example(["message", '\0\x1f\x7f\u2028 "\\/'])
@example(["order", 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
@example(["call", True, 1, 1.0, 1e-05, 1e16, -0.0, None])
def test_it_is_the_hash_of_pythons_json(parts: list[Any]):
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    assert f"{content_key(*parts):016x}" == digest


def test_keys_of_messages_stay_what_they_were():
    """Those of a file written by the first version."""
    assert hex_id(Message("user", "Grüße, “du” 😀\n\t").key) == "cb59c197034c58b2"
    image = Image("image/png", b"\x89PNG\r\n\x1a\n")
    assert hex_id(Message("system", "", (image,)).key) == "e77f72c7722fa854"
