"""The light of an HDR10 picture, without decoding it."""

import re
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.codecs.sei import hevc_is_configured, hevc_light

GRADED = pack(">8H2I", 8500, 39850, 6550, 2300, 35400, 14600, 15635, 16450, 10_000_000, 50)
MASTERING = {
    "mastering_primaries": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329),
    "mastering_min_luminance": 0.005,
    "mastering_max_luminance": 1000.0,
}
SEQUENCE = b"\x42\1sps"


def message(kind: int, content: bytes) -> bytes:
    return bytes((kind, len(content))) + content


def sei(*messages: bytes) -> bytes:
    body = b"".join(messages) + b"\x80"
    # Three bytes that would look like a start code are kept apart.
    return b"\x4e\1" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", body)


def units(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


def configuration(*contents: bytes) -> bytes:
    arrays = [b"\xa0\0\1" + len(content).to_bytes(2, "big") + content for content in contents]
    return b"\1" + bytes(20) + b"\3" + bytes((len(arrays),)) + b"".join(arrays)


KEY, LEADING, RPU = b"\x26\1picture", b"\2\1picture", b"\x7c\1rpu"
LIGHT = message(144, pack(">2H", 1000, 400))
LEVELS = {"max_content_light": 1000, "max_average_light": 400}
PLAIN: dict[str, Any] = {"hdr10_plus": False}


@pytest.mark.parametrize(
    ("record", "packet", "found"),
    [
        (configuration(SEQUENCE), units(KEY), PLAIN),
        (configuration(SEQUENCE), units(SEQUENCE, sei(message(137, GRADED), LIGHT), KEY), PLAIN | MASTERING | LEVELS),
        (configuration(SEQUENCE, sei(LIGHT)), units(KEY), PLAIN | LEVELS),
        (configuration(sei(LIGHT)), units(sei(message(144, bytes(4))), KEY), PLAIN | dict.fromkeys(LEVELS)),
        (configuration(), units(sei(message(4, b"\xb5\0\x31GA94"), message(5, b"x" * 200)), KEY, KEY), PLAIN),
        (configuration(), units(sei(message(4, b"\xb5\0\x3c\0\1\4")), KEY), None),
        (configuration(), units(KEY, RPU), None),
        (configuration(), units(LEADING), None),
        (configuration(), units(sei(LIGHT)), None),
        (configuration(), units(sei(LIGHT)[:-2], KEY), None),
        (configuration(), units(KEY)[:-1], None),
        (b"\0\0\0\1" + configuration(), units(KEY), None),
        (configuration(SEQUENCE)[:-1], units(KEY), None),
        (b"", units(KEY), None),
    ],
)
def test_static_metadata(record: bytes, packet: bytes, found: dict[str, Any] | None) -> None:
    """Of the configuration and the first picture; where there may be more, a picture has to be decoded."""
    assert hevc_light(record, packet) == found


def test_parameter_sets_beside_the_pictures() -> None:
    """Are those of the configuration, or what that says does not hold."""
    assert hevc_is_configured(configuration(SEQUENCE), units(SEQUENCE, KEY))
    assert hevc_is_configured(configuration(SEQUENCE), units(KEY))
    assert not hevc_is_configured(configuration(SEQUENCE), units(b"\x42\1xyz", KEY))
    assert not hevc_is_configured(configuration(SEQUENCE), units(KEY)[:-1])
    assert not hevc_is_configured(b"", units(KEY))


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_judged(record: bytes, packet: bytes) -> None:
    """They come from files that anybody may have made."""
    for given_record in (record, configuration(SEQUENCE, record)):
        hevc_light(given_record, packet)
        hevc_light(given_record, units(sei(packet), KEY))
        hevc_is_configured(given_record, packet)
