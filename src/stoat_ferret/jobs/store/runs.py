"""What workers do with jobs: claim, renew, report, wait for parts, finish, hand back."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    union,
)
from uuid_utils.compat import uuid4

from stoat_ferret.db.job_tables import jobs
from stoat_ferret.db.prepared import Prepared, among
from stoat_ferret.db.reserve import with_last_reserve
from stoat_ferret.jobs.model import ANYTHING, Claim, Job, JobOutcome, JobStatus, Progress, Wanted
from stoat_ferret.jobs.store.records import BY_ID, UNFINISHED_PARTS, Records, count_up, is_, own
from stoat_ferret.jobs.transitions import Row, as_job, claimed, handed_back, patience_seconds, reported, waiting

SUSPECT_SECONDS = 30
"""How long a job whose worker died has to itself, away from others of the kind: whichever kills the next worker is then
found out, and those that merely ran beside it are not given up with it."""
LACKS_SLOT_SECONDS = 1
"""A job that could run and has not been taken for so long finds no free slot."""
TAKEOVERS = "lease_takeovers"


def _begins(whole: ColumnElement[str], start: ColumnElement[str]) -> ColumnElement[bool]:
    return func.substr(whole, literal_column("1"), func.length(start)) == start


def _ready() -> ColumnElement[bool]:
    other = jobs.alias("other")
    running = is_(JobStatus.RUNNING, other)
    mine, theirs = jobs.c.exclusive_key, other.c.exclusive_key
    taken = exists().where(running, or_(_begins(mine, theirs), _begins(theirs, mine)))
    suspected = exists().where(running, other.c.strikes > 0, other.c.started_at > bindparam("suspected_since"))
    return and_(
        is_(JobStatus.PENDING),
        or_(jobs.c.run_after.is_(None), jobs.c.run_after <= bindparam("now")),
        ~among(jobs.c.type, "without_types"),
        ~taken,
        or_(jobs.c.strikes == 0, ~suspected),
    )


def _overdue() -> ColumnElement[bool]:
    part = jobs.alias("part")
    unfinished = or_(is_(JobStatus.PENDING, part), is_(JobStatus.RUNNING, part))
    untold = exists().where(part.c.parent_id == jobs.c.id, unfinished, part.c.cancel_requested == false())
    until = jobs.c.started_at + jobs.c.timeout_seconds * literal_column("1000000")
    return and_(is_(JobStatus.RUNNING), jobs.c.lease_expires_at.is_(None), until <= bindparam("now"), untold)


ONE: ColumnElement[int] = literal_column("1")
# A job that waits for its parts runs without a lease; null is never in the past.
EXPIRED = and_(is_(JobStatus.RUNNING), jobs.c.lease_expires_at <= bindparam("now"))
ALL_EXPIRED = Prepared(select(jobs).where(EXPIRED))
HAS_EXPIRED = Prepared(select(jobs.c.id).where(EXPIRED).limit(ONE))
# Its time may be over all the same. Its parts are then told to end, and the worker that takes it up ends it.
OVERDUE = _overdue()
ALL_OVERDUE = Prepared(select(jobs).where(OVERDUE))
HAS_OVERDUE = Prepared(select(jobs.c.id).where(OVERDUE).limit(ONE))
READY = _ready()
RESUMES = and_(is_(JobStatus.RUNNING), jobs.c.resumes == true(), ~among(jobs.c.type, "without_types"))
IN_REACH = or_(jobs.c.place.is_(None), among(jobs.c.place, "places"))
# Those that go on come first: they were begun before the others. Two statements, since each has an index of its own.
_FIRST_READY = select(jobs).where(READY).order_by(jobs.c.priority.desc(), jobs.c.id).limit(ONE)
_FIRST_RESUMING = select(jobs).where(RESUMES).order_by(jobs.c.id).limit(ONE)
FIRST = tuple(map(Prepared, (_FIRST_RESUMING, _FIRST_READY)))
FIRST_IN_REACH = tuple(Prepared(query.where(IN_REACH)) for query in (_FIRST_RESUMING, _FIRST_READY))
TAKEABLE = or_(READY, RESUMES)
_PLACE = select(jobs.c.place).where(jobs.c.place.is_not(None))
PLACES = Prepared(union(_PLACE.where(is_(JobStatus.PENDING)), _PLACE.where(is_(JobStatus.RUNNING), jobs.c.resumes)))


def _outranking() -> Select[Any]:
    other, mine = jobs.alias("other"), bindparam("exclusive_key", type_=jobs.c.exclusive_key.type)
    theirs = other.c.exclusive_key
    # Whatever else keeps it waiting, the end of this run would not help.
    taken = exists().where(
        is_(JobStatus.RUNNING, other),
        other.c.id != bindparam("job_id"),
        or_(_begins(jobs.c.exclusive_key, theirs), _begins(theirs, jobs.c.exclusive_key)),
    )
    return select(jobs.c.place).where(
        is_(JobStatus.PENDING),
        or_(jobs.c.run_after.is_(None), jobs.c.run_after <= bindparam("now")),
        jobs.c.priority > bindparam("priority"),
        jobs.c.strikes == 0,
        or_(_begins(jobs.c.exclusive_key, mine), _begins(mine, jobs.c.exclusive_key)),
        ~among(jobs.c.type, "without_types"),
        ~taken,
    )


OUTRANKING = Prepared(_outranking())
# What could run and is more urgent; a free slot would have taken it within a moment.
LACKING_SLOT = Prepared(
    select(jobs.c.place).where(
        READY,
        jobs.c.priority > bindparam("priority"),
        func.coalesce(jobs.c.run_after, jobs.c.created_at) <= bindparam("ready_since"),
    )
)

_WAITS = (is_(JobStatus.RUNNING), jobs.c.lease_expires_at.is_(None), jobs.c.resumes == false())
# One that is to end, or whose time is over, is taken up once its parts have ended, and then says what it had done.
_GOES_ON = (
    jobs.c.cancel_requested == false(),
    or_(
        jobs.c.timeout_seconds.is_(None),
        jobs.c.started_at + jobs.c.timeout_seconds * literal_column("1000000") > bindparam("now"),
    ),
)
WAITING = Prepared(select(jobs).where(*_WAITS, *_GOES_ON, jobs.c.exclusive_key.is_not(None)))
RUNNING_OF_TYPES = Prepared(
    select(jobs.c.type, func.count().label("running"))
    .where(is_(JobStatus.RUNNING), jobs.c.token.is_not(None))
    .group_by(jobs.c.type)
)


class Runs(Records):
    """Calls that carry a claim, or give one."""

    def has_work(self, wanted: Wanted = ANYTHING) -> bool:
        """Tell whether a claim would change anything."""
        with self.database.read() as connection:
            at = self._at(connection, wanted)
            if any(query.rows(connection, now=at["now"]) for query in (HAS_EXPIRED, HAS_OVERDUE)):
                return True
            return any(query.rows(connection, **at) for query in _first(at))

    @with_last_reserve
    def claim(self, worker_id: str, wanted: Wanted = ANYTHING) -> Claim | None:
        """Hand back what was left behind, then take the next job that may run."""
        # A claim that a power cut undoes is no loss: the job is pending again, and its worker is gone.
        with self._write(durable=False, last_words=True) as connection:
            self._take_back_expired(connection)
            at = self._at(connection, wanted)
            for query in _first(at):
                for found in query.rows(connection, **at):
                    return self._claim(connection, found, worker_id, at["now"])
            return None

    @with_last_reserve
    def take_back_expired(self) -> list[Job]:
        """Hand back the jobs whose leases have ended; gives them as they were."""
        with self.database.read() as connection:
            now = self._now(connection)
            if not any(query.rows(connection, now=now) for query in (HAS_EXPIRED, HAS_OVERDUE)):
                return []
        with self._write(last_words=True) as connection:
            return self._take_back_expired(connection)

    @with_last_reserve
    def renew(self, claim: Claim) -> Job:
        """Extend the lease.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(durable=False, last_words=True) as connection:
            found = own(connection, claim)
            # No new revision: nothing changed that a client sees.
            self._set(connection, found, {"lease_expires_at": self._now(connection) + self._lease_us})
            return as_job(found)

    def outranked(self, claim: Claim, wanted: Wanted = ANYTHING, *, for_slot: bool = False) -> bool:
        """Tell whether a more urgent job waits for the end of this one; see `AsyncJobQueue`."""
        with self.database.read() as connection:
            found = BY_ID.rows(connection, job_id=claim.job.id)
            return any(self._is_outranked(connection, each, wanted, for_slot=for_slot) for each in found)

    def _is_outranked(self, connection: Connection, found: Row, wanted: Wanted, *, for_slot: bool = False) -> bool:
        at = self._now_and_full(connection, wanted)
        urgent: list[Row] = []
        if found["exclusive_key"] is not None:
            about = {name: found[name] for name in ("priority", "exclusive_key")}
            # One that runs counts among those of its type; the end of one that waits for its parts makes no room there.
            about["without_types"] = at["without_types"] if found["token"] is None else []
            urgent += OUTRANKING.rows(connection, now=at["now"], job_id=found["id"], **about)
        if for_slot:
            since = at["now"] - LACKS_SLOT_SECONDS * 1_000_000
            urgent += LACKING_SLOT.rows(connection, **at, ready_since=since, priority=found["priority"])
        places = {each["place"] for each in urgent}
        return any(place is None or wanted.reaches is None or wanted.reaches(place) for place in places)

    def give_way(self, wanted: Wanted = ANYTHING) -> bool:
        """Hand back what waits for its parts and keeps a more urgent job waiting; see `AsyncJobQueue.sweep`."""
        with self.database.read() as connection:
            late = [found["id"] for found in self._patient(connection) if self._is_outranked(connection, found, wanted)]
        if not late:
            return False
        with self._write() as connection:
            now = self._now(connection)
            # Nothing in between may have ended one of them, or what it kept waiting.
            late = [found for found in self._patient(connection) if found["id"] in late]
            for found in (found for found in late if self._is_outranked(connection, found, wanted)):
                self._end_parts(connection, found["id"], now)
                self._settle(connection, self._change(connection, found, handed_back(found, now=now)), now)
        return True

    def _patient(self, connection: Connection) -> list[dict[str, Any]]:
        """Give what waits for its parts, and has done so for as long as its attempt may."""
        now = self._now(connection)
        return [
            found
            for found in WAITING.rows(connection, now=now)
            if now - found["started_at"] >= patience_seconds(found["attempt"]) * 1_000_000
        ]

    def runs(self, job_id: str, attempt: int, token: str | None = None) -> bool:
        """Tell whether a job is still at an attempt, and under a token if one is given; waits for no lock."""
        with self.database.ask() as connection:
            return any(
                found["status"] == JobStatus.RUNNING.value
                and found["attempt"] == attempt
                and token in (None, found["token"])
                for found in BY_ID.rows(connection, job_id=job_id)
            )

    def report(self, claim: Claim, fraction: float | None, progress: Progress) -> None:
        """Record progress.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(durable=False) as connection:
            found = own(connection, claim)
            self._change(connection, found, reported(found, fraction, progress))

    def report_for(self, job_id: str, attempt: int, fraction: float | None, progress: Progress) -> bool:
        """Record the progress of a job that waits for its parts; False where it does not."""
        with self._write(durable=False) as connection:
            for found in BY_ID.rows(connection, job_id=job_id):
                if found["status"] == JobStatus.RUNNING.value and found["attempt"] == attempt and not found["token"]:
                    self._change(connection, found, reported(found, fraction, progress))
                    return True
            return False

    @with_last_reserve
    def await_parts(self, claim: Claim, checkpoint: dict[str, Any]) -> bool:
        """Let the job wait, on no worker's slot, until its parts have ended; then it goes on with the checkpoint.

        False where no part is left to wait for: then nothing is changed.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(last_words=True) as connection:
            found = own(connection, claim)
            if found["cancel_requested"] or not UNFINISHED_PARTS.rows(connection, parent_id=found["id"]):
                return False
            self._change(connection, found, waiting(checkpoint))
            return True

    @with_last_reserve
    def finish(self, claim: Claim, outcome: JobOutcome) -> Job:
        """End the job.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(last_words=True) as connection:
            return self._end(connection, own(connection, claim), outcome)

    @with_last_reserve
    def release(self, claim: Claim, *, after_seconds: float = 0.0) -> None:
        """Hand the job back unfinished; it is not claimed again before `after_seconds` have passed.

        Raises:
            FencedError: the job is no longer this worker's.
        """
        with self._write(last_words=True) as connection:
            found, now = own(connection, claim), self._now(connection)
            run_after = now + int(after_seconds * 1_000_000) if after_seconds else None
            job = self._change(connection, found, handed_back(found, now=now, run_after=run_after))
            self._settle(connection, job, now)

    def _claim(
        self, connection: Connection, found: Row, worker_id: str, now: int, engine_id: int | None = None
    ) -> Claim:
        if not found["resumes"]:
            # What an earlier attempt had parted off is done anew.
            self._end_parts(connection, found["id"], now)
        token = str(uuid4())
        changes = claimed(
            found,
            worker_id=worker_id,
            token=token,
            now=now,
            lease_expires_at=now + self._lease_us,
            engine_id=engine_id,
        )
        job = self._change(connection, found, changes)
        begun = now if job.started_at is None else job.started_at
        return Claim(job, token, engine_id, elapsed_seconds=(now - begun) / 1_000_000)

    def _take_back_expired(self, connection: Connection) -> list[Job]:
        now = self._now(connection)
        expired = ALL_EXPIRED.rows(connection, now=now)
        for found in expired:
            self._take_back(connection, found, now)
        if expired:
            count_up(connection, TAKEOVERS, len(expired))
        for found in ALL_OVERDUE.rows(connection, now=now):
            self._end_parts(connection, found["id"], now)
            self._wake(connection, found["id"])
        return [as_job(found) for found in expired]

    def _at(self, connection: Connection, wanted: Wanted) -> dict[str, Any]:
        """Give the parameters of TAKEABLE, and of IN_REACH where places matter."""
        at = self._now_and_full(connection, wanted)
        if wanted.reaches is not None:
            at["places"] = self._reached([found["place"] for found in PLACES.rows(connection)], wanted)
        return at

    def _now_and_full(self, connection: Connection, wanted: Wanted) -> dict[str, Any]:
        """Give those of the parameters of TAKEABLE that change from one moment to the next."""
        now = self._now(connection)
        without = wanted.without_types | self._full_types(connection)
        return {"now": now, "suspected_since": now - SUSPECT_SECONDS * 1_000_000, "without_types": sorted(without)}

    @staticmethod
    def _reached(places: Collection[str], wanted: Wanted) -> list[str]:
        assert wanted.reaches is not None  # noqa: S101  # the caller has looked
        return [place for place in places if wanted.reaches(place)]

    def _full_types(self, connection: Connection) -> frozenset[str]:
        if not self.limits:
            return frozenset()
        running = {found["type"]: found["running"] for found in RUNNING_OF_TYPES.rows(connection)}
        return frozenset(name for name, limit in self.limits.items() if running.get(name, 0) >= limit)


def _first(at: dict[str, Any]) -> tuple[Prepared, ...]:
    return FIRST_IN_REACH if "places" in at else FIRST
