"""What clients do: submit, read, cancel, delete."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select

from stoat_ferret.db.job_tables import counters, idempotency_keys, jobs
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.reserve import with_last_reserve
from stoat_ferret.errors import IdempotencyKeyReusedError, JobNotFinishedError
from stoat_ferret.jobs.cursor import decode_cursor, encode_cursor
from stoat_ferret.jobs.model import Job, JobPage, JobRequest, JobStatus, OnceKey, Submission, Trimmed
from stoat_ferret.jobs.store.records import REVISION, Records, is_, row, rows
from stoat_ferret.jobs.transitions import as_job, cancelled, joined, stored_text, waits

EQUAL_PENDING = Prepared(
    select(jobs).where(jobs.c.type == bindparam("type"), jobs.c.key == bindparam("key"), is_(JobStatus.PENDING))
)
SENT_BEFORE = select(idempotency_keys).where(
    idempotency_keys.c.scope == bindparam("scope"), idempotency_keys.c.key == bindparam("key")
)
SINCE = Prepared(
    select(jobs).where(jobs.c.revision > bindparam("after")).order_by(jobs.c.revision).limit(bindparam("most"))
)
PARTS = Prepared(select(jobs.c.id).where(jobs.c.parent_id == bindparam("parent_id")).limit(bindparam("most")))
LAST_REVISION = select(counters.c.value).where(counters.c.name == REVISION)


class Requests(Records):
    """Reads and changes that clients ask for."""

    def submit(self, request: JobRequest, once: OnceKey | None = None) -> Submission:
        """Record a job, or join an equal one that is still pending; with `once`, give what came of it the first time.

        Raises:
            IdempotencyKeyReusedError: the key was used for something else.
        """
        with self._write() as connection:
            if once is not None and (earlier := _recall(connection, once)) is not None:
                return Submission(earlier, joined=False, replayed=True)
            submission = self._submit(connection, request)
            if once is not None:
                values = {"scope": once.scope, "key": stored_text(once.key), "fingerprint": once.fingerprint}
                now = self._now(connection)
                connection.execute(insert(idempotency_keys).values(**values, job_id=submission.job.id, created_at=now))
            return submission

    def _submit(self, connection: Connection, request: JobRequest) -> Submission:
        if (added := self._add(connection, request)) is not None:
            return Submission(added, joined=False)
        (found,) = EQUAL_PENDING.rows(connection, type=request.type, key=stored_text(request.key))
        return Submission(self._change(connection, found, joined(found, request)), joined=True)

    def recall(self, once: OnceKey) -> Job | None:
        """Give the job that came of an earlier submit under this key, if there was one.

        Raises:
            IdempotencyKeyReusedError: the key was used for something else.
        """
        with self.database.read() as connection:
            return _recall(connection, once)

    def get(self, job_id: str) -> Job:
        """Give a job as it stands.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        with self.database.ask() as connection:
            return as_job(row(connection, job_id))

    def list(
        self,
        status: JobStatus | None,
        job_type: str | None,
        cursor: str | None,
        limit: int,
        parent_id: str | None = None,
    ) -> JobPage:
        """Give jobs, newest first: those that are no parts of others, or the parts of one.

        Raises:
            InvalidCursorError: the cursor is not one of this list.
        """
        about = (status, job_type, parent_id)
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit + 1).where(*_wanted(*about))
        if cursor is not None:
            query = query.where(jobs.c.id < decode_cursor(cursor, *about))
        with self.database.read() as connection:
            found = [as_job(each) for each in rows(connection, query)]
        more = len(found) > limit
        return JobPage(tuple(found[:limit]), encode_cursor(found[limit - 1].id, *about) if more else None)

    def count_listed(
        self, status: JobStatus | None, job_type: str | None, parent_id: str | None, most: int
    ) -> tuple[int, bool]:
        """Give how many jobs `list` has on all its pages, `most` at most, and whether there are more."""
        some = select(jobs.c.id).where(*_wanted(status, job_type, parent_id)).limit(most + 1).subquery()
        with self.database.read() as connection:
            count = int(connection.execute(select(func.count()).select_from(some)).scalar_one())
        return min(count, most), count > most

    def count_parts(self, job_id: str) -> tuple[int, int]:
        """Give how many parts of a job have ended, and how many there are."""
        query = select(jobs.c.status, func.count()).where(jobs.c.parent_id == job_id).group_by(jobs.c.status)
        with self.database.read() as connection:
            counts = {status: int(count) for status, count in connection.execute(query)}
        parts = sum(counts.values())
        return parts - counts.get(JobStatus.PENDING, 0) - counts.get(JobStatus.RUNNING, 0), parts

    def changed_since(self, revision: int, limit: int) -> tuple[Job, ...]:
        """Give the jobs that changed after a revision, as they stand, in the order of their last changes."""
        with self.database.ask() as connection:
            return tuple(as_job(each) for each in SINCE.rows(connection, after=revision, most=limit))

    def last_revision(self) -> int:
        """Give the revision of the last change of any job; 0 before the first."""
        with self.database.ask() as connection:
            return int(connection.execute(LAST_REVISION).scalar_one_or_none() or 0)

    @with_last_reserve
    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end.

        Raises:
            JobNotFoundError: there is none with this id.
            JobAlreadyFinishedError: it has ended already.
        """
        with self._write(last_words=True) as connection:
            found, now = row(connection, job_id), self._now(connection)
            job = self._change(connection, found, cancelled(found, now=now))
            self._settle(connection, job, now)
            if waits(found):
                # Nobody runs it. Its parts are told; once the last of them has ended, a worker ends it in good order.
                self._end_parts(connection, job_id, now)
                self._wake(connection, job_id)
            return as_job(row(connection, job_id))

    @with_last_reserve
    def delete(self, job_id: str, limit: int) -> bool:
        """Forget a job that has ended, and its parts; as many as the limit allows: tells whether it is gone.

        Raises:
            JobNotFoundError: there is none with this id.
            JobNotFinishedError: it, or what it is a part of, has not ended yet.
        """
        with self._write(last_words=True) as connection:  # it makes room
            found = row(connection, job_id)
            above = row(connection, found["parent_id"]) if found["parent_id"] else found
            for each in (found, above):
                if not JobStatus(each["status"]).terminal:
                    msg = f"The job {each['id']} is {each['status']}. Cancel it first, or wait for its end."
                    raise JobNotFinishedError(msg)
            return bool(forget(connection, [job_id], limit).job_ids)


def _wanted(status: JobStatus | None, job_type: str | None, parent_id: str | None) -> list[ColumnElement[bool]]:
    conditions = [jobs.c.parent_id == parent_id]
    if status is not None:
        conditions.append(is_(status))
    if job_type is not None:
        conditions.append(jobs.c.type == job_type)
    return conditions


def forget(connection: Connection, job_ids: Collection[str], limit: int) -> Trimmed:
    """Delete jobs, each after all its parts, and the keys under which they were submitted.

    Args:
        connection: in the transaction that deletes them.
        job_ids: which, in this order.
        limit: records of jobs and parts at most; what is left over is for the next time.
    """
    doomed: list[str] = []
    whole: list[str] = []
    for job_id in job_ids:
        doomed += [part["id"] for part in PARTS.rows(connection, parent_id=job_id, most=limit - len(doomed))]
        if len(doomed) >= limit:
            break
        doomed.append(job_id)
        whole.append(job_id)
    if doomed:
        connection.execute(delete(idempotency_keys).where(idempotency_keys.c.job_id.in_(whole)))
        connection.execute(delete(jobs).where(jobs.c.id.in_(doomed)))
    return Trimmed(tuple(whole), len(doomed))


def _recall(connection: Connection, once: OnceKey) -> Job | None:
    sent = connection.execute(SENT_BEFORE, {"scope": once.scope, "key": stored_text(once.key)}).first()
    if sent is None:
        return None
    if sent.fingerprint != once.fingerprint:
        msg = (
            f"The idempotency key {once.key[:60]!r} was used before, for another request. "
            "Use a new key for each request that is to be done."
        )
        raise IdempotencyKeyReusedError(msg)
    return as_job(row(connection, sent.job_id))
