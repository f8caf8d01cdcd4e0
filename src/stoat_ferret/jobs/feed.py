"""What changes among the jobs, told to all who look on: one query a change, however many they are.

The feed asks the queue only while somebody subscribes. Each reader has a mailbox with the newest state of every job
that has changed since it last looked, so that a reader who is a little slow misses states in between but never the
last one; one who is far too slow is dropped, and has to subscribe anew.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from stoat_ferret.errors import StorageError
from stoat_ferret.jobs.model import Job
from stoat_ferret.jobs.queue import AsyncJobQueue

MOST_PENDING = 1_000
"""Changed jobs that a reader may leave untaken."""
JOBS_A_LOOK = 200
LOOK_SECONDS = 30.0
"""The queue is asked so often even if it says nothing of a change."""
RETRY_SECONDS = 0.5
"""Pause before a database that could not be used is tried again."""

log = structlog.get_logger(__name__)


class Subscription:
    """One reader's mailbox: of every job that has changed, how it stands now."""

    def __init__(self, job_id: str | None, *, parts: bool, most_pending: int) -> None:
        self.over = False
        """True once nothing more will come: the feed has ended, or this reader was too slow or went away."""
        self._job_id = job_id
        self._parts = parts
        self._most_pending = most_pending
        self._pending: dict[str, Job] = {}
        self._arrived = asyncio.Event()

    def wants(self, job: Job) -> bool:
        """Tell whether a job is one of those subscribed to."""
        if self._job_id is not None:
            return job.id == self._job_id
        return self._parts or job.parent_id is None

    async def take(self, timeout_seconds: float) -> tuple[Job, ...]:
        """Give the jobs that have changed, in the order of their last changes, as soon as there is one.

        Nothing when the time is over, or when nothing more will come.
        """
        if not self._pending and not self.over:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._arrived.wait()
        self._arrived.clear()
        taken, self._pending = tuple(self._pending.values()), {}
        return taken

    def put(self, job: Job) -> None:
        """Tell the reader of a change."""
        if self.over or not self.wants(job):
            return
        self._pending.pop(job.id, None)  # so that it stands at the end, where its newest change belongs
        self._pending[job.id] = job
        self._arrived.set()
        if len(self._pending) > self._most_pending:
            log.info("a reader of changes was too slow and is dropped", pending=len(self._pending))
            self._pending.clear()
            self.end()

    def end(self) -> None:
        """Let the reader go: it still gets what it has not taken."""
        self.over = True
        self._arrived.set()


class JobFeed:
    """Follows a queue for any number of readers in one event loop."""

    def __init__(self, queue: AsyncJobQueue, *, most_pending: int = MOST_PENDING) -> None:
        self._queue = queue
        self._most_pending = most_pending
        self._readers: set[Subscription] = set()
        self._starting = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None
        self._ended = False

    @asynccontextmanager
    async def subscribe(self, job_id: str | None = None, *, parts: bool = False) -> AsyncIterator[Subscription]:
        """Tell of every change from here on: of one job, or of all, with or without those that are parts of others.

        What is read from the queue after this began, together with what comes here, leaves no change out.

        Raises:
            StorageError: the database could not be used.
        """
        reader = Subscription(job_id, parts=parts, most_pending=self._most_pending)
        await self._admit(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._rest()

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over or the feed ends.

        Raises:
            JobNotFoundError: there is none with this id.
            StorageError: the database could not be used.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        async with self.subscribe(job_id) as reader:
            job = await self._queue.get(job_id)
            while not (job.status.terminal or reader.over) and (remaining := deadline - loop.time()) > 0:
                job = max((job, *await reader.take(remaining)), key=lambda seen: seen.revision)
            return job

    def end(self) -> None:
        """Let all readers go, and whoever comes later at once: the server ends."""
        self._ended = True
        for reader in self._readers:
            reader.end()
        self._rest()

    async def close(self) -> None:
        """End, and wait until nothing asks the queue any more."""
        follower = self._follower
        self.end()
        if follower is not None:
            await asyncio.wait({follower})

    async def _admit(self, reader: Subscription) -> None:
        async with self._starting:
            if self._follower is None and not self._ended:
                position = await self._queue.last_revision()
                self._follower = asyncio.create_task(self._follow(position))
                self._follower.add_done_callback(self._look_after)
            if self._ended:  # perhaps meanwhile
                reader.end()
                self._rest()
            else:
                self._readers.add(reader)

    def _rest(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            self._follower = None

    async def _follow(self, position: int) -> None:
        while True:
            try:
                jobs = await self._queue.changed_since(position, limit=JOBS_A_LOOK, timeout_seconds=LOOK_SECONDS)
            except StorageError as error:
                log.warning("cannot follow the jobs; trying again", error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for job in jobs:
                position = job.revision
                for reader in tuple(self._readers):
                    reader.put(job)

    def _look_after(self, follower: "asyncio.Task[None]") -> None:
        """Leave nobody waiting for a follower that has ended by a mistake in this program."""
        if follower.cancelled() or (error := follower.exception()) is None:
            return
        log.error("the jobs are no longer followed", exc_info=error)
        if follower is self._follower:
            self._follower = None
        for reader in self._readers:
            reader.end()
