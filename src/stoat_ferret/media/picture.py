"""Colour names, high dynamic range, rotation and shape of a picture: pure functions over numbers FFmpeg gives.

The names are those of ffprobe; the numbers are ITU-T H.273's, which FFmpeg's enumerations follow.
"""

from collections.abc import Iterable
from fractions import Fraction

from stoat_ferret.media.info import Hdr

RANGES = {1: "tv", 2: "pc"}
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
SPACES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2",
    16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
CHROMA = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 4): "4:1:0"}
"""By how many pixels, across and down, share one sample of chroma."""
GREY = "4:0:0"
FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}

PQ = "smpte2084"
HLG = "arib-std-b67"
_STANDARD_RANGE = {
    "bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "iec61966-2-4", "bt1361e", "iec61966-2-1", "bt2020-10",
    "bt2020-12",
}  # fmt: skip


def colours(primaries: int, transfer: int, matrix: int) -> dict[str, str | None]:
    """Name how numbers stand for colours, as fields of `StreamInfo`: None for each number that says nothing."""
    return {
        "color_primaries": PRIMARIES.get(primaries),
        "color_transfer": TRANSFERS.get(transfer),
        "color_space": SPACES.get(matrix),
    }


def dynamic_range(
    *, transfer: str | None, bits: int | None, dolby_vision: bool, side_data: Iterable[str] | None = None
) -> Hdr | None:
    """Say which dynamic range a picture has, or None where that is not known.

    Args:
        transfer: the transfer function by ffprobe's name.
        bits: of the deepest component; every HDR format needs 10, so 8 without a transfer function is standard.
        dolby_vision: the container or a frame carries Dolby Vision's metadata.
        side_data: names of a decoded frame's side data; None where no frame could be looked at.
    """
    seen = set(side_data or ())
    if dolby_vision or seen & {"DOVI_RPU_BUFFER", "DOVI_METADATA"}:
        return "dolby_vision"
    if transfer == HLG:
        return "hlg"
    if transfer == PQ:
        if side_data is None:
            return None
        return "hdr10_plus" if "DYNAMIC_HDR_PLUS" in seen else "hdr10"
    if transfer in _STANDARD_RANGE or (transfer is None and bits is not None and bits <= 8):
        return "sdr"
    return None


def level(number: int) -> int | None:
    """Give a codec's level; FFmpeg has -99 for none, and 0 where the codec has none or it is not known."""
    return number if number > 0 else None


def clockwise(anticlockwise: float | None, *, display_matrix: bool) -> int | None:
    """Turn FFmpeg's rotation, in degrees anticlockwise, into 0, 90, 180 or 270 degrees clockwise.

    None means that there is a matrix which is no quarter turn; no matrix at all is no turn.
    """
    if anticlockwise is None:
        return None if display_matrix else 0
    quarters = -anticlockwise / 90
    if abs(quarters) > 4 or abs(quarters - round(quarters)) > 0.02:
        return None
    return round(quarters) % 4 * 90


def ratio_text(ratio: Fraction | None) -> str | None:
    """Write an aspect ratio as `width:height`; None for none, and for zero, by which FFmpeg says that it is unknown."""
    return f"{ratio.numerator}:{ratio.denominator}" if ratio else None


def display_size(
    width: int | None, height: int | None, sample_aspect_ratio: Fraction | None, rotation: int | None
) -> tuple[int | None, int | None]:
    """Give width and height as shown: samples made square by stretching the width, then turned.

    An unknown rotation leaves both unknown, since they might be exchanged.
    """
    if not width or not height or rotation is None:
        return None, None
    if sample_aspect_ratio is not None and sample_aspect_ratio > 0:
        width = max(1, round(width * sample_aspect_ratio))
    return (height, width) if rotation % 180 else (width, height)
