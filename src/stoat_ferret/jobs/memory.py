"""The queue in memory, for tests: real handlers, run where the job is submitted."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from stoat_ferret.db.engine import Database, open_sqlite_in_memory
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.jobs.execution import execute
from stoat_ferret.jobs.model import JobHandler, JobRequest, OnceKey, Submission
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.stored import StoredJobQueue

P = ParamSpec("P")
T = TypeVar("T")


class InMemoryJobQueue(StoredJobQueue):
    """The queue for tests: jobs are kept in memory and run, one after the other, where they are submitted.

    With `run_on_submit` a submit runs everything that is pending before it returns; without, `run_pending()` does. A
    handler runs exactly as a worker runs it, and nothing runs beside. Nothing is kept when the process ends.
    """

    def __init__(
        self,
        catalogue: Database | None = None,
        *,
        run_on_submit: bool = True,
        lease_seconds: float = 10.0,
        clock: Callable[[], int] | None = None,
    ) -> None:
        database = open_sqlite_in_memory()
        job_records.create_all(database.engine)
        super().__init__(JobStore(database, lease_seconds=lease_seconds, catalogue=catalogue, clock=clock))
        self._catalogue = catalogue
        self._run_on_submit = run_on_submit
        self._renew_seconds = lease_seconds / 5
        self._handlers: dict[str, JobHandler] = {}
        self._busy = False

    def register_handler(self, job_type: str, handler: JobHandler) -> None:
        """Say who does jobs of this type."""
        self._handlers[job_type] = handler

    def close(self) -> None:
        """Forget everything."""
        self._wakeup.close()
        self.store.database.close()

    async def run_pending(self) -> None:
        """Run jobs until none is left to claim. A job that a handler submits meanwhile is run after it."""
        if self._busy:
            return
        self._busy = True
        try:
            while claim := await self.claim("memory"):
                handler = self._handlers.get(claim.job.type)
                await execute(self, claim, handler, catalogue=self._catalogue, renew_seconds=self._renew_seconds)
        finally:
            self._busy = False

    async def submit(self, request: JobRequest, once: OnceKey | None = None) -> Submission:
        """Record a job or join a pending one; with `run_on_submit`, run it, and give it as it was recorded."""
        submission = await super().submit(request, once)
        if self._run_on_submit:
            await self.run_pending()
        return submission

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)
