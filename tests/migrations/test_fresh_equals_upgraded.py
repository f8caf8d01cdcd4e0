"""The migrations and the tables must describe the same schema."""

from pathlib import Path

import pytest
from sqlalchemy import MetaData

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.migrate import Tree, upgrade
from stoat_ferret.db.tables import catalogue
from stoat_ferret.errors import StorageError


def schema(database: Database) -> dict[str, object]:
    """What SQLite says of every table and index, without the wording of the DDL."""
    found: dict[str, object] = {}
    with database.read() as connection:
        names = connection.exec_driver_sql("SELECT name, type FROM sqlite_master ORDER BY name").all()
        for name, kind in names:
            if name.startswith(("sqlite_", "alembic_")):
                continue
            if kind == "table":
                columns = connection.exec_driver_sql(f"PRAGMA table_info('{name}')").all()
                keys = connection.exec_driver_sql(f"PRAGMA foreign_key_list('{name}')").all()
                found[name] = [tuple(row)[1:] for row in columns], sorted(tuple(row)[2:] for row in keys)
            else:
                columns = connection.exec_driver_sql(f"PRAGMA index_xinfo('{name}')").all()
                sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).scalar()
                found[name] = [tuple(row)[2:] for row in columns], "WHERE" in (sql or "")
    return found


@pytest.mark.parametrize(("tree", "metadata"), [("library", catalogue), ("jobs", job_records)])
def test_a_fresh_schema_equals_an_upgraded_one(tree: Tree, metadata: MetaData, tmp_path: Path) -> None:
    """What the tables module declares is what the migrations build."""
    fresh, upgraded = open_sqlite(tmp_path / "fresh.db"), open_sqlite(tmp_path / "upgraded.db")
    with fresh.write() as connection:
        metadata.create_all(connection)
    upgrade(upgraded, tree)
    assert schema(fresh) == schema(upgraded)
    assert set(metadata.tables) <= set(schema(upgraded))
    fresh.close()
    upgraded.close()


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    """The second start finds a current schema and leaves it alone."""
    database = open_sqlite(tmp_path / "library.db")
    upgrade(database, "library")
    before = schema(database)
    upgrade(database, "library")
    assert schema(database) == before
    database.close()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program says that it is too old, instead of writing into tables it does not know."""
    database = open_sqlite(tmp_path / "library.db")
    upgrade(database, "library")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="newer version"):
        upgrade(database, "library")
    database.close()
