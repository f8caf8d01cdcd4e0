"""Looking after databases that are in use: whether they are sound, and that SQLite's log of changes does not grow."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, func, select

from stoat_ferret.db.engine import BUSY_TIMEOUT_MS, Database
from stoat_ferret.db.job_tables import idempotency_keys
from stoat_ferret.errors import StorageError

PROBLEMS_READ = 3
LOOK_OPCODES = 50_000
"""How often SQLite asks whether to go on: every few milliseconds."""
LARGE_LOG_BYTES = 4 << 20
"""A log of changes that is worth being folded into its database."""
FOLD_PATIENCE_MS = 100
"""How long folding may keep writers waiting for a reader that is in its way."""

log = structlog.get_logger(__name__)


def problem_of(database: Database, stopped: Callable[[], bool]) -> str | None:
    """Read a whole SQLite database, indexes against tables, and say what is wrong with it; None where nothing is.

    Of Postgres it says nothing, having looked at nothing: the files are the server's.

    Args:
        database: the one to read; others may read and write it meanwhile.
        stopped: asked every few milliseconds; once it says yes, the answer is None, early.

    Raises:
        StorageError: it could not be read, for another reason than being damaged.
    """
    if database.is_postgres:
        return None
    try:
        with database.read() as connection, _stoppable(connection, stopped):
            lines = connection.exec_driver_sql(f"PRAGMA integrity_check({PROBLEMS_READ})").scalars().all()
    except StorageError as error:
        if stopped():
            return None
        if type(error) is not StorageError:  # locked, or no room: that says nothing of the file
            raise
        return error.message
    return None if lines == ["ok"] else "; ".join(map(str, lines))


@contextmanager
def _stoppable(connection: Connection, stopped: Callable[[], bool]) -> Iterator[None]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # the caller knows
    driver.set_progress_handler(stopped, LOOK_OPCODES)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def fold_log(database: Database) -> bool:
    """Bring what SQLite has written aside into the database's file, and free the room, if that is worth it.

    False where it is not, or where somebody who reads is in the way: then the next time will do.
    """
    if database.is_postgres or not _log_is_large(database):
        return False
    try:
        return _fold(database)
    except sqlite3.Error as error:
        log.debug("log of changes not folded", database=database.name, error=str(error))
        return False


def fold_passively(database: Database) -> None:
    """Bring what SQLite has written aside into the database's file, as far as nobody is in the way."""
    try:
        with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            cursor.fetchall()
    except sqlite3.Error as error:
        log.debug("log of changes not folded", database=database.name, error=str(error))


def fold_all(database: Database) -> None:
    """Bring all that SQLite has written aside into the database's file, so that this alone is the whole of it.

    Raises:
        StorageError: somebody who reads is in the way, or the file could not be written.
    """
    try:
        folded = database.is_postgres or _fold(database)
    except sqlite3.Error as error:
        raise StorageError(f"The database {database.name} could not be written out: {error}.") from error
    if not folded:
        raise StorageError(f"The database {database.name} could not be written out: somebody reads it. Try again.")


def _fold(database: Database) -> bool:
    # Not in a transaction, which would itself be in the way.
    with closing(database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")  # nearly all of it, and nobody waits
        cursor.fetchall()
        cursor.execute(f"PRAGMA busy_timeout={FOLD_PATIENCE_MS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((busy, _, _),) = cursor.fetchall()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return not busy


def _log_is_large(database: Database) -> bool:
    file = Path(database.name + "-wal")
    return file.exists() and file.stat().st_size >= LARGE_LOG_BYTES


def keys_from_before(records: Database, moment: int) -> int:
    """Count the idempotency keys that were used before a moment, in microseconds since 1970 UTC."""
    query = select(func.count()).select_from(idempotency_keys).where(idempotency_keys.c.created_at < moment)
    with records.read() as connection:
        return connection.execute(query).scalar_one()
