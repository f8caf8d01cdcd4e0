"""The job records on Postgres, where Procrastinate says which job is next."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
)
from uuid_utils.compat import uuid7

from stoat_ferret.db.at_once import write_at_once
from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import jobs
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.jobs.model import ANYTHING, Claim, Job, JobRequest, JobStatus, OnceKey, Submission, Wanted
from stoat_ferret.jobs.postgres.tokens import Tokens, queue_name
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.store.records import BY_ID, inserting, is_, rows
from stoat_ferret.jobs.store.runs import IN_REACH, TAKEABLE
from stoat_ferret.jobs.transitions import Row, as_job, is_takeable, new_row

TRIES = 100
"""Tokens looked at in one claim, that is in one transaction, which others wait for."""
SILENT_WORKER_SECONDS = 3600.0
"""After how long Procrastinate's own record of a worker is deleted. Nothing depends on it: our leases count."""

tokens = table("procrastinate_jobs", column("id"), column("queueing_lock"), column("scheduled_at"))
engine_workers = table("procrastinate_workers", column("id"), column("last_heartbeat"))
WAITING: ColumnElement[bool] = literal_column("procrastinate_jobs.status = 'todo'")
DOING: ColumnElement[bool] = literal_column("procrastinate_jobs.status = 'doing'")


def _of_job() -> ColumnElement[bool]:
    # Ours are compared by code point; a comparison has to say so where one of two columns is not.
    return tokens.c.queueing_lock.collate("C") == jobs.c.id


WAITS = exists().where(_of_job(), WAITING)
IS_DUE = exists().where(_of_job(), WAITING, or_(tokens.c.scheduled_at.is_(None), tokens.c.scheduled_at <= func.now()))
_READY_QUEUES = select(jobs.c.type, jobs.c.place, jobs.c.exclusive_key).where(TAKEABLE).distinct()
READY_QUEUES = Prepared(_READY_QUEUES)
READY_QUEUES_IN_REACH = Prepared(_READY_QUEUES.where(IN_REACH))
READY_ID = Prepared(select(jobs.c.id).where(TAKEABLE, jobs.c.id == bindparam("job_id")))
READY_UNOFFERED = Prepared(select(jobs).where(TAKEABLE, ~IS_DUE).order_by(jobs.c.id).limit(TRIES))
TO_OFFER = or_(is_(JobStatus.PENDING), and_(is_(JobStatus.RUNNING), jobs.c.resumes))
UNOFFERED = select(jobs).where(TO_OFFER, ~WAITS).order_by(jobs.c.id).limit(TRIES)
# A token that stands for nothing: its job waits no more, or is not run on its behalf.
ORPHANS = (
    select(tokens.c.id)
    .select_from(tokens.outerjoin(jobs, _of_job()))
    .where(
        or_(
            and_(WAITING, or_(jobs.c.id.is_(None), ~TO_OFFER)),
            and_(DOING, jobs.c.engine_id.is_distinct_from(tokens.c.id)),
        )
    )
    .limit(TRIES)
)
SILENT = select(engine_workers.c.id).where(
    engine_workers.c.last_heartbeat < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, SILENT_WORKER_SECONDS)
)


class PostgresJobStore(JobStore):
    """All that can be done with the job records, with tokens of Procrastinate beside them."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        catalogue: Database | None = None,
        limits: Mapping[str, int] | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._tokens = Tokens()
        super().__init__(
            database,
            lease_seconds=lease_seconds,
            catalogue=catalogue,
            dispatch=self._tokens,
            limits=limits,
            clock=clock,
        )

    def submit(self, request: JobRequest, once: OnceKey | None = None) -> Submission:
        """Record a job, or join an equal one that is still pending; with `once`, give what came of it the first time.

        Raises:
            IdempotencyKeyReusedError: the key was used for something else.
        """
        if once is None and (added := self._add_at_once(request)) is not None:
            return Submission(added, joined=False)
        return super().submit(request, once)

    def _add_at_once(self, request: JobRequest) -> Job | None:
        """Record a new job and offer it; None where an equal one is pending, to which nothing was done.

        Whoever submits waits for it, and all who write wait for whoever submits.
        """
        made = None if self._clock is None else self._clock()
        new = new_row(request, job_id=str(uuid7()), now=made)

        def send(connection: Connection) -> Callable[[], list[dict[str, Any]]]:
            added = inserting(*new).send(connection, **new)
            self._tokens.offer_recorded(connection, new)
            return added

        found = write_at_once(self.database, "stoat_jobs", send)()
        return as_job(found[0]) if found else None

    def claim(self, worker_id: str, wanted: Wanted = ANYTHING) -> Claim | None:
        """Hand back what was left behind, then take the job of the first token whose job may run.

        Whether there is anything to take is looked up first: submits wait for whoever holds the write lock. Which it is
        is asked under the lock. A token that is fetched in vain has to rest, and others would go before its job.
        """
        self.take_back_expired()
        with self.database.read() as connection:
            at = self._at(connection, wanted)
            if not _ready_queues(connection, at):
                return None
            known = self._tokens.knows(connection, worker_id)
        with self._write(durable=False) as connection:
            at |= self._now_and_full(connection, wanted)
            queues = _ready_queues(connection, at)
            if not queues:
                return None
            if not known:
                self._tokens.register(connection, worker_id)
            return self._claim_first(connection, queues, worker_id, at)

    def _claim_first(
        self, connection: Connection, queues: list[str], worker_id: str, at: dict[str, Any]
    ) -> Claim | None:
        mended = False
        for _ in range(TRIES):
            token = self._tokens.fetch(connection, queues, worker_id)
            if token is None or token.id is None:
                # There is a job that may run, so there ought to have been a token.
                # (One that rests is offered at once: our clock says that its time has come.)
                late = [] if mended else READY_UNOFFERED.rows(connection, **at)
                if not self._offer(connection, [{**each, "run_after": None} for each in late]):
                    return None
                mended = True
                continue
            found = BY_ID.rows(connection, job_id=token.queueing_lock)
            if not found or not is_takeable(found[0]):
                self._tokens.forget(connection, token.id)
            elif not READY_ID.rows(connection, **at, job_id=token.queueing_lock):
                self._tokens.rest(connection, token)
            else:
                return self._claim(connection, found[0], worker_id, at["now"], token.id)
        return None

    def sweep(self) -> bool:
        """Hand back jobs whose leases have ended, and make records and tokens agree; True where that changed anything.

        They do not after one of the two was changed from outside, as by a restore of some tables only.
        """
        taken = self.take_back_expired()
        with self.database.read() as connection:
            if not any(connection.execute(query.limit(1)).first() for query in (ORPHANS, UNOFFERED, SILENT)):
                return bool(taken)
        with self._write() as connection:
            for orphan in connection.execute(ORPHANS).scalars().all():
                self._tokens.forget(connection, orphan)
            self._offer(connection, rows(connection, UNOFFERED))
            self._tokens.prune(connection, SILENT_WORKER_SECONDS)
        return True

    def _offer(self, connection: Connection, found: list[Row]) -> bool:
        for each in found:
            self._tokens.offer(connection, each)
        return bool(found)


def _ready_queues(connection: Connection, at: Mapping[str, Any]) -> list[str]:
    """Give the queues in which a token's job may run now."""
    query = READY_QUEUES_IN_REACH if "places" in at else READY_QUEUES
    return sorted({queue_name(*found.values()) for found in query.rows(connection, **at)})
