"""What first packets say, bit by bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.codecs.packets import Ac3, Vp9, ac3, ac3_is_whole, h264_picture, pgs_size, vp8_size, vp9


def bits(*fields: tuple[int, int]) -> bytes:
    text = "".join(f"{value:0{count}b}" for value, count in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big") + bytes(8)


def vp9_frame(*, profile: int = 0, again: int = 0, inter: int = 0, deep: int | None = None, space: int = 1) -> bytes:
    depth = [] if deep is None else [(deep, 1)]
    start = [(2, 2), (profile & 1, 1), (profile >> 1, 1), (again, 1), (inter, 1), (1, 1), (0, 1), (0x498342, 24)]
    return bits(*start, *depth, (space, 3), (1, 1), (1919, 16), (1079, 16))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, Vp9("Profile 0", "yuv420p", 5, True, 1920, 1080)),
        ({"space": 0}, Vp9("Profile 0", "yuv420p", 2, True, 1920, 1080)),
        ({"profile": 2, "deep": 0, "space": 5}, Vp9("Profile 2", "yuv420p10le", 9, True, 1920, 1080)),
        ({"profile": 2, "deep": 1, "space": 2}, Vp9("Profile 2", "yuv420p12le", 1, True, 1920, 1080)),
        ({"profile": 1}, None),
        ({"space": 7}, None),
        ({"again": 1}, None),
        ({"inter": 1}, None),
    ],
)
def test_a_vp9_keyframe(fields: dict[str, int], found: Vp9 | None) -> None:
    """How it is stored, and its size; of another frame, or a rare profile, nothing."""
    assert vp9(vp9_frame(**fields)) == found


def test_a_vp8_keyframe() -> None:
    """Its size, if its first part is all there."""
    frame = (2 << 5).to_bytes(3, "little") + b"\x9d\x01\x2a" + bytes((0x40, 0x41, 0xB4, 0)) + b"xx"
    assert vp8_size(frame) == (320, 180)
    assert vp8_size(frame[:-1]) is None
    assert vp8_size(bytes((frame[0] | 1,)) + frame[1:]) is None
    assert vp8_size(frame.replace(b"\x9d", b"\x9c")) is None


@pytest.mark.parametrize(
    ("mode", "mixing", "low", "channels"), [(1, 0, 0, 1), (2, 2, 0, 2), (2, 2, 1, 3), (3, 2, 0, 3), (7, 4, 1, 6)]
)
def test_an_ac3_frame(mode: int, mixing: int, low: int, channels: int) -> None:
    """Rate, channels and bit rate."""
    frame = bits((0x0B77, 16), (0, 16), (0, 2), (28, 6), (8, 5), (0, 3), (mode, 3), (0, mixing), (low, 1))
    if not mixing:
        frame = bits((0x0B77, 16), (0, 16), (0, 2), (28, 6), (8, 5), (0, 3), (mode, 3), (low, 1))
    assert ac3(frame) == Ac3(48_000, channels, 384_000)


@pytest.mark.parametrize("head", [(0x0B78, 0, 28, 8), (0x0B77, 3, 28, 8), (0x0B77, 0, 38, 8), (0x0B77, 0, 28, 16)])
def test_what_is_no_plain_ac3(head: tuple[int, int, int, int]) -> None:
    """No sync word, no such rate or size, E-AC-3."""
    sync, rate, size, version = head
    assert ac3(bits((sync, 16), (0, 16), (rate, 2), (size, 6), (version, 5), (0, 11))) is None


def test_subtitles_as_pictures() -> None:
    """The size of what they lie on."""
    assert pgs_size(b"\x16\0\x13" + (1920).to_bytes(2, "big") + (1080).to_bytes(2, "big")) == (1920, 1080)
    assert pgs_size(b"\x17\0\x13\1\2\3\4") is None
    assert pgs_size(b"\x16\0") is None


CONFIGURATION = b"\1\x64\0\x28\xff\xe1\0\4\x67\1\2\3\1\0\0"


def units(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


@pytest.mark.parametrize(
    ("packet", "shown"),
    [
        (units(b"\x65abc"), True),
        (units(b"\x06sei", b"\x67\1\2\3", b"\x41abc"), True),
        (units(b"\x67\1\2\4", b"\x65abc"), False),
        (units(b"\x06sei"), False),
        (units(b"\x65abc")[:-1], False),
        (units(b"\x65abc", b""), False),
        (b"", False),
    ],
)
def test_an_h264_packet_holds_a_picture(packet: bytes, shown: bool) -> None:
    """Whole units, and parameters as they were announced."""
    assert h264_picture(packet, CONFIGURATION) is shown
    assert not h264_picture(packet, b"")


@given(st.binary(max_size=80))
def test_any_bytes_are_judged(packet: bytes) -> None:
    """They come from files that anybody may have made."""
    vp9(packet)
    vp8_size(packet)
    ac3(packet)
    pgs_size(packet)
    h264_picture(packet, CONFIGURATION)


def checksum(data: bytes) -> int:
    """Give the remainder of x^16 + x^15 + x^2 + 1, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


@given(st.binary(min_size=121, max_size=121), st.booleans(), st.integers(0, 122))
def test_the_checksum_of_an_ac3_frame(content: bytes, right: bool, length: int) -> None:
    """And its length: of 32 kbit/s at 48 kHz there are 128 bytes."""
    body = b"\0\0\0" + content
    frame = b"\x0b\x77" + body + (checksum(body) ^ (0 if right else 1)).to_bytes(2, "big")
    assert len(frame) == 128
    assert (checksum(frame[2:]) == 0) == ac3_is_whole(frame) == right
    assert not ac3_is_whole(frame[:length] + bytes(5)[: 122 - length])
