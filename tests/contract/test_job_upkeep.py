"""What every job queue promises about keys, doing again, deleting, following, schedules, retention and numbers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.errors import (
    IdempotencyKeyReusedError,
    JobNotFinishedError,
    JobNotFoundError,
    JobNotRetryableError,
    StorageFullError,
)
from stoat_ferret.jobs import stored
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, OnceKey, Trimmed, WorkerProfile
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.jobs.stored import StoredJobQueue
from tests.contract.job_queues import LEASE_SECONDS, QUEUES, Stage, stage_of

pytestmark = pytest.mark.anyio

COMPLETE = JobOutcome(status=JobStatus.COMPLETE)
FAILED = JobOutcome(status=JobStatus.FAILED, error="It broke.", error_code="BROKEN")
HOUR_US = 3_600_000_000


@pytest.fixture(params=QUEUES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Give each kind of queue in turn."""
    with stage_of(request, tmp_path) as stage:
        yield stage


@pytest.fixture
def queue(stage: Stage) -> AsyncJobQueue:
    """Give the queue alone."""
    return stage.queue


def ask(name: str = "a", **options: Any) -> JobRequest:
    return JobRequest(type="scan", payload={"path": name}, **options)


async def submit(queue: AsyncJobQueue, name: str = "a", **options: Any) -> Job:
    return (await queue.submit(ask(name, **options))).job


async def claim(queue: AsyncJobQueue) -> Claim:
    found = await queue.claim("worker")
    assert found is not None
    return found


async def ended(queue: AsyncJobQueue, outcome: JobOutcome = COMPLETE, name: str = "a", **options: Any) -> Job:
    """Give a job that was run to an end."""
    await submit(queue, name, **options)
    return await queue.finish(await claim(queue), outcome)


async def with_parts(queue: AsyncJobQueue, parts: int, once: OnceKey | None = None, *, name: str = "a") -> str:
    """Give a job that has ended, and its parts with it."""
    await queue.submit(ask(name), once)
    claimed = await claim(queue)
    for number in range(parts):
        await submit(queue, f"{name} {number}", parent_id=claimed.job.id)
    return (await queue.finish(claimed, COMPLETE)).id


async def anew(job: Job) -> JobRequest:
    """Ask for what a job was asked for."""
    return JobRequest(type=job.type, payload=job.payload)


async def never(_job: Job) -> JobRequest:
    raise AssertionError


def key(fingerprint: str = "f", name: str = "k", scope: str = "s") -> OnceKey:
    return OnceKey(scope=scope, key=name, fingerprint=fingerprint)


class TestOnceKeys:
    async def test_the_same_submit_is_done_once(self, queue: AsyncJobQueue) -> None:
        """The second one gets the first one's job as it stands, though that is not pending any more."""
        first = await queue.submit(ask(), key())
        assert not first.replayed
        job = await queue.finish(await claim(queue), COMPLETE)
        again = await queue.submit(ask(), key())
        assert (again.job, again.replayed, again.joined) == (job, True, False)
        assert await queue.recall(key()) == job
        assert await queue.claim("worker") is None

    async def test_another_request_under_the_key_is_refused(self, queue: AsyncJobQueue) -> None:
        """Nothing is recorded; the message names the key."""
        await queue.submit(ask(), key())
        for call in (queue.submit(ask("b"), key("g")), queue.recall(key("g"))):
            with pytest.raises(IdempotencyKeyReusedError, match="'k'"):
                await call
        assert len((await queue.list()).jobs) == 1

    async def test_keys_are_each_callers_own(self, queue: AsyncJobQueue) -> None:
        """And a key that was not used recalls nothing."""
        await queue.submit(ask(), key())
        assert await queue.recall(key(scope="t")) is None
        assert await queue.recall(key(name="l")) is None
        other = await queue.submit(ask("b"), key(scope="t"))
        assert not other.replayed

    async def test_many_at_once_make_one_job(self, queue: AsyncJobQueue) -> None:
        """Also of what would not be joined."""
        requests = [ask(key=f"own {number}") for number in range(10)]
        made = await asyncio.gather(*(queue.submit(request, key()) for request in requests))
        assert len({submission.job.id for submission in made}) == 1
        assert sorted(submission.replayed for submission in made) == [False] + [True] * 9

    async def test_a_key_is_forgotten_with_its_job(self, queue: AsyncJobQueue) -> None:
        """There is nothing any more that could be given again."""
        submission = await queue.submit(ask(), key())
        await queue.cancel(submission.job.id)
        await queue.delete(submission.job.id)
        assert await queue.recall(key()) is None
        assert not (await queue.submit(ask(), key())).replayed


class TestRetrying:
    async def test_what_failed_is_done_again(self, queue: AsyncJobQueue) -> None:
        """By a new job, as it would be asked for now, which names the old one; that one stays."""
        old = await ended(queue, FAILED, priority=3, place="/p", timeout_seconds=9.0)

        async def otherwise(job: Job) -> JobRequest:
            assert job == old
            return ask(priority=5, place="/q", timeout_seconds=1.0)

        new = (await queue.retry(old.id, otherwise)).job
        assert new.id != old.id
        assert (new.retry_of, new.payload, new.priority, new.place) == (old.id, old.payload, 5, "/q")
        assert (new.timeout_seconds, new.status, new.attempt) == (1.0, JobStatus.PENDING, 0)
        assert await queue.get(old.id) == old

    async def test_an_equal_pending_job_is_joined(self, queue: AsyncJobQueue) -> None:
        """Also by what was handed back once, whose key had become its own."""
        await submit(queue)
        await queue.release(await claim(queue))
        old = await queue.finish(await claim(queue), FAILED)
        waiting = await submit(queue)
        submission = await queue.retry(old.id, anew)
        assert (submission.joined, submission.job.id) == (True, waiting.id)

    async def test_the_same_retry_is_done_once(self, queue: AsyncJobQueue) -> None:
        """Under a key."""
        old = await ended(queue, FAILED)
        first = await queue.retry(old.id, anew, key())
        await queue.finish(await claim(queue), FAILED)
        again = await queue.retry(old.id, anew, key())
        assert (again.job.id, again.replayed) == (first.job.id, True)

    async def test_what_is_not_over_or_was_done_is_not_retried(self, queue: AsyncJobQueue) -> None:
        """Nor a part of another job."""
        pending = await submit(queue, "b")
        running = (await claim(queue)).job
        part = await submit(queue, "c", parent_id=running.id)
        await queue.cancel(part.id)
        complete = await ended(queue)
        for job in (pending, complete, part):
            with pytest.raises(JobNotRetryableError, match=job.id):
                await queue.retry(job.id, never)
        with pytest.raises(JobNotFoundError):
            await queue.retry("unknown", never)


class TestFollowing:
    async def test_changes_come_in_their_order(self, queue: AsyncJobQueue) -> None:
        """Each job once, as it stands."""
        assert (await queue.last_revision(), await queue.changed_since(0)) == (0, ())
        first, second = await submit(queue, "a"), await submit(queue, "b")
        assert [job.id for job in await queue.changed_since(0)] == [first.id, second.id]
        running = await claim(queue)
        changed = await queue.changed_since(second.revision)
        assert changed == (running.job,)
        assert [job.id for job in await queue.changed_since(0)] == [second.id, first.id]
        assert [job.id for job in await queue.changed_since(0, limit=1)] == [second.id]
        assert await queue.last_revision() == running.job.revision

    async def test_a_change_is_waited_for(self, queue: AsyncJobQueue) -> None:
        """Until the time is over."""
        job = await submit(queue)
        assert await queue.changed_since(job.revision, timeout_seconds=0.05) == ()
        waiting = asyncio.create_task(queue.changed_since(job.revision, timeout_seconds=60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await queue.cancel(job.id)
        async with asyncio.timeout(30):
            assert [each.status for each in await waiting] == [JobStatus.CANCELLED]

    async def test_a_revision_is_never_given_twice(self, queue: AsyncJobQueue) -> None:
        """Not even when the newest job is gone: who had seen that would miss the next one."""
        old = await ended(queue)
        await queue.delete(old.id)
        assert await queue.last_revision() >= old.revision
        new = await submit(queue)
        assert new.revision > old.revision
        assert [job.id for job in await queue.changed_since(old.revision)] == [new.id]


class TestForgetting:
    async def test_an_ended_job_can_be_deleted(self, queue: AsyncJobQueue) -> None:
        """Once."""
        job = await ended(queue)
        await queue.delete(job.id)
        for call in (queue.get(job.id), queue.delete(job.id)):
            with pytest.raises(JobNotFoundError):
                await call

    async def test_an_unfinished_one_cannot(self, queue: AsyncJobQueue) -> None:
        """The answer names its status."""
        job = await submit(queue)
        with pytest.raises(JobNotFinishedError, match="pending"):
            await queue.delete(job.id)
        await claim(queue)
        with pytest.raises(JobNotFinishedError, match="running"):
            await queue.delete(job.id)

    async def test_old_jobs_are_trimmed_the_oldest_first(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """So many records at once as was said; the young, the unfinished and their keys stay."""
        old = []
        for name in "abc":
            old.append(await ended(queue, name=name))
            stage.clock.advance(1)
        stage.clock.advance(100)
        young = await ended(queue, name="e")
        keyed = await queue.submit(ask("d"), key())
        before = stage.clock() - 50_000_000
        assert await queue.trim(before, 2) == Trimmed((old[0].id, old[1].id), 2)
        assert await queue.trim(before, 2) == Trimmed((old[2].id,), 1)
        assert await queue.trim(before, 2) == Trimmed((), 0)
        everything = frozenset([*(job.id for job in old), young.id, keyed.job.id])
        assert await queue.known_ids(everything) == {young.id, keyed.job.id}
        assert await queue.recall(key()) == keyed.job

    async def test_parts_go_with_the_job_above_them(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Neither before nor after it."""
        await submit(queue)
        parent = await claim(queue)
        part = await submit(queue, "b", parent_id=parent.job.id)
        await queue.cancel(part.id)
        stage.clock.advance(10)
        assert (await queue.trim(stage.clock(), 10)).rows == 0
        await queue.finish(parent, COMPLETE)
        stage.clock.advance(10)
        assert await queue.trim(stage.clock(), 10) == Trimmed((parent.job.id,), 2)
        assert await queue.known_ids(frozenset({part.id})) == frozenset()

    async def test_a_job_of_many_parts_goes_bit_by_bit(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Parts first, one job after the other, and never more records at once than was said."""
        first = await with_parts(queue, 5, key("f", "1"), name="a")
        stage.clock.advance(1)
        second = await with_parts(queue, 2, key("f", "2"), name="b")
        stage.clock.advance(10)
        gone: list[str] = []
        while (trimmed := await queue.trim(stage.clock(), 3)).rows:
            assert trimmed.rows <= 3
            if not gone and not trimmed.job_ids:
                assert (await queue.get(first)).status is JobStatus.COMPLETE, "it is there until all its parts are gone"
                assert len((await queue.list(parent_id=second)).jobs) == 2
            gone += trimmed.job_ids
        assert gone == [first, second]
        assert await queue.changed_since(0) == ()
        assert await queue.recall(key("f", "1")) is None

    async def test_a_deleted_job_goes_in_small_steps_too(
        self, queue: AsyncJobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where they are cut off, the job is there and can be deleted again."""
        monkeypatch.setattr(stored, "ROWS_A_TRANSACTION", 3)
        job_id = await with_parts(queue, 10)
        assert isinstance(queue, StoredJobQueue)
        delete, steps = queue.store.delete, 0

        def delete_and_break(name: str, limit: int) -> bool:
            nonlocal steps
            steps += 1
            if steps == 3:
                raise StorageFullError
            return delete(name, limit)

        monkeypatch.setattr(queue.store, "delete", delete_and_break)
        with pytest.raises(StorageFullError):
            await queue.delete(job_id)
        assert len((await queue.list(parent_id=job_id)).jobs) == 4
        assert (await queue.get(job_id)).status is JobStatus.COMPLETE
        await queue.delete(job_id)
        assert await queue.changed_since(0) == ()


class TestSchedules:
    @staticmethod
    def hourly(moment: int) -> int:
        return (moment // HOUR_US + 1) * HOUR_US

    async def test_a_scheduled_job_is_submitted_when_it_is_due(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Once, however many ask; a new schedule begins with its next moment."""
        request = ask()
        assert await queue.fire("s", "0 * * * *", self.hourly, request) is None
        (known,) = await queue.schedules()
        assert (known.name, known.cron, known.next_at) == ("s", "0 * * * *", self.hourly(stage.clock()))
        assert await queue.fire("s", "0 * * * *", self.hourly, request) is None
        stage.clock.advance(3600)
        fired = await asyncio.gather(*(queue.fire("s", "0 * * * *", self.hourly, request) for _ in range(5)))
        (job,) = [each for each in fired if each is not None]
        (known,) = await queue.schedules()
        assert (known.last_job_id, known.last_at, known.next_at) == (job.id, stage.clock(), self.hourly(stage.clock()))
        assert [each.id for each in (await queue.list()).jobs] == [job.id]

    async def test_what_was_missed_is_made_up_for_once(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """However often it was due while nobody asked."""
        await queue.fire("s", "c", self.hourly, ask())
        stage.clock.advance(100 * 3600)
        job = await queue.fire("s", "c", self.hourly, ask())
        assert job is not None
        await queue.finish(await claim(queue), COMPLETE)
        assert await queue.fire("s", "c", self.hourly, ask()) is None

    async def test_a_changed_line_begins_anew(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Nothing is made up for of the old one."""
        await queue.fire("s", "old", self.hourly, ask())
        stage.clock.advance(3600)
        assert await queue.fire("s", "new", self.hourly, ask()) is None
        (known,) = await queue.schedules()
        assert (known.cron, known.next_at) == ("new", self.hourly(stage.clock()))

    async def test_schedules_can_be_forgotten(self, queue: AsyncJobQueue) -> None:
        """Those that are named; they are listed by name."""
        for name in "cab":
            await queue.fire(name, "c", self.hourly, ask())
        assert [each.name for each in await queue.schedules()] == ["a", "b", "c"]
        await queue.unschedule(frozenset({"a", "c", "unknown"}))
        assert [each.name for each in await queue.schedules()] == ["b"]


class TestNumbers:
    async def test_counters_grow(self, queue: AsyncJobQueue) -> None:
        """By what is added, from nothing."""
        await queue.count({})
        await queue.count({"files": 3, "bytes": 1.5})
        await queue.count({"files": 4})
        assert (await queue.statistics()).counters == {"files": 7.0, "bytes": 1.5}

    async def test_jobs_are_counted_by_type_and_status(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """And how long the first that is due has waited is known, also of one that another one holds back."""
        await ended(queue)
        first = await submit(queue, "b")
        stage.clock.advance(5)
        await submit(queue, "c")
        await submit(queue, "d", run_after=stage.clock() + HOUR_US)
        numbers = await queue.statistics()
        assert numbers.jobs == {("scan", "complete"): 1, ("scan", "pending"): 3}
        assert numbers.oldest_ready_at == {"scan": first.created_at}
        await submit(queue, "e", exclusive_key="k", priority=1)
        await claim(queue)
        held = await queue.submit(JobRequest(type="other", payload={}, exclusive_key="k"))
        assert (await queue.statistics()).oldest_ready_at["other"] == held.job.created_at

    async def test_a_takeover_is_counted(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """It says that a worker died or hung."""
        await submit(queue)
        await claim(queue)
        stage.clock.advance(LEASE_SECONDS)
        await claim(queue)
        assert (await queue.statistics()).counters == {"lease_takeovers": 1.0}


class TestWorkers:
    async def test_a_worker_is_known_by_what_it_said_of_itself(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """For the length of a lease after it was last heard of."""
        await queue.heartbeat("w", WorkerProfile(version="1.2", slots=3, places=("/a", "/b")))
        await queue.heartbeat("x")
        first, second = await queue.live_workers()
        assert (first.id, first.version, first.slots, first.places) == ("w", "1.2", 3, ("/a", "/b"))
        assert (second.id, second.version, second.slots, second.places) == ("x", None, None, None)
        stage.clock.advance(LEASE_SECONDS - 1)
        await queue.heartbeat("w")
        stage.clock.advance(2)
        assert [worker.id for worker in await queue.live_workers()] == ["w"]
        assert (await queue.live_workers())[0].places == ("/a", "/b")

    async def test_sweeping_changes_nothing_that_is_in_order(self, queue: AsyncJobQueue) -> None:
        """However often it is done."""
        await submit(queue)
        running = await claim(queue)
        waiting = await submit(queue, "b")
        for _ in range(3):
            await queue.sweep()
        assert (await queue.renew(running)).revision == running.job.revision
        assert (await claim(queue)).job.id == waiting.id
