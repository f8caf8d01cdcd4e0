"""The write lock on Postgres: a process that is stopped with it does not keep the others from writing."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Connection, func, literal, select

from stoat_ferret.db import write_lock
from stoat_ferret.db.at_once import write_at_once
from stoat_ferret.db.engine import Database, open_postgres
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.write_lock import APPLICATION, WRITE_LOCKS
from stoat_ferret.errors import StorageBusyError, StorageError

pytestmark = pytest.mark.postgres

HANG_SECONDS = 60.0
ONE = Prepared(select(literal(1).label("one")))
LOCK = f"SELECT pg_advisory_xact_lock({WRITE_LOCKS['stoat_library']})".encode()


@pytest.fixture
def database(postgres_database: URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give the catalogue's database, whose users are less patient than by default."""
    monkeypatch.setattr("stoat_ferret.db.engine.BUSY_TIMEOUT_MS", 1_000)
    monkeypatch.setattr(write_lock, "SILENT_SECONDS", 0.5)
    with closing(open_postgres(postgres_database, "stoat_library")) as database:
        yield database


@contextmanager
def holder(
    database: Database, url: URL, *statements: bytes, name: str = APPLICATION
) -> "Iterator[psycopg.Connection[Any]]":
    """Hold the lock in the midst of a pipeline, as a process does that is stopped while it sends rows."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(address, application_name=name)) as connection:
        pg = connection.pgconn
        pg.enter_pipeline_mode()
        for statement in (b"BEGIN", LOCK, *statements):
            pg.send_query_params(statement, [])
        pg.send_flush_request()
        pg.flush()
        waits_for = "PgSleep" if statements else "ClientRead"
        until = time.monotonic() + HANG_SECONDS
        while state(database, connection.info.backend_pid) != ("active", waits_for):
            assert time.monotonic() < until
        yield connection
        connection.cancel()


def state(database: Database, process: int) -> tuple[Any, ...] | None:
    with database.read() as connection:
        query = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s"
        found = connection.exec_driver_sql(query, (process,)).first()
    return None if found is None else tuple(found)


def write(database: Database) -> int:
    with database.write() as connection:
        return int(connection.exec_driver_sql("SELECT 1").scalar_one())


def write_whole(database: Database) -> int:
    """Do the same in one journey to the server."""
    (found,) = write_at_once(database, "stoat_library", lambda connection: ONE.send(connection, {}))()
    return int(found["one"])


Write = Callable[[Database], int]


@pytest.mark.parametrize("write", [write, write_whole])
def test_who_is_stopped_in_the_midst_of_a_pipeline_is_ended(
    database: Database, postgres_database: URL, write: Write
) -> None:
    """The server itself would take that session for one at work, for ever."""
    with holder(database, postgres_database) as stopped:
        process = stopped.info.backend_pid
        assert write(database) == 1
        assert state(database, process) is None


@pytest.mark.parametrize("write", [write, write_whole])
def test_who_is_at_work_is_left_alone(database: Database, postgres_database: URL, write: Write) -> None:
    """Then the database is busy, and whoever asked may try again."""
    with holder(database, postgres_database, b"SELECT pg_sleep(60)") as working:
        with pytest.raises(StorageBusyError):
            write(database)
        assert state(database, working.info.backend_pid) == ("active", "PgSleep")


def test_what_may_be_silent_for_long_is_left_alone(database: Database, postgres_database: URL) -> None:
    """A copy of a whole library has another name."""
    with holder(database, postgres_database, name=f"{APPLICATION} copy") as copying:
        with pytest.raises(StorageBusyError):
            write(database)
        assert state(database, copying.info.backend_pid) is not None


def test_what_is_sent_as_a_whole_is_there_as_a_whole_or_not_at_all(database: Database) -> None:
    """Each of its statements may be the one that fails."""

    def counts(then: str) -> Callable[[Connection], None]:
        def send(connection: Connection) -> None:
            driver: Any = connection.connection.driver_connection
            driver.execute("CREATE TABLE left_over (n INTEGER)")
            driver.execute(then)

        return send

    def tables() -> list[str]:
        with database.read() as connection:
            query = "SELECT tablename FROM pg_tables WHERE tablename = 'left_over'"
            return list(connection.exec_driver_sql(query).scalars())

    with pytest.raises(StorageError, match="division by zero"):
        write_at_once(database, "stoat_library", counts("SELECT 1 / 0"))
    assert tables() == []
    write_at_once(database, "stoat_library", counts("SELECT 1"))
    assert tables() == ["left_over"]


def test_what_is_sent_as_a_whole_is_on_the_disk(database: Database) -> None:
    """Also where the connection was used before for what may be undone."""
    with database.write(durable=False):
        pass
    show = Prepared(select(func.current_setting("synchronous_commit").label("synchronous")))
    found = write_at_once(database, "stoat_library", lambda connection: show.send(connection, {}))
    assert found() == [{"synchronous": "on"}]


def test_only_what_may_be_undone_does_not_wait_for_the_disk(database: Database) -> None:
    """What was acknowledged survives a power cut, also where a connection was used for the other before."""
    for durable, synchronous in ((True, "on"), (False, "off"), (True, "on")):
        with database.write(durable=durable) as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == synchronous


def test_a_session_that_idles_with_the_lock_is_ended_by_the_server(database: Database) -> None:
    """Its process may be stopped; the server itself sees to that where the client is not in a pipeline."""
    with database.write() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "5s"
