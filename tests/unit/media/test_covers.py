"""Cover art is described by its own header."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.codecs.covers import Jpeg, jpeg


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def frame(*, factors: tuple[int, int, int] = (0x22, 0x11, 0x11), ids: tuple[int, int, int] = (1, 2, 3)) -> bytes:
    parts = b"".join(bytes((number, factor, 0)) for number, factor in zip(ids, factors, strict=True))
    return b"\x08" + (480).to_bytes(2, "big") + (640).to_bytes(2, "big") + b"\3" + parts


def picture(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, b"\3") + b"data\xff\xd9"


PLAIN = Jpeg("Baseline", 640, 480, "yuvj420p", None)
JFIF = segment(0xE0, b"JFIF\0\1\2\1\0\x48\0\x24\0\0")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (picture(segment(0xC0, frame())), PLAIN),
        (picture(JFIF, segment(0xC0, frame())), Jpeg("Baseline", 640, 480, "yuvj420p", Fraction(2))),
        (picture(segment(0xC2, frame(factors=(0x21, 0x11, 0x11)))), Jpeg("Progressive", 640, 480, "yuvj422p", None)),
        (picture(segment(0xC0, frame(factors=(0x11, 0x11, 0x11)))), Jpeg("Baseline", 640, 480, "yuvj444p", None)),
        (picture(segment(0xE1, b"Exif"), segment(0xDB, bytes(65)), segment(0xC0, frame())), PLAIN),
        (picture(segment(0xEE, b"Adobe"), segment(0xC0, frame())), None),
        (picture(segment(0xFE, b"CS=ITU601"), segment(0xC0, frame())), None),
        (picture(segment(0xC1, frame())), None),
        (picture(segment(0xC0, frame(factors=(0x41, 0x11, 0x11)))), None),
        (picture(segment(0xC0, frame(ids=(82, 71, 66)))), None),
        (picture(segment(0xC0, frame()[:-1])), None),
        (picture(segment(0xC0, frame()))[:-1], None),
        (picture(), None),
        (b"\x89PNG\r\n", None),
    ],
)
def test_jpeg(data: bytes, found: Jpeg | None) -> None:
    """Size, samples and shape of the common kinds; of others nothing."""
    assert jpeg(data) == found


def test_a_jpeg_s_fields() -> None:
    """The range is full and the matrix that of BT.601, as in every JFIF file."""
    assert Jpeg("Baseline", 640, 480, "yuvj420p", Fraction(2)).fields == {
        "profile": "Baseline",
        "width": 640,
        "height": 480,
        "pixel_format": "yuvj420p",
        "sample_aspect_ratio": "2:1",
        "color_range": "pc",
        "color_space": "bt470bg",
    }


@given(st.binary(max_size=120))
def test_any_bytes_are_judged(data: bytes) -> None:
    """They come from files that anybody may have made."""
    jpeg(data)
    jpeg(picture(data))
    jpeg(picture(segment(0xC0, data)))
