"""The feed: every change reaches every reader, by one query, and nobody is waited for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from stoat_ferret.errors import JobNotFoundError, StorageBusyError
from stoat_ferret.jobs import feed as feed_module
from stoat_ferret.jobs.feed import JobFeed
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus, Progress
from stoat_ferret.jobs.queue import InMemoryJobQueue

pytestmark = pytest.mark.anyio

LONG = 30.0
"""Seconds that only something that hangs would take."""


class CountingQueue(InMemoryJobQueue):
    """Counts what the feed asks, and fails as often as it is told to."""

    asked = 0
    failures = 0
    error: Exception = StorageBusyError()

    async def changed_since(self, revision: int, **options: Any) -> tuple[Job, ...]:
        if self.failures:
            self.failures -= 1
            raise self.error
        jobs = await super().changed_since(revision, **options)
        self.asked += 1
        return jobs


@pytest.fixture
async def queue() -> AsyncIterator[CountingQueue]:
    """A queue whose jobs nobody runs."""
    queue = CountingQueue(run_on_submit=False)
    yield queue
    queue.close()


@pytest.fixture
async def feed(queue: CountingQueue) -> AsyncIterator[JobFeed]:
    """A feed of it."""
    feed = JobFeed(queue)
    yield feed
    await feed.close()


async def add(queue: InMemoryJobQueue, name: str, **more: Any) -> Job:
    return (await queue.submit(JobRequest(type="scan", payload={"name": name}, **more))).job


async def have_come(feed: JobFeed, count: int) -> None:
    """Let tasks run until there are so many readers."""
    for _ in range(1000):
        await asyncio.sleep(0)
    assert len(feed._readers) == count


async def test_a_reader_is_told_of_every_change_from_then_on(queue: CountingQueue, feed: JobFeed) -> None:
    """In order, each job as it stands; of what was before it hears nothing."""
    await add(queue, "before")
    async with feed.subscribe() as reader:
        first = await add(queue, "first")
        assert [job.id for job in await reader.take(LONG)] == [first.id]
        second = await add(queue, "second")
        await queue.cancel(first.id)
        seen: list[Job] = []
        while len(seen) < 2:
            seen += await reader.take(LONG)
        assert [(job.id, job.status.value) for job in seen] == [(second.id, "pending"), (first.id, "cancelled")]
        assert await reader.take(0.01) == ()


async def test_a_slow_reader_gets_the_last_state_only(queue: CountingQueue, feed: JobFeed) -> None:
    """Jobs come in the order of their last changes."""
    async with feed.subscribe() as slow, feed.subscribe() as quick:
        first, second = await add(queue, "first"), await add(queue, "second")
        await queue.cancel(first.id)
        revision = 0
        while revision < (await queue.last_revision()):
            revision = max(job.revision for job in await quick.take(LONG))
        assert [(job.id, job.status.value) for job in await slow.take(LONG)] == [
            (second.id, "pending"),
            (first.id, "cancelled"),
        ]


async def test_one_job_can_be_followed_or_those_that_are_no_parts(queue: CountingQueue, feed: JobFeed) -> None:
    """Parts come only to who asks for them."""
    parent = await add(queue, "parent")
    async with (
        feed.subscribe(parent.id) as one,
        feed.subscribe() as tops,
        feed.subscribe(parts=True) as everything,
    ):
        part = await add(queue, "part", parent_id=parent.id)
        other = await add(queue, "other")
        seen: list[Job] = []
        while len(seen) < 2:
            seen += await everything.take(LONG)
        assert [job.id for job in seen] == [part.id, other.id]
        assert [job.id for job in await tops.take(LONG)] == [other.id]
        assert await one.take(0) == ()
        await queue.cancel(parent.id)
        assert [job.status for job in await one.take(LONG)] == [JobStatus.CANCELLED]


async def test_a_hundred_readers_cost_one_query_a_change(queue: CountingQueue, feed: JobFeed) -> None:
    """Waiters are readers too."""
    job = await add(queue, "job")
    waiting = [asyncio.create_task(feed.wait(job.id, LONG)) for _ in range(100)]
    await have_come(feed, 100)
    assert queue.asked == 0
    await queue.cancel(job.id)
    ended = await asyncio.gather(*waiting)
    assert {job.status for job in ended} == {JobStatus.CANCELLED}
    assert queue.asked == 1


async def test_nothing_is_asked_while_nobody_reads(queue: CountingQueue, feed: JobFeed) -> None:
    """The queue is not followed before the first reader, nor after the last."""

    def follows() -> bool:
        return feed._follower is not None

    async with feed.subscribe():
        assert follows()
        async with feed.subscribe():
            pass
        assert follows()
    assert not follows()
    await add(queue, "unseen")
    await asyncio.sleep(0)
    assert queue.asked == 0
    async with feed.subscribe() as reader:
        job = await add(queue, "seen")
        assert [seen.id for seen in await reader.take(LONG)] == [job.id]


async def test_a_reader_that_is_far_too_slow_is_dropped(queue: CountingQueue) -> None:
    """It hears no more; the others do."""
    feed = JobFeed(queue, most_pending=3)
    async with feed.subscribe() as slow, feed.subscribe() as quick:
        for number in range(4):
            job = await add(queue, str(number))
            assert [seen.id for seen in await quick.take(LONG)] == [job.id]
        assert slow.over
        assert await slow.take(LONG) == ()
        assert not quick.over
    await feed.close()


async def test_the_feed_goes_on_when_the_database_is_back(
    queue: CountingQueue, feed: JobFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers stay, and miss nothing."""
    monkeypatch.setattr(feed_module, "RETRY_SECONDS", 0.001)
    queue.failures = 3
    with capture_logs() as logs:
        async with feed.subscribe() as reader:
            job = await add(queue, "job")
            assert [seen.id for seen in await reader.take(LONG)] == [job.id]
    assert [entry["log_level"] for entry in logs] == ["warning"] * 3


async def test_a_mistake_leaves_nobody_waiting(queue: CountingQueue, feed: JobFeed) -> None:
    """Readers are let go, the log says why, and who comes next is served again."""
    job = await add(queue, "job")
    queue.failures, queue.error = 1, ZeroDivisionError()
    with capture_logs() as logs:
        assert (await feed.wait(job.id, LONG)).status is JobStatus.PENDING
    assert [entry["log_level"] for entry in logs] == ["error"]
    async with feed.subscribe() as reader:
        await queue.cancel(job.id)
        assert len(await reader.take(LONG)) == 1


async def test_waiting_for_a_job(queue: CountingQueue, feed: JobFeed) -> None:
    """Until it ends, or the time is over: then as it stands by then."""
    with pytest.raises(JobNotFoundError):
        await feed.wait("nothing", LONG)
    job = await add(queue, "job")
    assert (await feed.wait(job.id, 0)).status is JobStatus.PENDING
    waiting = asyncio.create_task(feed.wait(job.id, LONG))
    await have_come(feed, 1)
    claim = await queue.claim("worker")
    assert claim is not None
    await queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={}))
    assert (await waiting).status is JobStatus.COMPLETE
    assert (await feed.wait(job.id, LONG)).status is JobStatus.COMPLETE


async def test_the_end_lets_everybody_go(queue: CountingQueue, feed: JobFeed) -> None:
    """Those who wait get the job as it stands; so does whoever comes afterwards."""
    job = await add(queue, "job")
    waiting = asyncio.create_task(feed.wait(job.id, LONG))
    async with feed.subscribe() as reader:
        await have_come(feed, 2)
        claim = await queue.claim("worker")
        assert claim is not None
        await queue.report(claim, 0.5, Progress(phase="probe", done=1))
        while (await reader.take(LONG))[-1].progress is None:
            pass
        feed.end()
        assert await reader.take(LONG) == ()
        assert reader.over
    for seen in (await waiting, await feed.wait(job.id, LONG)):
        assert (seen.status, seen.progress) == (JobStatus.RUNNING, 0.5)
    await feed.close()


async def test_the_end_may_come_while_a_reader_comes(queue: CountingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """No follower is left behind."""
    feed = JobFeed(queue)
    last_revision = queue.last_revision

    async def ending() -> int:
        feed.end()
        return await last_revision()

    monkeypatch.setattr(queue, "last_revision", ending)
    async with feed.subscribe() as reader:
        assert reader.over
    assert feed._follower is None
