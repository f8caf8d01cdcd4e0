"""The maintenance, on every kind of queue and in both databases."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select

from stoat_ferret.api.services.maintenance import maintenance_request, make_maintenance_handler
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import gone, job_claims, ledger, libraries, scan_costs
from stoat_ferret.jobs.execution import execute
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus, OnceKey
from stoat_ferret.jobs.stored import StoredJobQueue
from stoat_ferret.library import ledger as ledgers
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.retention import jobs_with_remains
from stoat_ferret.settings import Settings
from tests.contract.job_queues import QUEUES, Stage, stage_of
from tests.factories import make_settings

DAY = 86_400.0


@pytest.fixture(params=QUEUES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A queue and a catalogue with nothing in them."""
    with stage_of(request, tmp_path) as made:
        with made.catalogue.write() as connection:
            for table in (ledger, scan_costs, gone, job_claims, libraries):
                connection.execute(delete(table))
        yield made


@pytest.fixture
def kept_for_a_month(tmp_path: Path) -> Settings:
    """The usual settings."""
    return make_settings(tmp_path / "data", retention_days=30.0)


async def ended_job(stage: Stage, name: str) -> str:
    """Make a job that has ended, submitted under a key, with a part; gives its id."""
    once = OnceKey(scope="caller", key=name, fingerprint="f")
    await stage.queue.submit(JobRequest(type="scan", payload={"name": name}), once)
    claim = await stage.queue.claim("worker")
    assert claim is not None
    part = await stage.queue.submit(JobRequest(type="probe", payload={"name": name}, parent_id=claim.job.id))
    leave(stage.catalogue, part.job.id, 0)
    leave(stage.catalogue, claim.job.id, 1200)
    await stage.queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={}))
    return claim.job.id


def leave(catalogue: Database, job_id: str, lines: int) -> None:
    """Leave something of a job in every table."""
    rows = [LedgerRow(path_bytes=b"/v/%d" % number, outcome=Outcome.NEW, at=1) for number in range(lines)]
    with catalogue.write() as connection:
        ledgers.record(connection, job_id, [(None, row) for row in rows])
        ledgers.add_cost(connection, job_id, 10, 1.0)
        connection.execute(insert(gone).values(job_id=job_id, video_pk=1))
        connection.execute(insert(job_claims).values({"job_id": job_id, "attempt": 1, "token": "t"}))


async def maintain(stage: Stage, settings: Settings) -> Job:
    """Do it as a worker does; gives the job as it ended."""
    queue = stage.queue
    assert isinstance(queue, StoredJobQueue)
    handler = make_maintenance_handler(queue, queue.store.database, stage.catalogue, settings, clock=stage.clock)
    await queue.submit(maintenance_request(settings))
    claim = await queue.claim("worker")
    assert claim is not None
    job = await execute(queue, claim, handler, catalogue=stage.catalogue, renew_seconds=2.0)
    assert job is not None
    return job


def lines_left(catalogue: Database) -> int:
    """Count the lines of all ledgers."""
    with catalogue.read() as connection:
        return connection.execute(select(func.count()).select_from(ledger)).scalar_one()


def test_what_is_old_goes_with_its_parts_and_what_is_young_stays(stage: Stage, kept_for_a_month: Settings) -> None:
    """All that they left goes with them, and is counted."""

    async def scenario() -> tuple[Job, str]:
        await ended_job(stage, "old")
        stage.clock.advance(29 * DAY)
        young = await ended_job(stage, "young")
        stage.clock.advance(DAY + 1)
        return await maintain(stage, kept_for_a_month), young

    job, young = asyncio.run(scenario())
    assert job.status is JobStatus.COMPLETE, job.error
    assert job.result is not None
    counts = {name: job.result[name] for name in ("jobs_deleted", "ledger_rows_deleted", "keys_deleted", "integrity")}
    integrity = "not checked" if stage.catalogue.is_postgres else "ok"
    assert counts == {"jobs_deleted": 1, "ledger_rows_deleted": 1200, "keys_deleted": 1, "integrity": integrity}
    [part] = asyncio.run(stage.queue.list(parent_id=young)).jobs
    assert set(jobs_with_remains(stage.catalogue, "", 10)) == {young, part.id, job.id}
    assert lines_left(stage.catalogue) == 1200


def test_remains_of_jobs_that_nobody_knows_are_found(stage: Stage, kept_for_a_month: Settings) -> None:
    """However many jobs left them."""
    for number in range(700):
        with stage.catalogue.write(durable=False) as connection:
            connection.execute(insert(job_claims).values({"job_id": f"{number:036}", "attempt": 1, "token": "t"}))
    job = asyncio.run(maintain(stage, kept_for_a_month))
    assert job.status is JobStatus.COMPLETE, job.error
    assert jobs_with_remains(stage.catalogue, "", 10) == (job.id,)


def test_a_counter_that_is_wrong_is_told(stage: Stage, kept_for_a_month: Settings) -> None:
    """The job fails with what to do."""
    with stage.catalogue.write() as connection:
        library = LibraryRepository.add_library(connection, b"/v", 0.5)
        connection.execute(libraries.update().values(video_count=3))
    job = asyncio.run(maintain(stage, kept_for_a_month))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "DATABASE_DAMAGED")
    assert library.id in (job.error or "")
