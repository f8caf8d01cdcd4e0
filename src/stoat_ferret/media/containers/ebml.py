"""EBML (RFC 8794), in which Matroska files are written, and what their first elements (RFC 9559) say of frame rates.

Pure functions over bytes.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any

EBML = b"\x1a\x45\xdf\xa3"
"""With which every Matroska and WebM file begins."""
_HEADER, _SEGMENT, _INFO, _TRACKS, _TRACK = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE
_TIMESTAMP_SCALE, _DURATION, _TRACK_TYPE, _FRAME_DURATION = 0x2AD7B1, 0x4489, 0x83, 0x23E383
_DEFAULT_SCALE = 1_000_000
"""Nanoseconds."""
_PICTURES = 1
"""The type of a track."""
_MOST_ELEMENTS = 1000

Element = tuple[int, int, int | None]
"""Its id, where its content begins, and where it ends, maybe beyond what is there; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a file says itself, where FFmpeg, if it says nothing, works something out from as much as it has read."""

    duration: float | None
    """Seconds."""
    frame_durations: tuple[int, ...]
    """Nanoseconds, of each track of pictures in the order of the tracks; 0 where it does not say."""
    end: int | None
    """How long the whole file is, in bytes; None where it does not say."""


def stated(head: bytes) -> Stated | None:
    """Read `Info` and `Tracks`; None where they do not both lie wholly within the file's first bytes."""
    duration: float | None = None
    frames: tuple[int, ...] | None = None
    told = False
    segment = _segment(head)
    if segment is None:
        return None
    for identity, start, stop in _elements(head, segment[0], len(head)):
        if stop is None or stop > len(head):
            break
        if identity == _INFO:
            duration, told = _duration(head, start, stop), True
        elif identity == _TRACKS:
            frames = _frame_durations(head, start, stop)
    return None if frames is None or not told else Stated(duration, frames, segment[1])


def _segment(head: bytes) -> tuple[int, int | None] | None:
    """Give where the content of the file's one segment begins and ends; None where it is not the second element."""
    outer = list(islice(_elements(head, 0, len(head)), 2))
    if [identity for identity, *_ in outer] != [_HEADER, _SEGMENT]:
        return None
    return outer[1][1:]


def _duration(head: bytes, start: int, end: int) -> float | None:
    scale, duration = _DEFAULT_SCALE, None
    for identity, begin, stop in _elements(head, start, end):
        content = head[begin:stop]
        if identity == _TIMESTAMP_SCALE:
            scale = _unsigned(content)
        elif identity == _DURATION and len(content) in (4, 8):
            (duration,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
    return None if duration is None else duration * scale / 1e9


def _frame_durations(head: bytes, start: int, end: int) -> tuple[int, ...]:
    found = []
    for identity, begin, stop in _elements(head, start, end):
        if identity == _TRACK:
            inside = {inner: head[at:until] for inner, at, until in _elements(head, begin, stop or end)}
            if _unsigned(inside.get(_TRACK_TYPE, b"")) == _PICTURES:
                found.append(_unsigned(inside.get(_FRAME_DURATION, b"")))
    return tuple(found)


def _unsigned(content: bytes) -> int:
    """Read a number (RFC 8794, 7.2); 0 for one that is longer than any may be."""
    return int.from_bytes(content, "big") if len(content) <= 8 else 0


def _elements(data: bytes, start: int, end: int) -> Iterator[Element]:
    """Yield the elements (RFC 8794) that lie side by side and begin before `end`, up to one of unknown size."""
    with suppress(NotUnderstoodError, IndexError):
        for _ in range(_MOST_ELEMENTS):
            element = header(data, start)
            if element[1] > end:
                return
            yield element
            if element[2] is None:
                return
            start = element[2]


class NotUnderstoodError(Exception):
    """Something is not as it should be, or not known here. Never leaves the modules that read Matroska files."""


VOID, CHECKSUM = 0xEC, 0xBF
"""May lie anywhere, and say nothing here."""
_LONGEST_NUMBER = 8
_REALS = {4: struct.Struct(">f"), 8: struct.Struct(">d")}
_LONGEST_TEXT = 1 << 18

Readable = Any
"""Bytes, or a `source.View` of a file."""


_WIDTHS = tuple(9 - first.bit_length() if first else 0 for first in range(256))
"""Of a variable-size integer (RFC 8794, 4), by its first byte; 0 where none begins."""
_MASKS = tuple((1 << 7 * width) - 1 for width in range(9))
"""What of one is its value, by its width; as a length, all ones are an unknown one."""


def header(data: Readable, at: int) -> Element:
    """Read the beginning of an element, as `Element`: its id, where its content begins, and where it ends.

    Raises:
        NotUnderstoodError: there is none. IndexError: the data ends first.
    """
    body = at + _WIDTHS[data[at]]
    identity = int.from_bytes(data[at:body], "big")
    width = _WIDTHS[data[body]]
    length = int.from_bytes(data[body : body + width], "big") & _MASKS[width]
    body += width
    if not width or not identity or body > len(data):
        raise NotUnderstoodError
    return identity, body, None if length == _MASKS[width] else body + length


def children(data: Readable, at: int, end: int, known: frozenset[int]) -> list[tuple[int, int, int]]:
    """Give the elements that fill a place: of each its id, where its content begins and where it ends.

    Raises:
        NotUnderstoodError: one has an unknown id or length, or does not lie within.
    """
    found = []
    number, widths, masks = int.from_bytes, _WIDTHS, _MASKS
    try:
        while at < end:
            body = at + widths[data[at]]
            identity = number(data[at:body], "big")
            width = widths[data[body]]
            mask = masks[width]
            at = body + width
            length = number(data[body:at], "big") & mask
            stop = at + length
            if length == mask or stop > end:
                raise NotUnderstoodError
            if identity in known:
                found.append((identity, at, stop))
            elif identity not in (VOID, CHECKSUM):
                raise NotUnderstoodError
            at = stop
    except IndexError:
        raise NotUnderstoodError from None
    return found


def once(data: Readable, at: int, end: int, known: frozenset[int]) -> dict[int, tuple[int, int]]:
    """Give where the content of each element begins and ends, of which there may be but one each; as `children`."""
    found = children(data, at, end, known)
    places = {kind: (start, stop) for kind, start, stop in found}
    if len(places) != len(found):
        raise NotUnderstoodError
    return places


def numbers(data: Readable, at: int, end: int, known: frozenset[int]) -> dict[int, int]:
    """Give the numbers that fill a place; an empty one is not understood. As `children`."""
    found = {}
    for kind, start, stop in children(data, at, end, known):
        if not 0 < stop - start <= _LONGEST_NUMBER:
            raise NotUnderstoodError
        found[kind] = int.from_bytes(data[start:stop], "big")
    return found


def unsigned(data: Readable, at: int, end: int, default: int = 0) -> int:
    """Read a number (RFC 8794, 7.2); an empty one is the default."""
    if end - at > _LONGEST_NUMBER:
        raise NotUnderstoodError
    return int.from_bytes(data[at:end], "big") if end > at else default


def real(data: Readable, at: int, end: int, default: float = 0.0) -> float:
    """Read a number with a point (RFC 8794, 7.3) that is neither infinite nor none."""
    if end == at:
        return default
    content = data[at:end]
    if end - at not in _REALS or len(content) != end - at:
        raise NotUnderstoodError
    (number,) = _REALS[end - at].unpack(content)
    if not isfinite(number):
        raise NotUnderstoodError
    return float(number)


def text(data: Readable, at: int, end: int) -> str:
    """Read text (RFC 8794, 7.4 and 7.5), which a zero byte may end early."""
    if end - at > _LONGEST_TEXT:
        raise NotUnderstoodError
    content: bytes = data[at:end]
    if len(content) != end - at:
        raise NotUnderstoodError
    if 0 in content:
        content = content[: content.index(0)]
    return content.decode("utf-8", "replace")
