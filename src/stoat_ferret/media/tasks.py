"""What probe processes are asked for and what they answer, as their parent sees it."""

from dataclasses import dataclass
from typing import Any, Literal

from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.process import WorkerLiedError
from stoat_ferret.paths import encode_base64

ImageFormat = Literal["jpeg", "webp"]
MOST_PICTURE_BYTES = 8 << 20
"""No encoded picture is larger; one comes from a process that reads hostile files."""


@dataclass(frozen=True, slots=True)
class PictureWish:
    """A small picture of a film: at most so many pixels wide."""

    width: int
    image_format: ImageFormat


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A file to examine, or to make a picture of. `key` is the caller's own; `path` is absolute."""

    key: int
    path: bytes
    follow_symlink: bool = False
    device: int = 0
    """That it lies on (`st_dev`), for whoever limits how much goes on at one."""
    picture: PictureWish | None = None
    """Make this of it, and nothing else."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """The file's state at the moment its content was read, of `fstat` and `statx`."""

    size: int
    mtime_ns: int
    inode: int
    device: int
    birth_ns: int | None = None
    """When the file was made, where the file system says."""


@dataclass(frozen=True, slots=True)
class MediaFailure:
    """Why a file could not be examined: the code and message of a StoatError."""

    code: str
    message: str
    passing: bool
    """True where the same file may well succeed next time."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What came of a task. Either `info` and `fingerprint` or `error` is given; with `error`, a fingerprint may be.

    Of a task that wished for a picture, either `image`, encoded, or `error` is given.
    """

    task: ProbeTask
    info: MediaInfo | None
    fingerprint: str | None
    stat: FileStat | None
    bytes_read: int
    seconds: float
    error: MediaFailure | None
    image: bytes | None = None
    cut_short: bool = False
    """It ends before what its own headers say, though it can be examined."""


def message_of(task: ProbeTask) -> dict[str, Any]:
    """Give what a process is sent for a task."""
    asked: dict[str, Any] = {"kind": "probe", "path": encode_base64(task.path), "follow_symlink": task.follow_symlink}
    if task.picture is not None:
        asked |= {"kind": "thumbnail", "width": task.picture.width, "format": task.picture.image_format}
    return asked


def outcome_of(task: ProbeTask, answer: dict[str, Any], image: bytes | None = None) -> ProbeOutcome:
    """Read an answer, which comes from a process that reads hostile files.

    Raises:
        WorkerLiedError: it is not of the agreed shape.
    """
    if (image is not None) != (task.picture is not None and answer.get("error") is None):
        raise WorkerLiedError("A picture came that nobody wished for, or none did.")
    if image is not None and not 0 < len(image) <= MOST_PICTURE_BYTES:
        msg = f"A picture of {len(image)} bytes came."
        raise WorkerLiedError(msg)
    try:
        error = answer["error"]
        return ProbeOutcome(
            task=task,
            info=MediaInfo.from_json(answer["info"]) if answer["info"] is not None else None,
            fingerprint=str(answer["fingerprint"]) if answer["fingerprint"] is not None else None,
            stat=FileStat(**answer["stat"]) if answer["stat"] is not None else None,
            bytes_read=int(answer["bytes_read"]),
            seconds=float(answer["seconds"]),
            error=MediaFailure(**error) if error is not None else None,
            image=image,
            cut_short=answer.get("cut_short") is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        msg = f"The answer is not of the agreed shape: {problem!r}"
        raise WorkerLiedError(msg) from problem
