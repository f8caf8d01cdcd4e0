"""Processes that examine files, as tests find them: forked of a template, or started by themselves."""

import os
from contextlib import suppress
from typing import NoReturn

import psutil
import pytest

from stoat_ferret.media.process import WORKER_MODULE
from stoat_ferret.media.template import MODULE


def probe_processes(pid: int | None = None) -> list[psutil.Process]:
    """Give those that run below a process, or below this one; templates are not among them."""
    found = []
    for process in psutil.Process(pid or os.getpid()).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and _examines(process):
                found.append(process)
    return found


def _examines(process: psutil.Process) -> bool:
    command, parent = process.cmdline(), process.parent()
    return WORKER_MODULE in command or (MODULE in command and parent is not None and MODULE in parent.cmdline())


def without_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each process of a pool started by itself, as where the system lacks what a template takes."""

    def fail(_environment: dict[str, str]) -> NoReturn:
        msg = "This system has no pidfd_open."
        raise OSError(msg)

    monkeypatch.setattr("stoat_ferret.media.pool.Template", fail)
