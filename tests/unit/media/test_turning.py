"""A picture is turned by its rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.frames import turned_rows

PICTURES = st.integers(min_value=1, max_value=9).flatmap(
    lambda width: st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=9)
)


@pytest.mark.parametrize(
    ("clockwise", "expected"),
    [(90, [b"da", b"eb", b"fc"]), (180, [b"fed", b"cba"]), (270, [b"cf", b"be", b"ad"])],
)
def test_the_top_left_corner_goes_where_it_should(clockwise: int, expected: list[bytes]) -> None:
    """Turned clockwise by 90 degrees, top left becomes top right."""
    assert turned_rows([b"abc", b"def"], clockwise) == expected


@given(PICTURES)
def test_turns_add_up(rows: list[bytes]) -> None:
    """Two quarters are a half, and four are nothing."""
    quarter = turned_rows(rows, 90)
    assert turned_rows(quarter, 90) == turned_rows(rows, 180)
    assert turned_rows(quarter, 270) == rows
