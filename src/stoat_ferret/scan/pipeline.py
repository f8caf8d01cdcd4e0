"""The scan.

    walk ──► compare ──► probe ──► store ──► settle

A scan is split among the libraries it touches (`scope`), and for each of them:

1. *walk* lists one folder after another in a thread of its own, a bounded way ahead. A folder is listed as a whole, or
   it is a problem and proves nothing.
2. *compare* takes a listing. If its digest is the one that is stored, every file in it is unchanged and costs nothing
   more. Otherwise each file is compared with what is known of it: size, mtime and inode.
3. *probe* examines what is new or changed, in processes that can be killed.
4. *store* writes outcomes, ledger rows and changes in batches, each in one transaction that checks this run's token. A
   scan that is cut off goes on where it was simply by starting again: what was stored is found unchanged.
5. *settle* looks, when all has been listed and stored, at what is gone. A library that is offline, and a loss too
   large to be likely, stop the scan before anything is marked missing.

One thread runs the loop below; the walker and the processes work beside it, and every arrow is bounded, so memory does
not grow with the tree.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Protocol

from sqlalchemy import Connection

from stoat_ferret import paths
from stoat_ferret.errors import LibraryOfflineError, MassLossError, PathNotReadableError, ScanError
from stoat_ferret.library import absence, ledger
from stoat_ferret.library.batch import FileResult
from stoat_ferret.library.models import FileKey, KnownFolder, LedgerRow, Outcome
from stoat_ferret.library.repository import LibraryRepository, new_library, now_us, steps
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.scan.compare import FolderChanges, Seen, compare, digest, settled
from stoat_ferret.scan.estimate import Estimate
from stoat_ferret.scan.examine import Examiner, OpenFolder
from stoat_ferret.scan.report import ScanReport, read_report
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import (
    Obstacle,
    ScanOptions,
    Target,
    check_online,
    covering,
    emptied,
    find_obstacle,
    targets,
)
from stoat_ferret.scan.settle import absent_folders, guard_loss
from stoat_ferret.scan.store import Writer
from stoat_ferret.scan.walk import FolderListing, FolderProblem, Walker, join

POLL_SECONDS = 0.05
"""The longest wait in the loop; cancellation is seen, and batches are written, at least so often."""

NO_KEY = FileKey(0, 0, 0, 0)


class ScanJob(Protocol):
    """What a scan needs of the job it is."""

    job_id: str
    attempt: int

    def transaction(self) -> AbstractContextManager[Connection]:
        """Give a write transaction on the catalogue in which this run's right to write was checked."""
        ...

    def progress(self, phase: str, done: int, total: int | None, *, unit: str = ..., current: str | None = ...) -> None:
        """Say how far it is."""
        ...

    def raise_if_cancelled(self) -> None:
        """End the scan if it is to end."""
        ...


def run_scan(
    options: ScanOptions,
    job: ScanJob,
    repository: LibraryRepository,
    rules: Rules,
    *,
    max_loss_fraction: float,
    open_pool: Callable[[], ProbePool],
) -> ScanReport:
    """Scan a folder; blocks until it is done.

    Args:
        options: what to scan and how.
        job: the job that this scan is.
        repository: the catalogue.
        rules: which names are looked at.
        max_loss_fraction: for a library that is made by this scan.
        open_pool: opens the pool of probe processes, if any file is to be examined; it is closed before this returns.

    Raises:
        LibraryOfflineError: a library's folder is not there, or is empty where it was not.
        MassLossError: too much is gone; nothing was marked missing.
        PathNotReadableError: a library's folder may not be read.
        ScanError: one of these; of a scan above several libraries, the first, with the messages of all.
        StorageError: the catalogue could not be written.
    """
    libraries = repository.libraries()
    if covering(options.path, libraries) is None:
        if options.dry_run:
            libraries.append(new_library(options.path, max_loss_fraction))
        else:
            with job.transaction() as connection:
                libraries.append(repository.add_library(connection, options.path, max_loss_fraction))
    troubles: list[ScanError | PathNotReadableError] = []
    with ExitStack() as opened:
        # Starting processes costs more than an unchanged rescan of thousands of files does, so it waits for the first.
        pool = cache(lambda: opened.enter_context(open_pool()))
        for target in targets(options, libraries):
            try:
                _TargetScan(target, options, job, repository, rules, pool).run()
            except (ScanError, PathNotReadableError) as trouble:  # one library's; the others are scanned nevertheless
                troubles.append(trouble)
    if troubles:
        raise type(troubles[0])(" ".join(trouble.message for trouble in troubles)) from troubles[0]
    return read_report(repository.database, job.job_id)


class _TargetScan:
    """The scan of one library, or of a part of it."""

    def __init__(
        self,
        target: Target,
        options: ScanOptions,
        job: ScanJob,
        repository: LibraryRepository,
        rules: Rules,
        pool: Callable[[], ProbePool],
    ) -> None:
        self._target = target
        self._options = options
        self._job = job
        self._repository = repository
        self._rules = rules
        self._examiner = Examiner(pool)
        self._writer = Writer(job.transaction, job.job_id, dry_run=options.dry_run)
        self._unproven: list[bytes] = []
        self._start_is_gone = False
        self._phase = "walk"
        self._listed = self._done = 0
        self._present = repository.count_present(target.library.id)
        brought = repository.count_brought(target.library.id, job.job_id)
        # What came since must not make a loss look smaller: neither by this job's earlier attempt, nor since a scan
        # stopped at a mass loss.
        self._present_before = min(self._present - brought, target.library.lost_from or self._present)

    def run(self) -> None:
        with self._job.transaction() as connection:
            absence.clear(connection, self._job.job_id)
        self._check_online()
        obstacle = find_obstacle(self._target.start, self._target.library.path_bytes, self._rules)
        if obstacle is None:
            self._walk()
        else:
            self._start_is_gone = obstacle.gone
            self._take_obstacle(obstacle)
        self._settle()

    def _check_online(self) -> None:
        accept = self._options.accept_loss
        try:
            check_online(self._target.library, self._rules, present=self._present, accept_loss=accept)
        except (LibraryOfflineError, PathNotReadableError):
            if not self._options.dry_run:
                with self._job.transaction() as connection:
                    self._repository.set_library_state(connection, self._target.library.id, "offline")
            raise

    def _walk(self) -> None:
        """Walk, compare, probe and store, until all of it is done or the job is to end."""
        target, recursive = self._target, self._options.recursive
        # What an attempt that was cut off has stored says little about how much there is.
        first = self._job.attempt == 1
        known = self._repository.count_known(target.library.id, target.start, recursive=recursive) if first else 0
        walker = Walker(target.start, self._rules, recursive=recursive, exclude=target.exclude)
        with Estimate(target, self._rules, recursive=recursive, known=known) as estimate, walker:
            while not (walker.ended and self._examiner.idle):
                try:
                    self._job.raise_if_cancelled()
                except BaseException:
                    self._writer.flush()  # what was examined is kept
                    raise
                self._compare_some(walker)
                for folder, result in self._examiner.step(POLL_SECONDS):
                    self._writer.add(folder, result)
                    self._done += 1
                self._writer.flush_if_due()
                total = self._listed if walker.ended else estimate.total(self._listed)
                self._report(total)
            self._writer.flush()

    def _compare_some(self, walker: Walker) -> None:
        """Compare folders until there is enough to examine, or none is listed, or it has taken long enough."""
        until = time.monotonic() + POLL_SECONDS
        while self._examiner.hungry and (listing := walker.take(POLL_SECONDS if self._examiner.idle else 0)):
            self._take(listing)
            self._writer.flush_if_due()
            if time.monotonic() >= until:
                return

    def _report(self, total: int | None) -> None:
        current = self._examiner.current
        if current is not None:
            current = current.removeprefix(self._target.library.path_bytes).lstrip(b"/")
        shown = None if current is None else paths.display(current)
        # Once there was a file to examine the phase stays so: the rate is reckoned anew with each phase.
        self._phase = "probe" if shown else self._phase
        self._job.progress(self._phase, self._done, total, current=shown)

    def _take(self, listing: FolderListing | FolderProblem) -> None:
        """Compare one listing and pass on what is to be done."""
        if isinstance(listing, FolderProblem):
            self._take_problem(listing)
            return
        known = self._repository.folder(listing.path)
        mark = digest(listing, self._rules)
        changes = self._compare(listing, known, mark)
        results = [*map(_rejected, changes.rejected), *map(_restored, changes.restored)]
        results += [
            FileResult(
                path=join(listing.path, oddity.name),
                key=NO_KEY,
                outcome=Outcome.SKIPPED,
                code=oddity.code,
                reason=oddity.reason,
                remember=False,
            )
            for oddity in listing.oddities
        ]
        folder = OpenFolder(
            path=listing.path,
            library_id=self._target.library.id,
            known=known,
            digest=mark if settled(listing, time.time_ns()) else None,
            changes=changes,
            remaining=len(results) + len(changes.probe),
        )
        for result in results:
            self._writer.add(folder, result)
            self._writer.flush_if_due()
        self._examiner.add(folder, changes.probe)
        if not folder.remaining and not results:
            self._writer.close(folder)
        self._listed += len(listing.files)
        self._done += len(listing.files) - len(changes.probe)

    def _compare(self, listing: FolderListing, known: KnownFolder | None, mark: bytes) -> FolderChanges:
        """Compare by digest, or file by file where that differs or everything is to be examined again."""
        if known is None:
            return compare(listing, {}, force=self._options.force)
        done = set[bytes]()
        if self._job.attempt > 1:
            done = ledger.stored_paths(self._repository.database, self._job.job_id, known.pk)
        if known.digest != mark or self._options.force:
            return compare(listing, self._repository.files_in(known.pk), force=self._options.force, done=done)
        rejected: list[Seen] = []
        if known.reject_count:
            entries = {join(listing.path, entry.name): entry for entry in listing.files}
            files = self._repository.rejected_in(known.pk)
            rejected = [Seen(file.path, entries[file.path], file) for file in files if file.path in entries]
        return FolderChanges(
            probe=(),
            restored=(),
            rejected=tuple(rejected),
            unchanged=known.unchanged_count,
            newly_counted=known.unchanged_count - len(done),
            gone=(),
        )

    def _take_problem(self, problem: FolderProblem) -> None:
        self._unproven.append(problem.path)
        self._record_skipped(problem.path, problem.code, problem.reason)

    def _take_obstacle(self, obstacle: Obstacle) -> None:
        if not obstacle.gone:
            self._unproven.append(self._target.start)
        if obstacle.code and obstacle.reason:
            self._record_skipped(obstacle.path, obstacle.code, obstacle.reason)

    def _record_skipped(self, path: bytes, code: str, reason: str) -> None:
        row = LedgerRow(path_bytes=path, outcome=Outcome.SKIPPED, at=now_us(), code=code, reason=reason)
        with self._job.transaction() as connection:
            ledger.record(connection, self._job.job_id, [(None, row)])

    def _settle(self) -> None:
        """Conclude what is gone, and mark it missing if so much may be."""
        self._check_online()  # the disk may have gone away meanwhile
        library, job, dry_run = self._target.library, self._job, self._options.dry_run
        absent = self._absent()
        for keys in steps(absent):
            with job.transaction() as connection:
                absence.note_folders(connection, job.job_id, keys, dry_run=dry_run)
        with job.transaction() as connection:
            gone = absence.count(connection, job.job_id)
        if not self._options.accept_loss:
            self._guard_emptied(gone)
            self._guard_loss(gone)
        settled_files, marked = 0, -1
        while marked:
            job.raise_if_cancelled()
            job.progress("settle", settled_files, gone)
            with job.transaction() as connection:
                marked = absence.mark_missing(connection, job.job_id, dry_run=dry_run)
            settled_files += marked
        if not dry_run:
            with job.transaction() as connection:
                absence.drop_empty_folders(connection, absent)
                whole = self._options.recursive and self._target.start == library.path_bytes
                self._repository.record_scan(connection, library.id, job.job_id, whole=whole)

    def _guard_emptied(self, gone: int) -> None:
        """Take a whole library without a single file for an unmounted one: a mount point may hold a stray folder."""
        library = self._target.library
        whole = self._options.recursive and self._target.start == library.path_bytes
        if whole and gone and not self._listed and not self._unproven:
            if not self._options.dry_run:
                with self._job.transaction() as connection:
                    self._repository.set_library_state(connection, library.id, "offline")
            raise LibraryOfflineError(emptied(library, gone))

    def _guard_loss(self, gone: int) -> None:
        library, present = self._target.library, max(gone, self._present_before)
        try:
            guard_loss(
                gone=gone,
                present=present,
                max_loss_fraction=library.max_loss_fraction,
                library_path=library.path_bytes,
            )
        except MassLossError:
            with self._job.transaction() as connection:
                absence.clear(connection, self._job.job_id)
                if not self._options.dry_run:
                    self._repository.record_mass_loss(connection, library.id, present)
            raise

    def _absent(self) -> list[int]:
        """Give the keys of the folders that are gone."""
        if not self._options.recursive:
            folder = self._repository.folder(self._target.start) if self._start_is_gone else None
            return [] if folder is None else [folder.pk]
        known = self._repository.folders_below(self._target.library.id, self._target.start)
        return [f.pk for f in absent_folders(known, visited=self._writer.visited, unproven=self._unproven)]


def _rejected(seen: Seen) -> FileResult:
    """Report again, without looking at it again, a file that is known not to be a usable video."""
    known = seen.known
    assert known is not None  # noqa: S101  # `compare` puts only known files there
    assert known.reject_outcome is not None  # noqa: S101
    return FileResult(
        path=seen.path,
        key=seen.entry.key,
        outcome=known.reject_outcome,
        known=known,
        code=known.code,
        reason=known.reason,
        remember=False,
    )


def _restored(seen: Seen) -> FileResult:
    return FileResult(path=seen.path, key=seen.entry.key, outcome=Outcome.RESTORED, known=seen.known)
