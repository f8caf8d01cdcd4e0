"""A transaction on Postgres that is sent as a whole: whoever waits for the write lock waits for the server alone.

The ordinary `Database.write()` keeps the lock while it goes to the server and back for each statement, and for as long
as its own process waits for a processor in between. Where no statement depends on what another gave, other than in SQL,
all of them can go at once, with the lock before them and the commit behind.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.db.write_lock import LOCK_NOT_AVAILABLE, Schema, end_silent_holder, lock_statement

T = TypeVar("T")


def write_at_once(database: Database, schema: Schema, send: Callable[[Connection], T]) -> T:
    """Run statements in one transaction that holds the write lock, and commit it durably, in one journey.

    Args:
        database: on Postgres.
        schema: that it is.
        send: gives statements to the connection's driver and reads nothing of what they give before this function has
            returned (`Prepared.send`). It may be called twice.

    Raises:
        StorageError: as `Database.write()`; nothing was written.
    """
    with database.ask() as connection:
        try:
            return _journey(connection, schema, send)
        except connection.dialect.loaded_dbapi.Error as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE or not end_silent_holder(connection, schema):
                raise
        return _journey(connection, schema, send)


def _journey(connection: Connection, schema: Schema, send: Callable[[Connection], T]) -> T:
    driver: Any = connection.connection.driver_connection
    # Without an explicit BEGIN, what a pipeline sends between two synchronisations is one transaction.
    with driver.pipeline():
        driver.execute(lock_statement(schema))
        return send(connection)
