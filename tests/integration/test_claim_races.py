"""Two workers that claim at once on Postgres: what one takes, between the other's look and its lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import URL

from stoat_ferret.db.engine import open_postgres
from stoat_ferret.jobs.model import Claim, JobOutcome, JobRequest, JobStatus
from stoat_ferret.jobs.postgres import PostgresJobStore
from tests.contract.job_queues import open_on_postgres

pytestmark = pytest.mark.postgres

COMPLETE = JobOutcome(status=JobStatus.COMPLETE)
DUE_SECONDS = 0.3


class House:
    """A database with two workers' stores."""

    def __init__(self, opened: ExitStack, url: URL) -> None:
        limits = {"limited": 1}
        queue, catalogue = open_on_postgres(opened, url, limits=limits)
        database = open_postgres(url, "stoat_jobs")
        opened.callback(database.close)
        self.first = queue.store
        self.second = PostgresJobStore(database, lease_seconds=10, catalogue=catalogue, limits=limits)

    def submit(self, job_type: str, key: str, **fields: Any) -> str:
        return self.first.submit(JobRequest(type=job_type, key=key, payload={}, **fields)).job.id

    def claim_late(self, meanwhile: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Claim | None:
        """Let the second worker claim, and something happen once it has looked and before it has the lock."""
        write = self.second._write  # the instant that is meant lies within
        happened: list[object] = []

        def late(**options: Any) -> Any:
            if not happened:
                happened.append(meanwhile())
            return write(**options)

        with monkeypatch.context() as patched:
            patched.setattr(self.second, "_write", late)
            return self.second.claim("second")

    def tokens_that_rest(self) -> int:
        with self.first.database.read() as connection:
            query = "SELECT count(*) FROM procrastinate_jobs WHERE scheduled_at > now()"
            return int(connection.exec_driver_sql(query).scalar_one())


@pytest.fixture
def house(postgres_database: URL) -> Iterator[House]:
    """Give an empty one."""
    with ExitStack() as opened:
        yield House(opened, postgres_database)


@pytest.mark.parametrize("fields", [{"exclusive_key": "/v/"}, {}], ids=["key", "limit"])
def test_a_job_keeps_its_turn_when_another_worker_was_sooner(
    house: House, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    """What cannot run beside the job that was taken is not fetched in vain: it would rest, and others go before it."""
    urgent = [house.submit("limited", str(number), priority=10, **fields) for number in range(3)]
    house.submit("other", "1")
    house.submit("other", "2")
    taken: list[Claim | None] = []
    late = house.claim_late(lambda: taken.append(house.first.claim("first")), monkeypatch)
    assert [claim and claim.job.id for claim in taken] == urgent[:1]
    assert late is not None
    assert late.job.type == "other"
    assert house.tokens_that_rest() == 0
    assert taken[0] is not None
    house.first.finish(taken[0], COMPLETE)
    following = house.first.claim("first")
    assert following is not None
    assert following.job.id == urgent[1]


def test_a_job_that_is_due_meanwhile_has_its_turn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that counts is that of the lock."""
    with house.first.database.read() as connection:
        now = house.first._now(connection)  # the server's clock
    due = house.submit("other", "due", priority=10, run_after=now + int(DUE_SECONDS * 1_000_000))
    house.submit("other", "less urgent")
    late = house.claim_late(lambda: time.sleep(2 * DUE_SECONDS), monkeypatch)
    assert late is not None
    assert late.job.id == due
