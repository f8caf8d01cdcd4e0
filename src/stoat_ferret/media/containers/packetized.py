"""The packets, tables and time stamps of an MPEG transport stream (ISO/IEC 13818-1): pure functions over bytes.

Only what is laid out as nearly all such files are is understood; the rest is refused by `DoubtError`.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

PACKET = 188
SYNC = b"\x47"
PROGRAMS, _SERVICES, _EVENTS, NOTHING = 0x0000, 0x0011, 0x0012, 0x1FFF
"""Packet identifiers that mean the same in every stream."""
_BEGINNING = re.compile(rb"[\x40-\x7f\xc0-\xff]")
"""The second byte of a packet with which something begins."""
_OTHERS = {_SERVICES, NOTHING}
_PAYLOAD, _ADAPTATION, _SCRAMBLED = 0x10, 0x20, 0xC0
_DAMAGED, _BEGINS = 0x80, 0x40
_PROGRAM_TABLE, _STREAM_TABLE = 0x00, 0x02
_LANGUAGE, _REGISTRATION = 0x0A, 0x05
_HARMLESS = {0x06, 0x0B, 0x0E, 0x0F, 0x10, 0x28, 0x2A, 0x2B, 0x52}
"""Descriptors of which nothing follows that is told of a file: alignment, clock, rates, how AVC and AAC are coded."""
_ELEMENTARY = {0x100 | stream for stream in (0xBD, *range(0xC0, 0xF0))}
"""Start codes and stream identifiers (table 2-22) of pictures and sound."""
_HEADER = Struct(">IHBBBBHH")
"""Start code and stream, length, two bytes of flags, the length of what follows, and a time stamp."""
_STAMP = Struct(">BHH")
_REVERSED = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))


class DoubtError(Exception):
    """Something is not laid out as it nearly always is. Never leaves the modules that read transport streams."""


@dataclass(frozen=True, slots=True)
class Described:
    """An elementary stream, as the table of streams describes it."""

    pid: int
    kind: int
    """As table 2-34 counts them."""
    language: str | None


class Begun(NamedTuple):
    """Where a packetized elementary stream's packet begins, of those with a time stamp; times in 1/90000 s."""

    place: int
    """Of the transport packet, in the file."""
    pts: int
    dts: int
    payload: int
    """Where it begins, among the packets that it was read from."""
    left: int | None
    """How long the payload is; None where it does not say."""


class Packets:
    """Whole packets, one after the other, from the place in the file where they begin."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.count = len(data) // PACKET
        self.data = data
        self.place = place
        end = self.count * PACKET
        if data[:end:PACKET] != SYNC * self.count:
            raise DoubtError
        self._flags, self._low = data[1:end:PACKET], data[2:end:PACKET]

    @property
    def whole(self) -> bytes:
        """The packets, without what of another lies behind them."""
        return self.data[: self.count * PACKET]

    def beginnings(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the identifier of each packet in which something begins."""
        flags, low = self._flags, self._low
        for found in _BEGINNING.finditer(flags):
            number = found.start()
            flag = flags[number]
            if flag & _DAMAGED:
                raise DoubtError
            yield number, (flag & 0x1F) << 8 | low[number]

    def _content(self, number: int) -> tuple[int, int]:
        """Give where the payload of a packet begins and ends."""
        at = number * PACKET
        control = self.data[at + 3]
        if control & _SCRAMBLED or not control & _PAYLOAD:
            raise DoubtError
        begin = at + 5 + self.data[at + 4] if control & _ADAPTATION else at + 4
        if begin > at + PACKET:
            raise DoubtError
        return begin, at + PACKET

    def section(self, number: int) -> bytes:
        """Give the one section (2.4.4) that lies wholly within a packet."""
        begin, end = self._content(number)
        content = self.data[begin:end]
        if len(content) < 4 or content[0]:
            raise DoubtError
        length = 3 + ((content[2] & 0x0F) << 8 | content[3])
        section, rest = content[1 : 1 + length], content[1 + length :]
        if len(section) != length or rest.strip(b"\xff") or zlib.crc32(section.translate(_REVERSED)) != 0xFFFFFFFF:
            raise DoubtError
        return section

    def elementary(self, number: int) -> Begun:
        """Read the header with which a packet of pictures or sound begins (2.4.3.7); it has to have a time stamp."""
        begin, end = self._content(number)
        if begin + _HEADER.size > end:
            raise DoubtError
        kind, length, flags, said, extent, high, middle, low = _HEADER.unpack_from(self.data, begin)
        stamps, payload = said >> 6, begin + 9 + extent
        # The marks between the bits of a stamp are all 1, and so are those before them, by which stamps are told apart.
        if kind not in _ELEMENTARY or flags >> 4 != 0b1000 or high >> 4 != stamps or not high & middle & low & 1:
            raise DoubtError
        if stamps < 2 or payload > end or extent < 5 * (stamps - 1):
            raise DoubtError
        pts = dts = (high & 0x0E) << 29 | (middle & 0xFFFE) << 14 | low >> 1
        if stamps == 3:
            high, middle, low = _STAMP.unpack_from(self.data, begin + 14)
            if high >> 4 != 1 or not high & middle & low & 1:
                raise DoubtError
            dts = (high & 0x0E) << 29 | (middle & 0xFFFE) << 14 | low >> 1
        left = length + 6 - (payload - begin) if length else None
        return Begun(self.place + number * PACKET, pts, dts, payload, left)

    def payload(self, begun: Begun, pid: int, most: int) -> bytes:
        """Give the payload of a packet of pictures or sound, of these packets; up to `most` bytes and a little more."""
        wanted = most if begun.left is None else min(most, begun.left)
        number = (begun.place - self.place) // PACKET
        pieces, got, high, low = [], 0, pid >> 8, pid & 0xFF
        begin, end = begun.payload, (number + 1) * PACKET
        while True:
            pieces.append(self.data[begin:end])
            got += end - begin
            number = self._low.find(low, number + 1)
            while number >= 0 and self._flags[number] & 0x1F != high:
                number = self._low.find(low, number + 1)
            if got >= wanted or number < 0 or self._flags[number] & (_DAMAGED | _BEGINS):
                return b"".join(pieces)[: begun.left]
            begin, end = self._content(number)

    def same(self, number: int, other: bytes) -> bool:
        """Tell whether a packet is the same as another but for the number that counts them."""
        packet = self.data[number * PACKET : (number + 1) * PACKET]
        return packet[:3] == other[:3] and packet[3] & 0xF0 == other[3] & 0xF0 and packet[4:] == other[4:]


def is_other(pid: int) -> bool:
    """Tell whether packets with an identifier that the tables do not have are passed over."""
    return pid in _OTHERS


def streams_table(section: bytes) -> tuple[int, int]:
    """Read the table of programs (2.4.4.4), of which there has to be one: its number and its own table's identifier."""
    if section[0] != _PROGRAM_TABLE or not _is_single(section):
        raise DoubtError
    entries = [section[at : at + 4] for at in range(8, len(section) - 4, 4)]
    programs = [entry for entry in entries if entry[:2] != b"\0\0"]
    if len(entries[-1:]) != 1 or len(entries[-1]) != 4 or (len(section) - 12) % 4 or len(programs) != 1:
        raise DoubtError
    return int.from_bytes(programs[0][:2], "big"), int.from_bytes(programs[0][2:], "big") & 0x1FFF


def streams(section: bytes, program: int) -> list[Described]:
    """Read the table of a program's streams (2.4.4.9)."""
    if section[0] != _STREAM_TABLE or not _is_single(section) or int.from_bytes(section[3:5], "big") != program:
        raise DoubtError
    at, end = 12 + _length(section, 10), len(section) - 4
    _language(section, 12, at)
    found: list[Described] = []
    while at < end:
        if at + 5 > end:
            raise DoubtError
        descriptors = at + 5
        after = descriptors + _length(section, at + 3)
        if after > end:
            raise DoubtError
        pid = int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        found.append(Described(pid, section[at], _language(section, descriptors, after)))
        at = after
    if at != end or not found or len({stream.pid for stream in found}) != len(found):
        raise DoubtError
    return found


def _is_single(section: bytes) -> bool:
    """Tell whether a section is all of a table, and holds now."""
    return len(section) >= 12 and section[1] >> 6 == 0b10 and section[5] & 1 == 1 and section[6:8] == b"\0\0"


def _length(section: bytes, at: int) -> int:
    return (section[at] & 0x0F) << 8 | section[at + 1]


def _language(section: bytes, at: int, end: int) -> str | None:
    """Read descriptors (2.6): what language they say."""
    language = None
    while at < end:
        if at + 2 > end or at + 2 + section[at + 1] > end:
            raise DoubtError
        kind, content = section[at], section[at + 2 : at + 2 + section[at + 1]]
        at += 2 + len(content)
        if kind == _LANGUAGE and language is None and len(content) == 4 and content[3] == 0:
            language = content[:3].decode("ascii", "replace")
            if not language.isalnum() or not language.isascii():
                raise DoubtError
        elif kind not in _HARMLESS:
            raise DoubtError
    return language
