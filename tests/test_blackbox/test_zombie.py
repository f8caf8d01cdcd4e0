"""A worker that is stopped, loses its job to another one and wakes up again: it writes nothing.

Both are `stoat worker` processes that nobody supervises: a supervisor would kill the one that fell silent.
"""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import ColumnElement, select

from stoat_ferret.api.app import create_app
from stoat_ferret.db.job_tables import jobs, workers
from stoat_ferret.settings import Settings
from tests.test_blackbox.program import Calls, unmeasured
from tools.trees import make_tree
from torture.audit import audit
from torture.engines import Engine, open_engine

FILES = 1500
LEASES = {
    "sqlite": {"STOAT_LEASE_SECONDS": "2", "STOAT_LEASE_RENEW_SECONDS": "0.4"},
    # Longer than the 5 s after which Postgres ends the transaction of a process that stopped in its midst: until then
    # the heir cannot renew its own lease either.
    "postgres": {"STOAT_LEASE_SECONDS": "8", "STOAT_LEASE_RENEW_SECONDS": "1"},
}
PATIENCE_SECONDS = 240.0
LOST = "job lost to another worker"
"""What a worker logs of a run whose writes were refused, since another one has the job."""

engines = pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that takes a second or two to scan."""
    root = tmp_path_factory.mktemp("zombie") / "films"
    make_tree(root, FILES)
    return root


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Where the databases lie."""
    with open_engine(request.param) as engine:
        yield engine


class House:
    """The application in this process, without a worker of its own, and the workers started beside it."""

    def __init__(self, engine: Engine, folder: Path, opened: ExitStack) -> None:
        self.engine, self.folder = engine, folder
        self.data = folder / "data"
        self.environment = {"STOAT_DATA_DIR": str(self.data), **LEASES[engine.name], **engine.environment(self.data)}
        settings: dict[str, Any] = {
            name.removeprefix("STOAT_").lower(): value for name, value in self.environment.items()
        }
        app = create_app(Settings(**settings), supervise_worker=False)
        self.calls = Calls(opened.enter_context(TestClient(app, base_url="http://127.0.0.1")))
        self._opened = opened

    def worker(self, name: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "stoat_ferret", "worker", "--json"]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, env={**unmeasured(), **self.environment}, stderr=log)
        self._opened.callback(_end, process)
        return process

    def lost(self, name: str) -> set[tuple[str, int]]:
        """Give the jobs, and the attempts at them, of which a worker has logged that another one has them."""
        lines = (self.folder / f"{name}.log").read_text().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
        return {(entry["job_id"], entry["attempt"]) for entry in entries if entry["event"] == LOST}

    def stop_at_work(self, process: "subprocess.Popen[bytes]") -> dict[str, int]:
        """Stop a worker at a moment at which it has a job, and holds no lock of a file: nobody would get past that.

        Gives the jobs that it has, each with the number of the attempt: of a scan that is shared out, perhaps a part.
        """
        while True:
            process.send_signal(signal.SIGSTOP)
            until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
            free = self.engine.name != "sqlite" or all(map(_free, (self.data / "jobs.db", self.data / "library.db")))
            # Between two parts of a scan there would be nothing to take over.
            if free and (held := self.attempts(jobs.c.lease_expires_at.is_not(None))):
                return held
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)

    def stopped_at_work(self, tree: Path, least: int) -> "tuple[str, subprocess.Popen[bytes], dict[str, int]]":
        """Give a scan, the worker that was stopped after it had examined some files for it, and what it had then."""
        zombie = self.worker("zombie")
        job_id = self.calls.submit(tree)
        until(lambda: ((self.calls.job(job_id)["progress_detail"] or {}).get("done") or 0) >= least)
        held = self.stop_at_work(zombie)
        assert self.calls.job(job_id)["status"] == "running", "it ended before it could be stopped"
        return job_id, zombie, held

    def taken_over(self, held: dict[str, int]) -> set[tuple[str, int]]:
        """Give the jobs that were held, with the attempts then, that another worker has begun since."""
        now = self.attempts()
        return {(job_id, attempt) for job_id, attempt in held.items() if now[job_id] > attempt}

    def attempts(self, *which: ColumnElement[bool]) -> dict[str, int]:
        """Give how often each job was begun."""
        records = self.engine.open_jobs(self.data)
        with records.read() as connection:
            rows = connection.execute(select(jobs.c.id, jobs.c.attempt).where(*which)).all()
        records.close()
        return {row.id: row.attempt for row in rows}

    def wake(self, zombie: "subprocess.Popen[bytes]") -> None:
        """Let the stopped worker go on, and wait until it says again that it is alive."""
        woken = time.time_ns() // 1000
        zombie.send_signal(signal.SIGCONT)
        records = self.engine.open_jobs(self.data)
        seen = select(workers.c.seen_at).where(workers.c.pid == zombie.pid)

        def is_back() -> bool:
            with records.read() as connection:
                return any(at > woken for at in connection.execute(seen).scalars())

        until(is_back)
        records.close()

    def everything(self, job_id: str) -> tuple[Any, ...]:
        """Give all that a worker could have written: the feed, the list, the ledger, the record."""
        library = self.engine.open_library(self.data)
        with library.read() as connection:
            feed = connection.exec_driver_sql("SELECT * FROM changes ORDER BY seq").all()
        library.close()
        return feed, self.calls.videos(), self.calls.ledger(job_id), self.calls.job(job_id)


@pytest.fixture
def house(engine: Engine, tmp_path: Path) -> Iterator[House]:
    """Give a house; its workers end with the test."""
    with ExitStack() as opened:
        yield House(engine, tmp_path, opened)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def _free(database: Path) -> bool:
    with closing(sqlite3.connect(database, timeout=0.2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def expected_counts(job: dict[str, Any]) -> None:
    assert job["status"] == "complete", job
    assert (job["result"]["new"], job["result"]["scanned"], job["result"]["failed"]) == (FILES, FILES, 0)


@pytest.mark.slow
@engines
@pytest.mark.parametrize("least", [1, 700])
def test_it_writes_nothing_for_a_job_that_another_one_has_ended(house: House, tree: Path, least: int) -> None:
    """List, feed, ledger and record stay as the other worker left them; the zombie then works on as a good worker."""
    job_id, zombie, held = house.stopped_at_work(tree, least)
    house.worker("heir")
    job = house.calls.finish(job_id, PATIENCE_SECONDS)
    expected_counts(job)
    taken = house.taken_over(held)
    assert taken
    before = house.everything(job_id)
    assert len(before[1]) == FILES
    house.wake(zombie)
    # Of each run that it had it finds out at the fence, or at the record, that it is not its own any more.
    until(lambda: taken <= house.lost("zombie"))
    assert house.everything(job_id) == before
    again = house.calls.scan(tree)
    assert again["unchanged"] == FILES
    assert house.everything(job_id) == before
    assert zombie.poll() is None
    house.calls.client.close()
    assert audit(house.engine, house.data, {job_id: job["result"]}) == []


@pytest.mark.slow
@engines
def test_it_writes_nothing_while_another_one_does_its_job(house: House, tree: Path) -> None:
    """Woken in the midst of the other's work it gives up, and every file is counted once."""
    job_id, zombie, held = house.stopped_at_work(tree, 1)
    house.worker("heir")
    until(lambda: bool(house.taken_over(held)))
    taken = house.taken_over(held)
    house.wake(zombie)
    until(lambda: taken <= house.lost("zombie"))
    job = house.calls.finish(job_id, PATIENCE_SECONDS)
    expected_counts(job)
    assert audit(house.engine, house.data, {job_id: job["result"]}) == []


@pytest.mark.slow
@engines
def test_it_writes_nothing_for_a_job_that_was_cancelled_meanwhile(house: House, tree: Path) -> None:
    """Nobody begins that job again, and so nobody else's attempt would keep it out."""
    job_id, zombie, held = house.stopped_at_work(tree, 1)
    # It may have been stopped with the records' lock, which the server takes from it after 5 s.
    until(lambda: house.calls.client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 202)
    house.worker("heir")
    assert house.calls.finish(job_id, PATIENCE_SECONDS)["status"] == "cancelled"
    before = house.everything(job_id)
    house.wake(zombie)
    until(lambda: set(held.items()) <= house.lost("zombie"))
    assert house.everything(job_id) == before
