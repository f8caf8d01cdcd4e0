"""The steps from one schema to the next, by Alembic; imported only where there is one to take: that takes 0.1 s."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import ConfigurationError, StorageError


def take(database: Database, tree: str, present: str | None, version: str) -> None:
    """Take all steps from a version to another one.

    Args:
        database: to be changed; the steps are one transaction.
        tree: whose steps.
        present: the version that was found; None of an empty database.
        version: the one to go to, or "head".

    Raises:
        As `migrate.upgrade`.
    """
    config = _config(tree)
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
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


def newest(tree: str) -> str | None:
    """Give the version that the last step leads to."""
    return ScriptDirectory.from_config(_config(tree)).get_current_head()


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


def _config(tree: str) -> Config:
    config = Config()
    location = files("stoat_ferret.db") / "migrations"
    config.set_main_option("script_location", str(location))
    config.set_main_option("version_locations", str(location / tree))
    config.set_main_option("path_separator", "os")
    config.attributes["tree"] = tree
    return config
