"""Brings a database to the present schema: Alembic, one line of versions for each of the two databases."""

import time
from typing import Literal

from sqlalchemy import Connection, column, inspect, select, table

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import StorageBusyError

Tree = Literal["library", "jobs"]
PRESENT: dict[Tree, str] = {"library": "0006", "jobs": "0002"}
"""The versions of the schemas that this program works with: those that the last steps in `migrations` lead to."""
PATIENCE_SECONDS = 60.0

_NOTED = table("alembic_version", column("version_num"))
"""Where Alembic notes which version a database has."""


def upgrade(database: Database, tree: Tree, version: str = "head") -> None:
    """Create or upgrade the schema, to the present version or an older one; does nothing, quickly, where it is current.

    While another process does that, it is waited for: of a large library it takes longer than others wait for a lock.

    Raises:
        StorageError: the database was written by a newer version of this program, or cannot be written.
        ConfigurationError: a Postgres database is not encoded in UTF-8.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _upgrade(database, tree, version)
            return
        except StorageBusyError:
            if time.monotonic() >= until:
                raise


def _upgrade(database: Database, tree: Tree, version: str) -> None:
    with database.read() as connection:
        present = _version(connection)
    if present == PRESENT[tree]:
        return
    from stoat_ferret.db import migrating  # Alembic takes longer to load than all that is done here

    migrating.take(database, tree, present, version)


def is_there(database: Database) -> bool:
    """Tell whether the database has a schema of this program, of whatever version."""
    with database.read() as connection:
        return _version(connection) is not None


def newest_schema(tree: Tree) -> str:
    """Give the version of the schema that this program works with."""
    return PRESENT[tree]


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_NOTED.name):
        return None
    found: str | None = connection.execute(select(_NOTED.c.version_num)).scalar()
    return found
