"""Brings a database to the present schema: Alembic, one line of versions for each of the two databases."""

import time
from importlib.resources import files
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import ConfigurationError, StorageBusyError, StorageError

Tree = Literal["library", "jobs"]
PATIENCE_SECONDS = 60.0


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
    config = _config(tree)
    script = ScriptDirectory.from_config(config)
    with database.read() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present == script.get_current_head():
        return
    if present is not None and present not in {revision.revision for revision in script.walk_revisions()}:
        msg = (
            f"The database {database.name} was written by a newer version of stoat-ferret (schema {present}). "
            "Update stoat-ferret, or use another data directory."
        )
        raise StorageError(msg)
    # Two processes may start at once: the write lock makes the second one wait, and then find nothing to do.
    with database.rebuild() as connection:
        if database.is_postgres:
            _prepare_postgres(connection, database)
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def _prepare_postgres(connection: Connection, database: Database) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        msg = (
            f"The database {database.name} is encoded in {encoding}. Make one WITH ENCODING 'UTF8' TEMPLATE template0."
        )
        raise ConfigurationError(msg)
    schema = connection.exec_driver_sql("SHOW search_path").scalar_one()
    # Asked first: IF NOT EXISTS wants the right to make one also where it is there.
    if connection.exec_driver_sql("SELECT to_regnamespace(%s)", (schema,)).scalar_one() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")


def is_there(database: Database) -> bool:
    """Tell whether the database has a schema of this program, of whatever version."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() is not None


def newest_schema(tree: Tree) -> str:
    """Give the version of the schema that this program works with."""
    return ScriptDirectory.from_config(_config(tree)).get_current_head() or ""


def _config(tree: Tree) -> Config:
    config = Config()
    location = files("stoat_ferret.db") / "migrations"
    config.set_main_option("script_location", str(location))
    config.set_main_option("version_locations", str(location / tree))
    config.set_main_option("path_separator", "os")
    config.attributes["tree"] = tree
    return config
