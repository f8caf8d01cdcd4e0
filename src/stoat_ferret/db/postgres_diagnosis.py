"""Looking at a Postgres database without changing it."""

from dataclasses import dataclass

from sqlalchemy import URL, Connection

from stoat_ferret.db.diagnosis import DatabaseState
from stoat_ferret.db.engine import open_postgres
from stoat_ferret.db.migrate import Tree, newest_schema
from stoat_ferret.db.write_lock import Schema

SCHEMAS: dict[Tree, Schema] = {"library": "stoat_library", "jobs": "stoat_jobs"}


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server and a database on it stand."""

    version: str
    encoding: str
    size: int
    """Bytes that the database takes, ours or not."""
    schemas: dict[Tree, DatabaseState]


def examine_server(url: URL) -> ServerState:
    """Ask a server about itself and the two schemas of a database.

    Raises:
        StorageError: it is not there, or does not let us in.
    """
    database = open_postgres(url, "stoat_library", pool_size=1)
    try:
        with database.read() as connection:
            return ServerState(
                version=str(connection.exec_driver_sql("SHOW server_version").scalar_one()),
                encoding=str(connection.exec_driver_sql("SHOW server_encoding").scalar_one()),
                size=int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()),
                schemas={tree: _state(connection, tree, schema) for tree, schema in SCHEMAS.items()},
            )
    finally:
        database.close()


def _state(connection: Connection, tree: Tree, schema: Schema) -> DatabaseState:
    table, version = f"{schema}.alembic_version", None
    if connection.exec_driver_sql("SELECT to_regclass(%s)", (table,)).scalar_one() is not None:
        version = connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar_one_or_none()  # noqa: S608
    return DatabaseState(None, version, newest_schema(tree))
