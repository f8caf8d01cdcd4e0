"""Why a file could not be opened, said to a person."""

import errno
import os

import av

from stoat_ferret.errors import IncompleteFileError, NotMediaError, UnreadableFileError
from stoat_ferret.media.contents import described, is_blank
from stoat_ferret.media.formats import lack_of_index

_LACKS = {
    "cut": "The file's index ('moov') is missing; the copy or the recording was probably cut short. Copy it again.",
    "segment": (
        "The file is a segment of a stream, without the initialization segment ('moov') that says how to play it. Join "
        "that and its segments into one file."
    ),
}


def refusal(path: bytes, error: av.FFmpegError) -> Exception:
    """Say for a person why a file that can be read could not be opened."""
    if isinstance(error, MemoryError):
        return MemoryError()
    try:
        if os.stat(path).st_size == 0:  # noqa: PTH116 - a path of bytes
            return IncompleteFileError("The file is empty (0 bytes). Copy it again from where it came from.")
        if (lack := lack_of_index(path)) is not None:
            return IncompleteFileError(_LACKS[lack])
        if is_blank(path):
            return IncompleteFileError(
                "The file holds nothing but zero bytes, wherever it was looked at: a download or a copy that was begun "
                "and not finished. Copy it again."
            )
        if (said := described(path)) is not None:
            return NotMediaError(said)
    except OSError as problem:
        return UnreadableFileError(f"The file could not be read: {problem.strerror}.")
    if (
        error.errno == errno.EIO
    ):  # what demuxers say of a file that ends too soon; the disk's refusals are known already
        return IncompleteFileError(
            "The file ends before what its header announces; it was cut short, or is damaged. Copy it again."
        )
    return NotMediaError("The file is not a video, or is damaged at its start, or is of a format that is not known.")
