"""Killed at any instant, the program goes on where it was, and ends in the catalogue of an undisturbed scan."""

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree
from torture.fleet import is_locked_down

FILES = 2000

Undisturbed = tuple[dict[str, dict[str, object]], dict[str, int]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand clips, some broken ones and a text file among them."""
    root = tmp_path_factory.mktemp("kill") / "films"
    make_tree(root, FILES)
    for number in range(5):
        broken = root / f"folder {number:05d}" / f"broken {number}.mp4"
        broken.write_bytes(b"no video at all " * (number + 1))
    time.sleep(3.1)
    return root


@pytest.fixture(scope="module")
def undisturbed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The catalogue and the counts of a scan that nothing disturbs."""
    program = Program(tmp_path_factory.mktemp("undisturbed") / "data", measured=False)
    result = program.scan(tree)
    found = program.catalogue()
    program.stop()
    return found, counts(result)


def counts(result: dict[str, object]) -> dict[str, int]:
    """Give the numbers by which two scans of the same tree can be compared."""
    return {name: value for name, value in result.items() if isinstance(value, int) and name != "bytes_read"}


def wait_for_progress(program: Program, job_id: str, least: int) -> None:
    """Wait until so many files are done, or the job has ended."""
    while True:
        job = program.job(job_id)
        if job["status"] not in ("pending", "running"):
            return
        if ((job["progress_detail"] or {}).get("done") or 0) >= least:
            return
        time.sleep(0.01)


def recorded_status(data: Path, job_id: str) -> str:
    """Give where a job stands, of which nobody can be asked just now."""
    with closing(sqlite3.connect(data / "jobs.db")) as connection:
        [status] = connection.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return str(status)


def check_databases(data: Path) -> None:
    """Both files are whole."""
    for name in ("library.db", "jobs.db"):
        with sqlite3.connect(data / name) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


@pytest.mark.slow
def test_killing_the_worker_again_and_again_changes_nothing(start: Start, tree: Path, undisturbed: Undisturbed) -> None:
    """The supervisor starts another, which takes the job up at once; no file is lost or counted twice."""
    expected, expected_counts = undisturbed
    program = start(measured=False)
    job_id = program.submit(tree)
    for least in (1, 300, 700, 1200):
        wait_for_progress(program, job_id, least)
        assert program.job(job_id)["status"] in ("pending", "running"), "it ended before it could be killed"
        worker = program.worker()
        worker.kill()
        psutil.wait_procs([worker], timeout=60)
    job = program.finish(job_id)
    assert job["status"] == "complete", job
    assert job["attempt"] > 1
    assert counts(job["result"]) == expected_counts
    assert program.catalogue() == expected
    assert program.client.get("/health/ready").status_code == 200
    program.stop()
    check_databases(program.data_dir)


@pytest.mark.slow
def test_killing_the_server_again_and_again_changes_nothing(start: Start, tree: Path, undisturbed: Undisturbed) -> None:
    """The acknowledged job goes on at the next start, without anyone asking."""
    expected, expected_counts = undisturbed
    program = start(measured=False)
    job_id = program.submit(tree)
    for least in (1, 400, 1000):
        wait_for_progress(program, job_id, least)
        assert program.job(job_id)["status"] == "running", "it ended before it could be killed"
        program.kill()
        program = start(measured=False)
    job = program.finish(job_id)
    assert job["status"] == "complete", job
    assert counts(job["result"]) == expected_counts
    assert program.catalogue() == expected
    program.stop()
    check_databases(program.data_dir)


@pytest.mark.slow
def test_killing_probe_processes_loses_no_file(start: Start, tree: Path, undisturbed: Undisturbed) -> None:
    """A file whose examination was killed is examined again; only one that dies twice is set aside."""
    expected, _ = undisturbed
    program = start(measured=False)
    job_id = program.submit(tree)
    wait_for_progress(program, job_id, 1)
    killed = 0
    while program.job(job_id)["status"] == "running" and killed < 10:
        # Not while they start: three that end so in a row mean that examining cannot work here at all.
        children = [child for child in program.worker().children(recursive=True) if is_locked_down(child)]
        if children:
            children[killed % len(children)].kill()
            killed += 1
        # Until the file that was in hand is done with: if it were hit again, it would be set aside, and rightly so.
        done = (program.job(job_id)["progress_detail"] or {}).get("done") or 0
        wait_for_progress(program, job_id, done + 40)
    job = program.finish(job_id)
    assert job["status"] == "complete", job
    assert killed
    assert program.catalogue() == expected


def test_an_orderly_stop_hands_the_job_back(
    start: Start, tree: Path, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    """SIGTERM ends server and worker, which leave no process behind; the job is finished at the next start.

    How long that takes is printed; it is the machine's matter too.
    """
    program = start()
    job_id = program.submit(tree)
    wait_for_progress(program, job_id, 1)
    began = time.monotonic()
    assert program.stop() == 0
    seconds = time.monotonic() - began
    record_property("orderly_stop_seconds", round(seconds, 2))
    with capsys.disabled():
        sys.stdout.write(f"\n  orderly stop: {seconds:.2f} s\n")
    assert recorded_status(program.data_dir, job_id) in ("pending", "complete")
    program = start()
    job = program.finish(job_id)
    assert job["status"] == "complete"
    assert job["result"]["new"] == FILES


def test_a_cancelled_scan_keeps_what_it_had_done(start: Start, tree: Path) -> None:
    """The partial result counts what is in the catalogue; the next scan does the rest."""
    program = start()
    job_id = program.submit(tree)
    wait_for_progress(program, job_id, 100)
    answer = program.client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
    job = program.finish(job_id)
    assert job["status"] == "cancelled"
    assert 0 < job["result"]["new"] < FILES
    assert job["result"]["new"] == len(program.videos())
    assert program.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 409
    rest = program.scan(tree)
    assert rest["new"] + rest["unchanged"] == FILES
    assert rest["unchanged"] == job["result"]["new"]
