"""Room for last words on a full disk: given up for them, and kept from everything else until there is room again."""

import errno
import os
from collections import namedtuple
from pathlib import Path

import pytest
from sqlalchemy import update

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records, workers
from stoat_ferret.db.reserve import AMPLE_BYTES, RESERVE_BYTES, Reserve, with_last_reserve
from stoat_ferret.db.tables import catalogue
from stoat_ferret.errors import StorageFullError
from stoat_ferret.jobs.model import JobRequest, JobStatus
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.store.records import now_us

PENDING, RUNNING = JobStatus.PENDING, JobStatus.RUNNING

NO_PID = 2**22 + 1
"""Above the highest process id that Linux gives."""
Usage = namedtuple("Usage", "total used free")


class Disk:
    """What `shutil.disk_usage` says is free."""

    free = 100 << 20

    def __call__(self, _path: Path) -> Usage:
        return Usage(100 << 20, 0, self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Give a disk with room."""
    disk = Disk()
    monkeypatch.setattr("shutil.disk_usage", disk)
    return disk


@pytest.fixture
def held(tmp_path: Path, disk: Disk) -> Reserve:
    """Give a reserve that was set aside."""
    reserve = Reserve(tmp_path / "reserve")
    reserve.hold()
    return reserve


def in_use(reserve: Reserve, tmp_path: Path) -> tuple[Database, JobStore]:
    library, records = open_sqlite(tmp_path / "library.db"), open_sqlite(tmp_path / "jobs.db")
    catalogue.create_all(library.engine)
    job_records.create_all(records.engine)
    library.reserve = records.reserve = reserve
    return library, JobStore(records, lease_seconds=10, catalogue=library)


def test_room_is_set_aside_and_given_up_once(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """The second one who asks is told that there is none."""
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    disk.free = 0
    assert held.release()
    assert (tmp_path / "reserve").stat().st_blocks == 0
    assert not held.release()


def test_none_is_set_aside_where_that_would_fill_the_disk(tmp_path: Path, disk: Disk) -> None:
    """Nothing is refused then: who knows how much is to be written."""
    disk.free = RESERVE_BYTES + AMPLE_BYTES - 1
    reserve = Reserve(tmp_path / "reserve")
    reserve.hold()
    assert not (tmp_path / "reserve").exists()
    reserve.keep("a database")
    assert not reserve.release()


def test_only_last_words_are_written_once_it_was_given_up(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """Or a scan would fill what a job's record needs to say that the scan has failed."""
    library, store = in_use(held, tmp_path)
    try:
        store.submit(JobRequest(type="scan", payload={}))
        disk.free = 0
        held.release()
        with pytest.raises(StorageFullError, match=r"library\.db is full\. Free some space"), library.write():
            pass
        with pytest.raises(StorageFullError):
            store.submit(JobRequest(type="scan", payload={"other": 1}))
        claim = store.claim("worker")
        assert claim is not None
        store.renew(claim)
        store.heartbeat("worker")
        store.release(claim)
    finally:
        library.close()
        store.database.close()


def test_whatever_ends_a_job_or_hands_it_back_is_a_last_word(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """Also what was asked for by a person, of a worker that is gone, and of a job that waits for its parts."""
    library, store = in_use(held, tmp_path)
    now = now_us()
    store._clock = lambda: now
    jobs = [store.submit(JobRequest(type="scan", payload={"number": number})).job for number in range(5)]
    claims = [store.claim(name) for name in ("waiting", "lapsed", "died")]
    assert all(claims)
    part = store.submit(JobRequest(type="part", payload={}, parent_id=jobs[0].id)).job
    store.heartbeat("died")
    try:
        disk.free = 0
        held.release()
        assert claims[0] is not None
        assert store.await_parts(claims[0], {})
        assert store.worker_died(os.getpid()) == 1
        assert store.recover() == 0
        now += 11_000_000
        assert [job.id for job in store.take_back_expired()] == [jobs[1].id]
        store.heartbeat("leaving")
        store.dismiss("leaving")
        assert store.live_workers() == ()
        assert store.cancel(jobs[4].id).status is JobStatus.CANCELLED
        assert store.delete(jobs[4].id, 10)
        assert store.cancel(part.id).status is JobStatus.CANCELLED
        assert [store.get(job.id).status for job in jobs[:4]] == [RUNNING, PENDING, PENDING, PENDING]
        assert held.given_up
    finally:
        library.close()
        store.database.close()


def test_what_a_worker_left_that_is_gone_is_handed_back_on_a_full_disk(
    held: Reserve, tmp_path: Path, disk: Disk
) -> None:
    """It may be the reason that it is gone."""
    library, store = in_use(held, tmp_path)
    try:
        store.submit(JobRequest(type="scan", payload={}))
        store.heartbeat("gone")
        with store.database.write() as connection:
            connection.execute(update(workers).values(pid=NO_PID))
        assert store.claim("gone") is not None
        disk.free = 0
        held.release()
        assert store.recover() == 1
    finally:
        library.close()
        store.database.close()


def test_there_is_room_again_as_soon_as_somebody_wants_to_write(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """And it is set aside anew first, also by another process than the one that gave it up."""
    library, store = in_use(Reserve(tmp_path / "reserve"), tmp_path)
    try:
        disk.free = 0
        held.release()
        disk.free = 100 << 20
        with library.write():
            pass
        assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
        store.submit(JobRequest(type="scan", payload={}))
    finally:
        library.close()
        store.database.close()


def test_what_is_said_again_and_again_does_not_fill_the_room(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """A worker lives on while the disk is full, for as long as it takes somebody to notice."""
    library, store = in_use(held, tmp_path)
    try:
        disk.free = 0
        held.release()
        log = tmp_path / "jobs.db-wal"
        for _ in range(30):
            store.heartbeat("worker")
        size = log.stat().st_size
        for _ in range(300):
            store.heartbeat("worker")
        assert log.stat().st_size == size
    finally:
        library.close()
        store.database.close()


def test_nobody_is_silent_while_the_disk_is_full(
    held: Reserve, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker can say that it is alive then; to kill it would not help."""
    library, store = in_use(held, tmp_path)
    try:
        store.heartbeat("worker")
        monkeypatch.setattr(store, "_not_heard_of", lambda _pid: True)
        assert store.is_silent(os.getpid())

        def full(*_arguments: object, **_options: object) -> float:
            raise StorageFullError

        monkeypatch.setattr("stoat_ferret.jobs.store.workforce.count_up", full)
        assert not store.is_silent(os.getpid())
    finally:
        library.close()
        store.database.close()


def test_room_that_cannot_be_had_again_stays_given_up(
    held: Reserve, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the system says that there is some: a quota, or somebody who was quicker."""
    held.release()

    def refuse(_descriptor: int, _offset: int, _length: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(StorageFullError):
        held.keep("a database")
    assert held.given_up


class Diary:
    """Something that writes, on a disk that is full as often as `failures` says."""

    def __init__(self, database: Database, failures: int) -> None:
        self.database = database
        self.failures = failures
        self.calls = 0

    @with_last_reserve
    def write(self) -> int:
        """Give how often it was tried."""
        self.calls += 1
        if self.calls <= self.failures:
            raise StorageFullError
        return self.calls


def test_last_words_are_tried_twice_and_not_for_ever(held: Reserve, tmp_path: Path, disk: Disk) -> None:
    """The second time in the room that was given up for them."""
    library, store = in_use(held, tmp_path)
    try:
        disk.free = 0
        assert Diary(library, 1).write() == 2
        hopeless = Diary(library, 9)
        with pytest.raises(StorageFullError):
            hopeless.write()
        assert hopeless.calls == 1
    finally:
        library.close()
        store.database.close()
