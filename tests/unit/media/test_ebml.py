"""What a Matroska file says itself of its length and its pictures."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.ebml import EBML, Stated, stated


def element(identity: str, content: bytes, *, unknown: bool = False) -> bytes:
    size = b"\x01" + (b"\xff" * 7 if unknown else len(content).to_bytes(7, "big"))
    return bytes.fromhex(identity) + size + content


def track(kind: int, frame: int | None = None, *, length: int = 4) -> bytes:
    lasts = b"" if frame is None else element("23E383", frame.to_bytes(length, "big"))
    return element("AE", element("83", bytes([kind])) + lasts)


HEADER = element("1A45DFA3", element("4282", b"matroska"))
SCALE = element("2AD7B1", (500_000).to_bytes(3, "big"))
LASTS = element("4489", struct.pack(">d", 4000.0))
TRACKS = element("1654AE6B", track(1, 40_000_000) + track(2) + track(1))
CLUSTER = element("1F43B675", bytes(50))


def file_of(*content: bytes, unknown: bool = False) -> bytes:
    return HEADER + element("18538067", b"".join(content), unknown=unknown)


@pytest.mark.parametrize(
    ("info", "duration"),
    [
        (LASTS, 4.0),
        (SCALE + LASTS, 2.0),
        (LASTS + SCALE, 2.0),
        (element("4489", struct.pack(">f", 1500.0)), 1.5),
        (SCALE, None),
        (element("4489", b"\1\2"), None),
    ],
)
def test_duration_and_frame_durations(info: bytes, duration: float | None) -> None:
    """Of Info and Tracks, wherever they lie among the other elements."""
    content = file_of(element("EC", bytes(5)), element("1549A966", info), TRACKS, CLUSTER)
    assert content.startswith(EBML)
    assert stated(content) == Stated(duration, (40_000_000, 0), len(content))


def test_numbers_longer_than_any_may_be() -> None:
    """Say nothing; a damaged file has them."""
    scale, tracks = element("2AD7B1", b"\xff" * 999), element("1654AE6B", track(1, 1 << 800, length=999))
    content = file_of(element("1549A966", scale + LASTS), tracks)
    assert stated(content) == Stated(0.0, (0,), len(content))


def test_a_recording_of_unknown_length() -> None:
    """Its end is not said."""
    content = file_of(element("1549A966", LASTS), TRACKS, CLUSTER, unknown=True)
    assert stated(content) == Stated(4.0, (40_000_000, 0), None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER,
        HEADER + HEADER,
        b"\0" * 100,
        file_of(CLUSTER),
        file_of(element("1549A966", LASTS), CLUSTER),
        file_of(TRACKS),
        file_of(element("1549A966", LASTS), TRACKS)[:-1],
        file_of(element("1549A966", LASTS), element("1F43B675", b"", unknown=True) + TRACKS),
    ],
)
def test_what_does_not_say_all(content: bytes) -> None:
    """Or not within the first bytes."""
    assert stated(content) is None


@given(st.binary(max_size=300), st.integers(0, 200))
def test_any_bytes_are_judged(damage: bytes, place: int) -> None:
    """Lengths in a damaged file are any numbers."""
    content = file_of(element("1549A966", LASTS), TRACKS, CLUSTER)
    stated(content[:place] + damage + content[place + len(damage) :])
    stated(EBML + damage)
