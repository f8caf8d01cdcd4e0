"""Connections to the databases, and the two ways to use one: `read()` and `write()`.

A `write()` holds the one write lock from its start, in SQLite and in Postgres alike: whatever is decided from
what was read stays true until it is committed, and numbers that are counted up follow the order of commits.
"""

import select
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from stoat_ferret.db.reserve import Reserve
from stoat_ferret.db.translation import postgres_error, sqlite_error
from stoat_ferret.db.write_lock import APPLICATION, Schema, take_write_lock
from stoat_ferret.errors import ConfigurationError, StorageBusyError, StorageError

BUSY_TIMEOUT_MS = 5_000
IDLE_TIMEOUT_MS = 5_000
"""On Postgres: a transaction whose process stopped in its midst is ended, and its locks with it (see `write_lock`)."""
LOOK_SECONDS = 0.0005
"""How often a writer looks whether another process has let go of SQLite's write lock: a commit takes about as long."""
CONNECT_SECONDS = 5
IS_NEW = "stoat_is_new"
"""Where a connection's record says that it was made for its first user."""
WRITE = "stoat_write"
SHOWN_PARAMETERS = ("host", "port", "dbname", "sslmode")
"""Of those in an address' query; there may be passwords, and files of keys, among the others."""


class Database:
    """One database, shared by every thread of a process."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        """Shown in messages: the file's path, or the address without its password."""
        self.reserve: Reserve | None = None
        """Where there is one: writes, all but last words, are refused once its room had to be given up."""
        self.is_postgres = engine.dialect.name == "postgresql"
        self._reader = self._asker = engine
        if self.is_postgres:
            self._asker = engine.execution_options(isolation_level="AUTOCOMMIT")
            # One snapshot for all statements of a block, as SQLite's transactions give it.
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = engine.execution_options(**{WRITE: "FULL"})
        self._passing_writer = engine.execution_options(**{WRITE: "NORMAL"})
        # Threads of one process take turns here; the database's lock would make them sleep and retry.
        self._turn = threading.RLock()
        self._of_thread = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state until the block ends.

        Raises:
            StorageError: the database could not be read.
        """
        if (shared := self._shared_here()) is not None:
            with self._translated():
                yield shared.connection
            return
        # Begun at once: a prepared statement goes past SQLAlchemy, which would begin with the first that it sees.
        with self._translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def ask(self) -> Iterator[Connection]:
        """Give a connection for a single statement that reads; without a transaction, Postgres is asked once for three.

        Raises:
            StorageError: the database could not be read.
        """
        if self._shared_here() is not None:
            with self.read() as connection:
                yield connection
            return
        with self._translated(), self._asker.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True, last_words: bool = False) -> Iterator[Connection]:
        """Give a connection in a transaction that holds the write lock from its start; commits unless the block raises.

        A commit that is not `durable` may be undone by a power cut, never by the end of a process. It does not wait for
        the disk, so it keeps others waiting for a hundredth of the time: for what is said again in a moment anyway.

        Args:
            durable: whether the commit waits for the disk.
            last_words: whether this may use the room that was set aside for the time when the disk is full.

        Raises:
            StorageBusyError: another process kept the lock too long.
            StorageFullError: the disk is full, or only what was set aside is left; nothing was written.
            StorageUnreachableError: the database server is not there, or went away: whether the commit that was under
                way came through is not known.
            StorageError: any other failure; nothing was written.
        """
        if self.reserve is not None and not last_words:
            self.reserve.keep(self.name)
        if (shared := self._shared_here()) is not None:
            with self._translated(), shared.part(durable) as connection:
                yield connection
            return
        writer = self._writer if durable else self._passing_writer
        with self._turn, self._translated(), writer.begin() as connection:
            yield connection

    @contextmanager
    def rebuild(self) -> Iterator[Connection]:
        """Give the same for a change of the schema: on SQLite a table may be put in another's place meanwhile.

        There foreign keys are not enforced before the end, when all of them must hold.

        Raises:
            StorageError: as `write()`; or a foreign key does not hold, and nothing was changed.
        """
        if self.is_postgres:
            with self.write() as connection:
                yield connection
            return
        with self._turn, self._translated(), self._writer.connect() as connection:
            driver = on_driver(connection)
            driver.execute("PRAGMA foreign_keys=OFF")  # within a transaction it would do nothing
            try:
                with connection.begin():
                    yield connection
                    if driver.execute("PRAGMA foreign_key_check").fetchone() is not None:
                        msg = f"The database {self.name} holds rows that refer to none. Put a backup in its place."
                        raise StorageError(msg)
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def together(self, *, durable: bool) -> Iterator[None]:
        """Let this thread's transactions be one on SQLite, which is committed when the block ends, in one go.

        Each of them is still undone alone if it raises, and `read()` sees what was written before. Nobody else may be
        told of any before the block has ended. On Postgres each is committed by itself, as everywhere.

        Args:
            durable: whether the common commit is; it must be where any of the transactions has to be.

        Raises:
            StorageError: as `write()`; all of them were undone.
        """
        if self.is_postgres:
            yield
            return
        with self.write(durable=durable) as connection:
            shared = self._of_thread.shared = _Shared(connection, durable)
            try:
                yield
            finally:
                self._of_thread.shared = None
            shared.check()

    def _shared_here(self) -> "_Shared | None":
        shared: _Shared | None = getattr(self._of_thread, "shared", None)
        return shared

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if self.is_postgres:
                raise postgres_error(error.orig, self.name, cut=error.connection_invalidated) from error
            raise sqlite_error(error.orig, self.name) from error
        except self.engine.dialect.loaded_dbapi.Error as error:  # of a prepared statement
            raise (postgres_error if self.is_postgres else sqlite_error)(error, self.name) from error
        except PoolTimeoutError as error:
            msg = f"All connections to the database {self.name} are in use. Try again in a few seconds."
            raise StorageBusyError(msg) from error


class _Shared:
    """A transaction on SQLite that consists of several."""

    def __init__(self, connection: Connection, durable: bool) -> None:
        self.connection = connection
        self._durable = durable
        self._driver = on_driver(connection)

    @contextmanager
    def part(self, durable: bool) -> Iterator[Connection]:
        """Give a transaction in it."""
        if durable and not self._durable:
            msg = "what must be durable cannot be part of what is not"
            raise RuntimeError(msg)
        self.check()
        self._driver.execute("SAVEPOINT part")
        try:
            yield self.connection
        except BaseException:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK TO part")
                self._driver.execute("RELEASE part")
            raise
        self._driver.execute("RELEASE part")

    def check(self) -> None:
        """Make sure that it is still open: of some errors, as of a full disk, SQLite undoes it as a whole.

        Raises:
            StorageError: it is not.
        """
        if not self._driver.in_transaction:
            msg = "The transaction of which this was a part has been undone. Try again."
            raise StorageError(msg)


def open_sqlite(path: Path, *, pool_size: int = 8) -> Database:
    """Open (creating it when it is not there) an SQLite database in WAL mode with durable commits.

    Raises:
        StorageError: the file cannot be opened or is not a database.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # in a URL as text, a "?" in the path would end it
        pool_size=pool_size,
        max_overflow=32,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
    )
    _set_up_sqlite(engine)
    return Database(engine, str(path))


class _OneAtATime(Database):
    """A database with a single connection: threads take turns, also to read."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._turn, super().read() as connection:
            yield connection

    @contextmanager
    def ask(self) -> Iterator[Connection]:
        with self._turn, super().ask() as connection:
            yield connection


def open_sqlite_in_memory() -> Database:
    """Open an SQLite database that is gone once it is closed, for tests."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False, "isolation_level": None}
    )
    _set_up_sqlite(engine)
    return _OneAtATime(engine, "in memory")


def on_driver(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection to SQLite, in the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # the caller knows the database
    return driver


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            # 4 MiB of each connection; there may be a dozen. What falls out is still in the system's cache: with four
            # times as much, a first scan of 200,000 files took as long, and memory grew with the size of the catalogue.
            "cache_size=-4096",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver would begin lazily and upgrade a read lock later, which fails at once under contention.
        durability = connection.get_execution_options().get(WRITE)
        if durability is None:
            on_driver(connection).execute("BEGIN")
            return
        # FULL: a committed job survives a power cut; results are batched, so the extra fsync is paid rarely.
        on_driver(connection).execute(f"PRAGMA synchronous={durability}")
        _begin_immediate(on_driver(connection))


def _begin_immediate(driver: sqlite3.Connection) -> None:
    """Take the write lock, as soon as it is free; waits as long as SQLite would.

    SQLite's own waiting sleeps up to a tenth of a second at a time, and whoever comes next takes the lock meanwhile.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(LOOK_SECONDS)
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def postgres_url(text: str) -> URL:
    """Read the address of a Postgres database, as in `postgresql+psycopg://user:password@host/name`.

    Raises:
        ConfigurationError: it is not one.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # Neither it nor what is said of it is shown: it may hold a password.
        msg = "The address of the database cannot be read. Write it as in postgresql+psycopg://user:password@host/name."
        raise ConfigurationError(msg) from error
    if url.drivername not in ("postgresql", "postgresql+psycopg", "postgres"):
        msg = f"The database must be a Postgres one, as in postgresql+psycopg://user@host/name, not {url.drivername!r}."
        raise ConfigurationError(msg)
    return url.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """Give an address for people: nothing that is secret, wherever it stands in it."""
    kept = {name: value for name, value in url.query.items() if name in SHOWN_PARAMETERS}
    return url.set(query=kept).render_as_string(hide_password=True)


def open_postgres(url: URL, schema: Schema, *, pool_size: int = 8) -> Database:
    """Open one of the two schemas of a Postgres database; nothing is connected to before it is used."""
    options = {
        "search_path": schema,
        "timezone": "UTC",
        "lock_timeout": BUSY_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
        # What is asked often lies in memory. At the cost of a seek on a disk the search index would be passed over for
        # reading every array of grams, which takes four times as long; to compile a query takes longer than to run it.
        "random_page_cost": 1.1,
        "jit": "off",
    }
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=32,
        pool_use_lifo=True,  # a session that was used lately knows its statements and tables
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": APPLICATION,
            "client_encoding": "utf8",  # whatever the environment says
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            # A server that vanished without a word is given up within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )

    event.listen(engine, "connect", _note_new)
    event.listen(engine, "checkout", _check_not_cut)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        durability = connection.get_execution_options().get(WRITE)
        if durability is None:
            return
        take_write_lock(connection, schema, durable=durability == "FULL")

    return Database(engine, f"{shown(url)} ({schema})")


def _note_new(_connection: Any, record: Any) -> None:
    record.info[IS_NEW] = True


def _check_not_cut(connection: Any, record: Any, _proxy: Any) -> None:
    """Have a connection replaced, before it is used, that a restart of the server has cut.

    A server that goes away says so, or closes the socket, so that there is something to read where nothing was asked.
    To look costs a microsecond; to ask it, as SQLAlchemy's own `pool_pre_ping` does, costs each transaction a journey.
    """
    if record.info.pop(IS_NEW, False):
        return  # one that is cut already tells its first user
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    if look.poll(0):
        raise DisconnectionError
