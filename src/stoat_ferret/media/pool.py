"""Probing in processes that can be killed: a file that hangs or crashes FFmpeg costs one process, never the scan.

Each process has one private pipe and a short queue of tasks, of which the first is the one it is working on. When it
dies or takes too long, that first task is to blame: it is tried once more, alone in its process, and if that ends the
same way, this is its outcome. The others are handed to other processes. A spare process stands by; all are forked,
where the system has what that takes.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from stoat_ferret.errors import ConfigurationError, MediaError, ProbeCrashedError, ProbeTimeoutError
from stoat_ferret.fork_server import ForkServer
from stoat_ferret.media.grabber import FrameGrabber
from stoat_ferret.media.process import (
    START_SECONDS,
    WORKER_MODULE,
    WorkerLiedError,
    WorkerLostError,
    WorkerProcess,
    environment,
    readable,
)
from stoat_ferret.media.tasks import (
    Answer,
    FileStat,
    MediaFailure,
    PictureWish,
    ProbeOutcome,
    ProbeTask,
    message_of,
    outcome_of,
    read_answer,
)
from stoat_ferret.paths import display

__all__ = ["FileStat", "FrameGrabber", "MediaFailure", "PictureWish", "ProbeOutcome", "ProbePool", "ProbeTask"]

log = structlog.get_logger(__name__)

MOST_FAILED_STARTS = 3
CLOSE_SECONDS = 2.0
ENOUGH_QUEUED = 8
"""Tasks that keep a process at work for as long as is waited for more outcomes."""
MOST_QUEUED_BYTES = 112 * 1024
"""Of messages that wait in a process's pipe: of what Linux grants one by default, 416 KiB, each takes up to four times
as much as it is long, and where one is full, its process is taken for one that takes nothing any more."""
LEAST_BYTES = 600
"""That each of them counts for: a short one takes as much room."""
MORE_SECONDS = 0.004
"""How long that is: a common file takes one or two thousandths of a second."""


@dataclass(slots=True)
class _Entry:
    task: ProbeTask
    blamed: bool = False
    """A process was already lost over it."""

    @property
    def weight(self) -> int:
        """About how many bytes its message takes: the path is sent in base64."""
        return max(LEAST_BYTES, 4 * len(self.task.path) // 3 + 120)


@dataclass(slots=True, eq=False)
class _Seat:
    """A process in service, the tasks it was given, and since when the first of them is being worked on."""

    worker: WorkerProcess
    queue: deque[_Entry] = field(default_factory=deque)
    since: float = 0.0
    weight: int = 0
    """Of the tasks in the queue."""
    answer: Answer | None = None
    """To the first of them, where its picture is still to come."""

    def fileno(self) -> int:
        return self.worker.fileno()


class ProbePool:
    """A few probe processes, driven by one thread; not thread-safe.

    Submit while there is `room`, and `wait` for outcomes: each task gets exactly one. Use it as a context manager, or
    call `close`.

    Args:
        workers: processes at work at the same time.
        deadline_seconds: for one file.
        memory_limit_bytes: address space of one process.
        queue_depth: tasks handed to a process ahead, the one it works on included: enough for it to be at work while
            who drives the pool stores a batch of outcomes.
        forks: forks the processes; without, a fork server of its own does.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline_seconds: float = 30.0,
        memory_limit_bytes: int = 2 << 30,
        queue_depth: int = 192,
        forks: ForkServer | None = None,
    ) -> None:
        if workers < 1 or queue_depth < 1 or deadline_seconds <= 0:
            raise ValueError("workers, queue_depth and deadline_seconds must be positive")
        self.restarts = 0
        """Processes that had to be replaced."""
        self.sandbox: dict[str, bool] = {}
        """What of the lock-down works in the processes here, by name; empty until the first has started."""
        self._workers = workers
        self._deadline = deadline_seconds
        self._memory_limit = memory_limit_bytes
        self._queue_depth = queue_depth
        self._waiting: deque[_Entry] = deque()
        self._suspects: deque[_Entry] = deque()
        self._outcomes: list[ProbeOutcome] = []
        self._dying: list[WorkerProcess] = []
        self._failed_starts = 0
        self._closed = False
        self._own_forks = None if forks is not None else ForkServer([WORKER_MODULE], environment)
        self._forks = forks or self._own_forks
        self._seats = [_Seat(self._start()) for _ in range(workers)]
        self._spare = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def outstanding(self) -> int:
        """Tasks submitted whose outcomes `wait` has not yet given."""
        held = sum(len(seat.queue) for seat in self._seats)
        return held + len(self._waiting) + len(self._suspects) + len(self._outcomes)

    @property
    def room(self) -> int:
        """How many more tasks may be submitted now."""
        return 0 if self._closed else max(0, self._workers * self._queue_depth - self.outstanding)

    def takes(self, device: int) -> bool:
        """Tell whether a task of a file on a device may be submitted now."""
        del device
        return self.room > 0

    @property
    def in_flight(self) -> list[ProbeTask]:
        """The task each process is working on."""
        return [seat.queue[0].task for seat in self._seats if seat.queue]

    def submit(self, task: ProbeTask) -> None:
        """Take a task on; never waits.

        Raises:
            RuntimeError: there is no room, or the pool is closed.
        """
        if self.room == 0:
            raise RuntimeError("The pool is closed." if self._closed else "The pool has no room; wait for an outcome.")
        self._waiting.append(_Entry(task))
        self._hand_out()

    def wait(self, timeout: float) -> list[ProbeOutcome]:
        """Give what outcomes there are as soon as there is one, or nothing after `timeout` seconds.

        Raises:
            ConfigurationError: probe processes cannot be started here; the message says what they wrote.
        """
        give_up = time.monotonic() + timeout
        while not self._closed:
            self._hand_out()
            now = time.monotonic()
            if self._outcomes or now >= give_up:
                outcomes, self._outcomes = self._outcomes, []
                return outcomes
            moment = min([give_up, *(self._overdue_at(seat) for seat in self._seats if self._is_timed(seat))])
            self._receive(max(0.0, moment - now))
            if self._outcomes and all(len(seat.queue) >= ENOUGH_QUEUED for seat in self._seats):
                # To be woken for each outcome costs more than to read it.
                time.sleep(MORE_SECONDS)
                self._receive(0.0)
            self._end_overdue()
            self._reap()
        return []

    def close(self) -> None:
        """End all processes; tasks without an outcome get none."""
        if self._closed:
            return
        self._closed = True
        for seat in self._seats:
            if seat.queue or not seat.worker.ready:
                seat.worker.kill()
            else:
                seat.worker.let_go()
        if self._spare.ready:
            self._spare.let_go()
        else:
            self._spare.kill()
        self._dying += [self._spare, *(seat.worker for seat in self._seats)]
        self._seats = []
        until = time.monotonic() + CLOSE_SECONDS
        for worker in self._dying:
            if not worker.reaped(max(0.0, until - time.monotonic())):
                worker.kill()
        self._dying = [worker for worker in self._dying if not worker.reaped(CLOSE_SECONDS)]
        if self._own_forks is not None:
            self._own_forks.close()
        if self._dying:
            log.warning("probe_processes_left", pids=[worker.pid for worker in self._dying])

    def _start(self) -> WorkerProcess:
        return WorkerProcess(self._memory_limit, self._forks)

    def _hand_out(self) -> None:
        """Give tasks to processes: suspects alone to one that has nothing else, the others where fewest are queued."""
        for seat in list(self._seats):
            if self._suspects and seat.worker.ready and not seat.queue:
                self._give(seat, self._suspects.popleft())
        while self._waiting:
            open_seats = [
                seat
                for seat in self._seats
                if seat.worker.ready
                and len(seat.queue) < self._queue_depth
                and seat.weight < MOST_QUEUED_BYTES
                and not (seat.queue and seat.queue[0].blamed)
            ]
            if not open_seats:
                return
            self._give(min(open_seats, key=lambda seat: len(seat.queue)), self._waiting.popleft())

    def _give(self, seat: _Seat, entry: _Entry) -> None:
        if not seat.queue:
            seat.since = time.monotonic()
        seat.queue.append(entry)
        seat.weight += entry.weight
        task = entry.task
        try:
            seat.worker.send(message_of(task))
        except WorkerLostError:
            if len(seat.queue) == 1:  # it died before it had anything to do, so this task is not to blame
                self._retire(seat)
            else:  # answers may still be in the pipe; its end follows them
                seat.worker.process.kill()

    def _receive(self, timeout: float) -> None:
        sources: list[_Seat | WorkerProcess] = [*self._seats, self._spare]
        for source in readable(sources, timeout):
            if source is self._spare:
                self._greet_spare()
            elif isinstance(source, _Seat) and source in self._seats:
                self._receive_from(source)

    def _greet_spare(self) -> None:
        try:
            for message in self._spare.receive():
                self._spare.take_hello(message)
                self._failed_starts = 0
        except WorkerLostError:
            lost, self._spare = self._spare, self._replacement(self._spare)
            self._bury(lost)

    def _receive_from(self, seat: _Seat) -> None:
        try:
            for message in seat.worker.receive():
                if not seat.worker.ready:
                    seat.worker.take_hello(message)
                    self.sandbox = dict(seat.worker.sandbox or {})
                    self._failed_starts = 0
                elif self._note_answer(seat, message):
                    self._retire(seat)
                    return
        except WorkerLostError as error:
            self._replace(seat, error)

    def _note_answer(self, seat: _Seat, message: bytes) -> bool:
        """Turn an answer, once whole, into the outcome of the seat's first task; True if the process ends after it."""
        if not seat.queue:
            raise WorkerLiedError("An answer came to no task.")
        image: bytes | None = None
        if seat.answer is None:
            answer = read_answer(message)
            if answer.image:
                seat.answer = answer
                return False
        else:
            answer, image, seat.answer = seat.answer, message, None
        outcome = outcome_of(seat.queue[0].task, answer, image)
        seat.weight -= seat.queue.popleft().weight
        seat.since = time.monotonic()
        self._outcomes.append(outcome)
        if answer.traceback is not None:
            log.error("probe_failed", path=display(outcome.task.path), traceback=answer.traceback)
        return answer.retiring

    def _is_timed(self, seat: _Seat) -> bool:
        return bool(seat.queue) or not seat.worker.ready

    def _overdue_at(self, seat: _Seat) -> float:
        return seat.since + self._deadline if seat.queue else seat.worker.started + START_SECONDS

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for seat in list(self._seats):
            if self._is_timed(seat) and self._overdue_at(seat) <= now:
                self._replace(seat, overdue=True)

    def _replace(self, seat: _Seat, lost: WorkerLostError | None = None, *, overdue: bool = False) -> None:
        """Put the spare in the place of a process that is dead or has to die, and see to its tasks."""
        worker = seat.worker
        how = "took too long" if overdue else worker.how_it_ended(lost)
        path = display(seat.queue[0].task.path) if seat.queue else None
        if seat.queue:
            self._blame(seat.queue.popleft(), how=how, overdue=overdue)
        log.warning("probe_process_replaced", pid=worker.pid, how=how, path=path, detail=str(lost or ""))
        self._retire(seat)

    def _retire(self, seat: _Seat) -> None:
        """Replace a process; what is left of its tasks is nobody's fault."""
        replacement = self._replacement(seat.worker)
        self._waiting.extendleft(reversed([entry for entry in seat.queue if not entry.blamed]))
        self._suspects.extendleft(reversed([entry for entry in seat.queue if entry.blamed]))
        self._seats = [other for other in self._seats if other is not seat]
        self._seats.append(_Seat(self._spare))
        self._spare = replacement
        self._bury(seat.worker)

    def _replacement(self, lost: WorkerProcess) -> WorkerProcess:
        """Start another process, unless none ever gets as far as its hello."""
        if not lost.ready:
            self._failed_starts += 1
            if self._failed_starts >= MOST_FAILED_STARTS:
                tail = lost.log_tail() or lost.how_it_ended()
                msg = f"Probe processes cannot be started ({self._failed_starts} tries). The last one wrote: {tail}"
                raise ConfigurationError(msg)
        self.restarts += 1
        return self._start()

    def _blame(self, entry: _Entry, *, how: str, overdue: bool) -> None:
        if not entry.blamed:
            entry.blamed = True
            self._suspects.append(entry)
            return
        error: MediaError
        if overdue:
            error = ProbeTimeoutError(
                f"Examining the file took longer than {self._deadline:g} seconds, twice; it is probably damaged."
            )
        else:
            error = ProbeCrashedError(f"Examining the file killed the process that did it, twice: it {how}.")
        failure = MediaFailure(error.code, error.message, error.passing)
        self._outcomes.append(ProbeOutcome(entry.task, None, None, None, 0, 0.0, failure))

    def _bury(self, worker: WorkerProcess) -> None:
        worker.kill()
        self._dying.append(worker)
        self._reap()

    def _reap(self) -> None:
        self._dying = [worker for worker in self._dying if not worker.reaped()]
