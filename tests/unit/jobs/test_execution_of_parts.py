"""How a job that has parts is run, and how a part of one is."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.tables import catalogue
from stoat_ferret.jobs.context import JobContext, JobWaits, PartContext
from stoat_ferret.jobs.execution import execute
from stoat_ferret.jobs.fence import Fence, raise_fence, shut_fence
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.jobs.queue import InMemoryJobQueue
from tests.contract.job_queues import Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        catalogue.create_all(database.engine)
        yield database


async def submit(queue: InMemoryJobQueue, **options: Any) -> Job:
    return (await queue.submit(JobRequest(**{"type": "scan", "payload": {}, **options}))).job


async def claim(queue: InMemoryJobQueue) -> Claim:
    found = await queue.claim("worker")
    assert found is not None
    return found


async def test_a_part_whose_whole_is_over_ends_cancelled(library: Database) -> None:
    """At its next write, which is refused; nobody took it over, so it is ended under its own claim."""
    queue = InMemoryJobQueue(run_on_submit=False)
    await submit(queue)
    whole = await claim(queue)
    await submit(queue, type="probe", parent_id=whole.job.id)
    part = await claim(queue)
    with library.write() as connection:
        raise_fence(connection, whole)

    async def handler(_job: Job, context: JobContext) -> dict[str, Any]:
        line = PartContext(context, Fence(whole.job.id, whole.job.attempt, None))
        with line.transaction():
            pass
        with library.write() as connection:
            shut_fence(connection, whole)
        with line.transaction():
            raise AssertionError("it was let in")

    async with asyncio.timeout(60):
        ended = await execute(queue, part, handler, catalogue=library, renew_seconds=60)
    assert ended is not None
    assert ended.status is JobStatus.CANCELLED


async def test_the_time_that_a_job_waits_counts(library: Database) -> None:
    """Its parts are told to end once its time is over; then it ends, with what was done so far."""
    clock = Clock()
    queue = InMemoryJobQueue(run_on_submit=False, clock=clock)
    await submit(queue, timeout_seconds=10)
    whole = await claim(queue)
    await submit(queue, type="probe", key="a", parent_id=whole.job.id)
    await submit(queue, type="probe", key="b", parent_id=whole.job.id)

    async def handler(_job: Job, context: JobContext) -> dict[str, Any]:
        if context.checkpoint is None:
            raise JobWaits({"at": 1})
        context.partial_result = {"done": 3}
        while True:
            await asyncio.sleep(0.01)
            context.raise_if_cancelled()

    assert await execute(queue, whole, handler, catalogue=library, renew_seconds=60) is None
    part = await claim(queue)
    clock.advance(9)
    await queue.renew(part)
    assert not queue.store.take_back_expired()
    clock.advance(1)
    await queue.renew(part)
    queue.store.take_back_expired()
    parts = (await queue.list(parent_id=whole.job.id)).jobs
    assert {job.status for job in parts} == {JobStatus.RUNNING, JobStatus.CANCELLED}
    assert (await queue.get(part.job.id)).cancel_requested
    assert not queue.store.has_work(), "there is nothing to do before its parts have ended"
    await queue.finish(part, JobOutcome(status=JobStatus.CANCELLED))
    again = await claim(queue)
    assert (again.job.id, again.job.attempt, again.elapsed_seconds) == (whole.job.id, 1, 10.0)
    async with asyncio.timeout(60):
        ended = await execute(queue, again, handler, catalogue=library, renew_seconds=60)
    assert ended is not None
    assert (ended.status, ended.error_code, ended.result) == (JobStatus.TIMEOUT, "TIMEOUT", {"done": 3})
