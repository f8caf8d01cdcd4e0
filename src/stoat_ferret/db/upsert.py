"""An INSERT that may say what is to be done where the row is there already: SQLAlchemy has one for each database."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(connection: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Give an INSERT with `on_conflict_do_update`, `on_conflict_do_nothing` and `excluded`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
