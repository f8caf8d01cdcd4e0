"""Reads files as wholes and holds their hashes against what is known: for silent damage, which no scan can see.

A file is read only where it is as the catalogue knows it. What has another size or time was changed by somebody: a scan
has to take that in first. Each outcome is stored at once, so a verification that is cut off goes on with what is left.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection

from stoat_ferret.errors import FileChangedError, MediaError, PathTimeoutError, UnreadableFileError
from stoat_ferret.library import fixity, ledger
from stoat_ferret.library.fixity import Mode, Wanted
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.repository import LibraryRepository, now_us
from stoat_ferret.media.hashing import CHUNK, Hashed, Throttle
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.job import ScanJob
from stoat_ferret.scan.reading import PIECE, Reader
from stoat_ferret.scan.sight import Sight

STALE = "STALE"
DAMAGED = "DAMAGED"
MOST_SILENT = 3
"""Files in a row for which the disk did not answer."""
NAP_SECONDS = 0.1
"""Pauses are taken in pieces, so that a cancel is seen soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What is to be read."""

    place: bytes | None = None
    """A folder or file; None: everything."""
    video_id: str | None = None
    mode: Mode = "new"
    older_than_seconds: float = 0.0
    """Of what has a checksum, only that which was checked longer ago."""
    bytes_per_second: float = 0.0
    """0: as fast as it goes."""
    max_bytes: int | None = None
    """Read no more than so much, but whole files."""


def run_verify(
    options: VerifyOptions,
    job: ScanJob,
    repository: LibraryRepository,
    sight: Sight,
    disk: Disk,
    *,
    asked_at: int,
) -> dict[str, int]:
    """Read what is due; blocks until it is done. What came of each file stands in the job's ledger.

    Args:
        options: what is to be read.
        job: the job that this is.
        repository: the catalogue.
        sight: tells where files lie, and whether links are followed there.
        disk: reads them; whatever it does meanwhile may end the job.
        asked_at: when the job was asked for, in microseconds since 1970 UTC: what was checked later is done.

    Raises:
        StorageError: the catalogue could not be written.
        PathTimeoutError: the disk did not answer for several files in a row; what was read stays verified.
    """
    return _Verify(options, job, repository, sight, disk, asked_at).run()


class _Verify:
    def __init__(
        self,
        options: VerifyOptions,
        job: ScanJob,
        repository: LibraryRepository,
        sight: Sight,
        disk: Disk,
        asked_at: int,
    ) -> None:
        self._options = options
        self._job = job
        self._database = repository.database
        self._sight = sight
        self._before = asked_at - int(options.older_than_seconds * 1_000_000)
        self._throttle = Throttle(options.bytes_per_second)
        self._reader = Reader(disk, self._between, piece=CHUNK if options.bytes_per_second else PIECE)
        self._read = 0
        self._spent = 0  # on files that could be read: one that cannot must not use up every night's share
        self._total = 0
        self._current: str | None = None
        self._tried: set[int] = set()  # of what is due, that of which nothing could be found out
        self._silent = 0

    def run(self) -> dict[str, int]:
        options = self._options
        place = (options.place, options.video_id, options.mode, self._before)
        self._total = fixity.count_due(self._database, *place)[1]
        if options.max_bytes is not None:
            self._total = min(self._total, options.max_bytes)
        if self._job.attempt > 1:  # what an attempt that was cut off has read counts too
            self._spent = ledger.costs(self._database, self._job.job_id)[0]
        began = time.monotonic()
        while some := fixity.due(self._database, *place, frozenset(self._tried)):
            for wanted in some:
                if options.max_bytes is not None and self._spent >= options.max_bytes:
                    break
                self._job.raise_if_cancelled()
                self._verify(wanted, began)
                began = time.monotonic()
            else:
                continue
            break
        left, left_bytes = fixity.count_due(self._database, *place)
        return {"left": left, "left_bytes": left_bytes}

    def _verify(self, wanted: Wanted, began: float) -> None:
        self._current = wanted.path_bytes.rpartition(b"/")[2].decode("utf-8", "replace")
        read_before = self._read
        try:
            path = wanted.path_bytes
            hashed = self._reader.hash(self._sight.here(path), follow_symlink=self._sight.follows(path))
            self._silent = 0
        except (MediaError, PathTimeoutError) as error:
            self._tried.add(wanted.video_pk)
            with self._job.transaction() as connection:
                self._note(connection, wanted, *_trouble(error))
                ledger.add_cost(connection, self._job.job_id, self._read - read_before, time.monotonic() - began)
            self._check_answering(error)
            return
        self._spent += hashed.size
        if now_us() <= self._before:  # this machine's clock is behind, and the file would be due again at once
            self._tried.add(wanted.video_pk)
        with self._job.transaction() as connection:
            self._note(connection, wanted, *self._settle(connection, wanted, hashed))
            ledger.add_cost(connection, self._job.job_id, self._read - read_before, time.monotonic() - began)

    def _check_answering(self, error: MediaError | PathTimeoutError) -> None:
        """Give up where a disk is gone: it would be waited for as long for every file on it."""
        self._silent = self._silent + 1 if isinstance(error, PathTimeoutError) else 0
        if self._silent >= MOST_SILENT:
            msg = (
                f"The disk did not answer for {MOST_SILENT} files in a row, of which {self._current} was the last. "
                "What was read is verified; verify again when the disk answers."
            )
            raise PathTimeoutError(msg) from error

    def _settle(self, connection: Connection, wanted: Wanted, hashed: Hashed) -> tuple[Outcome, str | None, str | None]:
        if (hashed.size, hashed.mtime_ns) != (wanted.size, wanted.mtime_ns):
            self._tried.add(wanted.video_pk)
            return Outcome.SKIPPED, STALE, "The file has changed since the last scan. Scan it first."
        right = fixity.record(connection, wanted, hashed.digest)
        if right is None:
            self._tried.add(wanted.video_pk)
            return Outcome.SKIPPED, STALE, "The entry was changed or forgotten while the file was being read."
        if not right:
            reason = (
                f"The file is damaged: its content hashes to {hashed.digest} and was {wanted.digest}, "
                "though its size and time are the same."
            )
            return Outcome.FAILED, DAMAGED, reason
        if wanted.digest is None:
            return Outcome.NEW, None, None
        return (Outcome.RESTORED if wanted.damaged else Outcome.UNCHANGED), None, None

    def _note(
        self, connection: Connection, wanted: Wanted, outcome: Outcome, code: str | None, reason: str | None
    ) -> None:
        if outcome is Outcome.UNCHANGED:
            folder = wanted.path_bytes.rpartition(b"/")[0] or b"/"
            counted = LedgerRow(path_bytes=folder, outcome=outcome, at=now_us())
            ledger.count_up(connection, self._job.job_id, [(wanted.folder_pk, counted)])
            return
        row = LedgerRow(
            path_bytes=wanted.path_bytes,
            outcome=outcome,
            at=now_us(),
            code=code,
            reason=reason,
            video_id=wanted.video_id,
        )
        ledger.record(connection, self._job.job_id, [(wanted.folder_pk, row)])

    def _between(self, count: int) -> None:
        self._read += count
        self._job.progress("verify", self._read, max(self._total, self._read), unit="bytes", current=self._current)
        self._job.raise_if_cancelled()
        until = time.monotonic() + self._throttle.wait_seconds(count)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
            self._job.raise_if_cancelled()


def _trouble(error: MediaError | PathTimeoutError) -> tuple[Outcome, str, str]:
    """Say what it means that a file could not be hashed; nothing about its content."""
    if isinstance(error, FileChangedError):
        return Outcome.SKIPPED, error.code, "The file was written to while it was being read. Scan it first."
    if isinstance(error, UnreadableFileError | PathTimeoutError):
        return Outcome.FAILED, error.code, error.message
    return Outcome.SKIPPED, error.code, error.message
