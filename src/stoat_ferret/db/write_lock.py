"""The lock on Postgres that makes a transaction the only one that writes, and what is done about who keeps it for ever.

A process that is stopped in the midst of a transaction (its machine sleeps, a debugger holds it) keeps its connection,
and its locks. Where the server waits for the next statement, `idle_in_transaction_session_timeout` ends that. But a
driver sends many rows as one pipeline, and within that the server counts the session as active for ever; no timeout of
Postgres before version 17 covers it. So whoever waits in vain for the lock looks at its holder, and ends a session that
has said nothing for too long. What it was at is rolled back, and its process, should it wake, is told so.
"""

from typing import Any, Literal

from sqlalchemy import Connection, text

SILENT_SECONDS = 5
"""How long the holder of the lock may leave the server waiting for its next word."""

Schema = Literal["stoat_library", "stoat_jobs"]
WRITE_LOCKS: dict[Schema, int] = {"stoat_library": 0x73746F61_0001, "stoat_jobs": 0x73746F61_0002}
"""Keys of the advisory locks."""

SINCE = "stoat_since_us"
"""Where a connection says when its transaction got the lock, in microseconds since 1970 UTC on the server's clock."""
DATABASE_CLOCK = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"

APPLICATION = "stoat-ferret"
"""What our sessions call themselves; one that may be silent for longer has another name."""
LOCK_NOT_AVAILABLE = "55P03"

# A key of 64 bits stands in pg_locks as two halves, and objsubid 1 says that it is one. `state_change` is the moment of
# the last message of the client: each statement of a pipeline sets it anew.
END_SILENT_HOLDER = text(
    "SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid) "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (held.classid::bigint << 32 | held.objid::bigint) = :key "
    "AND session.application_name = :name AND session.wait_event = 'ClientRead' "
    "AND session.state_change < clock_timestamp() - make_interval(secs => :seconds)"
)


def take_write_lock(connection: Connection, schema: Schema, *, durable: bool) -> None:
    """Take the lock until the transaction ends; waits as long as `lock_timeout` allows. Notes the time; see `SINCE`.

    A commit that is not `durable` does not wait for the disk.

    Must be the first statement of a transaction that decides anything: it may be rolled back and begun anew.

    Raises:
        psycopg.errors.LockNotAvailable: another session holds it, and is at work.
        psycopg.Error: anything else went wrong.
    """
    driver: Any = connection.connection.driver_connection
    try:
        since = _locked_since(driver, schema, durable)
    except connection.dialect.loaded_dbapi.Error as error:
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            raise
        driver.rollback()
        if not end_silent_holder(connection, schema):
            raise
        since = _locked_since(driver, schema, durable)
    connection.info[SINCE] = since


def end_silent_holder(connection: Connection, schema: Schema) -> bool:
    """End the session that holds the lock if it has said nothing for too long; tells whether it has."""
    about = {"key": WRITE_LOCKS[schema], "seconds": SILENT_SECONDS, "name": APPLICATION}
    return bool(connection.execute(END_SILENT_HOLDER, about).all())


def lock_statement(schema: Schema) -> str:
    """SQL: take the lock, and give the time since when it is held."""
    # The clock is read once there is a row, so after the lock was taken.
    lock = f"SELECT pg_advisory_xact_lock({WRITE_LOCKS[schema]}) OFFSET 0"
    return f"SELECT {DATABASE_CLOCK} FROM ({lock}) AS locked"  # noqa: S608  # of constants


def _locked_since(driver: Any, schema: Schema, durable: bool) -> int:
    with driver.pipeline():  # with the BEGIN that the driver says first, in one journey
        cursor = driver.execute(lock_statement(schema))
        if not durable:
            driver.execute("SET LOCAL synchronous_commit TO OFF")
    return int(cursor.fetchone()[0])
