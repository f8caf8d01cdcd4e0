"""The queue in SQLite beyond the contract: waking, threads, closing."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.jobs import local
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.model import JobRequest, JobStatus
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.wakeup import Wakeup

pytestmark = pytest.mark.anyio

REQUEST = JobRequest(type="scan", payload={})


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[list[LocalJobQueue]]:
    """Give two queues over one file, each with connections of its own, as two processes have them."""
    databases = [open_sqlite(tmp_path / "jobs.db") for _ in range(2)]
    job_records.create_all(databases[0].engine)
    queues = [LocalJobQueue(JobStore(database, lease_seconds=10.0)) for database in databases]
    yield queues
    for queue, database in zip(queues, databases, strict=True):
        queue.close()
        database.close()


async def test_a_change_by_another_process_wakes(queues: list[LocalJobQueue]) -> None:
    """Within moments, though nobody tells."""
    mine, theirs = queues
    waiting = asyncio.create_task(mine.wait_for_work(60))
    await asyncio.sleep(0.1)
    job = (await theirs.submit(REQUEST)).job
    async with asyncio.timeout(30):  # far less than it would wait by itself
        await waiting
    ended = asyncio.create_task(mine.wait(job.id, 60))
    await asyncio.sleep(0.1)
    await theirs.cancel(job.id)
    async with asyncio.timeout(60):
        assert (await ended).status is JobStatus.CANCELLED


async def test_the_file_is_not_watched_while_nobody_waits(
    queues: list[LocalJobQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle server costs nothing."""
    naps = 0

    def sleep(seconds: float, real: Any = time.sleep) -> None:
        nonlocal naps
        naps += 1
        real(seconds)

    monkeypatch.setattr("stoat_ferret.jobs.local.time.sleep", sleep)
    queue = queues[0]
    await queue.wait_for_work(0.1)
    assert naps
    await asyncio.sleep(0.05)
    before = naps
    await asyncio.sleep(0.3)
    assert naps == before


async def test_several_event_loops_share_a_queue(queues: list[LocalJobQueue]) -> None:
    """Each waiter is woken in its own, and one whose loop has ended does no harm."""
    queue = queues[0]
    job = (await queue.submit(REQUEST)).job
    seen: list[JobStatus] = []

    def wait_elsewhere() -> None:
        seen.append(asyncio.run(queue.wait(job.id, 30)).status)

    threads = [threading.Thread(target=wait_elsewhere) for _ in range(3)]
    for thread in threads:
        thread.start()
    await asyncio.sleep(0.1)
    await queue.cancel(job.id)
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
    assert seen == [JobStatus.CANCELLED] * 3


async def test_a_full_default_executor_delays_nothing(queues: list[LocalJobQueue]) -> None:
    """The queue's threads are its own."""
    loop = asyncio.get_running_loop()
    free = threading.Event()
    others = [loop.run_in_executor(None, free.wait, 20) for _ in range(40)]
    try:
        async with asyncio.timeout(60):
            await queues[0].submit(REQUEST)
    finally:
        free.set()
        await asyncio.gather(*others)


async def test_a_file_that_cannot_be_watched_is_looked_at_now_and_then(
    queues: list[LocalJobQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, but nothing is missed."""
    monkeypatch.setattr(local, "CLOCK_SECONDS", 0.05)

    def broken(_connection: object) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(local, "_data_version", broken)
    with capture_logs() as logs:
        waiting = asyncio.create_task(queues[0].wait_for_work(60))
        await asyncio.sleep(0.1)
        await queues[1].submit(REQUEST)
        async with asyncio.timeout(60):
            await waiting
    assert {entry["error"] for entry in logs} == {"disk I/O error"}


async def test_a_notification_to_a_loop_that_has_ended_is_dropped() -> None:
    """Its waiters are gone with it."""
    wakeup = Wakeup()
    loop = asyncio.new_event_loop()
    wakeup._waiters.add((loop, loop.create_future()))
    loop.close()
    wakeup.notify()
    assert wakeup.version == 1


async def test_a_change_just_before_the_wait_is_not_missed() -> None:
    """Whoever read the version before it looked is told at once."""
    wakeup = Wakeup()
    version = wakeup.version
    wakeup.notify()
    async with asyncio.timeout(60):
        await wakeup.wait(version, 60)
