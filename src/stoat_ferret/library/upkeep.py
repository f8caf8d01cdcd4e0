"""What keeps the catalogue quick: telling the database, after much has changed, how its tables look now."""

from stoat_ferret.db.engine import Database


def analyze(database: Database) -> None:
    """Let the database look at its tables anew, so that it plans queries for what is in them; takes seconds at most.

    Raises:
        StorageError: the database could not be written.
    """
    with database.write(durable=False) as connection:
        if database.is_postgres:
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
            names = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
            for name in names.scalars().all():
                connection.exec_driver_sql(f'ANALYZE "{name}"')
        else:
            # https://www.sqlite.org/pragma.html#pragma_optimize: a bounded look at every table, also at those that
            # this connection has not asked yet.
            connection.exec_driver_sql("PRAGMA analysis_limit=400")
            connection.exec_driver_sql("PRAGMA optimize(0x10002)")
