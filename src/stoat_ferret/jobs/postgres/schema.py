"""Procrastinate's own tables and functions, beside the job records. They follow its version, not that of this program.

A new database gets its present schema. One that an earlier version has made gets what that version did not have yet:
the migrations that come with it, whose names sort by version, and of which it is recorded here which were done.
"""

from importlib.resources import files

from sqlalchemy import Connection

from stoat_ferret.db.engine import Database

DONE = "CREATE TABLE IF NOT EXISTS procrastinate_migrations (name text PRIMARY KEY)"
IS_THERE = "SELECT to_regclass(%s) IS NOT NULL"
# A table that is always nearly empty and always changing: left alone, its statistics would soon be of another time.
KEEP_TIDY = (
    "ALTER TABLE procrastinate_jobs SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, "
    "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000)"
)


def install_engine(database: Database) -> None:
    """Create or upgrade what Procrastinate needs; does nothing, quickly, where it is current.

    Raises:
        StorageError: the database cannot be written.
    """
    known = migrations()
    with database.read() as connection:
        if known.keys() <= _done(connection):
            return
    # Two processes may start at once: the second one waits here, and then finds nothing to do.
    with database.write() as connection:
        connection.exec_driver_sql(DONE)
        if connection.exec_driver_sql(IS_THERE, ("procrastinate_jobs",)).scalar_one():
            missing = {name: known[name] for name in sorted(known.keys() - _done(connection))}
            for script in missing.values():
                _run(connection, script)
        else:
            missing = known
            _run(connection, (files("procrastinate.sql") / "schema.sql").read_text("utf-8"))
            connection.exec_driver_sql(KEEP_TIDY)
        for name in missing:
            connection.exec_driver_sql("INSERT INTO procrastinate_migrations (name) VALUES (%s)", (name,))


def migrations() -> dict[str, str]:
    """Give the migrations that Procrastinate comes with, by name, in their order."""
    folder = files("procrastinate.sql") / "migrations"
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return {each.name: each.read_text("utf-8") for each in found}


def _done(connection: Connection) -> set[str]:
    if not connection.exec_driver_sql(IS_THERE, ("procrastinate_migrations",)).scalar_one():
        return set()
    return set(connection.exec_driver_sql("SELECT name FROM procrastinate_migrations").scalars())


def _run(connection: Connection, script: str) -> None:
    # Without parameters, so that the driver takes several statements at once, and no % for a placeholder.
    connection.exec_driver_sql(script, execution_options={"no_parameters": True}).close()
