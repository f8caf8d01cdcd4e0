"""Where the databases of a tortured program lie: SQLite files, or a Postgres server with a database for each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL

from stoat_ferret.db.engine import Database, open_postgres, open_sqlite
from stoat_ferret.db.write_lock import Schema
from tests.postgres import PostgresServer, postgres_server


class Engine(Protocol):
    """One kind of database."""

    name: str

    def environment(self, data: Path) -> dict[str, str]:
        """Give the settings with which a program uses the databases of the data directory `data`."""
        ...

    def open_library(self, data: Path) -> Database:
        """Open the catalogue, to look at it past the program."""
        ...

    def open_jobs(self, data: Path) -> Database:
        """Open the job records, likewise."""
        ...

    def damage(self, data: Path) -> list[str]:
        """Give what the database itself finds wrong with its files."""
        ...


class Sqlite:
    """Two files in the data directory."""

    name = "sqlite"

    def environment(self, _data: Path) -> dict[str, str]:
        """Give nothing: it is what is used when nothing is said."""
        return {}

    def open_library(self, data: Path) -> Database:
        """Open library.db."""
        return open_sqlite(data / "library.db")

    def open_jobs(self, data: Path) -> Database:
        """Open jobs.db."""
        return open_sqlite(data / "jobs.db")

    def damage(self, data: Path) -> list[str]:
        """Have SQLite check both files, indexes and foreign keys included."""
        found: list[str] = []
        for name, open_it in (("library.db", self.open_library), ("jobs.db", self.open_jobs)):
            database = open_it(data)
            with database.read() as connection:
                lines = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
                orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            database.close()
            found += [f"{name}: {line}" for line in lines if line != "ok"]
            found += [f"{name}: a row without what it refers to: {tuple(row)}" for row in orphans]
        return found


class Postgres:
    """A server; each data directory has a database of its own there."""

    name = "postgres"

    def __init__(self, server: PostgresServer, opened: ExitStack) -> None:
        self._server = server
        self._opened = opened
        self._urls: dict[Path, URL] = {}

    def environment(self, data: Path) -> dict[str, str]:
        """Give the address of the directory's database, which is made, empty, when it is first asked for."""
        return {"STOAT_DATABASE_URL": self._url(data).render_as_string(hide_password=False)}

    def open_library(self, data: Path) -> Database:
        """Open the catalogue's schema."""
        return self._open(data, "stoat_library")

    def open_jobs(self, data: Path) -> Database:
        """Open the job records' schema."""
        return self._open(data, "stoat_jobs")

    def damage(self, data: Path) -> list[str]:
        """Have Postgres check every B-tree against its table, where its extension for that is installed."""
        database = self._open(data, "stoat_library")
        found: list[str] = []
        with database.engine.begin() as connection:
            available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'"
            if connection.exec_driver_sql(available).scalar_one():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA public")
                connection.exec_driver_sql(
                    "SELECT public.bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
                    "JOIN pg_namespace n ON n.oid = c.relnamespace "
                    "WHERE a.amname = 'btree' AND n.nspname IN ('stoat_library', 'stoat_jobs')"
                )
        database.close()
        return found

    def _url(self, data: Path) -> URL:
        if data not in self._urls:
            self._urls[data] = self._opened.enter_context(self._server.database())
        return self._urls[data]

    def _open(self, data: Path, schema: Schema) -> Database:
        return open_postgres(self._url(data), schema)


@contextmanager
def open_engine(name: str) -> Iterator[Engine]:
    """Give the engine `sqlite` or `postgres`; the latter with a running server."""
    if name == "sqlite":
        yield Sqlite()
        return
    with postgres_server() as server, ExitStack() as opened:
        yield Postgres(server, opened)
