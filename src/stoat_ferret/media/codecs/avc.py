"""Whether an H.264 stream is surely what its configuration says, and what a parser would say of it.

Pure functions over bytes. Profile, level and order of fields are what FFmpeg's parser finds out from the first picture;
it forgives much, and so anything unusual is left to it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stoat_ferret.media.codecs import packets, parameters
from stoat_ferret.media.codecs.bits import Bits, TooShortError

_CONSTRAINED, _INTRA = 0x40, 0x10
"""Constraint flags 1 and 3, in the byte after the profile (Rec. ITU-T H.264, 7.4.2.1.1)."""
_PROFILES = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High"}
_INTRA_PROFILES = {110: "High 10", 122: "High 4:2:2", 244: "High 4:4:4 Predictive"}
_SEQUENCE, _PICTURE, _MESSAGES, _KEY_SLICE = 7, 8, 6, 5
"""Types of units."""
_PICTURE_TIMING = 1
"""The type of a message (Rec. ITU-T H.264, table D.1)."""
_MOST_SETS = 4
_SLICE_START = 24
_UNIT_START = 4096


class _UnusualError(Exception):
    """Never leaves this module."""


@dataclass(frozen=True, slots=True)
class Avc:
    """What a configuration says, of pictures that are coded as whole frames."""

    profile: str
    level: int
    shown: parameters.H264
    pictures: frozenset[int]
    """The numbers of its picture parameter sets."""
    timed: bool
    """Messages may tell of fields nevertheless."""
    length_bytes: int


@lru_cache(maxsize=64)
def configured(record: bytes, full_range: bool | None) -> Avc | None:
    """Read an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1); None where it is not wholly understood.

    Films of one camera or encoder have the same; those seen last are remembered.
    """
    shown = parameters.h264(record, full_range=full_range)
    if shown is None:
        return None
    try:
        sequence, pictures = _sets(record)
        if len(sequence) < 5 or sequence[0] & 0x9F != _SEQUENCE:
            return None
        number, timed = _check_sequence(_Checked(sequence[1:]))
        numbers = frozenset(_picture(picture, number) for picture in pictures)
        profile = _profile(sequence[1], sequence[2])
    except (_UnusualError, TooShortError):
        return None
    return Avc(profile, sequence[3], shown, numbers, timed, (record[4] & 3) + 1)


def begins_as_configured(packet: Any, record: bytes, avc: Avc) -> bool:
    """Tell whether the stream's first packet begins with a picture in the way that the configuration says.

    Args:
        packet: bytes, or something like them of which only what is looked at is read: whole units, of pictures their
            beginnings at least, with lengths as if that was all of them.
        record: the configuration.
        avc: what it says.
    """
    if not packets.h264_picture(packet, record):
        return False
    at, size = 0, len(packet)
    while at < size:
        length = int.from_bytes(packet[at : at + avc.length_bytes], "big")
        at += avc.length_bytes
        first = packet[at]
        unit, at = packet[at : at + min(length, wanted(first))], at + length
        kind = first & 31
        if first & 0x80 or kind == 1 or (kind == _PICTURE and unit not in record):
            return False
        if kind == _MESSAGES and avc.timed and _tells_time(unit):
            return False
        if kind == _KEY_SLICE:
            return _is_of(unit, avc)
    return False


def wanted(first: int) -> int:
    """Say how many bytes of a unit count, by its first one."""
    return _SLICE_START if first & 31 <= _KEY_SLICE else _UNIT_START


def _is_of(unit: bytes, avc: Avc) -> bool:
    bits = Bits(unit[1:].replace(b"\0\0\3", b"\0\0"))
    try:
        first, kind = bits.golomb(), bits.golomb()
        return first == 0 and kind in (2, 7) and bits.golomb() in avc.pictures
    except TooShortError:
        return False


def _tells_time(unit: bytes) -> bool:
    """Tell whether there may be a message that says whether a picture is of fields; also if that cannot be told."""
    at = 1
    while at + 2 < len(unit):
        kind, at = _number(unit, at)
        size, at = _number(unit, at)
        if kind == _PICTURE_TIMING:
            return True
        at += size
    return at > len(unit)


def _number(unit: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(unit) and unit[at] == 255:
        value, at = value + 255, at + 1
    return value + (unit[at] if at < len(unit) else 0), at + 1


def _sets(record: bytes) -> tuple[bytes, list[bytes]]:
    """Give the sequence parameter set, of which there is one, and the picture parameter sets."""
    end = 8 + int.from_bytes(record[6:8], "big")
    sequence, count, at = record[8:end], record[end] if end < len(record) else 0, end + 1
    found = []
    if not 1 <= count <= _MOST_SETS:
        raise _UnusualError
    for _ in range(count):
        length = int.from_bytes(record[at : at + 2], "big")
        unit, at = record[at + 2 : at + 2 + length], at + 2 + length
        if length < 2 or len(unit) != length or unit[0] & 0x9F != _PICTURE:
            raise _UnusualError
        found.append(unit)
    return sequence, found


def _profile(number: int, constraints: int) -> str:
    name = _PROFILES.get(number)
    if number == 66 and constraints & _CONSTRAINED:
        return "Constrained Baseline"
    if name is None and number in _INTRA_PROFILES:
        name = _INTRA_PROFILES[number]
        if constraints & _INTRA:
            name = f"{name.removesuffix(' Predictive')} Intra"
    if name is None:
        raise _UnusualError
    return name


class _Checked(Bits):
    """Bits of a unit of which nothing may be left over but its end."""

    def __init__(self, unit: bytes) -> None:
        super().__init__(unit.replace(b"\0\0\3", b"\0\0"))

    def most(self, limit: int) -> int:
        """Read a number that may not be larger."""
        value = self.golomb()
        if value > limit:
            raise _UnusualError
        return value

    def finish(self) -> None:
        """Make sure that only a one and zeros are left (Rec. ITU-T H.264, 7.3.2.11)."""
        left = self.left
        if not 1 <= left <= 16 or self.take(left) != 1 << (left - 1):
            raise _UnusualError


def _check_sequence(bits: _Checked) -> tuple[int, bool]:
    """Read a sequence parameter set (Rec. ITU-T H.264, 7.3.2.1.1) to its end.

    Returns:
        Its number, and whether messages may tell of fields.
    """
    profile = bits.take(8)
    bits.take(16)
    number = bits.most(31)
    if profile >= 100:
        _check_chroma(bits)
    bits.most(12)
    kind = bits.most(2)
    if kind == 1:
        raise _UnusualError
    if kind == 0:
        bits.most(12)
    bits.most(16)
    bits.take(1)
    bits.most(1023)
    bits.most(1023)
    if not bits.take(1):
        raise _UnusualError  # fields
    bits.take(1)
    if bits.take(1):
        for _ in range(4):
            bits.most(1023)
    timed = _check_usability(bits) if bits.take(1) else False
    bits.finish()
    return number, timed


def _check_chroma(bits: _Checked) -> None:
    if bits.most(3) == 3:
        bits.take(1)
    if bits.most(6) != bits.most(6):
        raise _UnusualError
    bits.take(1)
    if bits.take(1):
        raise _UnusualError  # scaling lists


def _check_usability(bits: _Checked) -> bool:
    """Read the video usability information (Rec. ITU-T H.264, E.1.1); give whether messages may tell of fields."""
    if bits.take(1) and bits.take(8) == 255:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.most(5)
        bits.most(5)
    if bits.take(1) and (not bits.take(32) or not bits.take(33) >> 1):
        raise _UnusualError
    parameters.pass_buffers(bits)
    timed = bool(bits.take(1))
    if bits.take(1):
        bits.take(1)
        for limit in (16, 16, 32, 32, 16, 16):
            bits.most(limit)
    return timed


def _picture(unit: bytes, sequence: int) -> int:
    """Read a picture parameter set (Rec. ITU-T H.264, 7.3.2.2) as far as it matters; give its number."""
    bits = _Checked(unit[1:])
    number = bits.most(255)
    if bits.golomb() != sequence:
        raise _UnusualError
    bits.take(1)
    if bits.take(1) or bits.golomb():
        raise _UnusualError  # the two fields' order is said in each picture; several groups of slices
    bits.most(31)
    bits.most(31)
    bits.take(3)
    for limit in (62, 62, 12):
        if abs(bits.signed_golomb()) > limit:
            raise _UnusualError
    bits.take(3)
    return number
