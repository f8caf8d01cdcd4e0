"""The sample tables of an MP4 track (ISO/IEC 14496-12, 8.6 and 8.7): when pictures are shown, and how large they are.

They may have an entry for each picture of a long film, so they are looked at as a whole, and never one by one where all
of a film is played. What FFmpeg makes of them is made of them here: libavformat's edit lists, rates and durations.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress, repeat
from math import gcd
from operator import add, ge, mul, sub

from stoat_ferret.media import timing
from stoat_ferret.media.containers.boxes import NotUnderstoodError

_UNSIGNED, _LONG = next(code for code in "IL" if array(code).itemsize == 4), "Q"
_SIGNED = _UNSIGNED.lower()
_LONGEST = (1 << 31) - 1
_HIGHEST = (1 << 31) - 1
"""Of a fraction as FFmpeg keeps it."""
_MOST_SAMPLES = 10_000_000
_MOST_WALKED = 200_000
"""Samples of a track that are looked at one by one, where not all are played."""
_MOST_INDEX_ENTRIES = 500_000
_MOST_GAPS = 5000
_GAPS_FOR_RATE, _FIRST_GAPS = 20, 3
"""How many distances FFmpeg wants to see, and some more; how many of them it does not trust."""
_FINEST_RATE, _FINE_UNIT = 500, 101
_SECONDS_SEEN, _BYTES_SEEN = 4, 150_000
"""Of the beginning of a film, which FFmpeg looks at in any case."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit list (ISO/IEC 14496-12, 8.6.6) of one part that is played, maybe after some time of nothing."""

    delay: int
    """Ticks of the track."""
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class Samples:
    """A track's samples."""

    runs: tuple[tuple[int, int], ...]
    """How many in a row are how long."""
    sizes: Sequence[int]
    """Of each; empty where all are of `size`."""
    size: int
    count: int
    first: int
    """Where the first lies in the file."""
    chunks: int
    """Into how many groups that lie side by side they are divided."""
    offsets: Sequence[int]
    """How much later than decoded each is shown; empty where they are not."""
    keys: Sequence[int]
    """Which of them, counted from one, others do not need; empty where all are such."""
    shift: int
    """How much earlier than at zero FFmpeg decodes the first, so that none is shown before it is decoded."""

    @property
    def duration(self) -> int:
        """Ticks of all of them."""
        return sum(count * length for count, length in self.runs)

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(self.sizes) if self.sizes else self.size * self.count

    @property
    def first_size(self) -> int:
        """Bytes of the first."""
        return self.sizes[0] if self.sizes else self.size


def numbers(data: bytes, start: int, end: int, code: str = _UNSIGNED) -> "array[int]":
    """Read a table of whole numbers of 32 bits, or of 64."""
    found = array(code)
    try:
        found.frombytes(data[start:end])
    except ValueError as error:
        raise NotUnderstoodError from error
    if sys.byteorder == "little":
        found.byteswap()
    return found


def _table(
    data: bytes, box: tuple[bytes, int, int], width: int, code: str = _UNSIGNED, *, versions: int = 1
) -> "array[int]":
    """Read a table that begins with its version, flags and number of entries, of so many bytes each."""
    _, start, end = box
    if end - start < 8 or data[start] >= versions:
        raise NotUnderstoodError
    count = int.from_bytes(data[start + 4 : start + 8], "big")
    if end - start - 8 != count * width:
        raise NotUnderstoodError
    return numbers(data, start + 8, end, code)


def samples(data: bytes, boxes: dict[bytes, tuple[bytes, int, int]]) -> Samples:
    """Read the tables of a track.

    Args:
        data: of the index.
        boxes: of its `stbl`, by type.

    Raises:
        NotUnderstoodError: they lack, contradict each other or say anything that is unusual.
    """
    durations = _table(data, boxes[b"stts"], 8)
    runs = tuple(zip(durations[::2], durations[1::2], strict=True))
    sizes, size, count = _sizes(data, boxes[b"stsz"])
    if not runs or min(durations[::2]) < 1 or max(durations[1::2]) > _LONGEST or sum(durations[::2]) != count:
        raise NotUnderstoodError
    if min(durations[1:-1:2], default=1) < 1 or (runs[-1][1] < 1 and (runs[-1][0] > 1 or count == 1)):
        raise NotUnderstoodError
    offsets, shift = _offsets(data, boxes[b"ctts"], count) if b"ctts" in boxes else ((), 0)
    keys = _table(data, boxes[b"stss"], 4) if b"stss" in boxes else array(_UNSIGNED)
    if b"stss" in boxes and (not keys or keys[0] < 1 or any(map(ge, keys, keys[1:])) or keys[-1] > count):
        raise NotUnderstoodError
    return Samples(runs, sizes, size, count, *_first(data, boxes, count), offsets, keys, shift)


def _sizes(data: bytes, box: tuple[bytes, int, int]) -> tuple[Sequence[int], int, int]:
    _, start, end = box
    if end - start < 12 or data[start]:
        raise NotUnderstoodError
    size, count = (int.from_bytes(data[at : at + 4], "big") for at in (start + 4, start + 8))
    if not 1 <= count <= _MOST_SAMPLES or size > _LONGEST or end - start - 12 != (0 if size else 4 * count):
        raise NotUnderstoodError
    sizes = () if size else numbers(data, start + 12, end)
    if sizes and max(sizes) > _LONGEST >> 1:
        raise NotUnderstoodError
    return sizes, size, count


def _offsets(data: bytes, box: tuple[bytes, int, int], count: int) -> tuple[Sequence[int], int]:
    table = _table(data, box, 8, _SIGNED, versions=2)
    counts, values = table[::2], table[1::2]
    if not counts or min(counts) < 1 or sum(counts) != count or max(map(abs, values)) > _LONGEST >> 1:
        raise NotUnderstoodError
    shift = -min(values[:-2], default=0)
    if max(counts) == 1:
        return values, max(0, shift)
    return list(chain.from_iterable(map(repeat, values, counts))), max(0, shift)


def _first(data: bytes, boxes: dict[bytes, tuple[bytes, int, int]], count: int) -> tuple[int, int]:
    """Give where the first sample lies, and the number of chunks; make sure that these hold all samples."""
    chunks = _table(data, boxes[b"stco"], 4) if b"stco" in boxes else _table(data, boxes[b"co64"], 8, _LONG)
    table = _table(data, boxes[b"stsc"], 12)
    firsts, counts, entries = table[::3], table[1::3], table[2::3]
    if not chunks or not firsts or (b"stco" in boxes and b"co64" in boxes) or firsts[0] != 1:
        raise NotUnderstoodError
    if min(entries) != 1 or max(entries) != 1 or min(counts) < 1 or (b"co64" in boxes and max(chunks) >> 62):
        raise NotUnderstoodError
    firsts.append(len(chunks) + 1)
    lengths = list(map(sub, firsts[1:], firsts))
    if min(lengths) < 1 or sum(map(mul, counts, lengths)) != count:
        raise NotUnderstoodError
    return chunks[0], len(chunks)


def edit(data: bytes, box: tuple[bytes, int, int], unit: int, whole: int) -> Edit | None:
    """Read an edit list; None for an empty one.

    Args:
        data: of the index.
        box: the list.
        unit: ticks of the track a second.
        whole: ticks of the film a second.

    Raises:
        NotUnderstoodError: it plays several parts, or one at another speed, or nothing.
    """
    _, start, end = box
    version = data[start] if end > start else 2
    if version > 1:
        raise NotUnderstoodError
    if version:
        table = numbers(data, start + 8, end, _UNSIGNED)
        entries = [
            (table[at] << 32 | table[at + 1], table[at + 2] << 32 | table[at + 3], table[at + 4])
            for at in range(0, min(15, len(table)), 5)
            if at + 5 <= len(table)
        ]
        entries = [(length, -1 if begin == (1 << 64) - 1 else begin, rate) for length, begin, rate in entries]
        wide = 5
    else:
        signed = numbers(data, start + 8, end, _SIGNED)
        entries = [(length & 0xFFFFFFFF, begin, rate) for length, begin, rate in _threes(signed[:9])]
        table, wide = signed, 3
    count = int.from_bytes(data[start + 4 : start + 8], "big")
    if len(table) != count * wide or count > 2:
        raise NotUnderstoodError
    if not entries:
        return None
    *before, (length, begin, rate) = entries
    if begin < 0 or length < 1 or rate != 1 << 16 or any(time != -1 for _, time, _ in before):
        raise NotUnderstoodError
    delay = sum(_rescaled(time, unit, whole) for time, _, _ in before)
    length = _rescaled(length, unit, whole)
    if max(begin, length, delay) >= 1 << 52 or length < 1 or (before and delay < 1):
        raise NotUnderstoodError
    return Edit(delay, begin, length)


def _threes(table: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    return zip(table[::3], table[1::3], table[2::3], strict=False)


def _rescaled(value: int, top: int, bottom: int) -> int:
    """Multiply with a fraction, and round to the nearest; of two, to the larger."""
    return (value * top + bottom // 2) // bottom


def average_rate(found: Samples, unit: int) -> str:
    """Give the mean of a picture track's frame rate, as `num/den`."""
    return _rate(unit * found.count, found.duration)


def real_rate(found: Samples, part: Edit | None, unit: int) -> str:
    """Give the lowest frame rate that can represent every timestamp, as FFmpeg reckons it and as `num/den`.

    Raises:
        NotUnderstoodError: it is not by the distance that all frames, or all but the last, have, or by the largest that
            divides those of the first ones that it looks at, however many these are.
    """
    length = found.runs[0][1]
    if all(other == length for _, other in found.runs):
        return _rate(unit, length)
    if part is not None and not plays_all(found, part):
        raise NotUnderstoodError
    if found.runs[-1][0] == 1 and all(other == length for _, other in found.runs[:-1]):
        return _rate(unit, length)
    gaps = list(_each(found.runs, min(found.count, _MOST_GAPS) - 1))
    common = gcd(*gaps[_FIRST_GAPS:])
    surely_seen = gaps[:_GAPS_FOR_RATE]
    if len(surely_seen) < _GAPS_FOR_RATE or gcd(*surely_seen[_FIRST_GAPS:]) != common or unit < _FINE_UNIT:
        raise NotUnderstoodError
    if sum(surely_seen) > _SECONDS_SEEN * unit or sum(found.sizes[:_GAPS_FOR_RATE]) > _BYTES_SEEN:
        raise NotUnderstoodError
    if common <= max(1, unit // _FINEST_RATE):
        raise NotUnderstoodError
    return _rate(unit, common)


def _rate(top: int, bottom: int) -> str:
    """Write a fraction in its lowest terms; one of larger numbers than FFmpeg keeps as the nearest that it does."""
    if not bottom:
        raise NotUnderstoodError
    common = gcd(top, bottom)
    top, bottom = top // common, bottom // common
    if max(top, bottom) > _HIGHEST:
        top, bottom = _nearest(top, bottom)
    if not top or not bottom:
        raise NotUnderstoodError
    return f"{top}/{bottom}"


def _nearest(top: int, bottom: int) -> tuple[int, int]:
    """Approximate a fraction by a shorter continued one, of which the last part may be smaller than it would be."""
    before, last = (0, 1), (1, 0)
    while bottom:
        whole, rest = divmod(top, bottom)
        following = whole * last[0] + before[0], whole * last[1] + before[1]
        if max(following) > _HIGHEST:
            room = [(_HIGHEST - less) // step for less, step in zip(before, last, strict=True) if step]
            part = min(whole, *room)
            if bottom * (2 * part * last[1] + before[1]) > top * last[1]:
                last = part * last[0] + before[0], part * last[1] + before[1]
            break
        before, last, top, bottom = last, following, bottom, rest
    return last


def _each(runs: Sequence[tuple[int, int]], most: int) -> Iterator[int]:
    """Give the lengths one by one, so many at most."""
    for count, length in runs:
        yield from repeat(length, min(count, most))
        most -= min(count, most)
        if not most:
            return


def decoded(found: Samples) -> list[int]:
    """Give when each sample is decoded, in ticks."""
    return list(accumulate(_each(found.runs, found.count - 1), initial=0))


def is_uneven(found: Samples, part: Edit | None, duration: int) -> bool | None:
    """Tell of a picture track what `timing.is_uneven` tells of the samples that are played.

    Args:
        found: its samples.
        part: what of it is played; None for all.
        duration: of what is played.
    """
    if part is None or plays_all(found, part):
        if not 3 <= found.count <= _MOST_INDEX_ENTRIES:
            return None
        span = found.duration - found.runs[-1][1]
        gaps = {length for _, length in found.runs[:-1]} | ({found.runs[-1][1]} if found.runs[-1][0] > 1 else set())
        return timing.are_uneven(gaps, found.count, span, duration)
    entries, shown = _walked(found, part)
    return timing.is_uneven(shown, duration) if 3 <= entries <= _MOST_INDEX_ENTRIES else None


def plays_all(found: Samples, part: Edit) -> bool:
    """Tell whether the edit list leaves out no sample, nor begins with any but the first."""
    if not found.offsets:
        return part.begin == 0 and found.duration - found.runs[-1][1] < part.length
    if found.shift or found.count > _MOST_WALKED:
        raise NotUnderstoodError
    times = decoded(found)
    shown = list(map(add, times, found.offsets))
    if min(shown) < part.begin or max(shown) >= part.begin + part.length:
        return False
    for number in found.keys[1:] if found.keys else range(2, found.count + 1):
        at = number - 1
        if times[at] > part.begin:
            break
        if shown[at] <= part.begin:
            return False
    ends = map(add, shown, chain(map(sub, times[1:], times), (0,)))
    last = list(compress(range(1, found.count), (end >= part.begin + part.length for end in ends)))
    return not (set(last) & set(found.keys) if found.keys else last)


def _walked(found: Samples, part: Edit) -> tuple[int, list[int]]:
    """Go through the samples as FFmpeg does to leave out those that are not played.

    Returns:
        How many it keeps, if only for others' sake, and when those that are played are decoded.
    """
    if found.shift or found.count > _MOST_WALKED:
        raise NotUnderstoodError
    times = decoded(found)
    offsets = found.offsets or [0] * found.count
    keys = set(found.keys) if found.keys else range(1, found.count + 1)
    end, waiting = part.begin + part.length, bool(found.offsets)
    start = _begin(found, times, offsets, part.begin)
    shown: list[int] = []
    at = start
    for at in range(start, found.count):
        time = times[at] + offsets[at]
        if part.begin <= time < end:
            shown.append(times[at])
        gap = times[at + 1] - times[at] if at + 1 < found.count else part.length
        if time + gap >= end and at + 1 in keys:
            if not waiting:
                break
            waiting = False
    return at + 1 - start, shown


def _begin(found: Samples, times: Sequence[int], offsets: Sequence[int], begin: int) -> int:
    """Give the last sample that others do not need, and that is shown when the part begins or before."""
    numbered = found.keys or range(1, found.count + 1)
    before = (number - 1 for number in numbered if times[number - 1] <= begin)
    return max((at for at in before if times[at] + offsets[at] <= begin), default=0)
