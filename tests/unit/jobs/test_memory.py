"""The queue in memory beyond the contract: it runs what is submitted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.tables import catalogue, job_claims
from stoat_ferret.errors import StoatError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobRequest, JobStatus
from stoat_ferret.jobs.queue import InMemoryJobQueue

pytestmark = pytest.mark.anyio


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    database = open_sqlite(tmp_path / "library.db")
    catalogue.create_all(database.engine)
    yield database
    database.close()


def ask(number: int = 0, job_type: str = "scan", **options: Any) -> JobRequest:
    return JobRequest(type=job_type, payload={"number": number}, **options)


async def test_a_submitted_job_has_run_when_submit_returns(library: Database) -> None:
    """The answer is the record as it was made; what is read then is its end."""
    queue = InMemoryJobQueue(library)

    async def handler(job: Job, context: JobContext) -> dict[str, Any]:
        with context.transaction():
            return job.payload

    queue.register_handler("scan", handler)
    submission = await queue.submit(ask(7))
    assert submission.job.status is JobStatus.PENDING
    job = await queue.get(submission.job.id)
    assert (job.status, job.result) == (JobStatus.COMPLETE, {"number": 7})
    with library.read() as connection:
        assert connection.execute(select(job_claims.c.batches)).scalar_one() == 1


async def test_jobs_wait_until_they_are_run() -> None:
    """Where `run_on_submit` is off; by priority, then age, then each handler's own end."""
    queue = InMemoryJobQueue(run_on_submit=False)
    ran: list[int] = []

    async def handler(job: Job, context: JobContext) -> dict[str, Any]:
        ran.append(job.payload["number"])
        if job.payload["number"] == 1:
            raise StoatError
        return {}

    queue.register_handler("scan", handler)
    submitted = [await queue.submit(ask(number, priority=number == 2)) for number in range(3)]
    assert {(await queue.get(each.job.id)).status for each in submitted} == {JobStatus.PENDING}
    await queue.run_pending()
    assert ran == [2, 0, 1]
    statuses = [(await queue.get(each.job.id)).status for each in submitted]
    assert statuses == [JobStatus.COMPLETE, JobStatus.FAILED, JobStatus.COMPLETE]


async def test_an_unknown_type_fails() -> None:
    """As a worker would have it."""
    queue = InMemoryJobQueue()
    job = (await queue.submit(ask())).job
    assert (await queue.get(job.id)).error_code == "UNKNOWN_JOB_TYPE"


async def test_a_job_that_a_handler_submits_runs_after_it() -> None:
    """Not within it."""
    queue = InMemoryJobQueue()
    ran: list[str] = []

    async def outer(job: Job, context: JobContext) -> dict[str, Any]:
        await queue.submit(ask(job_type="inner"))
        ran.append("outer")
        return {}

    async def inner(job: Job, context: JobContext) -> dict[str, Any]:
        ran.append("inner")
        return {}

    queue.register_handler("outer", outer)
    queue.register_handler("inner", inner)
    await asyncio.wait_for(queue.submit(ask(job_type="outer")), 10)
    assert ran == ["outer", "inner"]


async def test_records_share_nothing_with_what_was_given() -> None:
    """As if they had been stored."""
    queue = InMemoryJobQueue(run_on_submit=False)
    payload: dict[str, Any] = {"paths": ["a"]}
    job = (await queue.submit(JobRequest(type="scan", payload=payload))).job
    payload["paths"].append("b")
    assert (await queue.get(job.id)).payload == {"paths": ["a"]}
    with pytest.raises(TypeError):
        await queue.submit(JobRequest(type="scan", payload={"path": b"bytes"}, key="k"))
    assert [each.id for each in (await queue.list()).jobs] == [job.id]
