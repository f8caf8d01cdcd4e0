"""The units of an H.264 stream (Rec. ITU-T H.264, annex B) at its beginning, and the frames of AAC (ADTS).

Pure functions over bytes. They answer only where they are sure to understand all; None otherwise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stoat_ferret.media.codecs import parameters
from stoat_ferret.media.codecs.bits import Bits, TooShortError

_START = re.compile(rb"\x00\x00\x01.", re.DOTALL)
_ANY_SEQUENCE = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67]")
_PICTURE, _KEY_PICTURE, _MESSAGES, _SEQUENCE, _PICTURE_SET, _DELIMITER = 1, 5, 6, 7, 8, 9
"""Types of units (table 7-1)."""
_UNTOLD = {0, 1, 4, 5, 6}
"""Types of messages (annex D) of which nothing follows that is told of a file: buffers, captions, the encoder's own."""
_OLD_ENCODER = re.compile(rb"x264 - core (?:[0-3]?\d|4[0-3])\b")
"""Those counted time otherwise."""
_PROFILES = {66: "Baseline", 77: "Main", 100: "High", 110: "High 10", 122: "High 4:2:2"}
_LEVELS = {10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62}
_SET_1, _SET_3 = 0x40, 0x10
"""Constraints."""
_FRAME_HEADER = 7
_ELEMENTS = {1: 0, 2: 1}
"""Types of elements, by the number of channels in them."""
_FILLING, _DOUBLED, _MOST_FILLING = 6, {13, 14}, 512
"""What fills a frame up; content of it that makes for twice the sampling rate."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What the beginning of an H.264 stream says of it."""

    profile: str
    level: int
    set: bytes
    """The sequence parameter set's own unit."""
    said: parameters.H264


def h264(stream: bytes) -> Sequence | None:
    """Read the units up to the first picture, which has to be one that can be decoded alone.

    None also where the pictures may be interlaced, or where something is said beside them that may matter.
    """
    sets: set[bytes] = set()
    orders: set[bool] = set()
    for kind, unit in _units(stream):
        if kind == _KEY_PICTURE:
            return _sequence(*sets) if len(sets) == 1 and orders == {False} else None
        if kind == _SEQUENCE:
            sets.add(unit)
        elif kind == _PICTURE_SET:
            orders.add(_has_order(unit))
        elif not (kind == _DELIMITER or (kind == _MESSAGES and _are_untold(unit))):
            return None
    return None


def other_sequence(data: bytes, begin: int, end: int, first: Sequence) -> bool:
    """Tell whether a part of a stream has another sequence parameter set than the first, as far as it has one."""
    found = _ANY_SEQUENCE.search(data, begin, end)
    return found is not None and not (data[found.start() + 3 : end] + b"\0").startswith(
        first.set[: end - found.start() - 3]
    )


def _units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and bytes of each unit, from the first start code, which has to be at the beginning, on."""
    begins = [found.start() for found in _START.finditer(stream)]
    if not begins or stream[: begins[0]].strip(b"\0"):
        return
    for begin, end in zip(begins, [*begins[1:], len(stream)], strict=True):
        unit = stream[begin + 3 : end].rstrip(b"\0")
        yield stream[begin + 3] & 31, unit


def _sequence(unit: bytes) -> Sequence | None:
    if len(unit) < 4 or unit[0] & 0x80:
        return None
    profile, constraints, level = unit[1:4]
    name = _PROFILES.get(profile)
    if name is None or level not in _LEVELS or (constraints & _SET_3 and (profile >= 110 or level == 11)):
        return None
    if profile == 66 and constraints & _SET_1:
        name = "Constrained Baseline"
    configuration = b"\1" + unit[1:4] + b"\xff\xe1" + len(unit).to_bytes(2, "big") + unit
    said = parameters.h264(configuration, full_range=None)
    return None if said is None or not said.progressive else Sequence(name, level, unit, said)


def _has_order(unit: bytes) -> bool:
    """Tell whether a picture parameter set has each picture say which field comes first; True where in doubt."""
    bits = Bits(unit[1:32].replace(b"\0\0\3", b"\0\0"))
    try:
        bits.golomb()
        bits.golomb()
        bits.take(1)
        return bool(bits.take(1))
    except TooShortError:
        return True


def _are_untold(unit: bytes) -> bool:
    """Tell whether a unit has only messages (7.3.2.3) that are passed over."""
    data, at = unit[1:].replace(b"\0\0\3", b"\0\0"), 0
    while at < len(data) and data[at:] != b"\x80":
        numbers = []
        for _ in range(2):
            number = 0
            while data[at : at + 1] == b"\xff":
                number, at = number + 255, at + 1
            if at >= len(data):
                return False
            numbers.append(number + data[at])
            at += 1
        if numbers[0] not in _UNTOLD or at + numbers[1] > len(data):
            return False
        at += numbers[1]
    return at < len(data) and _OLD_ENCODER.search(data) is None


def adts(sound: bytes, enough: int) -> parameters.Aac | None:
    """Read whole frames of AAC (ISO/IEC 13818-7, 6.2) from the first byte on.

    None where there are not so many as are enough, where they do not all say the same, or say what `parameters.aac` has
    no answer for; and for more than two channels, as a decoder believes a damaged frame rather than its header.
    """
    header, frames, at = sound[:4], 0, 0
    while at + _FRAME_HEADER <= len(sound):
        fixed = sound[at : at + 3] == header[:3] and sound[at + 3] & 0xF0 == header[3] & 0xF0
        length = (sound[at + 3] & 3) << 11 | sound[at + 4] << 3 | sound[at + 5] >> 5
        if not fixed or length <= _FRAME_HEADER or sound[at + 6] & 3:
            return None
        at += length
        frames += at <= len(sound)
    if frames < enough or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    kind, index, channels = (header[2] >> 6) + 1, header[2] >> 2 & 15, (header[2] & 1) << 2 | header[3] >> 6
    if not _begins_with(_ELEMENTS.get(channels), sound[_FRAME_HEADER if header[1] & 1 else _FRAME_HEADER + 2 :]):
        return None
    return parameters.aac((kind << 11 | index << 7 | channels << 3).to_bytes(2, "big"))


def _begins_with(element: int | None, frame: bytes) -> bool:
    """Tell whether the first element of a frame (ISO/IEC 14496-3, table 4.85) but for fillings is of a type."""
    bits = Bits(frame[:_MOST_FILLING])
    try:
        while (kind := bits.take(3)) == _FILLING:
            count = bits.take(4)
            if count == 15:
                count += bits.take(8) - 1
            if count and bits.take(4) in _DOUBLED:
                return False
            bits.take(max(0, 8 * count - 4))
    except TooShortError:
        return False
    return kind == element
