"""What probe processes are asked for and what they answer, as their parent sees it."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a probe process says of a task."""

    stat: FileStat | None
    fingerprint: str | None
    info: MediaInfo | None
    error: MediaFailure | None
    bytes_read: int
    seconds: float
    cut_short: bool = False
    image: bool = False
    """A picture follows, as a message of its own."""
    retiring: bool = False
    """The process ends now; that is nobody's fault."""
    traceback: str | None = None
    """Of what nobody foresaw."""


_ANSWERS = TypeAdapter(Answer)


def message_of(task: ProbeTask) -> dict[str, Any]:
    """Give what a process is sent for a task."""
    asked: dict[str, Any] = {"kind": "probe", "path": encode_base64(task.path), "follow_symlink": task.follow_symlink}
    if task.picture is not None:
        asked |= {"kind": "thumbnail", "width": task.picture.width, "format": task.picture.image_format}
    return asked


def read_answer(message: bytes) -> Answer:
    """Read an answer, which comes from a process that reads hostile files.

    Raises:
        WorkerLiedError: it is not of the agreed shape.
    """
    try:
        return _ANSWERS.validate_json(message, strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        msg = f"The answer is not of the agreed shape: {first['msg']} ({place or 'as a whole'})"
        raise WorkerLiedError(msg) from problem


def outcome_of(task: ProbeTask, answer: Answer, image: bytes | None = None) -> ProbeOutcome:
    """Turn a whole answer into the outcome of its task.

    Raises:
        WorkerLiedError: there is a picture that nobody wished for, or none, or one that is none.
    """
    if (image is not None) != (task.picture is not None and answer.error is None):
        raise WorkerLiedError("A picture came that nobody wished for, or none did.")
    if image is not None and not 0 < len(image) <= MOST_PICTURE_BYTES:
        msg = f"A picture of {len(image)} bytes came."
        raise WorkerLiedError(msg)
    return ProbeOutcome(
        task=task,
        info=answer.info,
        fingerprint=answer.fingerprint,
        stat=answer.stat,
        bytes_read=answer.bytes_read,
        seconds=answer.seconds,
        error=answer.error,
        image=image,
        cut_short=answer.cut_short,
    )
