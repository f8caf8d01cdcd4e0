"""A probe process under observation: what it opens, whom it calls, and which programs it runs."""

import fcntl
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from inotify_simple import INotify, flags

from stoat_ferret.media.process import WORKER_MODULE
from stoat_ferret.paths import encode_base64

AS_IT_IS = f"import sys\nfrom {WORKER_MODULE} import main\nmain(sys.argv[1:])"
ANSWER_SECONDS = 60.0
TRACED = "openat,?open,?openat2,?creat,execve,execveat,?fork,?vfork,clone,?clone3,?io_uring_setup,%network"
_OWN = {b"/proc/self/status", b"/proc/self/io"}
"""What the process asks about itself. Besides, the C library loads its tables of characters late, when the text in a
broadcast wants them: from a folder of its own, `gconv`."""
_CALL = re.compile(rb'^\d+ +(\w+)\((?:[^"]*"((?:\\x[0-9a-f]{2})*)")?(.*)')


class Listener:
    """Waits on a free port of 127.0.0.1, of TCP and UDP alike, and at a path; counts who comes, and sends them away."""

    def __init__(self, path: Path) -> None:
        self._callers = 0
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._tcp = self._beside()
        self.port: int = self._tcp.getsockname()[1]
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(path))
        self._unix.listen()
        self._ends = (self._tcp, self._udp, self._unix)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stop)
        for end in self._ends:
            end.close()

    @property
    def callers(self) -> int:
        """How many have come so far, those included who are still at the door."""
        while select.select(self._ends, [], [], 0)[0]:
            time.sleep(0.001)
        return self._callers

    def _beside(self) -> socket.socket:
        """Find a port that is free for both protocols."""
        while True:
            tcp = socket.create_server(("127.0.0.1", 0))
            try:
                self._udp.bind(tcp.getsockname())
            except OSError:
                tcp.close()
            else:
                return tcp

    def _wait(self) -> None:
        sources: list[Any] = [*self._ends, self._stop]
        while self._stop not in (ready := select.select(sources, [], [])[0]):
            for end in self._ends:
                if end in ready:
                    self._callers += 1  # before they are let in: see `callers`
                    if end is self._udp:
                        end.recv(65536)
                    else:
                        end.accept()[0].close()


class ObservedWorker:
    """One probe process that is asked about one file after the other, while it is watched.

    Two observers, of which the first works everywhere: inotify on the folders of the cases, asked after each answer,
    whose findings are in `foreign`; and strace, where it is installed and may trace, whose log `traced` reads.

    Args:
        folders: to watch.
        log: where strace writes.
        leave_out: steps of the lock-down.
        code: run instead of the worker.
        quick: have strace told only of the calls that it looks for, which a filter of the process's own would hide.
    """

    def __init__(
        self, folders: Sequence[Path], log: Path, *, leave_out: str = "", code: str = AS_IT_IS, quick: bool = True
    ) -> None:
        self.foreign: list[str] = []
        self.answered = 0
        self._log = log
        self._notify = INotify()
        self._watched = {self._notify.add_watch(folder, flags.OPEN): folder for folder in folders}
        ours, theirs = socket.socketpair()
        self._input, self._fill = os.pipe()
        os.write(self._fill, b"canary")
        with theirs:
            self._process = subprocess.Popen(
                [*_strace(log, quick), sys.executable, "-P", "-c", code, str(theirs.fileno()), str(2 << 30), leave_out],
                pass_fds=(theirs.fileno(),),
                stdin=self._input,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._pipe = Connection(ours.detach())
        self.sandbox: dict[str, bool] = json.loads(self._receive())["hello"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pipe.close()
        try:
            self._process.wait(ANSWER_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._notify.close()
            os.close(self._input)
            os.close(self._fill)

    def examine(self, path: Path) -> list[dict[str, Any]]:
        """Have a file probed and pictured, and note what else was opened meanwhile."""
        encoded = encode_base64(bytes(path))
        for task in (
            {"kind": "probe", "path": encoded, "follow_symlink": False},
            {"kind": "thumbnail", "path": encoded, "width": 64, "format": "jpeg"},
        ):
            self._pipe.send_bytes(json.dumps(task).encode())
        answers = [self._answer(), self._answer()]
        for event in self._notify.read(timeout=0):
            opened = self._watched.get(event.wd, Path("?")) / event.name
            if opened != path:
                self.foreign.append(f"{path} had {opened} opened")
        return answers

    def input_left(self) -> int:
        """Tell how many bytes of the six on its standard input nobody has read."""
        return int(struct.unpack("i", fcntl.ioctl(self._input, termios.FIONREAD, bytes(4)))[0])

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._receive())
        if answer["image"]:
            self._receive()
        self.answered += 1
        return answer

    def _receive(self) -> bytes:
        assert self._pipe.poll(ANSWER_SECONDS), "no answer came"
        return self._pipe.recv_bytes()


def traced(log: Path, cases: Sequence[Path]) -> list[str]:
    """Give what strace saw that none of these files may cause: opens of others, sockets, programs, processes.

    What comes after the first open of a case by the worker itself, up to its first open of another file, was caused by
    that case; the worker is known by O_NOCTTY. Each of the cases must be in the log.
    """
    allowed = {bytes(case) for case in cases}
    seen: set[bytes | None] = {None}
    current: bytes | None = None
    found: list[str] = []
    for line in log.read_bytes().splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        name, path = call[1], bytes.fromhex((call[2] or b"").decode().replace("\\x", ""))
        if b"O_NOCTTY" in call[3]:
            current = path if path in allowed else None
            seen.add(current)
        elif current is not None and not _is_harmless(name, path, call[3], current):
            found.append(f"{os.fsdecode(current)} caused {line.decode()} {os.fsdecode(path)}")
    assert seen == {None, *allowed}
    return found


def _is_harmless(call: bytes, path: bytes, arguments: bytes, current: bytes) -> bool:
    if call in {b"open", b"openat"}:
        return path == current or path in _OWN or b"/gconv/" in path
    return call == b"clone3" or (call == b"clone" and b"CLONE_THREAD" in arguments)


def _strace(log: Path, quick: bool) -> list[str]:
    if not can_trace():
        return []
    faster = ["--seccomp-bpf"] if quick and _runs("--seccomp-bpf") else []
    told = ["-xx", "-s", "8192", "-e", f"trace={TRACED}", "-e", "signal=none", "-o", str(log)]
    return ["strace", "-f", "-qq", *faster, *told]


def can_trace() -> bool:
    """Tell whether strace is there, and may do its work."""
    return shutil.which("strace") is not None and _runs()


def _runs(*options: str) -> bool:
    tried = subprocess.run(["strace", "-f", "-qq", *options, "-o", os.devnull, "true"], capture_output=True)
    return tried.returncode == 0
