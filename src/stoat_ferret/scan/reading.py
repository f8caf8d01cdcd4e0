"""Reads files as wholes where a disk may hang: the file is read in another process, a piece for each question.

That process has one file open at a time. Where a file cannot be read it answers with the error, and lets go of it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from stoat_ferret.errors import MediaError, PathTimeoutError, UnreadableFileError
from stoat_ferret.media.hashing import CHUNK, Hashed, Reading
from stoat_ferret.scan.disk import Disk

PIECE = 8 * CHUNK
"""Bytes asked for at once, where nothing limits the speed: to ask takes a twentieth as long as to read so much."""

T = TypeVar("T")


class Reader:
    """Reads one file after another, in a process that can be left behind. Use it in one thread.

    Args:
        disk: who reads; what it does meanwhile may raise, which ends the reading.
        between: told after each piece how many bytes it had; what it raises ends the reading.
        piece: bytes read at a time.
    """

    def __init__(self, disk: Disk, between: Callable[[int], None], *, piece: int = PIECE) -> None:
        self._disk = disk
        self._between = between
        self._piece = piece

    def hash(self, path: bytes, *, follow_symlink: bool = False) -> Hashed:
        """Hash a file's whole content; `Reading` says how.

        Raises:
            MediaError: as `Reading` says, or because the process that read it ended.
            PathTimeoutError: the disk did not answer in time.
        """
        try:
            self._ask(_begin, path, follow_symlink)
            while count := self._ask(_go_on, self._piece):
                self._between(count)
            return self._ask(_finish)
        except TimeoutError as error:
            raise PathTimeoutError("The disk did not answer while this file was being read.") from error
        except OSError as error:
            msg = f"The file could not be read: {error.strerror or error}."
            raise UnreadableFileError(msg) from error

    def _ask(self, function: Callable[..., T | MediaError], *arguments: object) -> T:
        answer = self._disk.call(function, *arguments)
        if isinstance(answer, MediaError):
            raise answer
        return answer


# What follows is done in the other process.

_open: list[Reading] = []


def _begin(path: bytes, follow_symlink: bool) -> MediaError | None:
    _let_go()  # of what a caller left that was ended
    try:
        _open.append(Reading(path, follow_symlink=follow_symlink))
    except MediaError as error:
        return error
    return None


def _go_on(count: int) -> int | MediaError:
    return _with_reading(lambda reading: reading.go_on(count))


def _finish() -> Hashed | MediaError:
    found = _with_reading(Reading.finish)
    _let_go()
    return found


def _with_reading(work: Callable[[Reading], T]) -> T | MediaError:
    if not _open:
        return UnreadableFileError("The file could not be read: the process that read it ended.")
    try:
        return work(_open[0])
    except MediaError as error:
        _let_go()
        return error


def _let_go() -> None:
    while _open:
        with suppress(OSError):  # of a disk that is gone
            _open.pop().close()
