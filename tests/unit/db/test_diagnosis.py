"""Looking at a database without changing it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stoat_ferret.db.diagnosis import DatabaseState, examine, sqlite_features
from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.db.migrate import newest_schema, upgrade


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The file of a sound catalogue, whose name an URI would have to quote."""
    path = tmp_path / "libr%20ary?#.db"
    database = open_sqlite(path)
    upgrade(database, "library")
    database.close()
    return path


def test_a_sound_database_has_no_problem_and_the_newest_schema(library: Path) -> None:
    """And nothing is left beside it."""
    newest = newest_schema("library")
    assert examine(library, "library") == DatabaseState(None, newest, newest)


def test_a_file_that_is_no_database_has_a_problem(tmp_path: Path) -> None:
    """And is left as it is."""
    path = tmp_path / "library.db"
    path.write_bytes(b"garbage" * 1000)
    state = examine(path, "library")
    assert (state.problem, state.schema) == ("file is not a database", None)
    assert path.read_bytes() == b"garbage" * 1000


def test_a_damaged_page_is_found(library: Path) -> None:
    """By reading all of it."""
    with library.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(4096))
    assert examine(library, "library").problem


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Looking changes nothing."""
    assert examine(tmp_path / "library.db", "library").problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_a_database_may_have_no_schema(library: Path, statement: str) -> None:
    """It is sound all the same."""
    with closing(sqlite3.connect(library)) as connection, connection:
        connection.execute(statement)
    state = examine(library, "library")
    assert (state.problem, state.schema) == (None, None)


def test_sqlite_can_search_text_here() -> None:
    """Or nothing of this program would work."""
    assert sqlite_features().full_text_search


def test_an_sqlite_without_full_text_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By trying."""

    class Lacking(sqlite3.Connection):
        def execute(self, *_arguments: object) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("no such module: fts5")

    monkeypatch.setattr(sqlite3, "connect", Lacking)
    assert not sqlite_features().full_text_search
