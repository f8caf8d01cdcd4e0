"""The scan as a job: what may be asked, what is put on the queue, what a worker does with it."""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog
from anyio import fail_after, to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.parts import QueueDistributor
from stoat_ferret.api.services.requests import ASKED_FOR, ASKED_FOR_PART, BY_ITSELF, with_settings
from stoat_ferret.errors import (
    IncompleteFileError,
    InvalidPathError,
    NotMediaError,
    PathNotAllowedError,
    PathNotReadableError,
    PathTimeoutError,
    StoatError,
    StorageError,
)
from stoat_ferret.fork_server import ForkServer
from stoat_ferret.jobs.context import JobCancelled, JobContext, JobWaits
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library import ledger, upkeep
from stoat_ferret.library.models import Library, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.disk_limits import DiskLimits
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.media.tally import ProbeTally, TalliedPool
from stoat_ferret.places import place_of
from stoat_ferret.scan.examine import PAUSE_SECONDS, STILL_WRITTEN
from stoat_ferret.scan.job import Distributor
from stoat_ferret.scan.pipeline import OpenDisk, OpenPool, Waits, run_scan
from stoat_ferret.scan.report import read_report
from stoat_ferret.scan.rules import Rules, as_it_is
from stoat_ferret.scan.scope import ScanOptions, covering
from stoat_ferret.scan.walk import MOST_PATH_BYTES
from stoat_ferret.settings import Settings

SCAN_JOB_TYPE = "scan"
MOST_KEY_CHARACTERS = 600
"""Of four bytes at most, they fit what an index of Postgres takes (2,704)."""

log = structlog.get_logger(__name__)

CHANGED = (Outcome.NEW, Outcome.UPDATED, Outcome.MOVED, Outcome.RESTORED, Outcome.MISSING)
LOOKS = "looks"
"""In the payload: how many scans in a row have met files in this folder that were being written."""
MOST_LOOKED_AGAIN = 200
"""Files whose folders are scanned again by themselves."""
MOST_APART = 4
"""So many folders of a library are scanned one by one."""
FIRST_LOOK_SECONDS = 2.0
LAST_LOOK_SECONDS = 300.0
CUT_OFF = (IncompleteFileError.code, NotMediaError.code)

MUCH = 10_000
"""After so many changes the database looks at its tables anew."""

T = TypeVar("T")


async def validate_scan_path(path: bytes, settings: Settings, repository: LibraryRepository) -> bytes:
    """Check, without reading any folder, that a path may be scanned; gives it normalised.

    Raises:
        InvalidPathError: relative, with a NUL, a file, or missing outside every library.
        PathNotAllowedError: outside the media roots, symbolic links resolved.
        PathNotReadableError: a folder that this user may not read.
        PathTimeoutError: the disk did not answer in time.
    """
    return await in_time(path, settings, lambda: _check(path, settings, repository))


async def prepare_scan(options: ScanOptions, settings: Settings, repository: LibraryRepository) -> JobRequest:
    """Check the path as `validate_scan_path` does, and give the job to submit.

    Raises:
        PathError: as `validate_scan_path` says.
    """

    # One thread for both: someone waits for the answer, and every change of threads costs a millisecond under load.
    def prepare() -> JobRequest:
        checked = options.at(_check(options.path, settings, repository))
        covering = repository.covering_libraries(checked.path)
        is_part = bool(covering) and (checked.path != covering[0].path_bytes or not checked.recursive)
        priority = ASKED_FOR_PART if is_part else ASKED_FOR
        return with_settings(_scan_request(checked, covering), settings, priority=priority)

    return await in_time(options.path, settings, prepare)


async def prepare_file_scan(
    path: bytes, settings: Settings, repository: LibraryRepository, *, force: bool = False, dry_run: bool = False
) -> JobRequest:
    """Give the job that scans one file, without listing the rest of its folder; it may be gone.

    Raises:
        PathError: its folder may not be scanned, as `validate_scan_path` says.
    """
    folder, _, name = path.rpartition(b"/")
    options = ScanOptions(path=folder or b"/", recursive=False, only=name, force=force, dry_run=dry_run)
    return await prepare_scan(options, settings, repository)


async def in_time(path: bytes, settings: Settings, work: Callable[[], T]) -> T:
    """Do what touches a path, in a thread that is left behind where its disk does not answer.

    Raises:
        PathTimeoutError: it did not within the time of the settings.
    """
    # A disk that hangs keeps its thread for ever. anyio's threads can be left behind: they are daemons, and one that
    # was given up no longer counts. They also wait ready: to start one takes milliseconds while a scan runs.
    seconds = settings.path_timeout_seconds
    try:
        with fail_after(seconds):
            return await to_thread.run_sync(work, abandon_on_cancel=True)
    except TimeoutError as error:
        shown = paths.display(path)
        msg = f"The disk of {shown} did not answer within {seconds:g} s. Check that it is connected, then retry."
        raise PathTimeoutError(msg) from error


def _absolute(path: bytes) -> bytes:
    if b"\0" in path:
        raise InvalidPathError("The path holds a NUL character, which no file name can. Give an absolute path.")
    if not path.startswith(b"/"):
        shown = paths.display(path)
        raise InvalidPathError(f"The path {shown!r} is not absolute. Give it from the root, as in /home/me/Videos.")
    absolute = paths.absolute(path)
    if len(absolute) > MOST_PATH_BYTES:
        shown = paths.display(absolute[:80])
        raise InvalidPathError(f"The path {shown}… is longer than {MOST_PATH_BYTES} bytes. Shorten a name in it.")
    return absolute


def _check(path: bytes, settings: Settings, repository: LibraryRepository) -> bytes:
    path = _absolute(path)
    shown = paths.display(path)
    if settings.media_roots:
        real = os.path.realpath(path)
        if not any(paths.is_below(real, os.fsencode(root)) for root in settings.media_roots):
            msg = f"{shown} lies outside the allowed media roots. Add its folder to STOAT_MEDIA_ROOTS to allow it."
            raise PathNotAllowedError(msg)
    try:
        status = os.stat(path)  # noqa: PTH116  # the path is bytes, which pathlib does not take
    except (FileNotFoundError, NotADirectoryError) as error:
        if repository.covering_library(path) is not None:
            return path  # the scan itself will say whether the disk is away or only this folder is
        raise InvalidPathError(f"The folder {shown} does not exist. Check the spelling, or mount its disk.") from error
    except PermissionError as error:
        raise PathNotReadableError(_not_readable(shown)) from error
    except OSError as error:
        raise InvalidPathError(f"The path {shown[:200]} cannot be used: {error.strerror}.") from error
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidPathError(f"{shown} is not a folder. Give the folder that holds it.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise PathNotReadableError(_not_readable(shown))
    return path


def _not_readable(shown: str) -> str:
    return f"The folder {shown} cannot be read by the user that runs stoat. Grant read and search permission on it."


def exclusive_key(folder: bytes) -> str:
    """Give the key by which scans of a folder exclude those of folders in it, and of those it lies in."""
    # Indexes take no more; the key of a folder further up excludes more than need be, and never less.
    while len(place := place_of(folder)) > MOST_KEY_CHARACTERS:
        folder = folder.rpartition(b"/")[0]
    return f"scan:{place.rstrip('/')}/"


def scan_request(options: ScanOptions, repository: LibraryRepository) -> JobRequest:
    """Give the job that does a scan; equal scans have equal keys, scans of one library exclude each other."""
    return _scan_request(options, repository.covering_libraries(options.path))


def _scan_request(options: ScanOptions, covering: Sequence[Library]) -> JobRequest:
    # The outermost one: scans of a library and of another one inside it exclude each other too.
    [library, *_] = [*reversed(covering), None]
    return JobRequest(
        type=SCAN_JOB_TYPE,
        payload={
            "path": paths.display(options.path),
            "path_bytes": paths.encode_base64(options.path),
            "recursive": options.recursive,
            "force": options.force,
            "accept_loss": options.accept_loss,
            "dry_run": options.dry_run,
            **({} if options.only is None else {"only": paths.encode_base64(options.only)}),
        },
        exclusive_key=exclusive_key(library.path_bytes if library else options.path),
        place=place_of(options.path),
    )


def scan_options(payload: dict[str, Any]) -> ScanOptions:
    """Read back what `scan_request` put into a payload."""
    return ScanOptions(
        path=paths.decode_base64(payload["path_bytes"]),
        recursive=payload["recursive"],
        force=payload["force"],
        accept_loss=payload["accept_loss"],
        dry_run=payload["dry_run"],
        only=paths.decode_base64(payload["only"]) if "only" in payload else None,
    )


def scan_rules(settings: Settings, here: Callable[[bytes], bytes] = as_it_is) -> Rules:
    """Give which names scans look at, as the settings say; each library adds its own.

    Args:
        settings: which files are videos, and where symbolic links may lead.
        here: tells where a path of the catalogue lies on this machine.
    """
    return Rules(settings.video_extensions, here=here, media_roots=map(os.fsencode, settings.media_roots))


def disk_limits(settings: Settings) -> DiskLimits:
    """Give what all scans of a process may ask of disks together."""
    return DiskLimits(settings.scan_bytes_per_second, settings.device_concurrency)


def probe_pool(
    settings: Settings,
    tally: ProbeTally | None = None,
    limits: DiskLimits | None = None,
    forks: ForkServer | None = None,
) -> ProbePool:
    """Open probe processes as the settings say; the tally is told how long each file took.

    The limits are those of all pools that have them together.
    """
    return TalliedPool(
        tally or ProbeTally(),
        limits or disk_limits(settings),
        workers=settings.probe_workers,
        deadline_seconds=settings.probe_timeout_seconds,
        memory_limit_bytes=settings.probe_memory_mib << 20,
        forks=forks,
    )


def _look_anew(repository: LibraryRepository) -> None:
    try:
        upkeep.analyze(repository.database)
    except StorageError as error:  # the scan is done; queries are slower until the next maintenance
        log.warning("cannot let the database look at its tables anew", error=error.message)


async def look_again(job: Job, queue: AsyncJobQueue, repository: LibraryRepository, settings: Settings) -> None:
    """Submit scans, for a little later, of the folders in which a scan has met files that were being written.

    So may be what is cut off or no video and was written to a short while ago: a copy that pauses. The wait doubles
    each time, so that a download of hours does not fill the list of jobs.
    """

    def find() -> list[bytes]:
        since_ns = time.time_ns() - PAUSE_SECONDS * 1_000_000_000
        written = ledger.folders_with(repository.database, job.id, STILL_WRITTEN, MOST_LOOKED_AGAIN)
        paused = ledger.folders_with_young(repository.database, job.id, CUT_OFF, since_ns, MOST_LOOKED_AGAIN)
        return sorted({*written, *paused})

    targets = _together(await asyncio.to_thread(find), await asyncio.to_thread(repository.libraries))
    looks = int(job.payload.get(LOOKS, 0))
    seconds = min(max(settings.settle_seconds, FIRST_LOOK_SECONDS) * 2**looks, LAST_LOOK_SECONDS)
    for options in targets:
        request = scan_request(options, repository)
        due = time.time_ns() // 1_000 + int(seconds * 1_000_000)
        request = replace(request, payload={**request.payload, LOOKS: looks + 1}, run_after=due)
        try:
            await queue.submit(with_settings(request, settings, priority=BY_ITSELF))
        except StorageError as error:  # the scan is done; the next one finds them
            log.warning("cannot have a folder scanned again by itself", error=error.message)


def _together(folders: Sequence[bytes], libraries: Sequence[Library]) -> list[ScanOptions]:
    """Give a scan for each folder; of a library with many of them, one of all that lies below what they lie in.

    That costs no more than a look at each folder there, and a job for each of dozens would bury all others.
    """
    of_library: dict[bytes, list[bytes]] = {}
    for folder in folders:
        library = covering(folder, libraries)
        of_library.setdefault(folder if library is None else library.path_bytes, []).append(folder)
    scans: list[ScanOptions] = []
    for some in of_library.values():
        if len(some) > MOST_APART:
            scans.append(ScanOptions(path=os.path.commonpath(some)))
        else:
            scans += [ScanOptions(path=folder, recursive=False) for folder in some]
    return scans


def _say_what_was_done(context: JobContext, repository: LibraryRepository, *, shared: bool) -> None:
    try:
        if shared:
            context.shut()  # parts may still be at work; what they store from here on would be in no report
        context.partial_result = read_report(repository.database, context.job_id).to_json()
    except StorageError as error:  # how the scan ended is worth more than its figures
        log.warning("cannot say what the scan had done", error=error.message)


def make_scan_handler(
    repository: LibraryRepository,
    settings: Settings,
    *,
    open_disk: OpenDisk,
    open_pool: OpenPool | None = None,
    queue: AsyncJobQueue | None = None,
    share_out: bool = False,
    here: Callable[[bytes], bytes] = as_it_is,
) -> JobHandler:
    """Give the handler that does scans.

    Args:
        repository: the catalogue that is written.
        settings: which files are examined, and with what limits.
        open_disk: opens what folders are looked at with.
        open_pool: opens the probe processes; by default as the settings say.
        queue: where scans are submitted of what could not be looked at yet; without, it waits for the next scan.
        share_out: let other workers take part in a scan, through the queue.
        here: tells where a path of the catalogue lies on this machine.
    """
    rules = scan_rules(settings, here)

    def scan(job: Job, context: JobContext, distributor: Distributor | None) -> dict[str, Any]:
        report = run_scan(
            scan_options(job.payload),
            context,
            repository,
            rules,
            max_loss_fraction=settings.max_loss_fraction,
            settle_seconds=settings.settle_seconds,
            open_disk=open_disk,
            open_pool=open_pool or partial(probe_pool, settings),
            distributor=distributor,
            checkpoint=context.checkpoint,
        )
        if isinstance(report, Waits):
            raise JobWaits(report.to_json())
        if sum(report.counts[outcome] for outcome in CHANGED) >= MUCH:
            _look_anew(repository)
        return report.to_json()

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        context.may_give_way = not job.payload["dry_run"]  # which leaves nothing behind to go on from
        distributor = None
        if share_out and queue is not None and not job.payload["dry_run"]:
            distributor = QueueDistributor(queue, asyncio.get_running_loop(), job, context, settings)
        try:
            result = await asyncio.to_thread(scan, job, context, distributor)
            if queue is not None and not job.payload["dry_run"]:
                await look_again(job, queue, repository, settings)
            return result
        except (JobCancelled, StoatError, OSError):
            await asyncio.to_thread(_say_what_was_done, context, repository, shared=distributor is not None)
            raise

    return handle
