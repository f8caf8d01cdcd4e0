"""The daily upkeep: what is old goes, with all that it left; what lives stays; damage is told."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, update

from stoat_ferret.api.services import maintenance
from stoat_ferret.api.services.maintenance import MAINTENANCE_JOB_TYPE, maintenance_request, make_maintenance_handler
from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import idempotency_keys
from stoat_ferret.db.soundness import fold_log, problem_of
from stoat_ferret.db.tables import gone, job_claims, ledger, libraries, scan_costs, videos
from stoat_ferret.errors import StorageBusyError
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus, OnceKey
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.library import ledger as ledgers
from stoat_ferret.library import retention
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.retention import forget_job, jobs_with_remains
from tests.contract.job_queues import Clock
from tests.factories import Stage, make_settings, put

DAY = 86_400.0
CLAIM = {"attempt": 1, "token": "t"}


class House:
    """A queue with a clock, a catalogue, and the maintenance of both."""

    def __init__(self, catalogue: Database, folder: Path) -> None:
        self.clock = Clock()
        self.catalogue = catalogue
        self.queue = InMemoryJobQueue(catalogue, run_on_submit=False, clock=self.clock)
        self.records = self.queue.store.database
        self.settings = make_settings(folder, retention_days=30.0)
        self.queue.register_handler(
            MAINTENANCE_JOB_TYPE,
            make_maintenance_handler(self.queue, self.records, catalogue, self.settings, clock=self.clock),
        )

    def ended_job(self, name: str, lines: int = 3, once: OnceKey | None = None) -> str:
        """Make a job that has ended, with something left of it in every table."""

        async def run() -> str:
            await self.queue.submit(JobRequest(type="scan", payload={"name": name}), once)
            claim = await self.queue.claim("worker")
            assert claim is not None
            await self.queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={}))
            return claim.job.id

        job_id = asyncio.run(run())
        self.leave(job_id, lines)
        return job_id

    def leave(self, job_id: str, lines: int) -> None:
        """Leave something in every table."""
        with self.catalogue.write() as connection:
            rows = [LedgerRow(path_bytes=b"/v/%d" % number, outcome=Outcome.NEW, at=1) for number in range(lines)]
            ledgers.record(connection, job_id, [(None, row) for row in rows])
            ledgers.add_cost(connection, job_id, 10, 1.0)
            connection.execute(insert(gone).values(job_id=job_id, video_pk=1))
            connection.execute(insert(job_claims).values(job_id=job_id, **CLAIM))

    def rows(self, table: Table) -> int:
        """Count a table's rows."""
        database = self.records if table is idempotency_keys else self.catalogue
        with database.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()

    def maintain(self) -> Job:
        """Do it; gives the job as it ended."""

        async def run() -> Job:
            submission = await self.queue.submit(maintenance_request(self.settings))
            await self.queue.run_pending()
            return await self.queue.get(submission.job.id)

        return asyncio.run(run())


@pytest.fixture
def house(catalogue: Database, tmp_path: Path) -> Iterator[House]:
    """A new one."""
    made = House(catalogue, tmp_path)
    with closing(made.queue):
        yield made


LEFT: dict[Table, dict[str, Any]] = {
    ledger: {"path_bytes": b"/v", "outcome": "new", "at": 1},
    scan_costs: {"bytes_read": 1, "seconds": 1.0},
    gone: {"video_pk": 1},
    job_claims: CLAIM,
}


def test_what_is_old_goes_with_all_that_it_left(house: House) -> None:
    """And is counted; what is younger stays, whole."""
    house.ended_job("old", lines=4, once=OnceKey(scope="s", key="k", fingerprint="f"))
    house.clock.advance(29 * DAY)
    young = house.ended_job("young", once=OnceKey(scope="s", key="l", fingerprint="f"))
    house.clock.advance(1 * DAY + 1)
    job = house.maintain()
    assert job.status is JobStatus.COMPLETE
    assert job.result is not None
    assert job.result.pop("duration_seconds") >= 0
    assert (job.result.pop("changes_compacted"), job.result.pop("missing_purged")) == (0, 0)
    assert job.result == {"jobs_deleted": 1, "ledger_rows_deleted": 4, "keys_deleted": 1, "integrity": "ok"}
    assert {jobs.id for jobs in asyncio.run(house.queue.list()).jobs} == {young, job.id}
    assert house.rows(idempotency_keys) == 1
    assert jobs_with_remains(house.catalogue, "", 10) == (young, job.id)
    assert (house.rows(ledger), house.rows(scan_costs), house.rows(gone)) == (3, 1, 1)


def test_what_is_missing_for_longer_than_its_library_keeps_it_is_forgotten(
    house: House, stage: Stage, tmp_path: Path
) -> None:
    """What is missing for less stays, and so does all of a library that keeps entries for ever."""
    kept, forever = tmp_path / "kept", tmp_path / "forever"
    for folder in (kept, forever):
        for name in ("stays", "long", "short"):
            put(folder / f"{name}.mp4", f"{folder.name} {name}")
        stage.scan(folder)
        for name in ("long", "short"):
            (folder / f"{name}.mp4").unlink()
        assert stage.counts(folder) == {"unchanged": 1, "missing": 2}
    for library in stage.repository.libraries():
        if library.path_bytes == bytes(kept):
            stage.repository.update_library(library.id, keep_missing_days=30.0)
    with house.catalogue.write() as connection:
        for name, days in (("long", 30.01), ("short", 29.99)):
            since = house.clock() - int(days * DAY * 1_000_000)
            rows = update(videos).where(videos.c.filename == f"{name}.mp4")
            connection.execute(rows.values(missing_since=since))
    job = house.maintain()
    assert job.result is not None
    assert job.result["missing_purged"] == 1
    left = {path.removeprefix(bytes(tmp_path) + b"/").decode() for path in stage.states()}
    files = {f"{folder}/{name}.mp4" for folder in ("kept", "forever") for name in ("stays", "long", "short")}
    assert left == files - {"kept/long.mp4"}


def test_what_a_crash_left_behind_is_found(house: House) -> None:
    """Remains of jobs that nobody knows, in whatever table; those of living ones stay."""
    with house.catalogue.write() as connection:
        for number, (table, values) in enumerate(LEFT.items()):
            connection.execute(insert(table).values(job_id=f"unknown {number}", **values))
    asyncio.run(house.queue.submit(JobRequest(type="scan", payload={})))
    claim = asyncio.run(house.queue.claim("worker"))
    assert claim is not None
    house.leave(claim.job.id, 5)
    house.clock.advance(5)
    job = house.maintain()
    assert job.result is not None
    assert job.result["ledger_rows_deleted"] == 1
    assert set(jobs_with_remains(house.catalogue, "", 10)) == {claim.job.id, job.id}
    assert house.rows(ledger) == 5


def test_a_job_that_still_waits_or_runs_is_never_old(house: House) -> None:
    """However long ago it was asked for."""
    asyncio.run(house.queue.submit(JobRequest(type="scan", payload={})))
    waiting = asyncio.run(house.queue.list()).jobs[0]
    house.leave(waiting.id, 2)
    house.clock.advance(400 * DAY)
    assert asyncio.run(_run_maintenance_only(house)).status is JobStatus.COMPLETE
    assert asyncio.run(house.queue.get(waiting.id)).status is JobStatus.PENDING
    assert house.rows(ledger) == 2


async def _run_maintenance_only(house: House) -> Job:
    """Run it before what waits: it is more urgent than usual."""
    submission = await house.queue.submit(maintenance_request(house.settings, priority=100))
    claim = await house.queue.claim("worker")
    assert claim is not None
    assert claim.job.id == submission.job.id
    from stoat_ferret.jobs.execution import execute

    handler = house.queue._handlers[MAINTENANCE_JOB_TYPE]
    job = await execute(house.queue, claim, handler, catalogue=house.catalogue, renew_seconds=1.0)
    assert job is not None
    return job


def test_much_is_deleted_in_small_transactions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of jobs and of the lines of one; each page of ids is followed by the next."""
    monkeypatch.setattr(retention, "ROWS_A_TRANSACTION", 10)
    monkeypatch.setattr(maintenance, "ROWS_A_TRANSACTION", 2)
    for number in range(5):
        house.ended_job(f"old {number}", lines=25)
    house.clock.advance(31 * DAY)
    sizes: list[int] = []
    delete_some = retention._delete_some

    def delete_and_count(*given: Any) -> int:
        sizes.append(delete_some(*given))
        return sizes[-1]

    monkeypatch.setattr(retention, "_delete_some", delete_and_count)
    job = house.maintain()
    assert job.result is not None
    assert (job.result["jobs_deleted"], job.result["ledger_rows_deleted"]) == (5, 125)
    assert max(sizes) == 10
    assert jobs_with_remains(house.catalogue, "", 10) == (job.id,)


def test_it_can_be_cancelled_and_taken_up_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done until then stays done, and is told."""
    monkeypatch.setattr(retention, "ROWS_A_TRANSACTION", 10)
    house.ended_job("old", lines=1000)
    house.clock.advance(31 * DAY)
    breathe = maintenance.Breather.__call__
    calls = 0

    def breathe_and_cancel(self: maintenance.Breather) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            self._context.end()
        breathe(self)

    monkeypatch.setattr(maintenance.Breather, "__call__", breathe_and_cancel)
    job = house.maintain()
    assert job.status is JobStatus.CANCELLED
    assert job.result is not None
    assert (job.result["jobs_deleted"], job.result["integrity"]) == (1, "not checked")
    left = house.rows(ledger)
    assert 0 < left < 1000
    assert house.maintain().result == {
        **job.result,
        "jobs_deleted": 0,
        "keys_deleted": 0,
        "ledger_rows_deleted": left,
        "integrity": "ok",
    } | {"duration_seconds": pytest.approx(0, abs=60)}


def test_a_counter_that_is_wrong_fails_the_job(stage: Stage, tmp_path: Path) -> None:
    """The rest was done all the same."""
    put(tmp_path / "v" / "a.mp4")
    stage.scan(tmp_path / "v")
    house = House(stage.catalogue, tmp_path)
    with closing(house.queue):
        assert house.maintain().status is JobStatus.COMPLETE
        with stage.catalogue.write() as connection:
            connection.execute(update(libraries).values(video_count=7))
        job = house.maintain()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "DATABASE_DAMAGED")
    assert "The counter of videos is wrong" in (job.error or "")
    assert job.result is not None
    assert job.result["integrity"] == job.error


def damage(file: Path) -> None:
    """Overwrite some pages in the middle of a database."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        for place in range(3 * 4096, size, 2 * 4096):
            stream.seek(place)
            stream.write(b"\xa5" * 4096)


def damaged(folder: Path) -> Database:
    """Give a database that is not sound."""
    file = folder / "damaged.db"
    database = open_sqlite(file)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        for number in range(2000):
            connection.exec_driver_sql("INSERT INTO t (b) VALUES (?)", (f"{number}" * 20,))
    database.close()
    damage(file)
    return open_sqlite(file)


def test_damage_is_told_with_what_to_do(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name of the file; the other database is read all the same."""
    broken = damaged(tmp_path)
    read: list[str] = []

    def problem(database: Database, stopped: Any) -> str | None:
        read.append(database.name)
        return problem_of(broken if database is house.catalogue else database, stopped)

    monkeypatch.setattr(maintenance, "problem_of", problem)
    job = house.maintain()
    broken.close()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "DATABASE_DAMAGED")
    assert "library.db is damaged: " in (job.error or "")
    assert "put a backup in its place, and scan again" in (job.error or "")
    assert len(read) == 2


def test_an_index_that_does_not_agree_with_its_table_is_found(tmp_path: Path) -> None:
    """Each of its pages may be whole, and a search by it still finds nothing."""
    with closing(open_sqlite(tmp_path / "a.db")) as database, database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        connection.exec_driver_sql("CREATE INDEX i ON t (a) WHERE a > 9")
        connection.exec_driver_sql("INSERT INTO t VALUES (1), (2)")
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql("UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (a)' WHERE name = 'i'")
    with closing(open_sqlite(tmp_path / "a.db")) as database:
        problem = problem_of(database, lambda: False)
    assert problem is not None
    assert "index i" in problem


def test_a_check_ends_at_once_when_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing of what it has not read."""
    monkeypatch.setattr("stoat_ferret.db.soundness.LOOK_OPCODES", 1)
    with closing(damaged(tmp_path)) as broken:
        assert problem_of(broken, lambda: True) is None
        assert problem_of(broken, lambda: False) is not None


def test_a_database_that_is_locked_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is handed back and tried again."""

    def locked(*_anything: object) -> None:
        raise StorageBusyError

    with closing(open_sqlite(tmp_path / "a.db")) as database:
        monkeypatch.setattr(database, "read", locked)
        with pytest.raises(StorageBusyError):
            problem_of(database, lambda: False)


def test_a_large_log_is_folded_into_its_file(tmp_path: Path) -> None:
    """A small one is left alone, and so is any while somebody reads an earlier state."""
    log = tmp_path / "a.db-wal"
    with closing(open_sqlite(tmp_path / "a.db")) as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a BLOB)")
        assert not fold_log(database)
        with database.read() as reader:
            reader.exec_driver_sql("SELECT count(*) FROM t").scalar_one()
            with database.write() as connection:
                connection.exec_driver_sql("INSERT INTO t VALUES (zeroblob(8000000))")
            assert not fold_log(database)
        assert log.stat().st_size > 8_000_000
        assert fold_log(database)
        assert log.stat().st_size == 0
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 5000


def test_forgetting_one_job_leaves_the_others(house: House) -> None:
    """As when a person deletes it."""
    one, other = house.ended_job("one"), house.ended_job("other")
    assert forget_job(house.catalogue, one) == 3
    assert forget_job(house.catalogue, one) == 0
    assert jobs_with_remains(house.catalogue, "", 10) == (other,)
