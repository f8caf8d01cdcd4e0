"""The port of the job queue, `AsyncJobQueue`, which a queue in memory (for tests) and one a database engine fill.

A client submits, reads, waits and cancels. A worker claims, renews, reports and finishes; each of its calls carries the
claim, and is refused with `FencedError` once another worker has taken the job over.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from stoat_ferret.jobs.cursor import MOST_COUNTED
from stoat_ferret.jobs.memory import InMemoryJobQueue
from stoat_ferret.jobs.model import (
    ANYTHING,
    Claim,
    Job,
    JobHandler,
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

__all__ = ["AsyncJobQueue", "InMemoryJobQueue", "Job", "JobHandler", "JobRequest", "JobStatus"]


class AsyncJobQueue(Protocol):
    """Durable jobs: a submit that returned is kept, a job runs at least once, its effects happen exactly once."""

    # Clients

    async def submit(self, request: JobRequest, once: OnceKey | None = None) -> Submission:
        """Record a job, or join an equal one that is still pending; with `once`, give what came of it the first time.

        Raises:
            IdempotencyKeyReusedError: the key was used for something else.
        """
        ...

    async def recall(self, once: OnceKey) -> Job | None:
        """Give the job that came of an earlier submit under this key, if there was one.

        Raises:
            IdempotencyKeyReusedError: the key was used for something else.
        """
        ...

    async def get(self, job_id: str) -> Job:
        """Give a job as it stands.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        ...

    async def list(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        parent_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Give jobs, newest first: those that are no parts of others, or, with `parent_id`, the parts of that one.

        Raises:
            InvalidCursorError: the cursor is not one that this queue gave.
        """
        ...

    async def count_listed(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        parent_id: str | None = None,
        most: int = MOST_COUNTED,
    ) -> tuple[int, bool]:
        """Give how many jobs `list` has on all its pages, `most` at most, and whether there are more than that."""
        ...

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        ...

    async def changed_since(self, revision: int, *, limit: int = 200, timeout_seconds: float = 0.0) -> tuple[Job, ...]:
        """Give jobs that changed after a revision, as they stand, in the order of their last changes.

        Waits until there is one, or the time is over.
        """
        ...

    async def last_revision(self) -> int:
        """Give the revision of the last change of any job; 0 before the first."""
        ...

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end: a pending one ends at once, a running one as soon as its handler looks.

        Raises:
            JobNotFoundError: there is none with this id.
            JobAlreadyFinishedError: it has ended already.
        """
        ...

    async def retry(
        self, job_id: str, anew: Callable[[Job], Awaitable[JobRequest]], once: OnceKey | None = None
    ) -> Submission:
        """Do again what a job did not complete: a new job that names it, or an equal one that is pending already.

        Args:
            job_id: the job that was not completed.
            anew: gives the request for the same, as it would be made now; not called where the job is refused.
            once: as in `submit`.

        Raises:
            JobNotFoundError: there is none with this id.
            JobNotRetryableError: it is not over, was completed, or is a part of another one.
            IdempotencyKeyReusedError: the key was used for something else.
        """
        ...

    async def delete(self, job_id: str) -> None:
        """Forget a job that has ended, and its parts: these first, in small steps, and the job last.

        Where it is cut off, the job is still there, with fewer parts, and can be deleted again; or it is trimmed once
        it is old.

        Raises:
            JobNotFoundError: there is none with this id.
            JobNotFinishedError: it, or what it is a part of, has not ended yet.
        """
        ...

    # Workers

    async def claim(self, worker_id: str, wanted: Wanted = ANYTHING) -> Claim | None:
        """Take the next job that may run: by priority, then age. None when there is none.

        Jobs whose lease has ended go back to the queue first, or to their end where that was asked for meanwhile.
        """
        ...

    def runs(self, job_id: str, attempt: int, token: str | None) -> bool:
        """Tell whether a job is still at an attempt, and under a token if one is given.

        Any thread may call it, also within a transaction on the catalogue: it waits for no lock.

        Raises:
            StorageError: the records could not be read.
        """
        ...

    async def renew(self, claim: Claim) -> Job:
        """Extend the lease, and give the job (its `cancel_requested` above all).

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def outranked(self, claim: Claim, wanted: Wanted = ANYTHING, *, for_slot: bool = False) -> bool:
        """Tell whether a more urgent job, which this one's exclusive key alone keeps from running, waits for its end.

        Args:
            claim: of this one.
            wanted: what the worker takes that asks: what it would not, it need not give way to.
            for_slot: also where it is the slot that such a job lacks, and has for a second.
        """
        ...

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress; a fraction that is unknown or lower than the last one leaves that.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def report_for(self, job_id: str, attempt: int, fraction: float | None, progress: Progress) -> bool:
        """Record the progress of a job that waits for its parts, as one of them knows it; False where it does not."""
        ...

    async def await_parts(self, claim: Claim, checkpoint: dict[str, Any]) -> bool:
        """Let the job wait, on no worker's slot, until its parts have ended; then it is claimed again and goes on.

        False where no part is left to wait for, or its end was asked for: then nothing is changed.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def count_parts(self, job_id: str) -> tuple[int, int]:
        """Give how many parts of a job have ended, and how many there are."""
        ...

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job, and what is left of its parts.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def release(self, claim: Claim, *, after_seconds: float = 0.0) -> None:
        """Hand the job back unfinished: it is pending again, or cancelled where that was asked for.

        It is not claimed again before `after_seconds` have passed.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def wait_for_work(self, timeout_seconds: float, wanted: Wanted = ANYTHING) -> None:
        """Return when there is something to claim, at once if there is already, at the latest when the time is over."""
        ...

    async def heartbeat(self, worker_id: str, profile: WorkerProfile | None = None) -> None:
        """Say that the worker, in this process, is alive; the first time makes it known."""
        ...

    async def dismiss(self, worker_id: str) -> None:
        """Forget a worker that has ended in good order."""
        ...

    async def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Give the workers that were heard of within the length of a lease."""
        ...

    async def recover(self) -> int:
        """Hand back at once the jobs of workers on this machine whose processes are gone; give their number."""
        ...

    async def sweep(self, wanted: Wanted = ANYTHING) -> None:
        """Put right what nobody else would notice; every worker calls it about once a second.

        A job that waits for its parts, and keeps a more urgent one waiting that this worker would take, gives way once
        it has done so for a while: it is handed back, and its parts end. See `outranked`.
        """
        ...

    # Upkeep

    async def fire(self, name: str, cron: str, next_after: Callable[[int], int], request: JobRequest) -> Job | None:
        """Submit a scheduled job if it is due, once however many ask; gives it, or None.

        A new schedule, or one whose cron line has changed, is first due at the next moment of the line. One that was
        due while nobody asked is due now, once. `next_after` gives the line's first moment after another, both in
        microseconds since 1970 UTC.
        """
        ...

    async def schedules(self) -> tuple[Schedule, ...]:
        """Give all schedules by name."""
        ...

    async def unschedule(self, names: frozenset[str]) -> None:
        """Forget schedules."""
        ...

    async def trim(self, before: int, limit: int) -> Trimmed:
        """Forget some jobs that ended before a moment (microseconds since 1970 UTC), and keys as old.

        Deletes `limit` records at most, parts before the job that they are of. Call it until it has deleted none; what
        was cut off is gone on with by whoever calls it next.
        """
        ...

    async def known_ids(self, job_ids: frozenset[str]) -> frozenset[str]:
        """Give those of some ids that jobs have."""
        ...

    async def count(self, numbers: Mapping[str, float]) -> None:
        """Add to counters."""
        ...

    async def statistics(self) -> Statistics:
        """Give the queue in numbers."""
        ...
