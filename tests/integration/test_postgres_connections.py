"""Connections to Postgres that the server has cut."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import URL, Connection, event

from stoat_ferret.db.engine import Database, open_postgres
from stoat_ferret.errors import StorageUnreachableError
from stoat_ferret.jobs.store.records import BY_ID

pytestmark = pytest.mark.postgres

END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'stoat-ferret'"
)


@pytest.fixture
def database(postgres_database: URL) -> Iterator[Database]:
    """Give the job records."""
    with closing(open_postgres(postgres_database, "stoat_jobs")) as database:
        yield database


@pytest.fixture
def other(postgres_database: URL) -> Iterator[Database]:
    """Give the same with connections of its own."""
    with closing(open_postgres(postgres_database, "stoat_library")) as database:
        yield database


def end_others(database: Database) -> None:
    with database.ask() as connection:
        assert connection.exec_driver_sql(END_OTHERS).all()


def look(connection: Connection) -> None:
    assert BY_ID.rows(connection, job_id="none") == []


def test_idle_connections_that_were_cut_are_replaced(database: Database, other: Database) -> None:
    """Before they are used: nobody is told."""
    for use in (database.ask, database.read, database.write, database.ask):
        with use() as connection:
            look(connection)
        end_others(other)
    with database.write() as connection:
        look(connection)


def test_a_connection_that_is_cut_in_use_is_not_used_again(database: Database, other: Database) -> None:
    """Whoever has it is told that the server is gone, whichever way the statement was sent."""
    for use in (database.ask, database.read, database.write):

        def look_again() -> None:
            with use() as connection:  # noqa: B023  # it is called at once
                look(connection)
                end_others(other)
                look(connection)

        with pytest.raises(StorageUnreachableError):
            look_again()
        with use() as connection:
            look(connection)


def test_a_connection_that_is_cut_before_its_first_use_says_so(database: Database, other: Database) -> None:
    """In the words of all others, for whoever tries again."""

    @event.listens_for(database.engine, "connect")
    def cut(connection: Any, _record: object) -> None:
        with other.ask() as asking:
            asking.exec_driver_sql(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)").all()

    def use() -> None:
        with database.ask() as connection:
            look(connection)

    for _ in range(3):
        with pytest.raises(StorageUnreachableError):
            use()
