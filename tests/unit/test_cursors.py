"""Cursors: where a page ended, for one query only."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.cursors import decode, encode
from stoat_ferret.errors import InvalidCursorError

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(plain, st.lists(plain, max_size=4))
def test_a_cursor_gives_its_position_back(query: object, position: list[object]) -> None:
    """And is a word that a URL can carry."""
    cursor = encode(query, position)
    assert decode(cursor, query) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(plain, plain, st.lists(plain, max_size=2))
def test_a_cursor_is_of_one_query(query: object, other: object, position: list[object]) -> None:
    """Another one refuses it."""
    if json.dumps(query) != json.dumps(other):
        with pytest.raises(InvalidCursorError, match="another query"):
            decode(encode(query, position), other)


@given(st.text(max_size=40))
def test_any_text_is_refused_in_good_order(text: str) -> None:
    """Whatever it is."""
    with pytest.raises(InvalidCursorError):
        decode(text, "q")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1", "null", "{}", '["a"]', '["a",1,2]', '{"a":1,"b":2}', "NaN", '"ab"']
)
def test_json_that_is_no_cursor_is_refused(text: str) -> None:
    """Also where it is nested deeper than can be read."""
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    with pytest.raises(InvalidCursorError):
        decode(cursor, "q")
