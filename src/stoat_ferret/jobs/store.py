"""The job record in SQL: each call one short transaction, every write of a run refused without its token.

The lease that a claim gives is on the clock of the machine that holds the database; every process that uses an SQLite
file runs there. Whoever claims first hands back what was left behind, so that takeover needs no process of its own.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from uuid_utils.compat import uuid4, uuid7

from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import jobs, workers
from stoat_ferret.db.reserve import Reserve, with_last_reserve
from stoat_ferret.errors import FencedError, JobNotFoundError
from stoat_ferret.jobs.cursor import decode_cursor, encode_cursor
from stoat_ferret.jobs.fence import stored_nothing
from stoat_ferret.jobs.model import (
    Claim,
    Job,
    JobOutcome,
    JobPage,
    JobRequest,
    JobStatus,
    Progress,
    Submission,
    WorkerRecord,
)
from stoat_ferret.jobs.processes import ProcessId, is_gone, this_process
from stoat_ferret.jobs.transitions import (
    Changes,
    Row,
    as_job,
    cancelled,
    claimed,
    finished,
    handed_back,
    joined,
    new_row,
    reported,
    stored_text,
    struck,
)

SUSPECT_SECONDS = 30
"""How long a job whose worker died has to itself, away from others of the kind: whichever kills the next worker is then
found out, and those that merely ran beside it are not given up with it."""
STALE_WORKER_SECONDS = 86_400
"""A worker of another machine that was not heard of for so long is forgotten."""


def now_us() -> int:
    """Give the wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _is(status: JobStatus) -> ColumnElement[bool]:
    return jobs.c.status == status.value


def _ready() -> ColumnElement[bool]:
    other = jobs.alias("other")
    running = other.c.status == JobStatus.RUNNING.value
    taken = exists().where(running, other.c.exclusive_key == jobs.c.exclusive_key)
    suspected = exists().where(running, other.c.strikes > 0, other.c.started_at > bindparam("suspected_since"))
    return and_(
        _is(JobStatus.PENDING),
        or_(jobs.c.run_after.is_(None), jobs.c.run_after <= bindparam("now")),
        jobs.c.type.not_in(bindparam("without_types", expanding=True)),
        ~taken,
        or_(jobs.c.strikes == 0, ~suspected),
    )


# Built once: putting a statement together takes longer than SQLite does to run it.
INSERT = insert(jobs)
UPDATE = update(jobs).where(jobs.c.id == bindparam("job_id"))
BY_ID = select(jobs).where(jobs.c.id == bindparam("job_id"))
OWN = BY_ID.where(jobs.c.token == bindparam("token"), _is(JobStatus.RUNNING))
EQUAL_PENDING = select(jobs).where(
    jobs.c.type == bindparam("type"), jobs.c.key == bindparam("key"), _is(JobStatus.PENDING)
)
NEXT_REVISION = select(func.coalesce(func.max(jobs.c.revision), 0) + 1)
# A job that waits for its parts runs without a lease; null is never in the past.
EXPIRED = and_(_is(JobStatus.RUNNING), jobs.c.lease_expires_at <= bindparam("now"))
READY = _ready()
FIRST_READY = select(jobs).where(READY).order_by(jobs.c.priority.desc(), jobs.c.id).limit(1)
HAS_WORK = select(or_(exists(select(jobs.c.id).where(EXPIRED)), exists(select(jobs.c.id).where(READY))))


def _at(now: int, without_types: Collection[str]) -> dict[str, Any]:
    """Give the parameters of READY."""
    suspected_since = now - SUSPECT_SECONDS * 1_000_000
    return {"now": now, "suspected_since": suspected_since, "without_types": sorted(without_types)}


class JobStore:
    """The records of one jobs database. Synchronous; any thread may call.

    `catalogue` is where runs store their effects; it is asked whether a run that died had stored anything. `reserve` is
    room on the disk for what must be recorded when it is full.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        catalogue: Database | None = None,
        reserve: Reserve | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.database = database
        self.reserve = reserve
        self._catalogue = catalogue
        self._lease_us = int(lease_seconds * 1_000_000)
        self._clock = clock
        # Threads of one process take turns here; the file's lock would make them sleep and retry.
        self._turn = threading.Lock()

    # What clients do.

    def submit(self, request: JobRequest) -> Submission:
        """Record a job, or join an equal one that is still pending."""
        with self._write() as connection:
            for row in _rows(connection, EQUAL_PENDING, type=request.type, key=stored_text(request.key)):
                return Submission(_change(connection, row, joined(row, request)), joined=True)
            new = new_row(request, job_id=str(uuid7()), now=self._clock())
            connection.execute(INSERT, new | {"revision": _next_revision(connection)})
            return Submission(as_job(_row(connection, new["id"])), joined=False)

    def get(self, job_id: str) -> Job:
        """Give a job as it stands.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        with self.database.read() as connection:
            return as_job(_row(connection, job_id))

    def list(self, status: JobStatus | None, job_type: str | None, cursor: str | None, limit: int) -> JobPage:
        """Give jobs, newest first.

        Raises:
            InvalidCursorError: the cursor is not one of this list.
        """
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(jobs.c.id < decode_cursor(cursor, status, job_type))
        if status is not None:
            query = query.where(_is(status))
        if job_type is not None:
            query = query.where(jobs.c.type == job_type)
        with self.database.read() as connection:
            found = [as_job(row) for row in _rows(connection, query)]
        more = len(found) > limit
        return JobPage(tuple(found[:limit]), encode_cursor(found[limit - 1].id, status, job_type) if more else None)

    @with_last_reserve
    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end.

        Raises:
            JobNotFoundError: there is none with this id.
            JobAlreadyFinishedError: it has ended already.
        """
        with self._write() as connection:
            row = _row(connection, job_id)
            return _change(connection, row, cancelled(row, now=self._clock()))

    # What workers do.

    def has_work(self, without_types: Collection[str]) -> bool:
        """Tell whether a claim would change anything."""
        with self.database.read() as connection:
            return bool(connection.execute(HAS_WORK, _at(self._clock(), without_types)).scalar_one())

    def claim(self, worker_id: str, without_types: Collection[str]) -> Claim | None:
        """Hand back what was left behind, then take the next job that may run."""
        now = self._clock()
        with self._write() as connection:
            for row in _rows(connection, select(jobs).where(EXPIRED), now=now):
                _change(connection, row, handed_back(row, now=now))
            for row in _rows(connection, FIRST_READY, **_at(now, without_types)):
                token = str(uuid4())
                lease_expires_at = now + self._lease_us
                changes = claimed(row, worker_id=worker_id, token=token, now=now, lease_expires_at=lease_expires_at)
                return Claim(_change(connection, row, changes), token)
            return None

    @with_last_reserve
    def renew(self, claim: Claim) -> Job:
        """Extend the lease.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(durable=False) as connection:
            row = _own(connection, claim)
            # No new revision: nothing changed that a client sees.
            connection.execute(UPDATE, {"job_id": row["id"], "lease_expires_at": self._clock() + self._lease_us})
            return as_job(row)

    def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(durable=False) as connection:
            row = _own(connection, claim)
            _change(connection, row, reported(row, fraction, progress))

    @with_last_reserve
    def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write() as connection:
            row = _own(connection, claim)
            return _change(connection, row, finished(row, outcome, now=self._clock()))

    @with_last_reserve
    def release(self, claim: Claim) -> None:
        """Hand the job back unfinished.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write() as connection:
            row = _own(connection, claim)
            _change(connection, row, handed_back(row, now=self._clock()))

    # Who the workers are, and what happens when one dies.

    @with_last_reserve
    def heartbeat(self, worker_id: str) -> None:
        """Say that a worker, in this process, is alive; the first time makes it known."""
        if self.reserve is not None:
            self.reserve.hold()
        now = self._clock()
        with self._write(durable=False) as connection:
            seen = connection.execute(update(workers).where(workers.c.id == worker_id).values(seen_at=now))
            if seen.rowcount:
                return
            process = this_process()
            connection.execute(
                insert(workers).values(
                    id=worker_id,
                    host=process.host,
                    pid=process.pid,
                    process_started_at=process.started_at,
                    started_at=now,
                    seen_at=now,
                )
            )

    @with_last_reserve
    def dismiss(self, worker_id: str) -> None:
        """Forget a worker that has ended in good order."""
        with self._write() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker_id))

    def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Give the workers that were heard of within the length of a lease, oldest first."""
        query = select(workers).where(workers.c.seen_at > self._clock() - self._lease_us).order_by(workers.c.id)
        with self.database.read() as connection:
            return tuple(
                WorkerRecord(id=row.id, host=row.host, pid=row.pid, started_at=row.started_at, seen_at=row.seen_at)
                for row in connection.execute(query)
            )

    def is_silent(self, pid: int) -> bool:
        """Tell whether a worker process of this machine lets its leases lapse: it is stopped or hangs."""
        query = select(func.max(workers.c.seen_at)).where(_is_process(this_process().host, pid))
        with self.database.read() as connection:
            seen_at = connection.execute(query).scalar_one()
        return seen_at is not None and seen_at <= self._clock() - self._lease_us

    @with_last_reserve
    def recover(self) -> int:
        """Hand back the jobs of this machine's workers whose processes are gone; give their number.

        Nothing is counted against the jobs: machines and servers are stopped for reasons of their own.
        """
        host = this_process().host
        with self.database.read() as connection:
            known = connection.execute(select(workers)).all()
        now = self._clock()
        gone = [
            row.id
            for row in known
            if row.host == host and is_gone(ProcessId(row.host, row.pid, row.process_started_at), row.seen_at)
        ]
        stale = [row.id for row in known if row.seen_at < now - STALE_WORKER_SECONDS * 1_000_000]
        if not gone and not stale:
            return 0
        with self._write() as connection:
            left = _left_behind(connection, gone)
            for row in left:
                _change(connection, row, handed_back(row, now=now))
            connection.execute(delete(workers).where(workers.c.id.in_([*gone, *stale])))
        return len(left)

    @with_last_reserve
    def worker_died(self, pid: int) -> int:
        """Hand back the jobs of a worker process of this machine that was seen to die; give their number.

        A run that had stored nothing counts against its job, which is given up after three of them.
        """
        host = this_process().host
        with self.database.read() as connection:
            known = connection.execute(select(workers.c.id).where(_is_process(host, pid))).scalars().all()
            barren = [row["id"] for row in _left_behind(connection, known) if self._stored_nothing(row)]
        now = self._clock()
        with self._write() as connection:
            left = _left_behind(connection, known)
            for row in left:
                changes = struck(row, now=now) if row["id"] in barren else handed_back(row, now=now)
                _change(connection, row, changes)
            connection.execute(delete(workers).where(workers.c.id.in_(known)))
        return len(left)

    def _stored_nothing(self, row: Row) -> bool:
        if self._catalogue is None:
            return True
        with self._catalogue.read() as connection:
            return stored_nothing(connection, row["id"], row["attempt"])

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[Connection]:
        with self._turn, self.database.write(durable=durable) as connection:
            yield connection


def _is_process(host: str, pid: int) -> ColumnElement[bool]:
    return and_(workers.c.host == host, workers.c.pid == pid)


def _row(connection: Connection, job_id: str) -> Row:
    if job_id.isascii():
        for row in _rows(connection, BY_ID, job_id=job_id):
            return row
    msg = f"There is no job with the id {job_id}."
    raise JobNotFoundError(msg)


def _own(connection: Connection, claim: Claim) -> Row:
    for row in _rows(connection, OWN, job_id=claim.job.id, token=claim.token):
        return row
    raise FencedError


def _left_behind(connection: Connection, worker_ids: Collection[str]) -> list[Row]:
    query = select(jobs).where(_is(JobStatus.RUNNING), jobs.c.worker_id.in_(sorted(worker_ids)))
    return _rows(connection, query.order_by(jobs.c.id))


def _rows(connection: Connection, query: Select[Any], **parameters: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(query, parameters).mappings()]


def _change(connection: Connection, row: Row, changes: Changes) -> Job:
    if changes:
        changes = changes | {"revision": _next_revision(connection)}
        # None given as a parameter would be stored in a JSON column as JSON's null.
        unset = {name: null() for name, value in changes.items() if value is None}
        given = {name: value for name, value in changes.items() if value is not None}
        connection.execute(UPDATE.values(**unset) if unset else UPDATE, given | {"job_id": row["id"]})
    return as_job({**row, **changes})


def _next_revision(connection: Connection) -> int:
    return int(connection.execute(NEXT_REVISION).scalar_one())
