"""Any sequence of calls leaves every queue where a small model says."""

import asyncio
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import URL

from stoat_ferret.errors import FencedError, JobAlreadyFinishedError
from stoat_ferret.jobs.model import Claim, JobOutcome, JobRequest, JobStatus, Progress, Wanted
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
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    lease: int = 0
    cancel_requested: bool = False
    progress: float | None = None
    ended: JobStatus | None = None
    owner: Claim | None = field(default=None, repr=False)

    def hand_back(self) -> None:
        self.owner = None
        if self.cancel_requested:
            self.status = JobStatus.CANCELLED
        else:
            self.status, self.progress = JobStatus.PENDING, None


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

    def teardown(self) -> None:
        self.stack.close()

    @rule(job_type=TYPES, key=st.sampled_from("ab"), exclusive=st.sampled_from([None, "x"]), priority=st.integers(0, 2))
    def submit(self, job_type: str, key: str, exclusive: str | None, priority: int) -> None:
        request = JobRequest(type=job_type, payload={}, key=key, exclusive_key=exclusive, priority=priority)
        submission = self.runner.run(self.queue.submit(request))
        equal = [
            job
            for job in self.jobs
            if (job.type, job.key, job.status, job.attempt) == (job_type, key, JobStatus.PENDING, 0)
        ]
        assert submission.joined == bool(equal)
        if equal:
            assert submission.job.id == equal[0].id
            equal[0].priority = max(equal[0].priority, priority)
        else:
            self.jobs.append(Model(submission.job.id, job_type, key, exclusive, priority))

    @rule(without=st.sampled_from([(), ("scan",)]))
    def claim(self, without: tuple[str, ...]) -> None:
        claim = self.runner.run(self.queue.claim("worker", Wanted(without_types=frozenset(without))))
        for job in self._running():
            if job.lease <= self.clock.now:
                job.hand_back()
        expected = self._first(without)
        assert (claim and claim.job.id) == (expected and expected.id)
        if claim and expected:
            expected.status, expected.attempt, expected.owner = JobStatus.RUNNING, expected.attempt + 1, claim
            expected.lease, expected.progress = self.clock.now + LEASE_US, None
            self.claims.append(claim)

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
            job.status, job.owner = status, None
            job.progress = 1.0 if status is JobStatus.COMPLETE else job.progress
        else:
            with pytest.raises(FencedError):
                self.runner.run(call)

    @precondition(lambda self: self.claims)
    @rule(index=INDEX)
    def release(self, index: int) -> None:
        claim, job = self._pick(index)
        if self._allowed(claim, job):
            self.runner.run(self.queue.release(claim))
            job.hand_back()
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
            job.status = JobStatus.CANCELLED

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS / 2, LEASE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_job_is_where_the_model_says(self) -> None:
        page = self.runner.run(self.queue.list(limit=1000))
        real = [
            (job.id, job.status, job.attempt, job.priority, job.cancel_requested, job.progress)
            for job in reversed(page.jobs)
        ]
        assert real == [
            (job.id, job.status, job.attempt, job.priority, job.cancel_requested, job.progress) for job in self.jobs
        ]
        assert len({job.revision for job in page.jobs}) == len(page.jobs)

    @invariant()
    def an_end_is_final(self) -> None:
        for job in self.jobs:
            assert job.ended in (None, job.status)
            job.ended = job.status if job.status.terminal else None

    @invariant()
    def an_exclusive_key_runs_once(self) -> None:
        keys = [job.exclusive_key for job in self._running() if job.exclusive_key]
        assert len(keys) == len(set(keys))

    def _running(self) -> Iterable[Model]:
        return [job for job in self.jobs if job.status is JobStatus.RUNNING]

    def _first(self, without: tuple[str, ...]) -> Model | None:
        taken = {job.exclusive_key for job in self._running()} - {None}
        ready = [
            job
            for job in self.jobs
            if job.status is JobStatus.PENDING and job.type not in without and job.exclusive_key not in taken
        ]
        return min(ready, key=lambda job: (-job.priority, self.jobs.index(job)), default=None)

    def _pick(self, index: int) -> tuple[Claim, Model]:
        claim = self.claims[-1 - index % len(self.claims)]
        return claim, next(job for job in self.jobs if job.id == claim.job.id)

    @staticmethod
    def _allowed(claim: Claim, job: Model) -> bool:
        return job.status is JobStatus.RUNNING and job.owner is claim


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
