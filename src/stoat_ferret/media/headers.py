"""What the headers of a QuickTime or MP4 file leave out, found out without decoding a picture.

Opened with its decoders, FFmpeg decodes frames to learn how they are stored: 57 ms for a clip of 4K from a phone. The
streams' own headers say the same within microseconds, for the codecs that nearly all such files are made of. For all
else, and wherever anything is doubtful, the answer is None, and the file is opened in the ordinary way.
"""

from typing import Any

import av
from av.container import InputContainer

from stoat_ferret.media import parameters, picture

DECODERS = {"hevc", "av1"}
"""Codecs whose decoder says what is missing as soon as it has read the stream's header."""
_UNSPECIFIED = 2
"""What H.273 calls a colour of which nothing is said."""
_PQ = 16

Fields = dict[str, Any]


def complete(container: InputContainer) -> dict[int, Fields] | None:
    """Give the fields of `StreamInfo` that a file opened without decoders lacks, by stream; None where in doubt."""
    found: dict[int, Fields] = {}
    for stream in container.streams:
        fields = _of_stream(stream)
        if fields is None:
            return None
        found[stream.index] = fields
    return found


def _of_stream(stream: Any) -> Fields | None:
    if stream.type in ("subtitle", "data", "attachment"):
        return {}
    context = stream.codec_context
    if context is None or not context.extradata or stream.disposition & av.stream.Disposition.attached_pic:
        return None
    match stream.type, context.codec.canonical_name:
        case "video", "h264":
            return _h264(stream, context)
        case "video", name if name in DECODERS:
            return _with_decoder(stream, context)
        case "audio", "aac":
            said = parameters.aac(bytes(context.extradata))
            known = said is not None and context.layout.nb_channels and context.sample_rate
            return {"profile": said.profile, "channel_layout": said.channel_layout} if said and known else None
        case "audio", "alac":
            return _alac(context)
    return None


def _alac(context: Any) -> Fields | None:
    decoder, bits = _decoder(context), parameters.alac(bytes(context.extradata))
    return None if decoder is None or bits is None else {"channel_layout": decoder.layout.name, "bits_per_sample": bits}


def _h264(stream: Any, context: Any) -> Fields | None:
    ranges = {1: False, 2: True}
    said = parameters.h264(bytes(context.extradata), full_range=ranges.get(context.color_range))
    if said is None or _PQ in (said.colours and said.colours.transfer, context.color_trc):
        return None  # which dynamic range it is, a frame says
    fields: Fields = {"pixel_format": said.pixel_format}
    if said.full_range is not None:
        fields["color_range"] = picture.RANGES[2 if said.full_range else 1]
    if said.colours is not None:
        if _contradicts(said.colours, context):
            return None
        fields |= _colours(said.colours)
    if not stream.sample_aspect_ratio and said.sample_aspect_ratio:
        ratio = said.sample_aspect_ratio
        fields["sample_aspect_ratio"] = f"{ratio.numerator}:{ratio.denominator}"
    return fields


def _with_decoder(stream: Any, context: Any) -> Fields | None:
    decoder = _decoder(context)
    if decoder is None or not decoder.pix_fmt or _PQ in (decoder.color_trc, context.color_trc):
        return None
    colours = parameters.Colours(decoder.color_primaries, decoder.color_trc, decoder.colorspace)
    if _contradicts(colours, context):
        return None
    fields: Fields = {
        "pixel_format": decoder.pix_fmt,
        "profile": decoder.profile or context.profile or None,
        "level": picture.level(decoder.level) or picture.level(context.level),
        "color_range": picture.RANGES.get(decoder.color_range) or picture.RANGES.get(context.color_range),
        **_colours(colours),
    }
    ratio = stream.sample_aspect_ratio or decoder.sample_aspect_ratio
    fields["sample_aspect_ratio"] = f"{ratio.numerator}:{ratio.denominator}" if ratio else None
    return fields


def _contradicts(said: parameters.Colours, context: Any) -> bool:
    """Tell whether the container says what the stream leaves open: decoders do not agree on what holds then."""
    container = (context.color_primaries, context.color_trc, context.colorspace)
    of_both = zip((said.primaries, said.transfer, said.matrix), container, strict=True)
    return any(stream == _UNSPECIFIED != theirs for stream, theirs in of_both)


def _colours(said: parameters.Colours) -> Fields:
    return {
        "color_primaries": picture.PRIMARIES.get(said.primaries),
        "color_transfer": picture.TRANSFERS.get(said.transfer),
        "color_space": picture.SPACES.get(said.matrix),
    }


def _decoder(context: Any) -> Any:
    """Open a decoder on a stream's header, and feed it nothing; None where it will not have it."""
    decoder: Any = av.CodecContext.create(context.codec.name, "r")
    decoder.extradata = context.extradata
    decoder.thread_count = 1
    try:
        decoder.open()
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None
    return decoder
