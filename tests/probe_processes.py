"""Processes that examine files, as tests find them: forked, or started by themselves."""

import os
from contextlib import suppress
from typing import NoReturn

import psutil
import pytest

from stoat_ferret.fork_server import ForkServer, NoForkError


def named(name: str, pid: int | None = None) -> list[psutil.Process]:
    """Give the processes that call themselves so and run below a process, or below this one."""
    found = []
    for process in psutil.Process(pid or os.getpid()).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and process.name() == name:
                found.append(process)
    return found


def probe_processes(pid: int | None = None) -> list[psutil.Process]:
    """Give those that examine files and run below a process, or below this one."""
    return named("stoat-probe", pid)


def without_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each process started by itself, as where the system lacks what forking takes."""

    def fail(*_: object) -> NoReturn:
        raise NoForkError("This system has no pidfd_open.")

    monkeypatch.setattr(ForkServer, "fork", fail)
