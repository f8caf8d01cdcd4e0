"""A file as it is examined: opened once, by us, and given to FFmpeg to read from; FFmpeg opens nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stoat_ferret.errors import UnreadableFileError

SHORTEST_READ = 64 * 1024
"""Read at a place where nothing was read before it."""
LONGEST_READ = 256 * 1024
"""Reached by doubling, where reading goes on from place to place."""
SHORTEST_LOOK = 16 * 1024
"""Read where somebody looks at a place; twice as much each time where looking goes on from place to place."""
MOST_LOOKS = 64

Part = tuple[int, bytes]
"""Where it begins, and its bytes."""


class Source:
    """An open file, for `av.open`: seekable, read-only, and named as the file is, as some formats are told by that.

    What was asked for by `part` is kept and not read again. A read that fails looks like the file's end to FFmpeg,
    which cannot be relied upon to hand an error on; `check` tells. The descriptor's position is not used.

    Args:
        descriptor: open for reading; whoever opened it closes it.
        path: absolute.
        size: in bytes; None to look.

    Raises:
        ValueError: the path is relative, which FFmpeg could take for an address.
    """

    def __init__(self, descriptor: int, path: bytes, size: int | None = None) -> None:
        if not path.startswith(b"/"):
            msg = f"The path is not absolute: {path!r}"
            raise ValueError(msg)
        self.name = os.fsdecode(path)
        self.size = os.fstat(descriptor).st_size if size is None else size
        self._descriptor = descriptor
        self._position = 0
        self._kept: list[Part] = []
        self._ahead: Part = (0, b"")
        self._problem: OSError | None = None

    def part(self, offset: int, length: int) -> bytes:
        """Give bytes of the file, and keep them; fewer only at its end.

        Raises:
            OSError: the file cannot be read.
        """
        for start, data in self._kept:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        pieces, at = [], offset
        # A single read may give less on network file systems.
        while at < offset + length and (piece := os.pread(self._descriptor, offset + length - at, at)):
            pieces.append(piece)
            at += len(piece)
        data = b"".join(pieces)
        self._kept.append((offset, data))
        return data

    def peek(self, offset: int, length: int) -> bytes:
        """Give up to `length` bytes of the file, of which it is not worth while to keep any.

        Raises:
            OSError: the file cannot be read.
        """
        for start, data in self._kept:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        return os.pread(self._descriptor, length, offset)

    def glance(self, offset: int, length: int, more: int) -> bytes:
        """Give bytes of the file, and what lies behind them if it is at hand, or as many more as are read at one go.

        Raises:
            OSError: the file cannot be read.
        """
        for start, data in self._kept:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start :]
        return os.pread(self._descriptor, more, offset)

    def head(self) -> bytes:
        """Give the file's first 64 KiB, or all of a shorter one; nothing where they cannot be read."""
        return self._end(0)

    def tail(self) -> bytes:
        """Give its last 64 KiB, likewise."""
        return self._end(max(0, self.size - SHORTEST_READ))

    def _end(self, offset: int) -> bytes:
        try:
            return self.part(offset, min(SHORTEST_READ, self.size))
        except OSError as error:
            self._problem = error
            return b""

    def check(self) -> None:
        """Make sure that all that was read was there.

        Raises:
            UnreadableFileError: the file system refused.
        """
        if self._problem is not None:
            raise unreadable(self._problem) from self._problem

    def read(self, length: int) -> bytes:
        """Give up to `length` bytes, never more; nothing at the end."""
        at = self._position
        for start, data in (self._ahead, *self._kept):
            if start <= at < start + len(data):
                found = data[at - start : at - start + length]
                break
        else:
            found = self._read_on(at, length)
        self._position += len(found)
        return found

    def _read_on(self, offset: int, wanted: int) -> bytes:
        """Read from `offset` on: more than is wanted now if that is little, but nothing that is kept."""
        if offset >= self.size:
            return b""
        before = self._ahead
        goes_on = offset == before[0] + len(before[1])
        length = max(wanted, SHORTEST_READ, 2 * len(before[1]) if goes_on else 0)
        length = min([length, LONGEST_READ, *(start - offset for start, _ in self._kept if start > offset)])
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as error:
            self._problem = error
            return b""
        if len(data) <= wanted:
            return data
        self._ahead = (offset, data)
        return data[:wanted]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and give it; a negative number where there is none."""
        place = offset + (0, self._position, self.size)[whence]
        if place >= 0:
            self._position = place
        return place

    def tell(self) -> int:
        """Give the place of the next read."""
        return self._position


class View:
    """A file as bytes, of which only what is looked at is read, a little at a time and not often.

    Raises:
        OSError: the file cannot be read.
        IndexError: there is nothing at a place, or too many places were looked at.
    """

    def __init__(self, source: Source, start: int = 0, end: int | None = None) -> None:
        self._source = source
        self._start = start
        self._length = (source.size if end is None else end) - start
        self._window: Part = (0, b"")
        self._left = MOST_LOOKS

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            first = place.start or 0
            last = self._length if place.stop is None else min(place.stop, self._length)
            return self._look(first, last - first) if last > first else b""
        return self._look(place, 1)[0]

    def __bytes__(self) -> bytes:
        return self._source.part(self._start, self._length)

    def _look(self, at: int, length: int) -> bytes:
        at += self._start
        start, data = self._window
        if not start <= at <= at + length <= start + len(data):
            if not self._left:
                raise IndexError
            self._left -= 1
            goes_on = 0 <= at - start - len(data) <= LONGEST_READ
            more = min(2 * len(data), LONGEST_READ) if goes_on else 0
            start, data = self._window = at, self._source.glance(at, length, max(length, more, SHORTEST_LOOK))
        return data[at - start : at - start + length]


def unreadable(error: OSError) -> UnreadableFileError:
    """Say for a person that the file system refused."""
    return UnreadableFileError(f"The file could not be read: {error.strerror or error}.")


@contextmanager
def opened(path: bytes) -> Iterator[Source]:
    """Open a file.

    Raises:
        UnreadableFileError: the file system refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(error) from error
    try:
        yield Source(descriptor, path)
    finally:
        os.close(descriptor)
