"""The settle stage for one library, with all that it needs: what is gone is marked missing, if so much may be."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from stoat_ferret import paths
from stoat_ferret.errors import LibraryOfflineError, MassLossError
from stoat_ferret.library import absence, ledger
from stoat_ferret.library.models import LedgerRow, Library, Outcome
from stoat_ferret.library.repository import LibraryRepository, now_us
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.ground import look
from stoat_ferret.scan.job import FailedPart, ScanJob
from stoat_ferret.scan.listing import FolderProblem
from stoat_ferret.scan.online import ensure_online, record_problem
from stoat_ferret.scan.parts import part_files
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import ScanOptions, emptied
from stoat_ferret.scan.settle import guard_loss
from stoat_ferret.scan.survey import Surveyed


def conclude(
    surveyed: Surveyed,
    library: Library,
    options: ScanOptions,
    job: ScanJob,
    repository: LibraryRepository,
    rules: Rules,
    disk: Disk,
) -> None:
    """Conclude what is gone, and mark it missing if so much may be.

    Raises:
        LibraryOfflineError: the library's folder went away meanwhile, or lies on another volume now, or not one file is
            left where there were some.
        MassLossError: too much is gone; nothing was marked missing.
        PathNotReadableError: the library's folder may no longer be read.
    """
    ensure_online(library, options, job, repository, rules, disk, present=repository.count_present(library.id))
    doubted = _look_at_volumes_again(library, options, repository, rules, disk)
    if doubted:
        surveyed = replace(surveyed, proven=False)
    with job.transaction() as connection:
        for problem in doubted:
            # Of a volume that went away earlier, or that was not looked for, there is nothing to say here.
            if absence.withdraw_below(connection, job.job_id, problem.path):
                record_problem(connection, job.job_id, problem)
        absence.drop_moved(connection, job.job_id)
        gone = absence.count(connection, job.job_id, library.id)
        brought = absence.count_brought(connection, job.job_id, library.id)
    if not options.accept_loss:
        _guard_emptied(surveyed, library, options, job, repository, gone)
        # What this scan had itself found, before it was cut off, is no loss of what was there before it.
        _guard_loss(surveyed, library, options, job, repository, gone - brought)
    settled_files, marked = 0, -1
    while marked:
        job.raise_if_cancelled()
        if gone:
            job.progress("settle", settled_files, gone)
        with job.transaction() as connection:
            marked = absence.mark_missing(connection, job.job_id, library.id, dry_run=options.dry_run)
        settled_files += marked
    if not options.dry_run:
        with job.transaction() as connection:
            absence.drop_empty_folders(connection, surveyed.absent)
            repository.record_scan(connection, library.id, job.job_id, whole=surveyed.whole)


def _look_at_volumes_again(
    library: Library, options: ScanOptions, repository: LibraryRepository, rules: Rules, disk: Disk
) -> Collection[FolderProblem]:
    """Say which volumes have gone away since the scan began: what was not found in their places is not proven gone."""
    others = repository.libraries()
    inner = frozenset(
        other.path_bytes
        for other in others
        if other.id != library.id and paths.is_below(other.path_bytes, library.path_bytes)
    )
    return look(library, inner, repository, rules.here, disk, accept_loss=options.accept_loss).refused.values()


def _guard_emptied(
    surveyed: Surveyed, library: Library, options: ScanOptions, job: ScanJob, repository: LibraryRepository, gone: int
) -> None:
    """Take a whole library without a single file for an unmounted one: a mount point may hold a stray folder."""
    if surveyed.whole and gone and not surveyed.listed and surveyed.proven:
        if not options.dry_run:
            with job.transaction() as connection:
                repository.set_library_state(connection, library.id, "offline")
        raise LibraryOfflineError(emptied(library, gone))


def _guard_loss(
    surveyed: Surveyed, library: Library, options: ScanOptions, job: ScanJob, repository: LibraryRepository, gone: int
) -> None:
    present = max(gone, surveyed.present_before)
    try:
        guard_loss(
            gone=gone,
            present=present,
            max_loss_fraction=library.max_loss_fraction,
            library_path=library.path_bytes,
        )
    except MassLossError:
        with job.transaction() as connection:
            absence.clear(connection, job.job_id, library.id)
            if not options.dry_run:
                repository.record_mass_loss(connection, library.id, present)
        raise


def account_for(failed: Sequence[FailedPart], job: ScanJob, repository: LibraryRepository) -> None:
    """Record an outcome for every file of the parts that could not be done; the next scan looks at them again."""
    for part in failed:
        now = now_us()
        by_folder: dict[int, list[bytes]] = {}
        for pk, path in part_files(part.payload):
            by_folder.setdefault(pk, []).append(path)
        for pk, files in by_folder.items():
            known = ledger.recorded_paths(repository.database, job.job_id, files)
            rows = [
                (
                    pk,
                    LedgerRow(path_bytes=path, outcome=Outcome.FAILED, at=now, code=part.code, reason=part.reason),
                )
                for path in files
                if path not in known
            ]
            with job.transaction() as connection:
                ledger.record(connection, job.job_id, rows)
