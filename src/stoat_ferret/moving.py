"""Takes a whole library, catalogue and job records, to another place: from and to a data directory or Postgres."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stoat_ferret.db import copy
from stoat_ferret.db.copy import SCHEMAS, TABLES
from stoat_ferret.db.engine import Database, open_postgres, open_sqlite, postgres_url, shown
from stoat_ferret.db.migrate import Tree, is_there, upgrade
from stoat_ferret.db.soundness import fold_all
from stoat_ferret.errors import ConfigurationError, StorageError
from stoat_ferret.library import grams
from stoat_ferret.library.upkeep import analyze

FILES: dict[Tree, str] = {"library": "library.db", "jobs": "jobs.db"}
TREES: tuple[Tree, ...] = ("library", "jobs")

Report = Callable[[str, int, int], None]
"""What is being done, rows dealt with, all rows."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table as it was read back from the copy."""

    database: Tree
    name: str
    rows: int
    checksum: str
    """Of all rows in any order, in hexadecimal digits."""


@dataclass(slots=True)
class Site:
    """The two databases of a library, where they lie."""

    name: str
    databases: dict[Tree, Database]

    @property
    def is_postgres(self) -> bool:
        """Whether both are schemas of one Postgres database."""
        return self.databases["library"].is_postgres


def copy_library(source: str, destination: str, *, lease_seconds: float, report: Report) -> list[CopiedTable]:
    """Copy all of a library to a place that holds none, and make sure that every row came through.

    Once the destination has proved usable and empty, the source is brought to the present schema; nothing else in it
    changes, and nobody else can write it meanwhile. Where anything fails, the destination is as it was.

    Args:
        source: a data directory, or the address of a Postgres database.
        destination: likewise.
        lease_seconds: a worker that was heard of within so long is alive.
        report: is told how far it is.

    Raises:
        ConfigurationError: a place cannot be used: the destination holds data, or a worker is alive in one of them.
        StorageError: there is no library in the source, or a database could not be read or written.
    """
    with ExitStack() as opened:
        here = opened.enter_context(_opened(source))
        if not is_there(here.databases["library"]):
            raise _no_library(here.name)
        _require_idle(here, lease_seconds)
        if _is_address(destination):
            there = opened.enter_context(_opened(destination))
            _require_empty(there, lease_seconds)
            _upgrade(there)
            _upgrade(here)
            return _fill(here, there, report)
        folder = Path(destination).expanduser().absolute()
        _require_empty_folder(folder, lease_seconds)
        with _new_folder(folder) as made:
            with _opened(str(made), create=True) as there:
                _upgrade(there)
                _upgrade(here)
                copied = _fill(here, there, report)
            _move_into_place(made, folder)
        return copied


def _is_address(place: str) -> bool:
    return "://" in place


@contextmanager
def _opened(place: str, *, create: bool = False) -> Iterator[Site]:
    with ExitStack() as opened:
        databases: dict[Tree, Database] = {}
        if _is_address(place):
            url = postgres_url(place)
            name = shown(url)
            databases = {tree: open_postgres(url, SCHEMAS[tree], pool_size=2) for tree in TREES}
        else:
            folder = Path(place).expanduser().absolute()
            name = str(folder)
            if not create and not (folder / FILES["library"]).is_file():
                raise _no_library(name)
            databases = {tree: open_sqlite(folder / FILES[tree], pool_size=2) for tree in TREES}
        for database in databases.values():
            opened.callback(database.close)
        yield Site(name, databases)


def _no_library(name: str) -> StorageError:
    return StorageError(f"There is no library in {name}. Name the data directory or the database that holds one.")


def _upgrade(site: Site) -> None:
    for tree, database in site.databases.items():
        upgrade(database, tree)


def _require_idle(site: Site, lease_seconds: float) -> None:
    if not is_there(site.databases["jobs"]):
        return
    alive = copy.count_live_workers(site.databases["jobs"], lease_seconds)
    if alive:
        msg = (
            f"A worker is alive in {site.name}. Stop `stoat serve`, `stoat worker` and running scans that use it, wait "
            f"{lease_seconds:.0f} seconds if one was killed, and try again."
        )
        raise ConfigurationError(msg)


def _require_empty(site: Site, lease_seconds: float) -> None:
    """Make sure that nothing is in it, changing nothing; the records of ended workers are not data."""
    _require_idle(site, lease_seconds)
    held: list[str] = []
    for tree, database in site.databases.items():
        counted = copy.count_present_rows(database, tree)
        held += [f"{name} ({count:,})" for name, count in counted.items() if count and name != "workers"]
    if held:
        msg = (
            f"{site.name} is not empty: it has rows in {', '.join(held)}. A library is copied to an empty place only: "
            "name another data directory, or a database that was made for it (CREATE DATABASE)."
        )
        raise ConfigurationError(msg)


def _require_empty_folder(folder: Path, lease_seconds: float) -> None:
    present = [folder / name for name in FILES.values() if os.path.lexists(folder / name)]
    if present:
        with _opened(str(folder), create=True) as site:
            _require_empty(site, lease_seconds)


def _fill(source: Site, destination: Site, report: Report) -> list[CopiedTable]:
    """Copy, index and read back, in one transaction of each destination database."""
    with ExitStack() as opened:
        # The sources' write locks: what is copied stays all there is until the copy is complete.
        sources = {tree: opened.enter_context(database.write()) for tree, database in source.databases.items()}
        for tree in TREES:
            copy.use_schema(sources[tree], tree)
        total = sum(sum(copy.count_rows(sources[tree], TABLES[tree]).values()) for tree in TREES)
        progress = _Progress(report, 2 * total)
        if destination.is_postgres:
            one = opened.enter_context(destination.databases["library"].write())
            connections = dict.fromkeys(TREES, one)
        else:
            connections = {tree: opened.enter_context(there.write()) for tree, there in destination.databases.items()}
        copied: list[CopiedTable] = []
        for tree in TREES:
            connection, tables = connections[tree], TABLES[tree]
            copy.use_schema(connection, tree)
            if tree == "jobs":
                copy.clear_workers(connection)
            progress.begin("Copying the " + {"library": "catalogue", "jobs": "job records"}[tree])
            tallies = copy.copy_rows(sources[tree], connection, tables, progress.step)
            copy.pass_largest_keys(connection, tables)
            if tree == "library":
                progress.begin("Indexing")
                grams.rebuild(connection)
            progress.begin("Reading back")
            copy.verify(connection, tallies, tables, progress.step)
            copied += [CopiedTable(tree, name, t.rows, f"{t.checksum:016x}") for name, t in tallies.items()]
    for database in destination.databases.values():
        analyze(database)
        fold_all(database)
    return copied


class _Progress:
    """Counts rows, and tells whoever wants to know."""

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0
        self._phase = ""

    def begin(self, phase: str) -> None:
        self._phase = phase
        self.step(0)

    def step(self, rows: int) -> None:
        self._done += rows
        self._report(self._phase, self._done, self._total)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside another one, on the same disk; nothing of it is left unless it was moved away."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise StorageError(f"The data directory {folder} cannot be made: {error.strerror}. Name another.") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _move_into_place(made: Path, folder: Path) -> None:
    """Let the copy be what the folder holds: at once where the folder is not there, else the catalogue last."""
    aside = [name for name in FILES.values() if _is_aside(made / f"{name}-wal")]
    if aside:
        msg = f"The copy of {', '.join(aside)} is not whole: SQLite has left some of it aside. Do it again."
        raise StorageError(msg)
    try:
        if not folder.exists():
            made.rename(folder)
        else:
            for tree in reversed(TREES):
                for ending in ("-wal", "-shm"):
                    (folder / (FILES[tree] + ending)).unlink(missing_ok=True)
                (made / FILES[tree]).replace(folder / FILES[tree])
            _sync(folder)
        _sync(folder.parent)
    except OSError as error:
        raise StorageError(f"The copy could not be moved to {folder}: {error.strerror}.") from error


def _is_aside(log: Path) -> bool:
    """Tell whether something is in a log of changes, which is not moved with its database."""
    return log.exists() and log.stat().st_size > 0


def _sync(folder: Path) -> None:
    """Write a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
