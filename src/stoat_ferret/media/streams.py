"""One stream of an open file -> StreamInfo: what PyAV says of it, and what only FFmpeg's summary does."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, cast

import av

from stoat_ferret.media import picture, timing
from stoat_ferret.media.codecs import sound
from stoat_ferret.media.dump import StreamSummary
from stoat_ferret.media.info import StreamInfo, StreamKind
from stoat_ferret.media.origin import without_location

LONGEST_TAG = 64 * 1024
_LARGEST_RATIO = 1024 * 1024
"""ffprobe rounds what cannot be said with smaller numbers; it is left unsaid here."""
_STEREO_LAYERS = 2


def describe(stream: Any, summary: StreamSummary | None, found: dict[str, Any] | None = None) -> StreamInfo:
    """Say what is known of a stream.

    Args:
        stream: of an open container.
        summary: what FFmpeg's summary says of it; None where it cannot be trusted.
        found: fields that were found out otherwise; they go before.
    """
    context = stream.codec_context  # None where FFmpeg has no decoder
    kind = stream.type if stream.type != "unknown" else "data"
    fields: dict[str, Any] = {}
    if context is not None:
        fields = {
            "codec": context.codec.canonical_name,
            "codec_tag": _codec_tag(context),
            "profile": _profile(context),
            "bit_rate": None if _is_bare_aac(context) else context.bit_rate or None,
        }
        if kind == "video":
            fields |= _video_fields(stream, context)
        elif kind == "audio":
            fields |= _audio_fields(context, summary)
    elif summary is not None:
        fields = {"codec": summary.codec}
    if kind == "video" and summary is not None:
        fields["rotation"] = picture.clockwise(summary.rotation, display_matrix=summary.display_matrix)
    if kind in ("video", "subtitle") and summary is not None:
        fields |= summary.side_data
    if kind != "data":  # FFmpeg's releases do not agree on when data begins and ends
        fields["start_time"] = timing.seconds(stream.start_time, stream.time_base)
        fields["duration"] = timing.positive(timing.seconds(stream.duration, stream.time_base))
    fields |= found or {}
    if kind == "video":
        fields |= from_shape_and_format(fields, None if summary is None else summary.raw_bits)
    disposition = _names(stream.disposition)
    if summary is not None and summary.both_eyes and "multilayer" in disposition:
        fields["views"] = _STEREO_LAYERS
    return StreamInfo(
        index=stream.index,
        kind=cast("StreamKind", kind),
        frame_count=stream.frames or None,
        disposition=disposition,
        attached_picture="attached_pic" in disposition,
        **said_in_tags(kind, stream.metadata),
        **fields,
    )


def _names(disposition: Any) -> tuple[str, ...]:
    return tuple(str(flag.name) for flag in disposition) if disposition else ()


def short_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Leave out what no person wrote: a tag longer than 64 KiB is an attachment in disguise."""
    return {key: value for key, value in metadata.items() if len(value) <= LONGEST_TAG}


def said_in_tags(kind: str, metadata: dict[str, str]) -> dict[str, Any]:
    """Give what a stream's tags say, as fields of `StreamInfo`."""
    tags = without_location(short_tags(metadata))
    named: dict[str, Any] = {"language": metadata.get("language"), "title": metadata.get("title")}
    named["timecode"] = timing.timecode(tags.get("timecode"))
    if "filename" in tags or kind == "attachment":
        named |= {"file_name": tags.get("filename"), "mime_type": tags.get("mimetype")}
    return named | {"tags": own_tags(tags)}


def own_tags(tags: dict[str, str]) -> dict[str, str]:
    """Leave out of a stream's tags what has fields of its own, and QuickTime's vendor where it is none.

    Of that one FFmpeg's releases do not agree whether to say it.
    """
    left = {key: value for key, value in tags.items() if key not in ("language", "title")}
    if left.get("vendor_id") == "[0][0][0][0]":
        del left["vendor_id"]
    return left


def _codec_tag(context: Any) -> str | None:
    """Give the four characters if they are characters."""
    try:
        text = str(context.codec_tag).strip("\0 ")
    except UnicodeDecodeError:  # PyAV reads it as ASCII, which a number such as 0xFF, AAC's in AVI, is not
        return None
    return text if text.isprintable() and text else None


def _profile(context: Any) -> str | None:
    return None if _is_bare_aac(context) else context.profile or None


def _is_bare_aac(context: Any) -> bool:
    """Tell AAC without a header of its own: profile and bit rate are guessed from frames, by each release otherwise."""
    return context.codec.canonical_name == "aac" and not context.extradata_size


def _video_fields(stream: Any, context: Any) -> dict[str, Any]:
    return {
        "level": picture.level(context.level),
        "width": context.width or None,
        "height": context.height or None,
        "sample_aspect_ratio": picture.ratio_text(stream.sample_aspect_ratio),
        "pixel_format": context.pix_fmt,
        "frame_rate": timing.rate_text(_average_rate(stream)),
        "real_frame_rate": timing.rate_text(stream.base_rate),
        "field_order": picture.FIELD_ORDERS.get(context.field_order),
        "color_range": picture.RANGES.get(context.color_range),
        **picture.colours(context.color_primaries, context.color_trc, context.colorspace),
    }


def _average_rate(stream: Any) -> Fraction | None:
    """Give the average rate; of raw DV FFmpeg 8 gives the unit of its timestamps instead, and DV has but one rate."""
    rate = stream.base_rate if stream.container.format.name == "dv" else stream.average_rate
    return cast("Fraction | None", rate)


def from_shape_and_format(fields: dict[str, Any], raw_bits: int | None) -> dict[str, Any]:
    """Give what follows from size, sample aspect ratio and pixel format."""
    found: dict[str, Any] = {}
    if fields.get("pixel_format"):
        depth, chroma = sampling(fields["pixel_format"])
        found = {"bit_depth": raw_bits or depth, "chroma": chroma}
    if fields.get("sample_aspect_ratio") and fields.get("width") and fields.get("height"):
        found |= _display_shape(fields["sample_aspect_ratio"], fields["width"], fields["height"])
    return found


@lru_cache(maxsize=256)
def _display_shape(sample_aspect_ratio: str, width: int, height: int) -> Mapping[str, str | None]:
    shape = Fraction(sample_aspect_ratio.replace(":", "/")) * width / height
    known = max(shape.numerator, shape.denominator) <= _LARGEST_RATIO
    return {"display_aspect_ratio": picture.ratio_text(shape)} if known else {}


@cache
def sampling(pixel_format: str) -> tuple[int | None, str | None]:
    """Give the bits of a format's deepest colour, and how its chroma is sampled (None for what is no Y'CbCr)."""
    side = 16
    kind = av.VideoFormat(pixel_format, side, side)
    if kind.is_bayer:  # FFmpeg counts the bits of each colour as spread over all pixels
        return None, None
    depth = max((part.bits for part in kind.components), default=None)
    if kind.is_rgb or kind.has_palette or pixel_format.startswith(("mono", "xyz")) or depth is None:
        return depth, None
    if len(kind.components) <= 2:  # with or without transparency
        return depth, picture.GREY
    return depth, picture.CHROMA.get((side // kind.chroma_width(side), side // kind.chroma_height(side)))


def _audio_fields(context: Any, summary: StreamSummary | None) -> dict[str, Any]:
    layout = context.layout
    # "6 channels" is FFmpeg's way to say that their order is not known.
    known = layout.nb_channels and not layout.name.endswith(" channels")
    raw = None if summary is None else summary.raw_bits
    sample_format = None if context.format is None else context.format.name
    return {
        "sample_rate": context.sample_rate or None,
        "channels": layout.nb_channels or None,
        "channel_layout": layout.name if known else None,
        "bits_per_sample": sound.sample_bits(context.codec.canonical_name, sample_format, raw),
    }
