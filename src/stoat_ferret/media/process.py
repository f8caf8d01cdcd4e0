"""A probe process as its parent sees it: started, spoken to without ever blocking, killed, reaped."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

from stoat_ferret.fork_server import Forked, ForkServer, NoForkError

WORKER_MODULE = "stoat_ferret.media.worker"
START_SECONDS = 60.0
"""A process that has not said hello by then will not. Importing FFmpeg takes 0.1 s, but far longer from a slow disk."""
PIPE_BYTES = 1 << 20
"""Asked of the system for each direction, which gives what it allows, on Linux 416 KiB: so many answers do not wait for
who stores others meanwhile."""
MOST_BYTES = 64 * 1024 * 1024
"""No message is longer. The length comes from a process that reads hostile files."""
_LENGTH = struct.Struct("!i")
_LONG = struct.Struct("!Q")
_TAIL_BYTES = 2000
_KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""For the C library's allocator (`mallopt(3)`): what a file took is kept for the next one instead of being given back
and fetched again, page by page, which took half of the time that a picture in HEVC does."""

Json = dict[str, Any]
Source = TypeVar("Source")


class WorkerLostError(Exception):
    """The process ended, or may not be listened to any more. Never leaves this package."""


class WorkerLiedError(WorkerLostError):
    """The process says what none of ours would, so it is no longer ours."""


REFUSES_STATUS = 78
"""With which a probe process ends whose libraries are not safe (EX_CONFIG of sysexits.h)."""


class WorkerProcess:
    """One running probe process and our end of its pipe.

    Args:
        memory_limit_bytes: address space it may have.
        forks: to fork it; without, or where that cannot be, an interpreter is started.
    """

    def __init__(self, memory_limit_bytes: int, forks: ForkServer | None = None) -> None:
        self.sandbox: dict[str, bool] | None = None
        """What the hello said; None until it came."""
        self.started = time.monotonic()
        self._received = bytearray()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
        self._socket.setblocking(False)
        with theirs:
            self.process = self._started(theirs.fileno(), str(memory_limit_bytes), forks)

    def _started(self, pipe: int, memory: str, forks: ForkServer | None) -> "Forked | subprocess.Popen[bytes]":
        if forks is not None:
            with suppress(NoForkError):
                return forks.fork(WORKER_MODULE, [memory], pipe, self._log.fileno())
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", WORKER_MODULE, str(pipe), memory],
            pass_fds=(pipe,),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            process_group=0,  # Ctrl-C in a terminal is for the parent
        )

    def fileno(self) -> int:
        """Give the pipe, so that `readable` can watch it."""
        return self._socket.fileno()

    @property
    def pid(self) -> int | None:
        """Give its number; None if it never came to be."""
        try:
            return self.process.pid
        except ProcessLookupError:
            return None

    @property
    def ready(self) -> bool:
        """True once the hello has come."""
        return self.sandbox is not None

    def send(self, message: Json) -> None:
        """Hand over a task.

        Raises:
            WorkerLostError: the process is gone, or takes nothing any more.
        """
        body = json.dumps(message).encode("ascii")
        try:
            self._socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise WorkerLostError(str(error)) from error

    def receive(self) -> list[bytes]:
        """Give the messages that have wholly arrived, without waiting for more.

        Raises:
            WorkerLostError: the pipe has ended and nothing is left to give.
        """
        ended = False
        while True:
            try:
                part = self._socket.recv(256 * 1024)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                ended = True
                break
            self._received += part
        messages = self._whole_messages()
        if ended and not messages:
            raise WorkerLostError("The pipe has ended.")
        return messages

    def _whole_messages(self) -> list[bytes]:
        """Take apart what `multiprocessing.connection.Connection.send_bytes` put together."""
        messages = []
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            start = _LENGTH.size
            if length == -1 and len(self._received) >= start + _LONG.size:
                (length,) = _LONG.unpack_from(self._received, start)
                start += _LONG.size
            if not 0 <= length <= MOST_BYTES:
                msg = f"A message of {length} bytes is announced."
                raise WorkerLiedError(msg)
            if len(self._received) < start + length:
                break
            messages.append(bytes(self._received[start : start + length]))
            del self._received[: start + length]
        return messages

    def take_hello(self, message: bytes) -> None:
        """Note what the first message says.

        Raises:
            WorkerLiedError: it is no hello.
        """
        hello = parse(message).get("hello")
        if not isinstance(hello, dict):
            raise WorkerLiedError("The first message is no hello.")
        self.sandbox = {str(name): bool(worked) for name, worked in hello.items()}

    def kill(self) -> None:
        """Send SIGKILL and let go of the pipe. The process may take a while to die; see `reaped`."""
        self._socket.close()
        self.process.kill()

    def let_go(self) -> None:
        """Close the pipe, at which an idle process ends by itself."""
        self._socket.close()

    def reaped(self, timeout: float = 0.0) -> bool:
        """Tell whether the process is gone from the system, and free what belonged to it if so.

        One that hangs in a dead network mount cannot be killed until the mount comes back: never wait without limit.
        """
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._log.close()
        return True

    def refuses(self, seconds: float = 1.0) -> bool:
        """Tell whether it has ended because its libraries are not safe with unknown files; `log_tail` says which."""
        try:
            return self.process.wait(seconds) == REFUSES_STATUS
        except subprocess.TimeoutExpired:
            return False

    def how_it_ended(self, lost: WorkerLostError | None = None) -> str:
        """Say for a person what ended the process, or that it had to be ended."""
        if isinstance(lost, WorkerLiedError):
            return "gave no proper answer"
        try:
            code = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if code >= 0:
            return f"ended with status {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    def log_tail(self) -> str:
        """Give the end of what the process wrote to its standard output and error."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode("utf-8", "replace").strip()


def environment() -> dict[str, str]:
    """Give the environment of processes that examine files."""
    return _KEEPS_MEMORY | os.environ


def readable(sources: Sequence[Source], timeout: float) -> list[Source]:
    """Wait up to `timeout` seconds until one of them, each with a `fileno`, has something to receive or has ended."""
    poll = select.poll()  # what `multiprocessing.connection.wait` does besides takes longer than the question
    by_descriptor: dict[int, Source] = {cast("Any", source).fileno(): source for source in sources}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)  # its end is always reported
    return [by_descriptor[descriptor] for descriptor, _ in poll.poll(max(0.0, timeout) * 1000)]


def parse(message: bytes) -> Json:
    """Read a message as a JSON object.

    Raises:
        WorkerLiedError: it is none, so the process is not what it was.
    """
    try:
        value = json.loads(message)
    except (ValueError, RecursionError) as error:
        msg = f"The answer is not JSON: {error}"
        raise WorkerLiedError(msg) from error
    if not isinstance(value, dict):
        raise WorkerLiedError("The answer is not a JSON object.")
    return value
