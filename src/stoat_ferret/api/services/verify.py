"""The verification as a job: what may be asked, what a worker does with it."""

import asyncio
from collections.abc import Callable
from typing import Any

from anyio import to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.requests import ASKED_FOR, BY_ITSELF, with_settings
from stoat_ferret.errors import InvalidPathError, StoatError
from stoat_ferret.jobs.context import JobCancelled, JobContext
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest
from stoat_ferret.library import ledger
from stoat_ferret.library.models import Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.places import place_of
from stoat_ferret.scan.pipeline import OpenDisk
from stoat_ferret.scan.report import ERRORS_SHOWN
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.verify import DAMAGED, VerifyOptions, run_verify
from stoat_ferret.settings import Settings

VERIFY_JOB_TYPE = "verify"
DAY_SECONDS = 86_400


def verify_request(options: VerifyOptions, settings: Settings, *, priority: int = ASKED_FOR) -> JobRequest:
    """Give the job that verifies; one at a time reads, since a disk is read fastest by one."""
    place = options.place
    request = JobRequest(
        type=VERIFY_JOB_TYPE,
        payload={
            "path": None if place is None else paths.display(place),
            "path_bytes": None if place is None else paths.encode_base64(place),
            "video_id": options.video_id,
            "mode": options.mode,
            "older_than_seconds": options.older_than_seconds,
            "bytes_per_second": options.bytes_per_second,
            "max_bytes": options.max_bytes,
        },
        exclusive_key=VERIFY_JOB_TYPE,
        place=None if place is None else place_of(place),
    )
    return with_settings(request, settings, priority=priority)


def scheduled_verify_request(settings: Settings) -> JobRequest:
    """Give the verification that comes by itself: of all that was not read for long, the oldest first."""
    options = VerifyOptions(
        mode="check",
        older_than_seconds=settings.verify_interval_days * DAY_SECONDS,
        bytes_per_second=settings.verify_bytes_per_second,
        max_bytes=settings.verify_max_bytes or None,
    )
    return verify_request(options, settings, priority=BY_ITSELF)


async def prepare_verify(options: VerifyOptions, settings: Settings, repository: LibraryRepository) -> JobRequest:
    """Check what is asked for, and give the job.

    Raises:
        InvalidPathError: the path lies in no library.
        VideoNotFoundError: there is no such video.
    """
    if options.video_id is not None:
        await to_thread.run_sync(repository.video, options.video_id)
    if options.place is not None:
        library = await to_thread.run_sync(repository.covering_library, options.place)
        if library is None:
            msg = f"{paths.display(options.place)} lies in no library. Scan it first, then verify it."
            raise InvalidPathError(msg)
    return verify_request(options, settings)


def read_options(payload: dict[str, Any]) -> VerifyOptions:
    """Read back what `verify_request` put into a payload."""
    place = payload["path_bytes"]
    return VerifyOptions(
        place=None if place is None else paths.decode_base64(place),
        video_id=payload["video_id"],
        mode=payload["mode"],
        older_than_seconds=payload["older_than_seconds"],
        bytes_per_second=payload["bytes_per_second"],
        max_bytes=payload["max_bytes"],
    )


def make_verify_handler(
    repository: LibraryRepository, *, open_disk: OpenDisk, here: Callable[[bytes], bytes]
) -> JobHandler:
    """Give the handler that verifies.

    Args:
        repository: the catalogue.
        open_disk: gives who reads the files.
        here: tells where a path of the catalogue lies on this machine.
    """

    def work(job: Job, context: JobContext) -> dict[str, Any]:
        sight = Sight(here, repository.libraries())
        with open_disk(context.raise_if_cancelled) as disk:
            left = run_verify(read_options(job.payload), context, repository, sight, disk, asked_at=job.created_at)
        return report(repository, job.id) | left

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        context.may_give_way = False  # a file of hours would be read from its start each time
        try:
            return await asyncio.to_thread(work, job, context)
        except (JobCancelled, StoatError, OSError):
            context.partial_result = await asyncio.to_thread(report, repository, job.id)
            raise

    return handle


def report(repository: LibraryRepository, job_id: str) -> dict[str, Any]:
    """Give what a verification has found so far, as its ledger says."""
    database = repository.database
    totals = ledger.totals(database, job_id)
    damaged = ledger.count_with(database, job_id, DAMAGED)
    bytes_read, seconds = ledger.costs(database, job_id)
    return {
        "verified": totals[Outcome.UNCHANGED],
        "hashed": totals[Outcome.NEW],
        "recovered": totals[Outcome.RESTORED],
        "damaged": damaged,
        "failed": totals[Outcome.FAILED] - damaged,
        "skipped": totals[Outcome.SKIPPED],
        "errors": [
            {"path": paths.display(row.path_bytes), "error": row.reason or row.code or "unknown"}
            for row in ledger.first_with(database, job_id, Outcome.FAILED, ERRORS_SHOWN)
        ],
        "bytes_read": bytes_read,
        "duration_seconds": round(seconds, 3),
    }
