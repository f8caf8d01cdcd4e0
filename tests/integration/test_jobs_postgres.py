"""Jobs on Postgres: waking by NOTIFY, a server that goes away, tables that do not agree, an engine that moves on."""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url, text

from stoat_ferret.db.engine import Database, open_postgres
from stoat_ferret.db.migrate import upgrade
from stoat_ferret.errors import StorageError, StorageUnreachableError
from stoat_ferret.jobs import stored
from stoat_ferret.jobs.model import Claim, JobOutcome, JobRequest, JobStatus, Wanted
from stoat_ferret.jobs.postgres import PostgresJobQueue, install_engine, schema
from stoat_ferret.jobs.postgres import queue as listening
from tests.contract.job_house import House, build, until
from tests.postgres import PostgresServer, RestartableServer, restartable_server

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

HANG_SECONDS = 60.0
COMPLETE = JobOutcome(status=JobStatus.COMPLETE)
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
TOKENS = "SELECT queueing_lock, status::text, priority, scheduled_at, queue_name FROM procrastinate_jobs ORDER BY id"


@pytest.fixture
def anyio_backend() -> str:
    """Name the backend for anyio's plugin."""
    return "asyncio"


@pytest.fixture
def house(tmp_path: Path, postgres_database: URL) -> Iterator[House]:
    """Give a house with leases as they are by default."""
    house = build(tmp_path, 10.0, postgres_database)
    yield house
    house.close()


@pytest.fixture
def queue(house: House) -> PostgresJobQueue:
    """Give the queue alone."""
    assert isinstance(house.queue, PostgresJobQueue)
    return house.queue


def ask(house: House, query: str) -> list[Any]:
    with house.queue.store.database.read() as connection:
        # A % is none of the driver's placeholders.
        found = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
        return [tuple(row) for row in found]


def do(house: House, statement: str, *values: str) -> None:
    with house.queue.store.database.write() as connection:
        connection.exec_driver_sql(statement, values)


async def claim(queue: PostgresJobQueue, wanted: Wanted | None = None) -> Claim:
    found = await queue.claim("worker", wanted or Wanted())
    assert found is not None
    return found


class TestWaking:
    async def test_another_processes_submit_wakes_by_itself(
        self, house: House, queue: PostgresJobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With nobody looking every second."""
        monkeypatch.setattr(stored, "CLOCK_SECONDS", 3600.0)
        queue._watch()
        await until(lambda: ask(house, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") != [])
        waiting = asyncio.create_task(queue.wait_for_work(3600))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        submitter = asyncio.create_task(asyncio.to_thread(self._submit_elsewhere, house))
        async with asyncio.timeout(HANG_SECONDS):
            await waiting
        await submitter

    @staticmethod
    def _submit_elsewhere(house: House) -> None:
        assert house.url is not None
        other = type(house.queue.store)(open_postgres(make_url(house.url), "stoat_jobs"), lease_seconds=10.0)
        other.submit(JobRequest(type="scan", payload={}))
        other.database.close()

    async def test_a_worker_hears_of_a_job_and_its_end_is_heard_of(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """From one process to another and back; how soon is printed."""
        house.start_worker()
        await house.queue.wait((await house.submit("nothing")).id, HANG_SECONDS)
        there_and_back = []
        for number in range(30):
            began = time.monotonic()
            job = await house.submit("nothing", number=number)
            assert (await house.queue.wait(job.id, HANG_SECONDS)).status is JobStatus.COMPLETE
            there_and_back.append((time.monotonic() - began) * 1000)
        with capsys.disabled():
            median, worst = statistics.median(there_and_back), max(there_and_back)
            sys.stdout.write(f"\n  submit to known end on Postgres: median {median:.1f} ms, worst {worst:.1f} ms\n")

    async def test_listening_begins_again_when_its_connection_is_cut(
        self, house: House, queue: PostgresJobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what changed in between is looked for."""
        monkeypatch.setattr(stored, "CLOCK_SECONDS", 3600.0)
        monkeypatch.setattr(listening, "RECONNECT_SECONDS", 0.1)
        listeners = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        queue._watch()
        await until(lambda: ask(house, f"SELECT pid {listeners}") != [])
        first = ask(house, f"SELECT pid {listeners}")
        waiting = asyncio.create_task(queue.wait_for_work(3600))
        await asyncio.sleep(0.1)
        ask(house, f"SELECT pg_terminate_backend(pid) {listeners}")
        await until(lambda: ask(house, f"SELECT pid {listeners}") not in ([], first))
        await asyncio.to_thread(self._submit_elsewhere, house)
        async with asyncio.timeout(HANG_SECONDS):
            await waiting


class TestTokens:
    async def test_a_job_has_a_token_while_it_waits_and_runs(self, house: House, queue: PostgresJobQueue) -> None:
        """One that says so, whose number the record knows; none once it has ended."""
        job = await house.submit("scan")
        assert ask(house, TOKENS) == [(job.id, "todo", 0, None, "scan")]
        running = await claim(queue)
        assert ask(house, TOKENS) == [(job.id, "doing", 0, None, "scan")]
        assert ask(house, "SELECT id FROM procrastinate_jobs") == [(running.engine_id,)]
        assert ask(house, "SELECT engine_id FROM jobs") == [(running.engine_id,)]
        await queue.finish(running, COMPLETE)
        assert ask(house, TOKENS) == []
        assert ask(house, "SELECT 1 FROM procrastinate_events") == []

    async def test_a_job_that_comes_back_keeps_its_token(self, house: House, queue: PostgresJobQueue) -> None:
        """And with it its place among the others."""
        await house.submit("scan", number=1)
        await house.submit("scan", number=2)
        first = await claim(queue)
        await queue.release(first)
        again = await claim(queue)
        assert (again.job.id, again.engine_id) == (first.job.id, first.engine_id)

    async def test_joining_moves_the_token_that_waits(self, house: House, queue: PostgresJobQueue) -> None:
        """It is never the job's second."""
        await queue.submit(JobRequest(type="scan", payload={}, run_after=4_000_000_000_000_000))
        ((_, _, priority, scheduled_at, _),) = ask(house, TOKENS)
        assert (priority, scheduled_at.year) == (0, 2096)
        await queue.submit(JobRequest(type="scan", payload={}, priority=3))
        ((_, _, priority, scheduled_at, _),) = ask(house, TOKENS)
        assert (priority, scheduled_at) == (3, None)

    async def test_joining_makes_no_token_and_no_job(self, house: House, queue: PostgresJobQueue) -> None:
        """Though what would offer a new job is sent together with what finds that there is an equal one."""
        made = await queue.submit(JobRequest(type="scan", payload={}))
        joined = await queue.submit(JobRequest(type="scan", payload={}))
        assert (joined.job, joined.joined) == (made.job, True)
        assert ask(house, TOKENS) == [(made.job.id, "todo", 0, None, "scan")]
        assert ask(house, "SELECT id FROM jobs") == [(made.job.id,)]

    async def test_the_server_says_when_a_job_was_made(self, house: House, queue: PostgresJobQueue) -> None:
        """Several machines submit, whose clocks need not agree."""
        since = ask(house, CLOCK)
        made = await queue.submit(JobRequest(type="scan", payload={}))
        assert since <= [(made.job.created_at,)] <= ask(house, CLOCK)

    async def test_the_names_of_queues_fit_into_those_of_channels(self, house: House, queue: PostgresJobQueue) -> None:
        """However long type, place and key are; jobs that can only be taken together share one."""
        for number in range(2):
            request = JobRequest(
                type="t" * 32, payload={"n": number}, place="/p" * 500, exclusive_key=f"k{number}" * 500
            )
            await queue.submit(request)
        names = {name for *_, name in ask(house, TOKENS)}
        assert len(names) == 2
        assert {len(name) for name in names} == {40}
        await claim(queue)
        await claim(queue)

    async def test_what_was_changed_from_outside_is_put_right(self, house: House, queue: PostgresJobQueue) -> None:
        """Jobs without tokens, tokens without jobs, tokens that nobody runs: as after a restore of some tables."""
        lost = await house.submit("lost")
        gone = await house.submit("gone")
        ended = await house.submit("ended")
        held = await house.submit("held")
        await claim(queue, Wanted(without_types=frozenset({"lost", "gone", "ended"})))
        do(house, "DELETE FROM procrastinate_jobs WHERE queueing_lock = %s", lost.id)
        do(house, "DELETE FROM jobs WHERE id = %s", gone.id)
        do(house, "UPDATE jobs SET status = 'cancelled' WHERE id = %s", ended.id)
        do(house, "UPDATE jobs SET status = 'pending', engine_id = NULL WHERE id = %s", held.id)
        await queue.sweep()
        tokens = [(job_id, status) for job_id, status, *_ in ask(house, TOKENS)]
        assert tokens == [(lost.id, "todo"), (held.id, "todo")]
        assert {(await claim(queue)).job.id for _ in range(2)} == {lost.id, held.id}
        assert await queue.claim("worker") is None

    async def test_a_claim_does_not_wait_for_the_sweeper(self, house: House, queue: PostgresJobQueue) -> None:
        """It makes the token that ought to be there, and passes over those that ought not."""
        lost = await house.submit("scan", number=1)
        ended = await house.submit("scan", number=2)
        do(house, "DELETE FROM procrastinate_jobs WHERE queueing_lock = %s", lost.id)
        do(house, "UPDATE jobs SET status = 'cancelled' WHERE id = %s", ended.id)
        assert (await claim(queue)).job.id == lost.id
        assert len(ask(house, TOKENS)) == 1

    async def test_a_worker_that_was_forgotten_is_known_again(self, house: House, queue: PostgresJobQueue) -> None:
        """As after an hour of silence; its claims go on."""
        await queue.heartbeat("worker")
        do(house, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 day'")
        await queue.sweep()
        assert ask(house, "SELECT id FROM procrastinate_workers") == []
        await house.submit("scan")
        await claim(queue)
        assert len(ask(house, "SELECT id FROM procrastinate_workers")) == 1
        await queue.dismiss("worker")
        assert ask(house, "SELECT id FROM procrastinate_workers") == []


class TestDeaths:
    async def test_a_killed_workers_job_runs_elsewhere(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        """On a worker that was there all the time, once the lease has ended; how soon is printed."""
        first, second = house.start_worker(), house.start_worker()
        job = await house.submit("steps", steps=60)
        await until(lambda: len(house.effects()) >= 3)
        (killed,) = [each for each in (first, second) if each.pid == house.effects()[0][2]]
        killed.kill()
        began = time.monotonic()
        await until(lambda: any(attempt == 2 for _, attempt, _ in house.effects()))
        taken_over = time.monotonic() - began
        ended = await house.queue.wait(job.id, HANG_SECONDS)
        assert (ended.status, ended.attempt) == (JobStatus.COMPLETE, 2)
        assert {pid for _, attempt, pid in house.effects() if attempt == 2} == {first.pid, second.pid} - {killed.pid}
        with capsys.disabled():
            sys.stdout.write(f"\n  a killed worker's job ran elsewhere after {taken_over:.1f} s (lease 10 s)\n")

    async def test_a_restart_of_the_server_loses_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Under load: each job that was recorded is done, each of its last attempt's effects once."""
        with restartable_server() as server, server.database(migrated=True) as url:
            house = build(tmp_path, 2.0, url)
            try:
                for _ in range(2):
                    house.start_worker()
                await until(lambda: ask(house, "SELECT count(*) FROM workers") == [(2,)])
                recorded, refused = await self._submit_over_restarts(house, server)
                for job_id in recorded:
                    ended = await self._end_of(house, job_id)
                    assert ended == JobStatus.COMPLETE
                attempts = {job_id: attempt for job_id, attempt, _ in house.effects()}
                last = [job_id for job_id, attempt, _ in house.effects() if attempt == attempts[job_id]]
                assert sorted(set(last)) == sorted(last)
                assert set(recorded) <= set(last)
                assert all(worker.poll() is None for worker in house.workers)
            finally:
                house.close()
            server.close()
        with capsys.disabled():
            sys.stdout.write(f"\n  2 restarts: {len(recorded)} jobs recorded and done, {refused} submits refused\n")

    @staticmethod
    async def _submit_over_restarts(house: House, server: RestartableServer) -> tuple[list[str], int]:
        recorded: list[str] = []
        refused = 0
        restarts = asyncio.create_task(asyncio.to_thread(_restart_twice, server))
        number = 0
        while not restarts.done() or number < 60:
            number += 1
            try:
                recorded.append((await house.submit("quick", number=number)).id)
            except StorageError:
                refused += 1
            await asyncio.sleep(0.02)
        await restarts
        return recorded, refused

    @staticmethod
    async def _end_of(house: House, job_id: str) -> JobStatus:
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            try:
                job = await house.queue.wait(job_id, 5)
            except StorageUnreachableError:
                continue
            if job.status.terminal:
                return job.status
        raise AssertionError(f"the job {job_id} did not end")


def _restart_twice(server: RestartableServer) -> None:
    for _ in range(2):
        time.sleep(0.7)
        server.restart(down_seconds=0.3)


class TestSchema:
    def test_the_migrations_that_are_missing_are_made_up_for(self, postgres: PostgresServer) -> None:
        """A database of an earlier Procrastinate comes to be like a new one."""
        with postgres.database() as old_url, postgres.database() as new_url:
            old, new = open_postgres(old_url, "stoat_jobs"), open_postgres(new_url, "stoat_jobs")
            try:
                for database in (old, new):
                    upgrade(database, "jobs")
                install_engine(new)
                done = list(schema.migrations())[:-5]
                with old.write() as connection:
                    connection.exec_driver_sql(schema.DONE)
                    for name in done:
                        schema._run(connection, schema.migrations()[name])
                        connection.execute(text("INSERT INTO procrastinate_migrations VALUES (:name)"), {"name": name})
                assert functions(old) != functions(new)
                install_engine(old)
                assert functions(old) >= functions(new)
                before = functions(new)
                for database in (old, new):
                    install_engine(database)
                assert functions(new) == before
            finally:
                old.close()
                new.close()


def functions(database: Database) -> set[str]:
    """Give the functions of the engine, with their arguments."""
    with database.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT proname || pg_get_function_identity_arguments(oid) FROM pg_proc "
            "WHERE pronamespace = current_schema()::regnamespace"
        )
        return set(found.scalars())
