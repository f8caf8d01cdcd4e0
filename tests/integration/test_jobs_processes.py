"""Jobs with real worker processes, which are killed, stopped and woken."""

import asyncio
import os
import signal
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import URL

from stoat_ferret.jobs.model import JobStatus
from tests.contract.job_house import House, build, until

LEASE_SECONDS = 1.0


@pytest.fixture
def anyio_backend() -> str:
    """Name the backend for anyio's plugin."""
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture
def lease_seconds() -> float:
    """Give the length of a lease: short."""
    return LEASE_SECONDS


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.postgres)])
def house(tmp_path: Path, lease_seconds: float, request: pytest.FixtureRequest) -> Iterator[House]:
    """Give a house on each kind of database."""
    url: URL | None = request.getfixturevalue("postgres_database") if request.param == "postgres" else None
    house = build(tmp_path, lease_seconds, url)
    yield house
    house.close()


patient = pytest.mark.parametrize("lease_seconds", [3600.0])
"""Leases, and pauses between renewals, so long that whatever happens does not happen through them."""


async def test_a_killed_workers_job_runs_again_when_its_lease_ends(house: House) -> None:
    """Another worker takes it over, without anyone asking; every effect of the second attempt is there once."""
    first = house.start_worker()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    first.kill()
    second = house.start_worker()
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt, ended.strikes) == (JobStatus.COMPLETE, 2, 0)
    assert ended.result == {"pid": second.pid}
    assert Counter(attempt for _, attempt, _ in house.effects())[2] == 20


@patient
async def test_a_starting_worker_takes_over_from_a_dead_process_at_once(house: House) -> None:
    """It does not wait for the lease of a process that is gone."""
    first = house.start_worker()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    first.kill()
    first.wait()
    house.start_worker()
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)


@patient
async def test_a_supervised_worker_that_is_killed_is_replaced(house: House) -> None:
    """Its job goes on at once; nothing is held against a job that had stored something."""
    supervisor = house.supervise()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    assert supervisor.alive
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt, ended.strikes) == (JobStatus.COMPLETE, 2, 0)
    assert supervisor.restarts == 1
    assert supervisor.last_exit is not None
    assert "SIGKILL" in supervisor.last_exit


@patient
async def test_a_job_that_kills_every_worker_is_given_up(house: House) -> None:
    """After three deaths without anything stored; the jobs around it are done."""
    supervisor = house.supervise()
    poison = await house.submit("crash")
    others = [await house.submit("quick", number=number) for number in range(3)]
    ended = await house.queue.wait(poison.id, 60)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "WORKER_DIED")
    assert (ended.attempt, ended.strikes) == (3, 3)
    assert "3 times" in (ended.error or "")
    for other in others:
        assert (await house.queue.wait(other.id, 60)).status is JobStatus.COMPLETE
    assert supervisor.restarts == 3


@patient
async def test_deaths_that_follow_an_effect_are_not_counted(house: House) -> None:
    """A job that gets on is not given up, however often its worker dies."""
    house.supervise()
    job = await house.submit("crash", store=4)
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt, ended.strikes) == (JobStatus.COMPLETE, 5, 0)


async def test_a_stopped_worker_that_wakes_up_cannot_write(house: House) -> None:
    """Neither in the catalogue nor in the job record."""
    first = house.start_worker()
    job = await house.submit("zombie", folder=str(house.folder))
    await until(lambda: len(house.effects()) == 1)
    await until(lambda: house.stop_between_commits(first.pid))
    second = house.start_worker()
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt, ended.result) == (JobStatus.COMPLETE, 2, {"pid": second.pid})

    (house.folder / "go").touch()
    os.kill(first.pid, signal.SIGCONT)
    await until((house.folder / "fenced").exists)
    assert first.stdin is not None
    first.stdin.close()
    assert await asyncio.to_thread(first.wait) == 0
    assert house.effects() == [(job.id, 1, first.pid), (job.id, 2, second.pid)]
    assert await house.queue.get(job.id) == ended


async def test_a_stopped_worker_is_killed_by_its_supervisor(house: House) -> None:
    """It could hold a lock on the database for ever."""
    supervisor = house.supervise()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    stopped = supervisor.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)
    assert supervisor.pid != stopped


@patient
async def test_two_workers_share_jobs_and_run_each_once(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """200 jobs, 200 effects, one attempt each."""
    jobs = [await house.submit("quick", number=number) for number in range(200)]
    pids = {house.start_worker().pid, house.start_worker().pid}
    ended = [await house.queue.wait(job.id, 60) for job in jobs]
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.COMPLETE, 1)}
    effects = house.effects()
    assert sorted(job_id for job_id, _, _ in effects) == sorted(job.id for job in jobs)
    assert {pid for _, _, pid in effects} <= pids
    with capsys.disabled():
        sys.stdout.write(f"\n  jobs by worker: {sorted(Counter(pid for _, _, pid in effects).values())}\n")


async def test_a_blocked_event_loop_costs_the_job_and_nothing_else(house: House) -> None:
    """It renews no lease meanwhile, so another worker runs the job; what the first one does then is refused."""
    first = house.start_worker()
    job = await house.submit("block", folder=str(house.folder), seconds=LEASE_SECONDS * 4)
    await until((house.folder / "blocked").exists)
    second = house.start_worker()
    ended = await house.queue.wait(job.id, 60)
    assert (ended.status, ended.attempt, ended.result) == (JobStatus.COMPLETE, 2, {"pid": second.pid})
    probe = await house.submit("nothing", after="the block")
    assert (await house.queue.wait(probe.id, 60)).status is JobStatus.COMPLETE
    for worker in (first, second):
        assert worker.stdin is not None
        worker.stdin.close()
        assert await asyncio.to_thread(worker.wait) == 0
    assert house.effects() == [(job.id, 2, second.pid)]
    assert await house.queue.get(job.id) == ended


@patient
async def test_how_soon_a_submit_is_picked_up(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """By an idle worker in another process; printed, since it says more about the machine than about the program."""
    house.start_worker()
    first = await house.submit("nothing")
    await house.queue.wait(first.id, 60)
    waits = []
    for number in range(40):
        job = await house.submit("nothing", number=number)
        ended = await house.queue.wait(job.id, 60)
        assert ended.started_at is not None
        waits.append((ended.started_at - ended.created_at) / 1000)
    with capsys.disabled():
        sys.stdout.write(f"\n  pickup: median {statistics.median(waits):.1f} ms, worst {max(waits):.1f} ms\n")


@patient
async def test_an_orderly_stop_hands_jobs_back(house: House) -> None:
    """They are pending again, not cancelled, and the next worker finishes them."""
    supervisor = house.supervise()
    job = await house.submit("steps", steps=40)
    await until(lambda: len(house.effects()) >= 3)
    pid = supervisor.pid
    await asyncio.to_thread(supervisor.stop)
    assert not supervisor.alive
    assert supervisor.last_exit == f"The worker (process {pid}) ended with status 0."
    handed_back = await house.queue.get(job.id)
    assert (handed_back.status, handed_back.attempt, handed_back.strikes) == (JobStatus.PENDING, 1, 0)
    assert await house.queue.live_workers() == ()
    house.start_worker()
    assert (await house.queue.wait(job.id, 60)).status is JobStatus.COMPLETE


@patient
async def test_a_cancel_reaches_a_worker_in_another_process(house: House) -> None:
    """The handler ends long before its lease is renewed; what it stored stays."""
    house.start_worker()
    job = await house.submit("steps", steps=1000)
    await until(lambda: len(house.effects()) >= 3)
    await house.queue.cancel(job.id)
    ended = await house.queue.wait(job.id, 60)
    assert ended.status is JobStatus.CANCELLED
    stored = len(house.effects())
    await asyncio.sleep(0.2)
    assert len(house.effects()) == stored


SUPERVISE = """
import sys, threading
from stoat_ferret.jobs.supervisor import WorkerSupervisor
supervisor = WorkerSupervisor(sys.argv[1:], on_death=print)
supervisor.start()
threading.Event().wait()
"""


@patient
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_worker_outlives_its_supervisor(house: House, number: signal.Signals) -> None:
    """Its input ends however the supervisor's process does; it then stops in good order."""
    parent = house.start([sys.executable, "-c", SUPERVISE, *house.command])
    job = await house.submit("steps", steps=1000)
    await until(lambda: len(house.effects()) >= 1)
    worker = psutil.Process(house.effects()[0][2])
    parent.send_signal(number)
    await asyncio.to_thread(parent.wait)
    with suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(worker.wait, 60)
    assert (await house.queue.get(job.id)).status is JobStatus.PENDING
