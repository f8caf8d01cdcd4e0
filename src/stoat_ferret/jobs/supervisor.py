"""Keeps one worker process running, and the worker's side of that.

The two are tied by a pipe: the child's standard input. It ends when the supervisor closes it, which asks for an orderly
stop, and it also ends when the supervisor's process dies in whatever way, so that no worker is left behind. (Linux's
PDEATHSIG would fire when the *thread* that started the child ends, and knows no orderly stop.)
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from stoat_ferret.errors import StorageError

FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 5.0
HEALTHY_SECONDS = 30.0
"""A worker that lived so long is started again without delay."""
LOOK_SECONDS = 1.0
"""How often it is asked whether the worker has fallen silent."""
SILENT_LOOKS = 3
"""Looks in a row at which it must be so: a machine that wakes from sleep needs a moment to renew its leases."""
TERM_SECONDS = 2.0
"""What is left to the worker after SIGTERM, before SIGKILL."""
ON_DEATH_TRIES = 5

log = structlog.get_logger(__name__)


class WorkerSupervisor:
    """Runs `command` as a child process and starts it again whenever it ends, until `stop()`.

    `on_death` is called with the pid of a worker that ended, before the next one starts. `is_silent`, asked every
    second, tells whether the worker lets its leases lapse: it is then killed, since a stopped process would keep the
    databases locked for whoever takes its jobs over.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        on_death: Callable[[int], object],
        env: Mapping[str, str] | None = None,
        is_silent: Callable[[int], bool] = lambda _pid: False,
    ) -> None:
        self._command = list(command)
        self._on_death = on_death
        self._env = env
        self._is_silent = is_silent
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.last_exit: str | None = None
        """How the last worker ended, as a sentence; None while none has."""

    @property
    def pid(self) -> int | None:
        """The running worker's process id."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    @property
    def alive(self) -> bool:
        """True while a worker process runs."""
        return self.pid is not None

    def start(self) -> None:
        """Start the worker, and watch it in a thread."""
        if self._thread is not None:
            msg = "the supervisor was started already"
            raise RuntimeError(msg)
        self._thread = threading.Thread(target=self._supervise, name="worker-supervisor", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """End the worker, and wait for that: its input is closed; after the timeout follow SIGTERM and SIGKILL."""
        self._stopping.set()
        if self._thread is None:
            return
        with self._lock:
            child = self._child
            if child is not None and child.stdin is not None:
                child.stdin.close()
        for force, patience in ((signal.SIGTERM, timeout_seconds), (signal.SIGKILL, TERM_SECONDS)):
            self._thread.join(patience)
            if child is not None and self._thread.is_alive():
                child.send_signal(force)
        self._thread.join()

    def _supervise(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            born = time.monotonic()
            self._run_once()
            if time.monotonic() - born >= HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
            self.restarts += 1

    def _run_once(self) -> None:
        # Under the lock, so that stop() sees every child and no child is started after it.
        with self._lock:
            if self._stopping.is_set():
                return
            try:
                child = subprocess.Popen(  # noqa: S603 - our own
                    self._command,
                    stdin=subprocess.PIPE,
                    env=self._env,
                    process_group=0,  # Ctrl-C in a terminal is for the supervisor's process, which then ends this one
                )
            except OSError as error:
                self.last_exit = f"The worker could not be started: {error.strerror}."
                log.error("worker cannot be started", reason=self.last_exit)
                return
            self._child = child
        self._watch(child)
        self.last_exit = _sentence(child)
        if not self._stopping.is_set():
            log.error("worker ended", reason=self.last_exit)
            self._tell(child.pid)

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        silent = 0
        while True:
            with suppress(subprocess.TimeoutExpired):
                child.wait(LOOK_SECONDS)
                break
            silent = silent + 1 if self._silent(child.pid) else 0
            if silent >= SILENT_LOOKS:
                log.error("worker has fallen silent; killing it", pid=child.pid)
                child.kill()
        if child.stdin is not None:
            child.stdin.close()

    def _silent(self, pid: int) -> bool:
        try:
            return self._is_silent(pid)
        except StorageError as error:
            log.warning("cannot tell whether the worker is alive", error=error.message)
            return False

    def _tell(self, pid: int) -> None:
        for _ in range(ON_DEATH_TRIES):
            try:
                self._on_death(pid)
            except StorageError as error:
                log.warning("cannot hand back the worker's jobs; trying again", error=error.message)
                if self._stopping.wait(LAST_PAUSE_SECONDS / ON_DEATH_TRIES):
                    return
            else:
                return


def _sentence(child: "subprocess.Popen[bytes]") -> str:
    code = child.returncode
    if code >= 0:
        return f"The worker (process {child.pid}) ended with status {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"The worker (process {child.pid}) was ended by {name}."


async def stop_at_eof(stop: asyncio.Event, *, fd: int | None = None) -> None:
    """In a supervised worker: set `stop` at the end of standard input, SIGTERM or SIGINT; return once it is set."""
    loop = asyncio.get_running_loop()
    stop_at_signals(stop)
    with os.fdopen(os.dup(sys.stdin.fileno() if fd is None else fd), "rb", buffering=0) as pipe:
        transport, _ = await loop.connect_read_pipe(lambda: _StopAtEnd(stop), pipe)
        try:
            await stop.wait()
        finally:
            transport.close()


def stop_at_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT, from the running event loop of the main thread."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


class _StopAtEnd(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, _error: Exception | None) -> None:
        self._stop.set()
