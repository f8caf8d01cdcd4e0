"""Connections, transactions and what goes wrong with them."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, text

from stoat_ferret.db import engine, migrate
from stoat_ferret.db.engine import Database, open_postgres, open_sqlite, postgres_url, shown
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.tables import libraries
from stoat_ferret.errors import StorageBusyError, StorageError, StorageFullError
from tests.factories import make_catalogue

ROW = {
    "id": "1", "name": "v", "path_bytes": b"/v", "path": "/v", "max_loss_fraction": 0.5, "state": "online",
    "created_at": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:SECRET@host/name",
        "postgresql+psycopg://ann@host/name?password=SECRET&sslpassword=SECRET",
        "postgresql://ann:SECRET@/name?host=/run/pg&passfile=/SECRET&options=SECRET",
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str) -> None:
    """Wherever they stand in it."""
    url = postgres_url(address)
    assert "SECRET" not in shown(url)
    assert "SECRET" not in open_postgres(url, "stoat_jobs").name
    assert "name" in shown(url)


def write_much(database: Database) -> None:
    with database.write() as connection:
        connection.execute(libraries.insert().values(ROW))
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(libraries.insert().values({**ROW, "id": "2", "path_bytes": b"/w", "name": "x" * 1_000_000}))


def count(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(libraries)).all())


def test_a_block_that_raises_writes_nothing(catalogue: Database) -> None:
    """One that ends well is committed."""

    def write_and_fail() -> None:
        with catalogue.write() as connection:
            connection.execute(libraries.insert().values(ROW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert count(catalogue) == 0
    with catalogue.write() as connection:
        connection.execute(libraries.insert().values(ROW))
    assert count(catalogue) == 1


def test_a_read_sees_one_state_until_it_ends(catalogue: Database) -> None:
    """Whatever is written meanwhile, which does not have to wait."""
    with catalogue.read() as reader:
        assert reader.execute(select(libraries)).all() == []
        with catalogue.write() as writer:
            writer.execute(libraries.insert().values(ROW))
        assert reader.execute(select(libraries)).all() == []
    assert count(catalogue) == 1


def test_so_does_one_by_prepared_statements(catalogue: Database) -> None:
    """Which go past what begins transactions elsewhere."""
    every = Prepared(select(libraries.c.id))
    with catalogue.read() as reader:
        assert every.rows(reader) == []
        with catalogue.write() as writer:
            writer.execute(libraries.insert().values(ROW))
        assert every.rows(reader) == []
    assert count(catalogue) == 1


def test_commits_survive_a_power_cut(catalogue: Database) -> None:
    """As far as SQLite can promise it: a write-ahead log, flushed at each commit."""
    with catalogue.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    for durable, synchronous in ((True, 2), (False, 1), (True, 2)):
        with catalogue.write(durable=durable) as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar() == synchronous
    with catalogue.together(durable=True), catalogue.write(durable=False) as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_writers_wait_for_each_other(catalogue: Database) -> None:
    """The lock is taken at the start, so that no writer fails half-way."""
    begun, order = threading.Event(), []

    def write() -> None:
        begun.set()
        with catalogue.write():
            order.append("second")

    with catalogue.write():
        other = threading.Thread(target=write)
        other.start()
        assert begun.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_lock_that_is_kept_is_an_error_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That says so, and that a retry may help."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 20)
    database = make_catalogue(tmp_path / "library.db")
    other = sqlite3.connect(tmp_path / "library.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusyError, match="locked by another process"), database.write():
        pytest.fail("the lock is taken")
    other.close()
    with database.write():
        pass
    database.close()


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    """By what SQLite says; nothing of the transaction is kept."""
    database = make_catalogue(tmp_path / "library.db")
    with pytest.raises(StorageFullError, match="is full"):
        write_much(database)
    assert count(database) == 0
    database.close()


def test_what_is_write_protected_is_called_so(catalogue: Database) -> None:
    """And what is to be done about it is said."""

    def write() -> None:
        with catalogue.write() as writer:
            writer.execute(text("PRAGMA query_only = ON"))  # root is not kept from writing by a file's mode
            writer.execute(libraries.insert().values(ROW))

    with pytest.raises(StorageError, match=r"can only be read here.*writable for the user"):
        write()


def test_other_trouble_names_the_database(tmp_path: Path) -> None:
    """A folder that is not there, a file that is none."""
    database = open_sqlite(tmp_path / "nowhere" / "library.db")
    with pytest.raises(StorageError, match=r"nowhere/library\.db could not be used"):
        count(database)


@pytest.mark.parametrize("tree", ["library", "jobs"])
def test_a_schema_is_made_once(tmp_path: Path, tree: migrate.Tree) -> None:
    """And left alone where it is there."""
    database = open_sqlite(tmp_path / "x.db")
    migrate.upgrade(database, tree)
    before = (tmp_path / "x.db").stat().st_mtime_ns
    migrate.upgrade(database, tree)
    assert (tmp_path / "x.db").stat().st_mtime_ns == before
    database.close()


def test_a_database_of_a_newer_version_is_refused(catalogue: Database) -> None:
    """Rather than damaged."""
    with catalogue.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"newer version of stoat-ferret \(schema 9999\)"):
        migrate.upgrade(catalogue, "library")


def test_another_process_that_upgrades_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large library that takes longer than anybody else waits for the lock."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 100)
    first, second = open_sqlite(tmp_path / "library.db"), open_sqlite(tmp_path / "library.db")
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with first.write():
            held.set()
            assert released.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    timer = threading.Timer(0.5, released.set)
    timer.start()
    migrate.upgrade(second, "library")
    assert released.is_set()
    holder.join(30)
    assert migrate.is_there(second)
    for database in (first, second):
        database.close()


def test_two_processes_may_start_at_once(tmp_path: Path) -> None:
    """One of them makes the schema, the other finds it."""
    databases = [open_sqlite(tmp_path / "library.db") for _ in range(4)]
    errors: list[BaseException] = []

    def start(database: Database) -> None:
        try:
            migrate.upgrade(database, "library")
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=start, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert count(databases[0]) == 0
    for database in databases:
        database.close()
