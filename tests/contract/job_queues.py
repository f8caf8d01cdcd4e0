"""The queues that the contract is held against, on a clock that tests move."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, delete

from stoat_ferret.db.engine import Database, open_postgres, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue, job_claims
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.postgres import PostgresJobQueue, PostgresJobStore, install_engine
from stoat_ferret.jobs.queue import AsyncJobQueue, InMemoryJobQueue
from stoat_ferret.jobs.store import JobStore

LEASE_SECONDS = 10.0
QUEUES = ("memory", "local", pytest.param("postgres", marks=pytest.mark.postgres))


class Clock:
    """A wall clock in microseconds that stands still."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        """Give the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1_000_000)


@dataclass
class Stage:
    """A queue, its clock and the catalogue its handlers write to."""

    queue: AsyncJobQueue
    clock: Clock
    catalogue: Database


def stage_of(request: pytest.FixtureRequest, folder: Path, **options: Any) -> AbstractContextManager[Stage]:
    """Make a queue of the kind that a fixture's parameter names."""
    url = request.getfixturevalue("postgres_database") if request.param == "postgres" else None
    return open_stage(request.param, folder, url=url, **options)


@contextmanager
def open_stage(
    kind: str,
    folder: Path,
    clock: Clock | None = None,
    *,
    limits: Mapping[str, int] | None = None,
    url: URL | None = None,
) -> Iterator[Stage]:
    """Make a queue of the named kind, with nothing in it; one on Postgres at an address, where all is deleted."""
    clock = clock or Clock()
    with ExitStack() as opened:
        if kind == "postgres":
            assert url is not None
            queue, library = open_on_postgres(opened, url, clock=clock, limits=limits)
            yield Stage(queue, clock, library)
            return
        library = open_sqlite(folder / "library.db")
        opened.callback(library.close)
        catalogue.create_all(library.engine)
        if kind == "memory":
            memory = InMemoryJobQueue(library, run_on_submit=False, lease_seconds=LEASE_SECONDS, clock=clock)
            memory.store.limits = dict(limits or {})
            opened.callback(memory.close)
            yield Stage(memory, clock, library)
            return
        database = open_sqlite(folder / "jobs.db")
        opened.callback(database.close)
        job_records.create_all(database.engine)
        store = JobStore(database, lease_seconds=LEASE_SECONDS, catalogue=library, limits=limits, clock=clock)
        local = LocalJobQueue(store)
        opened.callback(local.close)
        yield Stage(local, clock, library)


def open_on_postgres(
    opened: ExitStack,
    url: URL,
    *,
    lease_seconds: float = LEASE_SECONDS,
    clock: Clock | None = None,
    limits: Mapping[str, int] | None = None,
) -> tuple[PostgresJobQueue, Database]:
    """Give a queue on a migrated database, and the catalogue beside it; what was in them is deleted."""
    library, database = open_postgres(url, "stoat_library"), open_postgres(url, "stoat_jobs")
    opened.callback(library.close)
    opened.callback(database.close)
    install_engine(database)
    empty(database)
    with library.write() as connection:
        connection.execute(delete(job_claims))
    store = PostgresJobStore(database, lease_seconds=lease_seconds, catalogue=library, limits=limits, clock=clock)
    queue = PostgresJobQueue(store)
    opened.callback(queue.close)
    return queue, library


def empty(database: Database) -> None:
    """Delete all jobs on Postgres, and whatever goes with them."""
    with database.write() as connection:
        names = connection.exec_driver_sql(
            "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relname !~ '_migrations$|^alembic_' "
            "AND relnamespace = current_schema()::regnamespace AND pg_relation_size(oid) > 0"
        ).scalars()
        if found := ", ".join(names):
            connection.exec_driver_sql(f"TRUNCATE {found} CASCADE")
