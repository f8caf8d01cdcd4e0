"""Jobs as a stream of events (`text/event-stream`), as the HTML standard defines it: server-sent events.

A stream begins with the present state and goes on with every change. Each event's id is the revision of the job's
record, and ids only grow within a stream: a client that comes back with the last one misses nothing.

FastAPI's own way of sending events takes four tasks and two queues a stream, starts the answer before it is known
whether there is such a job, and cannot let a client go that stays connected and does not read. Here a stream is the
request's own task, and one more that notices when the client has gone.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stoat_ferret.api.schemas.job import JobStatusResponse
from stoat_ferret.errors import TooManyStreamsError
from stoat_ferret.jobs.feed import JobFeed, Subscription
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.jobs.queue import AsyncJobQueue

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
"""Something is sent at least so often, so that nobody in between takes the connection for dead."""
STALLED_SECONDS = 30.0
"""A client that has taken nothing for so long, though there was something, is let go."""
NEWEST_SHOWN = 50
JOBS_A_PAGE = 200
KEPT_EVENTS = 256
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
GREETING = b"retry: 1000\n\n"
"""Milliseconds after which a browser whose stream has ended comes back."""
HEARTBEAT = b": still here\n\n"

log = structlog.get_logger(__name__)


class EventStreams:
    """The streams that are open, and what they share.

    Args:
        queue: the jobs.
        feed: tells what changes.
        most: streams that may be open at once.
        heartbeat_seconds: how often something is sent at least.
        stalled_seconds: how long a client may take nothing.
    """

    def __init__(
        self,
        queue: AsyncJobQueue,
        feed: JobFeed,
        *,
        most: int,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        self.queue = queue
        self.feed = feed
        self.heartbeat_seconds = heartbeat_seconds
        self.stalled_seconds = stalled_seconds
        self.open = 0
        """How many there are now."""
        self._most = most
        self._events: dict[int, bytes] = {}

    def of_job(self, job_id: str, after: int | None) -> "EventStream":
        """Stream one job until it ends; `after` is the last revision that the client has seen."""
        return EventStream(self, job_id=job_id, after=after)

    def of_all(self, after: int | None, *, parts: bool) -> "EventStream":
        """Stream all jobs, with or without those that are parts of others."""
        return EventStream(self, after=after, parts=parts)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take a place among the streams.

        Raises:
            TooManyStreamsError: there is none.
        """
        if self.open >= self._most:
            msg = (
                f"{self.open} event streams are open, as many as STOAT_MAX_EVENT_STREAMS allows. "
                "Close one, wait for one to end, or ask for the jobs now and then instead."
            )
            raise TooManyStreamsError(msg)
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def events(self, jobs: Sequence[Job]) -> bytes:
        """Write jobs as events; each state is written once, however many streams send it."""
        if len(self._events) > KEPT_EVENTS:
            self._events.clear()
        written = []
        for job in jobs:
            event = self._events.get(job.revision)
            if event is None:
                event = self._events[job.revision] = _event(job)
            written.append(event)
        return b"".join(written)


def _event(job: Job) -> bytes:
    data = JobStatusResponse.of(job).model_dump_json()  # which holds no line break
    return f"event: job\nid: {job.revision}\ndata: {data}\n\n".encode()


class EventStream(Response):
    """One stream, as an answer.

    What can be refused is refused before the answer has started: it is then the problem that it would be elsewhere.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, streams: EventStreams, *, job_id: str | None = None, after: int | None = None, parts: bool = False
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)  # and no body: how long it is, is not known
        self._streams = streams
        self._job_id = job_id
        self._after = after
        self._parts = parts
        self._seen = 0
        """The revision up to which the client has been told of all changes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer.

        Raises:
            TooManyStreamsError: there are as many as there may be.
            JobNotFoundError: there is no such job.
            StorageError: the database could not be used.
        """
        with self._streams.slot():
            async with (
                self._streams.feed.subscribe(self._job_id, parts=self._parts) as changes,
                aclosing(self._present(changes)) as present,
            ):
                first = await anext(present)
                if self._nothing_left(first):
                    # A browser comes back to a stream that has ended, unless it is told so.
                    await Response(status_code=204)(scope, receive, send)
                    return
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                watch = asyncio.create_task(_end_when_gone(receive, changes))
                try:
                    await self._send_all(send, first, present, changes)
                except TimeoutError:
                    log.info("a client does not read its event stream and is let go")
                finally:
                    watch.cancel()

    def _nothing_left(self, first: Sequence[Job]) -> bool:
        if self._job_id is None or self._after is None:
            return False
        [job] = first
        return job.status.terminal and job.revision <= self._after

    async def _send_all(
        self, send: Send, first: Sequence[Job], present: AsyncIterator[Sequence[Job]], changes: Subscription
    ) -> None:
        await self._push(send, GREETING)
        over = await self._tell(send, [job for job in first if job.revision > (self._after or 0)])
        async for jobs in present:
            if changes.over:
                break
            await self._tell(send, jobs)
        while not (over or changes.over):
            jobs = await changes.take(self._streams.heartbeat_seconds)
            fresh = [job for job in jobs if job.revision > self._seen]
            over = await self._tell(send, fresh)
            if not fresh and not changes.over:
                await self._push(send, HEARTBEAT)
        await self._push(send, b"", more=False)

    async def _tell(self, send: Send, jobs: Sequence[Job]) -> bool:
        """Send jobs; True where the stream has said what it is there to say."""
        if jobs:
            await self._push(send, self._streams.events(jobs))
        return self._job_id is not None and any(job.status.terminal for job in jobs)

    async def _push(self, send: Send, data: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._streams.stalled_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": more})

    async def _present(self, changes: Subscription) -> AsyncGenerator[Sequence[Job], None]:
        """Give the jobs as they stand, by revision, a page at a time; sets what has been seen.

        Each was read after the subscription began. What has changed since `_seen` was read is left out: it comes as a
        change, in its place.
        """
        queue = self._streams.queue
        if self._job_id is not None:
            job = await queue.get(self._job_id)
            self._seen = job.revision
            yield [job]
            return
        self._seen = await queue.last_revision()
        # A client may have seen a revision that there is none of, if a backup was put in place of the database.
        if self._after is None or self._after > self._seen:
            self._after = None
            yield await self._current(changes)
            return
        after = self._after
        while True:
            jobs = await queue.changed_since(after, limit=JOBS_A_PAGE)
            yield [job for job in jobs if changes.wants(job) and job.revision <= self._seen]
            if len(jobs) < JOBS_A_PAGE or jobs[-1].revision >= self._seen:
                return
            after = jobs[-1].revision

    async def _current(self, changes: Subscription) -> list[Job]:
        """Give all jobs that have not ended, and the newest."""
        queue = self._streams.queue
        found = {job.id: job for job in (await queue.list(limit=NEWEST_SHOWN)).jobs}
        for status in (JobStatus.RUNNING, JobStatus.PENDING):
            async for job in _every(queue, status=status):
                found[job.id] = job
                if self._parts and status is JobStatus.RUNNING:
                    found |= {part.id: part async for part in _unfinished_parts(queue, job.id)}
        wanted = [job for job in found.values() if changes.wants(job) and job.revision <= self._seen]
        return sorted(wanted, key=lambda job: job.revision)


async def _every(queue: AsyncJobQueue, **wanted: Any) -> AsyncIterator[Job]:
    cursor: str | None = None
    while True:
        page = await queue.list(**wanted, cursor=cursor, limit=JOBS_A_PAGE)
        for job in page.jobs:
            yield job
        cursor = page.next_cursor
        if cursor is None:
            return


async def _unfinished_parts(queue: AsyncJobQueue, parent_id: str) -> AsyncIterator[Job]:
    for status in (JobStatus.RUNNING, JobStatus.PENDING):
        async for part in _every(queue, status=status, parent_id=parent_id):
            yield part


async def _end_when_gone(receive: Receive, changes: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    changes.end()
