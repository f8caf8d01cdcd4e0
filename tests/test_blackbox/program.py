"""The installed program, started as a person would start it, and spoken to over HTTP."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import psutil

START_SECONDS = 60
TERMINAL = {"complete", "failed", "timeout", "cancelled"}

WITHOUT_ROOT_PRIVILEGE = (
    ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)
"""Put before a command, makes root meet file permissions like anyone else."""


def unmeasured() -> dict[str, str]:
    """Give the environment for processes whose coverage nobody measures: those that are killed tell nothing of it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}


class Calls:
    """What a client asks of a server."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def submit(self, path: Path | bytes, **options: Any) -> str:
        """Submit a scan; gives the job's id."""
        body: dict[str, Any] = {"path_bytes": base64.b64encode(os.fsencode(path)).decode(), **options}
        answer = self.client.post("/api/v1/videos/scan", json=body)
        assert answer.status_code == 202, answer.text
        assert set(answer.json()) == {"job_id"}
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Give a job as it stands."""
        answer = self.client.get(f"/api/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def finish(self, job_id: str, seconds: float = 240) -> dict[str, Any]:
        """Wait for a job's end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            record: dict[str, Any] = self.client.get(f"/api/v1/jobs/{job_id}/wait", params={"timeout": 5}).json()
            if record["status"] in TERMINAL:
                return record
        raise AssertionError(f"job {job_id} did not end: {json.dumps(self.job(job_id))}")

    def scan(self, path: Path | bytes, **options: Any) -> dict[str, Any]:
        """Scan and wait; gives the result of a complete job."""
        record = self.finish(self.submit(path, **options))
        assert record["status"] == "complete", record
        result: dict[str, Any] = record["result"]
        return result

    def pages(self, route: str, items: str, **parameters: Any) -> list[dict[str, Any]]:
        """Give all entries of a paged list."""
        found: list[dict[str, Any]] = []
        query = {"limit": 200, **parameters}
        while True:
            answer = self.client.get(route, params=query)
            assert answer.status_code == 200, answer.text
            found += answer.json()[items]
            if answer.json()["next_cursor"] is None:
                return found
            query["cursor"] = answer.json()["next_cursor"]

    def videos(self, **parameters: Any) -> list[dict[str, Any]]:
        """Give all videos."""
        return self.pages("/api/v1/videos", "videos", **parameters)

    def ledger(self, job_id: str, **parameters: Any) -> list[dict[str, Any]]:
        """Give all that a job did."""
        return self.pages(f"/api/v1/jobs/{job_id}/files", "files", **parameters)

    def catalogue(self) -> dict[str, dict[str, Any]]:
        """Give all that is known of each path, leaving out what differs between two catalogues of the same files.

        Of several videos that were at one path, it is the one that is there.
        """
        own = {"id", "library_id", "added_at", "updated_at"}
        found = sorted(self.videos(), key=lambda video: bool(video["state"] != "missing"))
        return {v["path"]: {name: value for name, value in v.items() if name not in own} for v in found}


class Program(Calls):
    """A running `stoat serve` with a data directory."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        prefix: Sequence[str] = (),
        port: int = 0,
        measured: bool = True,
        **environment: str,
    ) -> None:
        self.data_dir = data_dir
        command = [*prefix, sys.executable, "-m", "stoat_ferret", "serve", *arguments]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**(os.environ if measured else unmeasured()), "STOAT_LOG_FORMAT": "json", **environment},
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        super().__init__(httpx2.Client(base_url=self._address(), timeout=90))
        self._family = psutil.Process(self.process.pid)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.log.extend(line.decode("utf-8", "replace") for line in stream)

    def _address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            text = line.decode()
            if text.startswith("listening on "):
                return text.split()[-1]
        self.process.wait()
        raise AssertionError("the server did not start: " + "".join(self.log))

    def worker(self) -> psutil.Process:
        """Give the process that runs the jobs."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            for child in self._family.children():
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline():
                    return child
            time.sleep(0.02)
        raise AssertionError("the server has no worker")

    def kill(self) -> None:
        """End the server by SIGKILL, and wait until the worker that it leaves behind has ended too."""
        children = self._family.children(recursive=True)
        self.process.send_signal(signal.SIGKILL)
        self._close()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, f"left behind: {alive}"

    def stop(self) -> int:
        """End the server as a service manager would; gives its exit status."""
        children = self._family.children(recursive=True) if self.process.poll() is None else []
        self.process.terminate()
        status = self._close()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, f"left behind: {alive}"
        return status

    def _close(self) -> int:
        status = self.process.wait(60)
        self.client.close()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status
