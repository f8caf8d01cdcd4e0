"""A QuickTime or MP4 file's own headers -> MediaInfo, without FFmpeg, where nothing in them is unusual.

What FFmpeg says of most such files follows from some hundred bytes of boxes and from sums over tables (ISO/IEC
14496-12; QuickTime File Format; libavformat's way with both). They are read here in a fraction of the time that opening
the file with it takes. Whatever is not known to be understood exactly is refused, and FFmpeg is asked.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from stoat_ferret.media import overall, picture, streams, timing
from stoat_ferret.media.codecs import sei
from stoat_ferret.media.containers import mp4_entries, mp4_extras, mp4_packets, mp4_tables, mp4_tags
from stoat_ferret.media.containers.boxes import Box, NotUnderstoodError, inside, outline, unique
from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo
from stoat_ferret.media.light import SideData, with_light
from stoat_ferret.media.source import Source

CONTAINER = "mov,mp4,m4a,3gp,3g2,mj2"
Fields = dict[str, Any]

_FILM = frozenset({b"mvhd", b"trak", b"udta", b"meta"})
_TRACK = frozenset({b"tkhd", b"edts", b"tref", b"mdia", b"udta"})
_MEDIA = frozenset({b"mdhd", b"hdlr", b"minf"})
_INFORMATION = frozenset({b"vmhd", b"smhd", b"nmhd", b"gmhd", b"hdlr", b"dinf", b"stbl"})
_TABLES = frozenset({b"stsd", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"co64", b"sgpd", b"sbgp"})
_PADDING = frozenset({b"free", b"skip"})
_OF_NO_ACCOUNT = _PADDING | {b"iods"}
_NO_TRACK = _PADDING | {b"tapt"}
_NO_TABLES = _PADDING | {b"sdtp", b"cslg"}
_GROUPS = {b"roll", b"prol"}
"""Of sound that has to be decoded before it is heard (ISO/IEC 14496-12, 10.1), of which FFmpeg takes no notice."""
_WHERE = {b"\0\0\0\x0curl \0\0\0\1", b"\0\0\0\x0calis\0\0\0\1"}
"""Data references to the file itself."""
_MOST_TRACKS = 16
_MVHD, _TKHD, _MDHD = struct.Struct(">4I80x"), struct.Struct(">5I16x9i2I"), struct.Struct(">4IHH")
_MVHD_1, _TKHD_1, _MDHD_1 = struct.Struct(">QQIQ80x"), struct.Struct(">QQIIQ16x9i2I"), struct.Struct(">QQIQHH")
_UNITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_ONE = 1 << 16
_TURNS = {(_ONE, 0, 0, _ONE): 0, (0, _ONE, -_ONE, 0): 90, (-_ONE, 0, 0, -_ONE): 180, (0, -_ONE, _ONE, 0): 270}
_EPOCH, _FIRST_UNIX_SECOND = datetime(1904, 1, 1, tzinfo=UTC), 2_082_844_800
_NO_DURATION = ((1 << 32) - 1, (1 << 64) - 1)
_MICROSECONDS = 1_000_000
_EARLY, _EARLY_WITH_COVER = 2_500_000, 100_000
"""How far apart tracks may begin, in bytes, so that FFmpeg surely sees the first packet of each."""


@dataclass(slots=True)
class Track:
    """A track of pictures or sound."""

    kind: str
    entry: mp4_entries.Entry
    samples: mp4_tables.Samples
    part: mp4_tables.Edit | None
    unit: int
    """Ticks a second."""
    start: int
    duration: int
    fields: Fields
    """Of `StreamInfo`."""
    tags: dict[str, str]
    packet: bytes = b""
    """The beginning of the first."""
    identity: int = 0
    chapters: int | None = None
    """Which track tells them, if one does."""


def read(source: Source) -> MediaInfo | None:
    """Say all that is known of a file, or None where FFmpeg has to be asked; also where it cannot be read."""
    try:
        return _film(source)
    except (NotUnderstoodError, OSError, struct.error, IndexError):
        return None


def _film(source: Source) -> MediaInfo:
    found = outline(source)
    told = mp4_tags.Told(_brands(found.brands))
    data = found.index
    boxes = inside(data, 0, len(data))
    if not boxes or boxes[0][0] != b"mvhd":
        raise NotUnderstoodError
    whole = _film_header(data, boxes[0], told.tags)
    tracks: list[Track] = []
    for kind, start, end in boxes[1:]:
        if kind == b"trak" and not told.covers and len(tracks) < _MOST_TRACKS:
            tracks.append(_track(data, start, end, whole, apple=found.brands.startswith(b"qt  ")))
        elif kind == b"udta":
            mp4_tags.user_data(data, start, end, told)
        elif kind == b"meta":
            mp4_tags.listed(data, start, end, told)
        elif kind not in _OF_NO_ACCOUNT:
            raise NotUnderstoodError
    if not any(track.kind in ("video", "audio") for track in tracks):
        raise NotUnderstoodError
    _look_at_packets(source, tracks, early=_EARLY_WITH_COVER if told.covers else _EARLY)
    return _assembled(source, data, tracks, told)


def _brands(content: bytes) -> dict[str, str]:
    if len(content) < 8 or not content.isascii():
        raise NotUnderstoodError
    return {
        "major_brand": mp4_tags.text(content[:4]),
        "minor_version": str(int.from_bytes(content[4:8], "big")),
        "compatible_brands": mp4_tags.text(content[8:]),
    }


def _numbers(data: bytes, box: Box, short: struct.Struct, long: struct.Struct) -> tuple[Any, ...]:
    """Read a header, of either version, that has to have the length it should."""
    _, start, end = box
    version = data[start] if end > start else 2
    layout = (short, long)[version] if version < 2 else None
    if layout is None or end - start - 4 != layout.size:
        raise NotUnderstoodError
    return layout.unpack_from(data, start + 4)


def _film_header(data: bytes, box: Box, tags: dict[str, str]) -> int:
    """Read `mvhd`; give how many ticks a second the film has."""
    created, _, unit, _ = _numbers(data, box, _MVHD, _MVHD_1)
    matrix = struct.unpack(">9i", data[box[2] - 64 : box[2] - 28])
    if not 0 < unit < 1 << 31 or matrix != _UNITY:
        raise NotUnderstoodError
    _note_creation(created, tags)
    return int(unit)


def _note_creation(seconds: int, tags: dict[str, str]) -> None:
    if seconds:
        if not _FIRST_UNIX_SECOND <= seconds < 1 << 36:
            raise NotUnderstoodError
        moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
        tags["creation_time"] = f"{moment.isoformat()}.000000Z"


def _track(data: bytes, start: int, end: int, whole: int, *, apple: bool) -> Track:
    boxes = unique(data, start, end, _TRACK, _NO_TRACK)
    media = unique(data, *boxes[b"mdia"][1:], _MEDIA, _PADDING) if b"mdia" in boxes else {}
    if b"tkhd" not in boxes or list(media) != [b"mdhd", b"hdlr", b"minf"]:
        raise NotUnderstoodError
    tags: dict[str, str] = {}
    unit, duration = _media_header(data, media[b"mdhd"], tags)
    kind = _handler(data, media[b"hdlr"], tags, apple=apple)
    information = unique(data, *media[b"minf"][1:], _INFORMATION, _PADDING)
    if not {b"dinf", b"stbl"} <= information.keys():
        raise NotUnderstoodError
    if b"hdlr" in information:
        _handler(data, information[b"hdlr"], tags, apple=apple)
    _require_own_data(data, information[b"dinf"])
    tables = _stable(data, information[b"stbl"])
    entry = mp4_entries.described(data, tables[b"stsd"], kind, apple=apple)
    found = mp4_tables.samples(data, tables)
    played = _played(data, boxes.get(b"edts"), unit, whole)
    lasts = min(duration, found.duration)
    if lasts < 1 or (kind == b"soun" and found.runs[0][1] == 1 and len(found.runs) == 1):
        raise NotUnderstoodError
    fields = entry.fields | {"bit_rate": (found.total * 8 * unit // lasts) or None, "frame_count": found.count}
    start, lasts = (played.delay, min(lasts, played.delay + played.length)) if played else (_first_shown(found), lasts)
    track = Track(entry.kind, entry, found, played, unit, start, lasts, fields, tags | entry.tags)
    _track_header(data, boxes[b"tkhd"], track)
    if b"udta" in boxes:
        for _, start, end in unique(data, *boxes[b"udta"][1:], frozenset({b"name"}), _PADDING).values():
            track.tags["name"] = mp4_tags.plain(data[start:end])
    if b"tref" in boxes:
        for _, start, end in unique(data, *boxes[b"tref"][1:], frozenset({b"chap"}), frozenset()).values():
            track.chapters = int.from_bytes(data[start:end], "big") if end - start == 4 else 0
    _require_plain_text(track)
    return track


def _require_plain_text(track: Track) -> None:
    """Make sure that it is said when text begins, and that chapters are all played."""
    if track.kind not in ("data", "subtitle"):
        return
    if track.part is None or track.chapters is not None:
        raise NotUnderstoodError
    if track.kind == "data" and not mp4_tables.plays_all(track.samples, track.part):
        raise NotUnderstoodError


def _media_header(data: bytes, box: Box, tags: dict[str, str]) -> tuple[int, int]:
    """Read `mdhd`; give ticks a second, and how many there are."""
    created, _, unit, duration, code, _ = _numbers(data, box, _MDHD, _MDHD_1)
    if not 0 < unit < 1 << 31 or duration in _NO_DURATION or duration >= 1 << 52:
        raise NotUnderstoodError
    _note_creation(created, tags)
    if (name := mp4_tags.language(code)) is not None:
        tags["language"] = name
    return unit, duration


def _handler(data: bytes, box: Box, tags: dict[str, str], *, apple: bool) -> bytes:
    """Read `hdlr`; give its type."""
    _, start, end = box
    if end - start < 20:
        raise NotUnderstoodError
    title = data[start + 20 + 4 : end] if end - start >= 24 else b""
    if title and title[0]:
        counted = apple and title[0] == len(title) - 1
        tags.setdefault("handler_name", mp4_tags.text(title[counted:]))
    return data[start + 8 : start + 12]


def _require_own_data(data: bytes, box: Box) -> None:
    """Make sure that the data is in this file."""
    found = unique(data, box[1], box[2], frozenset({b"dref"}), frozenset())
    _, start, end = found.get(b"dref", (b"", 0, 0))
    if data[start : start + 8] != b"\0\0\0\0\0\0\0\1" or data[start + 8 : end] not in _WHERE:
        raise NotUnderstoodError


def _stable(data: bytes, box: Box) -> dict[bytes, Box]:
    found: dict[bytes, Box] = {}
    for table in inside(data, box[1], box[2]):
        kind, start, _ = table
        if kind in (b"sgpd", b"sbgp"):
            if data[start + 4 : start + 8] not in _GROUPS:
                raise NotUnderstoodError
        elif kind in _TABLES and kind not in found:
            found[kind] = table
        elif kind not in _NO_TABLES:
            raise NotUnderstoodError
    if not {b"stsd", b"stts", b"stsc", b"stsz"} <= found.keys() or not {b"stco", b"co64"} & found.keys():
        raise NotUnderstoodError
    if next(iter(found)) != b"stsd":
        raise NotUnderstoodError
    return found


def _played(data: bytes, box: Box | None, unit: int, whole: int) -> mp4_tables.Edit | None:
    if box is None:
        return None
    found = unique(data, box[1], box[2], frozenset({b"elst"}), frozenset())
    return mp4_tables.edit(data, found[b"elst"], unit, whole) if found else None


def _first_shown(found: mp4_tables.Samples) -> int:
    """Give when the first sample is shown."""
    return found.offsets[0] if found.offsets else 0


def _track_header(data: bytes, box: Box, track: Track) -> None:
    """Read `tkhd`: whether the track is to be played, how it is turned, and how large it is shown."""
    header = _numbers(data, box, _TKHD, _TKHD_1)
    matrix, width, height = header[5:14], header[14] >> 16, header[15] >> 16
    track.identity = header[2]
    track.fields["disposition"] = ("default",) if data[box[1] + 3] & 1 else ()
    if track.kind == "subtitle" and (width or height):
        raise NotUnderstoodError  # the size of the pictures that it is shown in
    if track.kind != "video":
        return
    turn = _TURNS.get((matrix[0], matrix[1], matrix[3], matrix[4]))
    if turn is None or matrix[2] or matrix[5] or matrix[8] != _UNITY[8] or header[14] >> 31 or header[15] >> 31:
        raise NotUnderstoodError
    track.fields["rotation"] = turn
    coded = (track.fields["width"], track.fields["height"])
    if track.entry.shape is None and width and height and (width, height) != coded:
        track.entry.shape = Fraction(coded[1] * width, coded[0] * height)
    shape = track.entry.shape or track.entry.coded_shape
    if shape:
        if max(shape.numerator, shape.denominator) >= 1 << 31:
            raise NotUnderstoodError
        track.fields["sample_aspect_ratio"] = picture.ratio_text(shape)


def _look_at_packets(source: Source, tracks: list[Track], early: int) -> None:
    """Make sure that each track's first packet is there, and what its codec's header says it is."""
    first = min(track.samples.first for track in tracks)
    for track in tracks:
        found, entry = track.samples, track.entry
        if not 0 < found.first_size <= source.size - found.first or (
            track.part is None and found.first - first > early
        ):
            raise NotUnderstoodError
        if entry.packet is not None and entry.beginning is not None:
            units = mp4_packets.units(source, found.first, found.first_size, entry.length_bytes, entry.beginning)
            track.packet = b"".join(len(unit).to_bytes(entry.length_bytes, "big") + unit for unit in units)
            if not entry.packet(track.packet):
                raise NotUnderstoodError


def _assembled(source: Source, data: bytes, tracks: list[Track], told: mp4_tags.Told) -> MediaInfo:
    """Say what is known of the film, once its tracks are."""
    described = [_stream(number, track) for number, track in enumerate(tracks)]
    first = overall.moving_picture(described)
    uneven: bool | None = None
    side_data: SideData | None = None
    if first is not None:
        track = tracks[first.index]
        uneven = mp4_tables.is_uneven(track.samples, track.part, track.duration)
        for stream in described:
            if stream.color_transfer == picture.PQ:
                light = sei.hevc_light(tracks[stream.index].entry.record, tracks[stream.index].packet)
                if light is None or stream.codec != "hevc":
                    raise NotUnderstoodError
                if stream is first:
                    described[first.index], side_data = with_light(first, light), {}
    start, duration = _extent(tracks)
    if told.covers and start:
        raise NotUnderstoodError
    described += [mp4_extras.cover(data, place, len(tracks) + at, duration) for at, place in enumerate(told.covers)]
    return overall.film(
        CONTAINER,
        described,
        tags=streams.short_tags(told.tags),
        duration=round(duration / _MICROSECONDS, 6),
        start_time=round(start / _MICROSECONDS, 6),
        bit_rate=int(float(source.size) * 8.0 * _MICROSECONDS / float(duration)),
        chapters=_chapters(source, tracks, told, start + duration),
        uneven=uneven,
        side_data=side_data,
    )


def _stream(index: int, track: Track) -> StreamInfo:
    fields, unit = track.fields, track.unit
    if track.kind == "data":
        del fields["bit_rate"]
        return StreamInfo(index=index, kind="data", **streams.said_in_tags("data", track.tags), **fields)
    fields["start_time"] = round(track.start / unit, 6)
    fields["duration"] = timing.positive(round(track.duration / unit, 6))
    if track.kind == "video":
        average, real = (
            mp4_tables.average_rate(track.samples, unit),
            mp4_tables.real_rate(track.samples, track.part, unit),
        )
        if real == f"{unit}/1" != average:
            raise NotUnderstoodError  # FFmpeg looks closer
        fields |= {"frame_rate": average, "real_frame_rate": real}
        fields |= streams.from_shape_and_format(fields, None)
    return StreamInfo(index=index, kind=track.kind, **streams.said_in_tags(track.kind, track.tags), **fields)  # type: ignore[arg-type]


def _extent(tracks: list[Track]) -> tuple[int, int]:
    """Give when the film begins, and how long it lasts, in microseconds.

    Raises:
        NotUnderstoodError: there is text before its pictures and sound, or after them.
    """
    parts = [
        (track.kind in ("video", "audio"), *(_rescaled(ticks, track.unit) for ticks in (track.start, track.duration)))
        for track in tracks
    ]
    start = min(begin for seen, begin, _ in parts if seen)
    end = max(begin + length for seen, begin, length in parts if seen)
    longest = max(length for seen, _, length in parts if seen)
    if any(begin < start or begin + length > end or length > longest for _, begin, length in parts):
        raise NotUnderstoodError
    return start, max(longest, end - start)


def _rescaled(ticks: int, unit: int) -> int:
    """Give a time in microseconds, rounded to the nearest; of two, away from zero."""
    value = abs(ticks) * _MICROSECONDS
    return (value + unit // 2) // unit if ticks >= 0 else -((value + unit // 2) // unit)


def _chapters(source: Source, tracks: list[Track], told: mp4_tags.Told, end: int) -> list[ChapterInfo]:
    """Give the chapters; those of a track go before those of a list."""
    wanted = {track.chapters for track in tracks if track.chapters is not None}
    text = [track for track in tracks if track.kind == "data"]
    if not wanted and not text:
        return mp4_extras.listed(told.chapters, end) if told.chapters else []
    if wanted != {track.identity for track in text} or len({track.identity for track in tracks}) < len(tracks):
        raise NotUnderstoodError
    (track,) = text
    if len(told.chapters) > track.samples.count or track.start:
        raise NotUnderstoodError
    names = mp4_extras.titles(source, track.samples)
    return mp4_extras.of_track(track.samples, names, track.unit, track.duration)
