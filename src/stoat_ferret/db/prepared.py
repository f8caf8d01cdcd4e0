"""Statements that run thousands of times a minute, without what SQLAlchemy does anew at each run.

For a statement that SQLite runs in 10 µs, SQLAlchemy takes 200: it looks up the compiled form, makes a context, wraps
the rows. Here a statement of SQLAlchemy Core is compiled once for each kind of database, and its text is given to the
driver, with the same conversions of values. So schema and statements are still stated once, in one language. On
Postgres, where a statement takes as long as its journey to the server, others wait meanwhile for the lock under which
it runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Update,
    bindparam,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from stoat_ferret.db.columns import Json

Statement = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete
Convert = Callable[[Any], Any] | None

_SQLITE = sqlite.dialect(paramstyle="qmark")


class Prepared:
    """A statement whose parameters are all named in it, each with a single value.

    Its parameters must be given anew at each run: a value that the statement was built with counts as a constant. None
    is NULL in every column, also in one of JSON. Errors are the driver's own; `Database` translates them.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **parameters: Any) -> list[dict[str, Any]]:
        """Give all that the statement finds or returns, detached from it."""
        return self._for(connection).rows(connection, parameters)

    def send(self, connection: Connection, parameters: Mapping[str, Any]) -> Callable[[], list[dict[str, Any]]]:
        """Have it run together with others (`Database.write_at_once`); what it gives can be asked for afterwards."""
        compiled = self._for(connection)
        cursor = compiled.execute(connection, parameters)
        return lambda: compiled.given(cursor)

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Run it for its effect; gives the number of rows that it changed."""
        count: int = self._for(connection).execute(connection, parameters).rowcount
        return count

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for its effect with one set of parameters after another."""
        if rows:
            self._for(connection).many(connection, rows)

    def _for(self, connection: Connection) -> "_Compiled":
        # Two threads that come first both compile it; either result will do.
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = _Compiled(self.statement, _SQLITE if dialect.name == "sqlite" else dialect)
        return self._compiled[dialect.name]


class _Compiled:
    """The text of a statement for a driver, and how its values are converted."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  # Core's statements have no other
        self._text = str(compiled)
        self._by_position = compiled.positional
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        names = (compiled.positiontup or []) if compiled.positional else list(binds)
        self._binds = [(name, _to_driver(binds[name], dialect)) for name in names]
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._dialect = dialect
        self._exported = list(statement.exported_columns)
        self._columns: list[tuple[str, Convert]] | None = None

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> Any:
        driver: Any = connection.connection.driver_connection
        return driver.execute(self._text, self._values(parameters))

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        driver: Any = connection.connection.driver_connection
        with closing(driver.cursor()) as cursor:
            cursor.executemany(self._text, [self._values(parameters) for parameters in rows])

    def _values(self, parameters: Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        given = {**self._constants, **parameters} if self._constants else parameters
        values = [
            value if convert is None or value is None else convert(value)
            for name, convert in self._binds
            for value in [given[name]]
        ]
        if self._by_position:
            return values
        return {name: value for (name, _), value in zip(self._binds, values, strict=True)}

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.given(self.execute(connection, parameters))

    def given(self, cursor: Any) -> list[dict[str, Any]]:
        columns = self._columns
        if columns is None:
            columns = self._columns = [
                (column.name, _from_driver(column, self._dialect, described[1]))
                for column, described in zip(self._exported, cursor.description, strict=True)
            ]
        return [
            {
                name: value if convert is None or value is None else convert(value)
                for (name, convert), value in zip(columns, found, strict=True)
            }
            for found in cursor.fetchall()
        ]


def _to_driver(bind: BindParameter[Any], dialect: Dialect) -> Convert:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(column: ColumnElement[Any], dialect: Dialect, type_code: Any) -> Convert:
    # What the driver calls the type, PEP 249's `type_code`: SQLite's has none.
    convert: Convert = column.type.dialect_impl(dialect).result_processor(dialect, type_code)
    return convert


def among(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """SQL: the column is one of a list, which is given under a name as a single parameter, however long it is."""
    return _Among(column, bindparam(name, type_=Json))


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True


@compiles(_Among, "sqlite")
def _among_in_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    return _among("json_each", element, compiler, options)


@compiles(_Among, "postgresql")
def _among_in_postgres(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    return _among("json_array_elements_text", element, compiler, options)


def _among(elements_of: str, element: _Among, compiler: SQLCompiler, options: dict[str, Any]) -> str:
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"({column} IN (SELECT value FROM {elements_of}({values})))"  # noqa: S608  # of what the compiler makes
