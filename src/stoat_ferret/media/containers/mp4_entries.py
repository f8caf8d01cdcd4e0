"""What an MP4 track's sample entry (ISO/IEC 14496-12, 8.5.2) says of its pictures or sound: H.264, HEVC, AAC."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from struct import Struct
from typing import Any

from stoat_ferret.media import picture
from stoat_ferret.media.codecs import avc, decoders, parameters, sei
from stoat_ferret.media.containers.boxes import NotUnderstoodError, inside, unique
from stoat_ferret.media.containers.mp4_tags import plain
from stoat_ferret.media.dump import light_levels

Fields = dict[str, Any]
Box = tuple[bytes, int, int]

_VISUAL = Struct(">6xH4x4s8xHH12x2xB31sH2x")
_AUDIO = Struct(">6xHHH4s2x2x2x2x4x")
_VERSION_1_BYTES = 16
_CODECS = {b"avc1": "h264", b"hvc1": "hevc", b"hev1": "hevc"}
_RECORDS = {"h264": b"avcC", "hevc": b"hvcC"}
_DEPTH = 24
_VISUAL_BOXES = frozenset({*_RECORDS.values(), b"pasp", b"colr", b"fiel", b"mdcv", b"clli", b"dvcC", b"dvvC"})
_OF_NO_ACCOUNT = frozenset({b"btrt", b"gama", b"free"})
"""That FFmpeg passes over as well."""
_SOUND_BOXES = frozenset({b"esds", b"wave", b"chan"})
_WAVE_BOXES = frozenset({b"frma", b"mp4a", b"esds", b"\0\0\0\0"})
_PLAIN_LAYOUTS = {100 << 16 | 1: 1, 101 << 16 | 2: 2}
"""Channels by the tag that Core Audio calls mono and stereo by."""
_FIELD_ORDERS = {0x0100: 1, 0x0201: 2, 0x0206: 3, 0x0209: 4, 0x020E: 5}
"""FFmpeg's numbers by those of `fiel` (QuickTime File Format)."""
_UNSPECIFIED = 2
_MASTERING = Struct(">8H2I")
_PRIMARY_UNITS, _LUMINANCE_UNITS = 50_000, 10_000
_NO_VENDOR = bytes(4)
_LONGEST_HEADER = 16 * 1024
_MPEG_4_SOUND = 0x40
_NO_BITS = 0x80
_SYNC_EXTENSION = b"\x56\xe5\x00"


@dataclass(slots=True)
class Entry:
    """A sample entry."""

    fields: Fields
    """Of `StreamInfo`."""
    kind: str = "video"
    tags: dict[str, str] = field(default_factory=dict)
    shape: Fraction | None = None
    """The samples' aspect ratio, if the entry says it."""
    coded_shape: Fraction | None = None
    """The same as the pictures themselves say it."""
    packet: Callable[[bytes], bool] | None = None
    """Tells whether the first packet is as it should be; None where that does not matter."""
    beginning: Callable[[int], int] | None = None
    """Says how many bytes of a unit of the first packet count; None where it is not made of units."""
    length_bytes: int = 4
    record: bytes = b""


def described(data: bytes, box: Box, kind: bytes, *, apple: bool) -> Entry:
    """Read the one sample entry of a track.

    Args:
        data: of the index.
        box: the `stsd` box.
        kind: of the track, by its handler.
        apple: whether the file is of QuickTime, where entries say whose encoder it was.

    Raises:
        NotUnderstoodError: there are several, or it is of another codec, or says anything unusual.
    """
    _, start, end = box
    if end - start < 16 or data[start] or data[start + 4 : start + 8] != b"\0\0\0\1":
        raise NotUnderstoodError
    entries = inside(data, start + 8, end)
    if len(entries) != 1:
        raise NotUnderstoodError
    name, begin, stop = entries[0]
    if kind == b"vide" and name in _CODECS and stop - begin >= _VISUAL.size:
        entry, vendor = _visual(data, name, begin, stop)
    elif kind == b"soun" and name == b"mp4a" and stop - begin >= _AUDIO.size:
        entry, vendor = _sound(data, begin, stop)
    elif kind == b"text" and name == b"text":
        return Entry({"codec": "bin_data"}, "data")  # of chapters, or it is not understood
    elif kind == b"sbtl" and name == b"tx3g" and data[begin + 12 : begin + 16] != b"fiel":
        return Entry({"codec": "mov_text", "codec_tag": "tx3g"}, "subtitle")
    else:
        raise NotUnderstoodError
    if apple:
        entry.tags |= _vendor(vendor)
    return entry


def _vendor(code: bytes) -> dict[str, str]:
    """Give the tag that says whose the encoder was, if it is four characters."""
    if code == _NO_VENDOR:
        return {}
    text = plain(code)
    if len(text) != len(_NO_VENDOR) or not text.isalnum():
        raise NotUnderstoodError
    return {"vendor_id": text}


def _short(data: bytes, start: int, end: int) -> bytes:
    """Give a codec's header, which is remembered and therefore may not be of any length."""
    if end - start > _LONGEST_HEADER:
        raise NotUnderstoodError
    return data[start:end]


def _visual(data: bytes, name: bytes, start: int, end: int) -> tuple[Entry, bytes]:
    reference, vendor, width, height, length, compressor, depth = _VISUAL.unpack_from(data, start)
    codec = _CODECS[name]
    found = unique(data, start + _VISUAL.size, end, _VISUAL_BOXES, _OF_NO_ACCOUNT)
    if reference != 1 or depth != _DEPTH or length > 31 or not width or not height or _RECORDS[codec] not in found:
        raise NotUnderstoodError
    if any(record in found for other, record in _RECORDS.items() if other != codec):
        raise NotUnderstoodError
    _, begin, stop = found[_RECORDS[codec]]
    record = _short(data, begin, stop)
    encoder = plain(compressor[:length])
    if encoder.startswith("Planar"):
        raise NotUnderstoodError
    colours, full_range = _colours(data, found.get(b"colr"))
    fields: Fields = {"codec": codec, "codec_tag": name.decode(), "width": width, "height": height}
    entry = Entry(fields, "video", {"encoder": encoder} if encoder else {}, record=record)
    fields["field_order"] = _field_order(data, found.get(b"fiel"))
    (_h264 if codec == "h264" else _hevc)(entry, colours, full_range)
    if b"pasp" in found:
        entry.shape = _shape(data, *found[b"pasp"][1:])
    fields |= _light(data, found)
    return entry, vendor


def _colours(data: bytes, box: Box | None) -> tuple[parameters.Colours | None, bool | None]:
    """Read a `colr` box (ISO/IEC 14496-12, 12.1.5): what numbers stand for, and whether the range is full."""
    if box is None:
        return None, None
    _, start, end = box
    kind = data[start : start + 4]
    if (kind, end - start) not in ((b"nclx", 11), (b"nclc", 10)):
        raise NotUnderstoodError
    primaries, transfer, matrix = (int.from_bytes(data[at : at + 2], "big") for at in range(start + 4, start + 10, 2))
    if any(number not in (*known, _UNSPECIFIED) for number, known in (
        (primaries, picture.PRIMARIES), (transfer, picture.TRANSFERS), (matrix, picture.SPACES),
    )):  # fmt: skip
        raise NotUnderstoodError
    return parameters.Colours(primaries, transfer, matrix), bool(data[start + 10] >> 7) if kind == b"nclx" else None


def _field_order(data: bytes, box: Box | None) -> str | None:
    if box is None:
        return None
    _, start, end = box
    order = _FIELD_ORDERS.get(int.from_bytes(data[start:end], "big")) if end - start == 2 else None
    if order is None:
        raise NotUnderstoodError
    return picture.FIELD_ORDERS[order]


def _shape(data: bytes, start: int, end: int) -> Fraction:
    across, down = int.from_bytes(data[start : start + 4], "big"), int.from_bytes(data[start + 4 : end], "big")
    if end - start != 8 or not 0 < across < 1 << 31 or not 0 < down < 1 << 31:
        raise NotUnderstoodError
    return Fraction(across, down)


def _said(found: parameters.Colours | None) -> Fields:
    return {} if found is None else picture.colours(*found)


def _agree(container: parameters.Colours | None, stream: parameters.Colours) -> None:
    """Make sure that the container says nothing else than the stream: decoders do not agree on what holds then."""
    if container is None:
        return
    if any(theirs not in (ours, _UNSPECIFIED) for ours, theirs in zip(stream, container, strict=True)):
        raise NotUnderstoodError


def _h264(entry: Entry, colours: parameters.Colours | None, full_range: bool | None) -> None:
    found = avc.configured(entry.record, full_range)
    fields, record = entry.fields, entry.record
    if found is None or found.shown.size != (fields["width"], fields["height"]):
        raise NotUnderstoodError
    shown = found.shown
    fields |= {
        "profile": found.profile,
        "level": picture.level(found.level),
        "pixel_format": shown.pixel_format,
        "color_range": None if shown.full_range is None else picture.RANGES[2 if shown.full_range else 1],
        "field_order": fields["field_order"] or picture.FIELD_ORDERS[1],
        **_said(colours),
    }
    if shown.colours is not None:
        _agree(colours, shown.colours)
        fields |= _said(shown.colours)
    entry.coded_shape = shown.sample_aspect_ratio
    entry.length_bytes, entry.beginning = found.length_bytes, avc.wanted
    entry.packet = lambda packet: avc.begins_as_configured(packet, record, found)


def _hevc(entry: Entry, colours: parameters.Colours | None, full_range: bool | None) -> None:
    """Say what a decoder says of a header, with which films of one camera or encoder are alike."""
    fields, record = entry.fields, entry.record
    found = decoders.opened(fields["codec"], record)
    if found is None or found.profile is None or found.size != (fields["width"], fields["height"]):
        raise NotUnderstoodError
    _agree(colours, found.colours)
    fields |= {
        "profile": found.profile,
        "level": picture.level(found.level),
        "pixel_format": found.pixel_format,
        "color_range": picture.RANGES.get(found.full_range)
        or (None if full_range is None else picture.RANGES[1 + full_range]),
        **_said(found.colours),
    }
    entry.coded_shape = found.sample_aspect_ratio
    entry.length_bytes, entry.beginning = (record[21] & 3) + 1, sei.wanted
    entry.packet = lambda packet: sei.hevc_is_configured(record, packet)


def _light(data: bytes, found: dict[bytes, Box]) -> Fields:
    """Read what a picture was graded on (`mdcv`, `clli`: ISO/IEC 14496-12, 12.1.6 and 12.1.7)."""
    fields: Fields = {}
    if b"mdcv" in found:
        _, start, end = found[b"mdcv"]
        if end - start != _MASTERING.size:
            raise NotUnderstoodError
        *points, most, least = _MASTERING.unpack_from(data, start)
        ordered = points[4:6] + points[0:4] + points[6:8]
        fields["mastering_primaries"] = tuple(float(f"{value / _PRIMARY_UNITS:.4f}") for value in ordered)
        fields["mastering_min_luminance"] = float(f"{least / _LUMINANCE_UNITS:f}")
        fields["mastering_max_luminance"] = float(f"{most / _LUMINANCE_UNITS:f}")
    if b"clli" in found:
        _, start, end = found[b"clli"]
        if end - start != 4:
            raise NotUnderstoodError
        fields |= light_levels(*(int.from_bytes(data[at : at + 2], "big") for at in (start, start + 2)))
    if b"dvcC" in found or b"dvvC" in found:
        raise NotUnderstoodError
    return fields


def _sound(data: bytes, start: int, end: int) -> tuple[Entry, bytes]:
    reference, version, _, vendor = _AUDIO.unpack_from(data, start)
    if reference != 1 or version > 1:
        raise NotUnderstoodError
    begin = start + _AUDIO.size + (_VERSION_1_BYTES if version else 0)
    found = unique(data, begin, end, _SOUND_BOXES, _OF_NO_ACCOUNT)
    if b"wave" in found:
        wave = unique(data, *found[b"wave"][1:], _WAVE_BOXES, frozenset())
        if b"frma" in wave and data[wave[b"frma"][1] : wave[b"frma"][2]] != b"mp4a":
            raise NotUnderstoodError
        found |= {b"esds": wave[b"esds"]} if b"esds" in wave and b"esds" not in found else {b"two": found[b"wave"]}
    if b"esds" not in found or b"two" in found:
        raise NotUnderstoodError
    _, begin, stop = found[b"esds"]
    said = _aac(_short(data, begin, stop))
    if said is None:
        raise NotUnderstoodError
    if b"chan" in found:
        _, begin, stop = found[b"chan"]
        layout = int.from_bytes(data[begin + 4 : begin + 8], "big")
        if stop - begin != 16 or _PLAIN_LAYOUTS.get(layout) != said.channels or any(data[begin + 8 : stop]):
            raise NotUnderstoodError
    fields: Fields = {
        "codec": "aac",
        "codec_tag": "mp4a",
        "profile": said.profile,
        "sample_rate": said.sample_rate,
        "channels": said.channels,
        "channel_layout": said.channel_layout,
    }
    return Entry(fields, "audio"), vendor


@lru_cache(maxsize=64)
def _aac(content: bytes) -> parameters.Aac | None:
    """Read an `esds` box (ISO/IEC 14496-14, 5.6) of AAC; None for another, or one that is laid out otherwise."""
    try:
        at = _descriptor(content, 4, 3)
        if content[at + 2]:
            return None
        at = _descriptor(content, at + 3, 4)
        if content[at] != _MPEG_4_SOUND:
            return None
        begin = _descriptor(content, at + 13, 5)
        length = content[begin - 1]
        configuration = content[begin : begin + length]
    except (IndexError, NotUnderstoodError):
        return None
    if content[0] or len(configuration) != length or (length != 2 and configuration[2:] != _SYNC_EXTENSION):
        return None
    return parameters.aac(configuration)


def _descriptor(content: bytes, at: int, tag: int) -> int:
    """Give where the content of a descriptor (ISO/IEC 14496-1, 8.3.3) begins, of which the length fits."""
    if content[at] != tag:
        raise NotUnderstoodError
    at += 1
    while content[at] == _NO_BITS:  # of a length in up to four bytes, of which only the last says something
        at += 1
    if content[at] > _NO_BITS or at + 1 + content[at] > len(content):
        raise NotUnderstoodError
    return at + 1
