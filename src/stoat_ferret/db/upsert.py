"""An INSERT that may say what is to be done where the row is there already: SQLAlchemy has one for each database."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from stoat_ferret.db.prepared import Prepared


def insert(connection: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Give an INSERT with `on_conflict_do_update`, `on_conflict_do_nothing` and `excluded`."""
    return inserting(connection.dialect.name, table)


def inserting(dialect: str, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Give the same for a kind of database by its name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_all(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    over: Collection[str] = (),
    adding: Collection[str] = (),
) -> None:
    """Insert rows that all name the same columns, without what SQLAlchemy does anew for each of them.

    Args:
        connection: in a transaction.
        table: where.
        rows: values by column.
        over: the columns of a key: a row that is there already under it gets the new values.
        adding: of these columns, then, what is there and the new value come to the sum.
    """
    if rows:
        _statement(connection.dialect.name, table, tuple(rows[0]), tuple(over), tuple(adding)).many(connection, rows)


@cache
def _statement(
    dialect: str, table: Table, columns: tuple[str, ...], over: tuple[str, ...], adding: tuple[str, ...]
) -> Prepared:
    statement = inserting(dialect, table).values({name: bindparam(name) for name in columns})
    if over:
        given = statement.excluded
        changed = {
            name: table.c[name] + given[name] if name in adding else given[name] for name in columns if name not in over
        }
        statement = statement.on_conflict_do_update(index_elements=list(over), set_=changed)
    return Prepared(statement)
