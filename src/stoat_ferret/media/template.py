"""A process that has the media library loaded, and of which probe processes are forked: `python -m … FD`.

To start one anew takes a fifth of a second of a processor's time, nearly all of it to load the same code again; to fork
one takes milliseconds, and what was loaded is in memory once. The template sees no file and no answer: it gets the two
descriptors that a probe process needs, its pipe and its log, and gives back a descriptor of the process (`pidfd`).
Who has ended stays a zombie until it is asked about, so a number never comes to mean another process meanwhile.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NoReturn

MODULE = "stoat_ferret.media.template"
ANSWER_SECONDS = 60.0
"""A template that has not answered by then will not. It answers within a millisecond once it has loaded its code."""
CLOSE_SECONDS = 2.0
UNKNOWN_STATUS: Final = 255
"""Of a process whose end nobody could be asked about, because its template had ended before."""
_MOST_BYTES = 4096

Json = dict[str, Any]


class TemplateLostError(OSError):
    """The template has ended, or does not answer. Never leaves this package."""


class Template:
    """Such a process, as its parent sees it; not thread-safe.

    Raises:
        OSError: the system lacks what this takes (Linux 5.3), or does not let it start.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        if not hasattr(os, "pidfd_open"):
            msg = "This system has no pidfd_open."
            raise OSError(msg)
        os.close(os.pidfd_open(os.getpid()))
        self._waiting: deque[Forked] = deque()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=environment,
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C in a terminal is for the parent
            )
        self._socket.settimeout(ANSWER_SECONDS)

    @property
    def lost(self) -> bool:
        """True once it can fork no more."""
        return self._socket.fileno() < 0 or self._process.poll() is not None

    def fork(self, arguments: Sequence[str], pipe: int, log: int) -> "Forked":
        """Ask for a probe process; never waits.

        Args:
            arguments: to `worker.main`, after the pipe's descriptor.
            pipe: its end of the pipe.
            log: where its standard output and error go.

        Raises:
            TemplateLostError: this one can fork no more.
        """
        try:
            socket.send_fds(self._socket, [json.dumps({"arguments": list(arguments)}).encode()], [pipe, log])
        except OSError as error:
            raise self._lose() from error
        forked = Forked(self)
        self._waiting.append(forked)
        return forked

    def find_out(self, forked: "Forked") -> None:
        """Wait until the template has said what became of a request."""
        while forked in self._waiting:
            try:
                answer, descriptors = self._receive()
            except TemplateLostError:
                return
            self._waiting.popleft().came(answer.get("pid"), descriptors)

    def status_of(self, pid: int) -> int:
        """Give the exit status of a process that has ended, negative for a signal's number, and let it be forgotten."""
        try:
            while self._waiting:
                self.find_out(self._waiting[0])
            self._socket.send(json.dumps({"reap": pid}).encode())
            return int(self._receive()[0]["status"])
        except OSError:
            return UNKNOWN_STATUS

    def close(self) -> None:
        """End it; who was forked lives on until its pipe ends."""
        self._socket.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _receive(self) -> tuple[Json, list[int]]:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, _MOST_BYTES, 1)
        except OSError as error:
            raise self._lose() from error
        if not message:
            raise self._lose()
        return json.loads(message), descriptors

    def _lose(self) -> TemplateLostError:
        """Give up on it: those whose forks were asked for never came to be."""
        self._process.kill()
        self._socket.close()
        while self._waiting:
            self._waiting.popleft().came(None, [])
        return TemplateLostError("The process that others are forked of has ended.")


class Forked:
    """A forked process, with what `subprocess.Popen` offers of it."""

    def __init__(self, template: Template) -> None:
        self.returncode: int | None = None
        self._template = template
        self._pid: int | None = None
        self._descriptor = -1

    def came(self, pid: int | None, descriptors: list[int]) -> None:
        """Note that it exists, or never will."""
        self._pid = pid
        if descriptors:
            self._descriptor = descriptors[0]
        else:
            self.returncode = UNKNOWN_STATUS

    @property
    def pid(self) -> int:
        """Give its number. Waits while the template is still loading.

        Raises:
            ProcessLookupError: it never came to be.
        """
        self._template.find_out(self)
        if self._pid is None:
            raise ProcessLookupError
        return self._pid

    def kill(self) -> None:
        """Send SIGKILL."""
        self._template.find_out(self)
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def poll(self) -> int | None:
        """Give its exit status; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and give its exit status, negative for a signal's number.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        self._template.find_out(self)
        if self.returncode is not None:
            return self.returncode
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired([MODULE], timeout or 0.0)
        os.close(self._descriptor)
        self.returncode = self._template.status_of(self.pid)
        return self.returncode


def main(arguments: list[str]) -> None:
    """Be the template: fork, and tell of who has ended, until the parent's end of the socket is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.disable()  # to load much is quicker without
    from stoat_ferret.media import worker  # noqa: F401 - here, so that who only asks need not load PyAV

    control = socket.socket(fileno=int(arguments[0]))
    gc.freeze()  # what is never collected stays shared
    gc.enable()
    with contextlib.suppress(ConnectionError):
        while _serve(control):
            pass


def _serve(control: socket.socket) -> bool:
    message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
    if not message:
        return False
    asked = json.loads(message)
    if "reap" in asked:
        _, status = os.waitpid(asked["reap"], 0)
        control.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
        return True
    try:
        pid = os.fork()
    except OSError:  # no more processes: the parent sees one that did not start
        control.send(json.dumps({"pid": None}).encode())
    else:
        if not pid:
            control.close()
            _become_worker(asked["arguments"], *descriptors)
        process = os.pidfd_open(pid)
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [process])
        os.close(process)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def _become_worker(arguments: list[str], pipe: int, log: int) -> NoReturn:
    from stoat_ferret.media import worker  # loaded before

    status = 1
    try:
        os.setpgid(0, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        worker.main([str(pipe), *arguments])
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
