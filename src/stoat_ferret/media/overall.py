"""What is known of a film's streams and its container -> MediaInfo: what is said of the film as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from stoat_ferret.media import picture, timing
from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo
from stoat_ferret.media.light import SideData
from stoat_ferret.media.origin import origin, without_location


def moving_picture(streams: Iterable[StreamInfo]) -> StreamInfo | None:
    """Give the stream that the film is known by: its first of pictures that is no cover art."""
    return next((stream for stream in streams if stream.kind == "video" and not stream.attached_picture), None)


def bit_rate(size: int, duration: int) -> int:
    """Give the bits a second of a file of `size` bytes that lasts `duration` microseconds, as FFmpeg reckons."""
    return int(size * 8.0 * 1_000_000 / duration)


def film(
    container: str,
    streams: Sequence[StreamInfo],
    *,
    tags: Mapping[str, str],
    duration: float | None,
    start_time: float | None,
    bit_rate: int | None,
    chapters: Iterable[ChapterInfo] = (),
    uneven: bool | None = None,
    side_data: SideData | None = None,
) -> MediaInfo:
    """Say all that is known of a film.

    Args:
        container: FFmpeg's name of the format.
        streams: what is known of each, in their order.
        tags: of the file, short ones.
        duration: seconds; what is not positive is not known.
        start_time: seconds.
        bit_rate: bits a second; 0 is not known.
        chapters: in their order.
        uneven: whether the frame rate of the moving picture varies, where that is known.
        side_data: of the moving picture's first frame, where one was decoded.
    """
    first = moving_picture(streams)
    sound = next((stream for stream in streams if stream.kind == "audio"), None)
    info: dict[str, Any] = {} if first is None else _picture_fields(first, uneven, side_data)
    if sound is not None:
        info |= {"audio_codec": sound.codec, "audio_channels": sound.channels}
    return MediaInfo(
        container=container,
        duration=timing.positive(duration),
        start_time=start_time,
        bit_rate=bit_rate or None,
        timecode=_timecode(tags, first, streams),
        streams=tuple(streams),
        chapters=tuple(chapters),
        tags=without_location(dict(tags)),
        **origin(dict(tags)),
        **info,
    )


def _timecode(tags: Mapping[str, str], first: StreamInfo | None, streams: Sequence[StreamInfo]) -> str | None:
    """Give the timecode of the file: its own, its picture's, or that of a track made for it."""
    of_streams = [stream.timecode for stream in ([first] if first else []) + list(streams)]
    return next((code for code in (timing.timecode(tags.get("timecode")), *of_streams) if code), None)


@lru_cache(maxsize=256)
def _fraction(text: str) -> Fraction:
    """Read a rate or a shape, of which most films have one of a handful."""
    return Fraction(text.replace(":", "/"))


def _picture_fields(first: StreamInfo, uneven: bool | None, side_data: SideData | None) -> dict[str, Any]:
    """Give the file's own picture fields, from its first picture stream."""
    ratio = _fraction(first.sample_aspect_ratio) if first.sample_aspect_ratio else None
    shown = picture.display_size(first.width, first.height, ratio, first.rotation)
    average = None if first.frame_rate is None else _fraction(first.frame_rate)
    return {
        "width": first.width,
        "height": first.height,
        "rotation": first.rotation,
        "display_width": shown[0],
        "display_height": shown[1],
        "video_codec": first.codec,
        "video_profile": first.profile,
        "pixel_format": first.pixel_format,
        "frame_rate": first.frame_rate,
        "frame_rate_float": round(float(average), 3) if average else None,
        "vfr": uneven,
        "hdr": picture.dynamic_range(
            transfer=first.color_transfer,
            bits=first.bit_depth,
            dolby_vision=first.dolby_vision_profile is not None,
            side_data=side_data,
        ),
    }
