"""An AVI file -> MediaInfo, without FFmpeg: out of its header, its first chunks and its index.

Understood is what FFmpeg itself writes, and what is laid out likewise: pictures of MPEG-4's simple profile that are
shown in the order in which they are stored, one a chunk, and any number of sounds of MP3, one frame a chunk; all of
them in an index that follows them. Of anything else, and wherever something is doubtful, the answer is None.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, islice, pairwise
from struct import Struct, error, unpack
from typing import Any

from stoat_ferret.media import overall, timing
from stoat_ferret.media.codecs import visual
from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.source import Source
from stoat_ferret.media.streams import from_shape_and_format

Fields = dict[str, Any]

CONTAINER = "avi"
_HEADER = Struct("<4s4s4xHH8I")
"""Of a stream: type, handler, priority, language, when it begins, scale, rate, start, length and so on."""
_MAIN = Struct("<10I")
_PICTURE = Struct("<IiiHH4sI")
_SOUND = Struct("<HHIIHH")
_ENTRY = 16
_MUST_USE_INDEX, _KEY = 0x20, 0x10
_PICTURES_KIND = int.from_bytes(b"dc", "little")
_MOST_HEADERS = 256
"""Bytes that come before a picture."""
_MP3, _MP3_FRAME = 0x55, 1152
_TAGS = {b"INAM": "title", b"ICMT": "comment", b"ISFT": "software"}
_MPEG4 = {b"FMP4", b"XVID", b"DX50", b"DIVX"}
_FRAMES = 50
"""So many pictures have to be there; FFmpeg looks at up to 41 to know the rate."""
_RATES = {Fraction(rate) for rate in (12, 15, 24, 25, 30, 50, 60)} | {
    Fraction(top, 1001) for top in (24_000, 30_000, 60_000)
}
_MOST_INDEX = 1 << 20
"""Bytes; of two hours there are several times as many, and FFmpeg reads them in C."""
_MOST_CHUNKS = 10_000

Chunk = tuple[bytes, int, int]
"""What it is, and where its content begins and ends."""


class _DoubtError(Exception):
    """Something is not laid out as it nearly always is. Never leaves this module."""


@dataclass(slots=True)
class _Stream:
    """One stream, as its headers describe it."""

    kind: bytes
    scale: int
    rate: int
    count: int
    format: bytes
    ratio: Fraction | None = None


@dataclass(frozen=True, slots=True)
class _Index:
    """What an index says."""

    sizes: list[list[int]]
    """Of each stream's chunks."""
    last: int
    """Where the last chunk begins."""
    keys: list[int]
    """Where the content of each chunk near the beginning begins that has a key picture."""


def may_be(head: bytes) -> bool:
    """Tell by its first bytes whether a file is an AVI file."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def examine(source: Source) -> MediaInfo | None:
    """Examine a file; None where in doubt, or where it cannot be read."""
    try:
        return _examine(source)
    except (_DoubtError, OSError, IndexError, error):
        return None


def _require(condition: bool) -> None:
    if not condition:
        raise _DoubtError


def _examine(source: Source) -> MediaInfo:
    head = source.head()
    _require(8 + int.from_bytes(head[4:8], "little") <= source.size)
    found: list[_Stream] = []
    tags: dict[str, str] = {}
    movie = None
    for kind, begin, end in _chunks(head, 12, len(head)):
        match kind, head[begin : begin + 4]:
            case b"LIST", b"hdrl" if not found and end <= len(head):
                found = _streams(head, begin + 4, end)
            case b"LIST", b"INFO" if not tags and end <= len(head):
                tags = _tags(head, begin + 4, end)
            case b"LIST", b"movi":
                movie = begin, end
                break
            case b"JUNK", _ if end <= len(head):
                pass
            case _:
                raise _DoubtError
    if movie is None:
        raise _DoubtError
    index = _index(source, movie[0], movie[1], len(found))
    counted = _is_counted(sum(map(sum, index.sizes)), index.last, source.size)
    first = _first_chunks(head, movie[0] + 4, len(found))
    infos = [
        _described(number, stream, index.sizes[number], first[number], counted) for number, stream in enumerate(found)
    ]
    whole = any(stream.kind == b"vids" and stream.rate % stream.scale == 0 for stream in found)
    # FFmpeg reads on where it does not believe in a rate: where time is counted more finely than in pictures.
    _require_same(source, [key for key in index.keys if not whole or key + _MOST_HEADERS <= len(head)])
    _require([info.kind for info in infos].count("video") == 1)
    duration = max(round(info.duration * 1_000_000) for info in infos if info.duration is not None)
    return overall.film(
        CONTAINER,
        infos,
        tags=tags,
        duration=timing.seconds(duration, timing.MICROSECONDS),
        start_time=0.0,
        bit_rate=overall.bit_rate(source.size, duration),
        uneven=False,
    )


def _chunks(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks that lie side by side and begin before `end`; the last may end beyond it."""
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            return
        after = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, after
        at = after + (after - at) % 2


def _within(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks of a list, which they have to fill."""
    last = at
    for kind, begin, after in _chunks(data, at, end):
        _require(after <= end)
        yield kind, begin, after
        last = after + (after - begin) % 2
    _require(last in (end, end + 1))


def _streams(head: bytes, at: int, end: int) -> list[_Stream]:
    found = []
    inside = list(_within(head, at, end))
    _require(bool(inside) and inside[0][0] == b"avih" and inside[0][2] - inside[0][1] == 56)
    main = _MAIN.unpack_from(head, inside[0][1])
    _require(not main[3] & _MUST_USE_INDEX)
    for kind, begin, after in inside[1:]:
        if kind == b"LIST" and head[begin : begin + 4] == b"strl":
            found.append(_stream(head, begin + 4, after))
        else:
            _require(kind == b"JUNK")
    _require(0 < len(found) < 10)
    return found


def _stream(head: bytes, at: int, end: int) -> _Stream:
    stream: _Stream | None = None
    for kind, begin, after in _within(head, at, end):
        length = after - begin
        if kind == b"strh" and stream is None and length == 56:
            what, _, _, _, initial, scale, rate, start, count, _, _, sample = _HEADER.unpack_from(head, begin)
            _require(initial == start == sample == 0 and scale > 0 and rate > 0 and 0 < count < 1 << 24)
            stream = _Stream(what, scale, rate, count, b"")
        elif stream is not None and kind == b"strf" and not stream.format:
            stream.format = head[begin:after]
        elif stream is not None and kind == b"vprp" and length >= 68 and stream.ratio is None:
            down, across = (int.from_bytes(head[begin + at : begin + at + 2], "little") for at in (20, 22))
            width, height = (int.from_bytes(head[begin + at : begin + at + 4], "little") for at in (24, 28))
            _require(min(down, across, width, height) > 0)
            stream.ratio = Fraction(across * height, down * width)
        else:
            _require(kind == b"JUNK")
    if stream is None or not stream.format:
        raise _DoubtError
    return stream


def _tags(head: bytes, at: int, end: int) -> dict[str, str]:
    tags = {}
    for kind, begin, after in _within(head, at, end):
        value = head[begin:after].removesuffix(b"\0")
        _require(kind in _TAGS and _TAGS[kind] not in tags and bool(value) and value.isascii())
        tags[_TAGS[kind]] = value.decode()
        _require(tags[_TAGS[kind]].isprintable())
    return tags


def _is_counted(length: int, last: int, size: int) -> bool:
    """Tell whether FFmpeg takes bit rates out of an index: of a file that is mostly pictures and sound.

    Args:
        length: of all chunks together.
        last: where the last one begins.
        size: of the file.
    """
    return last >= (9 * size + 5) // 10 and 9 * length // 10 <= last and length >= 9 * last // 10


def _require_same(source: Source, keys: list[int]) -> None:
    """See that the first key pictures begin with equal headers, as FFmpeg believes the last that it reads."""
    first, *others = keys or [0]
    beginning = source.peek(first, _MOST_HEADERS)
    headers = visual.headers(beginning)
    _require(len(headers) > 0)
    _require(all(source.peek(key, _MOST_HEADERS)[: len(headers)] == headers for key in others))


def _index(source: Source, movie: int, end: int, streams: int) -> _Index:
    """Read the index; the chunks have to lie one behind the other, and to fill the film."""
    end += (end - movie) % 2
    tail = source.tail()
    at = end - (source.size - len(tail))
    header = tail[at : at + 8] if at >= 0 else source.peek(end, 8)
    length = int.from_bytes(header[4:], "little")
    _require(header[:4] == b"idx1" and 0 < length < _MOST_INDEX and length % _ENTRY == 0)
    data = tail[at + 8 : at + 12 + length] if at >= 0 else source.peek(end + 8, length + 4)
    data, behind = data[:length], data[length:]
    _require(len(data) == length and behind in (b"", b"JUNK"))  # FFmpeg would read another index or more tags
    values = unpack(f"<{length // 4}I", data)
    kinds, flags, offsets, sizes = (values[part::4] for part in range(4))
    ends = list(accumulate([(size + 9) & ~1 for size in sizes], initial=4))  # with their headers, to whole words
    of_streams = []
    for number in range(streams):
        two = [int.from_bytes(b"%02d%s" % (number, kind), "little") for kind in (b"dc", b"wb")]
        of_streams.append([size for kind, size in zip(kinds, sizes, strict=True) if kind in two])
    _require(sum(map(len, of_streams)) == len(sizes) and offsets == tuple(ends[:-1]) and ends[-1] == end - movie)
    keys = [
        movie + offset + 8
        for kind, flag, offset in islice(zip(kinds, flags, offsets, strict=True), _FRAMES * (streams + 1))
        if flag & _KEY and kind >> 16 == _PICTURES_KIND
    ]
    _require(bool(keys))
    return _Index(of_streams, movie + offsets[-1], keys)


def _first_chunks(head: bytes, at: int, streams: int) -> list[list[bytes]]:
    """Give those of the film's first chunks that are wholly at hand, by stream."""
    found: list[list[bytes]] = [[] for _ in range(streams)]
    for kind, begin, after in _chunks(head, at, len(head)):
        if after > len(head):
            break
        if not kind[:2].isdigit() or kind[2:] not in (b"dc", b"wb"):
            break
        _require(int(kind[:2]) < streams)
        found[int(kind[:2])].append(head[begin:after])
    return found


def _described(number: int, stream: _Stream, sizes: list[int], first: list[bytes], counted: bool) -> StreamInfo:
    _require(len(sizes) == stream.count > 1 and bool(first) and sizes[-1] > 0)
    unit, stated = Fraction(stream.scale, stream.rate), False
    if stream.kind == b"vids":
        kind, fields = "video", _picture(stream, first[0])
        _require(sizes[:_FRAMES].count(0) <= 1)  # FFmpeg writes an empty one behind the first
    elif stream.kind == b"auds":
        kind, (fields, stated) = "audio", _sound(stream, first)
        _require(0 < min(sizes) <= max(sizes) <= _MP3_FRAME)
    else:
        raise _DoubtError
    if counted and not stated:
        fields["bit_rate"] = int(8 * sum(sizes) / ((stream.count - 1) * unit) + Fraction(1, 2)) or None
    return StreamInfo(
        index=number,
        kind="video" if kind == "video" else "audio",
        start_time=0.0,
        duration=timing.seconds(stream.count, unit),
        frame_count=stream.count,
        **fields,
    )


def _picture(stream: _Stream, first: bytes) -> Fields:
    rate = Fraction(stream.rate, stream.scale)
    size, width, height, planes, _, tag, _ = _PICTURE.unpack_from(stream.format)
    said = visual.mpeg4(first)
    _require(rate in _RATES and stream.count >= _FRAMES and size == len(stream.format) == 40 and planes == 1)
    if said is None or tag not in _MPEG4:
        raise _DoubtError
    _require((said.width, said.height) == (width, height) and stream.ratio in (None, 1))
    _require(said.resolution > 100 if rate.denominator > 1 else said.rate == rate)
    text = timing.rate_text(rate)
    fields: Fields = {
        "codec": "mpeg4",
        "codec_tag": tag.decode(),
        "profile": said.profile,
        "level": said.level or None,
        "width": width,
        "height": height,
        "sample_aspect_ratio": "1:1",
        "pixel_format": "yuv420p",
        "frame_rate": text,
        "real_frame_rate": text,
        "rotation": 0,
    }
    return fields | from_shape_and_format(fields, None)


def _sound(stream: _Stream, first: list[bytes]) -> tuple[Fields, bool]:
    """Give what a sound's header and first frames say, and whether the former states a bit rate."""
    kind, channels, rate, bytes_a_second, block, _ = _SOUND.unpack_from(stream.format)
    _require(kind == _MP3 and block == _MP3_FRAME and len(stream.format) == 30 and rate >= 32_000)
    _require(Fraction(stream.scale, stream.rate) == Fraction(_MP3_FRAME, rate))
    _require(all(visual.is_mp3(frame, rate, channels) for frame in first))
    _require(all(before[1] == after[1] and before[2] & 0xF0 == after[2] & 0xF0 for before, after in pairwise(first)))
    fields: Fields = {
        "codec": "mp3",
        "codec_tag": "U",
        "bit_rate": 8 * bytes_a_second or visual.mp3_bit_rate(first[0]),
        "sample_rate": rate,
        "channels": channels,
        "channel_layout": "mono" if channels == 1 else "stereo",
    }
    return fields, bytes_a_second > 0
