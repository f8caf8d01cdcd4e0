"""What the record in SQL promises beyond the contract of every queue: dead workers, strikes, revisions."""

import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import insert, select, update

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records, jobs, workers
from stoat_ferret.db.tables import catalogue, job_claims
from stoat_ferret.errors import JobNotFoundError
from stoat_ferret.jobs.model import Claim, Job, JobRequest, JobStatus
from stoat_ferret.jobs.processes import ProcessId, host_name, is_gone, ran_before, this_host, this_process
from stoat_ferret.jobs.store import JobStore, workforce
from stoat_ferret.jobs.store.records import now_us
from stoat_ferret.jobs.store.runs import SUSPECT_SECONDS
from stoat_ferret.jobs.store.workforce import STALE_WORKER_SECONDS

LEASE_SECONDS = 10.0
NO_PID = 2**22 + 1
"""Above the highest process id that Linux gives."""


class Clock:
    """The wall clock, which a test may run ahead of."""

    ahead = 0

    def __call__(self) -> int:
        return now_us() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += int(seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    """Give a clock that is right so far."""
    return Clock()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    database = open_sqlite(tmp_path / "library.db")
    catalogue.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def store(tmp_path: Path, library: Database, clock: Clock) -> Iterator[JobStore]:
    """Give a store without jobs."""
    database = open_sqlite(tmp_path / "jobs.db")
    job_records.create_all(database.engine)
    yield JobStore(database, lease_seconds=LEASE_SECONDS, catalogue=library, clock=clock)
    database.close()


def submit(store: JobStore, name: str = "a", **options: Any) -> Job:
    return store.submit(JobRequest(type="scan", payload={"path": name}, **options)).job


def claim(store: JobStore, worker: str = "w") -> Claim:
    found = store.claim(worker)
    assert found is not None
    return found


def employ(store: JobStore, worker: str = "w", **changes: Any) -> None:
    """Enter a worker whose process is not there any more, unless said otherwise."""
    me = this_process()
    values = {
        "id": worker,
        "host": me.host,
        "pid": NO_PID,
        "process_started_at": 1,
        "started_at": 1,
        "seen_at": now_us(),
    }
    with store.database.write() as connection:
        connection.execute(insert(workers).values(values | changes))


def note_batches(library: Database, claimed: Claim, batches: int) -> None:
    with library.write() as connection:
        connection.execute(job_claims.delete())
        connection.execute(insert(job_claims).values((claimed.job.id, claimed.job.attempt, claimed.token, batches)))


class TestRecover:
    def test_the_jobs_of_a_gone_process_go_back_at_once(self, store: JobStore) -> None:
        """No lease has to end first, and nothing is held against them."""
        employ(store)
        job = submit(store)
        claim(store)
        assert store.claim("other") is None
        assert store.recover() == 1
        again = claim(store, "other")
        assert (again.job.id, again.job.attempt, again.job.strikes) == (job.id, 2, 0)
        assert store.recover() == 0

    def test_the_jobs_of_a_living_process_are_left_alone(self, store: JobStore) -> None:
        """This test's own process, here."""
        store.heartbeat("w")
        submit(store)
        claimed = claim(store)
        assert store.recover() == 0
        store.renew(claimed)

    def test_the_jobs_of_another_machine_are_left_to_their_leases(self, store: JobStore) -> None:
        """Nothing is known here of its processes."""
        employ(store, host="elsewhere")
        submit(store)
        claimed = claim(store)
        assert store.recover() == 0
        store.renew(claimed)

    def test_the_jobs_of_this_machines_earlier_run_go_back_at_once(self, store: JobStore) -> None:
        """It was restarted, and the pid may be another process's by now. An earlier version wrote the bare name."""
        for number, host in enumerate((f"{socket.gethostname()}#another-boot#pid:[1]", socket.gethostname())):
            employ(store, str(number), host=host, pid=os.getpid())
            submit(store, host)
            claim(store, str(number))
        assert store.recover() == (2 if "#" in this_host() else 1)

    def test_the_jobs_of_another_container_are_left_to_their_leases(self, store: JobStore) -> None:
        """Its pids are others, though the machine and the name are the same."""
        employ(store, host=this_host().rpartition("#")[0] + "#pid:[1]")
        submit(store)
        claimed = claim(store)
        assert store.recover() == 0
        store.renew(claimed)

    def test_a_cancelled_job_of_a_gone_process_ends(self, store: JobStore) -> None:
        """It is not run again to be told."""
        employ(store)
        job = submit(store)
        claim(store)
        store.cancel(job.id)
        store.recover()
        assert store.get(job.id).status is JobStatus.CANCELLED

    def test_several_jobs_go_back_with_a_revision_each(self, store: JobStore) -> None:
        """A reader sees each change."""
        employ(store)
        for name in "abc":
            submit(store, name)
            claim(store)
        assert store.recover() == 3
        revisions = [job.revision for job in store.list(None, None, None, 10).jobs]
        assert sorted(revisions) == [7, 8, 9]

    def test_a_worker_that_was_silent_for_a_day_is_forgotten(self, store: JobStore, clock: Clock) -> None:
        """Wherever it was."""
        employ(store, host="elsewhere")
        clock.advance(STALE_WORKER_SECONDS + 1)
        store.recover()
        with store.database.read() as connection:
            assert connection.execute(select(workers)).all() == []

    def test_a_pid_in_other_hands_is_not_the_worker(self, store: JobStore) -> None:
        """As after a restart of a container, where the pids are the same again."""
        employ(store, pid=os.getpid(), process_started_at=1, seen_at=2)
        submit(store)
        claim(store)
        assert store.recover() == 1


class TestProcesses:
    def test_a_host_is_more_than_its_name(self) -> None:
        """On Linux; a person sees the name."""
        assert host_name(this_host()) == socket.gethostname()
        assert this_host().count("#") == (2 if sys.platform == "linux" else 0)
        assert not ran_before(this_host())
        assert not ran_before("elsewhere#boot#pid:[1]")

    def test_without_what_linux_tells_the_name_has_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And no run is known to be an earlier one."""
        monkeypatch.setattr(Path, "read_text", Mock(side_effect=FileNotFoundError))
        this_host.cache_clear()
        try:
            assert this_host() == socket.gethostname()
            assert not ran_before(f"{socket.gethostname()}#boot#pid:[1]")
        finally:
            this_host.cache_clear()

    def test_this_process_is_not_gone(self) -> None:
        """Neither when the wall clock was set since it was entered."""
        me = this_process()
        assert me.pid == os.getpid()
        assert not is_gone(me, seen_at=0)
        moved = ProcessId(me.host, me.pid, me.started_at - 3_600_000_000)
        assert not is_gone(moved, seen_at=now_us())
        assert is_gone(moved, seen_at=me.started_at - 1)

    def test_a_process_that_nobody_reaped_is_gone(self) -> None:
        """A zombie does nothing any more."""
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        try:
            assert is_gone(ProcessId(this_process().host, pid, 1), seen_at=now_us())
        finally:
            os.waitpid(pid, 0)


class TestWorkerDied:
    def test_a_run_that_had_stored_something_is_not_counted(self, store: JobStore, library: Database) -> None:
        """It goes back to the queue at once."""
        employ(store)
        job = submit(store)
        note_batches(library, claim(store), batches=1)
        assert store.worker_died(NO_PID) == 1
        again = claim(store)
        assert (again.job.id, again.job.strikes) == (job.id, 0)

    @pytest.mark.parametrize("fenced", [True, False])
    def test_three_runs_that_stored_nothing_end_the_job(self, store: JobStore, library: Database, fenced: bool) -> None:
        """Whether or not they had come as far as the catalogue."""
        job = submit(store)
        for strikes in (1, 2, 3):
            employ(store)
            claimed = claim(store)
            if fenced:
                note_batches(library, claimed, batches=0)
            assert store.worker_died(NO_PID) == 1
            assert store.get(job.id).strikes == strikes
        ended = store.get(job.id)
        assert (ended.status, ended.error_code, ended.attempt) == (JobStatus.FAILED, "WORKER_DIED", 3)
        assert ended.error is not None
        assert ended.error.startswith("The worker process died 3 times while it ran this job")

    def test_batches_of_an_earlier_attempt_do_not_count(self, store: JobStore, library: Database) -> None:
        """Each attempt has to get on."""
        submit(store)
        employ(store)
        note_batches(library, claim(store), batches=5)
        store.worker_died(NO_PID)
        employ(store)
        claimed = claim(store)
        store.worker_died(NO_PID)
        assert store.get(claimed.job.id).strikes == 1

    def test_without_a_catalogue_no_run_stored_anything(self, store: JobStore) -> None:
        """There is nowhere it could have."""
        bare = JobStore(store.database, lease_seconds=LEASE_SECONDS)
        employ(bare)
        job = submit(bare)
        claim(bare)
        bare.worker_died(NO_PID)
        assert bare.get(job.id).strikes == 1

    def test_a_cancelled_job_ends_cancelled(self, store: JobStore) -> None:
        """Also at its third strike."""
        job = submit(store)
        with store.database.write() as connection:
            connection.execute(update(jobs).values(strikes=2))
        employ(store)
        claim(store)
        store.cancel(job.id)
        store.worker_died(NO_PID)
        ended = store.get(job.id)
        assert (ended.status, ended.strikes, ended.error) == (JobStatus.CANCELLED, 3, None)

    def test_an_unknown_process_changes_nothing(self, store: JobStore) -> None:
        """Nor does one without jobs, but it is forgotten."""
        submit(store)
        claimed = claim(store)
        employ(store, "idle")
        assert store.worker_died(1) == 0
        assert store.worker_died(NO_PID) == 0
        store.renew(claimed)
        assert store.live_workers() == ()

    def test_suspects_run_one_at_a_time(self, store: JobStore, clock: Clock) -> None:
        """Whichever kills the next worker is then known; other jobs go on beside it, and later they all do."""
        employ(store)
        both = [submit(store, name).id for name in "ab"]
        assert [claim(store).job.id for _ in both] == both
        store.worker_died(NO_PID)
        new = submit(store, "c").id
        first, second = claim(store), claim(store)
        assert [first.job.id, second.job.id] == [both[0], new]
        assert store.claim("w") is None
        clock.advance(SUSPECT_SECONDS)
        store.renew(first)
        store.renew(second)
        assert claim(store).job.id == both[1]


class TestWorkers:
    def test_a_worker_is_known_while_it_says_so(self, store: JobStore, clock: Clock) -> None:
        """For the length of a lease each time."""
        store.heartbeat("w")
        clock.advance(LEASE_SECONDS - 1)
        (worker,) = store.live_workers()
        assert (worker.id, worker.pid, worker.host) == ("w", os.getpid(), socket.gethostname())
        assert not store.is_silent(os.getpid())
        clock.advance(2)
        assert store.live_workers() == ()
        assert store.is_silent(os.getpid())
        store.heartbeat("w")
        (again,) = store.live_workers()
        assert again.started_at == worker.started_at < again.seen_at
        store.dismiss("w")
        assert store.live_workers() == ()

    def test_no_worker_is_silent_while_another_process_keeps_the_file_locked(
        self, store: JobStore, clock: Clock
    ) -> None:
        """It cannot say that it is alive, and is not to be killed for that."""
        store.heartbeat("w")
        clock.advance(LEASE_SECONDS + 1)
        with closing(sqlite3.connect(store.database.name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert not store.is_silent(os.getpid())
            other.execute("ROLLBACK")
        assert store.is_silent(os.getpid())

    def test_a_stopped_process_is_silent_even_while_it_keeps_the_file_locked(
        self, store: JobStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have been stopped in the midst of a transaction."""
        monkeypatch.setattr("stoat_ferret.jobs.store.workforce.is_stopped", lambda _pid: True)
        store.heartbeat("w")
        assert not store.is_silent(os.getpid())
        clock.advance(LEASE_SECONDS + 1)
        with closing(sqlite3.connect(store.database.name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert store.is_silent(os.getpid())

    def test_an_unknown_process_is_not_silent(self, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may just be starting; unless that takes far too long."""
        assert not store.is_silent(NO_PID)
        monkeypatch.setattr(workforce, "BEGIN_SECONDS", 1_000_000_000.0)
        assert not store.is_silent(os.getpid())
        monkeypatch.setattr(workforce, "BEGIN_SECONDS", 0.0)
        assert store.is_silent(os.getpid())


class TestRecords:
    def test_what_is_not_known_is_null_in_sql(self, store: JobStore) -> None:
        """Not JSON's null, which no query would find."""
        submit(store)
        store.release(claim(store))
        with store.database.read() as connection:
            rows = connection.execute(
                select(jobs.c.id).where(jobs.c.progress_detail.is_(None), jobs.c.result.is_(None))
            )
            assert len(rows.all()) == 1

    def test_a_lease_that_is_null_does_not_end(self, store: JobStore, clock: Clock) -> None:
        """A job that waits for its parts runs without one."""
        job = submit(store)
        claim(store)
        with store.database.write() as connection:
            connection.execute(update(jobs).values(lease_expires_at=None))
        clock.advance(1_000_000)
        assert not store.has_work()
        assert store.claim("w") is None
        assert store.get(job.id).status is JobStatus.RUNNING

    def test_two_stores_see_the_same(self, store: JobStore) -> None:
        """They stand for two processes."""
        other = JobStore(store.database, lease_seconds=LEASE_SECONDS)
        assert other.get(submit(store).id) == store.list(None, None, None, 1).jobs[0]
        with pytest.raises(JobNotFoundError):
            other.get("x")
