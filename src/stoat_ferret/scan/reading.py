"""Reads files as wholes where a disk may hang: the file is read in another process, a piece for each question.

That process has one file open at a time. Where a file cannot be read it answers with the error, and lets go of it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from uuid import uuid4

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
        reading = uuid4().hex
        try:
            self._ask(_begin, reading, path, follow_symlink)
            while count := self._ask(_go_on, reading, self._piece):
                self._between(count)
            return self._ask(_finish, reading)
        except TimeoutError as error:
            raise PathTimeoutError("The disk did not answer while this file was being read.") from error
        except OSError as error:
            msg = f"The file could not be read: {error.strerror or error}."
            raise UnreadableFileError(msg) from error
        except MediaError:
            raise
        except BaseException:
            # What ends the job leaves the process with the file open, which kept a disk from being unmounted.
            self._disk.ask(_let_go)
            raise

    def _ask(self, function: Callable[..., T | MediaError], *arguments: object) -> T:
        answer = self._disk.call(function, *arguments)
        if isinstance(answer, MediaError):
            raise answer
        return answer


# What follows is done in the other process.

_open: dict[str, Reading] = {}
"""The reading that goes on, by the name that whoever asks has given it."""


def _begin(name: str, path: bytes, follow_symlink: bool) -> MediaError | None:
    _let_go()
    try:
        _open[name] = Reading(path, follow_symlink=follow_symlink)
    except MediaError as error:
        return error
    return None


def _go_on(name: str, count: int, goes_on: Callable[[], None] = lambda: None) -> int | MediaError:
    def read(reading: Reading) -> int:
        done = 0
        while done < count and (part := reading.go_on(min(CHUNK, count - done))):
            done += part
            goes_on()
        return done

    return _with_reading(name, read)


def _finish(name: str) -> Hashed | MediaError:
    found = _with_reading(name, Reading.finish)
    _let_go()
    return found


def _with_reading(name: str, work: Callable[[Reading], T]) -> T | MediaError:
    if name not in _open:
        return UnreadableFileError("The file could not be read: the process that read it ended.")
    try:
        return work(_open[name])
    except MediaError as error:
        _let_go()
        return error


def _let_go() -> None:
    while _open:
        with suppress(OSError):  # of a disk that is gone
            _open.popitem()[1].close()
