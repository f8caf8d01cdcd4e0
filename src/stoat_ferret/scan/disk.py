"""Questions to a disk that may hang: asked where they can be left behind, several at a time, each with a deadline.

A question is a function of this program with its arguments, which touches folders or files and gives a plain value.
Processes answer them (`disk_process`); a thread that waits for a dead network share could never be ended.
"""

import errno
import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from stoat_ferret.fork_server import ForkServer
from stoat_ferret.scan.disk_process import DiskProcess, ProcessEndedError, Question, heard_of, reap, reap_the_last

AHEAD = 8
"""Questions that wait in each process: it goes on while its answers are worked through."""
MOST_DEATHS = 2
"""A question during which so many processes ended is given up."""
MOST_IDLE = 4
"""Processes that are kept for the next scan."""
POLL_SECONDS = 0.05

T = TypeVar("T")
Answer = tuple[int, Any]
"""The question's number, and what came of it: a value, or the OSError that it ended in."""


class Disk(Protocol):
    """Who answers. One thread asks."""

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""
        ...

    def ask(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Ask; gives the question's number."""
        ...

    def answers(self, timeout: float) -> list[Answer]:
        """Give the answers that are there, after waiting `timeout` seconds for the first one at most."""
        ...

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Ask, and wait for the answer; whatever is to be done meanwhile is done again and again, and may raise.

        Raises:
            TimeoutError: the disk did not answer in time.
            OSError: as the function says.
        """
        ...


class DirectDisk:
    """Answers in the caller's own thread: for what surely does not hang, and for tests."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._meanwhile = meanwhile
        self._asked: deque[tuple[int, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._asked.clear()

    @property
    def room(self) -> int:
        """One question at a time."""
        return 0 if self._asked else 1

    def ask(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Note the question."""
        self._number += 1
        self._asked.append((self._number, function, arguments))
        return self._number

    def answers(self, timeout: float) -> list[Answer]:  # it never has to wait
        """Answer what was asked."""
        found: list[Answer] = []
        while self._asked:
            number, function, arguments = self._asked.popleft()
            try:
                found.append((number, function(*arguments)))
            except OSError as error:
                found.append((number, error))
        return found

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Answer at once."""
        self._meanwhile()
        return function(*arguments)


class DiskShelf:
    """The processes that answer, kept warm from one scan to the next: to start one takes a tenth of a second.

    Args:
        limit_seconds: how long a disk may be silent about one question.
        processes: how many answer one scan's questions.
        forks: forks them; without, an interpreter is started for each.
    """

    def __init__(self, limit_seconds: float, processes: int | None = None, *, forks: ForkServer | None = None) -> None:
        self._forks = forks
        self._limit = limit_seconds
        self._processes = processes or min(4, os.cpu_count() or 2)
        self._idle: list[DiskProcess] = []

    def open(self, meanwhile: Callable[[], None]) -> "Crew":
        """Give processes for a scan, to be used in a `with` statement; any thread may call.

        Args:
            meanwhile: called again and again while `Crew.call` waits; may raise.
        """
        return Crew(self._limit, self._processes, meanwhile, self._take, self._put)

    def close(self) -> None:
        """End the processes that nobody uses."""
        while self._idle:
            self._take().end()
        reap_the_last()

    def _take(self) -> DiskProcess:
        try:
            return self._idle.pop()
        except IndexError:
            return DiskProcess(self._forks)

    def _put(self, process: DiskProcess) -> None:
        if len(self._idle) < MOST_IDLE:
            self._idle.append(process)
        else:
            process.end()


class Crew:
    """Several processes that answer the questions of one scan. One thread uses it."""

    def __init__(
        self,
        limit_seconds: float,
        most: int,
        meanwhile: Callable[[], None],
        take: Callable[[], DiskProcess],
        put: Callable[[DiskProcess], None],
    ) -> None:
        self._meanwhile = meanwhile
        self._limit = limit_seconds
        self._most = most
        self._take, self._put = take, put
        self._processes: list[DiskProcess] = []
        self._waiting: deque[Question] = deque()
        self._kept: list[Answer] = []
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.questions:
                process.end()
            else:
                self._put(process)
        self._processes = []

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""
        asked = len(self._waiting) + sum(len(process.questions) for process in self._processes)
        return max(0, self._most * AHEAD - asked)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Ask; gives the question's number."""
        self._number += 1
        self._waiting.append(Question(self._number, function, arguments))
        self._hand_out()
        return self._number

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Ask, and wait for the answer; whatever is to be done meanwhile is done again and again, and may raise.

        Raises:
            TimeoutError: the disk did not answer in time.
            OSError: as the function says.
        """
        mine = self.ask(function, *arguments)
        others: list[Answer] = []
        try:
            while True:
                self._meanwhile()
                for number, value in self.answers(POLL_SECONDS):
                    if number != mine:
                        others.append((number, value))
                    elif isinstance(value, BaseException):
                        raise value
                    else:
                        found: T = value
                        return found
        finally:
            self._kept += others

    def answers(self, timeout: float) -> list[Answer]:
        """Give the answers that are there, after waiting `timeout` seconds for the first one at most."""
        found, self._kept = self._kept, []
        self._hand_out()
        busy = [process for process in self._processes if process.questions]
        if busy:
            for process in heard_of(busy, 0 if found else timeout):
                found += self._listen(process)
        for process in [each for each in self._processes if each.silent_seconds > self._limit]:
            silent = self._lose(process)
            found.append((silent.number, TimeoutError(errno.ETIMEDOUT, f"no answer within {self._limit:g} s")))
        self._hand_out()
        reap()
        return found

    def _listen(self, process: DiskProcess) -> list[Answer]:
        try:
            return process.receive()
        except ProcessEndedError:
            blamed = self._lose(process)
            blamed.deaths += 1
            if blamed.deaths >= MOST_DEATHS:
                return [(blamed.number, OSError(errno.EIO, "the process that asked it ended, twice"))]
            self._waiting.appendleft(blamed)
            return []

    def _lose(self, process: DiskProcess) -> Question:
        """Give up a process; what it was not yet at goes to others, what it was at is given."""
        self._processes.remove(process)
        process.end()
        self._waiting.extendleft(reversed(list(process.questions)[1:]))
        return process.questions[0]

    def _hand_out(self) -> None:
        while self._waiting:
            question = self._waiting[0]
            able = [each for each in self._processes if len(each.questions) < AHEAD and each.takes(question)]
            process = min(able, key=lambda each: len(each.questions), default=None)
            if (process is None or process.questions) and len(self._processes) < self._most:
                process = self._take()
                self._processes.append(process)
            if process is None:
                return
            try:
                process.put(question)
            except ProcessEndedError:  # while it lay idle
                self._processes.remove(process)
                process.end()
            else:
                self._waiting.popleft()
