"""What every call on the job records stands on: each is one short transaction, and each change has a revision.

The lease that a claim gives is on the clock of the machine that holds the database: every process that uses an SQLite
file runs there, and on Postgres the server is asked.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Select,
    Update,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from uuid_utils.compat import uuid7

from stoat_ferret.db.engine import WRITE, Database
from stoat_ferret.db.job_tables import counters, jobs
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.write_lock import DATABASE_CLOCK, SINCE
from stoat_ferret.errors import FencedError, JobNotFoundError
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.jobs.transitions import (
    Changes,
    Row,
    as_job,
    cancelled,
    finished,
    handed_back,
    is_takeable,
    new_row,
    waits,
    woken,
)

REVISION = "revision"
PENDING = text("status = 'pending'")
CHANGED = "stoat_jobs_changed"
"""The channel on which Postgres says that some job has changed."""


def now_us() -> int:
    """Give the wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def is_(status: JobStatus, of: FromClause = jobs) -> ColumnElement[bool]:
    """SQL: the job stands so."""
    # Not a parameter: whether a partial index will do, SQLite would have to find out anew at each run.
    return of.c.status == literal_column(f"'{status.value}'")


_BY_ID = select(jobs).where(jobs.c.id == bindparam("job_id"))
BY_ID = Prepared(_BY_ID)
OWN = Prepared(_BY_ID.where(jobs.c.token == bindparam("token"), is_(JobStatus.RUNNING)))
UNFINISHED_PARTS = Prepared(
    select(jobs).where(jobs.c.parent_id == bindparam("parent_id"), or_(is_(JobStatus.PENDING), is_(JobStatus.RUNNING)))
)
URGENCY = {"status", "priority", "run_after", "resumes"}
"""The columns of which a change makes a job that a worker may claim ready, or sooner so."""


class Dispatch(Protocol):
    """The engine's side of a job that becomes ready, where the engine has one."""

    def offer(self, connection: Connection, row: Row, held: int | None = None, *, is_new: bool = False) -> None:
        """Make the engine offer a pending job to a worker, once the transaction is committed.

        Args:
            connection: in the transaction that makes the job ready.
            row: the job.
            held: the engine's job that had brought the claim from which this one comes back, if it does.
            is_new: the job has just been recorded, so that the engine cannot know of it.
        """
        ...

    def retire(self, connection: Connection, row: Row, held: int) -> None:
        """Make the engine forget its job that had brought a claim which is over."""
        ...

    def alive(self, connection: Connection, worker_id: str) -> None:
        """Tell the engine that a worker lives."""
        ...

    def gone(self, connection: Connection, worker_id: str) -> None:
        """Tell the engine that a worker has ended."""
        ...


class Records:
    """The records, and how they are read and changed.

    Args:
        database: where they are.
        lease_seconds: how long a claim holds that is not renewed.
        catalogue: where runs store their effects; it is asked whether a run that died had stored anything.
        dispatch: told, in the same transaction, of every job that becomes ready, of the end of claims, and of workers.
        limits: how many jobs of a type may run at once, over all workers; a type without a number: any number.
        clock: the time in microseconds, for tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        catalogue: Database | None = None,
        dispatch: Dispatch | None = None,
        limits: Mapping[str, int] | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.database = database
        self.catalogue = catalogue
        self.lease_seconds = lease_seconds
        self.limits = dict(limits or {})
        self._dispatch = dispatch
        self._lease_us = int(lease_seconds * 1_000_000)
        self._clock = clock

    def _write(self, *, durable: bool = True, last_words: bool = False) -> AbstractContextManager[Connection]:
        return self.database.write(durable=durable, last_words=last_words)

    def _now(self, connection: Connection) -> int:
        """Give the time, in microseconds; within a transaction that writes, on Postgres, that at which it began."""
        if self._clock is not None:
            return self._clock()
        if not self.database.is_postgres:
            return now_us()
        if WRITE in connection.get_execution_options():
            return int(connection.info[SINCE])
        return int(connection.exec_driver_sql(f"SELECT {DATABASE_CLOCK}").scalar_one())

    def _add(self, connection: Connection, request: JobRequest) -> Job | None:
        """Record a new job; None where an equal one is pending."""
        new = new_row(request, job_id=str(uuid7()), now=self._now(connection))
        for found in inserting(*new).rows(connection, **new):
            self._tell(connection, found, new, is_new=True)
            return as_job(found)
        return None

    def _change(self, connection: Connection, present: Row, changes: Changes) -> Job:
        if not changes:
            return as_job(present)
        (counted,) = _changing(*changes).rows(connection, **changes, job_id=present["id"])
        changed = {**present, **changes, **counted}
        self._tell(connection, changed, changes, present["engine_id"])
        return as_job(changed)

    @staticmethod
    def _set(connection: Connection, present: Row, changes: Changes) -> None:
        _updating(*changes).run(connection, changes | {"job_id": present["id"]})

    def _tell(
        self,
        connection: Connection,
        changed: Row,
        changes: Changes,
        held: int | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        """Tell the engine of a job that is ready now, or more urgently so."""
        ready = is_takeable(changed)
        if self._dispatch is not None and ready and not changes.keys().isdisjoint(URGENCY):
            self._dispatch.offer(connection, changed, held, is_new=is_new)
        elif self._dispatch is not None and held is not None and changed["engine_id"] is None:
            self._dispatch.retire(connection, changed, held)

    def _end(self, connection: Connection, present: Row, outcome: JobOutcome) -> Job:
        """End a job; its parts end with it, and if it is the last part of one that waits, that one goes on."""
        now = self._now(connection)
        ended = self._change(connection, present, finished(present, outcome, now=now))
        self._settle(connection, ended, now)
        return ended

    def _settle(self, connection: Connection, job: Job, now: int) -> None:
        """Do what follows from a job's end, if it has ended."""
        if not job.status.terminal:
            return
        self._end_parts(connection, job.id, now)
        if job.parent_id is not None:
            self._wake(connection, job.parent_id)

    def _take_back(
        self, connection: Connection, found: Row, now: int, how: Callable[..., Changes] = handed_back
    ) -> None:
        """Hand back a job that its worker left behind, one of several perhaps.

        It is read anew: if what it is a part of was cancelled, and has just ended, so does it.
        """
        found = row(connection, found["id"])
        self._settle(connection, self._change(connection, found, how(found, now=now)), now)

    def _end_parts(self, connection: Connection, parent_id: str, now: int) -> None:
        for part in UNFINISHED_PARTS.rows(connection, parent_id=parent_id):
            self._change(connection, part, cancelled(part, now=now))

    def _wake(self, connection: Connection, parent_id: str) -> None:
        for parent in BY_ID.rows(connection, job_id=parent_id):
            if waits(parent) and not UNFINISHED_PARTS.rows(connection, parent_id=parent_id):
                self._change(connection, parent, woken())


def row(connection: Connection, job_id: str) -> Row:
    """Give a job's row.

    Raises:
        JobNotFoundError: there is none with this id.
    """
    if job_id.isascii() and "\0" not in job_id:
        for found in BY_ID.rows(connection, job_id=job_id):
            return found
    msg = f"There is no job with the id {job_id}."
    raise JobNotFoundError(msg)


def own(connection: Connection, claim: Claim) -> Row:
    """Give the row of a job that is still this claim's.

    Raises:
        FencedError: it is not.
    """
    for found in OWN.rows(connection, job_id=claim.job.id, token=claim.token):
        return found
    raise FencedError


def rows(connection: Connection, query: Select[Any], **parameters: Any) -> list[Row]:
    """Give what a query finds, detached from it."""
    return [dict(found) for found in connection.execute(query, parameters).mappings()]


def left_behind(connection: Connection, worker_ids: Collection[str]) -> list[Row]:
    """Give the jobs that run on workers which are gone."""
    query = select(jobs).where(is_(JobStatus.RUNNING), jobs.c.worker_id.in_(sorted(worker_ids)))
    return rows(connection, query.order_by(jobs.c.id))


@cache
def _updating(*columns: str) -> Prepared:
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    return Prepared(update(jobs).where(jobs.c.id == bindparam("job_id")).values(values))


def _count_up() -> dict[str, Prepared]:
    statements: dict[str, Prepared] = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement = dialect.insert(counters).values(name=bindparam("name"), value=bindparam("by"))
        added = counters.c.value + statement.excluded.value
        counted = statement.on_conflict_do_update(index_elements=["name"], set_={"value": added})
        statements[name] = Prepared(counted.returning((literal(0) + counters.c.value).label("value")))
    return statements


COUNT_UP = _count_up()
# Whoever listens is told of every change of a job, with the statement that each of them needs.
_NOTIFIED = func.pg_notify(literal_column(f"'{CHANGED}'"), literal_column("''")).label("notified")
_COUNTED = COUNT_UP["postgresql"].statement
assert isinstance(_COUNTED, Insert)  # noqa: S101  # made above
NEXT_REVISION = _COUNTED.returning(_NOTIFIED)


def count_up(connection: Connection, name: str, by: float = 1) -> float:
    """Add to a counter, and give what it has come to."""
    (counted,) = COUNT_UP[connection.dialect.name].rows(connection, name=name, by=by)
    return float(counted["value"])


class Counted:
    """A change of a job's record, with the number of the change: in the order of commits, as there is one writer.

    On Postgres both are one statement, since each takes a journey to the server, for which other writers wait.
    """

    def __init__(self, on_sqlite: Insert | Update, on_postgres: Insert | Update, *returned: ColumnElement[Any]) -> None:
        self._given = Prepared(on_sqlite.values(revision=bindparam("revision")).returning(*returned))
        number = select(cast(NEXT_REVISION.cte("counted").c.value, BigInteger)).scalar_subquery()
        self._with_number = Prepared(on_postgres.values(revision=number).returning(*returned))

    def rows(self, connection: Connection, **parameters: Any) -> list[dict[str, Any]]:
        """Give what it returns."""
        if connection.dialect.name == "postgresql":
            return self._with_number.rows(connection, **parameters, name=REVISION, by=1)
        return self._given.rows(connection, **parameters, revision=int(count_up(connection, REVISION)))

    def send(self, connection: Connection, **parameters: Any) -> Callable[[], list[dict[str, Any]]]:
        """Have it run with others on Postgres (`write_at_once`); what it returns can be asked for afterwards."""
        return self._with_number.send(connection, parameters | {"name": REVISION, "by": 1})


@cache
def inserting(*columns: str) -> Counted:
    """Record a job with these columns, unless an equal one is pending; returns the record.

    Where no time is given at which it was made, on Postgres, the server's is taken.
    """
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    # What is there already, under the one unique index, is an equal one that is pending.
    on_sqlite, on_postgres = (
        dialect.insert(jobs).values(values).on_conflict_do_nothing(index_elements=["type", "key"], index_where=PENDING)
        for dialect in (sqlite, postgresql)
    )
    made = func.coalesce(bindparam("created_at", type_=BigInteger), literal_column(DATABASE_CLOCK))
    return Counted(on_sqlite, on_postgres.values(created_at=made), *jobs.c)


@cache
def _changing(*columns: str) -> Counted:
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    change = update(jobs).where(jobs.c.id == bindparam("job_id")).values(values)
    return Counted(change, change, jobs.c.revision)
