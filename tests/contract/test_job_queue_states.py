"""Any sequence of calls leaves every queue where a small model says."""

import asyncio
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations, count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import URL

from stoat_ferret.errors import (
    FencedError,
    IdempotencyKeyReusedError,
    JobAlreadyFinishedError,
    JobNotFinishedError,
    JobNotRetryableError,
)
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, OnceKey, Progress, Submission, Wanted
from tests.contract.job_queues import LEASE_SECONDS, Clock, open_stage

LEASE_US = int(LEASE_SECONDS * 1_000_000)
TERMINAL = [status for status in JobStatus if status.terminal]
TYPES = st.sampled_from(["scan", "thumbnail"])
INDEX = st.integers(min_value=0, max_value=30)


@dataclass
class Model:
    """A job as it ought to be."""

    id: str
    type: str
    key: str
    exclusive_key: str | None
    priority: int
    parent: "Model | None" = None
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    lease: int = 0
    cancel_requested: bool = False
    progress: float | None = None
    ended: JobStatus | None = None
    owner: Claim | None = field(default=None, repr=False)
    goes_on: bool = False
    """Its parts have ended, for which it had waited."""

    @property
    def waits(self) -> bool:
        return self.status is JobStatus.RUNNING and self.owner is None and not self.goes_on


class QueueStates(RuleBasedStateMachine):
    """Calls a queue and the model alike, and compares."""

    kind: ClassVar[str]
    url: ClassVar[URL | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(dir=_memory_disk()))
        self.clock = Clock()
        self.queue = self.stack.enter_context(open_stage(self.kind, Path(folder), self.clock, url=self.url)).queue
        self.jobs: list[Model] = []
        self.claims: list[Claim] = []
        self.numbers = count()
        self.keys: dict[str, tuple[JobRequest, str]] = {}

    def teardown(self) -> None:
        self.stack.close()

    @rule(
        job_type=TYPES,
        key=st.sampled_from("ab"),
        exclusive=st.sampled_from([None, "x/", "x/y/", "xy/"]),
        priority=st.integers(0, 2),
        once=st.sampled_from([None, None, "k1", "k2"]),
    )
    def submit(self, job_type: str, key: str, exclusive: str | None, priority: int, once: str | None) -> None:
        request = JobRequest(type=job_type, payload={}, key=key, exclusive_key=exclusive, priority=priority)
        if once is None:
            self._take(request, self.runner.run(self.queue.submit(request)))
            return
        call = self.queue.submit(
            request, OnceKey(scope="caller", key=once, fingerprint=sha256(repr(request).encode()).hexdigest())
        )
        known, job_id = self.keys.get(once, (request, None))
        if known != request:
            with pytest.raises(IdempotencyKeyReusedError):
                self.runner.run(call)
            return
        submission = self.runner.run(call)
        assert submission.replayed == (job_id is not None)
        if job_id is None:
            self._take(request, submission)
            self.keys[once] = (request, submission.job.id)
        else:
            assert submission.job.id == job_id

    @precondition(lambda self: self.jobs)
    @rule(index=INDEX)
    def retry(self, index: int) -> None:
        job = self.jobs[index % len(self.jobs)]
        request = JobRequest(
            type=job.type, payload={}, key=job.key, exclusive_key=job.exclusive_key, priority=job.priority
        )

        async def anew(_job: Job) -> JobRequest:
            return request

        call = self.queue.retry(job.id, anew)
        if job.parent is None and job.status in (JobStatus.FAILED, JobStatus.TIMEOUT, JobStatus.CANCELLED):
            self._take(request, self.runner.run(call))
        else:
            with pytest.raises(JobNotRetryableError):
                self.runner.run(call)

    @precondition(lambda self: self.jobs)
    @rule(index=INDEX)
    def delete(self, index: int) -> None:
        job = self.jobs[index % len(self.jobs)]
        if not all(each.status.terminal for each in (job, job.parent) if each is not None):
            with pytest.raises(JobNotFinishedError):
                self.runner.run(self.queue.delete(job.id))
            return
        self.runner.run(self.queue.delete(job.id))
        gone = {each.id for each in self.jobs if job in (each, each.parent)}
        self.jobs = [each for each in self.jobs if each.id not in gone]
        self.claims = [claim for claim in self.claims if claim.job.id not in gone]
        self.keys = {key: sent for key, sent in self.keys.items() if sent[1] not in gone}

    @rule(without=st.sampled_from([(), ("scan",)]))
    def claim(self, without: tuple[str, ...]) -> None:
        claim = self.runner.run(self.queue.claim("worker", Wanted(without_types=frozenset(without))))
        for job in self._running():
            if job.owner and job.lease <= self.clock.now:
                self._hand_back(job)
        expected = self._first(without)
        assert (claim is None) == (not expected)
        if claim is None:
            return
        job = next(job for job in expected if job.id == claim.job.id)
        if not job.goes_on:
            job.attempt, job.progress = job.attempt + 1, None
            self._end_parts(job)
        job.status, job.owner, job.lease, job.goes_on = JobStatus.RUNNING, claim, self.clock.now + LEASE_US, False
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(index=INDEX)
    def part_off(self, index: int) -> None:
        _, job = self._pick(index)
        if job.status is JobStatus.RUNNING and job.parent is None:
            key = str(next(self.numbers))
            request = JobRequest(type="part", payload={}, key=key, parent_id=job.id, priority=job.priority)
            part = self.runner.run(self.queue.submit(request)).job
            self.jobs.append(Model(part.id, "part", key, None, job.priority, parent=job))

    @precondition(lambda self: self.claims)
    @rule(index=INDEX)
    def await_parts(self, index: int) -> None:
        claim, job = self._pick(index)
        if not self._allowed(claim, job):
            with pytest.raises(FencedError):
                self.runner.run(self.queue.await_parts(claim, {}))
            return
        waits = bool(self._unfinished_parts(job)) and not job.cancel_requested
        assert self.runner.run(self.queue.await_parts(claim, {})) == waits
        job.owner = None if waits else claim

    @precondition(lambda self: self.claims)
    @rule(index=INDEX)
    def renew(self, index: int) -> None:
        claim, job = self._pick(index)
        if self._allowed(claim, job):
            assert self.runner.run(self.queue.renew(claim)).cancel_requested == job.cancel_requested
            job.lease = self.clock.now + LEASE_US
        else:
            with pytest.raises(FencedError):
                self.runner.run(self.queue.renew(claim))

    @precondition(lambda self: self.claims)
    @rule(index=INDEX, fraction=st.sampled_from([None, 0.1, 0.5, 0.9]))
    def report(self, index: int, fraction: float | None) -> None:
        claim, job = self._pick(index)
        call = self.queue.report(claim, fraction, Progress(phase="p", done=1))
        if self._allowed(claim, job):
            self.runner.run(call)
            known = [each for each in (job.progress, fraction) if each is not None]
            job.progress = max(known, default=None)
        else:
            with pytest.raises(FencedError):
                self.runner.run(call)

    @precondition(lambda self: self.claims)
    @rule(index=INDEX, status=st.sampled_from(TERMINAL))
    def finish(self, index: int, status: JobStatus) -> None:
        claim, job = self._pick(index)
        call = self.queue.finish(claim, JobOutcome(status=status))
        if self._allowed(claim, job):
            self.runner.run(call)
            job.progress = 1.0 if status is JobStatus.COMPLETE else job.progress
            self._end(job, status)
        else:
            with pytest.raises(FencedError):
                self.runner.run(call)

    @precondition(lambda self: self.claims)
    @rule(index=INDEX)
    def release(self, index: int) -> None:
        claim, job = self._pick(index)
        if self._allowed(claim, job):
            self.runner.run(self.queue.release(claim))
            self._hand_back(job)
        else:
            with pytest.raises(FencedError):
                self.runner.run(self.queue.release(claim))

    @precondition(lambda self: self.jobs)
    @rule(index=INDEX)
    def cancel(self, index: int) -> None:
        job = self.jobs[index % len(self.jobs)]
        if job.status.terminal:
            with pytest.raises(JobAlreadyFinishedError):
                self.runner.run(self.queue.cancel(job.id))
            return
        self.runner.run(self.queue.cancel(job.id))
        job.cancel_requested = True
        if job.status is JobStatus.PENDING:
            self._end(job, JobStatus.CANCELLED)
        elif job.waits:
            self._end_parts(job)
            self._wake(job)

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS / 2, LEASE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        revisions: list[int] = []
        for parent in [None, *(job for job in self.jobs if job.parent is None)]:
            page = self.runner.run(self.queue.list(limit=1000, parent_id=parent.id if parent else None))
            assert list(map(_standing, reversed(page.jobs))) == [
                _standing(job) for job in self.jobs if job.parent is parent
            ]
            revisions += [job.revision for job in page.jobs]
        assert len(set(revisions)) == len(revisions)

    @invariant()
    def an_end_is_final(self) -> None:
        for job in self.jobs:
            assert job.ended in (None, job.status)
            job.ended = job.status if job.status.terminal else None

    @invariant()
    def an_exclusive_key_runs_once(self) -> None:
        keys = [job.exclusive_key for job in self._running() if job.exclusive_key]
        assert not any(_exclude(*pair) for pair in combinations(keys, 2))

    def _take(self, request: JobRequest, submission: Submission) -> None:
        """Take in what a submit came to: a new job, or one that waits and that nobody has begun."""
        equal = [
            job
            for job in self.jobs
            if (job.type, job.key, job.status, job.attempt) == (request.type, request.key, JobStatus.PENDING, 0)
            and job.parent is None
        ]
        assert submission.joined == bool(equal)
        if equal:
            assert submission.job.id == equal[0].id
            equal[0].priority = max(equal[0].priority, request.priority)
        else:
            job = Model(submission.job.id, request.type, request.key, request.exclusive_key, request.priority)
            self.jobs.append(job)

    def _running(self) -> Iterable[Model]:
        return [job for job in self.jobs if job.status is JobStatus.RUNNING]

    def _first(self, without: tuple[str, ...]) -> list[Model]:
        """Give the job that is claimed next; all that go on where several do, in whichever order."""
        goes_on = [job for job in self.jobs if job.goes_on and job.type not in without]
        if goes_on:
            return goes_on
        taken = [job.exclusive_key for job in self._running() if job.exclusive_key]
        ready = [
            job
            for job in self.jobs
            if job.status is JobStatus.PENDING
            and job.type not in without
            and not any(_exclude(key, job.exclusive_key) for key in taken)
        ]
        return sorted(ready, key=lambda job: (-job.priority, self.jobs.index(job)))[:1]

    def _hand_back(self, job: Model) -> None:
        if job.cancel_requested:
            self._end(job, JobStatus.CANCELLED)
        else:
            job.status, job.owner, job.progress = JobStatus.PENDING, None, None

    def _end(self, job: Model, status: JobStatus) -> None:
        job.status, job.owner, job.goes_on = status, None, False
        self._end_parts(job)
        if job.parent is not None:
            self._wake(job.parent)

    def _end_parts(self, job: Model) -> None:
        for part in self._unfinished_parts(job):
            part.cancel_requested = True
            if part.status is JobStatus.PENDING:
                part.status = JobStatus.CANCELLED

    def _wake(self, job: Model) -> None:
        if job.waits and not self._unfinished_parts(job):
            job.goes_on = True

    def _unfinished_parts(self, job: Model) -> list[Model]:
        return [part for part in self.jobs if part.parent is job and not part.status.terminal]

    def _pick(self, index: int) -> tuple[Claim, Model]:
        claim = self.claims[-1 - index % len(self.claims)]
        return claim, next(job for job in self.jobs if job.id == claim.job.id)

    @staticmethod
    def _allowed(claim: Claim, job: Model) -> bool:
        return job.status is JobStatus.RUNNING and job.owner is claim


def _exclude(key: str, other: str | None) -> bool:
    return other is not None and (key.startswith(other) or other.startswith(key))


def _standing(job: Job | Model) -> tuple[Any, ...]:
    return job.id, job.status, job.attempt, job.priority, job.cancel_requested, job.progress


class MemoryStates(QueueStates):
    """In memory."""

    kind = "memory"


class LocalStates(QueueStates):
    """In SQLite."""

    kind = "local"


class PostgresStates(QueueStates):
    """In Postgres."""

    kind = "postgres"


def _memory_disk() -> str | None:
    # Thousands of commits: what they promise when the power fails is not the question here.
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made there


QUICK = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)

TestMemoryStates = MemoryStates.TestCase
TestMemoryStates.settings = QUICK
TestLocalStates = LocalStates.TestCase
TestLocalStates.settings = QUICK


@pytest.mark.postgres
class TestPostgresStates(PostgresStates.TestCase):  # type: ignore[misc, valid-type]  # made by Hypothesis
    """The same on a server, where each call takes longer."""

    settings = settings(QUICK, max_examples=20)

    @pytest.fixture(autouse=True)
    def server(self, postgres_database: URL) -> None:
        """Say where the jobs are."""
        PostgresStates.url = postgres_database
