"""How urgent jobs are, and how long they may take."""

import asyncio
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stoat_ferret import paths
from stoat_ferret.api.services.again import request_anew
from stoat_ferret.api.services.maintenance import maintenance_request
from stoat_ferret.api.services.parts import QueueDistributor
from stoat_ferret.api.services.requests import (
    ASKED_FOR,
    ASKED_FOR_PART,
    BY_ITSELF,
    NOTICED,
    UPKEEP,
    with_settings,
)
from stoat_ferret.api.services.scan import prepare_scan, scan_request
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.runtime import Runtime, open_runtime
from stoat_ferret.scan.scope import ScanOptions
from tests.factories import make_settings, put


def test_what_somebody_waits_for_comes_first() -> None:
    """Then what a schedule brings, then upkeep."""
    assert ASKED_FOR_PART > NOTICED > ASKED_FOR > BY_ITSELF > UPKEEP


def test_a_time_limit_holds_for_its_type_only(tmp_path: Path) -> None:
    """The others take as long as they need."""
    settings = make_settings(tmp_path, job_timeouts={"scan": 7200.0})
    scan, other = (
        with_settings(JobRequest(type=name, payload={}), settings, priority=3) for name in ("scan", "maintenance")
    )
    assert (scan.timeout_seconds, scan.priority) == (7200.0, 3)
    assert other.timeout_seconds is None


async def _submit_scan(runtime: Runtime, path: Path) -> Job:
    request = await prepare_scan(ScanOptions(path=os.fsencode(path)), runtime.settings, runtime.repository)
    return (await runtime.queue.submit(request)).job


def test_a_scan_that_was_asked_for_carries_both(tmp_path: Path) -> None:
    """Through the runtime, into the record."""
    put(tmp_path / "v" / "a.mp4")
    runtime = open_runtime(make_settings(tmp_path / "data", job_timeouts={"scan": 60.0}))

    async def submit_cancel_and_retry() -> list[Job]:
        job = await _submit_scan(runtime, tmp_path / "v")
        await runtime.queue.cancel(job.id)
        return [job, await _again(runtime, job)]

    try:
        for job in asyncio.run(submit_cancel_and_retry()):
            assert (job.priority, job.timeout_seconds) == (ASKED_FOR, 60.0)
    finally:
        runtime.close()


async def _again(runtime: Runtime, job: Job) -> Job:
    anew = partial(request_anew, settings=runtime.settings, repository=runtime.repository)
    return (await runtime.queue.retry(job.id, anew)).job


def test_what_is_done_again_is_asked_for_under_the_settings_of_now(tmp_path: Path) -> None:
    """By a person, and of the libraries of now: a scheduled scan that timed out need not do so again."""
    put(tmp_path / "v" / "w" / "a.mp4")
    folder = os.fsencode(tmp_path / "v" / "w")
    runtime = open_runtime(make_settings(tmp_path / "data"))
    repository, queue = runtime.repository, runtime.queue

    async def scenario() -> None:
        request = replace(scan_request(ScanOptions(path=folder), repository), timeout_seconds=5.0)
        scheduled = (await queue.submit(request)).job
        claim = await queue.claim("worker")
        assert claim is not None
        await queue.finish(claim, JobOutcome(status=JobStatus.TIMEOUT))
        with repository.database.write() as connection:
            above = repository.add_library(connection, os.fsencode(tmp_path / "v"), 0.5)
        again = await _again(runtime, scheduled)
        assert (again.payload, again.retry_of) == (scheduled.payload, scheduled.id)
        assert (again.priority, again.timeout_seconds) == (ASKED_FOR_PART, None)
        await queue.claim("worker")
        await queue.submit(scan_request(ScanOptions(path=above.path_bytes), repository))
        assert await queue.claim("other") is None, "it excludes scans of what its folder belongs to now"

    try:
        asyncio.run(scenario())
    finally:
        runtime.close()


def test_a_scan_that_would_be_refused_now_is_not_done_again(tmp_path: Path) -> None:
    """Nor is a maintenance as unhurried as the one of the night."""
    put(tmp_path / "v" / "a.mp4")
    runtime = open_runtime(make_settings(tmp_path / "data"))

    async def scenario() -> None:
        scan = await _submit_scan(runtime, tmp_path / "v")
        nightly = (await runtime.queue.submit(maintenance_request(runtime.settings))).job
        for job in (scan, nightly):
            await runtime.queue.cancel(job.id)
        again = await _again(runtime, nightly)
        assert (again.type, again.priority) == ("maintenance", ASKED_FOR)
        (tmp_path / "v").rename(tmp_path / "away")
        with pytest.raises(InvalidPathError):
            await _again(runtime, scan)

    try:
        asyncio.run(scenario())
    finally:
        runtime.close()


def test_a_scan_that_takes_too_long_ends_as_a_timeout(tmp_path: Path) -> None:
    """A limit that is over before it begins ends any scan, on a worker as the settings make it."""
    put(tmp_path / "v" / "a.mp4")
    settings = make_settings(tmp_path / "data", job_timeouts={"scan": 0.000_001}, maintenance_schedule="")
    runtime = open_runtime(settings)

    async def work() -> Job:
        job = await _submit_scan(runtime, tmp_path / "v")
        stop = asyncio.Event()
        worker = asyncio.create_task(runtime.worker().run(stop))
        job = await runtime.queue.wait(job.id, 60)
        stop.set()
        await worker
        return job

    try:
        job = asyncio.run(work())
        assert (job.status, job.error_code) == (JobStatus.TIMEOUT, "TIMEOUT")
        assert "1e-06 seconds it may take" in (job.error or "")
    finally:
        runtime.close()


def test_a_part_of_a_scan_has_the_limit_of_its_own_type(tmp_path: Path) -> None:
    """And is as urgent as the scan."""
    settings = make_settings(tmp_path / "data", job_timeouts={"scan": 7200.0, "probe": 60.0})

    async def part_off(queue: AsyncJobQueue) -> Job:
        payload = {"path_bytes": paths.encode_base64(os.fsencode(tmp_path))}
        await queue.submit(JobRequest(type="scan", payload=payload, priority=7))
        claim = await queue.claim("worker")
        assert claim is not None
        context = JobContext(claim, None)
        distributor = QueueDistributor(queue, asyncio.get_running_loop(), claim.job, context, settings)
        await asyncio.to_thread(distributor.submit, {"folders": []})
        [part] = (await queue.list(parent_id=claim.job.id)).jobs
        return part

    runtime = open_runtime(settings)
    try:
        part = asyncio.run(part_off(runtime.queue))
        assert (part.type, part.priority, part.timeout_seconds) == ("probe", 7, 60.0)
    finally:
        runtime.close()


@pytest.mark.parametrize(("limits", "running"), [({}, 3), ({"a": 1}, 2), ({"a": 2, "b": 1}, 3)])
def test_a_limit_holds_over_all_workers(tmp_path: Path, limits: dict[str, int], running: int) -> None:
    """Two jobs of one type and one of another are there; so many are claimed at once."""
    runtime = open_runtime(make_settings(tmp_path, job_limits=limits))

    async def claim_all(queue: AsyncJobQueue) -> int:
        for number, name in enumerate(("a", "a", "b")):
            await queue.submit(JobRequest(type=name, payload={"number": number}))
        claims = [await queue.claim(f"worker {number}") for number in range(4)]
        return sum(claim is not None for claim in claims)

    try:
        assert asyncio.run(claim_all(runtime.queue)) == running
    finally:
        runtime.close()


def test_no_two_maintenances_run_at_a_time(tmp_path: Path) -> None:
    """A second request joins one that waits, and waits for one that runs."""
    runtime = open_runtime(make_settings(tmp_path))

    async def ask(queue: AsyncJobQueue) -> tuple[bool, bool]:
        await queue.submit(maintenance_request(runtime.settings))
        joined = (await queue.submit(maintenance_request(runtime.settings, priority=ASKED_FOR))).joined
        assert await queue.claim("one") is not None
        await queue.submit(maintenance_request(runtime.settings))
        return joined, await queue.claim("other") is None

    try:
        assert asyncio.run(ask(runtime.queue)) == (True, True)
    finally:
        runtime.close()
