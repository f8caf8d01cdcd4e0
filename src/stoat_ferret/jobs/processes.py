"""Which process is which: a pid is used again, but with the moment it started at it names a process for good."""

import os
import socket
from dataclasses import dataclass

import psutil

SAME_START_US = 1_500_000
"""The system gives start times on the scale of its wall clock, to the second; they move when that is set."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process on a machine; `started_at` in microseconds since 1970 UTC."""

    host: str
    pid: int
    started_at: int


def this_process() -> ProcessId:
    """Give the calling process."""
    pid = os.getpid()
    return ProcessId(socket.gethostname(), pid, _started_at(psutil.Process(pid)))


def is_gone(process: ProcessId, seen_at: int) -> bool:
    """Tell whether a process of this machine, heard of at `seen_at`, has surely ended.

    A process under the same pid is another one when it started at another time and after `seen_at`. The second
    condition keeps a living process alive when the wall clock is set.
    """
    try:
        present = psutil.Process(process.pid)
        if present.status() == psutil.STATUS_ZOMBIE:
            return True
        started_at = _started_at(present)
    except psutil.NoSuchProcess:
        return True
    return abs(started_at - process.started_at) > SAME_START_US and started_at > seen_at


def _started_at(process: psutil.Process) -> int:
    return int(process.create_time() * 1_000_000)
