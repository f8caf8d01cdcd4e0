"""Libraries as wholes: made where another one is, forgotten with all that is in them, rid of what is long missing."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import folders, libraries, rejects, videos
from stoat_ferret.errors import LibraryExistsError
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository, below, forget

VIDEOS_A_STEP = 200

Transaction = Callable[[], AbstractContextManager[Connection]]


def make_library(
    repository: LibraryRepository, path: bytes, *, max_loss_fraction: float, settle_seconds: float
) -> Library:
    """Make a library of a folder; what an outer one knows in it becomes its own.

    Raises:
        LibraryExistsError: the folder is one already.
    """
    with repository.database.write() as connection:
        if connection.execute(select(libraries.c.id).where(libraries.c.path_bytes == path)).first() is not None:
            raise LibraryExistsError(f"The folder {paths.display(path)} is a library already.")
        library = repository.add_library(connection, path, max_loss_fraction, settle_seconds)
        # Of an inner library's folders none is taken: the innermost owns a file.
        outer = repository.covering_in(connection, path)
        if outer is not None:
            here = (
                folders.c.library_id == outer.id,
                (folders.c.path_bytes == path) | below(folders.c.path_bytes, path),
            )
            taken = select(folders.c.pk).where(*here)
            moved = update(videos).where(videos.c.folder_pk.in_(taken), videos.c.library_id == outer.id)
            count = connection.execute(moved.values(library_id=library.id)).rowcount
            connection.execute(update(folders).where(*here).values(library_id=library.id))
            for library_id, change in ((outer.id, -count), (library.id, count)):
                counted = libraries.c.video_count + change
                connection.execute(update(libraries).where(libraries.c.id == library_id).values(video_count=counted))
    return repository.library(library.id)


def forget_library(database: Database, library_id: str) -> int:
    """Forget a library with all its entries, in small transactions, and give how many there were.

    No file is touched. What is interrupted has forgotten some entries, and can be done again.
    """
    count = _forget_some(database.write, videos.c.library_id == library_id, lambda _done: None)
    with database.write() as connection:
        connection.execute(
            delete(rejects).where(
                rejects.c.folder_pk.in_(select(folders.c.pk).where(folders.c.library_id == library_id))
            )
        )
        connection.execute(delete(folders).where(folders.c.library_id == library_id))
        connection.execute(delete(libraries).where(libraries.c.id == library_id))
    return count


def count_missing(database: Database, library_id: str, before: int) -> int:
    """Count the entries of a library that are missing since before a moment."""
    query = select(func.count()).select_from(videos).where(*_long_missing(library_id, before))
    with database.read() as connection:
        return connection.execute(query).scalar_one()


def forget_missing(
    transaction: Transaction, library_id: str, before: int, *, between: Callable[[int], None] = lambda _done: None
) -> int:
    """Forget the entries of a library that are missing since before a moment, unless it is offline; gives how many.

    Args:
        transaction: gives write transactions on the catalogue, in which the job's right to write was checked.
        library_id: whose.
        before: microseconds since 1970 UTC.
        between: called between two transactions with how many are forgotten; what it raises ends the work.
    """
    online = select(libraries.c.id).where(libraries.c.state == "online")
    first, second, third = _long_missing(library_id, before)
    return _forget_some(transaction, first & second & third & videos.c.library_id.in_(online), between)


def _long_missing(library_id: str, before: int) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    return videos.c.library_id == library_id, videos.c.state == "missing", videos.c.missing_since < before


def _forget_some(transaction: Transaction, which: ColumnElement[bool], between: Callable[[int], None]) -> int:
    columns = [videos.c[name] for name in ("pk", "id", "path_bytes", "state", "folder_pk", "library_id")]
    done = 0
    while True:
        with transaction() as connection:
            rows = connection.execute(select(*columns).where(which).limit(VIDEOS_A_STEP)).mappings().all()
            if not rows:
                return done
            forget(connection, rows)
        done += len(rows)
        between(done)
