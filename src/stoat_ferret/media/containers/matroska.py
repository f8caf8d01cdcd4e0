"""What the headers and the first packets of a Matroska or WebM file say, without a picture being decoded.

Its streams' headers are read as those of an MP4 are; what these leave open, first packets say. FFmpeg, left to itself,
gives a stream of which it has seen no packet the file's own start and duration, so each picture and sound has to have
shown itself; of subtitles, which may begin an hour later, it is left unsaid. None wherever anything is doubtful.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from av.container import InputContainer

from stoat_ferret.media import headers, picture, timing
from stoat_ferret.media.codecs import packets, sound
from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.demuxed import Packet, content_of
from stoat_ferret.media.headers import Fields, Found
from stoat_ferret.media.source import Source

CONTAINER = "matroska,webm"
OPTIONS = {"max_ts_probe": "1"}
"""For opening: of H.264, whose timestamps FFmpeg cannot put in order without its decoder, one packet is enough."""
_ENOUGH_PACKETS = 20
"""After so many FFmpeg knows in which order pictures of H.264 are shown; of fewer it says no start."""
_SURELY_ENOUGH = 1 << 20
"""Bytes of a file that has as many, if it is all there and lasts long enough; they need not be read then."""
_ROUNDING = 2e-6
"""Seconds that two ways to compute a duration may differ by."""
_SHORTEST_FRAME = 1_000_000
"""Nanoseconds; of shorter ones FFmpeg takes no rate."""
_CLOSE = 1e-3
"""How closely a rate is met by the fraction that FFmpeg takes for it."""
_SUBTITLE_PICTURES = "hdmv_pgs_subtitle"
_SUBTITLES = {"subrip", "ass", "webvtt", _SUBTITLE_PICTURES}
_OPUS, _OPUS_RATE = b"OpusHead", 48_000
_UNSPECIFIED = 2
"""What H.273 calls a colour of which nothing is said."""


def complete(container: InputContainer, source: Source) -> Found | None:
    """Give what a file opened without decoders lacks; None where in doubt.

    Args:
        container: just opened; its packets are used up.
        source: that it reads.
    """
    said = ebml.stated(source.head())
    if said is None or not _is_as_stated(container, said):
        return None
    wanted = _wanted(container, of_guessed=packets_wanted(said, source.size))
    return completed(container, headers.first_packets(container, wanted))


def completed(container: Any, first: Mapping[int, Any]) -> Found | None:
    """Give what first packets tell of a file, by PyAV's names; None where in doubt."""
    found: dict[int, Fields] = {}
    for stream in container.streams:
        fields = _of_stream(stream, first)
        if fields is None:
            return None
        found[stream.index] = fields
    start = _start(container, found)
    known = None if start is None else headers.with_light(container, found, first)
    return None if known is None else replace(known, start_time=start)


def packets_wanted(said: ebml.Stated, size: int) -> int:
    """Say how many packets there have to be of a stream whose start FFmpeg makes up."""
    return 1 if _lasts(said, size) else _ENOUGH_PACKETS


def _lasts(said: ebml.Stated, size: int) -> bool:
    """Tell whether there surely are pictures enough."""
    frames = min((said.duration or 0) * 1e9 / duration for duration in said.frame_durations)
    return said.end is not None and _SURELY_ENOUGH < said.end <= size and frames > 2 * _ENOUGH_PACKETS


def _is_as_stated(container: InputContainer, said: ebml.Stated) -> bool:
    """Tell whether duration and frame rates are the file's own, and not worked out from what FFmpeg has read."""
    rates = [stream.base_rate for stream in container.streams.video if not headers.is_cover(stream)]
    if not said.duration or not container.duration or not rates or len(rates) != len(said.frame_durations):
        return False
    return abs(said.duration - container.duration / 1e6) <= _ROUNDING and all(
        duration > _SHORTEST_FRAME and rate is not None and abs(rate * duration / 1e9 - 1) < _CLOSE
        for rate, duration in zip(rates, said.frame_durations, strict=True)
    )


def _wanted(container: InputContainer, of_guessed: int) -> dict[int, int]:
    """Say how many packets there have to be of each stream; of one whose start FFmpeg has made up, more."""
    return {
        stream.index: 1 if stream.duration is None or headers.is_cover(stream) else of_guessed
        for stream in container.streams
        if stream.type in ("video", "audio") or (stream.type == "subtitle" and stream.duration is None)
    }


def _of_stream(stream: Any, first: Mapping[int, Any]) -> Fields | None:
    packet, context = first.get(stream.index), stream.codec_context
    if stream.type == "subtitle":
        return _subtitles(stream, context, packet)
    if stream.type in ("data", "attachment"):
        return {}
    if packet is None or context is None:
        return None
    fields = _picture(stream, context, packet) if stream.type == "video" else _sound(stream, context, packet)
    # A duration is one that was made up, along with the start. Cover art is given the file's own.
    if fields is None or stream.duration is None or headers.is_cover(stream):
        return fields
    if context.codec.canonical_name != "h264":
        return None
    return fields | {"start_time": timing.seconds(packet.pts, stream.time_base), "duration": None}


def _start(container: Any, found: dict[int, Fields]) -> float | None:
    """Give when the file begins, which FFmpeg does not know where H.264 alone is in it; None where in doubt."""
    starts: list[float] = []
    for stream in container.streams:
        if stream.type in ("video", "audio") and not headers.is_cover(stream):
            start = found[stream.index].get("start_time", timing.seconds(stream.start_time, stream.time_base))
            if start is None:
                return None
            starts.append(start)
    if not starts:
        return None
    said = timing.seconds(container.start_time, timing.MICROSECONDS)
    if said is None:
        said = min(starts)
        for stream in container.streams:  # what has no packets is given the file's
            if stream.type == "attachment" or headers.is_cover(stream):
                found[stream.index] |= {"start_time": said}
    return None if min(starts) < said else said


def _subtitles(stream: Any, context: Any, packet: Any) -> Fields | None:
    name = None if context is None else context.codec.canonical_name
    if name not in _SUBTITLES:
        return None
    if stream.duration is not None:
        return {"start_time": None, "duration": None}
    if name != _SUBTITLE_PICTURES:
        return {}
    size = None if packet is None else packets.pgs_size(_beginning(packet))
    return None if size is None else {"width": size[0], "height": size[1]}


def _picture(stream: Any, context: Any, packet: Any) -> Fields | None:
    match context.codec.canonical_name:
        case "vp8":
            size = packets.vp8_size(content_of(packet))
            return {"pixel_format": "yuv420p"} if size == (context.width, context.height) else None
        case "vp9":
            return _vp9(stream, context, _beginning(packet))
    return headers.of_stream(stream, packet)


def _vp9(stream: Any, context: Any, frame: bytes) -> Fields | None:
    said = packets.vp9(frame)
    if said is None or (said.width, said.height) != (context.width, context.height) or _contradicts(context, said):
        return None
    return {
        "profile": said.profile,
        "pixel_format": said.pixel_format,
        "color_range": picture.RANGES[2 if said.full_range else 1],
        "color_space": picture.SPACES.get(said.matrix),
    }


def _contradicts(context: Any, said: packets.Vp9) -> bool:
    """Tell whether the container names colours or a range, and not the stream's: decoders do not agree on what holds.

    Other muxers translate the stream's colours (BT.601 has two numbers), and leave out what they do not know.
    """
    colours = (context.color_primaries, context.color_trc, context.colorspace)
    named = any(number != _UNSPECIFIED for number in colours)
    return (named and context.colorspace != said.matrix) or context.color_range not in (0, 2 if said.full_range else 1)


def _sound(stream: Any, context: Any, packet: Any) -> Fields | None:
    name, header = context.codec.canonical_name, bytes(context.extradata or b"")
    channels, rate = context.layout.nb_channels, context.sample_rate
    if not channels or not rate:
        return None
    match name:
        case "opus":
            known = header[:8] == _OPUS and len(header) >= 19 and header[18] in (0, 1)
            return {} if known and header[9] == channels and rate == _OPUS_RATE else None
        case "ac3":
            said = packets.ac3(_beginning(packet))
            return {} if said == packets.Ac3(rate, channels, context.bit_rate) else None
        case _ if name.startswith("pcm_"):
            bits = sound.sample_bits(name, None, None)
            return None if bits is None else {"bit_rate": bits * rate * channels}
    return headers.of_stream(stream, packet)


def _beginning(packet: Any) -> bytes:
    return packet[:64] if isinstance(packet, Packet) else bytes(memoryview(packet)[:64])
