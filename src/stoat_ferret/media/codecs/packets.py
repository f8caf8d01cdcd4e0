"""What the first packet of a stream says of the stream, without a decoder: H.264, VP8, VP9, AC-3, PGS.

Pure functions over bytes. They answer only where they are sure to understand all; None otherwise.
"""

from dataclasses import dataclass

from stoat_ferret.media.codecs.bits import Bits, TooShortError

_VP9_SYNC = 0x498342
_VP9_RGB = 7
_VP9_MATRICES = {0: 2, 1: 5, 2: 1, 3: 6, 4: 7, 5: 9}
"""By `color_space` (VP9 bitstream specification, 7.2.2), as Rec. ITU-T H.273 counts them; 2 is unspecified."""
_H264_PICTURES = {1, 5}
"""Types of units: slices, of a picture that can be decoded alone the latter."""
_H264_SEQUENCE = 7
_VP8_SYNC = b"\x9d\x01\x2a"
_PGS_COMPOSITION = 0x16
"""The type of a presentation composition segment; a length of two bytes and its content follow."""
_AC3_SYNC = 0x0B77
_AC3_RATES = (48_000, 44_100, 32_000)
_AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
"""By half of `frmsizecod` (ETSI TS 102 366, table 4.13)."""
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)
"""By `acmod` (ETSI TS 102 366, table 4.3), without the one for low frequencies."""
_AC3_NEWEST = 8
"""The last `bsid` that halves no sampling rate."""


@dataclass(frozen=True, slots=True)
class Vp9:
    """What a VP9 keyframe says of all pictures."""

    profile: str
    pixel_format: str
    matrix: int
    """As Rec. ITU-T H.273 counts them."""
    full_range: bool
    width: int
    height: int


def vp9(frame: bytes) -> Vp9 | None:
    """Read the uncompressed header of a keyframe (VP9 bitstream specification, 6.2) of profile 0 or 2: 4:2:0."""
    bits = Bits(frame[:32])
    try:
        if bits.take(2) != 2:
            return None
        profile = bits.take(1) | bits.take(1) << 1
        if profile not in (0, 2) or bits.take(2):  # of a frame that is shown again, or no keyframe
            return None
        bits.take(2)
        if bits.take(24) != _VP9_SYNC:
            return None
        depth = 8 if profile == 0 else 12 if bits.take(1) else 10
        matrix = _VP9_MATRICES.get(bits.take(3))
        if matrix is None:
            return None
        full_range = bool(bits.take(1))
        name = "yuv420p" if depth == 8 else f"yuv420p{depth}le"
        return Vp9(f"Profile {profile}", name, matrix, full_range, 1 + bits.take(16), 1 + bits.take(16))
    except TooShortError:
        return None


def h264_picture(packet: bytes, configuration: bytes) -> bool:
    """Tell whether a packet of H.264 consists of whole units (ISO/IEC 14496-15, 5.3.2), one of them of a picture.

    False also where it has a sequence parameter set that is not in the configuration: what that says holds no longer.
    """
    if len(configuration) < 7:
        return False
    at, seen, length_bytes = 0, False, (configuration[4] & 3) + 1
    while at < len(packet):
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if not length or at + length > len(packet):
            return False
        kind = packet[at] & 31
        if kind == _H264_SEQUENCE and packet[at : at + length] not in configuration:
            return False
        seen = seen or kind in _H264_PICTURES
        at += length
    return seen


def vp8_size(frame: bytes) -> tuple[int, int] | None:
    """Give width and height out of a keyframe of VP8 (RFC 6386, 9.1), of which the first partition is all there."""
    if len(frame) < 10 or frame[0] & 1 or frame[3:6] != _VP8_SYNC:
        return None
    if (int.from_bytes(frame[:3], "little") >> 5) + 10 > len(frame):
        return None
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF


def pgs_size(segments: bytes) -> tuple[int, int] | None:
    """Give width and height of the picture that subtitles of a Blu-ray disc (PGS) lie on, if they begin with it."""
    if len(segments) < 7 or segments[0] != _PGS_COMPOSITION:
        return None
    return int.from_bytes(segments[3:5], "big"), int.from_bytes(segments[5:7], "big")


@dataclass(frozen=True, slots=True)
class Ac3:
    """What an AC-3 frame says of the sound."""

    sample_rate: int
    channels: int
    bit_rate: int


def ac3(frame: bytes) -> Ac3 | None:
    """Read `syncinfo` and the beginning of `bsi` (ETSI TS 102 366, 4.3)."""
    bits = Bits(frame[:16])
    try:
        if bits.take(16) != _AC3_SYNC:
            return None
        bits.take(16)
        rate, size, version = bits.take(2), bits.take(6), bits.take(5)
        if rate >= len(_AC3_RATES) or size // 2 >= len(_AC3_KILOBITS) or version > _AC3_NEWEST:
            return None
        bits.take(3)
        mode = bits.take(3)
        if mode == 2:
            bits.take(2)  # whether the two channels hold more than two
        else:
            bits.take((2 if mode & 1 and mode != 1 else 0) + (2 if mode & 4 else 0))  # how loud they are mixed in
        channels = _AC3_CHANNELS[mode] + bits.take(1)
    except TooShortError:
        return None
    return Ac3(_AC3_RATES[rate], channels, _AC3_KILOBITS[size // 2] * 1000)


def ac3_is_whole(frame: bytes) -> bool:
    """Tell whether a frame that `ac3` understands is as long as it says, and its checksum right.

    Lengths are those of ETSI TS 102 366, table 4.13. The checksum's polynomial, x^16 + x^15 + x^2 + 1, is the product
    of x + 1, by which what has an even number of ones can be divided, and x^15 + x + 1.
    """
    rate, size = frame[4] >> 6, frame[4] & 63
    words = _AC3_KILOBITS[size // 2] * 96_000 // _AC3_RATES[rate]
    if len(frame) != 2 * (words + (size & 1 if _AC3_RATES[rate] == 44_100 else 0)):
        return False
    number = int.from_bytes(frame[2:], "big")
    return not number.bit_count() & 1 and not _remainder(number)


def _remainder(number: int) -> int:
    """Give what is left of a polynomial over GF(2) divided by x^15 + x + 1.

    Its powers by those of two have as few terms, and take away a good part of a long polynomial at one go.
    """
    power = 1 << (number.bit_length() // 15).bit_length()
    while power:
        while number.bit_length() > 15 * power:
            high = number >> 15 * power
            number ^= high << 15 * power ^ high << power ^ high
        power >>= 1
    return number
