"""What every job queue promises."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.errors import InvalidCursorError, JobNotFoundError
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, Progress, Wanted
from stoat_ferret.jobs.queue import AsyncJobQueue
from tests.contract.job_queues import LEASE_SECONDS, QUEUES, Stage, stage_of

pytestmark = pytest.mark.anyio

NO_SCANS = Wanted(without_types=frozenset({"scan"}))
COMPLETE = JobOutcome(status=JobStatus.COMPLETE, result={"answer": 42})


@pytest.fixture(params=QUEUES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Give each kind of queue in turn."""
    with stage_of(request, tmp_path) as stage:
        yield stage


@pytest.fixture
def queue(stage: Stage) -> AsyncJobQueue:
    """Give the queue alone."""
    return stage.queue


def ask(name: str = "a", job_type: str = "scan", **options: Any) -> JobRequest:
    return JobRequest(type=job_type, payload={"path": name}, **options)


async def submit(queue: AsyncJobQueue, name: str = "a", job_type: str = "scan", **options: Any) -> Job:
    return (await queue.submit(ask(name, job_type, **options))).job


async def claim(queue: AsyncJobQueue) -> Claim:
    found = await queue.claim("worker")
    assert found is not None
    return found


class TestSubmitting:
    async def test_a_new_job_is_pending_and_can_be_read(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """What submit answered is what get gives."""
        submission = await queue.submit(ask(timeout_seconds=3.0, retry_of="earlier", priority=4))
        job = submission.job
        assert not submission.joined
        assert await queue.get(job.id) == job
        assert job.status is JobStatus.PENDING
        assert job.payload == {"path": "a"}
        assert (job.attempt, job.strikes, job.progress, job.result, job.error) == (0, 0, None, None, None)
        assert (job.timeout_seconds, job.retry_of, job.priority) == (3.0, "earlier", 4)
        assert (job.created_at, job.started_at, job.finished_at) == (stage.clock(), None, None)

    async def test_an_equal_pending_job_is_joined(self, queue: AsyncJobQueue) -> None:
        """Asking twice for what has not begun makes one job."""
        first = await queue.submit(ask())
        second = await queue.submit(ask())
        assert second.joined
        assert second.job == first.job

    async def test_other_type_or_key_is_another_job(self, queue: AsyncJobQueue) -> None:
        """Only the same thing is joined."""
        jobs = [await submit(queue), await submit(queue, "b"), await submit(queue, job_type="thumbnail")]
        assert len({job.id for job in jobs}) == 3

    async def test_the_key_decides_what_is_equal_where_it_is_given(self, queue: AsyncJobQueue) -> None:
        """Payloads may then differ; the first one stays."""
        first = await submit(queue, "a", key="k")
        second = await queue.submit(ask("b", key="k"))
        assert second.joined
        assert second.job.id == first.id
        assert second.job.payload == {"path": "a"}

    async def test_a_running_job_is_never_joined(self, queue: AsyncJobQueue) -> None:
        """It may have passed already what is asked for now."""
        first = await submit(queue)
        await claim(queue)
        second = await queue.submit(ask())
        assert not second.joined
        assert second.job.id != first.id

    async def test_a_job_that_was_handed_back_is_not_joined(self, queue: AsyncJobQueue) -> None:
        """Nor one that waits again: it may go on where it was; both run."""
        first = await submit(queue)
        await queue.release(await claim(queue))
        second = await queue.submit(ask())
        assert not second.joined
        assert [(await claim(queue)).job.id, (await claim(queue)).job.id] == [first.id, second.job.id]

    async def test_a_handed_back_job_waits_beside_an_equal_one(self, queue: AsyncJobQueue) -> None:
        """The equal job that was submitted while it ran is neither lost nor in the way, however often this happens."""
        first = await submit(queue)
        for _ in range(3):
            running = await claim(queue)
            assert running.job.id == first.id
            await submit(queue)
            await queue.release(running)
        assert len((await queue.list(status=JobStatus.PENDING)).jobs) == 2

    async def test_joining_makes_a_job_as_urgent_as_its_most_urgent_asker(self, queue: AsyncJobQueue) -> None:
        """A person's request does not wait at the pace of an automatic one, and is not slowed down by one either."""
        await submit(queue, priority=1)
        raised = await queue.submit(ask(priority=5))
        assert (raised.joined, raised.job.priority) == (True, 5)
        assert (await queue.submit(ask(priority=2))).job.priority == 5

    async def test_joining_brings_forward_when_it_may_run(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """The earliest asker decides."""
        await submit(queue, run_after=stage.clock() + 50)
        await submit(queue, run_after=stage.clock() + 99)
        assert await queue.claim("worker") is None
        await submit(queue)
        assert await queue.claim("worker") is not None

    async def test_text_that_is_not_unicode_is_kept(self, queue: AsyncJobQueue) -> None:
        """A file name of arbitrary bytes comes as lone surrogates."""
        job = await submit(queue, "caf\udce9\x00", key="caf\udce9\x00", exclusive_key="\udce9")
        assert (await queue.get(job.id)).payload == {"path": "caf\udce9\x00"}
        outcome = JobOutcome(status=JobStatus.FAILED, error="no caf\udce9", error_code="X")
        assert (await queue.finish(await claim(queue), outcome)).error == "no caf\\udce9"

    async def test_many_equal_submits_at_once_make_one_job(self, queue: AsyncJobQueue) -> None:
        """No race between looking and recording."""
        submissions = await asyncio.gather(*(queue.submit(ask()) for _ in range(20)))
        assert len({submission.job.id for submission in submissions}) == 1
        assert sorted(submission.joined for submission in submissions) == [False] + [True] * 19


class TestReading:
    @pytest.mark.parametrize("job_id", ["", "nothing", "00000000-0000-7000-8000-000000000000", "\udce9"])
    async def test_an_unknown_id_is_named(self, queue: AsyncJobQueue, job_id: str) -> None:
        """In every call that takes one."""
        for call in (queue.get(job_id), queue.wait(job_id, 0), queue.cancel(job_id)):
            with pytest.raises(JobNotFoundError) as error:
                await call
            assert job_id in error.value.message

    async def test_jobs_are_listed_newest_first_in_pages(self, queue: AsyncJobQueue) -> None:
        """The pages together are all jobs, once each; the last page says that it is."""
        made = [await submit(queue, str(number)) for number in range(5)]
        first = await queue.list(limit=2)
        second = await queue.list(limit=2, cursor=first.next_cursor)
        third = await queue.list(limit=2, cursor=second.next_cursor)
        assert [*first.jobs, *second.jobs, *third.jobs] == made[::-1]
        assert third.next_cursor is None

    async def test_a_page_that_is_just_full_is_the_last(self, queue: AsyncJobQueue) -> None:
        """No cursor leads to an empty page."""
        await submit(queue)
        assert (await queue.list(limit=1)).next_cursor is None
        assert (await queue.list(status=JobStatus.FAILED)).jobs == ()

    async def test_lists_are_filtered(self, queue: AsyncJobQueue) -> None:
        """By status, by type, by both."""
        scan = await submit(queue)
        other = await submit(queue, job_type="thumbnail")
        assert (await claim(queue)).job.id == scan.id
        assert [job.id for job in (await queue.list(status=JobStatus.RUNNING)).jobs] == [scan.id]
        assert [job.id for job in (await queue.list(job_type="thumbnail")).jobs] == [other.id]
        assert (await queue.list(status=JobStatus.RUNNING, job_type="thumbnail")).jobs == ()

    @pytest.mark.parametrize(
        "cursor",
        ["", "!", "é", "AAAA", "bnVsbA", "WzEsMiwzXQ", "W" * 5000, "WyJceGUiLG51bGwsbnVsbF0", "WyLDqSIsbnVsbCxudWxsXQ"],
    )
    async def test_a_foreign_cursor_is_refused(self, queue: AsyncJobQueue, cursor: str) -> None:
        """Whatever it holds."""
        with pytest.raises(InvalidCursorError):
            await queue.list(cursor=cursor)

    async def test_a_cursor_of_another_list_is_refused(self, queue: AsyncJobQueue) -> None:
        """It would skip jobs without a word."""
        await submit(queue, "a")
        await submit(queue, "b")
        cursor = (await queue.list(limit=1)).next_cursor
        assert cursor is not None
        with pytest.raises(InvalidCursorError):
            await queue.list(cursor=cursor, job_type="scan")
        with pytest.raises(InvalidCursorError):
            await queue.list(cursor=cursor, status=JobStatus.PENDING)

    async def test_every_change_has_a_higher_revision(self, queue: AsyncJobQueue) -> None:
        """Over all jobs, so that a reader can ask for what is new."""
        revisions = [(await submit(queue, "a")).revision, (await submit(queue, "b")).revision]
        running = await claim(queue)
        revisions.append(running.job.revision)
        await queue.report(running, 0.5, Progress(phase="probe", done=1))
        revisions.append((await queue.get(running.job.id)).revision)
        revisions.append((await queue.cancel(running.job.id)).revision)
        revisions.append((await queue.finish(running, COMPLETE)).revision)
        assert revisions == sorted(set(revisions))


class TestWaiting:
    async def test_waiting_ends_with_the_job(self, queue: AsyncJobQueue) -> None:
        """At once, not at the time given; changes on the way do not end it."""
        job = await submit(queue)
        waiting = asyncio.create_task(queue.wait(job.id, 30))
        running = await claim(queue)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await queue.finish(running, COMPLETE)
        async with asyncio.timeout(60):
            assert (await waiting).status is JobStatus.COMPLETE

    async def test_waiting_ends_when_the_time_is_over(self, queue: AsyncJobQueue) -> None:
        """With the job as it is."""
        job = await submit(queue)
        assert (await queue.wait(job.id, 0.05)) == job
        assert (await queue.wait(job.id, 0)) == job

    async def test_an_ended_job_is_not_waited_for(self, queue: AsyncJobQueue) -> None:
        """However long one would."""
        job = await submit(queue)
        await queue.cancel(job.id)
        async with asyncio.timeout(60):
            assert (await queue.wait(job.id, 60)).status is JobStatus.CANCELLED

    async def test_work_that_is_there_is_not_waited_for(self, queue: AsyncJobQueue) -> None:
        """It may have come between a claim and the wait."""
        await submit(queue)
        async with asyncio.timeout(60):
            await queue.wait_for_work(60)

    async def test_new_work_wakes(self, queue: AsyncJobQueue) -> None:
        """But not work of a type that is left alone."""
        waiting = asyncio.create_task(queue.wait_for_work(60, NO_SCANS))
        await submit(queue, job_type="scan")
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await submit(queue, job_type="thumbnail")
        async with asyncio.timeout(60):
            await waiting

    async def test_an_ended_lease_wakes(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Though nobody says anything."""
        await submit(queue)
        await claim(queue)
        waiting = asyncio.create_task(queue.wait_for_work(60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        stage.clock.advance(LEASE_SECONDS)
        async with asyncio.timeout(60):
            await waiting

    async def test_waiting_for_work_ends_when_the_time_is_over(self, queue: AsyncJobQueue) -> None:
        """Without any."""
        async with asyncio.timeout(60):
            await queue.wait_for_work(0.05)


class TestClaiming:
    async def test_a_claimed_job_runs(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """It has its attempt, its start and a token, and no other claim finds it."""
        job = await submit(queue)
        stage.clock.advance(1)
        found = await claim(queue)
        assert found.job.id == job.id
        assert found.job == await queue.get(job.id)
        assert (found.job.status, found.job.attempt, found.job.started_at) == (JobStatus.RUNNING, 1, stage.clock())
        assert await queue.claim("worker") is None

    async def test_the_urgent_come_first_then_the_old(self, queue: AsyncJobQueue) -> None:
        """Priority, then age."""
        made = [await submit(queue, str(number), priority=priority) for number, priority in enumerate([0, 5, 0, 5])]
        claims = [(await claim(queue)).job.id for _ in made]
        assert claims == [made[index].id for index in (1, 3, 0, 2)]

    async def test_types_can_be_left_alone(self, queue: AsyncJobQueue) -> None:
        """For a slot that is kept free for small jobs."""
        await submit(queue, priority=9)
        small = await submit(queue, job_type="thumbnail")
        found = await queue.claim("worker", NO_SCANS)
        assert found is not None
        assert found.job.id == small.id
        assert await queue.claim("worker", NO_SCANS) is None

    async def test_one_job_of_an_exclusive_key_runs(self, queue: AsyncJobQueue) -> None:
        """The others are passed over and do not hold up what is behind them."""
        first = await submit(queue, "a", exclusive_key="library")
        second = await submit(queue, "b", exclusive_key="library")
        third = await submit(queue, "c", exclusive_key="other")
        running = await claim(queue)
        assert [running.job.id, (await claim(queue)).job.id] == [first.id, third.id]
        assert await queue.claim("worker") is None
        await queue.finish(running, COMPLETE)
        assert (await claim(queue)).job.id == second.id

    async def test_a_key_that_begins_with_another_is_excluded_too(self, queue: AsyncJobQueue) -> None:
        """As folders lie in folders, whichever came first; one whose name merely begins alike does not."""
        inner, outer, beside = [
            await submit(queue, key, exclusive_key=key) for key in ("scan:/v/a/", "scan:/v/", "scan:/va/")
        ]
        running = await claim(queue)
        assert [running.job.id, (await claim(queue)).job.id] == [inner.id, beside.id]
        assert await queue.claim("worker") is None
        await queue.finish(running, COMPLETE)
        again = await submit(queue, "again", exclusive_key="scan:/v/a/", priority=0)
        running = await claim(queue)
        assert running.job.id == outer.id
        assert await queue.claim("worker") is None
        await queue.finish(running, COMPLETE)
        assert (await claim(queue)).job.id == again.id

    async def test_an_exclusive_key_is_free_when_the_lease_has_ended(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """A more urgent job takes the dead one's place, which waits in turn."""
        first = await submit(queue, "a", exclusive_key="library")
        await claim(queue)
        second = await submit(queue, "b", exclusive_key="library", priority=1)
        stage.clock.advance(LEASE_SECONDS)
        assert (await claim(queue)).job.id == second.id
        assert (await queue.get(first.id)).status is JobStatus.PENDING

    async def test_a_job_is_not_claimed_before_its_time(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """And then it is."""
        await submit(queue, run_after=stage.clock() + 1_000_000)
        assert await queue.claim("worker") is None
        stage.clock.advance(1)
        await claim(queue)

    async def test_many_claims_at_once_share_the_jobs(self, queue: AsyncJobQueue) -> None:
        """Each job goes to one."""
        for number in range(10):
            await submit(queue, str(number))
        found = await asyncio.gather(*(queue.claim(f"worker {number}") for number in range(15)))
        ids = [each.job.id for each in found if each is not None]
        assert len(ids) == len(set(ids)) == 10
