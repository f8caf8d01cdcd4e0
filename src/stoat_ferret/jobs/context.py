"""What a handler may say and ask while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection


class JobContext:
    """A handler's line to its job. Every method may be called from any thread."""

    job_id: str
    attempt: int
    partial_result: dict[str, Any] | None = None
    """What was done so far; stored as the result when the job is cancelled or fails."""

    def progress(self, phase: str, done: int, total: int | None, *, unit: str = "files", current: str | None = None) -> None:
        """Say how far the job is; cheap, so it may be called for every file. Rate and ETA are worked out here."""
        raise NotImplementedError

    @property
    def cancelled(self) -> bool:
        """True once someone asked for the job's end, or the job was lost to another worker."""
        raise NotImplementedError

    def raise_if_cancelled(self) -> None:
        """End the handler if the job is to end.

        Raises:
            JobCancelled: it is.
        """
        raise NotImplementedError

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a write transaction on the catalogue in which this run's token was checked.

        Raises:
            FencedError: another worker has the job; nothing was written.
            StorageError: the database could not be written.
        """
        raise NotImplementedError
