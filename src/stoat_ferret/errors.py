"""Everything this program can refuse to do, as one tree.

    StoatError
    ├── ConfigurationError
    │   ├── UnsafeBindError
    │   └── UnsupportedMediaLibraryError
    ├── PathError
    │   ├── InvalidPathError
    │   ├── PathNotAllowedError
    │   ├── PathNotReadableError
    │   └── PathTimeoutError
    ├── ScanError
    │   ├── LibraryOfflineError
    │   ├── NotReachedError          (passing: left to another worker)
    │   └── MassLossError
    ├── NotFoundError
    │   ├── JobNotFoundError
    │   ├── VideoNotFoundError
    │   ├── LibraryNotFoundError
    │   └── NoPictureError
    ├── ConflictError
    │   ├── JobAlreadyFinishedError
    │   ├── JobNotFinishedError
    │   ├── JobNotRetryableError
    │   ├── LibraryExistsError
    │   ├── LibraryBusyError
    │   ├── NotDamagedError
    │   └── FencedError
    ├── NotSupportedError
    ├── InvalidQueryError
    │   ├── InvalidCursorError
    │   └── InvalidScheduleError
    ├── ChangesCompactedError
    ├── PreconditionFailedError
    ├── InvalidIdempotencyKeyError
    ├── IdempotencyKeyReusedError
    ├── TooManyStreamsError
    ├── MediaError
    │   ├── UnreadableFileError      (passing: tried again at the next scan)
    │   ├── FileChangedError         (passing)
    │   ├── NotMediaError
    │   ├── IncompleteFileError
    │   ├── NoVideoStreamError
    │   ├── ProbeTimeoutError
    │   └── ProbeCrashedError
    └── StorageError
        ├── DamagedDatabaseError
        ├── StorageFullError
        ├── StorageBusyError         (passing)
        └── StorageUnreachableError  (passing)

The class docstring is the default message. `code` is the stable word that programs may rely on; it appears in HTTP
problems, in job records and in the scan ledger.
"""

import inspect
from typing import ClassVar


class StoatError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or inspect.cleandoc(self.__class__.__doc__ or "")
        super().__init__(self.message)


def plain_message(message: str) -> str:
    """Give what a validator of ours has said, without the words that pydantic puts before it."""
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


class ConfigurationError(StoatError):
    """A setting cannot be used."""

    code = "CONFIGURATION_ERROR"


class UnsafeBindError(ConfigurationError):
    """The server only listens on a loopback address."""

    code = "UNSAFE_BIND"


class UnsupportedMediaLibraryError(ConfigurationError):
    """The installed PyAV or FFmpeg is too old to be safe with unknown files."""

    code = "UNSUPPORTED_MEDIA_LIBRARY"


class PathError(StoatError):
    """The path cannot be used."""

    code = "INVALID_PATH"


class InvalidPathError(PathError):
    """The path is not an absolute path of an existing folder."""


class PathNotAllowedError(PathError):
    """The path lies outside the allowed media roots."""

    code = "PATH_NOT_ALLOWED"


class PathNotReadableError(PathError):
    """The folder cannot be read."""

    code = "PATH_NOT_READABLE"


class PathTimeoutError(PathError):
    """The disk did not answer in time."""

    code = "PATH_TIMEOUT"


class ScanError(StoatError):
    """The scan could not be finished."""

    code = "SCAN_FAILED"


class LibraryOfflineError(ScanError):
    """The library's folder is not there; its disk is probably not mounted. Nothing was changed."""

    code = "LIBRARY_OFFLINE"


class NotReachedError(ScanError):
    """The folder does not lie on this machine, or is another one here."""

    code = "NOT_REACHED"


class MassLossError(ScanError):
    """More files are gone than the library allows at once. Nothing was marked missing."""

    code = "MASS_LOSS"


class NotFoundError(StoatError):
    """There is no such thing."""

    code = "NOT_FOUND"


class JobNotFoundError(NotFoundError):
    """There is no job with this id."""

    code = "JOB_NOT_FOUND"


class VideoNotFoundError(NotFoundError):
    """There is no video with this id."""

    code = "VIDEO_NOT_FOUND"


class LibraryNotFoundError(NotFoundError):
    """There is no library with this id."""

    code = "LIBRARY_NOT_FOUND"


class NoPictureError(NotFoundError):
    """The file holds no picture that could be shown."""

    code = "NO_PICTURE"


class ConflictError(StoatError):
    """The present state does not allow this."""

    code = "CONFLICT"


class JobAlreadyFinishedError(ConflictError):
    """The job has already ended."""

    code = "JOB_ALREADY_FINISHED"


class JobNotFinishedError(ConflictError):
    """The job has not ended yet."""

    code = "JOB_NOT_FINISHED"


class JobNotRetryableError(ConflictError):
    """Only a job that failed, timed out or was cancelled can be done again."""

    code = "JOB_NOT_RETRYABLE"


class LibraryExistsError(ConflictError):
    """The folder is a library already."""

    code = "LIBRARY_EXISTS"


class LibraryBusyError(ConflictError):
    """A scan of the library waits or runs."""

    code = "LIBRARY_BUSY"


class NotDamagedError(ConflictError):
    """The video is not damaged."""

    code = "NOT_DAMAGED"


class FencedError(ConflictError):
    """Another worker has taken this job over; what this one still had to write is refused."""

    code = "FENCED"


class NotSupportedError(StoatError):
    """This program does not do that."""

    code = "NOT_SUPPORTED"


class InvalidQueryError(StoatError):
    """The query cannot be understood."""

    code = "INVALID_QUERY"


class InvalidCursorError(InvalidQueryError):
    """The cursor does not belong to this query."""

    code = "INVALID_CURSOR"


class ChangesCompactedError(StoatError):
    """The change feed no longer goes back so far; begin again from 0."""

    code = "CHANGES_COMPACTED"


class PreconditionFailedError(StoatError):
    """It was changed since it was read; read it again."""

    code = "PRECONDITION_FAILED"


class InvalidScheduleError(InvalidQueryError):
    """The schedule is not a line that cron understands."""

    code = "INVALID_SCHEDULE"


class InvalidIdempotencyKeyError(StoatError):
    """The idempotency key is not one to 255 printable ASCII characters."""

    code = "INVALID_IDEMPOTENCY_KEY"


class IdempotencyKeyReusedError(StoatError):
    """The idempotency key was used before, for something else."""

    code = "IDEMPOTENCY_KEY_REUSED"


class TooManyStreamsError(StoatError):
    """Too many event streams are open."""

    code = "TOO_MANY_STREAMS"


class MediaError(StoatError):
    """The file could not be examined."""

    code = "PROBE_FAILED"
    passing: ClassVar[bool] = False
    """True where the same file may well succeed at the next scan, so that the outcome is not remembered."""


class UnreadableFileError(MediaError):
    """The file could not be read."""

    code = "UNREADABLE"
    passing = True


class FileChangedError(MediaError):
    """The file changed while it was being read."""

    code = "FILE_CHANGED"
    passing = True


class NotMediaError(MediaError):
    """The file is not a video or its format is not known."""

    code = "NOT_MEDIA"


class IncompleteFileError(MediaError):
    """The file is cut off: the index that its format needs is missing."""

    code = "INCOMPLETE_FILE"


class NoVideoStreamError(MediaError):
    """The file holds no picture stream."""

    code = "NO_VIDEO_STREAM"


class ProbeTimeoutError(MediaError):
    """Examining the file took longer than its deadline."""

    code = "PROBE_TIMEOUT"


class ProbeCrashedError(MediaError):
    """Examining the file killed the process that did it."""

    code = "PROBE_CRASHED"


class StorageError(StoatError):
    """The database could not be used."""

    code = "STORAGE_ERROR"


class DamagedDatabaseError(StorageError):
    """A database is damaged, or does not agree with itself."""

    code = "DATABASE_DAMAGED"


class StorageFullError(StorageError):
    """The disk that holds the data directory is full."""

    code = "STORAGE_FULL"


class StorageBusyError(StorageError):
    """The database is locked by another process."""

    code = "STORAGE_BUSY"


class StorageUnreachableError(StorageError):
    """The database server cannot be reached."""

    code = "STORAGE_UNREACHABLE"
