"""The queue in an SQLite file: no server, several processes.

Calls run in threads of the queue's own, so that nobody else's slow work delays a submit. Changes made by this process
wake its waiters at once; those of other processes are noticed by a thread that asks SQLite for `data_version` while
somebody waits, and sleeps while nobody does.
"""

import asyncio
import sqlite3
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from stoat_ferret.db.together import Committer
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.stored import CLOCK_SECONDS, StoredJobQueue

WATCH_SECONDS = 0.02
"""How often the file is looked at for another process's changes."""

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)


class ThreadedJobQueue(StoredJobQueue):
    """Calls the store in threads; any number of event loops and threads may use one.

    `close()` ends its threads; the database stays open, for whoever opened it to close.
    """

    def __init__(self, store: JobStore, *, threads: int = 4) -> None:
        super().__init__(store)
        self._calls = ThreadPoolExecutor(threads, thread_name_prefix="jobs")
        # Those who wait look again at every change: in a thread of their own, so that many cannot delay a submit.
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="jobs-look")
        self._watching = threading.Lock()
        self._watcher: threading.Thread | None = None

    def close(self) -> None:
        """End the threads, once they have done what they were asked."""
        self._wakeup.close()
        self._calls.shutdown()
        self._looks.shutdown()
        with self._watching:
            if self._watcher is not None:
                self._watcher.join()

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._calls, partial(function, *args, **kwargs))

    async def _look(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._looks, function)

    def _watch(self) -> None:
        with self._watching:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch_others, name="jobs-watch", daemon=True)
                self._watcher.start()

    @abstractmethod
    def _watch_others(self) -> None:
        """Notify of changes that other processes make, until closed; runs in a thread of its own."""


class LocalJobQueue(ThreadedJobQueue):
    """The queue over an SQLite file. Changes are made by one thread: those asked at the same time in one commit."""

    def __init__(self, store: JobStore, *, threads: int = 4) -> None:
        super().__init__(store, threads=threads)
        self._committer = Committer(store.database, name="jobs-commit")

    def close(self) -> None:
        """End the threads, once they have done what they were asked."""
        self._committer.close()
        super().close()

    async def _commit(self, change: Callable[[], T], *, durable: bool) -> T:
        return await self._committer.call(change, durable=durable)

    def _watch_others(self) -> None:
        connection: PoolProxiedConnection | None = None
        seen = None
        while self._wakeup.await_waiter():
            try:
                connection = connection or self.store.database.engine.raw_connection()
                version = _data_version(connection)
            except (sqlite3.Error, DBAPIError) as error:
                log.warning("cannot watch the jobs database; looking every second", error=str(error))
                version = None
                time.sleep(CLOCK_SECONDS)
            if version is None or version != seen:
                seen = version
                self._wakeup.notify()
            time.sleep(WATCH_SECONDS)
        if connection is not None:
            connection.close()


def _data_version(connection: PoolProxiedConnection) -> int:
    """Ask SQLite for a number that differs after every commit of another connection."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA data_version")
    ((version,),) = cursor.fetchall()
    cursor.close()
    return int(version)
