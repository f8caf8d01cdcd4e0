"""Paths as bytes and as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.errors import InvalidPathError
from stoat_ferret.paths import (
    absolute,
    decode_base64,
    display,
    encode_base64,
    exact_if_needed,
    is_below,
    with_ancestors,
)


@given(st.binary())
def test_base64_gives_every_path_back(path: bytes) -> None:
    """Exactly."""
    assert decode_base64(encode_base64(path)) == path


@pytest.mark.parametrize("text", ["a", "L3Y", "L3Y=\n", "é", "L3-Y", "\ud800", "===="])
def test_what_is_not_base64_is_an_invalid_path(text: str) -> None:
    """With a message that says what to give."""
    with pytest.raises(InvalidPathError, match="not base64"):
        decode_base64(text)


@given(st.binary())
def test_any_path_can_be_shown(path: bytes) -> None:
    """And where showing loses something, the exact bytes are given beside it."""
    shown = display(path)
    exact = exact_if_needed(path)
    assert len(shown) <= len(path)
    if exact is None:
        assert shown.encode() == path
    else:
        assert decode_base64(exact) == path


@pytest.mark.parametrize(
    ("given_path", "normal"),
    [
        (b"/", b"/"), (b"//", b"/"), (b"//v", b"/v"), (b"///v", b"/v"), (b"/v/", b"/v"), (b"/v//w/./x/../y", b"/v/w/y"),
        (b"/..", b"/"), (b"//../v", b"/v"),
    ],
)  # fmt: skip
def test_a_path_has_one_spelling(given_path: bytes, normal: bytes) -> None:
    """POSIX leaves two leading slashes to the system; here they are one, or a folder would have two libraries."""
    assert absolute(given_path) == normal


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [
        (b"/v/a", b"/v", True), (b"/v", b"/v", True), (b"/vw", b"/v", False), (b"/v", b"/", True), (b"/", b"/", True),
        (b"/", b"/v", False), (b"/v/a", b"/v/a/b", False),
    ],
)  # fmt: skip
def test_what_lies_below_a_folder(path: bytes, folder: bytes, below: bool) -> None:
    """The folder itself does; what only begins alike does not."""
    assert is_below(path, folder) is below


def test_a_path_comes_with_every_folder_above_it() -> None:
    """From the root down to the path itself."""
    assert with_ancestors(b"/a/b c/d") == [b"/", b"/a", b"/a/b c", b"/a/b c/d"]
    assert with_ancestors(b"/") == [b"/"]
