"""What a codec's own header says, without a decoder: H.264's sequence parameter set, AAC's configuration.

Pure functions over bytes. They answer only where they are sure to understand all; None otherwise.
"""

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from stoat_ferret.media.codecs.bits import Bits, TooShortError

_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
"""Those whose parameter set says how colour is stored (Rec. ITU-T H.264, 7.3.2.1.1)."""
_FORMATS = {1: "420", 2: "422", 3: "444"}
_RATIOS = (
    (0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11), (15, 11),
    (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
"""Sample aspect ratios by `aspect_ratio_idc` (Rec. ITU-T H.264, table E-1)."""
_EXTENDED_RATIO = 255
_RGB = 0
_SAMPLE_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
"""By `samplingFrequencyIndex` (ISO/IEC 14496-3, table 1.18)."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1"}
"""By `channelConfiguration` (ISO/IEC 14496-3, table 1.19), by FFmpeg's names."""
_LOW_COMPLEXITY = 2
_SYNC_EXTENSION = 0x2B7
_SPECTRAL_BAND_REPLICATION = 5


class Colours(NamedTuple):
    """How numbers stand for colours, as Rec. ITU-T H.273 counts the ways."""

    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True, slots=True)
class H264:
    """What an H.264 stream says of its pictures; None where it says nothing."""

    pixel_format: str
    size: tuple[int, int]
    """Width and height, cropped."""
    full_range: bool | None
    colours: Colours | None
    sample_aspect_ratio: Fraction | None
    progressive: bool = False
    """Of whole frames only; without what tells otherwise of single ones, as far as that can be told."""
    frame_rate: Fraction | None = None
    """That it states; a container may know of another."""


def h264(configuration: bytes, *, full_range: bool | None) -> H264 | None:
    """Read an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1) with a single sequence parameter set.

    Args:
        configuration: the record, as containers hold it.
        full_range: what the container says of it; the stream itself goes before.
    """
    if len(configuration) < 8 or configuration[0] != 1 or configuration[5] & 31 != 1:
        return None
    length = int.from_bytes(configuration[6:8], "big")
    unit = configuration[8 : 8 + length]
    if len(unit) != length or length < 4 or unit[0] & 31 != 7:
        return None
    try:
        return _sequence(Bits(unit[1:].replace(b"\0\0\3", b"\0\0")), full_range)
    except (TooShortError, IndexError):
        return None


def _sequence(bits: Bits, full_range: bool | None) -> H264 | None:
    profile = bits.take(8)
    bits.take(16)  # constraints and level
    bits.golomb()  # its number
    chroma, depth = 1, 8
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3 and bits.take(1):
            return None  # each colour coded as a picture of its own
        depth = 8 + bits.golomb()
        if 8 + bits.golomb() != depth:
            return None
        bits.take(1)
        if bits.take(1):
            _pass_scaling(bits, 8 if chroma != 3 else 12)
    _pass_order(bits)
    bits.golomb()  # reference frames
    bits.take(1)
    *size, whole_frames = _size(bits, chroma)
    shown = _usability(bits) if bits.take(1) else _Usability()
    if shown.full_range is not None:
        full_range = shown.full_range
    matrix = None if shown.colours is None else shown.colours.matrix
    name = _pixel_format(chroma, depth, full_range=bool(full_range), matrix=matrix)
    if name is None:
        return None
    progressive = whole_frames and not shown.frame_by_frame
    return H264(name, (size[0], size[1]), full_range, shown.colours, shown.ratio, progressive, shown.frame_rate)


def _pass_scaling(bits: Bits, lists: int) -> None:
    for number in range(lists):
        if bits.take(1):
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    following = (last + bits.signed_golomb()) % 256
                last = following or last


def _size(bits: Bits, chroma: int) -> tuple[int, int, bool]:
    """Read width and height, less what is cropped (Rec. ITU-T H.264, 7.4.2.1.1), and whether all frames are whole."""
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    rows = 2 - bits.take(1)  # of two fields, or of whole frames
    if rows == 2:
        bits.take(1)
    bits.take(1)
    left, right, top, bottom = (bits.golomb() for _ in range(4)) if bits.take(1) else (0, 0, 0, 0)
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    return width - across * (left + right), rows * (height - down * (top + bottom)), rows == 1


def _pass_order(bits: Bits) -> None:
    bits.golomb()  # the length of a frame's number
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        count = bits.golomb()
        if count > 255:
            raise TooShortError
        for _ in range(count):
            bits.golomb()


@dataclass(slots=True)
class _Usability:
    """The first part of the video usability information (Rec. ITU-T H.264, annex E)."""

    ratio: Fraction | None = None
    full_range: bool | None = None
    colours: Colours | None = None
    frame_rate: Fraction | None = None
    frame_by_frame: bool = False
    """Messages beside each picture say for how long it is shown."""


def _usability(bits: Bits) -> _Usability:
    found = _Usability()
    if bits.take(1):
        index = bits.take(8)
        width, height = (bits.take(16), bits.take(16)) if index == _EXTENDED_RATIO else _RATIOS[index]
        found.ratio = Fraction(width, height) if width and height else None
    if bits.take(1):
        bits.take(1)  # overscan
    if bits.take(1):
        bits.take(3)
        found.full_range = bool(bits.take(1))
        if bits.take(1):
            found.colours = Colours(bits.take(8), bits.take(8), bits.take(8))
    with suppress(TooShortError):
        _times(bits, found)
    return found


def _times(bits: Bits, found: _Usability) -> None:
    if bits.take(1):  # where chroma is sampled
        bits.golomb()
        bits.golomb()
    units = scale = 0
    if bits.take(1):
        units, scale = bits.take(32), bits.take(32)
        bits.take(1)
    pass_buffers(bits)
    found.frame_by_frame = bool(bits.take(1))
    found.frame_rate = Fraction(scale, 2 * units) if units and scale else None


def pass_buffers(bits: Bits) -> None:
    """Read over what is said to a hypothetical decoder (Rec. ITU-T H.264, E.1.1): none to two sets of parameters.

    Where there is one, a flag follows them.

    Raises:
        TooShortError: they end too early, or count more buffers than there can be.
    """
    said = False
    for _ in range(2):
        if bits.take(1):
            _pass_buffer(bits)
            said = True
    if said:
        bits.take(1)


def _pass_buffer(bits: Bits) -> None:
    """Read over one set of parameters (Rec. ITU-T H.264, E.1.2)."""
    count = bits.golomb() + 1
    if count > 32:
        raise TooShortError
    bits.take(8)
    for _ in range(count):
        bits.golomb()
        bits.golomb()
        bits.take(1)
    bits.take(20)


def _pixel_format(chroma: int, depth: int, *, full_range: bool, matrix: int | None) -> str | None:
    layout = _FORMATS.get(chroma)
    if layout is None or depth not in (8, 9, 10, 12, 14):
        return None
    if layout == "444" and matrix == _RGB:
        return None
    if depth == 8:
        return f"yuvj{layout}p" if full_range else f"yuv{layout}p"
    return f"yuv{layout}p{depth}le"


@dataclass(frozen=True, slots=True)
class Aac:
    """What an AAC stream says of itself."""

    profile: str
    channel_layout: str
    channels: int
    sample_rate: int


def aac(configuration: bytes) -> Aac | None:
    """Read an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1) of the commonest kind: low complexity, 1 to 6 channels.

    Of a sampling rate up to 24 kHz one cannot be sure: twice that may be hidden in the stream (HE-AAC).
    """
    bits = Bits(configuration)
    try:
        kind, index, channels = bits.take(5), bits.take(4), bits.take(4)
        if kind != _LOW_COMPLEXITY or index >= len(_SAMPLE_RATES) or _SAMPLE_RATES[index] <= 24_000:
            return None
        if bits.take(3):
            return None  # a frame of another length, a core coder, an extension
        if (
            bits.left >= 16
            and bits.take(11) == _SYNC_EXTENSION
            and (bits.take(5) != _SPECTRAL_BAND_REPLICATION or bits.take(1))
        ):
            return None
    except TooShortError:
        return None
    layout = _LAYOUTS.get(channels)
    return None if layout is None else Aac("LC", layout, channels, _SAMPLE_RATES[index])


def flac(header: bytes) -> int | None:
    """Give the bits of a sample, out of FLAC's `STREAMINFO` (RFC 9639, 8.2); None for unusual ones."""
    bits = None if len(header) < 34 else ((header[12] & 1) << 4 | header[13] >> 4) + 1
    return bits if bits in (16, 24) else None


def alac(cookie: bytes) -> int | None:
    """Give the bits of a sample, out of an Apple Lossless `ALACSpecificConfig` within its box; None for another."""
    if len(cookie) < 36 or cookie[4:8] != b"alac":
        return None
    return cookie[17] if cookie[17] in (16, 20, 24, 32) else None
