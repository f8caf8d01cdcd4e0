"""The migrations and the tables must describe the same schema."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from stoat_ferret.db import migrating
from stoat_ferret.db.engine import Database, open_postgres, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.migrate import Tree, newest_schema, upgrade
from stoat_ferret.db.tables import catalogue
from stoat_ferret.db.write_lock import Schema
from stoat_ferret.errors import ConfigurationError, StorageError
from tests.postgres import PostgresServer

TREES: list[tuple[Tree, MetaData]] = [("library", catalogue), ("jobs", job_records)]
SCHEMAS: dict[Tree, Schema] = {"library": "stoat_library", "jobs": "stoat_jobs"}

COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), collname, attnotnull, pg_get_expr(adbin, adrelid)
    FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attname
"""
CONSTRAINTS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s ORDER BY conname"
INDEXES = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s ORDER BY 1"
TABLES = "SELECT oid, relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"


def sqlite_schema(database: Database) -> dict[str, Any]:
    """What SQLite says of every table and index, without the wording of the DDL and the order of columns."""
    found: dict[str, Any] = {}
    with database.read() as connection:
        names = connection.exec_driver_sql("SELECT name, type FROM sqlite_master ORDER BY name").all()
        for name, kind in names:
            if name.startswith(("sqlite_", "alembic_")):
                continue
            if kind == "table":
                columns = connection.exec_driver_sql(f"PRAGMA table_info('{name}')").all()
                keys = connection.exec_driver_sql(f"PRAGMA foreign_key_list('{name}')").all()
                found[name] = sorted(tuple(row)[1:] for row in columns), sorted(tuple(row)[2:] for row in keys)
            else:
                columns = connection.exec_driver_sql(f"PRAGMA index_xinfo('{name}')").all()
                sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).scalar()
                found[name] = [tuple(row)[2:] for row in columns], "WHERE" in (sql or "")
    return found


def postgres_schema(database: Database) -> dict[str, Any]:
    """What Postgres says of every table: columns with their collations (in any order), constraints, indexes."""
    found: dict[str, Any] = {}
    with database.read() as connection:

        def ask(query: str, *values: object) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]

        for oid, name in ask(TABLES):
            if not name.startswith("alembic_"):
                found[name] = ask(COLUMNS, oid), ask(CONSTRAINTS, oid), ask(INDEXES, oid)
    return found


@contextmanager
def empty_postgres(server: PostgresServer, tree: Tree) -> Iterator[Database]:
    """Give a database without any schema."""
    with server.database() as url, closing(open_postgres(url, SCHEMAS[tree])) as database:
        yield database


def create_all(database: Database, metadata: MetaData, schema: str | None = None) -> None:
    """Make what the tables module declares."""
    with database.write() as connection:
        if schema is not None:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        metadata.create_all(connection)


@pytest.mark.parametrize(("tree", "metadata"), TREES)
def test_a_fresh_schema_equals_an_upgraded_one(tree: Tree, metadata: MetaData, tmp_path: Path) -> None:
    """What the tables module declares is what the migrations build."""
    with closing(open_sqlite(tmp_path / "fresh.db")) as fresh, closing(open_sqlite(tmp_path / "up.db")) as upgraded:
        create_all(fresh, metadata)
        upgrade(upgraded, tree)
        assert sqlite_schema(fresh) == sqlite_schema(upgraded)
        assert set(metadata.tables) <= set(sqlite_schema(upgraded))


@pytest.mark.postgres
@pytest.mark.parametrize(("tree", "metadata"), TREES)
def test_so_it_is_on_postgres(tree: Tree, metadata: MetaData, postgres: PostgresServer) -> None:
    """Where texts also sort by code point, whatever the database's locale is."""
    with empty_postgres(postgres, tree) as fresh, empty_postgres(postgres, tree) as upgraded:
        create_all(fresh, metadata, SCHEMAS[tree])
        upgrade(upgraded, tree)
        found = postgres_schema(upgraded)
        assert postgres_schema(fresh) == found
        assert set(metadata.tables) <= set(found)
        collations = {column[2] for columns, *_ in found.values() for column in columns}
        assert collations == {None, "C"}


@pytest.mark.postgres
def test_both_databases_have_the_same_tables_and_columns(postgres: PostgresServer, tmp_path: Path) -> None:
    """Only the table of the search index looks different, and SQLite's keeps others behind it."""
    for tree, _ in TREES:
        with empty_postgres(postgres, tree) as there, closing(open_sqlite(tmp_path / f"{tree}.db")) as here:
            upgrade(there, tree)
            upgrade(here, tree)
            with here.read() as connection:
                names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
                tables = {name for name in names if not name.startswith(("sqlite_", "alembic_", "video_grams_"))}
            columns = {name: [column[0] for column in found[0]] for name, found in postgres_schema(there).items()}
            assert set(columns) == tables
            for name in tables - {"video_grams"}:
                assert columns[name] == [column[0] for column in sqlite_schema(here)[name][0]]


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    """The second start finds a current schema and leaves it alone."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        upgrade(database, "library")
        before = sqlite_schema(database)
        upgrade(database, "library")
        assert sqlite_schema(database) == before


@pytest.mark.postgres
def test_upgrading_twice_changes_nothing_on_postgres_either(postgres: PostgresServer) -> None:
    """Nor does it where a schema without anything in it was made beforehand."""
    with empty_postgres(postgres, "library") as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE SCHEMA stoat_library")
        upgrade(database, "library")
        before = postgres_schema(database)
        upgrade(database, "library")
        assert postgres_schema(database) == before


@pytest.mark.postgres
def test_a_database_in_another_encoding_is_refused(postgres: PostgresServer) -> None:
    """It could not hold every name."""
    with postgres.database(encoding="SQL_ASCII") as url, closing(open_postgres(url, "stoat_library")) as there:  # noqa: SIM117
        with pytest.raises(ConfigurationError, match="encoded in SQL_ASCII"):
            upgrade(there, "library")


def test_the_numbers_of_changes_go_on_where_sqlite_had_counted_to(tmp_path: Path) -> None:
    """Also where the newest rows are not there any more."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        upgrade(database, "library", "0001")
        with database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO changes (seq, kind, video_id, path_bytes, path, state, at) "
                "VALUES (7, 'added', 'v', x'2f', '/', 'available', 0)"
            )
            connection.exec_driver_sql("DELETE FROM changes")
        upgrade(database, "library")
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT id, last FROM change_numbers").all() == [(1, 7)]


def test_the_table_of_videos_made_anew_keeps_what_belongs_to_them(tmp_path: Path) -> None:
    """Rows of other tables that refer to a video are there afterwards, and foreign keys are enforced again."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        upgrade(database, "library", "0002")
        with database.write() as connection:
            for statement in A_VIDEO:
                connection.exec_driver_sql(statement)
        upgrade(database, "library")
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT pk, id, path_bytes, birth_ns FROM videos").all() == [
                (7, "v", b"/v.mp4", None)
            ]
            assert connection.exec_driver_sql("SELECT video_pk, tags FROM video_details").all() == [(7, "{}")]
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM videos")
            assert connection.exec_driver_sql("SELECT count(*) FROM video_details").scalar_one() == 0


A_VIDEO = (
    "INSERT INTO libraries (id, name, path_bytes, path, max_loss_fraction, state, created_at) "
    "VALUES ('l', 'l', x'2f', '/', 0.5, 'online', 0)",
    "INSERT INTO folders (pk, library_id, path_bytes) VALUES (3, 'l', x'2f')",
    "INSERT INTO videos (pk, id, library_id, folder_pk, path_bytes, path, filename, size, mtime_ns, inode, device, "
    "modified_at, added_at, updated_at, state, probe_level) "
    "VALUES (7, 'v', 'l', 3, x'2f762e6d7034', '/v.mp4', 'v.mp4', 1, 1, 1, 1, 1, 1, 1, 'available', 'full')",
    "INSERT INTO video_details (video_pk, streams, chapters, tags) VALUES (7, '[]', '[]', '{}')",
)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program says that it is too old, instead of writing into tables it does not know."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        upgrade(database, "library")
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StorageError, match="newer version"):
            upgrade(database, "library")


@pytest.mark.parametrize("tree", ["library", "jobs"])
def test_the_present_version_is_the_one_that_the_steps_lead_to(tree: Tree) -> None:
    """It is written down so that no start has to read all steps."""
    assert newest_schema(tree) == migrating.newest(tree)


def test_a_database_of_the_present_version_is_opened_without_alembic(tmp_path: Path) -> None:
    """Which takes longer to load than a start can spare."""
    with closing(open_sqlite(tmp_path / "library.db")) as database:
        upgrade(database, "library")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import stoat_ferret.runtime\n"
        "from stoat_ferret.db.engine import open_sqlite\n"
        "from stoat_ferret.db.migrate import is_there, upgrade\n"
        "database = open_sqlite(Path(sys.argv[1]))\n"
        "upgrade(database, 'library')\n"
        "assert is_there(database)\n"
        "database.close()\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "library.db")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
