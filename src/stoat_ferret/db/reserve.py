"""Room kept free for last words: on a full disk, a job could not even record that the disk is full."""

import os
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from stoat_ferret.errors import StorageFullError

RESERVE_BYTES = 1 << 20
"""Enough for some hundred small transactions."""
AMPLE_BYTES = 1 << 20
"""The reserve is set aside, also anew, only where so much stays free beside it."""


def full(name: str) -> str:
    """Say that the disk of a database is full."""
    return f"The disk that holds {name} is full. Free some space on it and try again."


class Reserve:
    """A file without a meaning of its own, whose room is given up when it is needed.

    Given up, it stays as an empty file. Every process sees by that, until there is room again, that what is left of the
    disk is for last words: whatever else was written into it would leave none for them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self) -> None:
        """Set the room aside, if it is not yet, and if there is ample room."""
        try:
            before = self._size()
            if before or shutil.disk_usage(self._path.parent).free < RESERVE_BYTES + AMPLE_BYTES:
                return
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # without a reserve everything works, but for the last words
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            if before is None:
                self._path.unlink(missing_ok=True)
            else:  # it was given up, and still is
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    @property
    def given_up(self) -> bool:
        """True while its room is what last words are written into."""
        return self._size() == 0

    def keep(self, name: str) -> None:
        """Make sure that what is left of the disk is not what was set aside; it is set aside anew where there is room.

        Args:
            name: of the database that is to be written, for people.

        Raises:
            StorageFullError: it is.
        """
        if self.given_up:
            self.hold()
            if self.given_up:
                raise StorageFullError(full(name))

    def _size(self) -> int | None:
        try:
            return self._path.stat().st_size
        except OSError:
            return None

    def release(self) -> bool:
        """Give the room up; True where there was some, so that what failed is worth another try."""
        try:
            if not self._size():
                return False
            os.truncate(self._path, 0)
        except OSError:
            return False
        return True


class OnDisk(Protocol):
    """Something on a disk that may have a reserve."""

    reserve: Reserve | None


class Writer(Protocol):
    """Something whose methods write a database."""

    @property
    def database(self) -> OnDisk:
        """Where."""
        ...


S = TypeVar("S", bound=Writer)
P = ParamSpec("P")
T = TypeVar("T")


def with_last_reserve(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """On a full disk, call the method once more in the room that was set aside: some things must not go unrecorded."""

    @wraps(method)
    def called(owner: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(owner, *args, **kwargs)
        except StorageFullError:
            if owner.database.reserve is None or not owner.database.reserve.release():
                raise
            return method(owner, *args, **kwargs)

    return called
