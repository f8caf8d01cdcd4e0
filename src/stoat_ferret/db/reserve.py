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


class Reserve:
    """A file without a meaning of its own, whose room is given up when it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self) -> None:
        """Set the room aside, if it is not yet, and if there is ample room."""
        try:
            if self._path.exists() or shutil.disk_usage(self._path.parent).free < RESERVE_BYTES + AMPLE_BYTES:
                return
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # without a reserve everything works, but for the last words
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the room up; True where there was some, so that what failed is worth another try."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


class HasReserve(Protocol):
    """Something whose methods may use a reserve."""

    reserve: Reserve | None


S = TypeVar("S", bound=HasReserve)
P = ParamSpec("P")
T = TypeVar("T")


def with_last_reserve(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """On a full disk, call the method once more in the room that was set aside: some things must not go unrecorded."""

    @wraps(method)
    def called(owner: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(owner, *args, **kwargs)
        except StorageFullError:
            if owner.reserve is None or not owner.reserve.release():
                raise
            return method(owner, *args, **kwargs)

    return called
