"""What every job queue promises about a run: leases, tokens, progress, ends."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from stoat_ferret.db.tables import job_claims
from stoat_ferret.errors import FencedError, JobAlreadyFinishedError
from stoat_ferret.jobs.context import JobCancelled, JobContext
from stoat_ferret.jobs.fence import SHUT, Fence, raise_fence
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, Progress, Wanted
from stoat_ferret.jobs.queue import AsyncJobQueue
from tests.contract.job_queues import LEASE_SECONDS, QUEUES, Stage, stage_of

pytestmark = pytest.mark.anyio

COMPLETE = JobOutcome(status=JobStatus.COMPLETE, result={"answer": 42})
STEP = Progress(phase="probe", done=1, total=2, rate=1.5, eta_seconds=0.7, current="a.mov")

Write = Callable[[AsyncJobQueue, Claim], Awaitable[object]]
WRITES: dict[str, Write] = {
    "renew": lambda queue, claim: queue.renew(claim),
    "report": lambda queue, claim: queue.report(claim, 0.5, STEP),
    "finish": lambda queue, claim: queue.finish(claim, COMPLETE),
    "release": lambda queue, claim: queue.release(claim),
}


@pytest.fixture(params=QUEUES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Give each kind of queue in turn."""
    with stage_of(request, tmp_path) as stage:
        yield stage


@pytest.fixture
def queue(stage: Stage) -> AsyncJobQueue:
    """Give the queue alone."""
    return stage.queue


async def claim(queue: AsyncJobQueue) -> Claim:
    found = await queue.claim("worker")
    assert found is not None
    return found


async def begin(queue: AsyncJobQueue, **options: Any) -> Claim:
    await queue.submit(JobRequest(type="scan", payload={}, **options))
    return await claim(queue)


def write_something(connection: Connection) -> None:
    """Leave a trace in the catalogue, if the transaction is committed."""
    connection.execute(insert(job_claims).values(job_id="something", attempt=1, token=SHUT, batches=0))


def has_something(stage: Stage) -> bool:
    """Tell whether that came through."""
    with stage.catalogue.read() as connection:
        rows = connection.execute(select(job_claims.c.job_id)).scalars()
        return "something" in set(rows)


async def end_without_it(queue: AsyncJobQueue, stage: Stage, job_id: str) -> None:
    """Cancel a job whose worker does not answer: whoever looks for work takes back what was left behind."""
    await queue.cancel(job_id)
    stage.clock.advance(LEASE_SECONDS)
    assert await queue.claim("other", Wanted(without_types=frozenset({"scan"}))) is None
    assert (await queue.get(job_id)).status.terminal


class TestLeases:
    async def test_a_renewed_lease_holds(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Its length counts from the last renewal."""
        running = await begin(queue)
        stage.clock.advance(LEASE_SECONDS - 1)
        assert (await queue.renew(running)).id == running.job.id
        stage.clock.advance(LEASE_SECONDS - 1)
        assert await queue.claim("other") is None

    async def test_an_ended_lease_is_taken_over(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """As a new attempt, which starts from the beginning."""
        running = await begin(queue)
        await queue.report(running, 0.5, STEP)
        stage.clock.advance(LEASE_SECONDS)
        again = await claim(queue)
        assert (again.job.id, again.job.attempt) == (running.job.id, 2)
        assert (again.job.progress, again.job.progress_detail) == (None, None)
        assert again.token != running.token

    async def test_a_late_worker_goes_on_where_nobody_took_over(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Nothing is gained by throwing its work away."""
        running = await begin(queue)
        stage.clock.advance(LEASE_SECONDS * 2)
        await queue.renew(running)
        assert await queue.claim("other") is None
        assert (await queue.finish(running, COMPLETE)).status is JobStatus.COMPLETE

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_nothing_is_written_after_a_takeover(self, queue: AsyncJobQueue, stage: Stage, write: Write) -> None:
        """The token is another one."""
        old = await begin(queue)
        stage.clock.advance(LEASE_SECONDS)
        new = await claim(queue)
        before = await queue.get(old.job.id)
        with pytest.raises(FencedError):
            await write(queue, old)
        assert await queue.get(old.job.id) == before
        assert (await queue.finish(new, COMPLETE)).attempt == 2

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    @pytest.mark.parametrize("end", ["finish", "release"])
    async def test_nothing_is_written_after_the_end(self, queue: AsyncJobQueue, write: Write, end: str) -> None:
        """A run ends once, whether the job ended or was handed back."""
        running = await begin(queue)
        await WRITES[end](queue, running)
        before = await queue.get(running.job.id)
        with pytest.raises(FencedError):
            await write(queue, running)
        assert await queue.get(running.job.id) == before

    async def test_a_claim_of_a_job_that_is_not_there_is_refused(self, queue: AsyncJobQueue) -> None:
        """As one that was taken over."""
        job = Job(id="x", revision=1, type="scan", payload={}, status=JobStatus.RUNNING, created_at=0)
        with pytest.raises(FencedError):
            await queue.renew(Claim(job, "token"))


class TestProgress:
    async def test_progress_is_seen(self, queue: AsyncJobQueue) -> None:
        """With everything the handler said."""
        running = await begin(queue)
        await queue.report(running, 0.5, STEP)
        job = await queue.get(running.job.id)
        assert job.progress == 0.5
        assert job.progress_detail == {
            "phase": "probe",
            "done": 1,
            "total": 2,
            "unit": "files",
            "current": "a.mov",
            "rate": 1.5,
            "eta_seconds": 0.7,
        }

    async def test_progress_never_goes_back(self, queue: AsyncJobQueue) -> None:
        """Neither to less nor to nothing known."""
        running = await begin(queue)
        seen = []
        for fraction in (None, 0.0, 0.4, 0.2, None, 0.5):
            await queue.report(running, fraction, STEP)
            seen.append((await queue.get(running.job.id)).progress)
        assert seen == [None, 0.0, 0.4, 0.4, 0.4, 0.5]

    async def test_a_handed_back_job_starts_anew(self, queue: AsyncJobQueue) -> None:
        """Waiting, it has neither progress nor a start."""
        running = await begin(queue)
        await queue.report(running, 0.5, STEP)
        await queue.release(running)
        job = await queue.get(running.job.id)
        assert (job.status, job.progress, job.progress_detail, job.started_at) == (JobStatus.PENDING, None, None, None)
        assert (await claim(queue)).job.attempt == 2


class TestEnds:
    async def test_complete_is_all_of_it(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Progress is then 1.0, and only then."""
        running = await begin(queue)
        await queue.report(running, 0.5, STEP)
        stage.clock.advance(2)
        job = await queue.finish(running, COMPLETE)
        assert job == await queue.get(job.id)
        assert (job.status, job.progress, job.result) == (JobStatus.COMPLETE, 1.0, {"answer": 42})
        assert (job.error, job.error_code, job.finished_at) == (None, None, stage.clock())

    @pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.TIMEOUT, JobStatus.CANCELLED])
    async def test_another_end_keeps_what_was_done(self, queue: AsyncJobQueue, status: JobStatus) -> None:
        """The progress that was made, the partial result and the reason."""
        running = await begin(queue)
        await queue.report(running, 0.5, STEP)
        outcome = JobOutcome(status=status, result={"scanned": 3}, error="It broke.", error_code="BROKEN")
        job = await queue.finish(running, outcome)
        assert job == await queue.get(job.id)
        assert (job.status, job.progress, job.result) == (status, 0.5, {"scanned": 3})
        assert (job.error, job.error_code) == ("It broke.", "BROKEN")

    @pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.RUNNING])
    async def test_a_job_cannot_end_unfinished(self, queue: AsyncJobQueue, status: JobStatus) -> None:
        """That would be a mistake in the program."""
        running = await begin(queue)
        with pytest.raises(ValueError, match="cannot end"):
            await queue.finish(running, JobOutcome(status=status))


class TestCancelling:
    async def test_a_pending_job_ends_at_once(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Nobody needs to look at it."""
        submission = await queue.submit(JobRequest(type="scan", payload={}))
        job = await queue.cancel(submission.job.id)
        assert job == await queue.get(job.id)
        assert (job.status, job.cancel_requested, job.finished_at) == (JobStatus.CANCELLED, True, stage.clock())
        assert await queue.claim("worker") is None

    async def test_a_running_job_learns_of_it(self, queue: AsyncJobQueue) -> None:
        """At its next renewal at the latest; what it makes of that is its own."""
        running = await begin(queue)
        job = await queue.cancel(running.job.id)
        assert (job.status, job.cancel_requested) == (JobStatus.RUNNING, True)
        assert (await queue.renew(running)).cancel_requested
        assert (await queue.finish(running, COMPLETE)).status is JobStatus.COMPLETE

    async def test_asking_again_changes_nothing(self, queue: AsyncJobQueue) -> None:
        """The answer is the same."""
        running = await begin(queue)
        assert await queue.cancel(running.job.id) == await queue.cancel(running.job.id)

    @pytest.mark.parametrize("status", [status for status in JobStatus if status.terminal])
    async def test_an_ended_job_cannot_be_cancelled(self, queue: AsyncJobQueue, status: JobStatus) -> None:
        """The answer names how it ended."""
        running = await begin(queue)
        job = await queue.finish(running, JobOutcome(status=status))
        with pytest.raises(JobAlreadyFinishedError, match=status.value):
            await queue.cancel(job.id)
        assert await queue.get(job.id) == job

    async def test_handing_back_a_cancelled_job_ends_it(self, queue: AsyncJobQueue) -> None:
        """It would only be claimed to be ended."""
        running = await begin(queue)
        await queue.cancel(running.job.id)
        await queue.release(running)
        assert (await queue.get(running.job.id)).status is JobStatus.CANCELLED

    async def test_a_job_cancelled_after_its_worker_died_does_not_run_again(
        self, queue: AsyncJobQueue, stage: Stage
    ) -> None:
        """The next claim ends it instead."""
        running = await begin(queue)
        await queue.cancel(running.job.id)
        stage.clock.advance(LEASE_SECONDS)
        assert await queue.claim("other") is None
        assert (await queue.get(running.job.id)).status is JobStatus.CANCELLED
        with pytest.raises(FencedError):
            await queue.finish(running, COMPLETE)


class TestMoreUrgentJobs:
    """A run is told of them where it keeps them waiting, so that it may give way."""

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ({"priority": 1, "exclusive_key": "a/"}, True),
            ({"priority": 1, "exclusive_key": "a/b/"}, True),
            ({"priority": 1, "exclusive_key": ""}, True),
            ({"priority": 0, "exclusive_key": "a/b/"}, False),
            ({"priority": 1, "exclusive_key": "ab/"}, False),
            ({"priority": 1}, False),
            ({"priority": 1, "exclusive_key": "a/", "run_after": 4_000_000_000_000_000}, False),
        ],
    )
    async def test_it_is_outranked(self, queue: AsyncJobQueue, other: dict[str, Any], expected: bool) -> None:
        """By what is due and excluded by its key alone."""
        running = await begin(queue, exclusive_key="a/")
        assert not await queue.outranked(running)
        job = (await queue.submit(JobRequest(type="scan", payload={}, key="other", **other))).job
        assert await queue.outranked(running) is expected
        await queue.cancel(job.id)
        assert not await queue.outranked(running)

    async def test_it_is_not_outranked_by_what_would_not_run_anyway(self, queue: AsyncJobQueue) -> None:
        """Since another one keeps that waiting too, or nobody here reaches it."""
        running = await begin(queue, exclusive_key="a/b/", key="first")
        beside = await begin(queue, exclusive_key="a/c/", key="second")
        urgent = JobRequest(type="scan", payload={}, key="all", priority=1, exclusive_key="a/", place="/far")
        await queue.submit(urgent)
        assert not await queue.outranked(running)
        await queue.finish(beside, COMPLETE)
        assert await queue.outranked(running)
        assert not await queue.outranked(running, Wanted(reaches=lambda place: place != "/far"))
        assert await queue.outranked(running, Wanted(reaches=lambda place: place == "/far"))

    async def test_a_job_without_a_key_keeps_nobody_waiting(self, queue: AsyncJobQueue) -> None:
        """Whatever waits."""
        running = await begin(queue)
        await queue.submit(JobRequest(type="scan", payload={}, key="other", priority=9, exclusive_key="a/"))
        assert not await queue.outranked(running)

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ({"priority": 1}, True),
            ({"priority": 1, "exclusive_key": "b/"}, True),
            ({"priority": 0}, False),
            ({"priority": 1, "run_after": 4_000_000_000_000_000}, False),
        ],
    )
    async def test_it_is_outranked_by_what_lacks_a_slot(
        self, queue: AsyncJobQueue, stage: Stage, other: dict[str, Any], expected: bool
    ) -> None:
        """Where it asks for that too, and once a free slot would have taken it."""
        running = await begin(queue, exclusive_key="a/")
        await queue.submit(JobRequest(type="scan", payload={}, key="other", **other))
        assert not await queue.outranked(running, for_slot=True)
        stage.clock.advance(1.5)
        assert not await queue.outranked(running)
        assert await queue.outranked(running, for_slot=True) is expected
        assert not await queue.outranked(running, Wanted(without_types=frozenset({"scan"})), for_slot=True)


class TestEndedWithoutItsWorker:
    """A worker whose lease ran out may only be stopped. Where nobody raises the fence, the record keeps it out."""

    @pytest.fixture(params=["cancelled first", "taken back first", "another could not begin", "and was forgotten"])
    async def late(self, request: pytest.FixtureRequest, queue: AsyncJobQueue, stage: Stage) -> Claim:
        """Give the claim of such a worker, on a job that is at its end."""
        late = await begin(queue)
        with stage.catalogue.write() as connection:
            raise_fence(connection, late)
        if request.param == "cancelled first":
            await queue.cancel(late.job.id)
        stage.clock.advance(LEASE_SECONDS)
        if request.param in ("another could not begin", "and was forgotten"):
            heir = await claim(queue)
            await queue.finish(heir, JobOutcome(status=JobStatus.FAILED, error="There is no room.", error_code="X"))
        else:
            # Whoever looks for work takes back what was left behind.
            assert await queue.claim("other", Wanted(without_types=frozenset({"scan"}))) is None
        if request.param == "taken back first":
            await queue.cancel(late.job.id)
        assert (await queue.get(late.job.id)).status.terminal
        if request.param == "and was forgotten":
            await queue.delete(late.job.id)
        return late

    async def test_it_stores_nothing(self, late: Claim, queue: AsyncJobQueue, stage: Stage) -> None:
        """Once the job is on record as ended, no effect of it comes after."""
        context = JobContext(late, stage.catalogue, queue.runs)
        with pytest.raises(FencedError), context.transaction() as connection:
            write_something(connection)
        assert context.lost
        assert not has_something(stage)

    async def test_nor_at_the_end_of_a_batch_that_it_had_begun_before(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """It may be stopped at any place of its batch, and for any time."""
        late = await begin(queue)
        with stage.catalogue.write() as connection:
            raise_fence(connection, late)
        context = JobContext(late, stage.catalogue, queue.runs)
        with pytest.raises(FencedError), context.transaction() as connection:  # noqa: PT012 - the end must be within
            write_something(connection)
            await end_without_it(queue, stage, late.job.id)
        assert context.lost
        assert not has_something(stage)

    async def test_nor_does_anyone_who_does_a_part_of_it(self, late: Claim, queue: AsyncJobQueue, stage: Stage) -> None:
        """They need the right of the whole as well."""
        part = await begin(queue, key="another")
        with stage.catalogue.write() as connection:
            raise_fence(connection, part)
        context = JobContext(part, stage.catalogue, queue.runs)
        whole = Fence(late.job.id, late.job.attempt, None)
        with pytest.raises(JobCancelled), context.transaction(also=whole) as connection:
            write_something(connection)
        assert not has_something(stage)
        with context.transaction():
            pass  # its own right still holds, so that it can be ended in good order

    async def test_one_that_goes_on_writes(self, queue: AsyncJobQueue, stage: Stage) -> None:
        """Also the parts of a job that waits for them."""
        running = await begin(queue)
        with stage.catalogue.write() as connection:
            raise_fence(connection, running)
        with JobContext(running, stage.catalogue, queue.runs).transaction() as connection:
            write_something(connection)
        assert has_something(stage)


class TestWorkers:
    async def test_saying_that_a_worker_is_alive_or_gone_is_harmless(self, queue: AsyncJobQueue) -> None:
        """Any number of times, and known or not."""
        await queue.heartbeat("w")
        await queue.heartbeat("w")
        assert await queue.recover() == 0
        await queue.dismiss("w")
        await queue.dismiss("w")
        assert await queue.live_workers() == ()
