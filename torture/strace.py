"""System calls that fail: strace attached to running processes changes what they are told about certain files."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ATTACH_SECONDS = 30.0
LET_GO_SECONDS = 10.0
MARK = "(INJECTED)"


@dataclass(frozen=True, slots=True)
class Fault:
    """Which calls fail, and how."""

    calls: str
    """System calls, separated by commas."""
    error: str
    """The errno's name."""
    first: int
    """From which call on, counted in each thread,"""
    last: int | None
    """up to which; None: all that follow."""

    @property
    def when(self) -> str:
        """Give strace's words for it."""
        return f"{self.first}+" if self.last is None else f"{self.first}..{self.last}"


def available() -> str | None:
    """Say why this cannot be done here; None where it can."""
    if shutil.which("strace") is None:
        return "there is no strace; Debian's package of that name has it"
    tried = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False, capture_output=True, text=True)
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


@contextmanager
def failing(pids: Sequence[int], files: Sequence[Path], fault: Fault, log: Path) -> Iterator[None]:
    """Let calls of processes, that is of the threads that they have now, fail where they concern certain files.

    `log` then holds the calls that were made, each that failed so with the mark `(INJECTED)`.

    Raises:
        ProcessLookupError: a process has ended.
    """
    watched = [part for path in files for part in ("-P", str(path))]
    # Thread by thread, not with -f, which also follows children: let go of amid a vfork, parent and child stay stopped.
    threads = [thread for pid in pids for thread in _threads(pid)]
    traced = [part for thread in threads for part in ("-p", str(thread))]
    inject = f"inject={fault.calls}:error={fault.error}:when={fault.when}"
    command = ["strace", "-qq", "-e", f"trace={fault.calls}", "-e", inject, *watched, *traced, "-o", str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            _await_attached(tracer, threads)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)  # it lets go of what it traces, which goes on undisturbed
            try:
                tracer.wait(LET_GO_SECONDS)
            except subprocess.TimeoutExpired:
                tracer.kill()  # the system then does that for it


def injected(log: Path) -> int:
    """Count the calls that were made to fail."""
    try:
        return log.read_text(errors="replace").count(MARK)
    except FileNotFoundError:
        return 0


def _threads(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error


def _await_attached(tracer: "subprocess.Popen[bytes]", threads: Sequence[int]) -> None:
    until = time.monotonic() + ATTACH_SECONDS
    while not all(_is_traced(thread) for thread in threads):
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            raise ProcessLookupError(tracer.stderr.read().decode().strip())
        if time.monotonic() > until:
            raise TimeoutError(f"strace did not attach to {threads}")
        time.sleep(0.005)


def _is_traced(thread: int) -> bool:
    try:
        status = Path(f"/proc/{thread}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended; there is nothing to wait for
    return "TracerPid:\t0\n" not in status
