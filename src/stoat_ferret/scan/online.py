"""Whether a library is within reach, and what is put on record where it, or a folder in it, is not."""

from sqlalchemy import Connection

from stoat_ferret.errors import LibraryOfflineError, PathNotReadableError
from stoat_ferret.library import ledger
from stoat_ferret.library.models import LedgerRow, Library, Outcome
from stoat_ferret.library.repository import LibraryRepository, now_us
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.job import ScanJob
from stoat_ferret.scan.listing import FolderProblem
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import ScanOptions, check_online
from stoat_ferret.scan.walk import folder_problem, holds_nothing


def ensure_online(
    library: Library,
    options: ScanOptions,
    job: ScanJob,
    repository: LibraryRepository,
    rules: Rules,
    disk: Disk,
    *,
    present: int,
) -> None:
    """Make sure that a library's folder is there, and record it where it is not.

    Raises:
        LibraryOfflineError: it is not there, or is empty where it held videos.
        PathNotReadableError: it may not be read.
    """
    try:
        found = _look_into(library, rules, disk)
        check_online(found, library, present=present, accept_loss=options.accept_loss)
    except (LibraryOfflineError, PathNotReadableError):
        if not options.dry_run:
            with job.transaction() as connection:
                repository.set_library_state(connection, library.id, "offline")
        raise


def record_problem(connection: Connection, job_id: str, problem: FolderProblem) -> None:
    """Put on record why a folder was not looked into."""
    row = LedgerRow(
        path_bytes=problem.path, outcome=Outcome.SKIPPED, at=now_us(), code=problem.code, reason=problem.reason
    )
    ledger.record(connection, job_id, [(None, row)])


def _look_into(library: Library, rules: Rules, disk: Disk) -> FolderProblem | bool:
    try:
        return disk.call(holds_nothing, library.path_bytes, rules)
    except OSError as error:
        return folder_problem(library.path_bytes, error)
