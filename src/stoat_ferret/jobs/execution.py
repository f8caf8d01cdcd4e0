"""The one way in which a claimed job is run, by a worker and in tests alike.

The claim is brought to the catalogue, the handler starts as a task, and soon two others look after it: one renews
the lease, the other passes on progress and notices when the job is to end. What the handler returns or raises becomes
the outcome. Whoever finds out that another worker has the job stops without a word: that worker's writes count.
"""

import asyncio
import errno
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.db.together import Committer
from stoat_ferret.errors import (
    FencedError,
    JobNotFoundError,
    NotReachedError,
    StoatError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnreachableError,
)
from stoat_ferret.jobs.context import JobCancelled, JobContext, JobWaits
from stoat_ferret.jobs.fence import raise_fence, shut_fence
from stoat_ferret.jobs.model import ANYTHING, Claim, Job, JobHandler, JobOutcome, JobStatus, Wanted
from stoat_ferret.jobs.transitions import patience_seconds

if TYPE_CHECKING:
    from stoat_ferret.jobs.queue import AsyncJobQueue

LOOK_SECONDS = 0.2
"""How often a run looks whether it is to end, and passes on progress: a cancel is seen within 250 ms."""
RETRY_SECONDS = 0.25
"""Pause before a database that could not be used is tried again."""
TIMEOUT_GRACE_SECONDS = 1.0
"""What a handler whose time is over gets to end by itself."""

PASSING = (StorageBusyError, StorageUnreachableError)
LEFT_TO_OTHERS = (*PASSING, NotReachedError)
"""What a run stumbles over through no fault of its own: its job is handed back, not failed."""
HAND_BACK_SECONDS = 1.0
"""How long a job that was handed back so rests."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def execute(
    queue: "AsyncJobQueue",
    claim: Claim,
    handler: JobHandler | None,
    *,
    catalogue: Database | None,
    renew_seconds: float,
    stopping: asyncio.Event | None = None,
    committer: Committer | None = None,
    wanted: Wanted = ANYTHING,
) -> Job | None:
    """Run a claimed job to its end and give its record.

    None when the job is not at its end: another worker has it, it waits for its parts, or it was handed back because
    `stopping` was set while it ran, a more urgent job waited for it, or the catalogue could not be reached. A `handler`
    of None means that nobody does jobs of this type. With a `committer` of the catalogue, claims of several runs are
    brought there together. It gives way to such jobs as the worker has `wanted`.

    What says that this process is out of memory is raised: it would fail every job, so it had better end, and another
    one takes the job up.
    """
    run = _Run(queue, claim, catalogue, renew_seconds, stopping or asyncio.Event(), committer, wanted)
    with structlog.contextvars.bound_contextvars(job_id=claim.job.id, attempt=claim.job.attempt):
        try:
            return await run.to_end(handler)
        except FencedError:
            log.warning("job lost to another worker")
            return None
        finally:
            # A thread that the handler left behind must not write for a job that has ended.
            run.context.lose()


class _Run:
    def __init__(
        self,
        queue: "AsyncJobQueue",
        claim: Claim,
        catalogue: Database | None,
        renew_seconds: float,
        stopping: asyncio.Event,
        committer: Committer | None,
        wanted: Wanted,
    ) -> None:
        self.queue = queue
        self.claim = claim
        self.catalogue = catalogue
        self.renew_seconds = renew_seconds
        self.stopping = stopping
        self.committer = committer
        self.wanted = wanted
        self.context = JobContext(claim, catalogue, queue.runs)
        self.cancel_requested = False
        self.timed_out = False
        self.stumbled = False
        self.gives_way = False
        self.began = time.monotonic()
        if claim.job.cancel_requested:  # asked for while it waited for its parts
            self.cancel_requested = True
            self.context.end()

    async def to_end(self, handler: JobHandler | None) -> Job | None:
        beside: list[asyncio.Task[None]] = []

        def attend() -> None:
            beside.extend(asyncio.create_task(each) for each in (self._keep_lease(), self._look_after()))

        # Most small jobs have ended before it is time to look after them.
        soon = asyncio.get_running_loop().call_later(LOOK_SECONDS, attend)
        try:
            outcome = await self._outcome(handler)
            while isinstance(outcome, JobWaits):
                if await self._waits(outcome.checkpoint):
                    return None
                outcome = await self._outcome(handler)
            if outcome is None and await self._was_cancelled():
                outcome = self._cancelled()
            if outcome is None:
                rest = HAND_BACK_SECONDS if self.stumbled else 0.0
                await _stubbornly(lambda: self.queue.release(self.claim, after_seconds=rest))
                return None
            await self._pass_on_progress()
            return await _stubbornly(lambda: self.queue.finish(self.claim, outcome))
        finally:
            soon.cancel()
            for task in beside:
                task.cancel()
            for ended in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("a job was not looked after to its end", exc_info=ended)

    async def _waits(self, checkpoint: dict[str, Any]) -> bool:
        """Let the job wait for its parts; False where none is left, so that the handler goes on at once."""
        await self._pass_on_progress()
        if await _stubbornly(lambda: self.queue.await_parts(self.claim, checkpoint)):
            return True
        self.context.checkpoint = checkpoint
        return False

    async def _outcome(self, handler: JobHandler | None) -> JobOutcome | JobWaits | None:
        """Run the handler; None means that the job is to be handed back."""
        if self.stopping.is_set():
            return None
        if handler is None:
            sentence = f"This version of stoat-ferret has no jobs of the type {self.claim.job.type!r}."
            return _failed(sentence, "UNKNOWN_JOB_TYPE")
        try:
            await _stubbornly(
                lambda: self._change_fence(raise_fence), on=PASSING, unless=self.context.raise_if_cancelled
            )
            result = await self._within_time(handler)
            json.dumps(result, allow_nan=False)
            return JobOutcome(status=JobStatus.COMPLETE, result=result)
        except JobWaits as waits:
            return waits
        except JobCancelled:
            return self._told_to_end()
        except FencedError:
            raise
        except LEFT_TO_OTHERS as error:
            log.warning("handing the job back", error=error.message)
            self.stumbled = True
            return None
        except Exception as error:  # the worker's border: whatever else a handler raises, the worker goes on
            if is_out_of_memory(error):
                raise
            return _failure(error, self.context.partial_result)

    async def _within_time(self, handler: JobHandler) -> dict[str, Any]:
        job = self.claim.job
        left = None if job.timeout_seconds is None else max(0.0, job.timeout_seconds - self.claim.elapsed_seconds)
        task = asyncio.ensure_future(_called(handler, job, self.context))
        try:
            await asyncio.wait({task}, timeout=left)
            if not task.done():
                self.timed_out = True
                self.context.end()
                await asyncio.wait({task}, timeout=TIMEOUT_GRACE_SECONDS)
            if not task.done():
                # From here on its threads cannot write, wherever they are; only then may the record say that it ended.
                await _stubbornly(lambda: self._change_fence(shut_fence))
                raise JobCancelled
            return task.result()
        finally:
            task.add_done_callback(_retrieve)
            task.cancel()

    def _told_to_end(self) -> JobOutcome | None:
        partial = _plain(self.context.partial_result)
        if self.context.lost:
            raise FencedError
        if self.timed_out:
            sentence = f"The job took longer than the {self.claim.job.timeout_seconds:g} seconds it may take."
            return JobOutcome(status=JobStatus.TIMEOUT, result=partial, error=sentence, error_code="TIMEOUT")
        if (self.stopping.is_set() or self.gives_way) and not (self.cancel_requested or self.context.whole_is_over):
            return None
        return self._cancelled()

    def _cancelled(self) -> JobOutcome:
        return JobOutcome(status=JobStatus.CANCELLED, result=_plain(self.context.partial_result))

    async def _was_cancelled(self) -> bool:
        """Tell whether somebody asked for the end of a job that is to be handed back; what it had done is then told."""
        try:
            job = await _stubbornly(lambda: self.queue.get(self.claim.job.id))
        except JobNotFoundError:  # lost, ended elsewhere and forgotten: it cannot be handed back either
            raise FencedError from None
        return job.cancel_requested and job.attempt == self.claim.job.attempt

    async def _keep_lease(self) -> None:
        try:
            while True:
                await asyncio.sleep(self.renew_seconds)
                await _stubbornly(lambda: self.queue.renew(self.claim))
                await self._give_way()
        except FencedError:
            self.context.lose()

    async def _give_way(self) -> None:
        """End the run, whose job is then handed back, if it keeps a more urgent one waiting and has run long enough."""
        if self.gives_way or not self.context.may_give_way:
            return
        at_once = self.context.loses_nothing
        if not at_once and time.monotonic() - self.began < patience_seconds(self.claim.job.attempt):
            return
        if await _stubbornly(lambda: self.queue.outranked(self.claim, self.wanted, for_slot=at_once)):
            log.info("giving way to a more urgent job")
            self.gives_way = True
            self.context.end()

    async def _look_after(self) -> None:
        while not self.context.lost:
            try:
                await self._look()
                await self._pass_on_progress()
            except (FencedError, JobNotFoundError):
                self.context.lose()
            except StorageError:
                log.debug("job record not within reach; looking again")
            await self._pause()

    async def _look(self) -> None:
        if self.stopping.is_set():
            self.context.end()
        job = await self.queue.get(self.claim.job.id)
        if job.status is not JobStatus.RUNNING or job.attempt != self.claim.job.attempt:
            raise FencedError
        if job.cancel_requested:
            self.cancel_requested = True
            self.context.end()

    async def _pause(self) -> None:
        if self.stopping.is_set():
            await asyncio.sleep(LOOK_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self.stopping.wait()

    async def _pass_on_progress(self) -> None:
        if unsent := self.context.take_progress():
            try:
                await _stubbornly(lambda: self.queue.report(self.claim, *unsent), on=PASSING)
            except StorageError as error:  # a full disk: that a job ends must not wait for what it said before
                log.warning("progress not recorded", error=error.message)

    async def _change_fence(self, change: Callable[[Connection, Claim], None]) -> None:
        if self.catalogue is None:
            return
        write = partial(self._write, self.catalogue, change)
        if self.committer is None:
            await asyncio.to_thread(write)
        else:
            await self.committer.call(write, durable=False)

    def _write(self, catalogue: Database, change: Callable[[Connection, Claim], None]) -> None:
        # Not durable: a power cut ends every process that a fence could keep out.
        with catalogue.write(durable=False) as connection:
            change(connection, self.claim)


async def _stubbornly(
    call: Callable[[], Awaitable[T]],
    *,
    on: type[StorageError] | tuple[type[StorageError], ...] = StorageError,
    unless: Callable[[], None] = lambda: None,
) -> T:
    """Try again for as long as the database cannot be used: the lease decides when it has been too long."""
    while True:
        try:
            return await call()
        except on as error:
            log.warning("database not within reach; trying again", error=error.message)
            await asyncio.sleep(RETRY_SECONDS)
            unless()


async def _called(handler: JobHandler, job: Job, context: JobContext) -> dict[str, Any]:
    try:
        return await handler(job, context)
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        # Not this run was cancelled but something that the handler waited for.
        msg = "the handler was cancelled from within"
        raise RuntimeError(msg) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or what it comes from, is that this process gets no more memory, or no more threads."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retrieve(task: "asyncio.Future[dict[str, Any]]") -> None:
    if not task.cancelled():
        task.exception()


def _failure(error: Exception, partial_result: dict[str, Any] | None) -> JobOutcome:
    partial = _plain(partial_result)
    if isinstance(error, StoatError):
        return _failed(error.message, error.code, partial)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" that holds {error.filename}" if error.filename else ""
        sentence = f"The disk{where} is full. Free some space on it and try again."
        return _failed(sentence, StorageFullError.code, partial)
    log.error("job failed", exc_info=error)
    sentence = f"Something unexpected went wrong ({type(error).__name__}); see the log of the worker."
    return _failed(sentence, StoatError.code, partial)


def _failed(error: str, code: str, result: dict[str, Any] | None = None) -> JobOutcome:
    return JobOutcome(status=JobStatus.FAILED, result=result, error=error, error_code=code)


def _plain(partial_result: dict[str, Any] | None) -> dict[str, Any] | None:
    try:
        json.dumps(partial_result, allow_nan=False)
    except (TypeError, ValueError):
        log.warning("partial result left out: it is not JSON")
        return None
    return partial_result
