"""The queue over job records on Postgres, and the thread that hears of other processes' changes."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import structlog
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError

from stoat_ferret.jobs.local import ThreadedJobQueue
from stoat_ferret.jobs.model import ANYTHING, Wanted
from stoat_ferret.jobs.postgres.store import PostgresJobStore
from stoat_ferret.jobs.store.records import CHANGED

CHANNELS = (CHANGED, "procrastinate_any_queue_v1")
LISTEN_SECONDS = 0.2
"""How often the listening thread looks whether it is to end."""
RECONNECT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class PostgresJobQueue(ThreadedJobQueue):
    """The queue in a Postgres database."""

    def __init__(self, store: PostgresJobStore, *, threads: int = 4) -> None:
        super().__init__(store, threads=threads)
        self._records = store
        self._closing = threading.Event()

    def close(self) -> None:
        """End the threads, once they have done what they were asked."""
        self._closing.set()
        super().close()

    async def sweep(self, wanted: Wanted = ANYTHING) -> None:
        """Put right what nobody else would notice."""
        await super().sweep(wanted)
        if await self._call(self._records.sweep):
            self._wakeup.notify()

    def _watch_others(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (psycopg.Error, SQLAlchemyError) as error:
                reason = str(error).strip().partition("\n")[0]
                log.warning("cannot listen for changes of jobs; trying again", error=reason)
                self._closing.wait(RECONNECT_SECONDS)

    def _listen(self) -> None:
        with self._connection() as connection:
            for channel in CHANNELS:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self._wakeup.notify()  # whatever changed while nobody listened
            while not self._closing.is_set():
                # All that came at once wakes once.
                if list(connection.notifies(timeout=LISTEN_SECONDS, stop_after=1)):
                    self._wakeup.notify()

    @contextmanager
    def _connection(self) -> Iterator["psycopg.Connection[Any]"]:
        """Give a connection of its own, since it never goes back among the others."""
        pooled = self.store.database.engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        assert isinstance(connection, psycopg.Connection)  # noqa: S101  # the engine was made for it
        with closing(connection):
            connection.rollback()
            connection.autocommit = True
            yield connection
