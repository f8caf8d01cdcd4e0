"""The queue in memory, for tests: real handlers, run where the job is submitted."""

import json
import time
from collections.abc import Callable, Collection

from uuid_utils.compat import uuid4, uuid7

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import FencedError, JobNotFoundError
from stoat_ferret.jobs.cursor import decode_cursor, encode_cursor
from stoat_ferret.jobs.execution import execute
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
from stoat_ferret.jobs.transitions import (
    Changes,
    as_job,
    cancelled,
    claimed,
    finished,
    handed_back,
    joined,
    new_row,
    reported,
    stored_text,
)
from stoat_ferret.jobs.wakeup import Wakeup

EMPTY: Changes = {
    "revision": 0,
    "token": None,
    "worker_id": None,
    "lease_expires_at": None,
    "progress": None,
    "progress_detail": None,
    "result": None,
    "error": None,
    "error_code": None,
    "started_at": None,
    "finished_at": None,
}


class InMemoryJobQueue:
    """The queue for tests: jobs are kept in memory and run, one after the other, where they are submitted.

    With `run_on_submit` a submit runs everything that is pending before it returns; without, `run_pending()` does. A
    handler runs exactly as a worker runs it. For one event loop; nothing is kept when the process ends.
    """

    def __init__(
        self,
        catalogue: Database | None = None,
        *,
        run_on_submit: bool = True,
        lease_seconds: float = 10.0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._catalogue = catalogue
        self._run_on_submit = run_on_submit
        self._lease_us = int(lease_seconds * 1e6)
        self._clock = clock
        self._handlers: dict[str, JobHandler] = {}
        self._rows: dict[str, Changes] = {}
        self._revision = 0
        self._busy = False
        self._wakeup = Wakeup()

    def register_handler(self, job_type: str, handler: JobHandler) -> None:
        """Say who does jobs of this type."""
        self._handlers[job_type] = handler

    async def run_pending(self) -> None:
        """Run jobs until none is left to claim. A job that a handler submits meanwhile is run after it."""
        if self._busy:
            return
        self._busy = True
        try:
            while claim := await self.claim("memory"):
                handler = self._handlers.get(claim.job.type)
                await execute(self, claim, handler, catalogue=self._catalogue, renew_seconds=self._lease_us / 5e6)
        finally:
            self._busy = False

    async def submit(self, request: JobRequest) -> Submission:
        """Record a job or join a pending one; with `run_on_submit`, run it, and give it as it was recorded."""
        submission = self._record(request)
        if self._run_on_submit:
            await self.run_pending()
        return submission

    async def get(self, job_id: str) -> Job:
        """Give a job as it stands."""
        return as_job(self._row(job_id))

    async def list(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Give jobs, newest first."""
        before = None if cursor is None else decode_cursor(cursor, status, job_type)
        found = [
            as_job(row)
            for job_id, row in sorted(self._rows.items(), reverse=True)
            if (before is None or job_id < before)
            and (status is None or row["status"] == status)
            and (job_type is None or row["type"] == job_type)
        ]
        more = len(found) > limit
        return JobPage(tuple(found[:limit]), encode_cursor(found[limit - 1].id, status, job_type) if more else None)

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over."""
        return await self._wakeup.until(lambda: self.get(job_id), lambda job: job.status.terminal, timeout_seconds)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end."""
        row = self._row(job_id)
        return self._change(row, cancelled(row, now=self._clock()))

    async def claim(self, worker_id: str, *, without_types: Collection[str] = ()) -> Claim | None:
        """Take the next job that may run."""
        now = self._clock()
        for row in self._expired():
            self._change(row, handed_back(row, now=now))
        ready = self._ready(without_types)
        if not ready:
            return None
        row = min(ready, key=lambda row: (-row["priority"], row["id"]))
        token = str(uuid4())
        job = self._change(
            row,
            claimed(row, worker_id=worker_id, token=token, now=now, lease_expires_at=now + self._lease_us),
        )
        return Claim(job, token)

    async def renew(self, claim: Claim) -> Job:
        """Extend the lease."""
        row = self._own(claim)
        row["lease_expires_at"] = self._clock() + self._lease_us
        return as_job(row)

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress."""
        row = self._own(claim)
        self._change(row, reported(row, fraction, progress))

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job."""
        row = self._own(claim)
        return self._change(row, finished(row, outcome, now=self._clock()))

    async def release(self, claim: Claim) -> None:
        """Hand the job back unfinished."""
        row = self._own(claim)
        self._change(row, handed_back(row, now=self._clock()))

    async def wait_for_work(self, timeout_seconds: float, *, without_types: Collection[str] = ()) -> None:
        """Return when there is something to claim."""

        async def look() -> bool:
            return bool(self._expired() or self._ready(without_types))

        await self._wakeup.until(look, bool, timeout_seconds, look_every=1.0)

    async def heartbeat(self, worker_id: str) -> None:
        """Nothing: what runs in memory dies with it."""

    async def dismiss(self, worker_id: str) -> None:
        """Nothing, likewise."""

    async def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Nobody."""
        return ()

    async def recover(self) -> int:
        """Nothing was left behind."""
        return 0

    def _record(self, request: JobRequest) -> Submission:
        key = stored_text(request.key)
        for row in self._rows.values():
            if row["status"] == JobStatus.PENDING and (row["type"], row["key"]) == (request.type, key):
                return Submission(self._change(row, joined(row, request)), joined=True)
        new = new_row(request, job_id=str(uuid7()), now=self._clock())
        row = dict(EMPTY)
        job = self._change(row, new)
        self._rows[job.id] = row
        return Submission(job, joined=False)

    def _change(self, row: Changes, changes: Changes) -> Job:
        if changes:
            # Through JSON, as in a database: what cannot be stored fails here too, and nothing is shared.
            stored = json.loads(json.dumps(changes))
            self._revision += 1
            row.update(stored, revision=self._revision)
            self._wakeup.notify()
        return as_job(row)

    def _row(self, job_id: str) -> Changes:
        try:
            return self._rows[job_id]
        except KeyError as error:
            msg = f"There is no job with the id {job_id}."
            raise JobNotFoundError(msg) from error

    def _own(self, claim: Claim) -> Changes:
        row = self._rows.get(claim.job.id)
        if row is None or row["status"] != JobStatus.RUNNING or row["token"] != claim.token:
            raise FencedError
        return row

    def _expired(self) -> tuple[Changes, ...]:
        now = self._clock()
        return tuple(row for row in self._running() if row["lease_expires_at"] <= now)

    def _ready(self, without_types: Collection[str]) -> tuple[Changes, ...]:
        now = self._clock()
        taken = {row["exclusive_key"] for row in self._running()} - {None}
        return tuple(
            row
            for row in self._rows.values()
            if row["status"] == JobStatus.PENDING
            and row["type"] not in without_types
            and row["exclusive_key"] not in taken
            and (row["run_after"] is None or row["run_after"] <= now)
        )

    def _running(self) -> tuple[Changes, ...]:
        return tuple(row for row in self._rows.values() if row["status"] == JobStatus.RUNNING)
