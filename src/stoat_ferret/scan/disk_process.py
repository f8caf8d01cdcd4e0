"""A process that does what it is asked and tells what came of it: one that hangs on a dead disk is left behind.

Both ends are this program, of one version, as the same user: so they speak in pickles.
"""

import atexit
import inspect
import io
import os
import pickle
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from types import FunctionType
from typing import Any

from stoat_ferret.fork_server import Forked, ForkServer, NoForkError, name_this_process
from stoat_ferret.scan.rules import Rules

MODULE = "stoat_ferret.scan.disk_process"
TELL_SECONDS = 1.0
"""How often a process that is at something long says that it goes on."""
MOST_RULES = 256
"""So many sets of rules are remembered by both ends."""
LAST_SECONDS = 0.5
"""So long a parent that ends waits for those it killed."""

_dying: "list[Forked | subprocess.Popen[bytes]]" = []
_dying_lock = threading.Lock()


class ProcessEndedError(Exception):
    """The process is no more. Never leaves this package."""


@dataclass(slots=True)
class Question:
    """What is asked."""

    number: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    deaths: int = 0
    """Processes that ended while they were at it."""


class _Pickler(pickle.Pickler):
    """Writes a number for each set of rules that the other end remembers."""

    def __init__(self, buffer: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(buffer, protocol=5)
        self._numbers = numbers

    def persistent_id(self, thing: Any) -> int | None:
        # By identity: those that are remembered are kept, so that no identity is used again.
        return self._numbers.get(id(thing)) if type(thing) is Rules else None


class _Unpickler(pickle.Unpickler):
    """Reads them."""

    def __init__(self, message: bytes, by_number: dict[int, Rules]) -> None:
        super().__init__(io.BytesIO(message))
        self._by_number = by_number

    def persistent_load(self, number: int) -> Rules:
        return self._by_number[number]


class _Pipe:
    """Messages with rules in them, each set of which is sent once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._by_number: dict[int, Rules] = {}
        self._numbers: dict[int, int] = {}

    def send(self, *message: Any) -> None:
        buffer = io.BytesIO()
        _Pickler(buffer, self._numbers).dump(message)
        self.connection.send_bytes(buffer.getbuffer())

    def receive(self) -> Any:
        return _Unpickler(self.connection.recv_bytes(), self._by_number).load()

    def remember(self, number: int, rules: Rules) -> None:
        self._by_number[number] = rules
        self._numbers[id(rules)] = number

    def knows(self, rules: Rules) -> bool:
        return id(rules) in self._numbers

    def forget(self) -> None:
        self._by_number.clear()
        self._numbers.clear()

    def __len__(self) -> int:
        return len(self._by_number)


class DiskProcess:
    """One such process, as its parent sees it.

    Args:
        forks: to fork it; without, or where that cannot be, an interpreter is started.
    """

    def __init__(self, forks: ForkServer | None = None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _started(theirs.fileno(), forks)
        self._pipe = _Pipe(Connection(ours.detach()))
        self.questions: deque[Question] = deque()
        """What it was asked; it is at the first one."""
        self._heard = time.monotonic()

    @property
    def pid(self) -> int:
        """Give the process's number."""
        return self._process.pid

    def fileno(self) -> int:
        """Give our end of the pipe, so that it can be watched."""
        return self._pipe.connection.fileno()

    @property
    def silent_seconds(self) -> float:
        """How long it has been silent about the question it is at."""
        return time.monotonic() - self._heard if self.questions else 0.0

    def takes(self, question: Question) -> bool:
        """Tell whether a question can be put now.

        Large messages are sent only to a process that has nothing to say: else both might wait for each other.
        """
        return not self.questions or all(self._pipe.knows(each) for each in _rules(question))

    def put(self, question: Question) -> None:
        """Ask.

        Raises:
            ProcessEndedError: it is no more.
        """
        try:
            for rules in _rules(question):
                if not self._pipe.knows(rules):
                    self._teach(rules)
            self._pipe.send(question.number, question.function, question.arguments)
        except OSError as error:
            raise ProcessEndedError from error
        if not self.questions:
            self._heard = time.monotonic()
        self.questions.append(question)

    def _teach(self, rules: Rules) -> None:
        if len(self._pipe) >= MOST_RULES:
            self._pipe.forget()
            self._pipe.send("forget")
        number = len(self._pipe)
        self._pipe.send("remember", number, rules)
        self._pipe.remember(number, rules)

    def receive(self) -> list[tuple[int, Any]]:
        """Give the answers that have come, at least one message's worth: it may be only a sign of life.

        Raises:
            ProcessEndedError: it is no more.
        """
        found: list[tuple[int, Any]] = []
        try:
            while not found or heard_of([self], 0):
                message = self._pipe.receive()
                self._heard = time.monotonic()
                if not message:
                    break
                number, value = message
                self.questions.popleft()
                found.append((number, value))
        except (EOFError, OSError) as error:
            if found:  # the rest is told next time
                return found
            raise ProcessEndedError from error
        return found

    def end(self) -> None:
        """Kill it, and do not wait: one that a disk holds ends when the disk lets go of it."""
        self._pipe.connection.close()
        self._process.kill()
        with _dying_lock:
            _dying.append(self._process)
        reap()


def _started(pipe: int, forks: ForkServer | None) -> "Forked | subprocess.Popen[bytes]":
    if forks is not None:
        with suppress(NoForkError):
            return forks.fork(MODULE, [], pipe)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", MODULE, str(pipe)],
        pass_fds=(pipe,),
        stdin=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C in a terminal is for the parent
    )


def heard_of(processes: Sequence[DiskProcess], timeout: float) -> list[DiskProcess]:
    """Wait until at least one of some processes has said something, or has ended; gives those.

    Thousands of times a second: `multiprocessing.connection.wait` makes a dozen objects each time.
    """
    poll = select.poll()
    for process in processes:
        poll.register(process.fileno(), select.POLLIN)
    heard = {number for number, _ in poll.poll(timeout * 1000)}
    return [process for process in processes if process.fileno() in heard]


def _rules(question: Question) -> list[Rules]:
    return [each for each in question.arguments if isinstance(each, Rules)]


def reap() -> None:
    """Let the system forget the processes that have ended; of several threads one is enough."""
    if _dying_lock.acquire(blocking=False):
        try:
            _dying[:] = [process for process in _dying if process.poll() is None]
        finally:
            _dying_lock.release()


@atexit.register
def reap_the_last() -> None:
    """Wait a moment for those that were killed just now; those that a disk holds are left to the system."""
    until = time.monotonic() + LAST_SECONDS
    with _dying_lock:
        for process in _dying:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        _dying[:] = [process for process in _dying if process.returncode is None]


def serve(connection: Connection) -> None:
    """Answer until nobody asks any more."""
    pipe = _Pipe(connection)
    told = time.monotonic()

    def goes_on() -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            pipe.send()

    while True:
        match pipe.receive():
            case ("remember", number, rules):
                pipe.remember(number, rules)
            case ("forget",):
                pipe.forget()
            case (number, function, arguments):
                told = time.monotonic()
                more = {"goes_on": goes_on} if _tells(function) else {}
                try:
                    value = function(*arguments, **more)
                except OSError as error:
                    value = error
                pipe.send(number, value)


@cache
def _tells(function: Callable[..., Any]) -> bool:
    """Tell whether a function wants to say that it goes on: what takes long does, so that it is not taken for stuck."""
    return isinstance(function, FunctionType) and "goes_on" in inspect.signature(function).parameters


def main(arguments: list[str]) -> None:
    """Be the process: answer what comes through the pipe whose descriptor is the first argument."""
    name_this_process("stoat-disk")
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(int(arguments[0])))
    # Nothing is worth waiting for.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
