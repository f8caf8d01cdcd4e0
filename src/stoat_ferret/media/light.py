"""The light of a high dynamic range picture, as the side data of a decoded frame tells it."""

from collections.abc import Mapping
from dataclasses import replace
from struct import Struct
from typing import Any

from stoat_ferret.media.dump import light_levels
from stoat_ferret.media.info import StreamInfo

SideData = Mapping[str, bytes]
"""FFmpeg's structures, by the names of their types."""
_MASTERING = Struct("=22i")
_LEVELS = Struct("=2I")
_PRIMARIES = 8
"""x and y of red, green, blue and white."""


def of_frame(frame: SideData) -> dict[str, Any]:
    """Give what a frame says, as fields of `StreamInfo`."""
    found: dict[str, Any] = {"hdr10_plus": "DYNAMIC_HDR_PLUS" in frame}
    if (mastering := frame.get("MASTERING_DISPLAY_METADATA")) is not None:
        found |= _mastering(mastering)
    if (levels := frame.get("CONTENT_LIGHT_LEVEL")) is not None and len(levels) >= _LEVELS.size:
        found |= light_levels(*_LEVELS.unpack_from(levels))
    return found


def with_light(stream: StreamInfo, found: dict[str, Any]) -> StreamInfo:
    """Add what pictures say of their light to what the container says of their stream, which goes before."""
    said = {name for name in found if getattr(stream, name) is not None}
    return replace(stream, **{name: value for name, value in found.items() if name not in said})


def _mastering(data: bytes) -> dict[str, Any]:
    """Read FFmpeg's `AVMasteringDisplayMetadata`: ten fractions, then whether primaries and luminances are there.

    Primaries are rounded to four decimals, as FFmpeg does where it writes what the container says.
    """
    if len(data) < _MASTERING.size:
        return {}
    numbers = _MASTERING.unpack_from(data)
    fractions = list(zip(numbers[0:20:2], numbers[1:20:2], strict=True))
    if any(bottom == 0 for _, bottom in fractions):
        return {}
    values = [top / bottom for top, bottom in fractions]
    found: dict[str, Any] = {}
    if numbers[20]:
        found["mastering_primaries"] = tuple(float(f"{value:.4f}") for value in values[:_PRIMARIES])
    if numbers[21]:
        found["mastering_min_luminance"], found["mastering_max_luminance"] = (round(value, 6) for value in values[8:])
    return found
