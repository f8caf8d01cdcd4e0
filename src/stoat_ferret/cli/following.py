"""Following a job from the command line until it ends, with a worker of its own where no other is there."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.output import ProgressView
from stoat_ferret.errors import ConfigurationError, JobAlreadyFinishedError
from stoat_ferret.jobs.model import Job, JobRequest

if TYPE_CHECKING:
    from stoat_ferret.jobs.supervisor import WorkerSupervisor
    from stoat_ferret.runtime import Runtime

LOOK_SECONDS = 0.2
"""How often the job is looked at."""
MOST_RESTARTS = 5
"""A worker that could not be started so often will not be."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def submit_and_follow(runtime: "Runtime", request: JobRequest, *, silent: bool) -> Job:
    """Submit a job, and give it once it has ended.

    Raises:
        ConfigurationError: as `Following.to_end`.
    """
    job = (await runtime.queue.submit(request)).job
    return await Following(runtime, output.progress_view(silent=silent)).to_end(job)


class Following:
    """Follows one job. The first Ctrl-C or SIGTERM cancels it and waits for that; the second one leaves at once."""

    def __init__(self, runtime: "Runtime", view: ProgressView) -> None:
        self._runtime = runtime
        self._view = view
        self._supervisor: WorkerSupervisor | None = None
        self._job_id = ""
        self._interrupts = 0

    async def to_end(self, job: Job) -> Job:
        """Give the job once it has ended.

        Raises:
            ConfigurationError: nobody runs jobs, and no worker can be started.
        """
        self._job_id = job.id
        with self._interruptible():
            try:
                with self._view:
                    return await self._watch(job)
            finally:
                if self._supervisor is not None:
                    await asyncio.to_thread(self._supervisor.stop)

    async def _watch(self, job: Job) -> Job:
        queue, asked = self._runtime.queue, False
        while not job.status.terminal:
            if self._interrupts and not asked:
                asked = True
                with suppress(JobAlreadyFinishedError):
                    await queue.cancel(job.id)
            await self._ensure_worker(job)
            self._view.show(job, ending=job.cancel_requested or asked)
            job = await queue.wait(job.id, LOOK_SECONDS)
        return job

    async def _ensure_worker(self, job: Job) -> None:
        if await self._runtime.queue.live_workers():
            return
        if self._supervisor is None:
            self._supervisor = self._runtime.supervisor()
            self._supervisor.start()
        elif self._supervisor.restarts >= MOST_RESTARTS:
            msg = (
                f"No worker can be started. {self._supervisor.last_exit or ''} `stoat doctor` may tell why. "
                f"The job {job.id} waits until there is one."
            )
            raise ConfigurationError(msg)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._interrupt)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            output.say("Cancelling; what has been stored is kept. Once more to leave without waiting.")
            return
        self._view.__exit__(None, None, None)
        output.say(
            f"Left. The job {self._job_id} was told to end and will; `stoat jobs show {self._job_id}` says when it has."
        )
        # Threads may be waiting for a database; a worker that was started for this ends when its input does.
        os._exit(ExitStatus.CANCELLED)
