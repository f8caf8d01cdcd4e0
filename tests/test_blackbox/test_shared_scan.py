"""One scan on Postgres, shared by several worker processes: who takes part, and what comes of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tests.postgres import PostgresServer
from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree, unique_clip

FILES = 1600
YOUNG = 450
LEASE = {"STOAT_LEASE_SECONDS": "3", "STOAT_LEASE_RENEW_SECONDS": "0.5"}
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.postgres

WorkerProcess = subprocess.Popen[bytes]
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that makes several parts."""
    root = tmp_path_factory.mktemp("shared") / "films"
    make_tree(root, FILES, a_folder=250)
    return root


@pytest.fixture
def address(postgres: PostgresServer) -> Iterator[str]:
    """A database of the test's own."""
    with postgres.database(migrated=True) as url:
        yield _text(url)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.fixture
def program(start: Start, address: str) -> Program:
    """A server, with its worker, on Postgres."""
    return start(STOAT_DATABASE_URL=address, **LEASE)


@pytest.fixture
def start_worker(address: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers beside the server's; they are ended with the test."""
    running: list[WorkerProcess] = []

    def _start(*arguments: str) -> WorkerProcess:
        environment = {
            **os.environ,
            **LEASE,
            "STOAT_DATABASE_URL": address,
            "STOAT_DATA_DIR": str(tmp_path / f"worker {len(running)}"),
        }
        command = [sys.executable, "-m", "stoat_ferret", "worker", "--json", *arguments]
        with (tmp_path / f"worker {len(running)}.log").open("wb") as log:
            running.append(subprocess.Popen(command, env=environment, stderr=log))
        return running[-1]

    yield _start
    for worker in running:
        worker.kill()
        worker.wait(30)


def workers_alive(program: Program) -> list[int]:
    facts = program.client.get("/health/ready").json()["checks"]["worker"]["facts"]
    return [int(pid) for pid in facts["pids"]]


def await_workers(program: Program, count: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while len(workers_alive(program)) < count:
        assert time.monotonic() < until, "the workers did not start"
        time.sleep(0.1)


def parts_of(program: Program, job_id: str) -> list[dict[str, Any]]:
    return program.pages("/api/v1/jobs", "jobs", parent=job_id)


def seconds_taken(record: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(record[name]) for name in ("created_at", "finished_at"))
    return (ended - began).total_seconds()


def check_whole(program: Program, tree: Path, record: dict[str, Any]) -> None:
    """The scan's figures, its ledger and the catalogue agree, and hold every file once."""
    assert record["status"] == "complete", record
    assert (record["result"]["new"], record["result"]["scanned"]) == (FILES, FILES)
    assert 0 < record["result"]["duration_seconds"] <= seconds_taken(record) + 0.5, "two clocks may differ a little"
    ledger = program.ledger(record["job_id"], outcome="new")
    listed = {str(path) for path in tree.rglob("*.mp4")}
    assert sorted(entry["path"] for entry in ledger) == sorted(listed)
    assert set(program.catalogue()) == listed


def test_a_scan_is_done_in_parts_and_settles_after_the_last(
    program: Program, start_worker: StartWorker, tree: Path
) -> None:
    """Progress goes on while it waits; the parts are not in the list of jobs; the next scan finds nothing to do."""
    start_worker()
    await_workers(program, 2)
    job_id = program.submit(tree)
    seen = [0.0]
    while (record := program.job(job_id))["status"] in ("pending", "running"):
        if record["progress"] is not None:
            assert record["progress"] >= seen[-1]
            seen.append(record["progress"])
        time.sleep(0.05)
    check_whole(program, tree, record)
    assert record["attempt"] == 1
    parts = parts_of(program, job_id)
    assert len(parts) >= FILES // 200
    assert {part["status"] for part in parts} == {"complete"}
    assert sum(part["result"]["files"] for part in parts) == FILES
    assert [job["job_id"] for job in program.pages("/api/v1/jobs", "jobs")] == [job_id]
    again = program.scan(tree)
    assert (again["unchanged"], again["bytes_read"]) == (FILES, 0)


def test_files_that_were_just_written_are_all_done(
    start: Start, address: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """They settle one by one and go out in parts of many folders; none is lost, and none is found only later."""
    program = start(STOAT_DATABASE_URL=address, STOAT_SETTLE_SECONDS="2", **LEASE)
    start_worker()
    await_workers(program, 2)
    root = tmp_path / "fresh"
    for number in range(YOUNG):
        path = root / f"folder {number % 7}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unique_clip(number))
    job_id = program.submit(root)
    record = program.finish(job_id)
    assert record["status"] == "complete", record
    assert (record["result"]["new"], record["result"]["scanned"]) == (YOUNG, YOUNG)
    assert parts_of(program, job_id)
    assert len(program.ledger(job_id, outcome="new")) == YOUNG
    again = program.scan(root)
    assert (again["unchanged"], again["new"], again["bytes_read"]) == (YOUNG, 0, 0)


def test_the_parts_of_a_killed_worker_are_done_elsewhere(
    program: Program, start_worker: StartWorker, tree: Path
) -> None:
    """And by the same worker again, once its supervisor has started it anew; no file is lost or twice."""
    beside = start_worker()
    await_workers(program, 2)
    job_id = program.submit(tree)
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(part["status"] == "running" for part in parts_of(program, job_id)):
        assert time.monotonic() < until, program.job(job_id)
    beside.send_signal(signal.SIGKILL)
    program.worker().kill()
    check_whole(program, tree, program.finish(job_id))


def test_a_scan_is_cancelled_with_its_parts(program: Program, tree: Path) -> None:
    """Its figures say what was done until then, and are those of the catalogue; nothing is stored afterwards."""
    job_id = program.submit(tree)
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(part["status"] == "complete" for part in parts_of(program, job_id)):
        assert time.monotonic() < until, program.job(job_id)
    assert program.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    record = program.finish(job_id)
    assert record["status"] == "cancelled"
    # A part that is at work sees it at its next write, or a moment later.
    while not all(part["status"] in ("complete", "cancelled") for part in parts_of(program, job_id)):
        assert time.monotonic() < until, parts_of(program, job_id)
    known = program.catalogue()
    assert 0 < len(known) == record["result"]["new"] == record["result"]["scanned"] < FILES
    time.sleep(1.0)
    assert len(program.catalogue()) == len(known)
    assert program.scan(tree)["new"] == FILES - len(known)


def test_cancelled_while_it_still_walks_it_leaves_no_part_behind(program: Program, tree: Path) -> None:
    """A part that is at work is told by the first write that is refused; it is no worker's loss."""
    job_id = program.submit(tree)
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(part["status"] == "running" for part in parts_of(program, job_id)):
        assert time.monotonic() < until, program.job(job_id)
    assert program.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202
    assert program.finish(job_id)["status"] == "cancelled"
    while not all(part["status"] in ("complete", "cancelled") for part in parts_of(program, job_id)):
        assert time.monotonic() < until, parts_of(program, job_id)
    assert "\nstoat_lease_takeovers_total 0.0\n" in program.client.get("/metrics").text


def test_a_worker_whose_root_lies_elsewhere_on_its_machine_does_the_whole_scan(
    start: Start, start_worker: StartWorker, address: str, tree: Path, tmp_path: Path
) -> None:
    """The catalogue has the paths that all know; a worker that reaches other folders only takes nothing."""
    program = start(STOAT_DATABASE_URL=address, STOAT_WORKER_ROOTS="/nowhere", **LEASE)
    here = tmp_path / "mounted here"
    await_workers(program, 1)
    with renamed(tree, here):
        tree.mkdir()  # the server has a folder of this name, or it would refuse the scan
        start_worker("--root", f"{tree}={here}")
        await_workers(program, 2)
        record = program.finish(program.submit(tree))
        tree.rmdir()
    check_whole(program, tree, record)


@contextmanager
def renamed(path: Path, other: Path) -> Iterator[None]:
    """Give a folder another name for a while."""
    os.rename(path, other)
    try:
        yield
    finally:
        os.rename(other, path)
