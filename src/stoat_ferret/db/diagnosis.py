"""Looking at a database without changing it, and at what SQLite can do here."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stoat_ferret.db.migrate import Tree, newest_schema

PROBLEMS_READ = 3
WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """How a database stands."""

    problem: str | None
    """What is wrong with the file, as SQLite says it; None where nothing is."""
    schema: str | None
    """The version of its schema; None where it has none or could not be read."""
    newest: str
    """The version that this program works with."""


@dataclass(frozen=True, slots=True)
class SqliteFeatures:
    """What SQLite can do here."""

    version: str
    full_text_search: bool


def examine(path: Path, tree: Tree) -> DatabaseState:
    """Read a whole database file and check that it is sound. Never writes and never makes one."""
    newest = newest_schema(tree)
    try:
        with closing(_open_to_read(path)) as connection:
            lines = [row[0] for row in connection.execute(f"PRAGMA quick_check({PROBLEMS_READ})")]
            problem = None if lines == ["ok"] else "; ".join(lines)
            return DatabaseState(problem, _schema(connection), newest)
    except sqlite3.Error as error:
        return DatabaseState(str(error), None, newest)


def sqlite_features() -> SqliteFeatures:
    """Find out by trying."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE probe USING fts5(words)")
        except sqlite3.Error:
            return SqliteFeatures(sqlite3.sqlite_version, full_text_search=False)
    return SqliteFeatures(sqlite3.sqlite_version, full_text_search=True)


def _open_to_read(path: Path) -> sqlite3.Connection:
    # https://www.sqlite.org/uri.html
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=WAIT_SECONDS)


def _schema(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])
