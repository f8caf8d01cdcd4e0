"""The databases that the catalogue's contract is held against, and what is stored in them."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from sqlalchemy import URL

from stoat_ferret.db.engine import Database, open_postgres
from stoat_ferret.db.tables import catalogue as tables
from stoat_ferret.library import batch, entries
from stoat_ferret.library.models import FileKey, KnownFolder, Library, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.results import FileResult, FolderBatch, FolderClosing
from stoat_ferret.media.info import MediaInfo
from tests.factories import make_catalogue, media_info

BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
JOB = "01890000-0000-7000-8000-000000000000"


def open_emptied(url: URL) -> Database:
    """Open a catalogue on Postgres, and take out whatever an earlier test left in it."""
    database = open_postgres(url, "stoat_library")
    names = ", ".join([*tables.tables, "video_grams"])
    with database.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    return database


def open_catalogue(kind: str, request: pytest.FixtureRequest, folder: Path) -> Database:
    """Open an empty catalogue of a kind."""
    if kind == "sqlite":
        return make_catalogue(folder / "library.db")
    return open_emptied(request.getfixturevalue("postgres_database"))


@pytest.fixture(name="catalogue", params=BOTH)
def each_catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty catalogue in either database; import it, and `repository` and `stage` stand on it."""
    database = open_catalogue(request.param, request, tmp_path)
    yield database
    database.close()


class Shelf:
    """One library, into which results are stored as a scan stores them."""

    def __init__(self, database: Database, root: bytes = b"/v") -> None:
        self.database = database
        self.repository = LibraryRepository(database)
        with database.write() as connection:
            self.library: Library = self.repository.add_library(connection, root, 0.5)

    def store(
        self,
        files: Sequence[FileResult],
        *,
        job: str = JOB,
        known: KnownFolder | None = None,
        closing: FolderClosing | None = None,
    ) -> int:
        """Store files of one folder in one transaction; gives the folder's key."""
        folder = known.path if known is not None else self.library.path_bytes
        stored = FolderBatch(path=folder, library_id=self.library.id, known=known, files=list(files), closing=closing)
        with self.database.write() as connection:
            return batch.apply(connection, job, [stored])[folder]

    def folder(self) -> KnownFolder:
        """Give what is known of the library's own folder."""
        known = self.repository.folder(self.library.path_bytes)
        assert known is not None
        return known


def video(name: bytes, outcome: Outcome = Outcome.NEW, *, size: int = 1, mtime_ns: int = 1, **info: Any) -> FileResult:
    """Give the result of a file that is a video."""
    found: MediaInfo = media_info(**info)
    key = FileKey(size, mtime_ns, 1, 1)
    return FileResult(path=b"/v/" + name, key=key, outcome=outcome, info=found, fingerprint="f" * 32, bytes_read=1)


def reject(name: bytes, outcome: Outcome = Outcome.FAILED, *, reason: str = "It is no video.") -> FileResult:
    """Give the result of a file that is none."""
    return FileResult(path=b"/v/" + name, key=FileKey(1, 1, 1, 1), outcome=outcome, code="NOT_MEDIA", reason=reason)


@contextmanager
def same_ids_and_times() -> Iterator[None]:
    """Give what is stored the ids 1, 2, 3 and the times 1, 2, 3, so that two databases can be compared."""
    numbers, moments = itertools.count(1), itertools.count(1)
    ids = mock.patch.object(entries, "uuid7", side_effect=lambda: UUID(int=next(numbers)))
    times = mock.patch.object(batch, "now_us", side_effect=moments)
    with ids, times:
        yield
