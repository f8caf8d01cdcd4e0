"""Why a file could not be opened, said to a person."""

import errno
import os

import av

from stoat_ferret.errors import IncompleteFileError, NotMediaError, UnreadableFileError
from stoat_ferret.media.contents import described, is_blank
from stoat_ferret.media.formats import lack_of_index

_HEAD_BYTES, _TAIL_BYTES, _BLOCK_BYTES = 64 << 20, 16 << 20, 1 << 20
"""Of a file's ends, more than FFmpeg reads to open it; and how much at a time."""
_UNREADABLE = {
    errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOENT, errno.ENOTCONN, errno.ENOTDIR, errno.ELOOP, errno.ENODEV,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EREMOTEIO,
}  # fmt: skip

_LACKS = {
    "cut": "The file's index ('moov') is missing; the copy or the recording was probably cut short. Copy it again.",
    "segment": (
        "The file is a segment of a stream, without the initialization segment ('moov') that says how to play it. Join "
        "that and its segments into one file."
    ),
}


def refusal(path: bytes, error: av.FFmpegError) -> Exception:
    """Say for a person why the file could not be opened."""
    number = error.errno
    damaged = number == errno.EIO and _reads_well(path)
    if number in _UNREADABLE and not damaged:
        return UnreadableFileError(f"The file could not be read: {os.strerror(number)}.")
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
    if damaged:
        return IncompleteFileError(
            "The file ends before what its header announces; it was cut short, or is damaged. Copy it again."
        )
    return NotMediaError("The file is not a video, or is damaged at its start, or is of a format that is not known.")


def _reads_well(path: bytes) -> bool:
    """Tell whether the disk gives what FFmpeg reads to open a file. Demuxers say EIO of one that ends too soon, too."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a path of bytes
            size = os.fstat(file.fileno()).st_size
            for start, end in ((0, _HEAD_BYTES), (max(0, size - _TAIL_BYTES), size)):
                file.seek(start)
                while file.tell() < end and file.read(_BLOCK_BYTES):
                    pass
    except OSError:
        return False
    return True
