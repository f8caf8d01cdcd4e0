"""Damage to media files, as chance and malice do it: pure functions from bytes and a random generator to bytes.

A file is taken apart into the pieces its format is made of: boxes of QuickTime and MP4 (ISO/IEC 14496-12), elements of
Matroska (RFC 8794), chunks of RIFF; packets of an MPEG transport stream; anything else into blocks. Pieces are what
gets doubled, dropped, exchanged and given absurd lengths, since chance alone seldom gets past a demuxer's first check.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Order = Literal["big", "little"]

MOST_PIECES = 400
"""Looked at in one file, outer ones first."""
LONGEST_INSERTION = 4096
MOST_STEPS = 4
"""Of damage in one mutant."""
_EXTREMES = (0, 1, 2, 7, 8, 15, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_BOXES = {
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"mfra", b"ilst",
    b"tref", b"gmhd", b"sinf", b"schi", b"wave", b"meco",
}  # fmt: skip
"""That hold nothing but boxes."""
_MASTERS = {
    0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0, 0x1C53BB6B, 0xBB, 0xB7, 0x1254C367, 0x7373,
    0x67C8, 0x63C0, 0x1043A770, 0x45B9, 0xB6, 0x80, 0x1941A469, 0x61A7, 0x114D9B74, 0x4DBB, 0x6D80, 0x6240, 0x55B0,
    0x55D0, 0x7670,
}  # fmt: skip
"""Matroska's elements that hold nothing but elements: segment, tracks, clusters, cues, tags and so on."""
_PACKET = 188


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, from `start` to `end`, and where its length is written."""

    start: int
    end: int
    length_at: int = 0
    length_bytes: int = 0
    """0 where no length is written."""
    order: Order = "big"
    marked: bool = False
    """The length is an EBML variable-size integer, whose first bits say how long it is itself."""

    @property
    def body(self) -> int:
        """Where the content begins."""
        return max(self.length_at + self.length_bytes, self.start)


def pieces(data: bytes | bytearray) -> list[Piece]:
    """Take a file apart; the pieces may lie in one another. An empty file has none."""
    found = list(_limited(_elements(data, 0, len(data)) if data[:4] == b"\x1aE\xdf\xa3" else iter(())))
    if not found and data[:4] in (b"RIFF", b"RIFX", b"RF64"):
        found = list(_limited(_chunks(data, 0, len(data))))
    if not found and len(data) > 2 * _PACKET and data[0] == data[_PACKET] == 0x47:
        found = [Piece(start, start + _PACKET) for start in range(0, len(data) - _PACKET + 1, _PACKET)][:MOST_PIECES]
    if not found:
        found = list(_limited(_boxes(data, 0, len(data))))
    if len(found) < 2:
        step = max(1, len(data) // 16)
        found = [Piece(start, min(start + step, len(data))) for start in range(0, len(data), step)]
    return found


def _limited(found: Iterator[Piece]) -> Iterator[Piece]:
    for _, piece in zip(range(MOST_PIECES), found, strict=False):
        yield piece


def _boxes(data: bytes | bytearray, start: int, end: int, depth: int = 0) -> Iterator[Piece]:
    while start + 8 <= end and depth < 12:
        kind = bytes(data[start + 4 : start + 8])
        length, at, size = int.from_bytes(data[start : start + 4], "big"), start, 4
        if length == 1:
            length, at, size = int.from_bytes(data[start + 8 : start + 16], "big"), start + 8, 8
        stop = end if length == 0 else start + length
        if stop > end or stop < max(start + 8, at + size) or not kind.isascii():
            return
        yield Piece(start, stop, at, size)
        if kind in _BOXES or kind == b"meta":
            inner = max(start + 8, at + size) + (4 if kind == b"meta" else 0)
            yield from _boxes(data, inner, stop, depth + 1)
        start = stop


def _chunks(data: bytes | bytearray, start: int, end: int, depth: int = 0) -> Iterator[Piece]:
    while start + 8 <= end and depth < 12:
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        stop = min(start + 8 + length + length % 2, end)
        yield Piece(start, stop, start + 4, 4, "little")
        if data[start : start + 4] in (b"RIFF", b"LIST"):
            yield from _chunks(data, start + 12, stop, depth + 1)
        start = stop


def _elements(data: bytes | bytearray, start: int, end: int, depth: int = 0) -> Iterator[Piece]:
    while start + 2 <= end and depth < 12:
        id_bytes = 9 - data[start].bit_length()
        at = start + id_bytes
        if id_bytes > 4 or at >= end or data[at] == 0:
            return
        identity, size = int.from_bytes(data[start:at], "big"), 9 - data[at].bit_length()
        if at + size > end:
            return
        length = int.from_bytes(data[at : at + size], "big") & ((1 << 7 * size) - 1)
        unknown = length == (1 << 7 * size) - 1
        stop = end if unknown else min(at + size + length, end)
        yield Piece(start, stop, at, size, marked=True)
        if identity in _MASTERS:
            yield from _elements(data, at + size, stop, depth + 1)
        start = stop


def _place(rng: random.Random, length: int) -> int:
    """Draw a place in a file, the beginning far more often than the rest: that is where headers are."""
    if length <= 1:
        return 0
    return rng.randrange(length) if rng.random() < 0.4 else min(length - 1, int(length ** rng.random()))


def _range(rng: random.Random, length: int) -> tuple[int, int]:
    start = _place(rng, length)
    return start, min(length, start + 1 + int(max(1, length - start) ** rng.random()))


def flip_bits(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Turn over one to 64 bits."""
    for _ in range(2 ** rng.randrange(7) if data else 0):
        data[_place(rng, len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Drop the end, the start or something between."""
    start, end = _range(rng, len(data))
    kind = rng.randrange(4)
    if kind == 0:
        del data[:start]
    elif kind == 1:
        del data[start:end]
    else:
        del data[_place(rng, len(data)) if kind == 2 else rng.randrange(len(data) + 1) :]


def blank(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Overwrite a range with zeros or ones, as unwritten blocks of a disk read."""
    start, end = _range(rng, len(data))
    data[start:end] = bytes([rng.choice((0, 0xFF))]) * max(0, min(end, len(data)) - start)


def insert(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Put in bytes that were not there, which moves everything after them."""
    count = 1 + int(LONGEST_INSERTION ** rng.random())
    start = _place(rng, len(data))
    data[start:start] = rng.randbytes(count) if rng.random() < 0.5 else bytes([rng.randrange(256)]) * count


def lie_about_length(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Write an absurd length, or one slightly off, into the header of a piece."""
    measured = [piece for piece in pieces(data) if piece.length_bytes]
    if not measured:
        return overwrite_number(data, rng, _donors)
    piece = rng.choice(measured)
    end, most = piece.length_at + piece.length_bytes, (1 << 8 * piece.length_bytes) - 1
    now = int.from_bytes(data[piece.length_at : end], piece.order)
    new = rng.choice((now + rng.randint(-9, 9), now * 2, now // 2, len(data), most, most >> 1, *_EXTREMES))
    if piece.marked:  # keep the bits that say how long the number is, most of the time
        most >>= piece.length_bytes
        new = max(0, min(new, most)) | (most + 1) if rng.random() < 0.9 else new
        most = 2 * most + 1
    data[piece.length_at : end] = max(0, min(new, most)).to_bytes(piece.length_bytes, piece.order)
    return None


def overwrite_number(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Write an extreme number near the start of a piece's content, where counts, sizes, versions and flags stand."""
    found = pieces(data)
    if not found:
        return
    piece = rng.choice(found)
    width = rng.choice((1, 2, 4, 4, 4, 8))
    at = piece.body + rng.choice((0, 0, 4, 4, 8, 12, 16, rng.randrange(64)))
    if at + width <= len(data):
        value = rng.choice((*_EXTREMES, (1 << 63) - 1, (1 << 64) - 1)) & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, rng.choice(("big", "big", "little")))


def double(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Repeat a piece, up to 64 times if it is small."""
    if found := pieces(data):
        piece = rng.choice(found)
        body = data[piece.start : piece.end]
        times = 2 ** rng.randrange(7) if len(body) < 10_000 else 1
        data[piece.end : piece.end] = body * times


def drop(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Leave out a piece."""
    if found := pieces(data):
        piece = rng.choice(found)
        del data[piece.start : piece.end]


def exchange(data: bytearray, rng: random.Random, _donors: Sequence[bytes]) -> None:
    """Let two pieces that do not lie in one another change places."""
    found = pieces(data)
    if len(found) < 2:
        return
    first, second = sorted(rng.sample(found, 2), key=lambda piece: piece.start)
    if first.end <= second.start:
        between = data[first.end : second.start]
        data[first.start : second.end] = data[second.start : second.end] + between + data[first.start : first.end]


def splice(data: bytearray, rng: random.Random, donors: Sequence[bytes]) -> None:
    """Put a piece of another file in the place of a piece, or beside it."""
    ours, donor = pieces(data), rng.choice(donors)
    theirs = pieces(donor)
    if not ours or not theirs:
        return
    target, gift = rng.choice(ours), rng.choice(theirs)
    end = target.end if rng.random() < 0.7 else target.start
    data[target.start : end] = donor[gift.start : gift.end]


def join(data: bytearray, rng: random.Random, donors: Sequence[bytes]) -> None:
    """Go on with the end of another file."""
    donor = rng.choice(donors)
    del data[_place(rng, len(data)) :]
    data += donor[_place(rng, len(donor)) :]


Mutator = Callable[[bytearray, random.Random, Sequence[bytes]], None]
MUTATORS: tuple[Mutator, ...] = (
    flip_bits, cut, blank, insert, lie_about_length, overwrite_number, double, drop, exchange, splice, join,
)  # fmt: skip
_WEIGHTS = (4, 2, 2, 1, 4, 4, 2, 1, 2, 2, 1)


def mutate(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> tuple[bytes, tuple[str, ...]]:
    """Damage a file in one to `MOST_STEPS` ways.

    Args:
        data: the sound file.
        rng: the same state gives the same damage.
        donors: files that pieces may be taken from; at least one.

    Returns:
        The damaged file, at most twice as long as it and the longest donor together, and what was done, by name.
    """
    most = 2 * (len(data) + max(map(len, donors)))
    damaged, steps = bytearray(data), []
    for mutator in rng.choices(MUTATORS, _WEIGHTS, k=1 + int(rng.random() ** 2 * MOST_STEPS)):
        mutator(damaged, rng, donors)
        del damaged[most:]
        steps.append(mutator.__name__)
    return bytes(damaged), tuple(steps)
