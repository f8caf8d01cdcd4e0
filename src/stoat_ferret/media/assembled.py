"""Streams that were read without FFmpeg -> MediaInfo, with what follows from them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from stoat_ferret.media import picture, timing
from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.streams import from_shape_and_format

Fields = dict[str, Any]


def shaped(fields: Fields) -> Fields:
    """Add to a picture stream's fields what follows from its size, sample aspect ratio and pixel format."""
    return fields | from_shape_and_format(fields, None)


def assembled(
    container: str, streams: Sequence[StreamInfo], *, start: int | None, duration: int, size: int, **fields: Any
) -> MediaInfo:
    """Give what is known of a file of ordinary pictures and sound.

    Args:
        container: by FFmpeg's name.
        streams: all of the file's; the first of its pictures is not turned, and not one by SMPTE ST 2084.
        start: in microseconds.
        duration: in microseconds, more than zero.
        size: of the file, in bytes.
        fields: others of `MediaInfo`.
    """
    first = next(stream for stream in streams if stream.kind == "video")
    sound = next((stream for stream in streams if stream.kind == "audio"), None)
    ratio = Fraction(first.sample_aspect_ratio.replace(":", "/")) if first.sample_aspect_ratio else None
    shown = picture.display_size(first.width, first.height, ratio, first.rotation)
    return MediaInfo(
        container=container,
        duration=timing.seconds(duration, timing.MICROSECONDS),
        start_time=timing.seconds(start, timing.MICROSECONDS),
        bit_rate=int(size * 8.0 * 1_000_000 / duration) or None,
        width=first.width,
        height=first.height,
        rotation=first.rotation,
        display_width=shown[0],
        display_height=shown[1],
        video_codec=first.codec,
        video_profile=first.profile,
        pixel_format=first.pixel_format,
        frame_rate=first.frame_rate,
        frame_rate_float=round(float(Fraction(first.frame_rate)), 3) if first.frame_rate else None,
        hdr=picture.dynamic_range(transfer=first.color_transfer, bits=first.bit_depth, dolby_vision=False),
        audio_codec=None if sound is None else sound.codec,
        audio_channels=None if sound is None else sound.channels,
        streams=tuple(streams),
        **fields,
    )
