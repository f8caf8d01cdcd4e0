"""Thumbnails: made when someone asks for one that is not there yet."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from stoat_ferret import paths
from stoat_ferret.errors import MediaError, NoPictureError, UnreadableFileError
from stoat_ferret.library.models import Video
from stoat_ferret.media.cache import PictureCache
from stoat_ferret.media.pool import FrameGrabber
from stoat_ferret.media.tasks import ImageFormat

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

    def __init__(self, cache: PictureCache, grabber: FrameGrabber, *, timeout_seconds: float) -> None:
        self._cache = cache
        self._grabber = grabber
        self._timeout_seconds = timeout_seconds
        self._turn = asyncio.Lock()

    @staticmethod
    def etag(video: Video, width: int, image_format: ImageFormat) -> str:
        """Give the ETag of a video's thumbnail without making it."""
        return f"{_content(video)}-{_rounded(width)}-{image_format}"

    def kept(self, video: Video, width: int, formats: Sequence[ImageFormat]) -> Thumbnail | None:
        """Give a thumbnail at least `width` pixels wide where the picture itself is; None where none is kept.

        The first of the formats that is kept is given. Reads the disk: for a thread.
        """
        for image_format in formats:
            data = self._cache.read(_content(video), _rounded(width), image_format)
            if data is not None:
                return Thumbnail(data, f"image/{image_format}", self.etag(video, width, image_format))
        return None

    async def make(self, video: Video, width: int, image_format: ImageFormat) -> Thumbnail:
        """Make a thumbnail that is not kept, and keep it.

        Raises:
            NoPictureError: the file is missing or broken, or nothing in it can be decoded.
            UnreadableFileError: the file cannot be read now.
            StorageError: the picture could not be kept.
        """
        async with self._turn:
            return await asyncio.to_thread(self._make, video, width, image_format)

    def _make(self, video: Video, width: int, image_format: ImageFormat) -> Thumbnail:
        # While it was waited for its turn, somebody else may have had the same one made.
        if (found := self.kept(video, width, [image_format])) is not None:
            return found
        data, changed = self._made(video, _content(video), _rounded(width), image_format)
        etag = str(uuid4()) if changed else self.etag(video, width, image_format)
        return Thumbnail(data, f"image/{image_format}", etag)

    def _made(self, video: Video, content: str, width: int, image_format: ImageFormat) -> tuple[bytes, bool]:
        """Make a picture, and tell whether it is of another content than that which the last scan saw: it is not kept.

        It would be shown for ever of the former content, which may come back or lie elsewhere too.
        """
        shown = paths.display(video.path_bytes)
        if video.state != "available":
            raise NoPictureError(f"No picture of {shown} can be made while the file is {video.state}.")
        if (reason := self._cache.why_none(content)) is not None:
            raise NoPictureError(f"No picture of {shown} can be made: {reason}")
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
        if _has_changed(video):
            return data, True
        self._cache.keep(content, width, image_format, data)
        return data, False


def _has_changed(video: Video) -> bool:
    try:
        status = os.stat(video.path_bytes)  # noqa: PTH116 - a path of bytes
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns // 1_000) != (video.size, video.modified_at)


def _content(video: Video) -> str:
    return video.fingerprint or video.id


def _rounded(width: int) -> int:
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])
