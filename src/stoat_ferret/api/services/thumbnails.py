"""Pictures made ahead, as a job: what may be asked, what a worker does, and when it follows a scan by itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from anyio import to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.requests import AFTERWARDS, ENRICHING, with_settings
from stoat_ferret.api.services.scan import exclusive_key
from stoat_ferret.errors import InvalidPathError, StoatError, StorageError
from stoat_ferret.jobs.context import JobCancelled, JobContext
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.models import Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.cache import PictureCache
from stoat_ferret.media.shelf import PoolShelf
from stoat_ferret.places import place_of
from stoat_ferret.scan.pipeline import OpenDisk
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.thumbnails import ThumbnailOptions, ThumbnailRun
from stoat_ferret.settings import Settings

THUMBNAILS_JOB_TYPE = "thumbnails"
DEPICTABLE = (Outcome.NEW, Outcome.UPDATED, Outcome.RESTORED)
"""Outcomes of a scan after which there may be a picture to make. One that was moved keeps its own."""

log = structlog.get_logger(__name__)


def thumbnails_request(
    options: ThumbnailOptions, settings: Settings, repository: LibraryRepository, *, priority: int = ENRICHING
) -> JobRequest:
    """Give the job that makes pictures. It and scans of the same library exclude each other; the scan goes first."""
    place = options.place
    around = b"/"
    if place is not None:
        # Of the outermost library, as scans have it: pictures are made of what a scan has stored.
        around = next(reversed([library.path_bytes for library in repository.covering_libraries(place)]), place)
    request = JobRequest(
        type=THUMBNAILS_JOB_TYPE,
        payload={
            "path": None if place is None else paths.display(place),
            "path_bytes": None if place is None else paths.encode_base64(place),
            "retry": options.retry,
        },
        exclusive_key=exclusive_key(around),
        place=None if place is None else place_of(place),
    )
    return with_settings(request, settings, priority=priority)


async def prepare_thumbnails(
    options: ThumbnailOptions, settings: Settings, repository: LibraryRepository
) -> JobRequest:
    """Check what is asked for, and give the job.

    Raises:
        InvalidPathError: the path lies in no library.
    """

    def prepare() -> JobRequest:
        if options.place is not None and repository.covering_library(options.place) is None:
            msg = f"{paths.display(options.place)} lies in no library. Scan it first, then make its pictures."
            raise InvalidPathError(msg)
        return thumbnails_request(options, settings, repository)

    return await to_thread.run_sync(prepare)


def read_options(payload: dict[str, Any]) -> ThumbnailOptions:
    """Read back what `thumbnails_request` put into a payload."""
    place = payload["path_bytes"]
    return ThumbnailOptions(place=None if place is None else paths.decode_base64(place), retry=payload["retry"])


def make_thumbnails_handler(
    repository: LibraryRepository,
    cache: PictureCache,
    shelf: PoolShelf,
    *,
    open_disk: OpenDisk,
    here: Callable[[bytes], bytes],
) -> JobHandler:
    """Give the handler that makes pictures.

    Args:
        repository: the catalogue.
        cache: where pictures are kept.
        shelf: lends probe processes.
        open_disk: gives who looks at files.
        here: tells where a path of the catalogue lies on this machine.
    """

    def work(job: Job, context: JobContext) -> dict[str, Any]:
        with open_disk(context.raise_if_cancelled) as disk, shelf.lend() as pool:
            sight = Sight(here, repository.libraries(), disk)
            run = ThumbnailRun(read_options(job.payload), context, repository, sight, cache, pool)
            try:
                run.work()
            except (JobCancelled, StoatError, OSError):
                _say_what_was_done(context, run)
                raise
            return run.report()

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        context.loses_nothing = True
        return await asyncio.to_thread(work, job, context)

    return handle


def _say_what_was_done(context: JobContext, run: ThumbnailRun) -> None:
    try:
        context.partial_result = run.report()
    except StorageError as error:  # how it ended is worth more than its figures
        log.warning("cannot say what pictures were made", error=error.message)


def followed_by_thumbnails(
    scan: JobHandler, queue: AsyncJobQueue, repository: LibraryRepository, settings: Settings
) -> JobHandler:
    """Give a scan's handler after which the pictures are made of what it found, where the settings say so."""
    if settings.thumbnails != "after_scan":
        return scan

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        result = await scan(job, context)
        if not job.payload["dry_run"] and any(result[outcome.value] for outcome in DEPICTABLE):
            await _follow(job)
        return result

    async def _follow(job: Job) -> None:
        place = paths.decode_base64(job.payload["path_bytes"])
        if "only" in job.payload:
            place = place.rstrip(b"/") + b"/" + paths.decode_base64(job.payload["only"])
        options = ThumbnailOptions(place=place)
        try:
            request = await asyncio.to_thread(thumbnails_request, options, settings, repository, priority=AFTERWARDS)
            await queue.submit(request)
        except StorageError as error:  # the scan is done; the next one, or whoever looks, has the pictures made
            log.warning("cannot have pictures made by themselves", error=error.message)

    return handle
