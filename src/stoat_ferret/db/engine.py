"""Connections to the databases, and the two ways to use one: `read()` and `write()`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from stoat_ferret.errors import StorageBusyError, StorageError, StorageFullError

BUSY_TIMEOUT_MS = 5_000
WRITE = "stoat_write"


class Database:
    """One database, shared by every thread of a process."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        """Shown in messages: the file's path."""
        self._writer = engine.execution_options(**{WRITE: "FULL"})
        self._passing_writer = engine.execution_options(**{WRITE: "NORMAL"})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state until the block ends.

        Raises:
            StorageError: the database could not be read.
        """
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection in a transaction that holds the write lock from its start; commits unless the block raises.

        A commit that is not `durable` may be undone by a power cut, never by the end of a process. It does not wait for
        the disk, so it keeps others waiting for a hundredth of the time: for what is said again in a moment anyway.

        Raises:
            StorageBusyError: another process kept the lock too long.
            StorageFullError: the disk is full; nothing was written.
            StorageError: any other failure; nothing was written.
        """
        writer = self._writer if durable else self._passing_writer
        with self._translated(), writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _storage_error(error, self.name) from error


def open_sqlite(path: Path, *, pool_size: int = 8) -> Database:
    """Open (creating it when it is not there) an SQLite database in WAL mode with durable commits.

    Raises:
        StorageError: the file cannot be opened or is not a database.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # in a URL as text, a "?" in the path would end it
        pool_size=pool_size,
        max_overflow=32,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            "cache_size=-16384",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver would begin lazily and upgrade a read lock later, which fails at once under contention.
        durability = connection.get_execution_options().get(WRITE)
        if durability is None:
            connection.exec_driver_sql("BEGIN")
            return
        # FULL: a committed job survives a power cut; results are batched, so the extra fsync is paid rarely.
        connection.exec_driver_sql(f"PRAGMA synchronous={durability}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Database(engine, str(path))


def _storage_error(error: DBAPIError, name: str) -> StorageError:
    text = str(error.orig)
    if "locked" in text or "busy" in text:
        return StorageBusyError(f"The database {name} is locked by another process. Try again in a few seconds.")
    if "full" in text:
        return StorageFullError(f"The disk that holds {name} is full. Free some space on it and try again.")
    return StorageError(f"The database {name} could not be used: {text}.")
