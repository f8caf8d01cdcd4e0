"""A common Matroska or WebM file, read without FFmpeg.

What it gives looks as FFmpeg shows such a file that it has opened without decoders, so that the rest is the same code
for both. It does so only for files that it understands wholly; of any other it gives nothing, and FFmpeg is asked.
"""

from fractions import Fraction

from stoat_ferret.media.codecs import avc, packets
from stoat_ferret.media.containers import ebml, matroska
from stoat_ferret.media.containers.demuxed import (
    Codec,
    Context,
    Disposition,
    Film,
    Layout,
    Packet,
    Stream,
    Streams,
    rescaled,
)
from stoat_ferret.media.containers.ebml import NotUnderstoodError
from stoat_ferret.media.containers.matroska_blocks import first_packets
from stoat_ferret.media.containers.matroska_head import Attachment, read_head
from stoat_ferret.media.containers.matroska_tags import put
from stoat_ferret.media.containers.matroska_tracks import read_tracks
from stoat_ferret.media.dump import StreamSummary
from stoat_ferret.media.headers import Found
from stoat_ferret.media.source import Source, View

_MICROSECOND = Fraction(1, 1_000_000)
_ATTACHED = Fraction(1, 90_000)
"""The time base of what is attached."""
_RANGES = {1: False, 2: True}
"""Of colours, by FFmpeg's numbers: whether they are full."""
_PROGRESSIVE = 1
"""The order of fields, by FFmpeg's numbers."""
_IS_COVER = 1 << 10
_JPEG = "image/jpeg"
_OTHER_PICTURES = ("image/gif", "image/png", "image/tiff")
_FONTS = {"application/x-truetype-font": "ttf", "application/x-font": "ttf", "application/vnd.ms-opentype": "otf"}
_BEGINNING = 1 << 16
"""Bytes of a picture, within which its header is."""
_LONGEST_SECONDS = 10_000_000
_CLOSE_TEXT = 1_000_000
"""Microseconds that subtitles may begin before pictures and sound, and the film with them."""
_OPUS_LAYOUTS = {
    bytes((0, 1)): "mono",
    bytes((0, 2)): "stereo",
    bytes((1, 6, 4, 2, 0, 4, 1, 2, 3, 5)): "5.1",
}
"""By the family and the channels, or all of the mapping (RFC 7845, 5.1.1)."""
_OPUS_RATE, _LARGEST_OPUS_FRAME = 48_000, 1275
_AC3_LAYOUTS = {1: "mono", 2: "stereo", 5: "5.0(side)", 6: "5.1(side)"}


def read(source: Source) -> tuple[Film, Found] | None:
    """Read a file, and find out what its first packets say; None where something is not understood, or not readable."""
    try:
        return _read(source)
    except (NotUnderstoodError, IndexError, OverflowError, OSError):
        return None


def _read(source: Source) -> tuple[Film, Found] | None:
    head = read_head(source)
    tracks = read_tracks(head)
    frames = [track.frame_duration for track in tracks if track.frame_duration]
    microseconds = int(head.duration * head.scale * 1000 / 1_000_000)
    if not frames or not 0 < microseconds <= _LONGEST_SECONDS * 1_000_000:
        return None
    said = ebml.Stated(head.duration * head.scale / 1e9, tuple(frames), head.end)
    wanted = matroska.packets_wanted(said, source.size)
    first = first_packets(source, head, tracks, wanted, with_text=any(map(_is_puzzling, head.attachments)))
    streams = Streams(track.stream for track in tracks)
    for attachment in head.attachments:
        _attach(streams, first, attachment)
    put(head.said, (said for tag in head.tags if not tag.track for said in tag.said))
    film = Film(streams, head.said, microseconds, int(source.size * 8.0 * 1_000_000 / microseconds))
    film.parts = head.chapters
    for track in tracks:
        if track.stream.index in first:
            _parse(track.stream, first[track.stream.index])
    _time(film, first)
    found = matroska.completed(film, first)
    return None if found is None else (film, found)


def _attach(streams: Streams, first: dict[int, Packet], attached: Attachment) -> None:
    index = len(streams)
    metadata = {"filename": attached.name, "mimetype": attached.mime_type}
    if attached.about is not None:
        metadata["title"] = attached.about
    if attached.mime_type.startswith(_JPEG):
        stream = Stream(index, "video", Context(Codec("mjpeg")), _ATTACHED, StreamSummary("video", "mjpeg"))
        stream.disposition = Disposition(_IS_COVER)
        stream.base_rate = 1 / _ATTACHED
        first[index] = Packet(_ends(attached.content))
    elif attached.mime_type.startswith(_OTHER_PICTURES):
        raise NotUnderstoodError
    else:
        codec = _font(attached)
        stream = Stream(index, "attachment", None, _ATTACHED, StreamSummary("attachment", codec))
    stream.metadata = metadata
    streams.append(stream)


def _font(attached: Attachment) -> str | None:
    return next((name for kind, name in _FONTS.items() if attached.mime_type.startswith(kind)), None)


def _is_puzzling(attached: Attachment) -> bool:
    """Tell whether FFmpeg reads on to learn more of an attachment: the size of a picture, or what it is at all."""
    return _font(attached) is None


def _ends(content: bytes | View) -> bytes:
    """Give the beginning of a picture, which has its header, and its end."""
    if isinstance(content, bytes) or len(content) <= _BEGINNING:
        return bytes(content)
    beginning: bytes = content[:_BEGINNING]
    end: bytes = content[len(content) - 2 : len(content)]
    return beginning + end


def _parse(stream: Stream, packet: Packet) -> None:
    """Add what FFmpeg's parsers find out of a stream's first packet."""
    context = stream.codec_context
    if context is None:
        raise NotUnderstoodError
    match context.codec.name:
        case "h264":
            said = avc.configured(context.extradata, _RANGES.get(context.color_range))
            if said is None or not avc.begins_as_configured(packet.content, context.extradata, said):
                raise NotUnderstoodError
            context.profile, context.level = said.profile, said.level
            context.field_order = context.field_order or _PROGRESSIVE
        case "vp8":
            context.field_order = context.field_order or _PROGRESSIVE
        case "opus":
            _parse_opus(context, packet)
        case "ac3":
            _parse_ac3(context, packet)
        case "webvtt":
            if packet[: len(packet)].count(b"\n") < 2:
                raise NotUnderstoodError


def _parse_opus(context: Context, packet: Packet) -> None:
    """Read the header (RFC 7845, 5.1), and make sure that the packet is of one frame (RFC 6716, 3.2)."""
    header = context.extradata
    family = header[18]
    layout = _OPUS_LAYOUTS.get(bytes((family, header[9])) + header[19:])
    if header[:9] != b"OpusHead\1" or layout is None or context.layout.nb_channels != header[9]:
        raise NotUnderstoodError
    if family or packet[0] & 3 or len(packet) > 1 + _LARGEST_OPUS_FRAME or context.sample_rate != _OPUS_RATE:
        raise NotUnderstoodError
    context.layout = Layout(layout, header[9])


def _parse_ac3(context: Context, packet: Packet) -> None:
    """Read a frame's beginning (ETSI TS 102 366, 4.3); it has to be of the main service, and undamaged."""
    said = packets.ac3(packet[:64])
    if said is None or said.channels not in _AC3_LAYOUTS or packet[5] & 7:
        raise NotUnderstoodError
    if (said.sample_rate, said.channels) != (context.sample_rate, context.layout.nb_channels):
        raise NotUnderstoodError
    if not packets.ac3_is_whole(packet[: len(packet)]):
        raise NotUnderstoodError
    context.layout, context.bit_rate = Layout(_AC3_LAYOUTS[said.channels], said.channels), said.bit_rate


def _time(film: Film, first: dict[int, Packet]) -> None:
    """Say when streams and the film begin, as FFmpeg does; it makes up what it does not know.

    It has not seen a packet of what `first` lacks, and of H.264 it cannot tell without its decoder.
    """
    sound, text = list[int](), list[int]()
    for stream in film.streams:
        packet, context = first.get(stream.index), stream.codec_context
        if packet is None or packet.pts is None or context is None or context.codec.name == "h264":
            continue
        stream.start_time = packet.pts
        (text if stream.type == "subtitle" else sound).append(rescaled(packet.pts, stream.time_base, _MICROSECOND))
    begin, begin_text = min(sound, default=None), min(text, default=None)
    if begin_text is not None and (begin is None or begin_text < begin < begin_text + _CLOSE_TEXT):
        begin = begin_text
    film.start_time = begin
    for stream in film.streams:
        if stream.start_time is None:
            stream.duration = rescaled(film.duration, _MICROSECOND, stream.time_base)
            if begin is not None:
                stream.start_time = rescaled(begin, _MICROSECOND, stream.time_base)
