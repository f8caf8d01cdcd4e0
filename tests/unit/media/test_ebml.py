"""What a Matroska file says itself of its length and its pictures."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.ebml import EBML, NotUnderstoodError, Stated, stated


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


KNOWN = frozenset({0x83, 0xD7, 0x536E})


def test_elements_that_fill_a_place() -> None:
    """With what may lie anywhere passed over."""
    content = b"\x83\x81\x01" + b"\xec\x82\0\0" + b"\x53\x6e\x40\x02ab" + b"\xbf\x84\0\0\0\0" + b"\xd7\x80"
    assert ebml.children(content, 0, len(content), KNOWN) == [(0x83, 2, 3), (0x536E, 11, 13), (0xD7, 21, 21)]
    assert ebml.once(content, 0, len(content), KNOWN) == {0x83: (2, 3), 0x536E: (11, 13), 0xD7: (21, 21)}
    assert ebml.numbers(content, 0, 13, KNOWN) == {0x83: 1, 0x536E: 0x6162}
    with pytest.raises(NotUnderstoodError):
        ebml.numbers(content, 0, len(content), KNOWN)
    with pytest.raises(NotUnderstoodError):
        ebml.once(content + content, 0, 2 * len(content), KNOWN)


@pytest.mark.parametrize(
    "content",
    [
        b"\x83",
        b"\x83\x82\x01",
        b"\x83\xff",
        b"\x83\x00",
        b"\0\x81\0",
        b"\x84\x81\x01",
        b"\x83\x01\xff\xff",
        b"\x08\0\0\0\0\x80",
    ],
)
def test_elements_that_do_not(content: bytes) -> None:
    """Cut short, of unknown length, not known, or none."""
    with pytest.raises(NotUnderstoodError):
        ebml.children(content, 0, len(content), KNOWN)


def test_values() -> None:
    """Numbers, numbers with a point, text; what is empty is the default."""
    assert (ebml.unsigned(b"\1\2", 0, 2), ebml.unsigned(b"", 0, 0, 7)) == (258, 7)
    assert (ebml.real(struct.pack(">f", 1.5), 0, 4), ebml.real(b"", 0, 0, 2.0)) == (1.5, 2.0)
    assert (ebml.text(b"a\xc3\xa9\0b", 0, 5), ebml.text(b"\xff", 0, 1)) == ("a\xe9", "\ufffd")
    for wrong in (b"\1\2\3", struct.pack(">d", float("nan"))):
        with pytest.raises(NotUnderstoodError):
            ebml.real(wrong, 0, len(wrong))
    with pytest.raises(NotUnderstoodError):
        ebml.unsigned(bytes(9), 0, 9)
    for end in (2, 1 << 20):
        with pytest.raises(NotUnderstoodError):
            ebml.text(b"a", 0, end)
