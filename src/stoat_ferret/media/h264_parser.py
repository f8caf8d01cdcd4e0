"""What FFmpeg's parser finds out of an H.264 stream's header and first packet: profile, level, order of fields.

Pure functions over bytes. They answer only where the parser surely succeeds, which it does not over damaged parameter
sets or a picture that refers to one that is not there; None otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stoat_ferret.media.bits import Bits, TooShortError

_PROFILES = {
    66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2",
}  # fmt: skip
_HIGH, _BASELINE = {100, 110, 122}, 66
_MOST_BITS, _MOST_REFERENCES = 12, 16
"""Of a frame's or a picture's number, less four; and frames that others refer to."""
_CONSTRAINED, _INTRA = 0x40, 0x10
"""Of the constraint flags (Rec. ITU-T H.264, 7.4.2.1.1): the second, the fourth."""
_EXTENDED_RATIO = 255
_SEQUENCE, _PICTURE, _SLICE, _KEY_SLICE = 7, 8, 1, 5
_PASSED = {6, 9}
"""Supplemental information, and delimiters."""
_LONGEST_PASSED = 4096
_SLICE_HEADER = 60
"""Bytes."""
_PROGRESSIVE = 1
_MOST_SETS = 32
_MOST_UNITS = 64
_SLICE_KINDS = 10
_UNREGISTERED_ENDS = (b"\0\0\0", b"\0\0\1", b"\0\0\2")
"""What may not be in a unit (Rec. ITU-T H.264, 7.4.1)."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What FFmpeg's parser says."""

    profile: str
    level: int
    field_order: int | None
    """By FFmpeg's numbers; None where it depends on more than is read here."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    number: int
    profile: str
    level: int
    frames_only: bool
    order_kind: int
    says_fields: bool


def parsed(configuration: bytes, packet: Any) -> Parsed | None:
    """Read a stream's header, an `AVCDecoderConfigurationRecord`, and its first packet, as the container holds it."""
    try:
        return _parsed(configuration, packet)
    except (TooShortError, IndexError):
        return None


def _parsed(configuration: bytes, packet: Any) -> Parsed | None:
    units = list(_configured(configuration))
    sequences = [unit for unit in units if unit[0] & 31 == _SEQUENCE]
    if len(sequences) != 1:
        return None
    sequence = _sequence(sequences[0])
    pictures: dict[int, bool] = {}
    for unit in units:
        if unit[0] & 31 == _PICTURE:
            number, of, ordered = _picture(unit)
            if number in pictures or sequence is None or of != sequence.number:
                return None
            pictures[number] = ordered
    found = _first_slice(packet, (configuration[4] & 3) + 1, configuration)
    if sequence is None or found is None or found[1] not in pictures:
        return None
    plain = sequence.frames_only and sequence.order_kind != 1 and not sequence.says_fields
    known = plain and found[0] == _KEY_SLICE and not pictures[found[1]]
    return Parsed(sequence.profile, sequence.level, _PROGRESSIVE if known else None)


def _configured(record: bytes) -> Iterator[bytes]:
    if record[0] != 1:
        raise TooShortError
    at, kinds = 5, (_SEQUENCE, _PICTURE)
    for kind in kinds:
        count = record[at] & 31 if kind == _SEQUENCE else record[at]
        at += 1
        for _ in range(count if count <= _MOST_SETS else 0):
            length = int.from_bytes(record[at : at + 2], "big")
            at += 2 + length
            unit = record[at - length : at]
            if length < 4 or at > len(record) or unit[0] & 31 != kind or _is_broken(unit):
                raise TooShortError
            yield unit


def _is_broken(unit: bytes) -> bool:
    return any(end in unit for end in _UNREGISTERED_ENDS)


def _bits(unit: bytes) -> Bits:
    """Give the bits of a unit up to the one that ends it."""
    data = unit[1:].replace(b"\0\0\3", b"\0\0").rstrip(b"\0")
    if not data:
        raise TooShortError
    return Bits(data, (data[-1] & -data[-1]).bit_length())


def _sequence(unit: bytes) -> _Sequence | None:
    bits = _bits(unit)
    profile, flags, level = bits.take(8), bits.take(8), bits.take(8)
    number, name = bits.golomb(), _profile(profile, flags)
    if name is None or number >= _MOST_SETS or not level or (profile in _HIGH and not _pass_high(bits)):
        return None
    frame_bits, order = bits.golomb(), bits.golomb()
    order_bits = bits.golomb() if order == 0 else 0
    if order not in (0, 2) or max(frame_bits, order_bits) > _MOST_BITS or bits.golomb() > _MOST_REFERENCES:
        return None
    bits.take(1)
    width, height, frames_only = bits.golomb() + 1, bits.golomb() + 1, bits.take(1)
    if not frames_only:
        height *= 2
        bits.take(1)
    bits.take(1)
    if bits.take(1) and not _is_cropped(bits, 16 * width, 16 * height, 2 - frames_only):
        return None
    says_fields = _usability(bits) if bits.take(1) else False
    if says_fields is None:
        return None
    return _Sequence(number, name, level, bool(frames_only), order, says_fields)


def _profile(number: int, flags: int) -> str | None:
    name = _PROFILES.get(number)
    if number == _BASELINE and flags & _CONSTRAINED:
        return f"Constrained {name}"
    return f"{name} Intra" if number in (110, 122) and flags & _INTRA else name


def _pass_high(bits: Bits) -> bool:
    chroma = bits.golomb()
    if chroma > 2 or (depth := bits.golomb()) > 6 or bits.golomb() != depth:
        return False
    bits.take(1)
    return not bits.take(1)  # scaling lists


def _is_cropped(bits: Bits, width: int, height: int, rows: int) -> bool:
    """Tell whether some is left of a cropped picture."""
    left, right, top, bottom = (bits.golomb() for _ in range(4))
    return 2 * (left + right) < width and 2 * rows * (top + bottom) < height


def _usability(bits: Bits) -> bool | None:
    """Read the video usability information (Rec. ITU-T H.264, annex E); tell whether pictures say how they are shown.

    None where something is not as it should be.
    """
    _pass_looks(bits)
    if bits.take(1):
        bits.take(65)  # how long a tick is
    references = 0
    for _ in range(2):
        if bits.take(1):
            references += 1
            _pass_reference_decoder(bits)
    if references:
        bits.take(1)
    says_fields = bool(bits.take(1))
    if bits.take(1):
        bits.take(1)
        limits = [bits.golomb() for _ in range(6)]
        if max(limits) > 30 or limits[4] > 16:
            return None
    return says_fields


def _pass_looks(bits: Bits) -> None:
    """Pass over shape, overscan, colours and where chroma lies."""
    if bits.take(1) and bits.take(8) == _EXTENDED_RATIO:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1) and bits.take(5) & 1:
        bits.take(24)
    if bits.take(1):
        bits.golomb()
        bits.golomb()


def _pass_reference_decoder(bits: Bits) -> None:
    count = bits.golomb() + 1
    if count > _MOST_SETS:
        raise TooShortError
    bits.take(8)
    for _ in range(count):
        bits.golomb()
        bits.golomb()
        bits.take(1)
    bits.take(20)


def _picture(unit: bytes) -> tuple[int, int, bool]:
    """Read a picture parameter set: its number, that of its sequence, and whether pictures tell fields apart."""
    bits = _bits(unit)
    number, sequence = bits.golomb(), bits.golomb()
    bits.take(1)
    ordered = bool(bits.take(1))
    if number > 255 or bits.golomb() or bits.golomb() > 31 or bits.golomb() > 31:
        raise TooShortError
    bits.take(3)
    bits.signed_golomb()
    bits.signed_golomb()
    offset = bits.signed_golomb()
    bits.take(3)
    if bits.left:
        bits.take(1)
        if bits.take(1):  # scaling lists
            raise TooShortError
        if abs(bits.signed_golomb()) > 12:
            raise TooShortError
    if abs(offset) > 12:
        raise TooShortError
    return number, sequence, ordered


def _first_slice(packet: Any, length_bytes: int, configuration: bytes) -> tuple[int, int] | None:
    """Give the kind of a packet's first slice, and the number of the picture parameter set that it refers to."""
    at, size = 0, len(packet)
    for _ in range(_MOST_UNITS):
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if not length or at + length > size:
            return None
        kind = packet[at] & 31
        if kind in (_SLICE, _KEY_SLICE):
            start = bytes(packet[at : at + min(length, _SLICE_HEADER)])
            if _is_broken(start):
                return None
            bits = Bits(start[1:].replace(b"\0\0\3", b"\0\0"))
            bits.golomb()
            return (kind, bits.golomb()) if bits.golomb() < _SLICE_KINDS else None
        if length > _LONGEST_PASSED:
            return None
        unit = bytes(packet[at : at + length])
        known = kind in _PASSED or (kind in (_SEQUENCE, _PICTURE) and unit in configuration)
        if not known or _is_broken(unit):
            return None
        at += length
    return None
