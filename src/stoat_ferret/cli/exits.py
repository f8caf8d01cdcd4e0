"""What the program's exit statuses mean; scripts rely on them."""

from enum import IntEnum

from stoat_ferret.errors import (
    ConfigurationError,
    ConflictError,
    IdempotencyKeyReusedError,
    InvalidQueryError,
    NotFoundError,
    NotSupportedError,
    PathError,
    StoatError,
    StorageError,
)


class ExitStatus(IntEnum):
    """An exit status."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    NOT_FOUND = 4
    CONFLICT = 5
    INTERNAL = 70  # EX_SOFTWARE of sysexits.h
    CANCELLED = 130  # 128 + SIGINT, as shells report it
    OUTPUT_CLOSED = 141  # 128 + SIGPIPE


MEANINGS = {
    ExitStatus.OK: "It was done. A scan that is complete counts as done also where single files failed.",
    ExitStatus.FAILED: "The job failed; with `scan --strict` also: a file failed. `verify`: a file is damaged, or "
    "could not be read. `doctor`: a check failed.",
    ExitStatus.USAGE: "The command line or the search query cannot be understood.",
    ExitStatus.ENVIRONMENT: "A setting, the data directory, a database or the port cannot be used.",
    ExitStatus.NOT_FOUND: "There is no such job, video, library or folder, or the folder may not be read or scanned.",
    ExitStatus.CONFLICT: "The present state does not allow it: the job has already ended.",
    ExitStatus.INTERNAL: "Something unexpected went wrong: a mistake in this program.",
    ExitStatus.CANCELLED: "The job was cancelled, by Ctrl-C, SIGTERM or someone else; or you left `jobs watch JOB_ID`.",
    ExitStatus.OUTPUT_CLOSED: "Whoever read the output stopped reading, as `head` does.",
}

STATUSES: tuple[tuple[type[StoatError], ExitStatus], ...] = (
    (ConfigurationError, ExitStatus.ENVIRONMENT),
    (StorageError, ExitStatus.ENVIRONMENT),
    (PathError, ExitStatus.NOT_FOUND),
    (NotFoundError, ExitStatus.NOT_FOUND),
    (ConflictError, ExitStatus.CONFLICT),
    (IdempotencyKeyReusedError, ExitStatus.CONFLICT),
    (InvalidQueryError, ExitStatus.USAGE),
    (NotSupportedError, ExitStatus.USAGE),
    (StoatError, ExitStatus.FAILED),
)
"""The first row that fits decides."""


def status_of(error: StoatError) -> ExitStatus:
    """Give the exit status for an error that ended a command."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))
