"""What every job queue promises about jobs that have parts, and about where and how many jobs run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.errors import FencedError, JobNotFinishedError
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, Progress, Wanted
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.jobs.transitions import GIVE_WAY_SECONDS
from tests.contract.job_queues import LEASE_SECONDS, QUEUES, Stage, stage_of

pytestmark = pytest.mark.anyio

COMPLETE = JobOutcome(status=JobStatus.COMPLETE)
PENDING, RUNNING, CANCELLED = JobStatus.PENDING, JobStatus.RUNNING, JobStatus.CANCELLED
LIMITS = {"probe": 2}


@pytest.fixture(params=QUEUES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Give each kind of queue in turn, on which two probes may run at once."""
    with stage_of(request, tmp_path, limits=LIMITS) as stage:
        yield stage


@pytest.fixture
def queue(stage: Stage) -> AsyncJobQueue:
    """Give the queue alone."""
    return stage.queue


async def submit(queue: AsyncJobQueue, name: str = "a", job_type: str = "scan", **options: Any) -> Job:
    return (await queue.submit(JobRequest(type=job_type, payload={"name": name}, **options))).job


async def claim(queue: AsyncJobQueue, wanted: Wanted | None = None) -> Claim:
    found = await queue.claim("worker", wanted or Wanted())
    assert found is not None
    return found


async def status(queue: AsyncJobQueue, job: Job | Claim) -> JobStatus:
    return (await queue.get(job.id if isinstance(job, Job) else job.job.id)).status


async def begin(queue: AsyncJobQueue, parts: int = 2) -> tuple[Claim, list[Job]]:
    """Give a running job and its parts."""
    await submit(queue)
    parent = await claim(queue)
    return parent, [await submit(queue, str(number), "part", parent_id=parent.job.id) for number in range(parts)]


class TestParts:
    async def test_a_part_left_behind_with_a_job_that_was_to_end_ends_with_it(
        self, queue: AsyncJobQueue, stage: Stage
    ) -> None:
        """Both leases run out before anybody looks, in whichever order they are taken back."""
        for first in ("job", "part"):
            await submit(queue, first)
            parent = await claim(queue)
            await queue.cancel(parent.job.id)
            await submit(queue, first, "part", parent_id=parent.job.id)
            part = await claim(queue)
            stage.clock.advance(1)
            await queue.renew(parent if first == "part" else part)
            stage.clock.advance(LEASE_SECONDS)
            assert await queue.claim("worker") is None
            assert await status(queue, parent) is CANCELLED
            assert await status(queue, part) is CANCELLED

    async def test_a_job_that_waits_goes_on_when_its_parts_have_ended(self, queue: AsyncJobQueue) -> None:
        """In the same attempt, with its progress and what it left for itself; meanwhile it is on nobody's slot."""
        parent, parts = await begin(queue)
        await queue.report(parent, 0.25, Progress(phase="p", done=1))
        assert await queue.await_parts(parent, {"at": 7})
        with pytest.raises(FencedError):
            await queue.renew(parent)
        waiting = await queue.get(parent.job.id)
        assert (waiting.status, waiting.checkpoint, waiting.worker_id) == (RUNNING, {"at": 7}, None)
        for part in parts:
            running = await claim(queue)
            assert running.job.id == part.id
            await queue.finish(running, COMPLETE)
        again = await claim(queue)
        assert (again.job.id, again.job.attempt, again.job.checkpoint) == (parent.job.id, 1, {"at": 7})
        assert again.job.progress == 0.25
        assert again.token != parent.token
        assert (await queue.finish(again, COMPLETE)).status is JobStatus.COMPLETE

    async def test_a_job_that_waited_still_keeps_others_of_its_exclusive_key_away(self, queue: AsyncJobQueue) -> None:
        """Even one that is more urgent: it has been running all the while, and says so."""
        first = await submit(queue, "first", exclusive_key="library/")
        parent = await claim(queue)
        part = await submit(queue, "part", "part", parent_id=first.id)
        await queue.await_parts(parent, {})
        urgent = await submit(queue, "urgent", exclusive_key="library/", priority=9)
        running = await claim(queue)
        assert running.job.id == part.id
        await queue.finish(running, COMPLETE)
        assert await status(queue, first) is RUNNING
        again = await claim(queue)
        assert again.job.id == first.id
        assert await queue.claim("worker") is None
        await queue.finish(again, COMPLETE)
        assert (await claim(queue)).job.id == urgent.id

    async def test_one_that_waits_gives_way_to_a_more_urgent_one_after_a_while(
        self, queue: AsyncJobQueue, stage: Stage
    ) -> None:
        """Its parts end, it is begun anew afterwards, and then goes on twice as long."""
        first = await submit(queue, "first", exclusive_key="library/")
        parent = await claim(queue)
        parts = [await submit(queue, str(number), "part", parent_id=first.id) for number in range(2)]
        running = await claim(queue)
        await queue.await_parts(parent, {"at": 7})
        urgent = await submit(queue, "urgent", exclusive_key="library/inner/", priority=9)
        stage.clock.advance(GIVE_WAY_SECONDS - 1)
        await queue.renew(running)
        await queue.sweep()
        assert await status(queue, first) is RUNNING
        stage.clock.advance(1)
        await queue.sweep(Wanted(reaches=lambda place: True))
        given_way = await queue.get(first.id)
        assert (given_way.status, given_way.checkpoint, given_way.started_at) == (PENDING, None, None)
        assert (await queue.get(running.job.id)).cancel_requested
        assert [await status(queue, part) for part in parts if part.id != running.job.id] == [CANCELLED]
        await queue.finish(running, JobOutcome(status=CANCELLED))
        assert await status(queue, first) is PENDING
        before = await claim(queue)
        assert before.job.id == urgent.id
        assert await queue.claim("worker") is None
        await queue.finish(before, COMPLETE)
        again = await claim(queue)
        assert (again.job.id, again.job.attempt) == (first.id, 2)
        await submit(queue, "later", "part", parent_id=first.id)
        await queue.await_parts(again, {})
        await submit(queue, "more urgent", exclusive_key="library/inner/", priority=9)
        stage.clock.advance(2 * GIVE_WAY_SECONDS - 1)
        await queue.sweep()
        assert await status(queue, first) is RUNNING
        stage.clock.advance(1)
        await queue.sweep()
        assert await status(queue, first) is PENDING

    @pytest.mark.parametrize("ends", ["cancelled", "its time is over"])
    async def test_one_that_is_to_end_anyway_does_not_give_way(
        self, queue: AsyncJobQueue, stage: Stage, ends: str
    ) -> None:
        """It is taken up once its parts have ended, and says then what it had done."""
        first = await submit(queue, "first", exclusive_key="library/", timeout_seconds=15)
        parent = await claim(queue)
        await submit(queue, "part", "part", parent_id=first.id)
        part = await claim(queue)
        await queue.await_parts(parent, {})
        stage.clock.advance(GIVE_WAY_SECONDS + (1 if ends == "cancelled" else 6))
        await queue.renew(part)
        if ends == "cancelled":
            await queue.cancel(first.id)
        await submit(queue, "urgent", exclusive_key="library/inner/", priority=9)
        await queue.sweep()
        assert await status(queue, first) is RUNNING
        await queue.finish(part, JobOutcome(status=CANCELLED))
        again = await claim(queue)
        assert (again.job.id, again.job.attempt) == (first.id, 1)

    @pytest.mark.parametrize(
        "other",
        [
            {"priority": 0, "exclusive_key": "library/"},
            {"priority": 9, "exclusive_key": "elsewhere/"},
            {"priority": 9},
            {"priority": 9, "exclusive_key": "library/", "place": "/far"},
        ],
    )
    async def test_one_that_waits_gives_way_to_nothing_else(
        self, queue: AsyncJobQueue, stage: Stage, other: dict[str, Any]
    ) -> None:
        """What is no more urgent, runs anyway, or could not run here."""
        first = await submit(queue, "first", exclusive_key="library/")
        parent = await claim(queue)
        await submit(queue, "part", "part", parent_id=first.id)
        await queue.await_parts(parent, {})
        await submit(queue, "other", **other)
        stage.clock.advance(100 * GIVE_WAY_SECONDS)
        await queue.sweep(Wanted(reaches=lambda place: place != "/far"))
        assert await status(queue, first) is RUNNING

    async def test_one_that_waits_gives_way_to_nothing_of_a_type_that_is_at_its_limit(
        self, queue: AsyncJobQueue, stage: Stage
    ) -> None:
        """Its end would not let that one run, until another of the type has ended."""
        first = await submit(queue, "first", exclusive_key="library/")
        parent = await claim(queue)
        probes = [await submit(queue, str(number), "probe", parent_id=first.id) for number in range(LIMITS["probe"])]
        running = [await claim(queue) for _ in probes]
        await queue.await_parts(parent, {})
        await submit(queue, "urgent", "probe", exclusive_key="library/", priority=9)
        stage.clock.advance(GIVE_WAY_SECONDS)
        for each in running:
            await queue.renew(each)
        await queue.sweep()
        assert await status(queue, first) is RUNNING
        await submit(queue, "another", "probe", parent_id=first.id)
        await queue.finish(running[0], COMPLETE)
        await queue.sweep()
        assert await status(queue, first) is PENDING

    async def test_where_no_part_is_left_nobody_waits(self, queue: AsyncJobQueue) -> None:
        """The claim goes on as if nothing had been asked."""
        parent, _ = await begin(queue, parts=0)
        assert not await queue.await_parts(parent, {})
        await queue.finish(parent, COMPLETE)

    async def test_a_job_whose_end_was_asked_for_does_not_wait(self, queue: AsyncJobQueue) -> None:
        """It is to end now."""
        parent, _ = await begin(queue)
        await queue.cancel(parent.job.id)
        assert not await queue.await_parts(parent, {})

    async def test_a_waiting_job_that_is_cancelled_is_taken_up_to_end(self, queue: AsyncJobQueue) -> None:
        """Once its parts have ended, which are told: its handler may have something to put in order."""
        parent, (_, second) = await begin(queue)
        await queue.await_parts(parent, {})
        running = await claim(queue)
        assert (await queue.cancel(parent.job.id)).cancel_requested
        assert await status(queue, second) is CANCELLED
        assert (await queue.renew(running)).cancel_requested
        assert await queue.claim("worker") is None
        await queue.finish(running, JobOutcome(status=CANCELLED))
        again = await claim(queue)
        assert (again.job.id, again.job.cancel_requested, again.job.attempt) == (parent.job.id, True, 1)
        await queue.finish(again, JobOutcome(status=CANCELLED))
        assert await queue.claim("worker") is None

    async def test_with_a_job_its_parts_end(self, queue: AsyncJobQueue) -> None:
        """Those that wait at once, those that run as soon as they look; none is claimed any more."""
        parent, (first, second) = await begin(queue)
        running = await claim(queue)
        assert running.job.id == first.id
        await queue.finish(parent, JobOutcome(status=JobStatus.FAILED, error="It broke."))
        assert await status(queue, second) is CANCELLED
        assert (await queue.renew(running)).cancel_requested
        assert await queue.claim("worker") is None

    async def test_a_new_attempt_does_without_the_parts_of_the_last(self, queue: AsyncJobQueue) -> None:
        """It parts off anew; what is left over would do the work twice."""
        parent, (first, second) = await begin(queue)
        await queue.release(parent)
        assert (await claim(queue)).job.id == parent.job.id
        assert {await status(queue, first), await status(queue, second)} == {CANCELLED}

    async def test_a_part_whose_worker_dies_runs_again(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """While the job above it waits, which has no lease that could end."""
        parent, (first, _) = await begin(queue)
        await queue.await_parts(parent, {})
        await claim(queue)
        stage.clock.advance(LEASE_SECONDS)
        again = await claim(queue)
        assert (again.job.id, again.job.attempt) == (first.id, 2)
        assert await status(queue, parent) is RUNNING

    async def test_a_part_tells_of_the_progress_of_the_job_above_it(self, queue: AsyncJobQueue) -> None:
        """But only while that waits, and in that attempt."""
        parent, _ = await begin(queue)
        step = Progress(phase="p", done=3)
        assert not await queue.report_for(parent.job.id, 1, 0.5, step)
        await queue.await_parts(parent, {})
        assert await queue.report_for(parent.job.id, 1, 0.5, step)
        assert (await queue.get(parent.job.id)).progress == 0.5
        assert not await queue.report_for(parent.job.id, 2, 0.6, step)
        assert not await queue.report_for("unknown", 1, 0.6, step)

    async def test_lists_leave_parts_out_unless_they_are_asked_for(self, queue: AsyncJobQueue) -> None:
        """Thousands of them would hide the jobs that people know."""
        parent, parts = await begin(queue)
        assert [job.id for job in (await queue.list()).jobs] == [parent.job.id]
        below = (await queue.list(parent_id=parent.job.id)).jobs
        assert await queue.count_listed() == (1, False)
        assert await queue.count_listed(parent_id=parent.job.id) == (len(below), False)
        assert await queue.count_listed(parent_id=parent.job.id, most=len(below) - 1) == (len(below) - 1, True)
        assert [job.id for job in below] == [part.id for part in reversed(parts)]
        assert [job.parent_id for job in below] == [parent.job.id] * 2

    async def test_parts_are_deleted_with_the_job_above_them(self, queue: AsyncJobQueue) -> None:
        """And not before it has ended."""
        parent, (first, second) = await begin(queue)
        await queue.cancel(first.id)
        with pytest.raises(JobNotFinishedError):
            await queue.delete(first.id)
        await queue.finish(parent, COMPLETE)
        await queue.delete(parent.job.id)
        assert await queue.known_ids(frozenset({parent.job.id, first.id, second.id})) == frozenset()


class TestLimits:
    async def test_no_more_of_a_type_run_than_may(self, queue: AsyncJobQueue) -> None:
        """Those that wait do not hold up other types, and go on when there is room."""
        probes = [await submit(queue, str(number), "probe", priority=1) for number in range(3)]
        scan = await submit(queue)
        running = [await claim(queue) for _ in range(3)]
        assert [each.job.id for each in running] == [probes[0].id, probes[1].id, scan.id]
        assert await queue.claim("worker") is None
        await queue.finish(running[0], COMPLETE)
        assert (await claim(queue)).job.id == probes[2].id

    async def test_a_job_that_waits_for_its_parts_does_not_count(self, queue: AsyncJobQueue) -> None:
        """Or it would wait for itself."""
        await submit(queue, job_type="probe")
        parent = await claim(queue)
        parts = [await submit(queue, str(number), "probe", parent_id=parent.job.id) for number in range(2)]
        await queue.await_parts(parent, {})
        assert [(await claim(queue)).job.id for _ in parts] == [part.id for part in parts]


class TestPlaces:
    async def test_only_who_reaches_a_place_takes_its_jobs(self, queue: AsyncJobQueue) -> None:
        """A job without one is for everybody."""
        here = Wanted(reaches=lambda place: place.startswith("/here"))
        away = await submit(queue, "away", place="/away", priority=9)
        near = await submit(queue, "near", place="/here/a")
        anywhere = await submit(queue, "anywhere")
        assert [(await claim(queue, here)).job.id for _ in range(2)] == [near.id, anywhere.id]
        assert await queue.claim("worker", here) is None
        assert (await claim(queue)).job.id == away.id

    async def test_work_elsewhere_wakes_nobody_here(self, queue: AsyncJobQueue) -> None:
        """It would be looked at again and again."""
        nowhere = Wanted(reaches=lambda _: False)
        await submit(queue, place="/away")
        await queue.wait_for_work(0.05, nowhere)
        assert await queue.claim("worker", nowhere) is None
        await submit(queue, "b")
        await queue.wait_for_work(60, nowhere)
        await claim(queue, nowhere)


class TestHandingBack:
    async def test_a_job_can_be_told_to_rest(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """It is not taken before its time, and then it is."""
        await submit(queue)
        running = await claim(queue)
        await queue.release(running, after_seconds=5)
        assert await status(queue, running) is PENDING
        assert await queue.claim("worker") is None
        stage.clock.advance(5)
        again = await claim(queue)
        assert (again.job.id, again.job.attempt) == (running.job.id, 2)
