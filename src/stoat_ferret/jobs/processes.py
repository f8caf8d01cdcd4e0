"""Which process is which: a pid is used again, but with the moment it started at it names a process for good.

A pid says something among the processes that one kernel numbers together. Host names do not tell these apart: machines
and containers may share one. So a host is named by three things: `name#boot#namespace`, of which Linux gives the last
two: the id of its present run, and the number of the namespace that gives the pids.
"""

import os
import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

SAME_START_US = 1_500_000
"""The system gives start times on the scale of its wall clock, to the second; they move when that is set."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process on a machine; `started_at` in microseconds since 1970 UTC."""

    host: str
    """See `this_host`."""
    pid: int
    started_at: int


def this_process() -> ProcessId:
    """Give the calling process."""
    pid = os.getpid()
    return ProcessId(this_host(), pid, _started_at(psutil.Process(pid)))


@cache
def this_host() -> str:
    """Name the machine, container or the like in which pids are this process's; the name alone where not on Linux."""
    name = host_name(socket.gethostname())
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return name
    return f"{name}#{boot}#{namespace}"


def host_name(host: str) -> str:
    """Give the part of a host that a person knows it by."""
    return host.partition("#")[0]


def ran_before(host: str) -> bool:
    """Tell whether a host is an earlier run of a machine with this one's name; all its processes are gone then.

    That holds where only one machine can be meant: of those who use one SQLite file. Elsewhere it may be another one.
    """
    name, _, known = host.partition("#")
    here, _, present = this_host().partition("#")
    return name == here and bool(present) and known.partition("#")[0] != present.partition("#")[0]


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


def is_stopped(pid: int) -> bool:
    """Tell whether a process of this machine was stopped, as by SIGSTOP or a debugger."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.NoSuchProcess:
        return False


def age_seconds(pid: int) -> float:
    """Give how long a process of this machine has run; 0.0 where there is none."""
    try:
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0
