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
"""Bytes read at a time; whoever wants to end waits for no more."""
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


def hash_file(path: bytes, between: Callable[[int], None], *, follow_symlink: bool = False) -> Hashed:
    """Hash a file's whole content.

    Args:
        path: absolute. What is no regular file is not opened.
        between: told after each piece how many bytes it had; what it raises ends the reading.
        follow_symlink: read what a symbolic link leads to, which is otherwise no regular file.

    Raises:
        FileChangedError: it was written to, or replaced, meanwhile.
        NotMediaError: it is no regular file.
        UnreadableFileError: it could not be read.
    """
    try:
        if not stat.S_ISREG(_look(path, follow_symlink).st_mode):
            raise NotMediaError("This is not a regular file.")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow_symlink else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise UnreadableFileError("The file is no longer there.") from error
    except OSError as error:
        raise UnreadableFileError(f"The file could not be read: {error.strerror or error}.") from error
    try:
        before = os.fstat(descriptor)
        digest = _digest(descriptor, between)
        if _state(os.fstat(descriptor)) != _state(before) or _state(_look(path, follow_symlink)) != _state(before):
            raise FileChangedError("The file changed while it was being read.")
        return Hashed(digest, before.st_size, before.st_mtime_ns)
    except OSError as error:
        raise UnreadableFileError(f"The file could not be read: {error.strerror or error}.") from error
    finally:
        os.close(descriptor)


def _look(path: bytes, follow_symlink: bool) -> os.stat_result:
    return os.stat(path, follow_symlinks=follow_symlink)  # noqa: PTH116 - a path of bytes


def _digest(descriptor: int, between: Callable[[int], None]) -> str:
    hasher = blake3()
    position = forgotten = 0
    while part := os.pread(descriptor, CHUNK, position):
        hasher.update(part)
        position += len(part)
        # What is read once, terabytes of it, must not push out of memory what others read again and again.
        if position - forgotten >= FORGET_EVERY:
            os.posix_fadvise(descriptor, forgotten, position - forgotten, os.POSIX_FADV_DONTNEED)
            forgotten = position
        between(len(part))
    os.posix_fadvise(descriptor, forgotten, 0, os.POSIX_FADV_DONTNEED)
    return hasher.hexdigest()


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
