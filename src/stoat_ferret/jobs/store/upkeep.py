"""What keeps the queue in order: schedules, retention, and its numbers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, tuple_, update

from stoat_ferret.db.job_tables import counters, idempotency_keys, jobs, schedules
from stoat_ferret.jobs.model import Job, JobRequest, JobStatus, Schedule, Statistics, Trimmed
from stoat_ferret.jobs.store.records import REVISION, count_up, is_
from stoat_ferret.jobs.store.requests import Requests, forget


class Upkeep(Requests):
    """Calls of the maintenance job, of the scheduler, and of those who watch."""

    def fire(self, name: str, cron: str, next_after: Callable[[int], int], request: JobRequest) -> Job | None:
        """Submit a scheduled job if it is due, once however many ask; gives it, or None.

        A new schedule, or one whose cron line has changed, is first due at the next moment of the line. One that was
        due while nobody asked, once or many times, is due now, once.

        Args:
            name: whose schedule.
            cron: its line.
            next_after: gives the first moment of the line after another, both in microseconds since 1970 UTC.
            request: what to submit.
        """
        with self.database.read() as connection:
            known = connection.execute(select(schedules).where(schedules.c.name == name)).first()
            if known is not None and known.cron == cron and known.next_at > self._now(connection):
                return None
        with self._write() as connection:
            now = self._now(connection)
            known = connection.execute(select(schedules).where(schedules.c.name == name)).first()
            if known is None:
                values = {"name": name, "cron": cron, "next_at": next_after(now)}
                connection.execute(insert(schedules).values(values))
                return None
            change = update(schedules).where(schedules.c.name == name)
            if known.cron != cron:
                connection.execute(change.values(cron=cron, next_at=next_after(now)))
                return None
            if known.next_at > now:
                return None
            job = self._submit(connection, request).job
            connection.execute(change.values(next_at=next_after(now), last_at=now, last_job_id=job.id))
            return job

    def schedules(self) -> tuple[Schedule, ...]:
        """Give all schedules by name."""
        with self.database.read() as connection:
            found = connection.execute(select(schedules).order_by(schedules.c.name)).mappings()
            return tuple(Schedule(**each) for each in found)

    def unschedule(self, names: frozenset[str]) -> None:
        """Forget schedules."""
        with self._write() as connection:
            connection.execute(delete(schedules).where(schedules.c.name.in_(sorted(names))))

    def trim(self, before: int, limit: int) -> Trimmed:
        """Forget some jobs that ended before a moment, the oldest first, and keys as old.

        Args:
            before: microseconds since 1970 UTC.
            limit: records of any kind at most, so that nobody waits long for the database.
        """
        old = and_(jobs.c.finished_at < before, jobs.c.parent_id.is_(None))
        with self._write() as connection:
            keys = _forget_keys(connection, before, limit)  # first: those of a job are as old as it
            if keys == limit:
                return Trimmed((), keys)
            query = select(jobs.c.id).where(old).order_by(jobs.c.finished_at).limit(limit - keys)
            trimmed = forget(connection, tuple(connection.execute(query).scalars()), limit - keys)
            return replace(trimmed, rows=trimmed.rows + keys)

    def known_ids(self, job_ids: frozenset[str]) -> frozenset[str]:
        """Give those of some ids that jobs have."""
        with self.database.read() as connection:
            return frozenset(connection.execute(select(jobs.c.id).where(jobs.c.id.in_(sorted(job_ids)))).scalars())

    def count(self, numbers: Mapping[str, float]) -> None:
        """Add to counters."""
        if numbers:
            with self._write(durable=False) as connection:
                for name, by in numbers.items():
                    count_up(connection, name, by)

    def statistics(self) -> Statistics:
        """Give the queue in numbers."""
        with self.database.read() as connection:
            now = self._now(connection)
            counts = connection.execute(select(jobs.c.type, jobs.c.status, func.count()).group_by("type", "status"))
            due = or_(jobs.c.run_after.is_(None), jobs.c.run_after <= now)
            since = func.min(func.coalesce(jobs.c.run_after, jobs.c.created_at))
            oldest = select(jobs.c.type, since).where(is_(JobStatus.PENDING), due).group_by(jobs.c.type)
            numbers = select(counters.c.name, counters.c.value).where(counters.c.name != REVISION)
            return Statistics(
                jobs={(each.type, each.status): int(number) for each in counts for number in [each[2]]},
                oldest_ready_at={name: int(at) for name, at in connection.execute(oldest)},
                counters={each.name: each.value for each in connection.execute(numbers)},
            )


def _forget_keys(connection: Connection, before: int, limit: int) -> int:
    which = tuple_(idempotency_keys.c.scope, idempotency_keys.c.key)
    expired = select(idempotency_keys.c.scope, idempotency_keys.c.key).where(idempotency_keys.c.created_at < before)
    return connection.execute(delete(idempotency_keys).where(which.in_(expired.limit(limit)))).rowcount
