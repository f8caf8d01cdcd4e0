"""The daily upkeep as a job: forgets old jobs with all that they left, and looks whether the databases are sound.

Records go first and what they left in the catalogue follows: whatever a crash in between leaves behind belongs to a job
that nobody knows, and such remains are looked for each time. Of the videos only
entries go that are missing for longer than their library keeps them, and nothing of what a living job has left.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from stoat_ferret.api.services.requests import UPKEEP, with_settings
from stoat_ferret.db.engine import Database
from stoat_ferret.db.soundness import fold_log, keys_from_before, problem_of
from stoat_ferret.errors import DamagedDatabaseError, StorageBusyError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.jobs.stored import ROWS_A_TRANSACTION
from stoat_ferret.library import changes, shelves
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.retention import forget_jobs, jobs_with_remains, miscounted
from stoat_ferret.library.upkeep import analyze
from stoat_ferret.settings import Settings

MAINTENANCE_JOB_TYPE = "maintenance"
IDS_A_LOOK = 500
DAY_US = 86_400 * 1_000_000
MOST_PAUSE_SECONDS = 0.1
SOUND = "ok"
NOT_CHECKED = "not checked"
"""What is said of databases whose files were not read: before the check, and of Postgres."""

log = structlog.get_logger(__name__)


def maintenance_request(settings: Settings, *, priority: int = UPKEEP) -> JobRequest:
    """Give the job that does it; one that is pending is joined, and no two run at a time."""
    request = JobRequest(type=MAINTENANCE_JOB_TYPE, payload={}, exclusive_key=MAINTENANCE_JOB_TYPE)
    return with_settings(request, settings, priority=priority)


def make_maintenance_handler(
    queue: AsyncJobQueue,
    records: Database,
    catalogue: Database,
    settings: Settings,
    *,
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> JobHandler:
    """Give the handler that does maintenance.

    Args:
        queue: whose old jobs are forgotten.
        records: the database that it is in.
        catalogue: where jobs leave what they did.
        settings: how long jobs are kept.
        clock: the time in microseconds since 1970 UTC, for tests.
    """

    async def handle(_job: Job, context: JobContext) -> dict[str, Any]:
        run = _Maintenance(queue, records, catalogue, context)
        try:
            before = clock() - int(settings.retention_days * DAY_US)
            await run.forget_jobs(before)
            await asyncio.to_thread(run.purge_missing, clock())
            await asyncio.to_thread(run.compact_changes, before)
            await asyncio.to_thread(run.tidy)
            await asyncio.to_thread(run.check)
        finally:
            context.partial_result = run.result()
        if run.problems:
            raise DamagedDatabaseError(" ".join(run.problems))
        return run.result()

    return handle


class Breather:
    """Leaves others as much time as the work takes: SQLite's lock goes to whoever asks at the right moment."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._since = time.monotonic()

    def __call__(self) -> None:
        """Pause, between two transactions.

        Raises:
            JobCancelled: the job is to end.
        """
        self._context.raise_if_cancelled()
        time.sleep(min(time.monotonic() - self._since, MOST_PAUSE_SECONDS))
        self._since = time.monotonic()


@dataclass
class _Maintenance:
    queue: AsyncJobQueue
    records: Database
    catalogue: Database
    context: JobContext
    jobs_deleted: int = 0
    ledger_rows_deleted: int = 0
    keys_deleted: int = 0
    changes_compacted: int = 0
    missing_purged: int = 0
    integrity: str = NOT_CHECKED
    problems: list[str] = field(default_factory=list)
    """Sentences that say what is wrong, and what to do."""
    began: float = field(default_factory=time.monotonic)

    def result(self) -> dict[str, Any]:
        return {
            "jobs_deleted": self.jobs_deleted,
            "ledger_rows_deleted": self.ledger_rows_deleted,
            "keys_deleted": self.keys_deleted,
            "changes_compacted": self.changes_compacted,
            "missing_purged": self.missing_purged,
            "integrity": self.integrity,
            "duration_seconds": round(time.monotonic() - self.began, 3),
        }

    async def forget_jobs(self, before: int) -> None:
        """Delete what ended before a moment, then what is left of jobs that nobody knows."""
        breathe = Breather(self.context)
        keys = await asyncio.to_thread(keys_from_before, self.records, before)
        while (trimmed := await self.queue.trim(before, ROWS_A_TRANSACTION)).rows:
            self.jobs_deleted += len(trimmed.job_ids)
            self.context.progress("trim", self.jobs_deleted, None, unit="jobs")
            await asyncio.to_thread(breathe)
        self.keys_deleted = keys - await asyncio.to_thread(keys_from_before, self.records, before)
        after = ""
        while ids := await asyncio.to_thread(jobs_with_remains, self.catalogue, after, IDS_A_LOOK):
            after = ids[-1]
            # Asked after the remains were seen: a job has its record before it leaves anything.
            known = await self.queue.known_ids(frozenset(ids))
            await asyncio.to_thread(self._forget, [job_id for job_id in ids if job_id not in known], breathe)

    def _forget(self, job_ids: list[str], breathe: Breather) -> None:
        def between() -> None:
            self.context.progress("sweep", self.ledger_rows_deleted, None, unit="lines")
            breathe()

        between()
        if job_ids:
            self.ledger_rows_deleted += forget_jobs(self.catalogue, job_ids, between=between)

    def purge_missing(self, now: int) -> None:
        """Forget entries that are missing for longer than their library keeps them."""
        breathe = Breather(self.context)
        for library in LibraryRepository(self.catalogue).libraries():
            if library.keep_missing_days is None:
                continue
            before, purged = now - int(library.keep_missing_days * DAY_US), self.missing_purged

            def between(done: int, purged: int = purged) -> None:
                self.missing_purged = purged + done
                breathe()

            shelves.forget_missing(self.context.transaction, library.id, before, between=between)

    def compact_changes(self, before: int) -> None:
        """Take steps out of the change feed that were replaced by later ones before a moment."""
        self.context.progress("compact", 0, None, unit="changes")
        self.changes_compacted = changes.compact(self.catalogue, before, between=Breather(self.context))

    def tidy(self) -> None:
        """Let both databases plan queries for what is in them now, and give back room."""
        for number, database in enumerate((self.catalogue, self.records)):
            self.context.raise_if_cancelled()
            self.context.progress("tidy", number, None, unit="databases")
            try:
                analyze(database)
            except StorageBusyError as error:  # somebody works on it; tomorrow will do
                log.info("statistics left as they were", error=error.message)
            fold_log(database)

    def check(self) -> None:
        """Look whether both databases are sound, and the counters of the catalogue right."""
        for number, database in enumerate((self.catalogue, self.records)):
            self.context.progress("check", number, 2, unit="databases")
            problem = problem_of(database, lambda: self.context.cancelled)
            self.context.raise_if_cancelled()
            if problem is not None:
                self._damaged(database, problem)
        if not self.problems and (wrong := miscounted(self.catalogue)):
            self.problems.append(
                f"The counter of videos is wrong in {len(wrong)} of the libraries, first in {wrong[0]}: the catalogue "
                "itself is whole, but this program has made a mistake. Please report it."
            )
        unread = any(database.is_postgres for database in (self.catalogue, self.records))
        self.integrity = " ".join(self.problems) or (NOT_CHECKED if unread else SOUND)

    def _damaged(self, database: Database, problem: str) -> None:
        self.problems.append(
            f"The database {database.name} is damaged: {problem}. Stop stoat, move the file (with its -wal and -shm) "
            "away or put a backup in its place, and scan again; then see to the disk."
        )
