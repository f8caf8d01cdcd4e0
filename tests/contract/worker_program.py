"""A real worker process with handlers that tests can look into: `python -m tests.contract.worker_program FOLDER`.

The databases lie in the folder, or, where DATABASE_URL is set, on that Postgres.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from stoat_ferret.db.engine import Database, open_postgres, open_sqlite, postgres_url
from stoat_ferret.errors import FencedError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.local import LocalJobQueue, ThreadedJobQueue
from stoat_ferret.jobs.model import Job
from stoat_ferret.jobs.postgres import PostgresJobQueue, PostgresJobStore
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.supervisor import stop_at_eof
from stoat_ferret.jobs.worker import Worker

LEASE_SECONDS = float(os.environ.get("LEASE_SECONDS", "10"))

effects = Table(
    "effects",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("pid", Integer, nullable=False),
)
"""What handlers leave in the catalogue: which job, which attempt, which process."""


def open_queue(folder: Path, url: str | None, lease_seconds: float) -> tuple[ThreadedJobQueue, Database]:
    """Give the queue, and the catalogue beside it."""
    if url is None:
        database, catalogue = open_sqlite(folder / "jobs.db"), open_sqlite(folder / "library.db")
        return LocalJobQueue(JobStore(database, lease_seconds=lease_seconds, catalogue=catalogue)), catalogue
    database, catalogue = (open_postgres(postgres_url(url), schema) for schema in ("stoat_jobs", "stoat_library"))
    return PostgresJobQueue(PostgresJobStore(database, lease_seconds=lease_seconds, catalogue=catalogue)), catalogue


def store_effect(job: Job, context: JobContext) -> None:
    """Leave a row in the catalogue."""
    with context.transaction() as connection:
        connection.execute(insert(effects).values(job_id=job.id, attempt=job.attempt, pid=os.getpid()))


async def quick(job: Job, context: JobContext) -> dict[str, Any]:
    """Leave one effect."""
    await asyncio.to_thread(store_effect, job, context)
    return {"pid": os.getpid()}


async def nothing(job: Job, context: JobContext) -> dict[str, Any]:
    """Do nothing at all."""
    return {}


async def steps(job: Job, context: JobContext) -> dict[str, Any]:
    """Leave as many effects as the payload says, slowly, and end when told to."""

    def work() -> None:
        for done in range(job.payload["steps"]):
            context.raise_if_cancelled()
            store_effect(job, context)
            context.progress("steps", done + 1, job.payload["steps"])
            time.sleep(0.05)

    await asyncio.to_thread(work)
    return {"pid": os.getpid()}


async def crash(job: Job, context: JobContext) -> dict[str, Any]:
    """Kill the worker; with `store`, only at the first attempts and after an effect."""
    if "store" in job.payload:
        if job.attempt > job.payload["store"]:
            return {}
        await asyncio.to_thread(store_effect, job, context)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


async def zombie(job: Job, context: JobContext) -> dict[str, Any]:
    """Leave an effect; at the first attempt try once more after a file has appeared, and tell in another what came."""
    await asyncio.to_thread(store_effect, job, context)
    if job.attempt > 1:
        return {"pid": os.getpid()}
    folder = Path(job.payload["folder"])

    def try_again() -> None:
        while not (folder / "go").exists():
            time.sleep(0.02)
        try:
            store_effect(job, context)
        except FencedError:
            (folder / "fenced").touch()

    await asyncio.to_thread(try_again)
    return {"zombie": "wrote"}


async def block(job: Job, context: JobContext) -> dict[str, Any]:
    """Hold up the event loop at the first attempt, for as long as the payload says; then leave an effect."""
    if job.attempt == 1:
        (Path(job.payload["folder"]) / "blocked").touch()
        time.sleep(job.payload["seconds"])  # noqa: ASYNC251 - the mistake that is to be survived
    await asyncio.to_thread(store_effect, job, context)
    return {"pid": os.getpid()}


async def main(folder: Path) -> None:
    """Work until standard input ends."""
    queue, catalogue = open_queue(folder, os.environ.get("DATABASE_URL"), LEASE_SECONDS)
    handlers = {each.__name__: each for each in (quick, nothing, steps, crash, zombie, block)}
    worker = Worker(
        queue, handlers, catalogue=catalogue, slots=2, long_types=["steps"], renew_seconds=LEASE_SECONDS / 5
    )
    stop = asyncio.Event()
    await asyncio.gather(worker.run(stop), stop_at_eof(stop))
    queue.close()
    queue.store.database.close()
    catalogue.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
