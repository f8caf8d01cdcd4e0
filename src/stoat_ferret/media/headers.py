"""What the headers of a QuickTime or MP4 file leave out, found out without decoding a picture.

Opened with its decoders, FFmpeg decodes frames to learn how they are stored: 57 ms for a clip of 4K from a phone. The
streams' own headers say the same within microseconds, for the codecs that nearly all such files are made of. For all
else, and wherever anything is doubtful, the answer is None, and the file is opened in the ordinary way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import av
from av.container import InputContainer

from stoat_ferret.media import picture
from stoat_ferret.media.codecs import covers, decoders, packets, parameters, sei
from stoat_ferret.media.containers.demuxed import content_of
from stoat_ferret.media.source import Source

CONTAINER = "mov,mp4,m4a,3gp,3g2,mj2"
FIRST_BOX = b"ftyp"
"""Begins a file of which there is no doubt what it is, so that FFmpeg need not try one format after the other."""
_COVER_BOX = b"covr"
_SHORT_LOOK = 1 << 18
"""Bytes of packets that FFmpeg is to read of a file with cover art; to learn how large that is it would read more."""
_LONG_LOOK = 5_000_000
"""What it reads at most of others."""
_UNSPECIFIED = 2
"""What H.273 calls a colour of which nothing is said."""
_MOST_PACKETS = 300
"""In which every stream has to have begun."""

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out otherwise of a file that was opened without decoders."""

    streams: dict[int, Fields] = field(default_factory=dict)
    """Fields of `StreamInfo`, by stream."""
    start_time: float | None = None
    """Seconds; None where FFmpeg knows."""
    light: dict[int, Fields] = field(default_factory=dict)
    """Of streams by SMPTE ST 2084 of which no picture needs to be decoded: what one would say, as fields too."""


def bytes_to_read(source: Source) -> int:
    """Say how many bytes of packets FFmpeg may read to open a QuickTime or MP4 file (its option `probesize`)."""
    return _SHORT_LOOK if _COVER_BOX in source.head() or _COVER_BOX in source.tail() else _LONG_LOOK


def complete(container: InputContainer, read: int = _LONG_LOOK) -> Found | None:
    """Give what a QuickTime or MP4 file lacks that was just opened without decoders; None where in doubt.

    Args:
        container: whose packets are used up.
        read: how many bytes of packets FFmpeg could read.
    """
    seen = [stream for stream in container.streams if stream.type in ("video", "audio")]
    if any(_is_guess(stream) for stream in seen if stream.type == "video" and not is_cover(stream)):
        return None
    first = first_packets(container, {stream.index: 1 for stream in seen}, read)
    found: dict[int, Fields] = {}
    for stream in container.streams:
        fields: Fields | None = {}
        if stream.type not in ("subtitle", "data", "attachment"):
            fields = of_stream(stream, first.get(stream.index))
        if fields is None:
            return None
        found[stream.index] = fields
    return with_light(container, found, first)


def with_light(container: Any, found: dict[int, Fields], first: Mapping[int, Any]) -> Found | None:
    """Add what a picture by SMPTE ST 2084 would say of its light; None where one has to be decoded for that."""
    light: dict[int, Fields] = {}
    for stream in container.streams.video:
        context = stream.codec_context
        transfer = found[stream.index].get("color_transfer") or picture.TRANSFERS.get(context.color_trc)
        if transfer == picture.PQ:
            name, packet = context.codec.canonical_name, content_of(first[stream.index])
            said = sei.hevc_light(bytes(context.extradata or b""), packet) if name == "hevc" else None
            if said is None:
                return None
            light[stream.index] = said
    return Found(found, light=light)


def first_packets(container: InputContainer, wanted: dict[int, int], read: int = _LONG_LOOK) -> dict[int, Any]:
    """Give the first packet of each stream that has as many as are wanted of it near the beginning.

    A stream of which FFmpeg has not read a packet, it takes for as long as the film.

    Args:
        container: just opened; its packets are used up.
        wanted: how many, by stream.
        read: how many bytes of packets FFmpeg could read to open it; what lies beyond does not count.
    """
    left, first, passed = dict(wanted), dict[int, Any](), 0
    for packet in islice(container.demux(), _MOST_PACKETS if left else 0):
        index = packet.stream.index
        if index in left and (packet.pts is not None or is_cover(packet.stream)):
            first.setdefault(index, packet)
            left[index] -= 1
            if not left[index]:
                del left[index]
        passed += 0 if is_cover(packet.stream) else packet.size
        if not left or passed >= read:
            break
    return {index: packet for index, packet in first.items() if index not in left}


def is_cover(stream: Any) -> bool:
    """Tell cover art from moving pictures."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _is_guess(stream: Any) -> bool:
    """Tell whether a frame rate is but the unit that times are counted in, as of frames that FFmpeg could not see."""
    return bool(stream.base_rate == 1 / stream.time_base != stream.average_rate)


def of_stream(stream: Any, packet: Any) -> Fields | None:
    """Give what a stream of pictures or sound lacks, by its header and its first packet; None where in doubt."""
    context = stream.codec_context
    if context is None or packet is None:
        return None
    name, header = context.codec.canonical_name, bytes(context.extradata or b"")
    if is_cover(stream):
        return _cover(packet) if name == "mjpeg" else None
    if not header:
        return None
    return (
        _sound(name, context, header) if stream.type == "audio" else _picture(name, stream, header, content_of(packet))
    )


def _picture(name: str, stream: Any, header: bytes, packet: bytes) -> Fields | None:
    match name:
        case "h264" if packets.h264_picture(packet, header):
            return _h264(stream, header)
        case "hevc" if sei.hevc_is_configured(header, packet):
            return _with_decoder(stream, header)
        case "av1":
            return _with_decoder(stream, header)
    return None


def _sound(name: str, context: Any, header: bytes) -> Fields | None:
    match name:
        case "aac":
            said = parameters.aac(header)
            if said is None or (said.channels, said.sample_rate) != (context.layout.nb_channels, context.sample_rate):
                return None
            return {"profile": said.profile, "channel_layout": said.channel_layout}
        case "alac":
            return _lossless(context, header, parameters.alac(header))
        case "flac" if context.layout.nb_channels <= 2:  # what order more of them are in is said in another part
            return _lossless(context, header, parameters.flac(header))
    return None


def _cover(packet: Any) -> Fields | None:
    said = covers.jpeg(content_of(packet))
    return None if said is None else said.fields


def _lossless(context: Any, header: bytes, bits: int | None) -> Fields | None:
    decoder = None if bits is None else decoders.bare(context.codec.name, header)
    said = (context.layout.nb_channels, context.sample_rate)
    if decoder is None or (decoder.layout.nb_channels, decoder.sample_rate) != said:
        return None
    return {"channel_layout": decoder.layout.name, "bits_per_sample": bits}


def _h264(stream: Any, header: bytes) -> Fields | None:
    context, ranges = stream.codec_context, {1: False, 2: True}
    said = parameters.h264(header, full_range=ranges.get(context.color_range))
    if said is None or said.size != (context.width, context.height):
        return None
    fields: Fields = {"pixel_format": said.pixel_format}
    if said.full_range is not None:
        fields["color_range"] = picture.RANGES[2 if said.full_range else 1]
    if said.colours is not None:
        if _contradicts(said.colours, context):
            return None
        fields |= picture.colours(*said.colours)
    if not stream.sample_aspect_ratio and said.sample_aspect_ratio:
        fields["sample_aspect_ratio"] = picture.ratio_text(said.sample_aspect_ratio)
    return fields


def _with_decoder(stream: Any, header: bytes) -> Fields | None:
    context = stream.codec_context
    said = decoders.opened(context.codec.name, header)
    if said is None or said.size != (context.width, context.height) or _contradicts(said.colours, context):
        return None
    return {
        "pixel_format": said.pixel_format,
        "profile": said.profile or context.profile or None,
        "level": picture.level(said.level) or picture.level(context.level),
        "color_range": picture.RANGES.get(said.full_range) or picture.RANGES.get(context.color_range),
        "sample_aspect_ratio": picture.ratio_text(stream.sample_aspect_ratio or said.sample_aspect_ratio),
        **picture.colours(*said.colours),
    }


def _contradicts(said: parameters.Colours, context: Any) -> bool:
    """Tell whether the container says something else than the stream: decoders do not agree on what holds then."""
    container = (context.color_primaries, context.color_trc, context.colorspace)
    return any(theirs not in (stream, _UNSPECIFIED) for stream, theirs in zip(said, container, strict=True))
