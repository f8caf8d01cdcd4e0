"""Who the workers are, and what happens when one dies."""

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from stoat_ferret.db.job_tables import workers
from stoat_ferret.db.reserve import with_last_reserve
from stoat_ferret.db.soundness import fold_passively
from stoat_ferret.errors import StorageBusyError, StorageFullError
from stoat_ferret.jobs.fence import stored_nothing
from stoat_ferret.jobs.model import WorkerProfile, WorkerRecord
from stoat_ferret.jobs.processes import (
    ProcessId,
    age_seconds,
    host_name,
    is_gone,
    is_stopped,
    ran_before,
    this_host,
    this_process,
)
from stoat_ferret.jobs.store.records import Records, count_up, left_behind
from stoat_ferret.jobs.transitions import Row, handed_back, struck

LOOKED = "silent_workers_looked_for"
BEGIN_SECONDS = 60.0
"""What a worker process gets until it is first heard of."""
STALE_WORKER_SECONDS = 86_400
"""A worker of another machine that was not heard of for so long is forgotten."""


class Workforce(Records):
    """The workers' own records."""

    @with_last_reserve
    def heartbeat(self, worker_id: str, profile: WorkerProfile | None = None) -> None:
        """Say that a worker, in this process, is alive; the first time makes it known."""
        if (reserve := self.database.reserve) is not None:
            reserve.hold()
            if reserve.given_up:
                # What is said again and again must not fill the room: a log that is folded is written from its start.
                fold_passively(self.database)
        with self._write(durable=False, last_words=True) as connection:
            now = self._now(connection)
            if self._dispatch is not None:
                self._dispatch.alive(connection, worker_id)
            seen = connection.execute(update(workers).where(workers.c.id == worker_id).values(seen_at=now))
            if seen.rowcount:
                return
            process, said = this_process(), profile or WorkerProfile()
            values = {"id": worker_id, "host": process.host, "pid": process.pid, "started_at": now, "seen_at": now}
            values |= {"process_started_at": process.started_at, "version": said.version, "slots": said.slots}
            if said.places is not None:
                values["places"] = list(said.places)
            connection.execute(insert(workers).values(values))

    @with_last_reserve
    def dismiss(self, worker_id: str) -> None:
        """Forget a worker that has ended in good order."""
        with self._write(last_words=True) as connection:
            connection.execute(delete(workers).where(workers.c.id == worker_id))
            if self._dispatch is not None:
                self._dispatch.gone(connection, worker_id)

    def live_workers(self) -> tuple[WorkerRecord, ...]:
        """Give the workers that were heard of within the length of a lease, oldest first."""
        with self.database.read() as connection:
            since = self._now(connection) - self._lease_us
            query = select(workers).where(workers.c.seen_at > since).order_by(workers.c.id)
            return tuple(
                WorkerRecord(
                    id=found.id,
                    host=host_name(found.host),
                    pid=found.pid,
                    started_at=found.started_at,
                    seen_at=found.seen_at,
                    version=found.version,
                    slots=found.slots,
                    places=None if found.places is None else tuple(found.places),
                )
                for found in connection.execute(query)
            )

    def is_silent(self, pid: int) -> bool:
        """Tell whether a worker process of this machine lets its leases lapse: it is stopped or hangs.

        While somebody else keeps the database locked, or its disk is full, no worker can renew anything, and none is
        silent.
        """
        return self._not_heard_of(pid) and (is_stopped(pid) or (self._can_write() and self._not_heard_of(pid)))

    def _not_heard_of(self, pid: int) -> bool:
        query = select(func.max(workers.c.seen_at)).where(_is_process(this_host(), pid))
        with self.database.read() as connection:
            seen_at = connection.execute(query).scalar_one()
            if seen_at is None:
                return age_seconds(pid) > BEGIN_SECONDS
            return bool(seen_at <= self._now(connection) - self._lease_us)

    def _can_write(self) -> bool:
        try:
            with self._write(durable=False, last_words=True) as connection:
                count_up(connection, LOOKED, 1)  # without a change, a full disk would not be noticed
                return True
        except (StorageBusyError, StorageFullError):
            return False

    @with_last_reserve
    def recover(self) -> int:
        """Hand back the jobs of this machine's workers whose processes are gone; give their number.

        Nothing is counted against the jobs: machines and servers are stopped for reasons of their own.
        """
        host = this_host()
        with self.database.read() as connection:
            known = connection.execute(select(workers)).all()
            now = self._now(connection)
        gone = [
            found.id
            for found in known
            if (
                is_gone(ProcessId(host, found.pid, found.process_started_at), found.seen_at)
                if found.host == host
                else not self.database.is_postgres and ran_before(found.host)
            )
        ]
        stale = [found.id for found in known if found.seen_at < now - STALE_WORKER_SECONDS * 1_000_000]
        if not gone and not stale:
            return 0
        with self._write(last_words=True) as connection:
            left = left_behind(connection, gone)
            for found in left:
                self._take_back(connection, found, now)
            connection.execute(delete(workers).where(workers.c.id.in_([*gone, *stale])))
        return len(left)

    @with_last_reserve
    def worker_died(self, pid: int) -> int:
        """Hand back the jobs of a worker process of this machine that was seen to die; give their number.

        A run that had stored nothing counts against its job, which is given up after three of them.
        """
        host = this_host()
        with self.database.read() as connection:
            known = connection.execute(select(workers.c.id).where(_is_process(host, pid))).scalars().all()
            barren = [found["id"] for found in left_behind(connection, known) if self._stored_nothing(found)]
        with self._write(last_words=True) as connection:
            left, now = left_behind(connection, known), self._now(connection)
            for found in left:
                self._take_back(connection, found, now, struck if found["id"] in barren else handed_back)
            connection.execute(delete(workers).where(workers.c.id.in_(known)))
        return len(left)

    def _stored_nothing(self, found: Row) -> bool:
        if self.catalogue is None:
            return True
        with self.catalogue.read() as connection:
            return stored_nothing(connection, found["id"], found["attempt"])


def _is_process(host: str, pid: int) -> ColumnElement[bool]:
    return and_(workers.c.host == host, workers.c.pid == pid)
