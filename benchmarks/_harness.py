"""What the benchmarks share: a running server, and how figures are printed."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
import psutil

TERMINAL = {"complete", "failed", "timeout", "cancelled"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of its own, with its own data."""

    process: "subprocess.Popen[str]"
    client: httpx2.Client

    def scan(self, path: Path, **options: Any) -> str:
        """Submit a scan; gives the job's id."""
        answer = self.client.post("/api/v1/videos/scan", json={"path": str(path), **options})
        answer.raise_for_status()
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Give a job as it stands."""
        record: dict[str, Any] = self.client.get(f"/api/v1/jobs/{job_id}").json()
        return record

    def finish(self, job_id: str) -> dict[str, Any]:
        """Wait for a job's end."""
        while True:
            record: dict[str, Any] = self.client.get(f"/api/v1/jobs/{job_id}/wait?timeout=10", timeout=30).json()
            if record["status"] in TERMINAL:
                if record["status"] != "complete":
                    raise RuntimeError(record["error"])
                return record

    def worker(self) -> psutil.Process:
        """Give the process that runs the jobs."""
        for child in psutil.Process(self.process.pid).children():
            if "worker" in child.cmdline():
                return child
        raise RuntimeError("the server has no worker")


@contextmanager
def serve(data: Path, **environment: str) -> Iterator[Server]:
    """Start the real server on a free port, with further settings by their names, and stop it afterwards."""
    command = [sys.executable, "-m", "stoat_ferret", "serve", "--port", "0", "--data-dir", str(data)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "STOAT_LOG_LEVEL": "error", **environment}
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                with httpx2.Client(base_url=line.split()[-1]) as client:
                    yield Server(process, client)
                break
        else:
            raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def processor_seconds(process: psutil.Process) -> float:
    """Give the processor time that a process and its descendants have taken, those that have ended included."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            total += sum(each.cpu_times()[:4])  # its own in user and system mode, and of its reaped children
    return total


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="stoat-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values: Sequence[float], part: float) -> float:
    """Give the value that `part` (0 to 1) of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered) + 0.5) - 1))]


def publish(name: str, sentence: str, figures: dict[str, Any]) -> None:
    """Print figures as one JSON document and as one line for people."""
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "av": version("av"),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    print(json.dumps({"benchmark": name, "figures": figures, "machine": machine}, indent=1))
    print(f"{name}: {sentence}")
