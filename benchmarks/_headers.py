"""How many bytes of a file its container's headers take: what a reader that wastes nothing would read."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def header_bytes(path: Path) -> int | None:
    """Give the size of `ftyp` and `moov`, or of what comes before the first cluster or the first of the film's data.

    MP4 and QuickTime by ISO/IEC 14496-12, Matroska and WebM by RFC 9559, AVI by its `movi` list. None for containers
    that have no header, as MPEG transport streams, and where the file is not what its name says.
    """
    with path.open("rb") as file:
        match path.suffix.lower():
            case ".mp4" | ".mov" | ".m4v":
                return sum(length for kind, length in _boxes(file) if kind in (b"ftyp", b"moov")) or None
            case ".mkv" | ".webm":
                return _before_cluster(file)
            case ".avi":
                at = file.read(1 << 20).find(b"movi")
                return at + 4 if at > 0 else None
    return None


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    position = 0
    while len(start := file.read(16)) >= 8:
        length = int.from_bytes(start[:4], "big")
        if length == 1:
            length = int.from_bytes(start[8:16], "big")
        if length < 8:
            return
        yield start[4:8], length
        position += length
        file.seek(position)


def _before_cluster(file: BinaryIO) -> int | None:
    while True:
        at = file.tell()
        kind, size = _number(file, keep_marker=True), _number(file)
        if kind is None or size is None:
            return None
        if kind == _CLUSTER:
            return at
        if kind != _SEGMENT:  # whose content is looked into
            file.seek(size, 1)


def _number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """Read a number of variable length, which says by its leading zero bits how many bytes it has."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = first[0] if keep_marker else first[0] & (0xFF >> length)
    return int.from_bytes(bytes([value]) + file.read(length - 1), "big")
