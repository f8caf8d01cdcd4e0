"""Thumbnails: made when someone asks for one, kept by the content's fingerprint, so that a moved file keeps its own."""

import asyncio
import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stoat_ferret import paths
from stoat_ferret.errors import MediaError, NoPictureError, StorageError, StorageFullError, UnreadableFileError
from stoat_ferret.library.models import Video
from stoat_ferret.media.pool import FrameGrabber

ImageFormat = Literal["jpeg", "webp"]
WIDTHS = (160, 320, 640, 1280)
"""Widths that are made, in pixels; a wish is rounded up to one of them, which bounds the cache."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture."""

    data: bytes
    media_type: str
    etag: str
    """Without quotes; changes whenever the picture would."""


class PreviewService:
    """Makes and keeps thumbnails. One picture is made at a time, in a process that can be killed."""

    def __init__(self, directory: Path, grabber: FrameGrabber, *, timeout_seconds: float) -> None:
        self._directory = directory
        self._grabber = grabber
        self._timeout_seconds = timeout_seconds
        self._turn = asyncio.Lock()

    @staticmethod
    def etag(video: Video, width: int, image_format: ImageFormat) -> str:
        """Give the ETag of a video's thumbnail without making it."""
        return f"{video.fingerprint or video.id}-{_rounded(width)}-{image_format}"

    async def thumbnail(self, video: Video, width: int, image_format: ImageFormat) -> Thumbnail:
        """Give a thumbnail at least `width` pixels wide where the picture itself is.

        Raises:
            NoPictureError: the file is missing or broken, or nothing in it can be decoded.
            UnreadableFileError: the file cannot be read now.
            StorageError: the picture could not be kept.
        """
        etag = self.etag(video, width, image_format)
        path = self._directory / etag[:2] / f"{etag}.{image_format}"
        data = await asyncio.to_thread(_read, path)
        if data is None:
            async with self._turn:
                data = await asyncio.to_thread(_read, path)
                if data is None:
                    data = await asyncio.to_thread(self._make, video, _rounded(width), image_format, path)
        return Thumbnail(data, f"image/{image_format}", etag)

    def _make(self, video: Video, width: int, image_format: ImageFormat, path: Path) -> bytes:
        shown = paths.display(video.path_bytes)
        if video.state != "available":
            raise NoPictureError(f"No picture of {shown} can be made while the file is {video.state}.")
        try:
            data = self._grabber.thumbnail(video.path_bytes, width, image_format, self._timeout_seconds)
        except UnreadableFileError as error:
            if os.path.lexists(video.path_bytes):
                raise  # it may be readable in a moment
            raise NoPictureError(
                f"{shown} is no longer there. Scan its folder to bring the catalogue up to date."
            ) from error
        except MediaError as error:
            raise NoPictureError(f"No picture of {shown} can be made: {error.message}") from error
        _keep(path, data)
        return data


def _rounded(width: int) -> int:
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() or None  # a power cut may leave an empty file
    except OSError:
        return None  # whatever is wrong with it shows when the picture is to be kept


def _keep(path: Path, data: bytes) -> None:
    # Written beside its place and renamed: a reader never sees half a picture.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        msg = f"The thumbnail cache {path.parent.parent} cannot be written: {error.strerror}."
        raise (StorageFullError if error.errno == errno.ENOSPC else StorageError)(msg) from error
