"""What is the same in a queue for every database: each call goes to the `JobStore`, and changes wake who waits."""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

from stoat_ferret.errors import JobNotRetryableError
from stoat_ferret.jobs.cursor import MOST_COUNTED
from stoat_ferret.jobs.model import (
    ANYTHING,
    Claim,
    Job,
    JobOutcome,
    JobPage,
    JobRequest,
    JobStatus,
    OnceKey,
    Progress,
    Schedule,
    Statistics,
    Submission,
    Trimmed,
    Wanted,
    WorkerProfile,
    WorkerRecord,
)
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.wakeup import Wakeup

CLOCK_SECONDS = 1.0
"""How often work is looked for that only time brings: a lease that ends, a job that is due."""
ROWS_A_TRANSACTION = 200
"""Records deleted at a time: a few milliseconds' work, for which submits wait."""
RETRYABLE = (JobStatus.FAILED, JobStatus.TIMEOUT, JobStatus.CANCELLED)

P = ParamSpec("P")
T = TypeVar("T")


class StoredJobQueue(ABC):
    """`AsyncJobQueue` over a `JobStore`; see there for what each call promises. Engines say how calls are made."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self._wakeup = Wakeup()

    @abstractmethod
    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store without holding up the event loop."""

    def runs(self, job_id: str, attempt: int, token: str | None) -> bool:
        """Tell whether a job is still at an attempt; see `AsyncJobQueue`."""
        return self.store.runs(job_id, attempt, token)

    async def _look(self, function: Callable[[], T]) -> T:
        """Call one for somebody who waits: not where it could delay others."""
        return await self._call(function)

    def _watch(self) -> None:  # noqa: B027  # a queue that is alone has nothing to watch
        """Make sure that changes made by other processes are noticed while somebody waits."""

    async def _commit(self, change: Callable[[], T], *, durable: bool) -> T:
        """Call one that changes records."""
        return await self._call(change)

    async def _changing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._commit(partial(function, *args, **kwargs), durable=True)
        finally:
            self._wakeup.notify()

    async def _passing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Change what a power cut may undo."""
        try:
            return await self._commit(partial(function, *args, **kwargs), durable=False)
        finally:
            self._wakeup.notify()

    async def _until(
        self,
        look: Callable[[], T],
        enough: Callable[[T], bool],
        timeout_seconds: float,
        *,
        look_every: float = math.inf,
    ) -> T:
        self._watch()

        async def look_aside() -> T:
            return await self._look(look)

        return await self._wakeup.until(look_aside, enough, timeout_seconds, look_every=look_every)

    async def submit(self, request: JobRequest, once: OnceKey | None = None) -> Submission:
        """Record a job, or join an equal one that is still pending."""
        return await self._changing(self.store.submit, request, once)

    async def recall(self, once: OnceKey) -> Job | None:
        """Give the job that came of an earlier submit under this key."""
        return await self._call(self.store.recall, once)

    async def get(self, job_id: str) -> Job:
        """Give a job as it stands."""
        return await self._call(self.store.get, job_id)

    async def list(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        parent_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Give jobs, newest first."""
        return await self._call(self.store.list, status, job_type, cursor, limit, parent_id)

    async def count_listed(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        parent_id: str | None = None,
        most: int = MOST_COUNTED,
    ) -> tuple[int, bool]:
        """Give how many jobs `list` has on all its pages."""
        return await self._call(self.store.count_listed, status, job_type, parent_id, most)

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over."""
        return await self._until(lambda: self.store.get(job_id), lambda job: job.status.terminal, timeout_seconds)

    async def changed_since(self, revision: int, *, limit: int = 200, timeout_seconds: float = 0.0) -> tuple[Job, ...]:
        """Give jobs that changed after a revision."""
        return await self._until(lambda: self.store.changed_since(revision, limit), bool, timeout_seconds)

    async def last_revision(self) -> int:
        """Give the revision of the last change of any job."""
        return await self._call(self.store.last_revision)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end."""
        return await self._changing(self.store.cancel, job_id)

    async def retry(
        self, job_id: str, anew: Callable[[Job], Awaitable[JobRequest]], once: OnceKey | None = None
    ) -> Submission:
        """Do again what a job did not complete."""
        job = await self.get(job_id)
        _check_retryable(job)  # it stays so: a job that has ended does not change
        return await self.submit(replace(await anew(job), retry_of=job.id), once)

    async def delete(self, job_id: str) -> None:
        """Forget a job that has ended."""
        while not await self._changing(self.store.delete, job_id, ROWS_A_TRANSACTION):
            pass

    async def claim(self, worker_id: str, wanted: Wanted = ANYTHING) -> Claim | None:
        """Take the next job that may run."""
        return await self._passing(self.store.claim, worker_id, wanted)

    async def renew(self, claim: Claim) -> Job:
        """Extend the lease."""
        return await self._call(self.store.renew, claim)

    async def outranked(self, claim: Claim, wanted: Wanted = ANYTHING, *, for_slot: bool = False) -> bool:
        """Tell whether a more urgent job waits for the end of this one."""
        return await self._call(self.store.outranked, claim, wanted, for_slot=for_slot)

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress."""
        await self._passing(self.store.report, claim, fraction, progress)

    async def report_for(self, job_id: str, attempt: int, fraction: float | None, progress: Progress) -> bool:
        """Record the progress of a job that waits for its parts."""
        return await self._passing(self.store.report_for, job_id, attempt, fraction, progress)

    async def await_parts(self, claim: Claim, checkpoint: dict[str, Any]) -> bool:
        """Let the job wait until its parts have ended."""
        return await self._changing(self.store.await_parts, claim, checkpoint)

    async def count_parts(self, job_id: str) -> tuple[int, int]:
        """Give how many parts of a job have ended, and how many there are."""
        return await self._call(self.store.count_parts, job_id)

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job."""
        return await self._changing(self.store.finish, claim, outcome)

    async def release(self, claim: Claim, *, after_seconds: float = 0.0) -> None:
        """Hand the job back unfinished."""
        await self._changing(self.store.release, claim, after_seconds=after_seconds)

    async def wait_for_work(self, timeout_seconds: float, wanted: Wanted = ANYTHING) -> None:
        """Return when there is something to claim."""
        await self._until(lambda: self.store.has_work(wanted), bool, timeout_seconds, look_every=CLOCK_SECONDS)

    async def heartbeat(self, worker_id: str, profile: WorkerProfile | None = None) -> None:
        """Say that the worker, in this process, is alive."""
        await self._call(self.store.heartbeat, worker_id, profile)

    async def dismiss(self, worker_id: str) -> None:
        """Forget a worker that has ended in good order."""
        await self._call(self.store.dismiss, worker_id)

    async def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Give the workers that were heard of within the length of a lease."""
        return await self._call(self.store.live_workers)

    async def recover(self) -> int:
        """Hand back at once the jobs of workers on this machine whose processes are gone."""
        return await self._changing(self.store.recover)

    async def sweep(self, wanted: Wanted = ANYTHING) -> None:
        """Let what waits for its parts give way; whoever claims hands back first what was left behind."""
        if await self._call(self.store.give_way, wanted):
            self._wakeup.notify()

    async def fire(self, name: str, cron: str, next_after: Callable[[int], int], request: JobRequest) -> Job | None:
        """Submit a scheduled job if it is due."""
        return await self._changing(self.store.fire, name, cron, next_after, request)

    async def schedules(self) -> tuple[Schedule, ...]:
        """Give all schedules by name."""
        return await self._call(self.store.schedules)

    async def unschedule(self, names: frozenset[str]) -> None:
        """Forget schedules."""
        await self._call(self.store.unschedule, names)

    async def trim(self, before: int, limit: int) -> Trimmed:
        """Forget some jobs that ended before a moment."""
        return await self._call(self.store.trim, before, limit)

    async def known_ids(self, job_ids: frozenset[str]) -> frozenset[str]:
        """Give those of some ids that jobs have."""
        return await self._call(self.store.known_ids, job_ids)

    async def count(self, numbers: Mapping[str, float]) -> None:
        """Add to counters."""
        await self._call(self.store.count, numbers)

    async def statistics(self) -> Statistics:
        """Give the queue in numbers."""
        return await self._call(self.store.statistics)


def _check_retryable(job: Job) -> None:
    if job.parent_id is not None:
        msg = f"The job {job.id} is a part of the job {job.parent_id}. Retry that one."
        raise JobNotRetryableError(msg)
    if job.status not in RETRYABLE:
        msg = f"The job {job.id} is {job.status.value}. Only a job that failed, timed out or was cancelled is retried."
        raise JobNotRetryableError(msg)
