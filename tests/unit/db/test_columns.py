"""What no database can hold is replaced in what is stored, however it comes to be looked for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from stoat_ferret.db.columns import Json, storable_json

DIALECT = sqlite.dialect()
ODD = st.sampled_from(["\x00", "\ud800", "\udfff", "\U0001f400", "\\u0000", "NaN", "-Infinity", "é"])
TEXTS = st.lists(st.one_of(st.text(max_size=5), ODD), max_size=4).map("".join)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(VALUES)
def test_json_is_written_as_if_each_of_its_parts_had_been_looked_at(value: Any) -> None:
    """Most values need not be walked through; what they look like once written shows which do."""
    write = Json.dialect_impl(DIALECT).bind_processor(DIALECT)
    assert write is not None
    written = write(value)
    assert written.encode()
    assert json.loads(written, parse_constant=pytest.fail) == storable_json(value)
