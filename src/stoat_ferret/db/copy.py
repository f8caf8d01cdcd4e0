"""Takes all rows of one database to another, of either kind, and makes sure that they came through.

Rows keep their keys. Each table's rows are counted and summed up on both sides: a checksum that does not depend on the
order of rows, over their values as Python has them, which are the same whatever database holds them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    inspect,
    select,
    type_coerce,
)
from sqlalchemy import cast as sql_cast

from stoat_ferret.db.columns import storable, storable_json
from stoat_ferret.db.engine import Database
from stoat_ferret.db.job_tables import job_records, workers
from stoat_ferret.db.migrate import Tree
from stoat_ferret.db.tables import catalogue
from stoat_ferret.db.write_lock import APPLICATION, WRITE_LOCKS, Schema
from stoat_ferret.errors import StorageError

ROWS_A_STEP = 1_000
TABLES: Mapping[Tree, Sequence[Table]] = {"library": catalogue.sorted_tables, "jobs": job_records.sorted_tables}
"""All tables with data of their own, those that others refer to first. The search index is made from `video_texts`."""
SCHEMAS: Mapping[Tree, Schema] = {"library": "stoat_library", "jobs": "stoat_jobs"}

_SUSPECT = ("NaN", "Infinity", "\\u0000", "\\ud", "\\uD")

Step = Callable[[int], None]
"""Told after every few rows how many were dealt with since."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows a table has, and what they add up to."""

    rows: int = 0
    checksum: int = 0

    def of(self, rows: Sequence[tuple[Any, ...]]) -> "Tally":
        """Give the tally with these rows added."""
        total: int = sum(xxhash.xxh3_64_intdigest(repr(row).encode("utf-8", "surrogatepass")) for row in rows)
        return Tally(self.rows + len(rows), (self.checksum + total) % (1 << 64))


def count_rows(connection: Connection, tables: Sequence[Table]) -> dict[str, int]:
    """Count every table's rows."""
    return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


def count_present_rows(database: Database, tree: Tree) -> dict[str, int]:
    """Count the rows of all tables that are there, whatever version of the schema they are of."""
    with database.read() as connection:
        there = inspect(connection).get_table_names(schema=SCHEMAS[tree] if database.is_postgres else None)
        return count_rows(connection, [table for table in TABLES[tree] if table.name in there])


def clear_workers(connection: Connection) -> None:
    """Forget the workers that once ran here; what they were running is told by the jobs."""
    connection.execute(workers.delete())


def count_live_workers(database: Database, lease_seconds: float) -> int:
    """Count the workers that were heard of within the lease, by the database's own clock."""
    clock = "extract(epoch FROM clock_timestamp())" if database.is_postgres else "strftime('%s', 'now')"
    with database.read() as connection:
        now = float(connection.exec_driver_sql(f"SELECT {clock}").scalar_one())
        since = int((now - lease_seconds) * 1_000_000)
        query = select(func.count()).select_from(workers).where(workers.c.seen_at > since)
        return connection.execute(query).scalar_one()


def use_schema(connection: Connection, tree: Tree) -> None:
    """On Postgres: let the rest of a transaction work in one of the two schemas, as its only writer, unhurried.

    Both schemas are written in one transaction so, and a copy that is interrupted leaves neither half-written.
    """
    if connection.dialect.name == "postgresql":
        schema = SCHEMAS[tree]
        connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout TO 0")
        connection.exec_driver_sql(f"SET LOCAL application_name TO '{APPLICATION} copy'")  # nor does anyone else end it
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCKS[schema]})")


def copy_rows(source: Connection, destination: Connection, tables: Sequence[Table], step: Step) -> dict[str, Tally]:
    """Copy every row, and give what each table was seen to hold."""
    tallies: dict[str, Tally] = {}
    for table in tables:
        tally = Tally()
        statement = _insertion(destination, table)
        names = [_parameter(column) for column in table.columns]
        cleaners = [_clean_json if _is_json(column) else _clean for column in table.columns]
        for rows in _rows(source, table):
            clean = [tuple(c(value) for c, value in zip(cleaners, row, strict=True)) for row in rows]
            tally = tally.of(clean)
            destination.execute(statement, [dict(zip(names, row, strict=True)) for row in clean])
            step(len(rows))
        tallies[table.name] = tally
    return tallies


def verify(connection: Connection, expected: Mapping[str, Tally], tables: Sequence[Table], step: Step) -> None:
    """Read back what was copied.

    Raises:
        StorageError: a table holds something else than it should.
    """
    for table in tables:
        tally = Tally()
        for rows in _rows(connection, table):
            tally = tally.of(rows)
            step(len(rows))
        wanted = expected[table.name]
        if tally.rows != wanted.rows:
            raise _given_up(table, f"{tally.rows:,} rows instead of {wanted.rows:,}")
        if tally != wanted:
            raise _given_up(table, "rows that are not those of the source")


def _given_up(table: Table, found: str) -> StorageError:
    return StorageError(f"The copy was given up, and nothing is left of it: the table {table.name} had {found}.")


def pass_largest_keys(connection: Connection, tables: Sequence[Table]) -> None:
    """On Postgres: let keys that are given from now on follow the largest there is."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        sequence = _sequence(connection, table)
        if sequence is not None:
            (key,) = table.primary_key.columns
            largest = connection.execute(select(func.max(key))).scalar_one()
            if largest is not None:
                connection.exec_driver_sql("SELECT setval(%s, %s)", (sequence, largest))


def _sequence(connection: Connection, table: Table) -> str | None:
    column = table.autoincrement_column
    if column is None:
        return None
    found = connection.exec_driver_sql("SELECT pg_get_serial_sequence(%s, %s)", (table.name, column.name)).scalar_one()
    return None if found is None else str(found)


def _rows(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    result = connection.execute(_selection(connection, table), execution_options={"yield_per": ROWS_A_STEP})
    for partition in result.partitions():
        yield [tuple(row) for row in partition]


def _selection(connection: Connection, table: Table) -> Select[Any]:
    """Read JSON as the text it is: so SQL's NULL and JSON's null stay two things."""
    as_text = sql_cast if connection.dialect.name == "postgresql" else type_coerce
    columns: list[Any] = [as_text(column, Text) if _is_json(column) else column for column in table.columns]
    return select(*columns).order_by(*table.primary_key.columns)


def _insertion(connection: Connection, table: Table) -> Insert:
    values: dict[str, Any] = {}
    for column in table.columns:
        value = bindparam(_parameter(column), type_=Text() if _is_json(column) else column.type)
        casts = _is_json(column) and connection.dialect.name == "postgresql"
        values[column.name] = sql_cast(value, JSON) if casts else value
    return insert(table).values(values)


def _parameter(column: Column[Any]) -> str:
    return f"new_{column.name}"  # a column's own name is taken by SQLAlchemy


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, JSON) or isinstance(getattr(column.type, "impl", None), JSON)


def _clean(value: Any) -> Any:
    """Give the value as every database takes it; older versions stored text that Postgres does not."""
    return storable(value) if isinstance(value, str) else value


def _clean_json(text: Any) -> Any:
    if not isinstance(text, str) or not any(part in text for part in _SUSPECT):
        return text
    return json.dumps(storable_json(json.loads(text)))
