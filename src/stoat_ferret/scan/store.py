"""The store stage: outcomes are gathered and written in batches, each one transaction whose token was checked."""

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from sqlalchemy import Connection

from stoat_ferret.library import ledger
from stoat_ferret.library.batch import apply
from stoat_ferret.library.results import FileResult, FolderClosing
from stoat_ferret.scan.examine import OpenFolder
from stoat_ferret.scan.moves import MOST_UNDECIDED, Tracer

BATCH_FILES = 500
BATCH_SECONDS = 0.5


class Transaction(Protocol):
    """Gives write transactions, as `ScanJob.transaction` does."""

    def __call__(self, *, durable: bool) -> AbstractContextManager[Connection]:
        """Give one."""
        ...


class Writer:
    """Gathers outcomes; writes when there are enough, or when they have waited long enough.

    What is `timed` counts towards the job's duration; several writers of one job work at the same time. The `tracer`
    looks for the entries that new files had elsewhere. What may have one is kept until `decide`, unless the writer does
    it `at_once`: there may be a file with a better right to it.

    What is written in between may be undone by a power cut, until `flush` has written all that was gathered: a scan
    that was cut off begins with what is stored, however much that is, and who waits for the disk keeps others waiting.
    """

    def __init__(
        self,
        transaction: Transaction,
        job_id: str,
        *,
        dry_run: bool,
        tracer: Tracer,
        at_once: bool = False,
        timed: bool = True,
    ) -> None:
        self._tracer = tracer
        self._at_once = at_once
        self._undecided: list[tuple[OpenFolder, FileResult]] = []
        self._decided = False  # of what is gathered now it is known where it was before
        self._transaction = transaction
        self._job_id = job_id
        self._dry_run = dry_run
        self._timed = timed
        self._folders: dict[bytes, OpenFolder] = {}
        self._gathered = 0
        self._bytes_read = 0
        self._costed_at = time.monotonic()
        self._written_at = time.monotonic()
        self._undurable = False
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

    def refresh(self, folder: OpenFolder) -> None:
        """Take note of the inodes that unchanged files of a folder have now, whoever closes it."""
        folder.batch.refreshed += [(seen.known, seen.entry.key) for seen in folder.changes.refreshed if seen.known]
        self._touch(folder)

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
        if folder.known is not None:
            self.visited.add(folder.known.pk)
        self._touch(folder)

    def decide(self) -> None:
        """Write the files that may have been elsewhere, now that all others were looked at."""
        self._write(durable=False)
        waiting, self._undecided = self._undecided, []
        # About all of them at once, since one may have a better right than another; stored as any others.
        decided = self._tracer.by_content([result for _, result in waiting])
        self._decided = True
        for (folder, _), result in zip(waiting, decided, strict=True):
            self.add(folder, result)
            self.flush_if_due()
        self.flush()
        self._decided = False

    def flush_if_due(self) -> None:
        """Write if there is enough to write, or if it has waited long enough."""
        if self._gathered >= BATCH_FILES or time.monotonic() - self._written_at >= BATCH_SECONDS:
            self._write(durable=False)

    def flush(self) -> None:
        """Write all that was gathered; no power cut undoes it, nor what was written before."""
        self._write(durable=True)

    def _write(self, *, durable: bool) -> None:
        now = time.monotonic()
        if self._folders:
            if not self._decided:
                self._relate_all()
            with self._transaction(durable=durable) as connection:
                batches = [folder.batch for folder in self._folders.values()]
                keys = apply(connection, self._job_id, batches, dry_run=self._dry_run)
                seconds = now - self._costed_at if self._timed else 0.0
                ledger.add_cost(connection, self._job_id, self._bytes_read, seconds)
            self._undurable = not durable
            self._costed_at, self._bytes_read, self._gathered = now, 0, 0
            self.visited.update(keys.values())
            for folder in self._folders.values():
                folder.new_batch()
            self._folders.clear()
        elif durable and self._undurable:
            with self._transaction(durable=True) as connection:
                ledger.add_cost(connection, self._job_id, 0, 0.0)  # what changes nothing does not reach the disk
            self._undurable = False
        self._written_at = time.monotonic()

    def _relate_all(self) -> None:
        """Look for where new files were before; outside the transaction, since disks are slow."""
        results = [(folder, result) for folder in self._folders.values() for result in folder.batch.files]
        plain = [result for _, result in results]
        at_once = self._at_once or len(self._undecided) >= MOST_UNDECIDED
        keep = set() if at_once else self._tracer.undecided(plain)
        related = self._tracer.by_content(plain) if at_once else plain
        for folder in self._folders.values():
            folder.batch.files = []
        for number, (folder, result) in enumerate(results):
            if number not in keep:
                folder.batch.files.append(related[number])
                continue
            folder.remaining += 1
            folder.batch.closing = None
            self._undecided.append((folder, replace(result, bytes_read=0)))  # which was counted

    def _touch(self, folder: OpenFolder) -> None:
        if self._folders.get(folder.path, folder) is not folder:
            self._write(durable=False)  # another piece of the same folder
        self._folders[folder.path] = folder
        self._gathered += 1
        if self._gathered == 1:
            self._written_at = time.monotonic()
