"""A process that has loaded what others need, and becomes them by forking: `python -m … FD MODULE…`.

To start a process anew takes a fifth of a second of a processor's time, nearly all of it to load the same code again;
to fork one takes milliseconds, and what was loaded is in memory once. The server sees no file and no answer: it gets
the descriptors that a process needs, its pipe and its log, and gives back a descriptor of the process (`pidfd`). Who
has ended stays a zombie until it is asked about, so that a number never comes to mean another process meanwhile.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

MODULE = "stoat_ferret.fork_server"
LOAD_SECONDS = 60.0
"""A server that has not answered once by then will not: it has its code to load, perhaps from a slow disk."""
ANSWER_SECONDS = 5.0
"""Nor will one later. It answers within a millisecond; whoever asks waits for that."""
CLOSE_SECONDS = 2.0
UNKNOWN_STATUS: Final = 255
"""Of a process whose end nobody could be asked about, because its server had ended before."""
_MOST_BYTES = 4096

Json = dict[str, Any]


class NoForkError(OSError):
    """Nothing can be forked: the system lacks what it takes, or the server has just ended. Start a process instead."""


class ForkServer:
    """Forks processes. Its own is started at the first call, and again after it was lost. Any thread may call.

    Args:
        modules: to be loaded; each has a `main` that takes a list of arguments, and none starts a thread when loaded.
        environment: of the server and of whatever is forked.
    """

    def __init__(
        self, modules: Sequence[str], environment: Callable[[], Mapping[str, str]] = lambda: os.environ
    ) -> None:
        self._modules = tuple(modules)
        self._environment = environment
        self._lock = threading.Lock()
        self._running: _Server | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Give the number of the server's own process; None where there is none now."""
        return None if self._running is None else self._running.process.pid

    def warm(self) -> None:
        """Start the server, without waiting for it, where that is possible: what is forked later comes at once."""
        with contextlib.suppress(NoForkError):
            self._server()

    def fork(self, module: str, arguments: Sequence[str], pipe: int, log: int | None = None) -> "Forked":
        """Ask for a process that runs a module's `main`; never waits.

        Args:
            module: one of those that are loaded.
            arguments: of `main`, after the number of its end of the pipe.
            pipe: that end.
            log: where its standard output and error go; None for where the server's go.

        Raises:
            NoForkError: there is none to be had.
        """
        if module not in self._modules:
            msg = f"{module} is not among the modules that are loaded"
            raise ValueError(msg)
        request = {"module": module, "arguments": list(arguments)}
        return self._server().fork(request, [pipe] if log is None else [pipe, log])

    def close(self) -> None:
        """End the server; who was forked lives on until its pipe ends."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.close()

    def _server(self) -> "_Server":
        with self._lock:
            if self._closed:
                raise NoForkError("The server is closed.")
            if self._running is not None and self._running.lost:
                self._running.close()
                self._running = None
            if self._running is None:
                self._running = _Server(self._modules, self._environment())
            return self._running


class _Server:
    """One such process, as its parent sees it.

    Raises:
        NoForkError: the system lacks what this takes (Linux 5.3), or does not let it start.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError) as error:
            raise NoForkError("This system has no pidfd_open.") from error
        self._lock = threading.RLock()
        self._waiting: deque[Forked] = deque()
        try:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise NoForkError(f"There is no socket to be had: {error}.") from error
        with theirs:
            try:
                self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), *modules],
                    pass_fds=(theirs.fileno(),),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C in a terminal is for the parent
                )
            except OSError as error:
                self._socket.close()
                raise NoForkError(f"The process that forks others cannot be started: {error}.") from error
        self._socket.settimeout(LOAD_SECONDS)

    @property
    def lost(self) -> bool:
        """True once it can fork no more."""
        return self._socket.fileno() < 0 or self.process.poll() is not None

    def fork(self, request: Json, descriptors: list[int]) -> "Forked":
        """Send a request.

        Raises:
            NoForkError: it has ended.
        """
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            except OSError as error:
                raise self._lose() from error
            forked = Forked(self)
            self._waiting.append(forked)
            return forked

    def find_out(self, forked: "Forked") -> None:
        """Wait until it has said what became of a request."""
        with self._lock:
            while forked in self._waiting:
                try:
                    answer, descriptors = self._receive()
                except NoForkError:
                    return
                pid = answer.get("pid")
                self._waiting.popleft().came(pid, descriptors)
                if pid is not None and not descriptors:  # this process has no descriptor left: it cannot be watched
                    os.kill(pid, signal.SIGKILL)
                    self.status_of(pid)

    def status_of(self, pid: int) -> int:
        """Give the exit status of a process that has ended, negative for a signal's number, and let it be forgotten."""
        with self._lock:
            try:
                while self._waiting:
                    self.find_out(self._waiting[0])
                self._socket.send(json.dumps({"reap": pid}).encode())
                return int(self._receive()[0]["status"])
            except OSError:
                return UNKNOWN_STATUS

    def close(self) -> None:
        """End it."""
        self._socket.close()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _receive(self) -> tuple[Json, list[int]]:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, _MOST_BYTES, 1)
        except OSError as error:
            raise self._lose() from error
        if not message:
            raise self._lose()
        self._socket.settimeout(ANSWER_SECONDS)
        return json.loads(message), descriptors

    def _lose(self) -> NoForkError:
        """Give up on it: those whose forks were asked for never came to be."""
        self.process.kill()
        self._socket.close()
        while self._waiting:
            self._waiting.popleft().came(None, [])
        return NoForkError("The process that others are forked of has ended.")


class Forked:
    """A forked process, with what `subprocess.Popen` offers of it. Any thread may call."""

    def __init__(self, server: _Server) -> None:
        self.returncode: int | None = None
        self._server = server
        self._pid: int | None = None
        self._descriptor = -1
        self._waits = threading.Lock()
        self._closes = threading.Lock()

    def came(self, pid: int | None, descriptors: list[int]) -> None:
        """Note that it exists, or never will."""
        self._pid = pid
        if descriptors:
            self._descriptor = descriptors[0]
        else:
            self.returncode = UNKNOWN_STATUS

    @property
    def pid(self) -> int:
        """Give its number. Waits while the server is still loading.

        Raises:
            ProcessLookupError: it never came to be.
        """
        self._server.find_out(self)
        if self._pid is None:
            raise ProcessLookupError
        return self._pid

    def kill(self) -> None:
        """Send SIGKILL."""
        self._server.find_out(self)
        with self._closes, contextlib.suppress(ProcessLookupError):
            if self._descriptor >= 0:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def poll(self) -> int | None:
        """Give its exit status; None while it runs, or another thread waits for it."""
        if self._waits.acquire(blocking=False):
            try:
                self._look(0.0)
            finally:
                self._waits.release()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and give its exit status, negative for a signal's number.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        with self._waits:
            self._look(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired([MODULE], timeout or 0.0)
        return self.returncode

    def _look(self, timeout: float | None) -> None:
        self._server.find_out(self)
        if self.returncode is not None:
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if poll.poll(None if timeout is None else timeout * 1000):
            with self._closes:
                descriptor, self._descriptor = self._descriptor, -1
                os.close(descriptor)
            self.returncode = self._server.status_of(self.pid)


def name_this_process(name: str) -> None:
    """Have `ps` and `top` say what this process is: a forked one has its server's command line.

    Args:
        name: at most 15 characters, more are not kept.
    """
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as file:  # noqa: PTH123 - one line
        file.write(name)


def main(arguments: list[str]) -> None:
    """Be the server: fork, and tell of who has ended, until the parent's end of the socket is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    name_this_process("stoat-forks")
    gc.disable()  # to load much is quicker without
    for module in arguments[1:]:
        with contextlib.suppress(Exception):  # who is to be this one tries again, and says why into its own log
            importlib.import_module(module)
    gc.freeze()  # what is never collected stays shared
    gc.enable()
    control = socket.socket(fileno=int(arguments[0]))
    with contextlib.suppress(ConnectionError):
        while _serve(control):
            pass


def _serve(control: socket.socket) -> bool:
    message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
    if not message:
        return False
    asked = json.loads(message)
    if "reap" in asked:
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(asked["reap"], 0)[1])
        except ChildProcessError:  # it was asked about before
            status = UNKNOWN_STATUS
        control.send(json.dumps({"status": status}).encode())
        return True
    try:
        pid = os.fork()
    except OSError:  # no more processes: the parent sees one that did not start
        control.send(json.dumps({"pid": None}).encode())
    else:
        if not pid:
            control.close()
            _become(asked["module"], asked["arguments"], *descriptors)
        process = os.pidfd_open(pid)
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [process])
        os.close(process)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def _become(module: str, arguments: list[str], pipe: int, log: int | None = None) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        if log is not None:
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
        importlib.import_module(module).main([str(pipe), *arguments])
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as an interpreter that ends would
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
