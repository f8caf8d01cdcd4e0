"""The queues that the contract is held against, on a clock that tests move."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.queue import AsyncJobQueue, InMemoryJobQueue
from stoat_ferret.jobs.store import JobStore

LEASE_SECONDS = 10.0
QUEUES = ("memory", "local")


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


@contextmanager
def open_stage(kind: str, folder: Path, clock: Clock | None = None) -> Iterator[Stage]:
    """Make a queue of the named kind, with nothing in it."""
    clock = clock or Clock()
    library = open_sqlite(folder / "library.db")
    catalogue.create_all(library.engine)
    close: list[Callable[[], None]] = [library.close]
    try:
        if kind == "memory":
            memory = InMemoryJobQueue(library, run_on_submit=False, lease_seconds=LEASE_SECONDS, clock=clock)
            yield Stage(memory, clock, library)
            return
        database = open_sqlite(folder / "jobs.db")
        close.insert(0, database.close)
        job_records.create_all(database.engine)
        local = LocalJobQueue(JobStore(database, lease_seconds=LEASE_SECONDS, catalogue=library, clock=clock))
        close.insert(0, local.close)
        yield Stage(local, clock, library)
    finally:
        for each in close:
            each()
