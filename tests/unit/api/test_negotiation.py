"""What a client would rather have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.api.negotiation import prefers

WEBP, JPEG = "image/webp", "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "webp"),
    [
        (None, False), ("", False), ("*/*", False), ("image/*", False), ("image/webp", True), ("IMAGE/WebP", True),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", True), ("image/webp;q=0", False),
        ("image/webp;q=0, */*", False), ("image/webp;q=0.5, */*", False), ("image/jpeg;q=0.5, image/webp", True),
        ("image/webp;q=0.9, image/jpeg", False), ("image/webp, image/jpeg", False), ("image/jpeg;q=0, */*", True),
        ("image/webp ; q=0.5 , image/jpeg; q=0.4", True), ("image/webp;q=2, image/jpeg;q=0.1", False),
        ("image/webp;q=0.1234, image/jpeg;q=0.1", False), ("image/webp;level=1;q=0.5", True), ("text/html", False),
        ("image/webp;q=", False), ("*/*;q=0.1, image/*;q=0", False), (",;=,", False),
    ],
)  # fmt: skip
def test_the_usual_comes_unless_another_is_preferred(accept: str | None, webp: bool) -> None:
    """By quality, then by how exactly it is named (RFC 9110, 12.5.1)."""
    assert prefers(accept, WEBP, JPEG) is webp


@given(st.text())
def test_anything_can_be_read(accept: str) -> None:
    """And nobody prefers one thing both ways round."""
    assert not (prefers(accept, WEBP, JPEG) and prefers(accept, JPEG, WEBP))
