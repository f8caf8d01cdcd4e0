"""An MPEG transport stream -> MediaInfo, without FFmpeg: out of its first packets and its last.

FFmpeg takes twenty-odd pictures to know a frame rate, and the last 250,000 bytes for the duration; the same are looked
at here, but for their headers only. Understood is what nearly all such files are: one program with pictures of H.264 at
an even rate, none of them interlaced, from one that can be decoded alone on, and any number of sounds of AAC. Of
anything else, and wherever something is doubtful, the answer is None.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from stoat_ferret.media import overall, picture, timing
from stoat_ferret.media.codecs import units
from stoat_ferret.media.containers import packetized
from stoat_ferret.media.containers.packetized import PACKET, SYNC, Begun, Described, DoubtError, Packets
from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.source import Source
from stoat_ferret.media.streams import from_shape_and_format

Fields = dict[str, Any]
CONTAINER = "mpegts"
_TICK = Fraction(1, 90_000)
_H264, _AAC = 0x1B, 0x0F
_CODECS = {_H264: "h264", _AAC: "aac"}
_FRAMES = 23
"""When so many packets of pictures have begun, FFmpeg knows the rate."""
_SOUND_BEFORE = 19
"""The number of a packet of pictures before which each sound has to begin: else FFmpeg reads on."""
_MOST_HEAD = 4_000_000
"""Bytes in which these have to lie; FFmpeg reads 5,000,000."""
_SHORTEST_STEP, _LONGEST_STEP = 32 * 1024, 256 * 1024
_RATES = {
    **{(rate, 1): 0 for rate in (10, 12, 15, 20, 24, 25, 30, 50, 60, 100, 120)},
    (30_000, 1001): 0,
    (24_000, 1001): 1,
    (60_000, 1001): 1,
}
"""By how many ticks at most the times of pictures may be off, by numerator and denominator; times are whole ticks."""
_LONGEST_DELAY = 16
"""Pictures between the one that is decoded and the one that is shown."""
_FRAMES_AT_ONCE, _SURELY_FRAMES = 3, 8
"""Of AAC, after which FFmpeg believes that it is: if they come in one packet, and if not."""
_LITTLE_SOUND, _LONGEST_SOUND = 1536, 1 << 16
"""Bytes in which the former nearly always lie, and those of the longest packet."""
_SAMPLES_A_FRAME = 1024
_BEGINNINGS = (1024, 1 << 14)
"""Bytes in which the first picture has to begin, likewise."""
_TAIL = 250_000
_SURELY_READ = 255_000
"""Bytes that FFmpeg reads at least where it goes back twice as far, for a stream of which it saw nothing."""
_FINDS_PLACE = 16 * PACKET
"""Within which it finds where packets begin, when it goes to some place in a file."""
_FARTHEST = 30 * 90_000
"""Ticks that times in a file's last bytes may lie apart; twice that it takes for a new beginning."""
_LAST_TIME = 7 << 30
"""Of those that a file may begin with: after it they begin anew with zero before long."""


@dataclass(slots=True)
class _Head:
    """What a file begins with."""

    packets: list[Packets]
    tables: dict[int, bytes]
    """The packet of each table, by its identifier."""
    streams: list[Described]
    begun: dict[int, list[Begun]]
    """By identifier."""


def examine(source: Source) -> MediaInfo | None:
    """Examine a file; None where in doubt, or where it cannot be read."""
    try:
        head = _head(source)
        first, sounds = _sorted_out(head.streams)
        sequence = _sequence(head, first)
        rate = _rate(head.begun[first.pid], sequence)
        found = {first.pid: _picture(sequence, rate)}
        latest = head.begun[first.pid][_SOUND_BEFORE].place
        found |= {stream.pid: _sound(head, stream.pid, latest) for stream in sounds}
        starts = {pid: head.begun[pid][0].pts for pid in found}
        _require(max(starts.values()) - min(starts.values()) < _FARTHEST)
        lengths = {
            pid: _SAMPLES_A_FRAME * 90_000 // fields["sample_rate"] for pid, fields in found.items() if pid != first.pid
        }
        lengths[first.pid] = int(90_000 / rate)
        ends = _ends(source, head, starts)
        return _assembled(source.size, head.streams, found, starts, {pid: ends[pid] + lengths[pid] for pid in ends})
    except (DoubtError, OSError, IndexError):
        return None


def may_be(head: bytes) -> bool:
    """Tell by its first bytes whether a file may be a transport stream of packets of 188 bytes."""
    return head[: 10 * PACKET : PACKET] == SYNC * 10


def _head(source: Source) -> _Head:
    """Read on until there are pictures enough, and something of each sound."""
    packets = Packets(source.head())
    tables, described = _tables(packets)
    head = _Head([packets], tables, described, {stream.pid: [] for stream in described})
    pictures = next((head.begun[stream.pid] for stream in described if stream.kind == _H264), None)
    if pictures is None:
        raise DoubtError
    while not _take(head, packets, pictures):
        at = packets.place + packets.count * PACKET
        _require(at < min(source.size, _MOST_HEAD) and bool(pictures))
        lacking = (_FRAMES - len(pictures)) * at // len(pictures)
        packets = Packets(source.peek(at, min(max(lacking, _SHORTEST_STEP), _LONGEST_STEP) // PACKET * PACKET), at)
        _require(packets.count > 0)
        head.packets.append(packets)
    return head


def _take(head: _Head, packets: Packets, pictures: list[Begun]) -> bool:
    """Take what begins in some packets; tells whether there are pictures enough now."""
    begun, tables = head.begun, head.tables
    for number, pid in packets.beginnings():
        if pid in begun:
            begun[pid].append(packets.elementary(number))
            if len(pictures) == _FRAMES:
                return True
        elif pid in tables:
            _require(packets.same(number, tables[pid]))
        else:
            _require(packetized.is_other(pid))
    return False


def _require(condition: bool) -> None:
    if not condition:
        raise DoubtError


def _payload(head: _Head, pid: int, begun: Begun, most: int) -> bytes:
    """Give what a packet of pictures or sound holds, as far as it is there, up to `most` bytes and a little more."""
    for packets, following in pairwise([*head.packets, None]):
        if packets is not None and begun.place < packets.place + packets.count * PACKET:
            content = packets.payload(begun, pid, most)
            if len(content) < most and following is not None:
                content = Packets(packets.whole + following.data, packets.place).payload(begun, pid, most)
            return content
    raise DoubtError


def _tables(packets: Packets) -> tuple[dict[int, bytes], list[Described]]:
    """Find the tables of programs and of streams: their packets by identifier, and what the latter says."""
    tables: dict[int, bytes] = {}
    program = place = None
    for number, pid in packets.beginnings():
        if pid == packetized.PROGRAMS and program is None:
            program, place = packetized.streams_table(packets.section(number))
        elif pid != place:
            continue
        tables[pid] = packets.data[number * PACKET : (number + 1) * PACKET]
        if pid == place and program is not None:
            described = packetized.streams(packets.section(number), program)
            pids = {stream.pid for stream in described}
            _require(min(pids | {pid}) > 0x1F and max(pids | {pid}) < packetized.NOTHING and pid not in pids)
            return tables, described
    raise DoubtError


def _sorted_out(described: list[Described]) -> tuple[Described, list[Described]]:
    """Give the pictures and the sounds; there may be nothing else."""
    pictures = [stream for stream in described if stream.kind == _H264]
    sounds = [stream for stream in described if stream.kind == _AAC]
    _require(len(pictures) == 1 and len(sounds) == len(described) - 1)
    return pictures[0], sounds


def _sequence(head: _Head, stream: Described) -> units.Sequence:
    """Read the beginning of the first picture, and see that none of the others begins with something else."""
    first = head.begun[stream.pid][0]
    sequence = next(filter(None, (units.h264(_payload(head, stream.pid, first, most)) for most in _BEGINNINGS)), None)
    if sequence is None:
        raise DoubtError
    every = iter(head.packets)
    packets = next(every)
    for begun in head.begun[stream.pid]:
        while begun.place >= packets.place + packets.count * PACKET:
            packets = next(every)
        end = begun.place - packets.place + PACKET
        _require(not units.other_sequence(packets.data, begun.payload, end, sequence))
    return sequence


def _rate(begun: list[Begun], sequence: units.Sequence) -> Fraction:
    """Give the frame rate, which stream and times have to agree on."""
    rate = sequence.said.frame_rate
    if rate is None or (slack := _RATES.get((rate.numerator, rate.denominator))) is None:
        raise DoubtError
    length, ticks = rate.denominator * 90_000, rate.numerator
    begin = begun[0].dts
    _require(begin < _LAST_TIME)
    for number, each in enumerate(begun):
        # Both are counted in parts of a tick, so that a picture lasts a whole number of them.
        delay = (each.pts - each.dts) * ticks
        off = (delay + length // 2) % length - length // 2
        late = abs((each.dts - begin) * ticks - number * length)
        if late > slack * ticks or not 0 <= delay <= _LONGEST_DELAY * length or abs(off) > 2 * slack * ticks:
            raise DoubtError
    return rate


def _sound(head: _Head, pid: int, latest: int) -> Fields:
    """Read the first frames of a sound, which has to begin before some place in the file."""
    begun = [each for each in head.begun[pid][:_SURELY_FRAMES] if each.place < latest]
    _require(bool(begun) and begun[0].pts < _LAST_TIME)
    _require(all(before.pts < after.pts for before, after in pairwise(head.begun[pid])))
    said = units.adts(_payload(head, pid, begun[0], _LITTLE_SOUND), _FRAMES_AT_ONCE)
    if said is None:
        said = units.adts(b"".join(_payload(head, pid, each, _LONGEST_SOUND) for each in begun), _SURELY_FRAMES)
    if said is None:
        raise DoubtError
    return {"channels": said.channels, "sample_rate": said.sample_rate, "channel_layout": said.channel_layout}


def _picture(sequence: units.Sequence, rate: Fraction) -> Fields:
    said = sequence.said
    fields: Fields = {
        "profile": sequence.profile,
        "level": sequence.level,
        "width": said.size[0],
        "height": said.size[1],
        "pixel_format": said.pixel_format,
        "frame_rate": timing.rate_text(rate),
        "real_frame_rate": timing.rate_text(rate),
        "field_order": "progressive",
        "rotation": 0,
        "sample_aspect_ratio": picture.ratio_text(said.sample_aspect_ratio),
    }
    if said.full_range is not None:
        fields["color_range"] = picture.RANGES[2 if said.full_range else 1]
    if said.colours is not None:
        fields |= picture.colours(*said.colours)
        _require(fields["color_transfer"] != picture.PQ)
    return fields | from_shape_and_format(fields, None)


def _ends(source: Source, head: _Head, starts: dict[int, int]) -> dict[int, int]:
    """Give the last time stamp of each stream, out of the file's last bytes."""
    place = max(0, source.size - _TAIL)
    ends = _last_times(source, head, starts, place, source.size)
    lacking = starts.keys() - ends.keys()
    if lacking:
        _require(place > 0)
        place = max(0, source.size - 2 * _TAIL)
        before = _last_times(source, head, starts, place, place + _SURELY_READ)
        ends |= {pid: before[pid] for pid in lacking if pid in before}
    _require(ends.keys() == starts.keys())
    return ends


def _last_times(source: Source, head: _Head, starts: dict[int, int], place: int, end: int) -> dict[int, int]:
    """Give the last time stamp of each stream that begins between two places of the file."""
    last: dict[int, Begun] = {}
    for packets in _between(source, -(-place // PACKET) * PACKET, end):
        for number, pid in packets.beginnings():
            if pid in starts:
                begun = packets.elementary(number)
                before = last.setdefault(pid, begun)
                _require(abs(begun.pts - before.pts) < _FARTHEST)
                if begun.pts > before.pts:
                    last[pid] = begun
            elif pid in head.tables and pid != packetized.PROGRAMS:
                _require(packets.same(number, head.tables[pid]))
            else:
                _require(packetized.is_other(pid) or pid == packetized.PROGRAMS)
    for begun in last.values():
        _require(place == 0 or begun.place > place + _FINDS_PLACE)
    _require(all(begun.pts >= starts[pid] for pid, begun in last.items()))
    return {pid: begun.pts for pid, begun in last.items()}


def _between(source: Source, begin: int, end: int) -> Iterator[Packets]:
    """Read whole packets between two places of a file, of which the first is where one begins."""
    tail = source.tail()
    kept = source.size - len(tail)
    at = max(begin, -(-kept // PACKET) * PACKET)
    if begin < at:
        packets = Packets(source.peek(begin, min(at, end) - begin), begin)
        _require(packets.count == (min(at, end) - begin) // PACKET)
        yield packets
    if at < end:
        yield Packets(tail[at - kept : end - kept], at)


def _assembled(
    size: int, described: list[Described], found: dict[int, Fields], starts: dict[int, int], ends: dict[int, int]
) -> MediaInfo:
    """Put together what is known; `starts` and `ends` are in ticks."""
    infos = [
        StreamInfo(
            index=number,
            kind="video" if stream.kind == _H264 else "audio",
            codec=_CODECS[stream.kind],
            language=stream.language,
            start_time=timing.seconds(starts[stream.pid], _TICK),
            duration=timing.seconds(ends[stream.pid] - starts[stream.pid], _TICK),
            **found[stream.pid],
        )
        for number, stream in enumerate(described)
    ]
    begins = {pid: _microseconds(start) for pid, start in starts.items()}
    lengths = {pid: _microseconds(ends[pid] - start) for pid, start in starts.items()}
    begin = min(begins.values())
    duration = max(*lengths.values(), max(begins[pid] + lengths[pid] for pid in begins) - begin)
    return overall.film(
        CONTAINER,
        infos,
        tags={},
        duration=timing.seconds(duration, timing.MICROSECONDS),
        start_time=timing.seconds(begin, timing.MICROSECONDS),
        bit_rate=overall.bit_rate(size, duration),
    )


def _microseconds(ticks: int) -> int:
    """Turn ticks, of which there are none below zero, into microseconds, to the nearest."""
    return (ticks * 100 + 4) // 9
