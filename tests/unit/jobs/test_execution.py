"""How a claimed job is run."""

import asyncio
import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.tables import catalogue, job_claims
from stoat_ferret.errors import FencedError, LibraryOfflineError, StorageBusyError, StorageFullError
from stoat_ferret.jobs import execution, transitions
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.execution import execute
from stoat_ferret.jobs.fence import raise_fence
from stoat_ferret.jobs.model import Claim, Job, JobHandler, JobOutcome, JobRequest, JobStatus, Progress
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.jobs.store import runs as runs_module

pytestmark = pytest.mark.anyio


class TroubledQueue(InMemoryJobQueue):
    """A queue whose database cannot be used now and then: `trouble` names calls, and how often each fails."""

    def __init__(self, **options: Any) -> None:
        super().__init__(run_on_submit=False, **options)
        self.trouble: dict[str, int] = {}
        self.reports: list[tuple[float | None, Progress]] = []
        self.full = False

    def _fail(self, name: str) -> None:
        if self.trouble.get(name, 0) > 0:
            self.trouble[name] -= 1
            raise StorageBusyError

    async def get(self, job_id: str) -> Job:
        self._fail("get")
        return await super().get(job_id)

    async def renew(self, claim: Claim) -> Job:
        self._fail("renew")
        return await super().renew(claim)

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        self._fail("finish")
        return await super().finish(claim, outcome)

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        self.reports.append((fraction, progress))
        if self.full:
            raise StorageFullError
        await super().report(claim, fraction, progress)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    database = open_sqlite(tmp_path / "library.db")
    catalogue.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def queue() -> TroubledQueue:
    """Give a queue without trouble so far."""
    return TroubledQueue()


async def claim(queue: InMemoryJobQueue, **options: Any) -> Claim:
    await queue.submit(JobRequest(type="scan", payload={}, **options))
    found = await queue.claim("worker")
    assert found is not None
    return found


async def run(
    queue: InMemoryJobQueue,
    handler: JobHandler | None,
    *,
    library: Database | None = None,
    renew_seconds: float = 0.05,
    stopping: asyncio.Event | None = None,
    **options: Any,
) -> Job | None:
    claimed = await claim(queue, **options)
    async with asyncio.timeout(60):
        return await execute(queue, claimed, handler, catalogue=library, renew_seconds=renew_seconds, stopping=stopping)


async def ended(queue: InMemoryJobQueue, handler: JobHandler | None, **options: Any) -> Job:
    job = await run(queue, handler, **options)
    assert job is not None
    assert job == await InMemoryJobQueue.get(queue, job.id)
    return job


async def until_cancelled(context: JobContext) -> None:
    while not context.cancelled:  # noqa: ASYNC110 - as a handler would
        await asyncio.sleep(0.01)
    context.raise_if_cancelled()


class TestOutcomes:
    async def test_a_job_ends_though_its_progress_finds_no_room(self, queue: TroubledQueue) -> None:
        """On a full disk there is room set aside for the end, none for what was said on the way."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.progress("probe", 3, 10)
            queue.full = True
            raise StorageFullError

        job = await ended(queue, handler)
        assert (job.status, job.error_code) == (JobStatus.FAILED, "STORAGE_FULL")
        assert len(queue.reports) == 1

    async def test_what_the_handler_returns_is_the_result(self, queue: TroubledQueue) -> None:
        """And the job is complete."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            assert (context.job_id, context.attempt) == (job.id, 1)
            return {"scanned": 3}

        job = await ended(queue, handler)
        assert (job.status, job.result, job.progress) == (JobStatus.COMPLETE, {"scanned": 3}, 1.0)

    async def test_an_unknown_type_fails(self, queue: TroubledQueue) -> None:
        """With a sentence that names it."""
        job = await ended(queue, None)
        assert (job.status, job.error_code) == (JobStatus.FAILED, "UNKNOWN_JOB_TYPE")
        assert job.error == "This version of stoat-ferret has no jobs of the type 'scan'."

    async def test_a_refusal_is_shown_as_it_is(self, queue: TroubledQueue) -> None:
        """With its code and with what was done before."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.partial_result = {"scanned": 2}
            raise LibraryOfflineError

        with capture_logs() as logs:
            job = await ended(queue, handler)
        assert (job.status, job.error_code, job.result) == (JobStatus.FAILED, "LIBRARY_OFFLINE", {"scanned": 2})
        assert job.error == LibraryOfflineError().message
        assert not logs

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("filename", [None, "/data/thumbnails"])
    async def test_a_full_disk_is_named(self, queue: TroubledQueue, number: int, filename: str | None) -> None:
        """A person can do something about it."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            raise OSError(number, "full", filename)

        job = await ended(queue, handler)
        assert (job.status, job.error_code) == (JobStatus.FAILED, StorageFullError.code)
        assert job.error is not None
        assert "full" in job.error
        assert (filename or "disk") in job.error

    @pytest.mark.parametrize("error", [ValueError("secret"), OSError(errno.EIO, "secret"), TimeoutError("secret")])
    async def test_the_unexpected_is_logged(self, queue: TroubledQueue, error: Exception) -> None:
        """With its traceback; the record only says where to look."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            raise error

        with capture_logs() as logs:
            job = await ended(queue, handler)
        assert (job.status, job.error_code) == (JobStatus.FAILED, "INTERNAL_ERROR")
        assert job.error is not None
        assert "see the log" in job.error
        assert "secret" not in job.error
        assert [entry["exc_info"] for entry in logs] == [error]

    @pytest.mark.parametrize("result", [{"path": b"bytes"}, {"rate": float("nan")}])
    async def test_a_result_that_is_not_json_fails(self, queue: TroubledQueue, result: dict[str, Any]) -> None:
        """It could not be stored; a partial result of that kind is left out."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.partial_result = result
            return result

        job = await ended(queue, handler)
        assert (job.status, job.error_code, job.result) == (JobStatus.FAILED, "INTERNAL_ERROR", None)

    async def test_a_handler_that_is_cancelled_from_within_fails(self, queue: TroubledQueue) -> None:
        """The worker is not taken down with it."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            raise asyncio.CancelledError

        assert (await ended(queue, handler)).error_code == "INTERNAL_ERROR"

    async def test_a_handler_may_end_by_itself(self, queue: TroubledQueue) -> None:
        """As if it had been asked to."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.end()
            context.raise_if_cancelled()
            return {}

        assert (await ended(queue, handler)).status is JobStatus.CANCELLED


class TestProgress:
    async def test_each_look_passes_on_the_latest_progress_only(self, queue: TroubledQueue) -> None:
        """However often it was said in between, also by threads; the last word is in the record."""

        def say(first: int) -> None:
            for done in range(first, first + 50):
                context_of[0].progress("probe", done, 200)

        context_of: list[JobContext] = []

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context_of.append(context)
            for first in (1, 51, 101):
                thread = threading.Thread(target=say, args=(first,))
                thread.start()
                thread.join()  # it holds up the event loop: nothing is passed on in the midst of the fifty
                while first < 101 and len(queue.reports) < first // 50 + 1:  # noqa: ASYNC110 - nobody else tells
                    await asyncio.sleep(0.01)
            return {}

        job = await ended(queue, handler)
        assert [progress.done for _, progress in queue.reports] == [50, 100, 150]
        assert job.progress_detail is not None
        assert job.progress_detail["done"] == 150


class TestCancelling:
    async def test_a_cancel_is_seen_without_waiting_for_the_next_renewal(self, queue: TroubledQueue) -> None:
        """The next look at the record is soon enough; what was done is kept."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.partial_result = {"scanned": 1}
            await queue.cancel(job.id)
            await until_cancelled(context)
            return {}

        job = await ended(queue, handler, renew_seconds=3600)
        assert (job.status, job.result, job.error) == (JobStatus.CANCELLED, {"scanned": 1}, None)

    async def test_a_handler_that_does_not_look_completes(self, queue: TroubledQueue) -> None:
        """Cancelling is cooperative."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await queue.cancel(job.id)
            await asyncio.sleep(0.3)
            return {}

        assert (await ended(queue, handler)).status is JobStatus.COMPLETE


class TestTimeout:
    async def test_a_handler_is_told_when_its_time_is_over(self, queue: TroubledQueue) -> None:
        """The job ends as timed out, with what was done."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.partial_result = {"scanned": 1}
            await until_cancelled(context)
            return {}

        job = await ended(queue, handler, timeout_seconds=0.1)
        assert (job.status, job.error_code, job.result) == (JobStatus.TIMEOUT, "TIMEOUT", {"scanned": 1})
        assert job.error == "The job took longer than the 0.1 seconds it may take."

    async def test_a_handler_that_is_done_in_the_last_moment_completes(self, queue: TroubledQueue) -> None:
        """Everything was done, so nothing else may be said."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await asyncio.sleep(0.2)
            return {"done": True}

        assert (await ended(queue, handler, timeout_seconds=0.1)).status is JobStatus.COMPLETE

    async def test_a_handler_that_does_not_look_is_ended(
        self, queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its threads may run on, but they cannot write for a job that has ended."""
        monkeypatch.setattr(execution, "TIMEOUT_GRACE_SECONDS", 0.1)
        ended_now, tried = threading.Event(), threading.Event()
        refused: list[bool] = []

        def work(context: JobContext) -> None:
            ended_now.wait(10)
            try:
                with context.transaction():
                    pass
            except FencedError:
                refused.append(True)
            tried.set()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await asyncio.to_thread(work, context)
            return {}

        job = await ended(queue, handler, library=library, timeout_seconds=0.1)
        assert job.status is JobStatus.TIMEOUT
        with library.read() as connection:
            assert connection.execute(select(job_claims.c.token)).scalar_one() == ""
        ended_now.set()
        assert await asyncio.to_thread(tried.wait, 10)
        assert refused == [True]


class TestLosing:
    @pytest.mark.parametrize("renew_seconds", [0.02, 60.0])
    async def test_a_lost_job_is_left_quietly(self, renew_seconds: float) -> None:
        """Its handler is told at once, by the next renewal or the next look; nothing is written."""
        now = 0
        queue = TroubledQueue(clock=lambda: now)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            nonlocal now
            now += 11_000_000
            taken = await queue.claim("other")
            assert taken is not None
            while not context.cancelled:  # noqa: ASYNC110 - as a handler would
                await asyncio.sleep(0.01)
            assert context.lost
            context.raise_if_cancelled()
            return {}

        with capture_logs() as logs:
            assert await run(queue, handler, renew_seconds=renew_seconds) is None
        assert [entry["event"] for entry in logs] == ["job lost to another worker"]
        job = (await queue.list()).jobs[0]
        assert (job.status, job.attempt, job.error) == (JobStatus.RUNNING, 2, None)

    async def test_a_fence_of_a_later_attempt_keeps_a_late_one_out(
        self, queue: TroubledQueue, library: Database
    ) -> None:
        """The handler does not even begin."""
        claimed = await claim(queue)
        with library.write() as connection:
            connection.execute(job_claims.insert().values((claimed.job.id, 2, "later", 0)))

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            pytest.fail("it must not begin")

        assert await execute(queue, claimed, handler, catalogue=library, renew_seconds=1) is None

    async def test_a_handler_that_was_fenced_says_nothing(self, queue: TroubledQueue, library: Database) -> None:
        """Whoever has the job now will say it."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            with library.write() as connection:
                connection.execute(job_claims.update().values({"attempt": 2, "token": "later"}))
            with context.transaction() as connection:
                connection.execute(job_claims.delete())
            return {}

        assert await run(queue, handler, library=library) is None
        assert (await queue.list()).jobs[0].status is JobStatus.RUNNING


class TestTrouble:
    async def test_a_busy_database_is_tried_again(self, queue: TroubledQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        """For renewing, looking and finishing alike: the work was done and is not thrown away."""
        monkeypatch.setattr(execution, "RETRY_SECONDS", 0.01)
        queue.trouble = {"renew": 3, "get": 1, "finish": 3}

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await asyncio.sleep(0.5)
            return {"done": True}

        assert (await ended(queue, handler)).status is JobStatus.COMPLETE
        assert queue.trouble == {"renew": 0, "get": 0, "finish": 0}

    async def test_a_locked_catalogue_is_waited_for(
        self, queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The handler begins once its claim is there."""
        monkeypatch.setattr(execution, "RETRY_SECONDS", 0.01)
        tries = 0
        real = raise_fence

        def sometimes(*arguments: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise StorageBusyError
            real(*arguments)

        monkeypatch.setattr(execution, "raise_fence", sometimes)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            with context.transaction():
                return {}

        assert (await ended(queue, handler, library=library)).status is JobStatus.COMPLETE

    async def test_a_job_can_be_cancelled_while_the_catalogue_is_locked(
        self, queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody has to wait for the lock first."""
        monkeypatch.setattr(execution, "RETRY_SECONDS", 0.01)

        def never(*_: Any) -> None:
            raise StorageBusyError

        monkeypatch.setattr(execution, "raise_fence", never)
        claimed = await claim(queue)
        await queue.cancel(claimed.job.id)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            pytest.fail("it must not begin")

        job = await execute(queue, claimed, handler, catalogue=library, renew_seconds=1)
        assert job is not None
        assert job.status is JobStatus.CANCELLED

    async def test_a_full_disk_at_the_start_fails_the_job(
        self, queue: TroubledQueue, library: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Waiting would not help."""

        def full(*_: Any) -> None:
            raise StorageFullError

        monkeypatch.setattr(execution, "raise_fence", full)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            pytest.fail("it must not begin")

        assert (await ended(queue, handler, library=library)).error_code == "STORAGE_FULL"

    async def test_a_mistake_beside_the_handler_is_logged(
        self, queue: TroubledQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The job itself goes on."""

        called = asyncio.Event()

        async def broken(_claim: Claim) -> Job:
            called.set()
            raise ZeroDivisionError

        monkeypatch.setattr(queue, "renew", broken)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await called.wait()
            return {}

        with capture_logs() as logs:
            assert (await ended(queue, handler, renew_seconds=0.01)).status is JobStatus.COMPLETE
        assert [entry["event"] for entry in logs] == ["a job was not looked after to its end"]


class TestGivingWay:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a run give way almost from its begin on."""
        monkeypatch.setattr(transitions, "GIVE_WAY_SECONDS", 0.2)

    async def test_a_job_is_handed_back_for_a_more_urgent_one_that_it_keeps_waiting(self, queue: TroubledQueue) -> None:
        """And goes on after that."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await queue.submit(JobRequest(type="scan", payload={}, key="part", priority=1, exclusive_key="a/b/"))
            await until_cancelled(context)
            return {}

        assert await run(queue, handler, exclusive_key="a/") is None
        urgent = await queue.claim("worker")
        assert urgent is not None
        assert urgent.job.priority == 1
        assert await queue.claim("worker") is None
        await queue.finish(urgent, JobOutcome(status=JobStatus.COMPLETE))
        again = await queue.claim("worker")
        assert again is not None
        assert (again.job.priority, again.job.attempt) == (0, 2)

    @pytest.mark.parametrize(
        "other",
        [
            {"priority": 0, "exclusive_key": "a/b/"},
            {"priority": 1, "exclusive_key": "b/"},
            {"priority": 1},
            {"priority": 1, "exclusive_key": "a/b/", "run_after": 4_000_000_000_000_000},
        ],
        ids=["no more urgent", "elsewhere", "that may run beside it", "not due yet"],
    )
    async def test_it_gives_way_to_no_job(self, queue: TroubledQueue, other: dict[str, Any]) -> None:
        """That need not wait for it, or can."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await queue.submit(JobRequest(type="scan", payload={}, key="other", **other))
            for _ in range(60):
                await asyncio.sleep(0.01)
                context.raise_if_cancelled()
            return {}

        assert (await ended(queue, handler, exclusive_key="a/")).status is JobStatus.COMPLETE

    async def test_one_that_could_not_go_on_where_it_was_does_not(self, queue: TroubledQueue) -> None:
        """Its handler says so."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.may_give_way = False
            await queue.submit(JobRequest(type="scan", payload={}, key="part", priority=1, exclusive_key="a/b/"))
            for _ in range(60):
                await asyncio.sleep(0.01)
                context.raise_if_cancelled()
            return {}

        assert (await ended(queue, handler, exclusive_key="a/")).status is JobStatus.COMPLETE

    @pytest.mark.parametrize("other", [{"exclusive_key": "a/b/"}, {}], ids=["that it excludes", "that lacks a slot"])
    async def test_one_that_loses_nothing_gives_way_at_once(
        self, queue: TroubledQueue, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
    ) -> None:
        """Its handler says so; it also gives up its slot."""
        monkeypatch.setattr(transitions, "GIVE_WAY_SECONDS", 100.0)
        monkeypatch.setattr(runs_module, "LACKS_SLOT_SECONDS", 0)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            context.loses_nothing = True
            await queue.submit(JobRequest(type="scan", payload={}, key="other", priority=1, **other))
            await until_cancelled(context)
            return {}

        assert await run(queue, handler, exclusive_key="a/") is None
        urgent = await queue.claim("worker")
        assert urgent is not None
        assert urgent.job.priority == 1

    async def test_each_attempt_goes_on_for_twice_as_long(self, queue: TroubledQueue) -> None:
        """Else a job that others always come between would never end."""
        lasted: list[float] = []

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            began = asyncio.get_running_loop().time()
            part = JobRequest(type="scan", payload={}, key="part", priority=1, exclusive_key="a/b/")
            submitted = (await queue.submit(part)).job
            try:
                await until_cancelled(context)
            finally:
                lasted.append(asyncio.get_running_loop().time() - began)
                await queue.cancel(submitted.id)
            return {}

        assert await run(queue, handler, exclusive_key="a/") is None
        for _ in range(2):
            again = await queue.claim("worker")
            assert again is not None
            assert await execute(queue, again, handler, catalogue=None, renew_seconds=0.02) is None
        assert lasted[0] < lasted[1] < lasted[2]

    async def test_a_cancelled_job_is_cancelled_though_it_gives_way(self, queue: TroubledQueue) -> None:
        """It does not come back."""

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await queue.submit(JobRequest(type="scan", payload={}, key="part", priority=1, exclusive_key="a/b/"))
            while not context.cancelled:  # noqa: ASYNC110 - as a handler would
                await asyncio.sleep(0.01)
            await queue.cancel(job.id)
            await asyncio.sleep(0.5)
            context.raise_if_cancelled()
            return {}

        assert (await ended(queue, handler, exclusive_key="a/")).status is JobStatus.CANCELLED


class TestStopping:
    async def test_a_job_is_handed_back_when_the_worker_stops(self, queue: TroubledQueue) -> None:
        """It is pending again, not cancelled."""
        stopping = asyncio.Event()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            stopping.set()
            await until_cancelled(context)
            return {}

        assert await run(queue, handler, stopping=stopping) is None
        assert (await queue.list()).jobs[0].status is JobStatus.PENDING

    async def test_a_job_that_is_done_meanwhile_is_complete(self, queue: TroubledQueue) -> None:
        """There is nothing to hand back."""
        stopping = asyncio.Event()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            stopping.set()
            await asyncio.sleep(0.3)
            return {}

        assert (await ended(queue, handler, stopping=stopping)).status is JobStatus.COMPLETE

    async def test_a_cancelled_job_is_cancelled_all_the_same(self, queue: TroubledQueue) -> None:
        """That the worker stops as well does not revive it."""
        stopping = asyncio.Event()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            await queue.cancel(job.id)
            while not context.cancelled:  # noqa: ASYNC110 - as a handler would
                await asyncio.sleep(0.01)
            stopping.set()
            context.partial_result = {"scanned": 1}
            context.raise_if_cancelled()
            return {}

        job = await ended(queue, handler, stopping=stopping)
        assert (job.status, job.result) == (JobStatus.CANCELLED, {"scanned": 1})

    async def test_one_that_is_cancelled_at_the_last_moment_tells_what_it_had_done(self, queue: TroubledQueue) -> None:
        """It had been told to end for another reason before."""
        stopping = asyncio.Event()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            stopping.set()
            while not context.cancelled:  # noqa: ASYNC110 - as a handler would
                await asyncio.sleep(0.01)
            await queue.cancel(job.id)
            context.partial_result = {"scanned": 1}
            context.raise_if_cancelled()
            return {}

        job = await ended(queue, handler, stopping=stopping)
        assert (job.status, job.result) == (JobStatus.CANCELLED, {"scanned": 1})

    async def test_a_job_that_was_lost_and_forgotten_meanwhile_is_not_handed_back(self, queue: TroubledQueue) -> None:
        """Another one has ended it, and somebody has deleted it; the worker goes on."""
        stopping = asyncio.Event()
        claimed = await claim(queue)

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            stopping.set()
            while not context.cancelled:  # noqa: ASYNC110 - as a handler would
                await asyncio.sleep(0.01)
            await queue.finish(claimed, JobOutcome(status=JobStatus.COMPLETE))
            await queue.delete(claimed.job.id)
            context.raise_if_cancelled()
            return {}

        assert await execute(queue, claimed, handler, catalogue=None, renew_seconds=5, stopping=stopping) is None
        assert (await queue.list()).jobs == ()

    async def test_a_job_that_was_claimed_too_late_does_not_begin(self, queue: TroubledQueue) -> None:
        """It goes back as it came."""
        stopping = asyncio.Event()
        stopping.set()

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            pytest.fail("it must not begin")

        assert await run(queue, handler, stopping=stopping) is None
        assert (await queue.list()).jobs[0].status is JobStatus.PENDING

    async def test_an_abandoned_run_leaves_its_handler_unable_to_write(
        self, queue: TroubledQueue, library: Database
    ) -> None:
        """The job is neither finished nor handed back: the lease decides."""
        contexts: list[JobContext] = []

        async def handler(job: Job, context: JobContext) -> dict[str, Any]:
            contexts.append(context)
            await asyncio.sleep(60)
            return {}

        claimed = await claim(queue)
        task = asyncio.create_task(execute(queue, claimed, handler, catalogue=library, renew_seconds=1))
        while not contexts:  # noqa: ASYNC110 - the handler has no event to offer
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert contexts[0].lost
        assert (await queue.get(claimed.job.id)).status is JobStatus.RUNNING


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't start new thread"), OSError(errno.ENOMEM, "Cannot allocate memory")]
)
async def test_a_worker_without_memory_ends_instead_of_failing_jobs(queue: TroubledQueue, error: Exception) -> None:
    """It would fail each that it is given; the job stays its own until its end is noticed, and is then another's."""

    async def handler(job: Job, context: JobContext) -> dict[str, Any]:
        raise StorageFullError("It went wrong.") from error

    claimed = await claim(queue)
    with pytest.raises(StorageFullError):
        await execute(queue, claimed, handler, catalogue=None, renew_seconds=60)
    assert (await queue.get(claimed.job.id)).status is JobStatus.RUNNING
