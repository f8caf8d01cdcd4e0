"""Databases of either kind, a queue on them in this process, and worker processes beside it."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, select

from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue
from stoat_ferret.jobs.local import ThreadedJobQueue
from stoat_ferret.jobs.model import Job, JobRequest
from stoat_ferret.jobs.postgres import install_engine
from stoat_ferret.jobs.supervisor import WorkerSupervisor
from tests.contract.job_queues import empty
from tests.contract.worker_program import effects, open_queue

ROOT = Path(__file__).parents[2]


@dataclass
class House:
    """Both databases, a queue in this process, and the workers started beside it."""

    folder: Path
    url: str | None
    lease_seconds: float
    library: Database
    queue: ThreadedJobQueue
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    supervisors: list[WorkerSupervisor] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.contract.worker_program", str(self.folder)]

    @property
    def environment(self) -> dict[str, str]:
        where = {} if self.url is None else {"DATABASE_URL": self.url}
        return os.environ | {"LEASE_SECONDS": str(self.lease_seconds), "PYTHONPATH": str(ROOT)} | where

    def start_worker(self) -> "subprocess.Popen[bytes]":
        return self.start(self.command)

    def start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=self.environment, cwd=ROOT)
        self.workers.append(process)
        return process

    def supervise(self) -> WorkerSupervisor:
        store = self.queue.store
        supervisor = WorkerSupervisor(
            self.command, on_death=store.worker_died, is_silent=store.is_silent, env=self.environment
        )
        self.supervisors.append(supervisor)
        supervisor.start()
        return supervisor

    async def submit(self, job_type: str, **payload: Any) -> Job:
        return (await self.queue.submit(JobRequest(type=job_type, payload=payload))).job

    def stop_between_commits(self, pid: int) -> bool:
        """Stop a process, unless it holds a lock just then, which nobody else would get past in SQLite."""
        os.kill(pid, signal.SIGSTOP)
        for name in ("jobs.db", "library.db") if self.url is None else ():
            with closing(sqlite3.connect(self.folder / name, timeout=0.1)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    os.kill(pid, signal.SIGCONT)
                    return False
        return True

    def effects(self) -> list[tuple[str, int, int]]:
        """Give job, attempt and process of every effect."""
        with self.library.read() as connection:
            rows = connection.execute(select(effects).order_by(effects.c.number)).all()
        return [(row.job_id, row.attempt, row.pid) for row in rows]

    def close(self) -> None:
        for supervisor in self.supervisors:
            supervisor.stop()
        for worker in self.workers:
            worker.kill()
            worker.wait()
            if worker.stdin:
                worker.stdin.close()
        self.queue.close()
        self.queue.store.database.close()
        self.library.close()


def build(folder: Path, lease_seconds: float, url: URL | None = None) -> House:
    """Give a house without jobs; on Postgres in a migrated database, of which the jobs are deleted."""
    address = None if url is None else url.render_as_string(hide_password=False)
    queue, library = open_queue(folder, address, lease_seconds)
    if url is None:
        job_records.create_all(queue.store.database.engine)
        catalogue.create_all(library.engine)
    else:
        install_engine(queue.store.database)
        empty(queue.store.database)
    with library.write() as connection:
        effects.drop(connection, checkfirst=True)
        effects.create(connection)
    return House(folder, address, lease_seconds, library, queue)


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait for something to be so; the time is that of something that hangs."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
