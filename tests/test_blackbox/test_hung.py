"""A disk that says nothing any more, to the real program: the processes that ask it are stopped, as if it held them."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.probe_processes import named
from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree

FILES = 40


def listers(program: Program) -> list[psutil.Process]:
    """Give the processes that list folders for the worker."""
    return named("stoat-disk", program.worker().pid)


@pytest.mark.slow
def test_a_hung_disk_costs_a_scan_and_nothing_else(start: Start, tmp_path: Path) -> None:
    """The scan ends and says why, the catalogue stays, and the next scan, once the disk answers, is as ever."""
    tree = tmp_path / "films"
    make_tree(tree, FILES)
    program = start(STOAT_LIST_TIMEOUT_SECONDS="1")
    program.scan(tree)
    before = program.catalogue()
    gone = next(tree.rglob("*.mp4"))
    gone.unlink()
    held = listers(program)
    assert held
    for process in held:
        process.send_signal(signal.SIGSTOP)
    job = program.finish(program.submit(tree))
    assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
    assert "did not answer in time" in job["error"]
    assert program.catalogue() == before
    result = program.scan(tree)
    assert (result["unchanged"], result["missing"]) == (FILES - 1, 1)
    # Those that were held are ended, not kept: a signal meets even a stopped process.
    psutil.wait_procs(held, timeout=30)
    assert not [process for process in held if process.is_running()]


@pytest.mark.slow
def test_a_verification_of_a_hung_disk_can_be_cancelled(start: Start, tmp_path: Path) -> None:
    """It does not wait for the disk, and the next one goes on with what is left."""
    tree = tmp_path / "films"
    make_tree(tree, FILES)
    program = start()
    program.scan(tree)
    answer = program.client.post("/api/v1/videos/verify", json={"bytes_per_second": 100_000})
    job_id = answer.json()["job_id"]
    until = time.monotonic() + 60
    while not (program.job(job_id)["progress_detail"] or {}).get("done"):
        assert time.monotonic() < until
        time.sleep(0.05)
    for process in listers(program):
        process.send_signal(signal.SIGSTOP)
    program.client.post(f"/api/v1/jobs/{job_id}/cancel").raise_for_status()
    job = program.finish(job_id, 20)  # by default a disk may be silent for 60
    assert job["status"] == "cancelled"
    verified = program.finish(program.client.post("/api/v1/videos/verify", json={}).json()["job_id"])["result"]
    assert job["result"]["hashed"] + verified["hashed"] == FILES
    assert verified["left"] == 0
