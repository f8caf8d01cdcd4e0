"""The installed command, run as people and scripts run it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.media_files import clip_file

PATIENCE = 100.0
"""Seconds that only something that hangs would take; on a busy machine everything is slow."""
SECONDS = 200


def environment(**more: str) -> dict[str, str]:
    """Give the environment without settings from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STOAT_")} | {
        "STOAT_PROBE_WORKERS": "1",
        "STOAT_SETTLE_SECONDS": "0",
        "STOAT_MAINTENANCE_SCHEDULE": "",  # or a job that no test expects would come at half past three
        **more,
    }


def command(*arguments: str | Path) -> list[str]:
    """Give the command line."""
    return [sys.executable, "-m", "stoat_ferret", *map(str, arguments)]


def stoat(*arguments: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        env=environment(**more),
        timeout=SECONDS,
    )


def start(*arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own, as a shell does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(
        command(*arguments), encoding="utf-8", env=environment(), process_group=0, **(pipes | options)
    )


def ctrl_c(process: "subprocess.Popen[str]") -> None:
    """Do what a terminal does: signal the whole process group."""
    os.killpg(process.pid, signal.SIGINT)


def ended(process: "subprocess.Popen[str]", seconds: float = SECONDS) -> tuple[int, str, str, float]:
    """Wait for the end; gives status, both outputs, and how long it took."""
    began = time.monotonic()
    try:
        out, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, told, time.monotonic() - began


def large_folder(folder: Path, count: int = 4000) -> Path:
    """Fill a folder with so many names of one clip that a scan takes seconds."""
    folder.mkdir(parents=True)
    first = folder / "0.mp4"
    first.write_bytes(clip_file().read_bytes())
    for number in range(1, count):
        os.link(first, folder / f"{number}.mp4")
    return folder
