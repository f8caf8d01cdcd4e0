"""The port of the job queue, `AsyncJobQueue`, which a queue in memory (for tests) and one a database engine fill.

A client submits, reads, waits and cancels. A worker claims, renews, reports and finishes; each of its calls carries the
claim, and is refused with `FencedError` once another worker has taken the job over.
"""

from collections.abc import Collection
from typing import Protocol

from stoat_ferret.jobs.memory import InMemoryJobQueue
from stoat_ferret.jobs.model import (
    Claim,
    Job,
    JobHandler,
    JobOutcome,
    JobPage,
    JobRequest,
    JobStatus,
    Progress,
    Submission,
    WorkerRecord,
)

__all__ = ["AsyncJobQueue", "InMemoryJobQueue", "Job", "JobHandler", "JobRequest", "JobStatus"]


class AsyncJobQueue(Protocol):
    """Durable jobs: a submit that returned is kept, a job runs at least once, its effects happen exactly once."""

    async def submit(self, request: JobRequest) -> Submission:
        """Record a job, or join an equal one that is still pending."""
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
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Give jobs, newest first.

        Raises:
            InvalidCursorError: the cursor is not one that this queue gave.
        """
        ...

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        ...

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end: a pending one ends at once, a running one as soon as its handler looks.

        Raises:
            JobNotFoundError: there is none with this id.
            JobAlreadyFinishedError: it has ended already.
        """
        ...

    async def claim(self, worker_id: str, *, without_types: Collection[str] = ()) -> Claim | None:
        """Take the next job that may run: by priority, then age. None when there is none.

        Jobs whose lease has ended go back to the queue first, or to their end where that was asked for meanwhile.
        """
        ...

    async def renew(self, claim: Claim) -> Job:
        """Extend the lease, and give the job (its `cancel_requested` above all).

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress; a fraction that is unknown or lower than the last one leaves that.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Hand the job back unfinished: it is pending again, or cancelled where that was asked for.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        ...

    async def wait_for_work(self, timeout_seconds: float, *, without_types: Collection[str] = ()) -> None:
        """Return when there is something to claim, at once if there is already, at the latest when the time is over."""
        ...

    async def heartbeat(self, worker_id: str) -> None:
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
