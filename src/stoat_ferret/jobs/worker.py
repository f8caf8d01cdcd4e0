"""The worker's loop: claim, run, again, in a few slots; and hand back what is not done when it has to stop."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import structlog
from uuid_utils.compat import uuid7

from stoat_ferret.db.engine import Database
from stoat_ferret.db.together import Committer
from stoat_ferret.errors import StorageError, StorageFullError
from stoat_ferret.jobs.execution import PASSING, execute
from stoat_ferret.jobs.model import Claim, JobHandler, Wanted, WorkerProfile
from stoat_ferret.jobs.queue import AsyncJobQueue

IDLE_SECONDS = 30.0
"""How long a slot waits for work before it looks again by itself."""
SWEEP_SECONDS = 1.0
"""How often it is looked for what nobody else would notice."""
RETRY_SECONDS = 0.5
"""Pause before a database that could not be used is tried again."""

log = structlog.get_logger(__name__)


class Worker:
    """Runs the queue's jobs, `slots` at once; the first slot leaves `long_types` alone, so that small jobs always run.

    `renew_seconds` is how often a lease is renewed, well below its length. `stop_seconds` is what running handlers get
    to end once the worker has to. `reaches` tells whether a job of a place can be run here; `version` and `places` are
    what others are told of this worker. `beside` runs beside the slots for as long as the worker does.
    """

    def __init__(
        self,
        queue: AsyncJobQueue,
        handlers: Mapping[str, JobHandler],
        *,
        catalogue: Database | None,
        slots: int,
        long_types: Collection[str],
        renew_seconds: float,
        stop_seconds: float = 5.0,
        version: str | None = None,
        places: Collection[str] | None = None,
        reaches: Callable[[str], bool] | None = None,
        beside: Collection[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self.id = str(uuid7())
        self._queue = queue
        self._handlers = handlers
        self._catalogue = catalogue
        self._committer = None if catalogue is None else Committer(catalogue, name="claims-commit")
        # A single slot has to take everything, or some jobs would never run.
        short_only = Wanted(without_types=frozenset(long_types if slots > 1 else ()), reaches=reaches)
        self._slots = [short_only, *[Wanted(reaches=reaches)] * (slots - 1)]
        declared = None if places is None else tuple(places)
        self._profile = WorkerProfile(version=version, slots=slots, places=declared)
        self._renew_seconds = renew_seconds
        self._stop_seconds = stop_seconds
        self._beside = tuple(beside)

    async def run(self, stop: asyncio.Event) -> bool:
        """Work until `stop` is set; then tell the handlers to end and hand their jobs back to the queue.

        False when a handler did not end in time: its job is taken over when its lease ends, or when the process does,
        which the caller should see to, since a thread of that handler may still run.
        """
        await self._begin(stop)
        log.info("worker started", worker_id=self.id, slots=len(self._slots))
        slots = {asyncio.create_task(self._work(wanted, stop)) for wanted in self._slots}
        beside = {asyncio.create_task(each()) for each in (self._beat, self._sweep, *self._beside)}
        told = asyncio.create_task(_wait(stop))
        try:
            # All of them end by themselves only through a mistake in this program; then all end, and run() raises.
            await asyncio.wait({*slots, *beside, told}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            _, late = await asyncio.wait(slots, timeout=self._stop_seconds)
        finally:
            await _end({*slots, *beside, told})
            if self._committer is not None:
                await asyncio.to_thread(self._committer.close)
        for task in slots | beside:
            if not task.cancelled():
                task.result()
        if late:
            log.warning("handlers did not end in time; their jobs are left to be taken over", count=len(late))
            return False
        await self._queue.dismiss(self.id)
        log.info("worker stopped", worker_id=self.id)
        return True

    async def _begin(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._queue.recover()
                await self._queue.heartbeat(self.id, self._profile)
            except (*PASSING, StorageFullError) as error:
                log.warning("cannot begin; trying again", error=error.message)
                await _unless(stop, asyncio.sleep(RETRY_SECONDS))
            else:
                return

    async def _work(self, wanted: Wanted, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                claim = await self._queue.claim(self.id, wanted)
                if claim is None:
                    await _unless(stop, self._queue.wait_for_work(IDLE_SECONDS, wanted))
                    continue
            except StorageError as error:
                log.warning("cannot take jobs; trying again", error=error.message)
                await _unless(stop, asyncio.sleep(RETRY_SECONDS))
                continue
            await self._run(claim, wanted, stop)

    async def _run(self, claim: Claim, wanted: Wanted, stop: asyncio.Event) -> None:
        await execute(
            self._queue,
            claim,
            self._handlers.get(claim.job.type),
            catalogue=self._catalogue,
            renew_seconds=self._renew_seconds,
            stopping=stop,
            committer=self._committer,
            wanted=wanted,
        )

    async def _beat(self) -> None:
        pause = self._renew_seconds
        while True:
            await asyncio.sleep(pause)
            pause = self._renew_seconds
            try:
                await self._queue.heartbeat(self.id, self._profile)
            except StorageError as error:
                log.warning("cannot say that this worker is alive; trying again", error=error.message)
                pause = min(pause, RETRY_SECONDS)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._queue.sweep(self._slots[-1])
            except StorageError as error:
                log.warning("cannot look for what was left behind; trying again", error=error.message)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _unless(stop: asyncio.Event, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait, but not once the worker has to stop."""
    wanted, told = asyncio.create_task(waiting), asyncio.create_task(_wait(stop))
    try:
        await asyncio.wait({wanted, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end({wanted, told})
    if not wanted.cancelled():
        wanted.result()


async def _end(tasks: Collection["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
