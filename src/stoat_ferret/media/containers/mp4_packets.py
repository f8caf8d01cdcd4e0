"""The beginnings of the units that a packet of H.264 or HEVC consists of, with as little read as will do."""

from collections.abc import Callable, Iterator

from stoat_ferret.media.containers.boxes import NotUnderstoodError
from stoat_ferret.media.source import Source

_FIRST_BYTES = 4096
"""Of a packet, read where it is not among what was read already."""
_MOST_UNITS = 100


def units(source: Source, start: int, size: int, width: int, beginning: Callable[[int], int]) -> Iterator[bytes]:
    """Give the beginnings of the units that fill a packet (ISO/IEC 14496-15, 4.3)."""
    block = source.peek(start, min(size, _FIRST_BYTES))
    at = 0
    for _ in range(_MOST_UNITS):
        head = _piece(source, start, block, at, width + 1)
        length = int.from_bytes(head[:width], "big")
        at += width
        if length < 3 or at + length > size:
            raise NotUnderstoodError
        yield _piece(source, start, block, at, min(length, beginning(head[width])))
        at += length
        if at == size:
            return
    raise NotUnderstoodError


def _piece(source: Source, start: int, block: bytes, at: int, length: int) -> bytes:
    """Give a part of a packet of which a block was read."""
    found = block[at : at + length]
    if len(found) < length:
        found = source.peek(start + at, length)
    if len(found) < length:
        raise NotUnderstoodError
    return found
