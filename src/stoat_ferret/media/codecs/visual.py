"""What the first bytes of pictures of MPEG-4 (ISO/IEC 14496-2) and of frames of MP3 say, without a decoder.

Pure functions over bytes. They answer only where they are sure to understand all.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from stoat_ferret.media.codecs.bits import Bits, TooShortError

_START = re.compile(rb"\x00\x00\x01([\x00-\xff])")
_SEQUENCE, _OBJECT, _USER, _GROUP, _PICTURE = 0xB0, 0xB5, 0xB2, 0xB3, 0xB6
_LAYERS = range(0x20, 0x30)
_OBJECTS = range(0x20)
_SIMPLE, _SIMPLE_OBJECT, _FIRST_VERSION = 0, 1, 0b0001
_RECTANGLE, _SQUARE, _PLAIN_COLOURS = 0, 1, 1
_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_KILOBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MP3_SAMPLES = 1152


@dataclass(frozen=True, slots=True)
class Mpeg4:
    """What the beginning of an MPEG-4 stream says of it."""

    profile: str
    level: int
    width: int
    height: int
    resolution: int
    """Units of time in a second."""
    rate: Fraction
    """Of pictures; as many as there are units where none is fixed."""


def mpeg4(stream: bytes) -> Mpeg4 | None:
    """Read the headers up to the first picture, which has to be one that can be decoded alone.

    None also for interlaced pictures, for those that may be shown in another order than they are stored in, and for
    samples that are not square.
    """
    found: dict[int, bytes] = {}
    begins = list(_START.finditer(stream[:1024]))
    if not begins or begins[0].start() or len(begins) < 3:
        return None
    for start in begins:
        kind, content = start[1][0], stream[start.end() : start.end() + 64]
        if kind == _PICTURE:
            return _layer(found) if content and content[0] >> 6 == 0 else None
        name = _LAYERS.start if kind in _LAYERS else kind
        if name in found or not (kind in _OBJECTS or name in (_LAYERS.start, _SEQUENCE, _OBJECT, _USER, _GROUP)):
            return None
        if kind == _USER and not content.startswith(b"Lavc"):
            return None
        found[name] = content
    return None


def headers(stream: bytes) -> bytes:
    """Give what comes before the first picture, or before the time of the first; nothing where neither is there."""
    ends = [found.start() for found in _START.finditer(stream) if found[1][0] in (_GROUP, _PICTURE)]
    return stream[: ends[0]] if ends else b""


def _layer(found: dict[int, bytes]) -> Mpeg4 | None:
    if not found.keys() >= {_SEQUENCE, _LAYERS.start}:
        return None
    profile, level = found[_SEQUENCE][0] >> 4, found[_SEQUENCE][0] & 15
    if profile != _SIMPLE or level > 7:
        return None
    bits = Bits(found[_LAYERS.start])
    try:
        bits.take(1)
        if bits.take(8) != _SIMPLE_OBJECT or (bits.take(1) and bits.take(7) >> 3 != _FIRST_VERSION):
            return None
        # Square samples, control parameters, colours at half size, stored in the order of showing, without buffers.
        if (bits.take(4), bits.take(1), bits.take(2), bits.take(1), bits.take(1)) != (_SQUARE, 1, _PLAIN_COLOURS, 1, 0):
            return None
        if bits.take(2) != _RECTANGLE or not bits.take(1):
            return None
        resolution, marked, fixed = bits.take(16), bits.take(1), bits.take(1)
        if not resolution or not marked:
            return None
        increment = bits.take(max(1, (resolution - 1).bit_length())) if fixed else 1
        marks = bits.take(1)
        width, marks = bits.take(13), marks & bits.take(1)
        height, marks = bits.take(13), marks & bits.take(1)
        if not marks or bits.take(1) or not increment:  # interlaced
            return None
    except TooShortError:
        return None
    return Mpeg4("Simple Profile", level, width, height, resolution, Fraction(resolution, increment))


def is_mp3(frame: bytes, rate: int, channels: int) -> bool:
    """Tell whether bytes are one frame of MP3 (ISO/IEC 11172-3, 2.4.1.3), of a sampling rate and so many channels."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xFE != 0xFA or frame[2] >> 2 & 3 == 3:
        return False
    kilobits, padding = _MP3_KILOBITS[frame[2] >> 4], frame[2] >> 1 & 1
    length = _MP3_SAMPLES // 8 * kilobits * 1000 // rate + padding
    return (
        _MP3_RATES[frame[2] >> 2 & 3] == rate and (1 if frame[3] >> 6 == 3 else 2) == channels and length == len(frame)
    )


def mp3_bit_rate(frame: bytes) -> int:
    """Give the bits a second that a frame of MP3 says, of 32 kHz and more."""
    return _MP3_KILOBITS[frame[2] >> 4] * 1000
