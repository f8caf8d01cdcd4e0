"""Libraries made, forgotten, and rid of what is long missing: the last as a job."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from anyio import to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.requests import ASKED_FOR, with_settings
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE, validate_scan_path
from stoat_ferret.errors import InvalidPathError, LibraryBusyError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest, JobStatus
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library import shelves
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.settings import Settings

PURGE_JOB_TYPE = "purge"
DAY_US = 86_400 * 1_000_000
JOBS_A_PAGE = 200


async def make(
    path: bytes, given: dict[str, Any], settings: Settings, queue: AsyncJobQueue, repository: LibraryRepository
) -> Library:
    """Make a library of a folder that is there.

    Raises:
        PathError: as `validate_scan_path` says, or the folder is not there.
        LibraryExistsError: it is one already.
        LibraryBusyError: a scan is under way in the folder, which would store under the library that it knows.
    """
    path = await validate_scan_path(path, settings, repository)
    if (job := await _scan_of(path, queue, [JobStatus.RUNNING])) is not None:
        msg = f"The job {job.id} scans {paths.display(path)}. Wait for its end, or cancel it, and try again."
        raise LibraryBusyError(msg)

    def work() -> Library:
        if not paths.is_folder(path):
            msg = f"The folder {paths.display(path)} does not exist. Check the spelling, or mount its disk."
            raise InvalidPathError(msg)
        made = shelves.make_library(
            repository, path, max_loss_fraction=settings.max_loss_fraction, settle_seconds=settings.settle_seconds
        )
        return repository.update_library(made.id, **given)

    return await to_thread.run_sync(work)


async def remove(library_id: str, queue: AsyncJobQueue, repository: LibraryRepository) -> None:
    """Forget a library and its entries; no file is touched.

    Raises:
        LibraryNotFoundError: there is none with this id.
        LibraryBusyError: a scan of it waits or runs.
    """
    library = await to_thread.run_sync(repository.library, library_id)
    job = await _scan_of(library.path_bytes, queue, [JobStatus.RUNNING, JobStatus.PENDING])
    if job is not None:
        msg = f"The job {job.id} scans the library {library.name}. Wait for its end, or cancel it, and try again."
        raise LibraryBusyError(msg)
    await to_thread.run_sync(shelves.forget_library, repository.database, library_id)


async def _scan_of(folder: bytes, queue: AsyncJobQueue, statuses: Sequence[JobStatus]) -> Job | None:
    """Give a scan that concerns a folder: of it, of one in it, or of one that it lies in."""
    for status in statuses:
        cursor = None
        while True:
            page = await queue.list(status=status, job_type=SCAN_JOB_TYPE, cursor=cursor, limit=JOBS_A_PAGE)
            for job in page.jobs:
                path = paths.decode_base64(job.payload["path_bytes"])
                if paths.is_below(path, folder) or paths.is_below(folder, path):
                    return job
            cursor = page.next_cursor
            if cursor is None:
                break
    return None


def purge_request(library: Library, older_than_days: float, settings: Settings) -> JobRequest:
    """Give the job that forgets what is missing in a library for longer than so many days."""
    request = JobRequest(
        type=PURGE_JOB_TYPE,
        payload={
            "library_id": library.id,
            "path": paths.display(library.path_bytes),
            "older_than_days": older_than_days,
        },
        exclusive_key=f"{PURGE_JOB_TYPE}:{library.id}",
    )
    return with_settings(request, settings, priority=ASKED_FOR)


def make_purge_handler(repository: LibraryRepository) -> JobHandler:
    """Give the handler of those jobs."""

    def work(job: Job, context: JobContext) -> dict[str, Any]:
        library_id = job.payload["library_id"]
        before = time.time_ns() // 1_000 - int(job.payload["older_than_days"] * DAY_US)
        total = shelves.count_missing(repository.database, library_id, before)

        def between(done: int) -> None:
            context.progress("purge", done, max(done, total), unit="entries")
            context.raise_if_cancelled()

        began = time.monotonic()
        purged = shelves.forget_missing(context.transaction, library_id, before, between=between)
        return {"purged": purged, "duration_seconds": round(time.monotonic() - began, 3)}

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        return await asyncio.to_thread(work, job, context)

    return handle
