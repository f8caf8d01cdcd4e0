"""What comes before a Matroska file's pictures and sound (RFC 9559): where its parts are, and what they say of all.

Read as FFmpeg reads it: what lies before the first cluster, and what the seek head names. Whatever is not exactly as it
should be raises `NotUnderstoodError`; then FFmpeg is asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from stoat_ferret.media.containers import ebml
from stoat_ferret.media.containers.ebml import NotUnderstoodError, Readable
from stoat_ferret.media.containers.matroska_tags import Tag, read_tags
from stoat_ferret.media.source import Source, View

_HEADER, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SEEK_HEAD, _INFO, _TRACKS, _TAGS = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1254C367
_CHAPTERS, _ATTACHMENTS, _CUES = 0x1043A770, 0x1941A469, 0x1C53BB6B
_SINGLE = (_INFO, _TRACKS, _CHAPTERS, _ATTACHMENTS)
_PARTS = {*_SINGLE, _TAGS, _SEEK_HEAD, _CUES}
_MOST_PARTS = 64
_LONGEST_PART = 1 << 18
"""Bytes of one that does not lie in the file's first ones; of attachments only the names are read."""

_READ_VERSION, _LONGEST_ID, _LONGEST_SIZE, _DOCUMENT, _DOCUMENT_READ = 0x42F7, 0x42F2, 0x42F3, 0x4282, 0x4285
_HEADER_PARTS = frozenset({0x4286, _READ_VERSION, _LONGEST_ID, _LONGEST_SIZE, _DOCUMENT, 0x4287, _DOCUMENT_READ})
_DOCUMENTS = ("matroska", "webm")
_NEWEST_DOCUMENT = 3

_SCALE, _DURATION, _TITLE, _APPLICATION, _DATE = 0x2AD7B1, 0x4489, 0x7BA9, 0x4D80, 0x4461
_INFO_PARTS = frozenset({_SCALE, _DURATION, _TITLE, _APPLICATION, _DATE, 0x5741, 0x73A4, 0x7384})
_DEFAULT_SCALE, _SHORTEST_SCALE, _LONGEST_SCALE = 1_000_000, 1_000, 1_000_000_000
_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_NANOSECOND = Fraction(1, 1_000_000_000)

_SEEK, _SEEK_ID, _SEEK_PLACE = 0x4DBB, 0x53AB, 0x53AC
_SEEKS = frozenset({_SEEK})
_SEEK_PARTS = frozenset({_SEEK_ID, _SEEK_PLACE})

_CUE_POINT, _CUE_TRACK = 0xBB, 0xB7
_CUE_PARTS = frozenset({0xB3, _CUE_TRACK})
_CUE_TRACK_PARTS = frozenset({0xF7, 0xF1, 0xF0, 0xB2, 0x5378})

_EDITION, _CHAPTER, _DISPLAY = 0x45B9, 0xB6, 0x80
_EDITION_PARTS = frozenset({_CHAPTER, 0x45BC, 0x45BD, 0x45DB, 0x45DD})
_CHAPTER_ID, _CHAPTER_START, _CHAPTER_END, _CHAPTER_TEXT = 0x73C4, 0x91, 0x92, 0x85
_CHAPTER_PARTS = frozenset({_CHAPTER_ID, _CHAPTER_START, _CHAPTER_END, _DISPLAY, 0x5654, 0x98, 0x4598, 0x63C3})
_DISPLAY_PARTS = frozenset({_CHAPTER_TEXT, 0x437C, 0x437D, 0x437E})
_LATEST = 1 << 62
"""Nanoseconds."""

_FILE, _FILE_NAME, _FILE_TYPE, _FILE_DATA, _FILE_ABOUT = 0x61A7, 0x466E, 0x4660, 0x465C, 0x467E
_FILE_PARTS = frozenset({_FILE_NAME, _FILE_TYPE, _FILE_DATA, _FILE_ABOUT, 0x46AE})


class Part(NamedTuple):
    """Some bytes, and where in them the content of an element begins and ends."""

    data: Readable
    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file within the file."""

    name: str
    mime_type: str
    about: str | None
    content: View | bytes


@dataclass(slots=True)
class Head:
    """What is said before the first cluster, or where the seek head points to."""

    first_cluster: int
    """Where it begins."""
    end: int
    """Of the segment."""
    tracks: Part
    scale: int = _DEFAULT_SCALE
    """Nanoseconds a tick."""
    duration: float = 0.0
    """Ticks."""
    application: str = ""
    said: dict[str, str] = field(default_factory=dict)
    """Of the file, as FFmpeg's tags."""
    tags: list[Tag] = field(default_factory=list)
    chapters: list[dict[str, Any]] = field(default_factory=list)
    """As PyAV gives them."""
    attachments: list[Attachment] = field(default_factory=list)


def read_head(source: Source) -> Head:
    """Read a file's head.

    Raises:
        NotUnderstoodError: it is not as it should be. IndexError: likewise. OSError: it cannot be read.
    """
    data = source.head()
    at, end = _segment(data)
    if end > source.size:
        raise NotUnderstoodError
    parts, first_cluster = _parts(data, View(source), at, end)
    by_kind = {kind: place for kind, _, place in parts}
    parts += _sought(source, data, parts, at)
    by_kind |= {kind: place for kind, _, place in parts if kind in _SINGLE}
    if _INFO not in by_kind or _TRACKS not in by_kind:
        raise NotUnderstoodError
    found = Head(first_cluster, end, _content(source, data, *by_kind[_TRACKS]))
    _read_info(found, _content(source, data, *by_kind[_INFO]))
    for kind, _, place in parts:
        if kind == _TAGS:
            found.tags += read_tags(*_content(source, data, *place))
        elif kind == _CUES:
            _check_cues(*_content(source, data, *place))
    if _CHAPTERS in by_kind:
        found.chapters = _chapters(*_content(source, data, *by_kind[_CHAPTERS]))
    if _ATTACHMENTS in by_kind:
        found.attachments = _attachments(source, data, *by_kind[_ATTACHMENTS])
    return found


Found = tuple[int, int, tuple[int, int]]
"""A part's id, where it begins, and where its content begins and ends."""


def _segment(data: bytes) -> tuple[int, int]:
    """Check the header, and give where the content of the file's segment begins and ends."""
    identity, at, end = ebml.header(data, 0)
    if identity != _HEADER or end is None or end > len(data):
        raise NotUnderstoodError
    said = {kind: (start, stop) for kind, start, stop in ebml.children(data, at, end, _HEADER_PARTS)}
    numbers = {
        kind: ebml.unsigned(data, *said[kind], default) if kind in said else default
        for kind, default in ((_READ_VERSION, 1), (_LONGEST_ID, 4), (_LONGEST_SIZE, 8), (_DOCUMENT_READ, 1))
    }
    if numbers[_READ_VERSION] != 1 or numbers[_LONGEST_ID] != 4 or numbers[_LONGEST_SIZE] != 8:
        raise NotUnderstoodError
    if numbers[_DOCUMENT_READ] > _NEWEST_DOCUMENT or ebml.text(data, *said.get(_DOCUMENT, (0, 0))) not in _DOCUMENTS:
        raise NotUnderstoodError
    identity, at, stop = ebml.header(data, end)
    if identity != _SEGMENT or stop is None:
        raise NotUnderstoodError
    return at, stop


def _parts(data: bytes, far: View, at: int, end: int) -> tuple[list[Found], int]:
    """Give what lies before the first cluster, and where that begins."""
    found: list[Found] = []
    for _ in range(_MOST_PARTS):
        identity, start, stop = ebml.header(data if at + 12 <= len(data) else far, at)
        if identity == _CLUSTER:
            return found, at
        if stop is None or stop > end or stop == start:
            raise NotUnderstoodError
        if identity in _PARTS:
            if identity in _SINGLE and any(kind == identity for kind, *_ in found):
                raise NotUnderstoodError
            found.append((identity, at, (start, stop)))
        elif identity not in (ebml.VOID, ebml.CHECKSUM):
            raise NotUnderstoodError
        at = stop
    raise NotUnderstoodError


def _sought(source: Source, data: bytes, parts: list[Found], segment: int) -> list[Found]:
    """Give what the seek head names of parts that lie elsewhere, in its order."""
    far, found = View(source), list[Found]()
    for kind, _, place in parts:
        if kind != _SEEK_HEAD:
            continue
        for identity, offset in _seek_entries(*_content(source, data, *place)):
            at = segment + offset
            if identity in (_CLUSTER, _CUES):
                continue
            if identity not in _PARTS or at >= source.size:
                raise NotUnderstoodError
            same = [begin for other, begin, _ in (*parts, *found) if other == identity]
            if at in same or (same and identity in _SINGLE):
                continue
            there, start, stop = ebml.header(data if at + 12 <= len(data) else far, at)
            if there != identity or identity == _SEEK_HEAD or stop is None or not start < stop <= source.size:
                raise NotUnderstoodError
            found.append((identity, at, (start, stop)))
    return found


def _seek_entries(data: Readable, at: int, end: int) -> Iterator[tuple[int, int]]:
    for _, start, stop in ebml.children(data, at, end, _SEEKS):
        said = ebml.numbers(data, start, stop, _SEEK_PARTS)
        if len(said) != len(_SEEK_PARTS):
            raise NotUnderstoodError
        yield said[_SEEK_ID], said[_SEEK_PLACE]


def _content(source: Source, data: bytes, at: int, end: int) -> Part:
    if end <= len(data):
        return Part(data, at, end)
    if end - at > _LONGEST_PART:
        raise NotUnderstoodError
    read = source.peek(at, end - at)
    if len(read) != end - at:
        raise NotUnderstoodError
    return Part(read, 0, end - at)


def _read_info(found: Head, part: Part) -> None:
    data = part.data
    said = {kind: (at, end) for kind, at, end in ebml.children(*part, _INFO_PARTS)}
    if _SCALE in said:
        found.scale = ebml.unsigned(data, *said[_SCALE], _DEFAULT_SCALE)
    if not _SHORTEST_SCALE <= found.scale <= _LONGEST_SCALE:
        raise NotUnderstoodError
    if _DURATION in said:
        found.duration = ebml.real(data, *said[_DURATION])
    if _TITLE in said:
        found.said["title"] = ebml.text(data, *said[_TITLE])
    if _APPLICATION in said:
        found.said["encoder"] = found.application = ebml.text(data, *said[_APPLICATION])
    if _DATE in said:
        at, end = said[_DATE]
        if end - at != 8:
            raise NotUnderstoodError
        found.said["creation_time"] = _moment(int.from_bytes(data[at:end], "big", signed=True))


def _moment(nanoseconds: int) -> str:
    """Write a time since the millennium as FFmpeg does."""
    if nanoseconds < 0:
        raise NotUnderstoodError
    moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _check_cues(data: Readable, at: int, end: int) -> None:
    """Make sure that the index is sound; it says nothing here, but FFmpeg stumbles over one that is not."""
    for _, start, stop in ebml.children(data, at, end, frozenset({_CUE_POINT})):
        for kind, begin, until in ebml.children(data, start, stop, _CUE_PARTS):
            if kind == _CUE_TRACK:
                ebml.numbers(data, begin, until, _CUE_TRACK_PARTS)
            else:
                ebml.unsigned(data, begin, until)


def _chapters(data: Readable, at: int, end: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _, start, stop in ebml.children(data, at, end, frozenset({_EDITION})):
        for kind, begin, until in ebml.children(data, start, stop, _EDITION_PARTS):
            if kind == _CHAPTER:
                found.append(_chapter(data, begin, until))
    for before, after in pairwise(found):
        if before["start"] >= after["start"]:  # FFmpeg leaves some of such out
            raise NotUnderstoodError
    if len({chapter["id"] for chapter in found}) != len(found):
        raise NotUnderstoodError
    return found


def _chapter(data: Readable, at: int, end: int) -> dict[str, Any]:
    numbers: dict[int, int] = {}
    metadata: dict[str, str] = {}
    for kind, start, stop in ebml.children(data, at, end, _CHAPTER_PARTS):
        if kind == _DISPLAY:
            for inner, begin, until in ebml.children(data, start, stop, _DISPLAY_PARTS):
                if inner == _CHAPTER_TEXT:
                    metadata["title"] = ebml.text(data, begin, until)
        elif kind in (_CHAPTER_ID, _CHAPTER_START, _CHAPTER_END):
            numbers[kind] = ebml.unsigned(data, start, stop)
    if len(numbers) != 3 or not numbers[_CHAPTER_ID] or numbers[_CHAPTER_ID] >= _LATEST:
        raise NotUnderstoodError
    if not numbers[_CHAPTER_START] <= numbers[_CHAPTER_END] < _LATEST:
        raise NotUnderstoodError
    return {
        "id": numbers[_CHAPTER_ID],
        "start": numbers[_CHAPTER_START],
        "end": numbers[_CHAPTER_END],
        "time_base": _NANOSECOND,
        "metadata": metadata,
    }


def _attachments(source: Source, data: bytes, at: int, end: int) -> list[Attachment]:
    readable: Readable = data if end <= len(data) else View(source)
    found = []
    for _, start, stop in ebml.children(readable, at, end, frozenset({_FILE})):
        said = {kind: (begin, until) for kind, begin, until in ebml.children(readable, start, stop, _FILE_PARTS)}
        begin, until = said.get(_FILE_DATA, (0, 0))
        if not {_FILE_NAME, _FILE_TYPE} <= said.keys() or begin == until:
            raise NotUnderstoodError
        about = ebml.text(readable, *said[_FILE_ABOUT]) if _FILE_ABOUT in said else None
        content = data[begin:until] if until <= len(data) else View(source, begin, until)
        name, mime_type = (ebml.text(readable, *said[kind]) for kind in (_FILE_NAME, _FILE_TYPE))
        found.append(Attachment(name, mime_type, about, content))
    return found
