"""A database that another process keeps locked: said plainly, nothing lost, and over when the lock is."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree

FILES = 1500
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN " + sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""
SECONDS_LOCKED = 7.0
"""Longer than the program waits for a lock before it says that it cannot have it."""


@contextmanager
def locked(database: Path, kind: str) -> Iterator[None]:
    """Have another process hold the write lock, as a backup or a curious person might."""
    command = [sys.executable, "-c", HOLD, str(database), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"locked\n"
            yield
        finally:
            holder.stdin.close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that takes a second or two to scan."""
    root = tmp_path_factory.mktemp("locked") / "films"
    make_tree(root, FILES)
    (root / "other").mkdir()
    return root


def wait_until_it_examines(program: Program, job_id: str) -> None:
    """Wait until a scan has stored something."""
    while not (program.job(job_id)["progress_detail"] or {}).get("done"):
        time.sleep(0.005)


def reads_are_answered(program: Program, job_id: str) -> None:
    """Whoever only reads needs no lock."""
    for route in ("/api/v1/videos", "/api/v1/videos/search?q=clip", "/api/v1/jobs", f"/api/v1/jobs/{job_id}"):
        assert program.client.get(route).status_code == 200, route


def check_recovered(program: Program, tree: Path, job_id: str) -> None:
    """The running scan ends as if nothing had been, and the next one finds nothing left to do."""
    job = program.finish(job_id)
    assert job["status"] == "complete", job
    assert (job["result"]["new"], job["result"]["failed"]) == (FILES, 0)
    again = program.scan(tree)
    assert (again["unchanged"], again["new"], again["updated"]) == (FILES, 0, 0)
    program.stop()
    for name in ("library.db", "jobs.db"):
        connection = sqlite3.connect(program.data_dir / name)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_locked_job_records_refuse_submits_and_lose_no_job(start: Start, tree: Path, kind: str) -> None:
    """503 with Retry-After and the reason; reads are answered; the scan that runs goes on when the lock is gone."""
    program = start()
    job_id = program.submit(tree)
    wait_until_it_examines(program, job_id)
    with locked(program.data_dir / "jobs.db", kind):
        answer = program.client.post("/api/v1/videos/scan", json={"path": str(tree / "other")})
        assert (answer.status_code, answer.json()["code"]) == (503, "STORAGE_BUSY"), answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["content-type"] == "application/problem+json"
        answer = program.client.post(f"/api/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (503, "STORAGE_BUSY"), answer.text
        reads_are_answered(program, job_id)
    check_recovered(program, tree, job_id)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_scan_outlives_a_locked_catalogue(start: Start, tree: Path, kind: str) -> None:
    """Its batches wait, or the job goes back to the queue; it does not fail. Submits need the job records only."""
    program = start()
    job_id = program.submit(tree)
    wait_until_it_examines(program, job_id)
    with locked(program.data_dir / "library.db", kind):
        time.sleep(SECONDS_LOCKED)
        reads_are_answered(program, job_id)
        other = program.submit(tree / "other")
        job = program.job(job_id)
        assert job["status"] in ("pending", "running"), job
    check_recovered(program, tree, job_id)
    assert other
