"""Statements that run thousands of times a minute, without what SQLAlchemy does anew at each run.

For a statement that SQLite runs in 10 µs, SQLAlchemy takes 200: it looks up the compiled form, makes a context, wraps
the rows. Here a statement of SQLAlchemy Core is compiled once, and its text is given to the driver, with the same
conversions of values. So schema and statements are still stated once, in one language. On Postgres, where each
statement is a journey to the server, it runs in the ordinary way.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, CompoundSelect, Connection, Delete, Insert, Select, Update, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from stoat_ferret.db.columns import Json
from stoat_ferret.db.engine import on_driver

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
        self._compiled: _Compiled | None = None

    def rows(self, connection: Connection, **parameters: Any) -> list[dict[str, Any]]:
        """Give all that the statement finds or returns, detached from it."""
        if connection.dialect.name != "sqlite":
            return [dict(found) for found in connection.execute(self.statement, parameters).mappings()]
        return self._for_sqlite().rows(connection, parameters)

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Run it for its effect; gives the number of rows that it changed."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self.statement, dict(parameters)).rowcount
        return self._for_sqlite().execute(connection, parameters).rowcount

    def _for_sqlite(self) -> "_Compiled":
        # Two threads that come first both compile it; either result will do.
        if self._compiled is None:
            self._compiled = _Compiled(self.statement)
        return self._compiled


class _Compiled:
    """The text of a statement for SQLite, and how its values are converted."""

    def __init__(self, statement: Statement) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  # Core's statements have no other
        self._text = str(compiled)
        names = compiled.positiontup or []
        self._binds = [(name, _converts_to(compiled, name)) for name in names]
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._columns = [(column.name, _converts_from(column)) for column in statement.exported_columns]

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        given = {**self._constants, **parameters} if self._constants else parameters
        values = [
            value if convert is None or value is None else convert(value)
            for name, convert in self._binds
            for value in [given[name]]
        ]
        return on_driver(connection).execute(self._text, values)

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                name: value if convert is None or value is None else convert(value)
                for (name, convert), value in zip(self._columns, found, strict=True)
            }
            for found in self.execute(connection, parameters).fetchall()
        ]


def _converts_to(compiled: SQLCompiler, name: str) -> Convert:
    return compiled.binds[name].type.dialect_impl(_SQLITE).bind_processor(_SQLITE)


def _converts_from(column: Any) -> Convert:
    convert: Convert = column.type.dialect_impl(_SQLITE).result_processor(_SQLITE, None)
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
