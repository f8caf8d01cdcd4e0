"""The first packets of a Matroska file (RFC 9559, 5.1.3 and 10), as far as they tell something of their streams."""

from collections.abc import Iterator
from typing import NamedTuple

from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.demuxed import Packet
from stoat_ferret.media.containers.ebml import NotUnderstoodError, Readable
from stoat_ferret.media.containers.matroska_head import Head
from stoat_ferret.media.containers.matroska_tracks import Track
from stoat_ferret.media.source import Source, View

_CLUSTER, _TIME, _SIMPLE, _GROUP = 0x1F43B675, 0xE7, 0xA3, 0xA0
_BETWEEN = {0x1C53BB6B, 0x1254C367, 0x114D9B74, ebml.VOID, ebml.CHECKSUM}
"""Parts that may lie between clusters, and are passed over."""
_IN_CLUSTER = {0xA7, 0xAB, ebml.VOID, ebml.CHECKSUM}
_BLOCK = 0xA1
_GROUP_PARTS = frozenset({_BLOCK, 0x9B, 0xFB, 0x75A2, 0xFA})
_MOST_BLOCKS, _MOST_BYTES = 300, 2_000_000
_SOON = 2.0
"""Seconds within which everything has to have begun; FFmpeg looks for longer."""
_BEGINNING = 24
"""Bytes of an element, of which its own and a block's beginning take less."""
_LATEST = 1 << 48
_WIDEST_SIZE = 4
_UNLACED, _XIPH, _EQUAL = 0, 1, 2


class Block(NamedTuple):
    """A block: whose it is, when it is shown, and where in the file its first frame lies."""

    track: Track
    time: int
    """Ticks."""
    at: int
    end: int


def first_packets(
    source: Source, head: Head, tracks: list[Track], reordered: int, *, with_text: bool
) -> dict[int, Packet]:
    """Give the first packet of each picture and sound, and of the subtitles that come before the last of these.

    Args:
        source: the file.
        head: its head.
        tracks: its tracks.
        reordered: how many packets there have to be of H.264.
        with_text: subtitles have to have begun as well, as FFmpeg reads on for seconds for another reason.

    Raises:
        NotUnderstoodError: something is not as it should be, or begins late.
    """
    missing = {track.number for track in tracks if with_text or track.stream.type != "subtitle"}
    left = {track.number: reordered for track in tracks if _is_reordered(track)}
    latest, furthest = _SOON / float(tracks[0].stream.time_base), head.first_cluster + _MOST_BYTES
    first: dict[int, Packet] = {}
    for count, (track, time, at, end) in enumerate(_blocks(source, head, tracks)):
        if not count:
            latest += time
        if count >= _MOST_BLOCKS or end > furthest or (missing and time > latest):
            raise NotUnderstoodError
        number = track.number
        if missing:
            if track.stream.index not in first:
                first[track.stream.index] = Packet(_content(source, at, end), time)
            missing.discard(number)
        if number in left:
            left[number] -= 1
            if left[number] <= 0:
                del left[number]
        if not missing and not left:
            return first
    raise NotUnderstoodError


def _is_reordered(track: Track) -> bool:
    context = track.stream.codec_context
    return context is not None and context.codec.name == "h264"


def _content(source: Source, at: int, end: int) -> bytes | View:
    near = source.head()
    return near[at:end] if end <= len(near) else View(source, at, end)


def _blocks(source: Source, head: Head, tracks: list[Track]) -> Iterator[Block]:
    near, far = source.head(), View(source)
    at, by_number = head.first_cluster, {track.number: track for track in tracks}
    while at < head.end:
        kind, start, stop = ebml.header(near if at + 12 <= len(near) else far, at)
        if stop is None or stop > head.end:
            raise NotUnderstoodError
        if kind == _CLUSTER:
            yield from _in_cluster(near, far, start, stop, by_number)
        elif kind not in _BETWEEN:
            raise NotUnderstoodError
        at = stop


def _in_cluster(near: bytes, far: View, at: int, end: int, tracks: dict[int, Track]) -> Iterator[Block]:
    time: int | None = None
    while at < end:
        begin: bytes = (near if at + _BEGINNING <= len(near) else far)[at : at + _BEGINNING]
        kind, start, stop = ebml.header(begin, 0)
        if stop is None or at + stop > end:
            raise NotUnderstoodError
        if kind in (_SIMPLE, _GROUP):
            if time is None:
                raise NotUnderstoodError
            if kind == _SIMPLE:
                yield _block(near, far, begin[start:], at + start, at + stop, time, tracks)
            else:
                first, last = _grouped(near if at + stop <= len(near) else far, at + start, at + stop)
                begin = far[first : first + _BEGINNING]
                yield _block(near, far, begin, first, last, time, tracks)
        elif kind == _TIME:
            if time is not None:
                raise NotUnderstoodError
            time = ebml.unsigned(begin, start, stop)
        elif kind not in _IN_CLUSTER:
            raise NotUnderstoodError
        at += stop


def _grouped(data: Readable, at: int, end: int) -> tuple[int, int]:
    found: tuple[int, int] | None = None
    for kind, start, stop in ebml.children(data, at, end, _GROUP_PARTS):
        if kind == _BLOCK:
            if found is not None:
                raise NotUnderstoodError
            found = (start, stop)
        else:
            ebml.unsigned(data, start, stop)
    if found is None:
        raise NotUnderstoodError
    return found


def _block(near: bytes, far: View, begin: bytes, at: int, end: int, cluster: int, tracks: dict[int, Track]) -> Block:
    """Read a block's own beginning (RFC 9559, 10.1 and 10.2).

    Args:
        near: the file's first bytes.
        far: the whole file.
        begin: the block's first bytes.
        at: where it begins.
        end: where it ends.
        cluster: its cluster's time.
        tracks: by number.
    """
    width = 1 if begin[0] & 0x80 else 2
    track = tracks.get(begin[0] & 0x7F if width == 1 else (begin[0] & 0x3F) << 8 | begin[1])
    if track is None or not begin[0] & 0xC0 or end - at < width + 4:
        raise NotUnderstoodError
    time = cluster + int.from_bytes(begin[width : width + 2], "big", signed=True)
    if time < 0 or time >= _LATEST:
        raise NotUnderstoodError
    lacing = begin[width + 2] >> 1 & 3
    at += width + 3
    if lacing != _UNLACED:
        if track.stream.type != "audio":
            raise NotUnderstoodError
        at, end = _first_laced(near if end <= len(near) else far, at, end, lacing)
    return Block(track, time - track.delay, at, end)


def _first_laced(data: Readable, at: int, end: int, lacing: int) -> tuple[int, int]:
    """Give where the first of several frames in a block begins and ends (RFC 9559, 10.3); all have to fit in."""
    count, at = data[at] + 1, at + 1
    if count == 1 and lacing != _EQUAL:
        raise NotUnderstoodError
    if lacing == _EQUAL:
        size, rest = divmod(end - at, count)
        if rest or not size:
            raise NotUnderstoodError
        return at, at + size
    sizes: list[int] = []
    for _ in range(count - 1):
        size, at = _xiph_size(data, at) if lacing == _XIPH else _size(data, at, sizes)
        if size <= 0 or at > end:
            raise NotUnderstoodError
        sizes.append(size)
    if at + sum(sizes) >= end:
        raise NotUnderstoodError
    return at, at + sizes[0]


def _xiph_size(data: Readable, at: int) -> tuple[int, int]:
    size = 0
    while data[at] == 0xFF:
        size, at = size + 0xFF, at + 1
    return size + data[at], at + 1


def _size(data: Readable, at: int, before: list[int]) -> tuple[int, int]:
    """Read a frame's size, which, but for the first, is written as its difference from that of the one before."""
    width = 9 - data[at].bit_length()
    if width > _WIDEST_SIZE:
        raise NotUnderstoodError
    size = int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1
    if before:
        size += before[-1] - (1 << 7 * width - 1) + 1
    return size, at + width
