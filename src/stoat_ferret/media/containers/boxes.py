"""The boxes that QuickTime and MP4 files are made of (ISO/IEC 14496-12, 4.2), taken apart strictly.

Whatever is not exactly as it should be ends the reading: a demuxer forgives much, and forgives it in its own way.
"""

from dataclasses import dataclass
from struct import Struct

from stoat_ferret.media.source import Source

_HEADER = Struct(">I4s")
_LONG = Struct(">Q")
_HEADER_BYTES, _LONG_HEADER_BYTES = 8, 16
_MOST_BOXES = 200
"""In one place; of tags and tracks there are a few dozen at most."""
_MOST_OUTER_BOXES = 32
_LARGEST_INDEX = 32 << 20
"""Bytes of `moov`: of a film of a day, an entry of 16 bytes for each picture and sound."""
_PADDING = {b"free", b"skip"}
_EMPTY = {b"wide", *_PADDING}

Box = tuple[bytes, int, int]
"""Its type, and where its content begins and ends."""


class NotUnderstoodError(Exception):
    """Something is not as this reader knows it. Never leaves the modules that read MP4."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outermost boxes of a file."""

    brands: bytes
    """The content of `ftyp`."""
    index: bytes
    """The content of `moov`."""


def inside(data: bytes, start: int, end: int) -> list[Box]:
    """Give the boxes that fill a part of the data.

    Raises:
        NotUnderstoodError: they do not, but for a few zeros such as QuickTime ends a list with.
    """
    found: list[Box] = []
    unpack = _HEADER.unpack_from
    for _ in range(_MOST_BOXES):
        if end - start < _HEADER_BYTES:
            break
        length, kind = unpack(data, start)
        after = start + length
        if length < _HEADER_BYTES or after > end:
            raise NotUnderstoodError
        found.append((kind, start + _HEADER_BYTES, after))
        start = after
    if start != end and (end - start >= _HEADER_BYTES or any(data[start:end])):
        raise NotUnderstoodError
    return found


def unique(data: bytes, start: int, end: int, known: frozenset[bytes], ignored: frozenset[bytes]) -> dict[bytes, Box]:
    """Give the boxes that fill a part of the data by type, in their order.

    Raises:
        NotUnderstoodError: there is another than those that are known or may be passed over, or one of these twice.
    """
    found: dict[bytes, Box] = {}
    for box in inside(data, start, end):
        kind = box[0]
        if kind in known and kind not in found:
            found[kind] = box
        elif kind not in ignored:
            raise NotUnderstoodError
    return found


def outline(source: Source) -> Outline:
    """Give what the outermost boxes of a file hold that is not its pictures and sound.

    Raises:
        NotUnderstoodError: they are not those of a whole film with one index, and nothing else.
        OSError: the file cannot be read.
    """
    at, brands, index = 0, None, None
    for _ in range(_MOST_OUTER_BOXES):
        length, kind, header = _outer(source, at)
        end = at + length
        if length < header or end > source.size:
            raise NotUnderstoodError
        if kind == b"ftyp" and at == 0:
            brands = part(source, at + header, length - header)
        elif kind == b"moov" and index is None and length <= _LARGEST_INDEX:
            index = part(source, at + header, length - header)
        elif not (kind == b"mdat" and length > header) and not (
            kind in _EMPTY and (length == header or (kind in _PADDING and length >= _LONG_HEADER_BYTES))
        ):
            raise NotUnderstoodError
        at = end
        if at == source.size:
            break
    if at != source.size or brands is None or index is None:
        raise NotUnderstoodError
    return Outline(brands, index)


def _outer(source: Source, at: int) -> tuple[int, bytes, int]:
    """Give length, type and length of the header of a box."""
    start = source.peek(at, min(_LONG_HEADER_BYTES, source.size - at))
    if len(start) < _HEADER_BYTES:
        raise NotUnderstoodError
    length, kind = _HEADER.unpack_from(start)
    if length != 1:
        return length, kind, _HEADER_BYTES
    if len(start) < _LONG_HEADER_BYTES:
        raise NotUnderstoodError
    return _LONG.unpack_from(start, _HEADER_BYTES)[0], kind, _LONG_HEADER_BYTES


def part(source: Source, start: int, length: int) -> bytes:
    """Give a part of the file; what of it lies in its first or last bytes is not read again.

    Raises:
        NotUnderstoodError: the file is shorter.
        OSError: it cannot be read.
    """
    end, head = start + length, source.head()
    data = head[start:end]
    if len(data) < length and end > (tail_start := source.size - len(source.tail())):
        middle = start + len(data)
        if middle < tail_start:
            data += source.peek(middle, tail_start - middle)
        data += source.tail()[max(0, start + len(data) - tail_start) : end - tail_start]
    elif len(data) < length:
        data += source.peek(start + len(data), length - len(data))
    if len(data) != length:
        raise NotUnderstoodError
    return data
