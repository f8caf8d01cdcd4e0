"""How soon a job is taken up, and how many jobs a second get through, on SQLite and on Postgres.

usage: job_queue.py [--jobs 5000] [--slots 8] [--pickups 400] [--engine sqlite|postgres|both] [--url URL]

Pickup: a worker process with nothing else to do; jobs that do nothing are submitted from this process one after
another, with pauses of 5 to 40 ms; the time from the moment a job was recorded to the moment its claim was, by the
record's own times. Throughput: JOBS jobs that do nothing are submitted first; then a worker, embedded in this process,
runs them all, each with its claim, its fence in the catalogue and its durable end; beside it, how many submits a second
were possible, and how many durable commits a second this disk allows. Postgres is started from the development
environment's wheel unless URL names one (a database that may be filled).
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from benchmarks._harness import percentile, publish, scratch
from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import counters
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobRequest
from stoat_ferret.jobs.supervisor import stop_at_eof
from stoat_ferret.jobs.worker import Worker
from stoat_ferret.runtime import Runtime, open_runtime
from stoat_ferret.settings import Settings
from tests.postgres import postgres_server

COMMITS = 500


async def nothing(_job: Job, _context: JobContext) -> dict[str, Any]:
    """Do nothing."""
    return {}


def worker_of(runtime: Runtime, slots: int) -> Worker:
    """Give a worker for jobs that do nothing."""
    return Worker(
        runtime.queue,
        {"nothing": nothing},
        catalogue=runtime.catalogue,
        slots=slots,
        long_types=(),
        renew_seconds=2.0,
    )


def settings_of(data: Path, url: str | None) -> Settings:
    """Give settings for a data directory and, perhaps, a Postgres."""
    return Settings.model_validate({"data_dir": data, "database_url": url, "log_level": "error"})


@contextmanager
def opened(data: Path, url: str | None) -> Iterator[Runtime]:
    """Give everything, wired."""
    runtime = open_runtime(settings_of(data, url))
    try:
        yield runtime
    finally:
        runtime.close()


async def work(data: Path, url: str | None) -> None:
    """Be the other process's worker, until its input ends."""
    with opened(data, url) as runtime:
        stop = asyncio.Event()
        await asyncio.gather(worker_of(runtime, 2).run(stop), stop_at_eof(stop))


async def pickups(runtime: Runtime, count: int) -> dict[str, float]:
    """Submit jobs one after another; gives percentiles of the time until they were claimed, in milliseconds."""
    queue, chance = runtime.queue, random.Random(1)  # noqa: S311 - reproducible, not secret
    waits: list[float] = []
    for number in range(count + 20):
        submission = await queue.submit(JobRequest(type="nothing", payload={"number": number}))
        job = await queue.wait(submission.job.id, 30)
        assert job.started_at is not None, job
        if number >= 20:  # the first ones meet a worker that is still starting
            waits.append((job.started_at - job.created_at) / 1e3)
        await asyncio.sleep(chance.uniform(0.005, 0.04))
    return {name: round(percentile(waits, part), 2) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


async def throughput(runtime: Runtime, jobs: int, slots: int) -> tuple[float, float]:
    """Give how many jobs a second were submitted one after another, and then run."""
    started = time.perf_counter()
    for number in range(jobs):
        await runtime.queue.submit(JobRequest(type="nothing", payload={"job": number}))
    submitted = time.perf_counter() - started
    stop = asyncio.Event()
    started = time.perf_counter()
    running = asyncio.create_task(worker_of(runtime, slots).run(stop))
    while (await runtime.queue.statistics()).jobs.get(("nothing", "pending"), 0):  # noqa: ASYNC110 - a number in a database
        await asyncio.sleep(0.05)
    stop.set()
    await running
    drained = time.perf_counter() - started
    return jobs / submitted, jobs / drained


def commits_a_second(database: Database) -> float:
    """Give how many small durable commits a second the disk allows, one after another."""
    started = time.perf_counter()
    for number in range(COMMITS):
        with database.write() as connection:
            connection.execute(counters.insert().values(name=f"commit {number}", value=0))
    return COMMITS / (time.perf_counter() - started)


def measure(data: Path, url: str | None, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one engine."""
    with opened(data, url) as runtime:
        assert runtime.job_store is not None
        commits = commits_a_second(runtime.job_store.database)
        command = [sys.executable, "-m", "benchmarks.job_queue", "--work", str(data), *(["--url", url] if url else [])]
        other = subprocess.Popen(command, stdin=subprocess.PIPE)
        picked_up = asyncio.run(pickups(runtime, args.pickups))
        assert other.stdin is not None
        other.stdin.close()
        other.wait(30)
    with opened(data, url) as runtime:
        submitted, run = asyncio.run(throughput(runtime, args.jobs, args.slots))
    return {
        "pickup_ms": picked_up,
        "submits_per_second": round(submitted),
        "jobs_per_second": round(run),
        "durable_commits_per_second": round(commits),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--pickups", type=int, default=400)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--url")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work is not None:
        asyncio.run(work(args.work, args.url))
        return
    figures: dict[str, Any] = {"jobs": args.jobs, "pickups": args.pickups, "slots": args.slots}
    with scratch() as folder:
        if args.engine != "postgres":
            figures["sqlite"] = measure(folder / "sqlite", None, args)
        if args.engine != "sqlite":
            with a_database(args.url) as url:
                figures["postgres"] = measure(folder / "postgres", url, args)
    said = [
        f"{name}: pickup p50 {each['pickup_ms']['p50']} ms, p99 {each['pickup_ms']['p99']} ms, "
        f"{each['jobs_per_second']} jobs/s"
        for name, each in figures.items()
        if isinstance(each, dict)
    ]
    publish("job queue", "; ".join(said), figures)


@contextmanager
def a_database(given: str | None) -> Iterator[str]:
    """Give the address of a Postgres database."""
    if given is not None:
        yield given
        return
    with postgres_server() as server, server.database() as url:
        yield _text(url)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
