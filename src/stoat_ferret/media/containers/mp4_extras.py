"""What an MP4 file has beside its pictures and sound: chapters, as a list and as a track of text, and cover art."""

from collections.abc import Sequence

from stoat_ferret.media import streams
from stoat_ferret.media.codecs import covers
from stoat_ferret.media.containers import mp4_tables, mp4_tags
from stoat_ferret.media.containers.boxes import NotUnderstoodError, part
from stoat_ferret.media.info import ChapterInfo, StreamInfo
from stoat_ferret.media.source import Source

_MICROSECONDS, _NERO_UNITS, _COVER_UNITS = 1_000_000, 10_000_000, 90_000
_MOST_CHAPTERS, _MOST_TEXT = 500, 1 << 16
_BYTE_ORDER_MARKS = (b"\xfe\xff", b"\xff\xfe")


def cover(data: bytes, place: tuple[int, int], index: int, duration: int) -> StreamInfo:
    """Say what is known of a JPEG picture.

    Args:
        data: of the film's index.
        place: where the picture begins and ends in it.
        index: of its stream.
        duration: of the film, in microseconds, which begins at zero.
    """
    said = covers.jpeg(data[place[0] : place[1]])
    if said is None:
        raise NotUnderstoodError
    fields = said.fields
    fields |= streams.from_shape_and_format(fields, None)
    lasts = (duration * _COVER_UNITS + _MICROSECONDS // 2) // _MICROSECONDS
    return StreamInfo(
        index=index,
        kind="video",
        codec="mjpeg",
        disposition=("attached_pic",),
        attached_picture=True,
        start_time=0.0,
        duration=round(lasts / _COVER_UNITS, 6) or None,
        real_frame_rate=f"{_COVER_UNITS}/1",
        rotation=0,
        **fields,
    )


def titles(source: Source, found: mp4_tables.Samples) -> list[str]:
    """Read the samples of a track of text, which lie side by side."""
    sizes = found.sizes or [found.size] * min(found.count, _MOST_CHAPTERS + 1)
    if found.chunks != 1 or found.count > _MOST_CHAPTERS or found.total > _MOST_TEXT:
        raise NotUnderstoodError
    data = part(source, found.first, found.total)
    read, at = [], 0
    for size in sizes:
        sample, at = data[at : at + size], at + size
        length = int.from_bytes(sample[:2], "big")
        text = sample[2 : 2 + length]
        if size < 3 or not length or len(text) != length or text.startswith(_BYTE_ORDER_MARKS):
            raise NotUnderstoodError
        read.append(mp4_tags.text(text))
    return read


def of_track(found: mp4_tables.Samples, names: Sequence[str], unit: int, duration: int) -> list[ChapterInfo]:
    """Give the chapters that a track of text tells, each of which lasts until the next one."""
    begins = mp4_tables.decoded(found)
    ends = [*begins[1:], duration]
    if any(end < begin for begin, end in zip(begins, ends, strict=True)):
        raise NotUnderstoodError
    return [
        ChapterInfo(index=index, start=round(begin / unit, 6), end=round(end / unit, 6), title=name)
        for index, (begin, end, name) in enumerate(zip(begins, ends, names, strict=True))
    ]


def listed(told: Sequence[tuple[int, str]], end: int) -> list[ChapterInfo]:
    """Give the chapters of Nero's list; the last one lasts as long as the film, which ends at this microsecond."""
    begins = [begin for begin, _ in told]
    ends = [*begins[1:], end * (_NERO_UNITS // _MICROSECONDS)]
    if any(after <= begin for begin, after in zip(begins, ends, strict=True)) or len(told) > _MOST_CHAPTERS:
        raise NotUnderstoodError
    return [
        ChapterInfo(index=index, start=round(begin / _NERO_UNITS, 6), end=round(after / _NERO_UNITS, 6), title=name)
        for index, ((begin, name), after) in enumerate(zip(told, ends, strict=True))
    ]
