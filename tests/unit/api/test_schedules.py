"""What is submitted by itself: once for each due moment, however many look, and however long nobody did."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import delete, update

from stoat_ferret.api.services.maintenance import MAINTENANCE_JOB_TYPE
from stoat_ferret.api.services.requests import BY_ITSELF, UPKEEP
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE
from stoat_ferret.api.services.schedules import LONGEST_PAUSE_SECONDS, Scheduler, check_settings
from stoat_ferret.api.services.verify import read_options
from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import libraries
from stoat_ferret.errors import ConfigurationError, StorageBusyError
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.runtime import open_runtime
from stoat_ferret.scan.verify import VerifyOptions
from stoat_ferret.settings import Settings
from tests.contract.job_queues import Clock
from tests.factories import make_catalogue, make_settings

HOUR = 3600.0


@dataclass
class World:
    """Some worker processes' queues and schedulers on the same databases, and a clock that only tests move."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    fields: dict[str, Any] = field(default_factory=lambda: {"maintenance_schedule": ""})
    open_files: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        # The clock starts at a whole hour, so that lines are easy to reckon with in any zone of whole hours.
        self.clock.now = int(datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
        self.catalogue = make_catalogue(self.folder / "library.db")
        self.open_files.callback(self.catalogue.close)
        self.repository = LibraryRepository(self.catalogue)
        self.queue = self.open_queue()

    def open_queue(self) -> LocalJobQueue:
        """Open the jobs as another process would."""
        database = open_sqlite(self.folder / "jobs.db")
        self.open_files.callback(database.close)
        job_records.create_all(database.engine)
        queue = LocalJobQueue(JobStore(database, lease_seconds=10, clock=self.clock))
        self.open_files.enter_context(closing(queue))
        return queue

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return make_settings(self.folder, **self.fields)

    def scheduler(self, queue: LocalJobQueue | None = None) -> Scheduler:
        """Give one as a process that starts now has it."""
        return Scheduler(queue or self.queue, self.repository, self.settings, clock=self.clock)

    def add_library(self, name: str, schedule: str | None) -> str:
        """Make a library; gives its id."""
        with self.catalogue.write() as connection:
            library = self.repository.add_library(connection, os.fsencode(f"/videos/{name}"), 0.5)
        self.repository.update_library(library.id, schedule=schedule)
        return library.id

    async def jobs(self) -> list[Job]:
        """Give all jobs, oldest first."""
        return list(reversed((await self.queue.list(limit=200)).jobs))

    async def run_all(self) -> None:
        """Let every job that waits be done."""
        while claim := await self.queue.claim("worker"):
            await self.queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One, in UTC or wherever the machine is."""
    made = World(tmp_path)
    with made.open_files:
        yield made


@pytest.fixture
def told(world: World) -> Iterator[list[Any]]:
    """What is logged."""
    with structlog.testing.capture_logs() as logs:
        yield logs


def test_each_due_moment_brings_one_job_however_many_look(world: World) -> None:
    """Five workers look at the same instants, for a working day of quarter hours."""
    world.add_library("a", "*/15 * * * *")
    world.add_library("b", "0 * * * *")

    async def eight_hours() -> list[Job]:
        schedulers = [world.scheduler(world.open_queue()) for _ in range(5)]
        for _ in range(8 * 12 + 1):
            await asyncio.gather(*(scheduler.look() for scheduler in schedulers))
            await world.run_all()
            world.clock.advance(300)
        return await every_job(world)

    jobs = asyncio.run(eight_hours())
    counts = {path: sum(job.payload["path"] == path for job in jobs) for path in ("/videos/a", "/videos/b")}
    assert counts == {"/videos/a": 32, "/videos/b": 8}
    assert len({job.created_at for job in jobs}) == 32


async def every_job(world: World) -> list[Job]:
    """Give all jobs, page by page."""
    found: list[Job] = []
    cursor = None
    while True:
        page = await world.queue.list(limit=200, cursor=cursor)
        found += page.jobs
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_what_was_missed_while_nobody_looked_is_made_up_for_once(world: World) -> None:
    """At the next start, and not as often as it was missed."""
    world.add_library("a", "0 * * * *")

    async def scenario() -> list[int]:
        numbers = []
        for hours in (0, 0.5, 100, 0, 1):
            world.clock.advance(hours * HOUR)
            await world.scheduler().look()
            await world.run_all()
            numbers.append(len(await world.jobs()))
        return numbers

    assert asyncio.run(scenario()) == [0, 0, 1, 1, 2]


def test_what_is_submitted_is_an_ordinary_scan_behind_what_people_ask_for(world: World) -> None:
    """Of the whole library; and the maintenance is more patient still."""
    world.fields = {"maintenance_schedule": "0 * * * *", "job_timeouts": {"scan": 60.0, "maintenance": 30.0}}
    world.add_library("a", "0 * * * *")

    async def scenario() -> list[Job]:
        scheduler = world.scheduler()
        await scheduler.look()
        world.clock.advance(HOUR)
        await scheduler.look()
        return await world.jobs()

    jobs = {job.type: job for job in asyncio.run(scenario())}
    assert set(jobs) == {SCAN_JOB_TYPE, MAINTENANCE_JOB_TYPE}
    scan, maintenance = jobs[SCAN_JOB_TYPE], jobs[MAINTENANCE_JOB_TYPE]
    assert (scan.priority, scan.timeout_seconds) == (BY_ITSELF, 60.0)
    assert (maintenance.priority, maintenance.timeout_seconds) == (UPKEEP, 30.0)
    assert scan.payload["path"] == "/videos/a"
    assert scan.payload["recursive"] is True
    assert not any(scan.payload[name] for name in ("force", "accept_loss", "dry_run"))


def test_a_scan_that_still_waits_is_not_asked_for_twice(world: World) -> None:
    """A library that takes longer than its schedule is scanned again and again, not in a queue that grows."""
    world.add_library("a", "0 * * * *")

    async def scenario() -> int:
        scheduler = world.scheduler()
        for _ in range(10):
            await scheduler.look()
            world.clock.advance(HOUR)
        return len(await world.jobs())

    assert asyncio.run(scenario()) == 1


def names(world: World) -> dict[str, str]:
    """Give the schedules that the queue knows."""
    return {schedule.name: schedule.cron for schedule in asyncio.run(world.queue.schedules())}


def without_schedule(world: World, library_id: str) -> None:
    """Take the line away."""
    world.repository.update_library(library_id, schedule=None)


def without_library(world: World, library_id: str) -> None:
    """Take the library away."""
    with world.catalogue.write() as connection:
        connection.execute(delete(libraries).where(libraries.c.id == library_id))


@pytest.mark.parametrize("remove", [without_schedule, without_library])
def test_a_library_that_is_gone_or_has_no_schedule_any_more_is_forgotten(
    world: World, remove: Callable[[World, str], None]
) -> None:
    """And no job comes of what was due; others' schedules stay."""
    gone, stays = world.add_library("gone", "0 * * * *"), world.add_library("stays", "0 12 * * *")

    async def scenario() -> list[str]:
        scheduler = world.scheduler()
        await scheduler.look()
        remove(world, gone)
        world.clock.advance(HOUR)
        await scheduler.look()
        return [job.payload["path"] for job in await world.jobs()]

    paths = asyncio.run(scenario())
    assert "/videos/gone" not in paths
    assert names(world) == {f"library:{stays}": "0 12 * * *"}


def test_a_changed_line_counts_from_now_on(world: World) -> None:
    """What was due by the old one is not."""
    library = world.add_library("a", "30 * * * *")

    async def scenario() -> list[int]:
        scheduler, numbers = world.scheduler(), []
        await scheduler.look()
        world.repository.update_library(library, schedule="0 * * * *")
        for minutes in (31, 28, 2):
            world.clock.advance(minutes * 60)
            await scheduler.look()
            numbers.append(len(await world.jobs()))
        return numbers

    assert asyncio.run(scenario()) == [0, 0, 1]


def test_a_new_schedule_is_made_known_without_submitting_anything(world: World) -> None:
    """As the command line does right after a change; what is due stays due."""
    world.add_library("a", "0 * * * *")

    async def scenario() -> list[int]:
        scheduler, numbers = world.scheduler(), []
        for step in (scheduler.align, scheduler.align, scheduler.look):
            await step()
            numbers.append(len(await world.jobs()))
            world.clock.advance(HOUR)
        return numbers

    assert asyncio.run(scenario()) == [0, 0, 1]


def test_a_bad_line_in_the_database_stops_no_other(world: World, told: list[Any]) -> None:
    """It is told once, and what the library had before is due no more."""
    bad, good = world.add_library("bad", "30 * * * *"), world.add_library("good", "0 * * * *")

    async def scenario() -> list[str]:
        scheduler = world.scheduler()
        await scheduler.look()
        with world.catalogue.write() as connection:
            connection.execute(update(libraries).where(libraries.c.id == bad).values(schedule="0 25 * * *"))
        for _ in range(3):
            world.clock.advance(HOUR)
            await scheduler.look()
            await world.run_all()
        return [job.payload["path"] for job in await world.jobs()]

    assert asyncio.run(scenario()) == ["/videos/good"] * 3
    assert names(world) == {f"library:{good}": "0 * * * *"}
    [complaint] = [entry for entry in told if entry["log_level"] == "error"]
    assert complaint["schedule"] == f"library:{bad}"
    assert "'25'" in complaint["problem"]


def test_other_peoples_schedules_are_left_alone(world: World) -> None:
    """A newer version may have some."""

    async def scenario() -> None:
        request = JobRequest(type="other", payload={})
        await world.queue.fire("something else", "0 3 * * *", lambda after: after + 1, request)
        await world.scheduler().look()

    asyncio.run(scenario())
    assert names(world) == {"something else": "0 3 * * *"}


def test_contents_are_verified_by_themselves_as_the_settings_say(world: World) -> None:
    """What was not read for long, gently, a slice each time; behind what people ask for; never unless it is set."""
    world.fields |= {
        "verify_schedule": "0 * * * *",
        "verify_interval_days": 2.0,
        "verify_bytes_per_second": 1000.0,
        "verify_max_bytes": 5000,
    }

    async def scenario() -> list[Job]:
        await world.scheduler().look()
        world.clock.advance(HOUR)
        await world.scheduler().look()
        return await world.jobs()

    [job] = asyncio.run(scenario())
    assert (job.type, job.priority) == ("verify", BY_ITSELF)
    expected = VerifyOptions(mode="check", older_than_seconds=172_800.0, bytes_per_second=1000.0, max_bytes=5000)
    assert read_options(job.payload) == expected
    assert names(world) == {"verification": "0 * * * *"}
    world.fields = {"maintenance_schedule": "", "verify_schedule": ""}
    asyncio.run(world.scheduler().look())
    assert names(world) == {}


def test_the_maintenance_can_be_left_out(world: World) -> None:
    """An empty setting takes its schedule away again."""
    world.fields = {"maintenance_schedule": "30 3 * * *"}
    asyncio.run(world.scheduler().look())
    assert names(world) == {"maintenance": "30 3 * * *"}
    world.fields = {"maintenance_schedule": ""}
    asyncio.run(world.scheduler().look())
    assert names(world) == {}


def test_it_looks_again_when_the_next_is_due_but_soon_enough_for_what_is_new(world: World) -> None:
    """Within half a minute, not before a second has passed."""
    world.add_library("a", "0 * * * *")

    async def scenario() -> list[float]:
        scheduler, pauses = world.scheduler(), []
        for seconds in (0, HOUR - 10, 9.8, 0.2):
            world.clock.advance(seconds)
            pauses.append(await scheduler.look())
        return pauses

    assert asyncio.run(scenario()) == [LONGEST_PAUSE_SECONDS, 10.0, 1.0, LONGEST_PAUSE_SECONDS]


def test_a_database_that_cannot_be_used_is_tried_again(
    world: World, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler outlives it, and submits what was due meanwhile."""
    world.add_library("a", "0 * * * *")
    tries = 0
    plans = world.repository.scheduled_libraries

    def fail_at_first() -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StorageBusyError
        return plans()

    monkeypatch.setattr(world.repository, "scheduled_libraries", fail_at_first)
    monkeypatch.setattr("stoat_ferret.api.services.schedules.RETRY_SECONDS", 0.0)

    async def scenario() -> None:
        running = asyncio.create_task(world.scheduler().run())
        while not await world.queue.schedules():  # noqa: ASYNC110 - the database tells, and nobody else
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())
    assert any("trying again" in entry["event"] for entry in told)


def test_a_bad_line_in_the_settings_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the variable's name."""
    with pytest.raises(ConfigurationError, match=r"^STOAT_MAINTENANCE_SCHEDULE: The schedule 'daily' cannot be used"):
        check_settings(make_settings(tmp_path, maintenance_schedule="daily"))
    with pytest.raises(ConfigurationError, match="STOAT_VERIFY_SCHEDULE"):
        check_settings(make_settings(tmp_path, verify_schedule="61 * * * *"))
    check_settings(make_settings(tmp_path, maintenance_schedule=""))


def test_a_worker_looks_by_itself(tmp_path: Path) -> None:
    """And does what was due when it started; nobody has to ask."""
    (tmp_path / "videos").mkdir()
    runtime = open_runtime(make_settings(tmp_path / "data", maintenance_schedule=""))
    with runtime.catalogue.write() as connection:
        library = runtime.repository.add_library(connection, os.fsencode(tmp_path / "videos"), 0.5)
    runtime.repository.update_library(library.id, schedule="0 3 * * *")

    async def work() -> Job:
        overdue = JobRequest(type="scan", payload={})
        await runtime.queue.fire(f"library:{library.id}", "0 3 * * *", lambda _after: 1, overdue)
        stop = asyncio.Event()
        worker = asyncio.create_task(runtime.worker().run(stop))
        [job] = await runtime.queue.changed_since(0, timeout_seconds=60)
        job = await runtime.queue.wait(job.id, 60)
        stop.set()
        await worker
        return job

    try:
        job = asyncio.run(work())
    finally:
        runtime.close()
    assert (job.type, job.status, job.priority) == (SCAN_JOB_TYPE, JobStatus.COMPLETE, BY_ITSELF)
    assert job.payload["path"] == str(tmp_path / "videos")
