"""The store stage: outcomes are gathered and written in batches, each one transaction whose token was checked."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from stoat_ferret.library import ledger
from stoat_ferret.library.batch import apply
from stoat_ferret.library.results import FileResult, FolderClosing
from stoat_ferret.scan.examine import OpenFolder

BATCH_FILES = 500
BATCH_SECONDS = 0.5

Transaction = Callable[[], AbstractContextManager[Connection]]


class Writer:
    """Gathers outcomes; writes when there are enough, or when they have waited long enough.

    What is `timed` counts towards the job's duration; several writers of one job work at the same time. `relate` is
    given what is about to be written, and gives it with the entries that files are found to belong to.
    """

    def __init__(
        self,
        transaction: Transaction,
        job_id: str,
        *,
        dry_run: bool,
        relate: Callable[[Sequence[FileResult]], list[FileResult]],
        timed: bool = True,
    ) -> None:
        self._relate = relate
        self._transaction = transaction
        self._job_id = job_id
        self._dry_run = dry_run
        self._timed = timed
        self._folders: dict[bytes, OpenFolder] = {}
        self._gathered = 0
        self._bytes_read = 0
        self._costed_at = time.monotonic()
        self._written_at = time.monotonic()
        self.visited: set[int] = set()
        """Keys of the folders that were listed completely."""

    def add(self, folder: OpenFolder, result: FileResult) -> None:
        """Take one file's outcome."""
        folder.batch.files.append(result)
        folder.remaining -= 1
        self._bytes_read += result.bytes_read
        self._touch(folder)
        if folder.remaining == 0:
            self.close(folder)

    def close(self, folder: OpenFolder) -> None:
        """Take the folder as finished."""
        folder.batch.closing = FolderClosing(
            digest=None if folder.changes.gone else folder.digest,
            unchanged_count=folder.changes.unchanged + folder.usable,
            reject_count=folder.rejects,
            newly_counted=folder.changes.newly_counted,
            gone=folder.changes.gone,
            ignored=folder.changes.ignored,
        )
        folder.batch.refreshed += [(seen.known, seen.entry.key) for seen in folder.changes.refreshed if seen.known]
        if folder.known is not None:
            self.visited.add(folder.known.pk)
        self._touch(folder)

    def flush_if_due(self) -> None:
        """Write if there is enough to write, or if it has waited long enough."""
        if self._gathered >= BATCH_FILES or time.monotonic() - self._written_at >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all that was gathered."""
        now = time.monotonic()
        if self._folders:
            self._relate_all()
            with self._transaction() as connection:
                batches = [folder.batch for folder in self._folders.values()]
                keys = apply(connection, self._job_id, batches, dry_run=self._dry_run)
                seconds = now - self._costed_at if self._timed else 0.0
                ledger.add_cost(connection, self._job_id, self._bytes_read, seconds)
            self._costed_at, self._bytes_read, self._gathered = now, 0, 0
            self.visited.update(keys.values())
            for folder in self._folders.values():
                folder.new_batch()
            self._folders.clear()
        self._written_at = time.monotonic()

    def _relate_all(self) -> None:
        """Look for where new files were before; outside the transaction, since disks are slow."""
        batches = [folder.batch for folder in self._folders.values()]
        related = iter(self._relate([result for batch in batches for result in batch.files]))
        for batch in batches:
            batch.files = [next(related) for _ in batch.files]

    def _touch(self, folder: OpenFolder) -> None:
        self._folders[folder.path] = folder
        self._gathered += 1
        if self._gathered == 1:
            self._written_at = time.monotonic()
