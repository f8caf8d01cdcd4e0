"""MP4 files with boxes that our clips lack, as other programs write them: read as FFmpeg reads them, or not at all."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.media import probe
from stoat_ferret.media.containers import mp4
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import opened
from tests.media_files import AudioTrack, clip_file

Change = Callable[[bytes], bytes]
_BEFORE_BOXES = {b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"mp4a": 28}
"""Bytes of a box before those in it."""
_TRACK = (b"moov", b"trak")
_TABLES = (*_TRACK, b"mdia", b"minf", b"stbl")
_PICTURE = (*_TABLES, b"stsd", b"avc1")
_MDCV = struct.pack(">8H2I", 13250, 34500, 7500, 3000, 34000, 16000, 15635, 16450, 10_000_000, 50)


def _box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def changed(data: bytes, path: tuple[bytes, ...], change: Change) -> bytes:
    """Give the data with the content of one box changed: the first at each step of the way to it."""
    at = 0
    while at < len(data):
        end, kind = at + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == path[0]:
            content, head = data[at + 8 : end], _BEFORE_BOXES.get(kind, 0)
            inner = content[:head] + changed(content[head:], path[1:], change) if path[1:] else change(content)
            return data[:at] + _box(kind, inner) + data[end:]
        at = end
    raise AssertionError(path)


def added(*path: bytes, kind: bytes, content: bytes) -> Change:
    return lambda data: changed(data, path, lambda inside: inside + _box(kind, content))


def replaced(*path: bytes, content: bytes) -> Change:
    return lambda data: changed(data, path, lambda _inside: content)


def without(*path: bytes) -> Change:
    """Leave a box out."""

    def drop(inside: bytes) -> bytes:
        at = inside.index(path[-1]) - 4
        return inside[:at] + inside[at + int.from_bytes(inside[at : at + 4], "big") :]

    return lambda data: changed(data, path[:-1], drop)


def longer(*path: bytes, short: str, long: str) -> Change:
    """Write a header in version 1, with longer numbers."""

    def lengthen(inside: bytes) -> bytes:
        size = struct.calcsize(short)
        numbers = struct.unpack(short, inside[4 : 4 + size])
        return b"\1" + inside[1:4] + struct.pack(long, *numbers) + inside[4 + size :]

    return lambda data: changed(data, path, lengthen)


def edits(*entries: tuple[int, int, float], version: int = 0) -> Change:
    """Write an edit list of lengths in milliseconds, ticks and speeds."""
    layout = ">QqI" if version else ">IiI"
    body = b"".join(struct.pack(layout, length, begin, int(speed * 65536)) for length, begin, speed in entries)
    content = bytes([version, 0, 0, 0]) + len(entries).to_bytes(4, "big") + body
    return replaced(*_TRACK, b"edts", b"elst", content=content)


def value(kind: bytes, number: int, content: bytes) -> Change:
    """Add a tag of a type to iTunes' list."""

    def add(inside: bytes) -> bytes:
        item = _box(kind, _box(b"data", number.to_bytes(4, "big") + bytes(4) + content))
        return inside[:4] + changed(inside[4:], (b"ilst",), lambda items: items + item)

    return lambda data: changed(data, (b"moov", b"udta", b"meta"), add)


def nero(*chapters: tuple[int, bytes], version: int = 1) -> Change:
    """Add a list of chapters, with the second each begins at."""
    listed = b"".join((at * 10_000_000).to_bytes(8, "big") + bytes([len(name)]) + name for at, name in chapters)
    content = bytes([version, 0, 0, 0]) + (bytes(4) if version else b"") + bytes([len(chapters)]) + listed
    return added(b"moov", b"udta", kind=b"chpl", content=content)


def _wide(inside: bytes) -> bytes:
    numbers = struct.unpack(f">{len(inside) // 4 - 2}I", inside[8:])
    return inside[:8] + struct.pack(f">{len(numbers)}Q", *numbers)


def wide_offsets(data: bytes) -> bytes:
    return changed(data, (*_TABLES, b"stco"), _wide).replace(b"stco", b"co64", 1)


def colours(kind: bytes, *numbers: int, more: bytes = b"") -> Change:
    return added(*_PICTURE, kind=b"colr", content=kind + struct.pack(f">{len(numbers)}H", *numbers) + more)


def measured(count: int, unit: int, length: int, last: int) -> Change:
    """Give the pictures, of which the last one is shown for another time, a unit of time and lengths."""
    table = struct.pack(">6I", 0, 2, count - 1, length, 1, last)

    def measure(data: bytes) -> bytes:
        data = changed(data, (*_TABLES, b"stts"), lambda _inside: table)
        total = min((count - 1) * length + last, 0xFFFFFFFE)
        header = (*_TRACK, b"mdia", b"mdhd")
        return changed(data, header, lambda inside: inside[:12] + struct.pack(">2I", unit, total) + inside[20:])

    return measure


READ: dict[str, Change] = {
    "long film header": longer(b"moov", b"mvhd", short=">4I", long=">QQIQ"),
    "long track header": longer(*_TRACK, b"tkhd", short=">5I", long=">QQIIQ"),
    "long media header": longer(*_TRACK, b"mdia", b"mdhd", short=">4I", long=">QQIQ"),
    "offsets of 64 bits": wide_offsets,
    "no edit list": without(*_TRACK, b"edts"),
    "an empty edit list": edits(),
    "nothing for half a second": edits((500, -1, 1), (2400, 0, 1)),
    "a long edit list": edits((500, -1, 1), (2400, 0, 1), version=1),
    "a part from the middle": edits((700, 7000, 1), version=1),
    "mastering": lambda data: added(*_PICTURE, kind=b"clli", content=b"\3\xe8\1\x90")(
        added(*_PICTURE, kind=b"mdcv", content=_MDCV)(data)
    ),
    "colours": colours(b"nclc", 1, 1, 1),
    "colours and a range": colours(b"nclx", 9, 14, 9, more=b"\x80"),
    "colours that are not said": colours(b"nclx", 2, 2, 2, more=b"\0"),
    "gamma": added(*_PICTURE, kind=b"gama", content=bytes(4)),
    "zeros at the end of the entry": lambda data: changed(data, _PICTURE, lambda inside: inside + bytes(4)),
    "whole frames": added(*_PICTURE, kind=b"fiel", content=b"\1\0"),
    "fields": added(*_PICTURE, kind=b"fiel", content=b"\2\6"),
    "wide samples": lambda data: added(*_PICTURE, kind=b"pasp", content=struct.pack(">2I", 4, 3))(
        without(*_PICTURE, b"pasp")(data) if b"pasp" in data else data
    ),
    "Nero's chapters": nero((0, b"one"), (1, b"two")),
    "Nero's chapters, older": nero((0, "été".encode()), version=0),
    "Apple's apertures": added(*_TRACK, kind=b"tapt", content=_box(b"clef", bytes(4) + b"\1\0\0\0" * 2)),
    **{
        f"{kind.decode()}": added(b"moov", b"udta", kind=kind, content=b"SEQ_PLAY")
        for kind in (b"SDLN", b"smrd", b"Xtra")
    },
    "a description": value(b"desc", 1, b"What it is"),
    "a text of no type": value(b"\xa9day", 0, b"2020"),
    "a number": value(b"\xa9gen", 21, b"\xff"),
    "a fraction": value(b"\xa9gen", 23, struct.pack(">f", 29.97)),
    "a text with a zero in it": value(b"\xa9cmt", 1, b"one\0two"),
    "a text that is no text": value(b"\xa9cmt", 1, b"\xff\xfe"),
}
for _unit, _lengths in (
    (1_999_999_943, (76_923_061, 66_923_057)),
    (2_147_483_629, (82_595_503, 1_234_567)),
    (90_000_001, (3_461_501, 17)),
    (1_999_999_943, (7_919, 104_729)),
    (1_000_003, (33_367, 29_999)),
):
    READ[f"a rate of large numbers: {_unit}, {_lengths}"] = measured(60, _unit, *_lengths)
LEFT: dict[str, Change] = {
    "two parts": edits((400, 0, 1), (400, 7000, 1)),
    "double speed": edits((1200, 0, 2)),
    "three parts": edits((400, -1, 1), (400, -1, 1), (400, 0, 1)),
    "an edit list cut short": replaced(*_TRACK, b"edts", b"elst", content=b"\0\0\0\0\0\0\0\2" + bytes(12)),
    "a film that is turned": lambda data: changed(
        data, (b"moov", b"mvhd"), lambda inside: inside[:36] + b"\0\2\0\0" + inside[40:]
    ),
    "a time before 1970": lambda data: changed(
        data, (b"moov", b"mvhd"), lambda inside: inside[:4] + b"\0\0\0\1" + inside[8:]
    ),
    "an aperture": added(*_PICTURE, kind=b"clap", content=bytes(32)),
    "a profile of colours": colours(b"prof", more=bytes(16)),
    "colours of no meaning": colours(b"nclc", 77, 1, 1),
    "Dolby Vision": added(*_PICTURE, kind=b"dvcC", content=bytes(24)),
    "mastering cut short": added(*_PICTURE, kind=b"mdcv", content=_MDCV[:-1]),
    "light cut short": added(*_PICTURE, kind=b"clli", content=b"\0"),
    "fields of an unknown order": added(*_PICTURE, kind=b"fiel", content=b"\2\7"),
    "rubbish at the end of the entry": lambda data: changed(data, _PICTURE, lambda inside: inside + b"abc"),
    "two entries": lambda data: changed(
        data, (*_TABLES, b"stsd"), lambda inside: inside[:7] + b"\2" + inside[8:] + inside[8:]
    ),
    "data elsewhere": replaced(
        *_TRACK, b"mdia", b"minf", b"dinf", b"dref", content=bytes(7) + b"\1" + _box(b"url ", bytes(4) + b"x\0")
    ),
    "a group of keyframes": added(*_TABLES, kind=b"sbgp", content=bytes(4) + b"rap " + bytes(4)),
    "partial keyframes": added(*_TABLES, kind=b"stps", content=bytes(8)),
    "a header of absurd length": lambda data: changed(
        data, (*_PICTURE, b"avcC"), lambda inside: inside + bytes(20_000)
    ),
    "no sizes": without(*_TABLES, b"stsz"),
    "no handler": without(*_TRACK, b"mdia", b"hdlr"),
    "the number of a track": value(b"trkn", 0, bytes(8)),
    "a text in UTF-16": value(b"\xa9cmt", 2, b"\0a"),
    "a picture in PNG": value(b"covr", 14, b"\x89PNG"),
    "a reference to another track": added(*_TRACK, kind=b"tref", content=_box(b"cdsc", b"\0\0\0\1")),
    "chapters of a track that is not there": added(*_TRACK, kind=b"tref", content=_box(b"chap", b"\0\0\0\7")),
    "chapters in disorder": nero((1, b"one"), (0, b"two")),
    "chapters cut short": added(b"moov", b"udta", kind=b"chpl", content=b"\1\0\0\0\0\0\0\0\2"),
}


def _film(tmp_path: Path, change: Change, **fields: Any) -> Path:
    path = tmp_path / "x.mp4"
    path.write_bytes(change(clip_file(frames=60, fast_start=False, title="A title", **fields).read_bytes()))
    return path


def _by_itself(path: Path) -> MediaInfo | None:
    with opened(bytes(path)) as source:
        return mp4.read(source)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("sound", [False, True])
def test_what_is_known_is_read_as_ffmpeg_reads_it(tmp_path: Path, name: str, sound: bool) -> None:
    """Without its decoders."""
    path = _film(tmp_path, READ[name], audio=(AudioTrack(channels=2),) if sound else ())
    with opened(bytes(path)) as source:
        whole = probe._from_boxes(source) or probe.examine(bytes(path))
    assert _by_itself(path) == whole


@pytest.mark.parametrize("name", LEFT)
def test_what_is_unusual_is_left_to_ffmpeg(tmp_path: Path, name: str) -> None:
    """Whatever it makes of it."""
    assert _by_itself(_film(tmp_path, LEFT[name])) is None
