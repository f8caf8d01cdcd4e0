"""The light of an HDR10 picture, out of the supplemental enhancement information (SEI) of an HEVC stream.

Pure functions over bytes. A picture is decoded instead (None) wherever the stream carries more than static metadata
(HDR10+, Dolby Vision), or is not laid out as is expected.
"""

import struct
from collections.abc import Iterator
from typing import Any

from stoat_ferret.media.dump import light_levels

_PREFIX_SEI, _DOLBY_VISION = 39, 62
"""Types of NAL units (Rec. ITU-T H.265, table 7-1); 62 is unspecified there, and carries Dolby Vision's RPU."""
_PARAMETER_SETS = range(32, 35)
_WHOLE = {*_PARAMETER_SETS, _PREFIX_SEI}
_PICTURES = range(32)
_KEY_PICTURES = range(16, 22)
_MASTERING, _LEVELS, _REGISTERED = 137, 144, 4
"""Types of messages (Rec. ITU-T H.265, table D.1)."""
_CAPTIONS = b"\xb5\x00\x31"
"""Country and provider (Rec. ITU-T T.35) of ATSC's captions; others may be HDR10+ or Dolby Vision."""
_COLOUR_VOLUME = struct.Struct(">8H2I")
_PRIMARY_UNITS, _LUMINANCE_UNITS = 50_000, 10_000
_CONFIGURATION_ARRAYS = 22
_MOST_UNITS = 1000
_PICTURE_START, _LONGEST_WHOLE = 3, 1 << 16


class _UnexpectedError(Exception):
    """Something is not as it should be. Never leaves this module."""


def hevc_light(configuration: bytes, packet: bytes) -> dict[str, Any] | None:
    """Give fields of `StreamInfo` that the first pictures' static metadata says.

    Args:
        configuration: an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3.1), as containers hold it.
        packet: the stream's first, as the container holds it.
    """
    try:
        return _light(configuration, packet)
    except (_UnexpectedError, IndexError, struct.error):
        return None


def hevc_is_configured(configuration: bytes, packet: bytes) -> bool:
    """Tell whether the stream's first packet is whole, and has no parameter sets but those of its configuration."""
    try:
        units = list(_units(packet, (configuration[21] & 3) + 1))
    except (_UnexpectedError, IndexError):
        return False
    return all(unit in configuration for unit in units if _kind(unit) in _PARAMETER_SETS)


def wanted(first: int) -> int:
    """Say how many bytes of a unit count, by its first one."""
    return _LONGEST_WHOLE if _kind(bytes((first,))) in _WHOLE else _PICTURE_START


def _light(configuration: bytes, packet: bytes) -> dict[str, Any]:
    if len(configuration) <= _CONFIGURATION_ARRAYS or configuration[0] != 1:
        raise _UnexpectedError
    found: dict[str, Any] = {"hdr10_plus": False}
    for unit in _configured(configuration):
        if _kind(unit) == _PREFIX_SEI:
            found |= _messages(unit)
    pictures = 0
    for unit in _units(packet, (configuration[21] & 3) + 1):
        kind = _kind(unit)
        if kind == _DOLBY_VISION or (kind in _PICTURES and kind not in _KEY_PICTURES):
            raise _UnexpectedError
        pictures += kind in _KEY_PICTURES
        if kind == _PREFIX_SEI:
            found |= _messages(unit)
    if not pictures:
        raise _UnexpectedError
    return found


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _configured(record: bytes) -> Iterator[bytes]:
    """Yield the units in the record's arrays."""
    at = _CONFIGURATION_ARRAYS + 1
    for _ in range(record[_CONFIGURATION_ARRAYS]):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            at += 2 + length
            if length < 3 or at > len(record):
                raise _UnexpectedError
            yield record[at - length : at]


def _units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yield a packet's units, of pictures only the beginnings; they have to fill it."""
    at = 0
    for _ in range(_MOST_UNITS):
        if at == len(packet):
            return
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if length < 3 or at + length > len(packet):
            raise _UnexpectedError
        yield packet[at : at + (length if packet[at] >> 1 & 63 in _WHOLE else 3)]
        at += length
    raise _UnexpectedError


def _messages(unit: bytes) -> dict[str, Any]:
    """Read the messages of one unit (Rec. ITU-T H.265, 7.3.5)."""
    data = unit[2:].replace(b"\0\0\3", b"\0\0")
    found: dict[str, Any] = {}
    at = 0
    while len(data) - at > 2:  # the last byte holds the bit that ends the unit
        kind, at = _number(data, at)
        size, at = _number(data, at)
        content = data[at : at + size]
        if len(content) != size:
            raise _UnexpectedError
        at += size
        if kind == _MASTERING:
            found |= _mastering(content)
        elif kind == _LEVELS:
            found |= light_levels(*struct.unpack_from(">2H", content))
        elif kind == _REGISTERED and not content.startswith(_CAPTIONS):
            raise _UnexpectedError
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while data[at] == 255:
        value, at = value + 255, at + 1
    return value + data[at], at + 1


def _mastering(content: bytes) -> dict[str, Any]:
    """Read the mastering display colour volume (Rec. ITU-T H.265, D.2.28): green, blue, red, white; most, least."""
    *points, most, least = _COLOUR_VOLUME.unpack_from(content)
    ordered = points[4:6] + points[0:4] + points[6:8]
    return {
        "mastering_primaries": tuple(float(f"{value / _PRIMARY_UNITS:.4f}") for value in ordered),
        "mastering_min_luminance": round(least / _LUMINANCE_UNITS, 6),
        "mastering_max_luminance": round(most / _LUMINANCE_UNITS, 6),
    }
