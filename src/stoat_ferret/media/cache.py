"""The cache of small pictures on disk: a file each, by what the video's content is, so that a moved file keeps its own.

Of a content of which no picture can be made, a note says why, so that it is not decoded again for nothing. All of it
may be deleted at any time.
"""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

from stoat_ferret import __version__
from stoat_ferret.errors import StorageError, StorageFullError
from stoat_ferret.media.tasks import ImageFormat

UNFINISHED_SECONDS = 3600.0
"""A file that was begun so long ago was left behind by a process that was killed."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


# Some of this is done for every video there is, and a Path for each would take longer than what is done.


class PictureCache:
    """Pictures by content, width in pixels and format; a reader never sees half of one. Any thread may call.

    A content is a video's fingerprint, or its id where it has none.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, content: str, width: int, image_format: ImageFormat) -> bytes | None:
        """Give a picture, encoded; None where it is not there."""
        try:
            return Path(self._picture(content, width, image_format)).read_bytes() or None  # empty after a power cut
        except OSError:
            return None  # whatever is wrong with it shows when the picture is to be kept

    def has(self, content: str, width: int, image_format: ImageFormat) -> bool:
        """Tell whether a picture is there; far cheaper than to read it."""
        try:
            return os.stat(self._picture(content, width, image_format)).st_size > 0  # noqa: PTH116
        except OSError:
            return False

    def keep(self, content: str, width: int, image_format: ImageFormat, data: bytes) -> None:
        """Keep a picture.

        Raises:
            StorageFullError: the disk is full.
            StorageError: it cannot be written otherwise.
        """
        self._write(self._picture(content, width, image_format), data)

    def why_none(self, content: str) -> str | None:
        """Say in a sentence why no picture can be made; None where this version does not know of a reason."""
        try:
            with open(self._note(content), encoding="utf-8", errors="replace") as note:  # noqa: PTH123
                version, _, reason = note.read().partition("\n")
        except OSError:
            return None
        return reason if version == __version__ and reason else None

    def note_none(self, content: str, reason: str) -> None:
        """Note why no picture can be made, for as long as this version is in use.

        Raises:
            StorageError: as `keep`.
        """
        self._write(self._note(content), f"{__version__}\n{reason}".encode("utf-8", "backslashreplace"))

    def sweep(self) -> None:
        """Remove what processes that were killed had begun to write."""
        before = time.time() - UNFINISHED_SECONDS
        with suppress(OSError):
            for folder in os.scandir(self._directory):
                with suppress(OSError):
                    _sweep(folder.path, before)

    def _picture(self, content: str, width: int, image_format: ImageFormat) -> str:
        return f"{self._directory}/{_name(content, width, image_format)}"

    def _note(self, content: str) -> str:
        return f"{self._directory}/{content[:2]}/{content}.none"

    def _write(self, place: str, data: bytes) -> None:
        # Written beside its place and renamed: a reader never sees half a picture.
        folder, _, name = place.rpartition("/")
        unfinished = f"{folder}/.{name}.{os.getpid()}"
        try:
            try:
                _put(unfinished, data)
            except FileNotFoundError:
                Path(folder).mkdir(parents=True, exist_ok=True)
                _put(unfinished, data)
            os.replace(unfinished, place)  # noqa: PTH105
        except OSError as error:
            with suppress(OSError):
                Path(unfinished).unlink(missing_ok=True)
            msg = f"The thumbnail cache {self._directory} cannot be written: {error.strerror}."
            raise (StorageFullError if error.errno in _FULL else StorageError)(msg) from error


def _put(place: str, data: bytes) -> None:
    with open(place, "wb", buffering=0) as file:  # noqa: PTH123
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]


def _name(content: str, width: int, image_format: ImageFormat) -> str:
    return f"{content[:2]}/{content}-{width}-{image_format}.{image_format}"


def _sweep(folder: str, before: float) -> None:
    for entry in os.scandir(folder):
        if entry.name.startswith(".") and entry.stat(follow_symlinks=False).st_mtime < before:
            os.unlink(entry.path)  # noqa: PTH108 - a million entries are looked at, and a Path for each takes longer
