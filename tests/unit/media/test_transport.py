"""The parts of a transport stream, read as strangers wrote them."""

import os
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.media.codecs import units
from stoat_ferret.media.containers import packetized, transport
from stoat_ferret.media.containers.packetized import PACKET, Described, DoubtError, Packets
from stoat_ferret.media.source import Source

PICTURES, SOUND, TABLE = 0x100, 0x101, 0x1000


def section(content: bytes) -> bytes:
    """Close a section by its checksum."""
    reverse = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))
    number = int(f"{zlib.crc32(content.translate(reverse)) ^ 0xFFFFFFFF:032b}"[::-1], 2)
    return content + number.to_bytes(4, "big")


def table(kind: int, number: int, rest: bytes) -> bytes:
    length = (0xB000 | (len(rest) + 9)).to_bytes(2, "big")
    return section(bytes([kind]) + length + number.to_bytes(2, "big") + b"\xc1\0\0" + rest)


def packet(pid: int, content: bytes, *, begins: bool = True, count: int = 0) -> bytes:
    """Make a packet; what is shorter is stuffed as sections are."""
    flags = (0x4000 if begins else 0) | pid
    return b"\x47" + flags.to_bytes(2, "big") + bytes([0x10 | count]) + content.ljust(184, b"\xff")


def programs(*entries: tuple[int, int]) -> bytes:
    return table(0, 1, b"".join(n.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for n, pid in entries))


def stream_entry(kind: int, pid: int, descriptors: bytes = b"") -> bytes:
    return (
        bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    )


def streams(*entries: bytes, number: int = 1, of_program: bytes = b"") -> bytes:
    begin = (0xE000 | PICTURES).to_bytes(2, "big") + (0xF000 | len(of_program)).to_bytes(2, "big") + of_program
    return table(2, number, begin + b"".join(entries))


def stamp(mark: int, time: int) -> bytes:
    parts = (time >> 30 & 7) << 33, (time >> 15 & 0x7FFF) << 17, (time & 0x7FFF) << 1
    return (mark << 36 | 1 << 32 | 1 << 16 | 1 | sum(parts)).to_bytes(5, "big")


def test_tables_say_what_there_is() -> None:
    """One program, and its streams with their languages; a network's own table is no program."""
    assert packetized.streams_table(programs((0, 16), (1, TABLE))) == (1, TABLE)
    language = b"\x0a\x04eng\0"
    found = packetized.streams(streams(stream_entry(0x1B, PICTURES), stream_entry(0x0F, SOUND, language)), 1)
    assert found == [Described(PICTURES, 0x1B, None), Described(SOUND, 0x0F, "eng")]


@pytest.mark.parametrize(
    "content",
    [
        programs(),
        programs((0, 16)),
        programs((1, TABLE), (2, TABLE + 1)),
        table(2, 1, b"\0\1\xe1\0"),
        table(0, 1, b"\0\1\xe1\0\0"),
    ],
)
def test_other_tables_of_programs(content: bytes) -> None:
    """Are refused."""
    with pytest.raises(DoubtError):
        packetized.streams_table(content)


@pytest.mark.parametrize(
    "content",
    [
        streams(),
        streams(stream_entry(0x1B, PICTURES), number=2),
        streams(stream_entry(0x1B, PICTURES), of_program=b"\x05\x04HDMV"),
        streams(stream_entry(0x1B, PICTURES), stream_entry(0x0F, PICTURES)),
        streams(stream_entry(0x0F, SOUND, b"\x0a\x04e\x1bg\0")),
        streams(stream_entry(0x0F, SOUND, b"\x0a\x04eng\3")),
        streams(stream_entry(0x0F, SOUND, b"\x0a\x05eng\0")),
        streams(stream_entry(0x0F, SOUND)[:-2]),
        streams(stream_entry(0x0F, SOUND)[:-1] + b"\4"),
    ],
)
def test_other_tables_of_streams(content: bytes) -> None:
    """Are refused, too."""
    with pytest.raises(DoubtError):
        packetized.streams(content, 1)


def test_a_section_with_a_wrong_checksum() -> None:
    """Is refused, as one is of which a part lies elsewhere."""
    content = programs((1, TABLE))
    assert Packets(packet(0, b"\0" + content)).section(0) == content
    for bad in (content[:-1] + b"?", content[:8], content + content):
        with pytest.raises(DoubtError):
            Packets(packet(0, b"\0" + bad)).section(0)
    with pytest.raises(DoubtError):
        Packets(packet(0, b"\1\0" + content)).section(0)


@given(pts=st.integers(0, 2**33 - 1), dts=st.integers(0, 2**33 - 1), length=st.sampled_from([0, 20, 170]))
def test_time_stamps(pts: int, dts: int, length: int) -> None:
    """Are read as they were written."""
    header = b"\0\0\1\xe0" + length.to_bytes(2, "big") + b"\x80\xc0\x0a" + stamp(3, pts) + stamp(1, dts)
    begun = Packets(packet(PICTURES, header), 376).elementary(0)
    assert (begun.place, begun.pts, begun.dts, begun.left) == (376, pts, dts, length - 13 if length else None)


def test_a_payload_lies_in_several_packets() -> None:
    """Between others; as long as it says, or until the next begins."""
    header = b"\0\0\1\xc0%s\x80\x80\x05" + stamp(2, 0)
    for length, expected in ((b"\0\0", 170 + 184), (b"\x01\x00", 248)):
        data = packet(SOUND, (header % length).ljust(184, b"a")) + packet(PICTURES, b"", begins=False)
        data += packet(SOUND, b"b" * 184, begins=False) + packet(SOUND, header % length)
        packets = Packets(data)
        content = packets.payload(packets.elementary(0), SOUND, 1000)
        assert content == (b"a" * 170 + b"b" * 184)[:expected]


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x46), (1, 0xC1), (3, 0x90), (3, 0x20), (4, 1), (10, 0x40), (11, 0), (12, 180), (13, 0xF0)]
)
def test_headers_that_are_not_as_they_should_be(at: int, value: int) -> None:
    """Are refused."""
    content = bytearray(packet(PICTURES, b"\0\0\1\xe0\0\0\x80\x80\x05" + stamp(2, 0)))

    def read() -> int:
        packets = Packets(bytes(content))
        return sum(packets.elementary(number).pts for number, _ in packets.beginnings())

    assert read() == 0
    content[at] = value
    with pytest.raises(DoubtError):
        read()


def test_pictures_with_more_beside_them() -> None:
    """An order of fields that each picture tells, a message that is not known, and no key picture at all."""
    assert units.h264(b"") is None
    assert units.h264(b"\0\0\1\x09\xf0\0\0\1\x61x") is None
    assert units.h264(b"\0\0\1\x06\x2f\1\0\x80\0\0\1\x65x") is None
    assert units.h264(b"garbage\0\0\1\x65x") is None
    assert units.h264(b"\0\0\1\x06\xff") is None


def test_frames_of_aac() -> None:
    """Of the commonest kind, as many as are asked for, and all alike."""
    stereo = bytes.fromhex("fff14c8001fffc") + b"\x20" + bytes(7)
    assert units.adts(stereo * 3, 3) is not None
    assert units.adts(stereo * 2, 3) is None
    assert units.adts(stereo * 3 + b"\0" * 7, 3) is None
    assert units.adts(stereo[:7] + b"\0" + bytes(7) + stereo * 3, 3) is None, "its first element is of one channel"
    assert units.adts(b"\x0b\x77" * 30, 0) is None
    doubled = bytes.fromhex("fff14c8001fffc") + b"\xc3\xa0" + bytes(6)
    assert units.adts(doubled * 3, 3) is None


@st.composite
def arbitrary(draw: st.DrawFn) -> bytes:
    """Packets of any content behind tables that promise pictures and sound."""
    start = packet(0, b"\0" + programs((1, TABLE)))
    start += packet(TABLE, b"\0" + streams(stream_entry(0x1B, PICTURES), stream_entry(0x0F, SOUND)))
    rest = b""
    for _ in range(draw(st.integers(0, 30))):
        pid = draw(st.sampled_from([PICTURES, SOUND, TABLE, 0, 0x11, 0x12, 0x1FFF, 0x200]))
        header = b"\0\0\1\xe0\0\0\x80\x80\x05" + stamp(2, draw(st.integers(0, 2**20)))
        content = draw(st.sampled_from([b"", header])) + draw(st.binary(max_size=100))
        rest += packet(pid, content[:184], begins=draw(st.booleans()), count=draw(st.integers(0, 15)))
    return start + rest + draw(st.binary(max_size=200))


def examine(data: bytes) -> Any:
    descriptor = os.memfd_create("arbitrary")
    try:
        os.write(descriptor, data)
        return transport.examine(Source(descriptor, b"/x.ts"))
    finally:
        os.close(descriptor)


@settings(deadline=None)
@given(st.one_of(arbitrary(), st.binary(max_size=2000), st.binary(max_size=100).map(lambda end: b"\x47" * 5000 + end)))
def test_of_arbitrary_bytes_nothing_is_said(data: bytes) -> None:
    """Whatever they are; it ends, and raises nothing."""
    assert examine(data) is None


@given(st.binary(max_size=400))
def test_units_and_frames_of_arbitrary_bytes(data: bytes) -> None:
    """Are refused, or understood."""
    units.h264(b"\0\0\1\x67" + data)
    units.h264(data)
    units.adts(b"\xff\xf1" + data, 1)


def test_a_file_that_cannot_be_read() -> None:
    """Is left to FFmpeg, which says why."""
    descriptor = os.open("/", os.O_RDONLY)
    try:
        assert transport.examine(Source(descriptor, b"/", 10 * PACKET)) is None
    finally:
        os.close(descriptor)
