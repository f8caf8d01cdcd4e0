"""Parts of a scan as jobs: how a scan puts them on the queue, and what a worker does with one."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

from stoat_ferret import paths
from stoat_ferret.api.services.requests import with_settings
from stoat_ferret.errors import JobNotFoundError, NotReachedError, StorageError
from stoat_ferret.jobs.context import NEARLY_DONE, JobContext, PartContext
from stoat_ferret.jobs.fence import Fence
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest, JobStatus, Progress
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.shelf import PoolShelf
from stoat_ferret.scan.job import FailedPart
from stoat_ferret.scan.parts import PART_FILES, run_part
from stoat_ferret.scan.pipeline import OpenDisk
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.volume import Volume, holds, identify
from stoat_ferret.settings import Settings

PART_JOB_TYPE = "probe"
MOST_WAITING = 64
"""Parts of one scan that wait or run at a time: enough for many workers, few enough to be listed and cancelled."""
LOOK_SECONDS = 0.25
PAGE = 200
SHUN_SECONDS = 60.0
"""How long a worker leaves the jobs of a place to others, after it found that the place does not lie here."""
MOST_REFUSALS = 5
"""So often workers that do not reach a part's files leave it to others; then it is done regardless, and says so."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class QueueDistributor:
    """A scan's way to the queue; called from the scan's own thread."""

    def __init__(
        self,
        queue: AsyncJobQueue,
        loop: asyncio.AbstractEventLoop,
        job: Job,
        context: JobContext,
        settings: Settings,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._loop = loop
        self._job = job
        self._context = context
        self._number = 0
        self._counts = (0, 0)
        self._counted_at = 0.0

    def submit(self, payload: dict[str, Any]) -> None:
        """Put a part on the queue; waits while very many wait already."""
        self._await_room()
        self._number += 1
        root = paths.decode_base64(self._job.payload["path_bytes"])
        request = JobRequest(
            type=PART_JOB_TYPE,
            payload={
                "scan": self._job.id,
                "attempt": self._job.attempt,
                "root": paths.encode_base64(root),
                "volume": identify(root).to_json(),
                **payload,
            },
            key=f"{self._job.id}:{self._job.attempt}:{self._number}",
            place=self._job.place,
            parent_id=self._job.id,
        )
        self._wait_for(self._queue.submit(with_settings(request, self._settings, priority=self._job.priority)))
        self._counted_at = 0.0

    def counts(self) -> tuple[int, int]:
        """Give how many parts have ended, and how many there are; asked again only now and then."""
        if self._number and time.monotonic() - self._counted_at >= LOOK_SECONDS:
            self._counts = self._wait_for(self._queue.count_parts(self._job.id))
            self._counted_at = time.monotonic()
        return self._counts

    def failed(self) -> list[FailedPart]:
        """Give the parts that failed or were cancelled."""
        return [
            FailedPart(
                part.payload,
                part.error_code or "CANCELLED",
                part.error or "The part of the scan that was to examine this file was cancelled.",
            )
            for part in self._parts()
            if part.status not in (JobStatus.COMPLETE, JobStatus.PENDING, JobStatus.RUNNING)
            and part.payload["attempt"] == self._job.attempt
        ]

    def _parts(self) -> Iterator[Job]:
        cursor = None
        while True:
            page = self._wait_for(self._queue.list(parent_id=self._job.id, cursor=cursor, limit=PAGE))
            yield from page.jobs
            cursor = page.next_cursor
            if cursor is None:
                return

    def _await_room(self) -> None:
        while True:
            ended, parts = self.counts()
            if parts - ended < MOST_WAITING:
                return
            self._context.raise_if_cancelled()
            time.sleep(LOOK_SECONDS)

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()


class Shunned:
    """Places that were found not to lie here, for a while. Any thread may call."""

    def __init__(self, *, seconds: float = SHUN_SECONDS) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def add(self, place: str) -> None:
        """Leave the jobs of a place to others for a while."""
        self._until[place] = time.monotonic() + self._seconds

    def allows(self, place: str) -> bool:
        """Tell whether jobs of a place may be tried here."""
        return self._until.get(place, 0.0) <= time.monotonic()


def make_part_handler(
    queue: AsyncJobQueue,
    repository: LibraryRepository,
    settings: Settings,
    shelf: PoolShelf,
    shunned: Shunned,
    *,
    open_disk: OpenDisk,
    here: Callable[[bytes], bytes] = lambda path: path,
) -> JobHandler:
    """Give the handler that does parts of scans.

    Args:
        queue: where the scan's own job is.
        repository: the catalogue.
        settings: which files are videos.
        shelf: lends probe processes.
        shunned: told of places that do not lie here.
        open_disk: gives who looks at files.
        here: tells where a path of the catalogue lies on this machine.
    """
    rules = Rules(settings.video_extensions, here=here)

    def work(job: Job, context: JobContext) -> dict[str, Any]:
        payload = job.payload
        scan = Fence(payload["scan"], payload["attempt"], None)
        root = paths.decode_base64(payload["root"])
        with open_disk(context.raise_if_cancelled) as disk:
            listed_on = Volume(**payload["volume"])
            if job.attempt <= MOST_REFUSALS and not holds(payload["folders"], here, root, listed_on, disk):
                shunned.add(job.place or "")
                raise NotReachedError(paths.display(root))
            with shelf.lend() as pool:
                return dict(run_part(payload, scan.job_id, PartContext(context, scan), repository, rules, pool, disk))

    async def handle(job: Job, context: JobContext) -> dict[str, Any]:
        result = await asyncio.to_thread(work, job, context)
        await _tell_scan(queue, job)
        return result

    return handle


async def _tell_scan(queue: AsyncJobQueue, part: Job) -> None:
    """Move the scan's progress on, if it waits for its parts; while it still walks, it sees to that itself."""
    try:
        scan = await queue.get(part.payload["scan"])
        detail = scan.progress_detail
        if not detail or not detail["total"] or scan.started_at is None:
            return
        ended, parts = await queue.count_parts(scan.id)
        total = detail["total"]
        done = min(total, max(detail["done"], total - max(0, parts - ended - 1) * PART_FILES))
        rate = done / max(0.001, time.time() - scan.started_at / 1e6)
        eta = (total - done) / rate if rate else None
        progress = Progress(phase="probe", done=done, total=total, rate=rate, eta_seconds=eta)
        await queue.report_for(scan.id, part.payload["attempt"], min(done / total, NEARLY_DONE), progress)
    except (StorageError, JobNotFoundError) as error:  # the work is done; only its telling failed
        log.warning("cannot tell the scan of a part's end", error=error.message)
