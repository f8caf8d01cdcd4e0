"""What FFmpeg's decoders say of a codec's own header, without a picture. PyAV lives here too."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av

from stoat_ferret.media.codecs import parameters

_LONGEST_REMEMBERED = 16 * 1024
"""Bytes of a header: a file may hold one of any length."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a decoder says of pictures."""

    size: tuple[int, int]
    pixel_format: str
    profile: str | None
    level: int
    full_range: int
    """As FFmpeg counts: 0 is not said, 1 is not, 2 is."""
    colours: parameters.Colours
    sample_aspect_ratio: Fraction | None


def opened(codec: str, header: bytes) -> Opened | None:
    """Give what a decoder says that is opened as by `bare`, of pictures; None also where it says nothing of them.

    Films of one camera or encoder have the same header; what was said of those seen last is remembered.
    """
    return (_remembered if len(header) <= _LONGEST_REMEMBERED else _said)(codec, header)


def _said(codec: str, header: bytes) -> Opened | None:
    decoder = bare(codec, header)
    if decoder is None or not decoder.pix_fmt:
        return None
    colours = parameters.Colours(decoder.color_primaries, decoder.color_trc, decoder.colorspace)
    size, ratio = (decoder.width, decoder.height), decoder.sample_aspect_ratio
    profile = decoder.profile or None
    return Opened(size, decoder.pix_fmt, profile, decoder.level, decoder.color_range, colours, ratio or None)


_remembered = lru_cache(maxsize=64)(_said)


def bare(name: str, header: bytes) -> Any:
    """Open a decoder on a stream's header and feed it nothing; None where it will not have it.

    Args:
        name: FFmpeg's, of the codec or of a decoder.
        header: as containers hold it.
    """
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.extradata = header
    decoder.thread_count = 1
    try:
        decoder.open()
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None
    return decoder
