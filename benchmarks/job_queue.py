"""How soon a job begins, is known to have ended and is cancelled, and how many get through, on SQLite and on Postgres.

usage: job_queue.py [--jobs 2000] [--slots 8] [--pickups 400] [--cancels 200] [--engine both] [--url URL]

Pickup: a worker process with nothing else to do; jobs that do nothing are submitted from this process one after
another, with pauses of 5 to 40 ms; the time from the submit's answer to the handler's beginning (0 where it begins
before that). Known end: of the same jobs, from the handler's return to the moment when the submitting process, which
waits for it, has the record of the end. Cancel: eight jobs at a time that run until they are told to end; the time from
the answer of the cancel, which falls 50 to 450 ms after the job's beginning, to the moment when its handler sees it.

Throughput: JOBS jobs that do nothing are submitted first; then a worker, embedded in this process, runs them all, each
with its claim, its fence in the catalogue and its durable end, once with the slots that a worker has if nothing is set,
and once with SLOTS; beside it, how many submits a second were possible, and how many durable commits a second this disk
allows. Postgres is started from the development environment's wheel unless URL names one (a database that may be
filled).
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._databases import add_arguments, address, chosen
from benchmarks._harness import percentile, publish, scratch
from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import counters
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobHandler, JobRequest, JobStatus
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.jobs.supervisor import stop_at_eof
from stoat_ferret.jobs.worker import Worker
from stoat_ferret.log import configure_logging
from stoat_ferret.runtime import Runtime, open_runtime
from stoat_ferret.settings import Settings

COMMITS = 500
WARM_UP = 20
"""Jobs that are not counted: the first ones meet a worker that is still starting."""
AT_A_TIME = 8
DEFAULT_SLOTS = Settings.model_fields["worker_slots"].default
LOOK_SECONDS = 0.001


def now_ms() -> float:
    """Give the time of a clock that all processes of this machine share, in milliseconds."""
    return time.monotonic_ns() / 1e6


async def nothing(_job: Job, _context: JobContext) -> dict[str, Any]:
    """Do nothing, and say when."""
    return {"at": now_ms()}


async def until_told(_job: Job, context: JobContext) -> dict[str, Any]:
    """Do nothing until the job is to end, and say when that was seen."""
    while not context.cancelled:  # noqa: ASYNC110 - as a handler would
        await asyncio.sleep(LOOK_SECONDS)
    context.partial_result = {"at": now_ms()}
    context.raise_if_cancelled()
    return {}


HANDLERS: dict[str, JobHandler] = {"nothing": nothing, "until told": until_told}


def worker_of(runtime: Runtime, slots: int, handlers: dict[str, JobHandler] = HANDLERS) -> Worker:
    """Give a worker for the jobs of this benchmark."""
    return Worker(runtime.queue, handlers, catalogue=runtime.catalogue, slots=slots, long_types=(), renew_seconds=2.0)


@contextmanager
def opened(data: Path, url: str | None) -> Iterator[Runtime]:
    """Give everything, wired."""
    settings = Settings.model_validate({"data_dir": data, "database_url": url, "log_level": "error"})
    configure_logging(settings)
    runtime = open_runtime(settings)
    try:
        yield runtime
    finally:
        runtime.close()


async def work(data: Path, url: str | None, slots: int) -> None:
    """Be the other process's worker, until its input ends."""
    with opened(data, url) as runtime:
        stop = asyncio.Event()
        await asyncio.gather(worker_of(runtime, slots).run(stop), stop_at_eof(stop))


@contextmanager
def worker_beside(data: Path, url: str | None, slots: int) -> Iterator[None]:
    """Have a worker in another process."""
    command = [sys.executable, "-m", "benchmarks.job_queue", "--work", str(data), "--slots", str(slots)]
    process = subprocess.Popen([*command, *(["--url", url] if url else [])], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """Give the percentiles that are told."""
    return {name: round(percentile(milliseconds, part), 2) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}


async def pickups(queue: AsyncJobQueue, count: int) -> dict[str, dict[str, float]]:
    """Submit jobs one after another; gives how soon they began, and were known to have ended."""
    chance = random.Random(1)  # noqa: S311 - reproducible, not secret
    begun: list[float] = []
    known: list[float] = []
    for number in range(count + WARM_UP):
        job_id = (await queue.submit(JobRequest(type="nothing", payload={"number": number}))).job.id
        answered = now_ms()
        job = await queue.wait(job_id, 30)
        told = now_ms()
        assert job.result is not None, job
        if number >= WARM_UP:
            begun.append(max(0.0, job.result["at"] - answered))
            known.append(told - job.result["at"])
        await asyncio.sleep(chance.uniform(0.005, 0.04))
    return {"pickup_ms": spread(begun), "known_end_ms": spread(known)}


async def cancels(queue: AsyncJobQueue, count: int) -> dict[str, float]:
    """Cancel running jobs, some at a time; gives how soon they saw it."""
    chance = random.Random(2)  # noqa: S311 - reproducible, not secret

    async def one_after_another(chain: int) -> list[float]:
        return [await _cancel(queue, f"{chain}, {number}", chance.uniform(0.05, 0.45)) for number in range(each)]

    each = -(-count // AT_A_TIME)
    chains = await asyncio.gather(*map(one_after_another, range(AT_A_TIME)))
    return spread([latency for chain in chains for latency in chain])


async def _cancel(queue: AsyncJobQueue, name: str, after_seconds: float) -> float:
    job_id = (await queue.submit(JobRequest(type="until told", payload={"name": name}))).job.id
    while (await queue.get(job_id)).status is JobStatus.PENDING:  # noqa: ASYNC110 - a record in a database
        await asyncio.sleep(0.01)
    await asyncio.sleep(after_seconds)
    await queue.cancel(job_id)
    answered = now_ms()
    job = await queue.wait(job_id, 30)
    assert job.result is not None, job
    return max(0.0, float(job.result["at"]) - answered)


async def throughput(runtime: Runtime, jobs: int, slots: int) -> tuple[float, float]:
    """Give how many jobs a second were submitted one after another, and then run."""
    started = time.perf_counter()
    for number in range(jobs):
        await runtime.queue.submit(JobRequest(type="nothing", payload={"job": number}))
    submitted = time.perf_counter() - started
    stop, left = asyncio.Event(), jobs

    async def count_down(_job: Job, _context: JobContext) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if not left:
            stop.set()  # the worker still ends what it has before it stops
        return {}

    started = time.perf_counter()
    await worker_of(runtime, slots, {"nothing": count_down}).run(stop)
    drained = time.perf_counter() - started
    ended = (await runtime.queue.statistics()).jobs
    assert not ended.get(("nothing", "pending"), 0), ended
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
    figures: dict[str, Any] = {}
    with opened(data, url) as runtime:
        assert runtime.job_store is not None
        figures["durable_commits_per_second"] = round(commits_a_second(runtime.job_store.database))
        with worker_beside(data, url, DEFAULT_SLOTS):
            figures |= asyncio.run(pickups(runtime.queue, args.pickups))
    with opened(data, url) as runtime, worker_beside(data, url, AT_A_TIME):
        figures["cancel_ms"] = asyncio.run(cancels(runtime.queue, args.cancels))
    for slots in (DEFAULT_SLOTS, args.slots):
        with opened(data, url) as runtime:
            submitted, run = asyncio.run(throughput(runtime, args.jobs, slots))
        figures["submits_per_second"] = round(submitted)
        figures[f"jobs_per_second_with_{slots}_slots"] = round(run)
    return figures


def sentence(name: str, figures: dict[str, Any], slots: int) -> str:
    """Say what was measured of one engine."""
    times = {each: figures[f"{each}_ms"] for each in ("pickup", "known_end", "cancel")}
    said = [f"{each.replace('_', ' ')} {told['p50']} / {told['p99']}" for each, told in times.items()]
    few, many = (figures[f"jobs_per_second_with_{each}_slots"] for each in (DEFAULT_SLOTS, slots))
    return f"{name}: ms at p50 / p99: {', '.join(said)}; {few} jobs/s with {DEFAULT_SLOTS} slots, {many} with {slots}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--pickups", type=int, default=400)
    parser.add_argument("--cancels", type=int, default=200)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    add_arguments(parser)
    args = parser.parse_args()
    if args.work is not None:
        asyncio.run(work(args.work, args.url, args.slots))
        return
    figures: dict[str, Any] = {name: getattr(args, name) for name in ("jobs", "pickups", "cancels", "slots")}
    said = []
    with scratch() as folder:
        for engine in chosen(args):
            with address(engine, args.url) as url:
                figures[engine] = measure(folder / engine, url, args)
            said.append(sentence(engine, figures[engine], args.slots))
    publish("job queue", "; ".join(said), figures)


if __name__ == "__main__":
    main()
