"""Jobs with real worker processes, which are killed, stopped and woken."""

import asyncio
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue, changes
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.model import Job, JobRequest, JobStatus
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.supervisor import WorkerSupervisor

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 1.0


@pytest.fixture
def anyio_backend() -> str:
    """Name the backend for anyio's plugin."""
    return "asyncio"


pytestmark = pytest.mark.anyio


@dataclass
class House:
    """Both databases, a queue in this process, and the workers started beside it."""

    folder: Path
    library: Database
    queue: LocalJobQueue
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    supervisors: list[WorkerSupervisor] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.contract.worker_program", str(self.folder)]

    def start_worker(self, lease_seconds: float = LEASE_SECONDS) -> "subprocess.Popen[bytes]":
        env = os.environ | {"LEASE_SECONDS": str(lease_seconds), "PYTHONPATH": str(ROOT)}
        return self.start(self.command, env)

    def start(self, command: list[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, cwd=ROOT)
        self.workers.append(process)
        return process

    def supervise(self, lease_seconds: float = 10.0) -> WorkerSupervisor:
        store = self.queue.store
        supervisor = WorkerSupervisor(
            self.command,
            on_death=store.worker_died,
            is_silent=store.is_silent,
            env=os.environ | {"LEASE_SECONDS": str(lease_seconds), "PYTHONPATH": str(ROOT)},
        )
        self.supervisors.append(supervisor)
        supervisor.start()
        return supervisor

    async def submit(self, job_type: str, **payload: Any) -> Job:
        return (await self.queue.submit(JobRequest(type=job_type, payload=payload))).job

    def stop_between_commits(self, pid: int) -> bool:
        """Stop a process, unless it holds a lock just then, which nobody else would get past."""
        os.kill(pid, signal.SIGSTOP)
        for name in ("jobs.db", "library.db"):
            with closing(sqlite3.connect(self.folder / name, timeout=0.1)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    os.kill(pid, signal.SIGCONT)
                    return False
        return True

    def effects(self) -> list[tuple[str, int, int]]:
        """Give job, attempt and process of every effect."""
        with self.library.read() as connection:
            rows = connection.execute(select(changes).order_by(changes.c.seq)).all()
        return [(row.video_id, int(row.kind), int(row.state)) for row in rows]

    def close(self) -> None:
        for supervisor in self.supervisors:
            supervisor.stop()
        for worker in self.workers:
            worker.kill()
            worker.wait()
            if worker.stdin:
                worker.stdin.close()
        self.queue.close()
        self.queue.store.database.close()
        self.library.close()


def build(folder: Path, lease_seconds: float) -> House:
    database, library = open_sqlite(folder / "jobs.db"), open_sqlite(folder / "library.db")
    job_records.create_all(database.engine)
    catalogue.create_all(library.engine)
    return House(folder, library, LocalJobQueue(JobStore(database, lease_seconds=lease_seconds, catalogue=library)))


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """Give a house with short leases."""
    house = build(tmp_path, getattr(request, "param", LEASE_SECONDS))
    yield house
    house.close()


patient = pytest.mark.parametrize("house", [10.0], indirect=True)
"""Leases long enough that whatever happens at once does not happen through them."""


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_a_killed_workers_job_runs_again_when_its_lease_ends(house: House) -> None:
    """Another worker takes it over, without anyone asking; every effect of the second attempt is there once."""
    first = house.start_worker()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    first.kill()
    second = house.start_worker()
    ended = await house.queue.wait(job.id, 20)
    assert (ended.status, ended.attempt, ended.strikes) == (JobStatus.COMPLETE, 2, 0)
    assert ended.result == {"pid": second.pid}
    assert Counter(attempt for _, attempt, _ in house.effects())[2] == 20


@patient
async def test_a_starting_worker_takes_over_from_a_dead_process_at_once(house: House) -> None:
    """It does not wait for the lease of a process that is gone."""
    first = house.start_worker(10.0)
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    first.kill()
    first.wait()
    began = time.monotonic()
    house.start_worker(10.0)
    ended = await house.queue.wait(job.id, 20)
    assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)
    assert time.monotonic() - began < 8.0


@patient
async def test_a_supervised_worker_that_is_killed_is_replaced(house: House) -> None:
    """Its job goes on at once; nothing is held against a job that had stored something."""
    supervisor = house.supervise()
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    assert supervisor.alive
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    ended = await house.queue.wait(job.id, 20)
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
    ended = await house.queue.wait(poison.id, 30)
    assert (ended.status, ended.error_code) == (JobStatus.FAILED, "WORKER_DIED")
    assert (ended.attempt, ended.strikes) == (3, 3)
    assert "3 times" in (ended.error or "")
    for other in others:
        assert (await house.queue.wait(other.id, 20)).status is JobStatus.COMPLETE
    assert supervisor.restarts == 3


@patient
async def test_deaths_that_follow_an_effect_are_not_counted(house: House) -> None:
    """A job that gets on is not given up, however often its worker dies."""
    house.supervise()
    job = await house.submit("crash", store=4)
    ended = await house.queue.wait(job.id, 30)
    assert (ended.status, ended.attempt, ended.strikes) == (JobStatus.COMPLETE, 5, 0)


async def test_a_stopped_worker_that_wakes_up_cannot_write(house: House) -> None:
    """Neither in the catalogue nor in the job record."""
    first = house.start_worker()
    job = await house.submit("zombie", folder=str(house.folder))
    await until(lambda: len(house.effects()) == 1)
    await until(lambda: house.stop_between_commits(first.pid))
    second = house.start_worker()
    ended = await house.queue.wait(job.id, 20)
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
    supervisor = house.supervise(LEASE_SECONDS)
    job = await house.submit("steps", steps=20)
    await until(lambda: len(house.effects()) >= 3)
    stopped = supervisor.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    ended = await house.queue.wait(job.id, 30)
    assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)
    assert supervisor.pid != stopped


@patient
async def test_two_workers_share_jobs_and_run_each_once(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """200 jobs, 200 effects, one attempt each."""
    jobs = [await house.submit("quick", number=number) for number in range(200)]
    pids = {house.start_worker(10.0).pid, house.start_worker(10.0).pid}
    ended = [await house.queue.wait(job.id, 60) for job in jobs]
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.COMPLETE, 1)}
    effects = house.effects()
    assert sorted(job_id for job_id, _, _ in effects) == sorted(job.id for job in jobs)
    assert {pid for _, _, pid in effects} <= pids
    with capsys.disabled():
        sys.stdout.write(f"\n  jobs by worker: {sorted(Counter(pid for _, _, pid in effects).values())}\n")


@patient
async def test_how_soon_a_submit_is_picked_up(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """By an idle worker in another process; printed, since it says more about the machine than about the program."""
    house.start_worker(10.0)
    first = await house.submit("nothing")
    await house.queue.wait(first.id, 20)
    waits = []
    for number in range(40):
        job = await house.submit("nothing", number=number)
        ended = await house.queue.wait(job.id, 20)
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
    house.start_worker(10.0)
    assert (await house.queue.wait(job.id, 20)).status is JobStatus.COMPLETE


@patient
async def test_a_cancel_reaches_a_worker_in_another_process(house: House) -> None:
    """The handler ends within moments; what it stored stays."""
    house.start_worker(10.0)
    job = await house.submit("steps", steps=1000)
    await until(lambda: len(house.effects()) >= 3)
    await house.queue.cancel(job.id)
    began = time.monotonic()
    ended = await house.queue.wait(job.id, 20)
    assert ended.status is JobStatus.CANCELLED
    assert time.monotonic() - began < 15.0
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
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = house.start([sys.executable, "-c", SUPERVISE, *house.command], env)
    job = await house.submit("steps", steps=1000)
    await until(lambda: len(house.effects()) >= 1)
    worker = psutil.Process(house.effects()[0][2])
    parent.send_signal(number)
    await asyncio.to_thread(parent.wait)
    with suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(worker.wait, 10)
    assert (await house.queue.get(job.id)).status is JobStatus.PENDING
