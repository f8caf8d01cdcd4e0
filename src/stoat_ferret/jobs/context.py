"""What a handler may say and ask while it runs."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import FencedError
from stoat_ferret.jobs.fence import Fence, pass_fence, shut_fence
from stoat_ferret.jobs.model import Claim, Progress

RATE_WINDOW_SECONDS = 5.0
"""Older progress counts for less than 37 % in the rate."""
RATE_SAMPLE_SECONDS = 0.2
"""Progress is told in bursts; shorter samples would make the rate jump."""
FIRST_SAMPLE_SECONDS = 1.0
"""The first one includes whatever had to be started; a rate taken too early promises far too little."""
NEARLY_DONE = 0.999
"""What a fraction is held at until the job is complete."""


class JobCancelled(Exception):  # noqa: N818 - not an error: the handler did as it was told
    """The handler was told to end and did."""


class JobWaits(Exception):  # noqa: N818 - likewise
    """The handler has parted off what is left to do, and goes on, with this checkpoint, once those parts have ended."""

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        super().__init__()
        self.checkpoint = checkpoint


class Pace:
    """Units a second: an exponential moving average over time, W = 1 - exp(-dt / window), as load averages use."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._phase: str | None = None
        self._since = 0.0
        self._done = 0
        self.rate: float | None = None

    def observe(self, phase: str, done: int) -> None:
        """Take in how much is done; another phase starts anew."""
        now = self._clock()
        if phase != self._phase:
            self._phase, self._since, self._done, self.rate = phase, now, done, None
            return
        passed = now - self._since
        if passed < (FIRST_SAMPLE_SECONDS if self.rate is None else RATE_SAMPLE_SECONDS):
            return
        present = max(0, done - self._done) / passed
        weight = 1.0 - math.exp(-passed / RATE_WINDOW_SECONDS)
        self.rate = present if self.rate is None else self.rate + weight * (present - self.rate)
        self._since, self._done = now, done


Runs = Callable[[str, int, str | None], bool]
"""Tells, by the job's record, whether a job is still at an attempt, and under a token if one is given."""


class JobContext:
    """A handler's line to its job. Every method may be called from any thread."""

    partial_result: dict[str, Any] | None = None
    """What was done so far; stored as the result when the job is cancelled or fails."""
    may_give_way = True
    """False where a handler could not go on where it was: it is then not handed back for a more urgent job."""
    loses_nothing = False
    """True where a handler goes on exactly where it was: it gives way at once, and also where a more urgent job only
    lacks a free slot."""

    def __init__(
        self,
        claim: Claim,
        catalogue: Database | None,
        runs: Runs | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs or (lambda _job_id, _attempt, _token: True)
        self.job_id = claim.job.id
        self.attempt = claim.job.attempt
        self.checkpoint = claim.job.checkpoint
        """What this job left for itself when it began to wait for its parts; None unless it goes on after that."""
        self._claim = claim
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._pace = Pace(clock)
        self._fraction: float | None = None
        self._unsent: tuple[float | None, Progress] | None = None
        self._told_to_end = threading.Event()
        self._lost = threading.Event()
        self._whole_is_over = threading.Event()

    def progress(
        self, phase: str, done: int, total: int | None, *, unit: str = "files", current: str | None = None
    ) -> None:
        """Say how far the job is; cheap, so it may be called for every file. Rate and ETA are worked out here."""
        with self._lock:
            self._pace.observe(phase, done)
            rate = self._pace.rate
            if total:
                self._fraction = max(self._fraction or 0.0, min(max(done / total, 0.0), NEARLY_DONE))
            eta = max(0, total - done) / rate if rate and total is not None else None
            progress = Progress(
                phase=phase, done=done, total=total, unit=unit, current=current, rate=rate, eta_seconds=eta
            )
            self._unsent = (self._fraction, progress)

    @property
    def cancelled(self) -> bool:
        """True once someone asked for the job's end, its time is over, the worker stops, or another one has the job."""
        return self._told_to_end.is_set()

    def raise_if_cancelled(self) -> None:
        """End the handler if the job is to end.

        Raises:
            JobCancelled: it is.
        """
        if self.cancelled:
            raise JobCancelled

    @property
    def fence(self) -> Fence:
        """This run's right to write."""
        return Fence(self.job_id, self.attempt, self._claim.token)

    def shut(self) -> None:
        """Let nobody write for this job any more: neither this run nor the jobs that do parts of it.

        Raises:
            StorageError: the catalogue could not be written.
        """
        if self._catalogue is not None:
            with self._catalogue.write(durable=False) as connection:
                shut_fence(connection, self._claim)

    @contextmanager
    def transaction(self, also: Fence | None = None, *, durable: bool = True) -> Iterator[Connection]:
        """Give a write transaction on the catalogue that comes to nothing unless this run still has its job.

        Args:
            also: the right of the job that this one is a part of, which is checked too.
            durable: whether its commit waits for the disk, and for all that was committed before; see `Database.write`.
                The last one of a job has to, before it is said that the job is done.

        Raises:
            FencedError: another worker has the job, or this run is over; nothing was written.
            JobCancelled: the job that this one is a part of is over, or has been begun anew; nothing was written.
            StorageError: the database could not be written.
        """
        if self._catalogue is None:
            msg = "this queue was made without a catalogue"
            raise RuntimeError(msg)
        with self._catalogue.write(durable=durable) as connection:
            if self.lost:
                raise FencedError
            with self._own_right():
                pass_fence(connection, self.fence)
            if also is not None:
                with self._right_of_whole():
                    pass_fence(connection, also)
            yield connection
            with self._own_right():
                self._check_record(self.fence)
            if also is not None:
                with self._right_of_whole():
                    self._check_record(also)

    def _check_record(self, fence: Fence) -> None:
        """Check that a job has not ended, as the last thing before a commit.

        A later attempt shuts this one out by the fence, in the very transaction. Where a job ended without one (it was
        cancelled while its worker slept, or a later attempt could not even begin), only the record knows. It is asked
        last so that a worker may be stopped for any time in the midst of its batch.
        """
        if not self._runs(fence.job_id, fence.attempt, fence.token):
            raise FencedError

    @contextmanager
    def _own_right(self) -> Iterator[None]:
        try:
            yield
        except FencedError:
            self.lose()
            raise

    @contextmanager
    def _right_of_whole(self) -> Iterator[None]:
        """Without the whole nobody wants the part. Its own claim still holds, so that it can be ended in good order."""
        try:
            yield
        except FencedError:
            self._whole_is_over.set()
            self.end()
            raise JobCancelled from None

    # What follows is for whoever runs the handler.

    @property
    def lost(self) -> bool:
        """True once this run may write nothing more."""
        return self._lost.is_set()

    @property
    def whole_is_over(self) -> bool:
        """True once it was found that the job which this one is a part of is over."""
        return self._whole_is_over.is_set()

    def end(self) -> None:
        """Tell the handler to end."""
        self._told_to_end.set()

    def lose(self) -> None:
        """Take away the right to write, and tell the handler to end."""
        self._lost.set()
        self._told_to_end.set()

    def take_progress(self) -> tuple[float | None, Progress] | None:
        """Give what was said last, if it was not given yet."""
        with self._lock:
            unsent, self._unsent = self._unsent, None
            return unsent


class PartContext:
    """The context of a job that does a part of another one: every write needs that one's right to write too."""

    def __init__(self, context: JobContext, whole: Fence) -> None:
        self.job_id = whole.job_id
        """Of the job that this is a part of: what is stored is stored for that one."""
        self.attempt = whole.attempt
        self._context = context
        self._whole = whole

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a write transaction on the catalogue in which both tokens were checked; `durable` as in `JobContext`.

        Raises:
            FencedError: another worker has the part, or this run of it is over; nothing was written.
            JobCancelled: the job that it is a part of is over, or has been begun anew; nothing was written.
            StorageError: the database could not be written.
        """
        with self._context.transaction(also=self._whole, durable=durable) as connection:
            yield connection

    def progress(
        self, phase: str, done: int, total: int | None, *, unit: str = "files", current: str | None = None
    ) -> None:
        """Say how far the part is."""
        self._context.progress(phase, done, total, unit=unit, current=current)

    def raise_if_cancelled(self) -> None:
        """End the handler if the part is to end.

        Raises:
            JobCancelled: it is.
        """
        self._context.raise_if_cancelled()
