"""The queue in an SQLite file: no server, several processes.

Calls run in threads of the queue's own, so that nobody else's slow work delays a submit. Changes made by this process
wake its waiters at once; those of other processes are noticed by a thread that asks SQLite for `data_version` while
somebody waits, and sleeps while nobody does.
"""

import asyncio
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from stoat_ferret.jobs.model import (
    Claim,
    Job,
    JobOutcome,
    JobPage,
    JobRequest,
    JobStatus,
    Progress,
    Submission,
    WorkerRecord,
)
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.wakeup import Wakeup

WATCH_SECONDS = 0.02
"""How often the file is looked at for another process's changes."""
CLOCK_SECONDS = 1.0
"""How often work is looked for that only time brings: a lease that ends, a job that is due."""

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)


class LocalJobQueue:
    """`AsyncJobQueue` over a `JobStore` in SQLite; any number of event loops and threads may use one.

    `close()` ends its threads; the database stays open, for whoever opened it to close.
    """

    def __init__(self, store: JobStore, *, threads: int = 4) -> None:
        self.store = store
        self._calls = ThreadPoolExecutor(threads, thread_name_prefix="jobs")
        # Those who wait look again at every change: in a thread of their own, so that many cannot delay a submit.
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="jobs-look")
        self._wakeup = Wakeup()
        self._watching = threading.Lock()
        self._watcher: threading.Thread | None = None

    def close(self) -> None:
        """End the threads, once they have done what they were asked."""
        self._wakeup.close()
        self._calls.shutdown()
        self._looks.shutdown()
        with self._watching:
            if self._watcher is not None:
                self._watcher.join()

    async def submit(self, request: JobRequest) -> Submission:
        """Record a job, or join an equal one that is still pending."""
        return await self._changing(self.store.submit, request)

    async def get(self, job_id: str) -> Job:
        """Give a job as it stands."""
        return await self._call(self.store.get, job_id)

    async def list(
        self,
        *,
        status: JobStatus | None = None,
        job_type: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Give jobs, newest first."""
        return await self._call(self.store.list, status, job_type, cursor, limit)

    async def wait(self, job_id: str, timeout_seconds: float) -> Job:
        """Give the job once it has ended, or as it stands when the time is over."""
        return await self._until(lambda: self.store.get(job_id), lambda job: job.status.terminal, timeout_seconds)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end."""
        return await self._changing(self.store.cancel, job_id)

    async def claim(self, worker_id: str, *, without_types: Collection[str] = ()) -> Claim | None:
        """Take the next job that may run."""
        return await self._changing(self.store.claim, worker_id, without_types)

    async def renew(self, claim: Claim) -> Job:
        """Extend the lease."""
        return await self._call(self.store.renew, claim)

    async def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress."""
        await self._changing(self.store.report, claim, fraction, progress)

    async def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job."""
        return await self._changing(self.store.finish, claim, outcome)

    async def release(self, claim: Claim) -> None:
        """Hand the job back unfinished."""
        await self._changing(self.store.release, claim)

    async def wait_for_work(self, timeout_seconds: float, *, without_types: Collection[str] = ()) -> None:
        """Return when there is something to claim."""
        await self._until(lambda: self.store.has_work(without_types), bool, timeout_seconds, look_every=CLOCK_SECONDS)

    async def heartbeat(self, worker_id: str) -> None:
        """Say that the worker, in this process, is alive."""
        await self._call(self.store.heartbeat, worker_id)

    async def dismiss(self, worker_id: str) -> None:
        """Forget a worker that has ended in good order."""
        await self._call(self.store.dismiss, worker_id)

    async def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Give the workers that were heard of within the length of a lease."""
        return await self._call(self.store.live_workers)

    async def recover(self) -> int:
        """Hand back at once the jobs of workers on this machine whose processes are gone."""
        return await self._changing(self.store.recover)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._calls, partial(function, *args, **kwargs))

    async def _changing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._call(function, *args, **kwargs)
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
        loop = asyncio.get_running_loop()

        async def look_in_thread() -> T:
            return await loop.run_in_executor(self._looks, look)

        return await self._wakeup.until(look_in_thread, enough, timeout_seconds, look_every=look_every)

    def _watch(self) -> None:
        with self._watching:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch_file, name="jobs-watch", daemon=True)
                self._watcher.start()

    def _watch_file(self) -> None:
        """Notify of every commit that a connection other than this one made, while someone waits."""
        connection: PoolProxiedConnection | None = None
        seen = None
        while self._wakeup.await_waiter():
            try:
                connection = connection or self.store.database.engine.raw_connection()
                version = _data_version(connection)
            except (sqlite3.Error, DBAPIError) as error:
                log.warning("cannot watch the jobs database; looking every second", error=str(error))
                version = None
                time.sleep(CLOCK_SECONDS)
            if version is None or version != seen:
                seen = version
                self._wakeup.notify()
            time.sleep(WATCH_SECONDS)
        if connection is not None:
            connection.close()


def _data_version(connection: PoolProxiedConnection) -> int:
    """Ask SQLite for a number that differs after every commit of another connection."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA data_version")
    ((version,),) = cursor.fetchall()
    cursor.close()
    return int(version)
