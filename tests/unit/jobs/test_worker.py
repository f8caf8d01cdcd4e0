"""The worker's loop, over the queue in SQLite, in this process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue
from stoat_ferret.errors import StorageBusyError, StorageUnreachableError
from stoat_ferret.jobs import worker as worker_module
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.model import ANYTHING, Claim, Job, JobHandler, JobRequest, JobStatus, Wanted, WorkerProfile
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.worker import Worker

pytestmark = pytest.mark.anyio


class TroubledQueue(LocalJobQueue):
    """A queue whose database is busy for some claims and heartbeats."""

    away = 0
    busy = 0
    beats = 0
    broken = False

    async def recover(self) -> int:
        if self.away > 0:
            self.away -= 1
            raise StorageUnreachableError
        return await super().recover()

    async def claim(self, worker_id: str, wanted: Wanted = ANYTHING) -> Claim | None:
        if self.broken:
            raise ZeroDivisionError
        if self.busy > 0:
            self.busy -= 1
            raise StorageBusyError
        return await super().claim(worker_id, wanted)

    async def heartbeat(self, worker_id: str, profile: WorkerProfile | None = None) -> None:
        self.beats += 1
        if self.beats == 2:
            raise StorageBusyError
        await super().heartbeat(worker_id)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    database = open_sqlite(tmp_path / "library.db")
    catalogue.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def queue(tmp_path: Path, library: Database) -> Iterator[TroubledQueue]:
    """Give a queue without trouble so far."""
    database = open_sqlite(tmp_path / "jobs.db")
    job_records.create_all(database.engine)
    queue = TroubledQueue(JobStore(database, lease_seconds=5.0, catalogue=library))
    yield queue
    queue.close()
    database.close()


@asynccontextmanager
async def working(
    queue: LocalJobQueue, library: Database, handlers: dict[str, JobHandler], **options: Any
) -> AsyncIterator["asyncio.Task[bool]"]:
    settings: dict[str, Any] = {"slots": 2, "long_types": ["scan"], "renew_seconds": 0.05, **options}
    stop = asyncio.Event()
    task = asyncio.create_task(Worker(queue, handlers, catalogue=library, **settings).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=20)


async def submit(queue: LocalJobQueue, job_type: str, number: int = 0) -> str:
    return (await queue.submit(JobRequest(type=job_type, payload={"number": number}))).job.id


async def until_running(queue: LocalJobQueue, job_id: str) -> None:
    while (await queue.get(job_id)).status is not JobStatus.RUNNING:  # noqa: ASYNC110 - the worker has no event for it
        await asyncio.sleep(0.01)


async def echo(job: Job, context: JobContext) -> dict[str, Any]:
    return job.payload


async def patient(job: Job, context: JobContext) -> dict[str, Any]:
    while not context.cancelled:  # noqa: ASYNC110 - as a handler would
        await asyncio.sleep(0.01)
    context.raise_if_cancelled()
    return {}


async def test_submitted_jobs_are_done(queue: TroubledQueue, library: Database) -> None:
    """Those that were there and those that come, also of a type that nobody knows."""
    early = await submit(queue, "echo", 1)
    async with working(queue, library, {"echo": echo}) as task:
        assert (await queue.wait(early, 10)).result == {"number": 1}
        late = await submit(queue, "echo", 2)
        assert (await queue.wait(late, 10)).result == {"number": 2}
        unknown = await submit(queue, "unknown")
        assert (await queue.wait(unknown, 10)).error_code == "UNKNOWN_JOB_TYPE"
        assert len(await queue.live_workers()) == 1
    assert task.result() is True
    assert await queue.live_workers() == ()


async def test_small_jobs_run_beside_long_ones(queue: TroubledQueue, library: Database) -> None:
    """However many long ones there are: one slot leaves them alone."""
    scans = [await submit(queue, "scan", number) for number in range(3)]
    async with working(queue, library, {"scan": patient, "echo": echo}):
        small = await submit(queue, "echo")
        assert (await queue.wait(small, 10)).status is JobStatus.COMPLETE
        statuses = [(await queue.get(scan)).status for scan in scans]
        assert statuses == [JobStatus.RUNNING, JobStatus.PENDING, JobStatus.PENDING]


async def test_a_single_slot_takes_everything(queue: TroubledQueue, library: Database) -> None:
    """Or some jobs would never run."""
    scan = await submit(queue, "scan")
    async with working(queue, library, {"scan": echo}, slots=1):
        assert (await queue.wait(scan, 10)).status is JobStatus.COMPLETE


async def test_a_stop_hands_running_jobs_back(queue: TroubledQueue, library: Database) -> None:
    """They are pending again, and claims that come too late are not run."""
    async with working(queue, library, {"scan": patient}) as task:
        scan = await submit(queue, "scan")
        await until_running(queue, scan)
    assert task.result() is True
    assert (await queue.get(scan)).status is JobStatus.PENDING


async def test_a_handler_that_does_not_end_is_abandoned(queue: TroubledQueue, library: Database) -> None:
    """Its job stays with its lease, and the worker stays known, so that its end can be noticed."""
    release = threading.Event()

    async def deaf(job: Job, context: JobContext) -> dict[str, Any]:
        await asyncio.to_thread(release.wait, 20)
        return {}

    async with working(queue, library, {"scan": deaf}, stop_seconds=0.2) as task:
        scan = await submit(queue, "scan")
        await until_running(queue, scan)
    release.set()
    assert task.result() is False
    assert (await queue.get(scan)).status is JobStatus.RUNNING
    assert len(await queue.live_workers()) == 1


async def test_a_busy_database_is_tried_again(
    queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For claims and heartbeats."""
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.01)
    queue.busy = 5
    job = await submit(queue, "echo")
    async with working(queue, library, {"echo": echo}):
        assert (await queue.wait(job, 10)).status is JobStatus.COMPLETE
        while queue.beats < 4:  # noqa: ASYNC110 - nobody says when it beats
            await asyncio.sleep(0.01)


async def test_a_worker_begins_once_its_database_is_there(
    queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is being restarted is waited for."""
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.01)
    queue.away = 5
    job = await submit(queue, "echo")
    async with working(queue, library, {"echo": echo}):
        assert (await queue.wait(job, 60)).status is JobStatus.COMPLETE
    assert queue.away == 0


async def test_a_mistake_in_the_program_ends_the_worker(queue: TroubledQueue, library: Database) -> None:
    """It is started anew rather than left half alive."""
    queue.broken = True
    async with working(queue, library, {}) as task:
        with pytest.raises(ZeroDivisionError):
            await task


async def test_the_jobs_of_a_dead_process_are_taken_over_at_the_start(
    queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first claim."""
    scan = await submit(queue, "scan")
    dead = await queue.claim("dead")
    assert dead is not None
    queue.store.heartbeat("dead")
    monkeypatch.setattr("stoat_ferret.jobs.store.workforce.is_gone", lambda *_: True)
    async with working(queue, library, {"scan": echo}):
        ended = await queue.wait(scan, 3)
    assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)
