"""The hash of a file's whole content, read once and as slowly as one likes."""

import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from stoat_ferret.errors import FileChangedError, NotMediaError, UnreadableFileError

CHUNK = 1 << 20
"""Bytes read at a time."""
FORGET_EVERY = 64 * CHUNK


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file as it was while it was read."""

    digest: str
    """BLAKE3, 256 bits, in hexadecimal."""
    size: int
    mtime_ns: int


class Throttle:
    """Lets so many bytes a second through; 0 lets all through. Any thread may call."""

    def __init__(self, bytes_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._free_at = clock()
        self._lock = threading.Lock()

    def wait_seconds(self, count: int) -> float:
        """Say how long to pause after so many bytes more."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._rate
            return self._free_at - now

    @property
    def behind(self) -> bool:
        """True as long as a pause is due for what was let through already."""
        return bool(self._rate) and self._clock() < self._free_at


class Reading:
    """A file that is being hashed, piece by piece: at any speed, with something else done in between.

    Args:
        path: absolute. What is no regular file is not opened.
        follow_symlink: read what a symbolic link leads to, which is otherwise no regular file.

    Raises:
        NotMediaError: it is no regular file.
        UnreadableFileError: it could not be opened.
    """

    def __init__(self, path: bytes, *, follow_symlink: bool = False) -> None:
        self._path = path
        self._follow_symlink = follow_symlink
        self._hasher = blake3()
        self._position = self._forgotten = 0
        try:
            if not stat.S_ISREG(self._look().st_mode):
                raise NotMediaError("This is not a regular file.")
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow_symlink else os.O_NOFOLLOW)
            self._descriptor = os.open(path, flags)
        except OSError as error:
            raise _unreadable(error) from error
        self._before = os.fstat(self._descriptor)

    def go_on(self, count: int) -> int:
        """Read so many bytes more, and give how many there were: 0 at the end.

        Raises:
            UnreadableFileError: they could not be read.
        """
        read = 0
        try:
            while read < count and (part := os.pread(self._descriptor, min(CHUNK, count - read), self._position)):
                self._hasher.update(part)
                self._position += len(part)
                read += len(part)
                # What is read once, terabytes of it, must not push out of memory what others read again and again.
                if self._position - self._forgotten >= FORGET_EVERY:
                    self._forget(self._position - self._forgotten)
        except OSError as error:
            raise _unreadable(error) from error
        return read

    def finish(self) -> Hashed:
        """Give the hash of what was read.

        Raises:
            FileChangedError: the file was written to, or replaced, meanwhile.
            UnreadableFileError: it could not be looked at again.
        """
        self._forget(0)
        before = self._before
        try:
            now = os.fstat(self._descriptor), self._look()
        except OSError as error:
            raise _unreadable(error) from error
        if any(_state(status) != _state(before) for status in now) or self._position != before.st_size:
            raise FileChangedError("The file changed while it was being read.")
        return Hashed(self._hasher.hexdigest(), before.st_size, before.st_mtime_ns)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _look(self) -> os.stat_result:
        return os.stat(self._path, follow_symlinks=self._follow_symlink)  # noqa: PTH116 - a path of bytes

    def _forget(self, count: int) -> None:
        os.posix_fadvise(self._descriptor, self._forgotten, count, os.POSIX_FADV_DONTNEED)
        self._forgotten = self._position


def _unreadable(error: OSError) -> UnreadableFileError:
    if isinstance(error, FileNotFoundError):
        return UnreadableFileError("The file is no longer there.")
    return UnreadableFileError(f"The file could not be read: {error.strerror or error}.")


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
