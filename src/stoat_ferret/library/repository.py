"""Reads and small changes of the catalogue: libraries, one video, what is known of a folder."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from uuid_utils.compat import uuid7

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.tables import folders, gone, labels, ledger, libraries, rejects, video_details, videos
from stoat_ferret.errors import LibraryNotFoundError, VideoNotFoundError
from stoat_ferret.library import changes, grams
from stoat_ferret.library.covering import libraries_at, library_from_row
from stoat_ferret.library.details import detail
from stoat_ferret.library.known import KNOWN_COLUMNS, known_reject, known_video
from stoat_ferret.library.models import (
    UNSET,
    KnownFile,
    KnownFolder,
    Library,
    LibraryState,
    Outcome,
    Unset,
    Video,
    VideoDetail,
    Watching,
)

T = TypeVar("T")

VIDEO_FIELDS = tuple(name for name in Video.__dataclass_fields__ if name != "labels")
VIDEO_COLUMNS = [videos.c[name] for name in VIDEO_FIELDS]
FOLDER = Prepared(select(folders).where(folders.c.path_bytes == bindparam("path")))
SETTLE_SECONDS = 5.0
ROWS_A_STEP = 1_000
"""How many rows are taken or changed at a time where there may be a million."""


def now_us() -> int:
    """The present time in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def video_from_row(row: RowMapping) -> Video:
    """Build a Video from a row that has (at least) VIDEO_COLUMNS."""
    return Video(**{name: row[name] for name in VIDEO_FIELDS})


def below(column: ColumnElement[bytes], folder: bytes) -> ColumnElement[bool]:
    """SQL: the path in `column` lies anywhere under `folder`. A range, so that an index serves it."""
    prefix = folder.rstrip(b"/") + b"/"
    return and_(column > prefix, column < prefix[:-1] + b"0")  # "0" follows "/" in ASCII


class LibraryRepository:
    """The catalogue in one database. Reads take a connection of their own; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # Libraries

    def libraries(self) -> list[Library]:
        """Give every library, by path."""
        with self.database.read() as connection:
            rows = connection.execute(select(libraries).order_by(libraries.c.path_bytes)).mappings()
            return [library_from_row(row) for row in rows]

    def library(self, library_id: str) -> Library:
        """Give one library.

        Raises:
            LibraryNotFoundError: there is none with this id.
        """
        with self.database.read() as connection:
            return library_from_row(_library_row(connection, library_id))

    def scheduled_libraries(self) -> list[Library]:
        """Give every library that has a schedule, by path."""
        query = select(libraries).where(libraries.c.schedule.is_not(None)).order_by(libraries.c.path_bytes)
        with self.database.read() as connection:
            return [library_from_row(row) for row in connection.execute(query).mappings()]

    def update_library(
        self,
        library_id: str,
        *,
        name: str | Unset = UNSET,
        max_loss_fraction: float | Unset = UNSET,
        schedule: str | Unset | None = UNSET,
        ignore: tuple[str, ...] | Unset = UNSET,
        follow_symlinks: bool | Unset = UNSET,
        watch: bool | Unset = UNSET,
        settle_seconds: float | Unset = UNSET,
        keep_missing_days: float | Unset | None = UNSET,
    ) -> Library:
        """Set what a person may set of a library, and give it as it then is; what is not given stays.

        Raises:
            LibraryNotFoundError: there is none with this id.
        """
        given = {
            "name": name,
            "max_loss_fraction": max_loss_fraction,
            "schedule": schedule,
            "ignore": ignore,
            "follow_symlinks": follow_symlinks,
            "watch": watch,
            "settle_seconds": settle_seconds,
            "keep_missing_days": keep_missing_days,
        }
        values = {field: value for field, value in given.items() if value is not UNSET}
        with self.database.write() as connection:
            if values:
                connection.execute(update(libraries).where(libraries.c.id == library_id).values(values))
            return library_from_row(_library_row(connection, library_id))

    def record_watching(self, library_id: str, watching: Watching | None, reason: str | None) -> None:
        """Record how a library is watched now, and why not by events, in a sentence.

        Raises:
            LibraryNotFoundError: there is none with this id.
        """
        with self.database.write() as connection:
            _library_row(connection, library_id)
            values = {"watching": watching, "watching_reason": reason}
            connection.execute(update(libraries).where(libraries.c.id == library_id).values(values))

    def covering_libraries(self, path: bytes) -> list[Library]:
        """Give the libraries that `path` lies in, the innermost first; asks for its possible places only."""
        with self.database.ask() as connection:
            return libraries_at(connection, paths.with_ancestors(path))

    def covering_library(self, path: bytes) -> Library | None:
        """Give the innermost library that `path` lies in, if any."""
        return next(iter(self.covering_libraries(path)), None)

    @staticmethod
    def covering_in(connection: Connection, path: bytes) -> Library | None:
        """Give the innermost library that a folder lies in and is not itself, as a transaction sees it."""
        return next(iter(libraries_at(connection, paths.with_ancestors(path)[:-1])), None)

    @staticmethod
    def add_library(
        connection: Connection, path: bytes, max_loss_fraction: float, settle_seconds: float = SETTLE_SECONDS
    ) -> Library:
        """Make a library of a folder, or give the one that is there."""
        row = connection.execute(select(libraries).where(libraries.c.path_bytes == path)).mappings().first()
        if row is not None:
            return library_from_row(row)
        library = new_library(path, max_loss_fraction, settle_seconds)
        connection.execute(insert(libraries).values(path=paths.display(path), **asdict(library)))
        return library

    @staticmethod
    def set_library_state(connection: Connection, library_id: str, state: LibraryState) -> None:
        """Record whether the library's folder could be reached."""
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(state=state))

    @staticmethod
    def record_scan(connection: Connection, library_id: str, job_id: str, *, whole: bool) -> None:
        """Record that a scan of the library was finished; one of the `whole` of it settles an earlier mass loss."""
        values: dict[str, Any] = {"last_scan_job_id": job_id, "last_scan_at": now_us(), "state": "online"}
        if whole:
            values["lost_from"] = None
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(values))

    @staticmethod
    def record_mass_loss(connection: Connection, library_id: str, present: int) -> None:
        """Record of how many videos too many are gone, so that what is added later does not make it look like less."""
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(lost_from=present))

    # Videos

    def video(self, video_id: str) -> Video:
        """Give one video.

        Raises:
            VideoNotFoundError: there is none with this id.
        """
        with self.database.read() as connection:
            return video_from_row(_video_row(connection, video_id))

    def video_detail(self, video_id: str) -> VideoDetail:
        """Give one video with all that was found in its headers.

        Raises:
            VideoNotFoundError: there is none with this id.
        """
        with self.database.read() as connection:
            row = _video_row(connection, video_id)
            query = select(labels.c.label).where(labels.c.video_pk == row["pk"]).order_by(labels.c.label)
            named = tuple(connection.execute(query).scalars())
            found = connection.execute(select(video_details).where(video_details.c.video_pk == row["pk"])).one()
        return detail(replace(video_from_row(row), labels=named), found)

    def delete_video(self, video_id: str) -> None:
        """Forget one entry; the file is not touched, and the next scan finds it as a new one.

        Raises:
            VideoNotFoundError: there is none with this id.
        """
        with self.database.write() as connection:
            row = _video_row(connection, video_id)
            forget(connection, [row])

    # What a scan asks

    def count_known(self, library_id: str, folder: bytes, *, recursive: bool) -> int:
        """Give how many files, videos and others, the last listings of a library's folders at and under a path had."""
        place = (
            or_(folders.c.path_bytes == folder, below(folders.c.path_bytes, folder))
            if recursive
            else (folders.c.path_bytes == folder)
        )
        # Of the folders, not of the files: there are hundreds of times fewer, and it is only an estimate.
        counted = func.coalesce(func.sum(folders.c.unchanged_count + folders.c.reject_count), 0)
        query = select(counted).where(folders.c.library_id == library_id, place)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def count_present(self, library_id: str) -> int:
        """Count the library's videos that are not missing."""
        # Not a parameter: SQLite would not take the index of just the missing ones. To count a million that are there
        # took a tenth of a second, in which nothing was listed.
        missing = and_(videos.c.library_id == library_id, videos.c.state == literal_column("'missing'"))
        query = select(
            libraries.c.video_count - select(func.count()).select_from(videos).where(missing).scalar_subquery()
        ).where(libraries.c.id == library_id)
        with self.database.read() as connection:
            return connection.execute(query).scalar() or 0

    def count_brought(self, library_id: str, job_id: str) -> int:
        """Count those of them that a job, in an attempt that was cut off, has added or restored itself."""
        brought = select(ledger.c.video_id).where(
            ledger.c.job_id == job_id, ledger.c.outcome.in_((Outcome.NEW, Outcome.RESTORED))
        )
        where = and_(videos.c.library_id == library_id, videos.c.state != "missing", videos.c.id.in_(brought))
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(videos).where(where)).scalar_one()

    def folder(self, path: bytes) -> KnownFolder | None:
        """Give what is known of one folder, or None if it was never listed."""
        with self.database.read() as connection:
            found = FOLDER.rows(connection, path=path)
        return _folder_from_row(found[0]) if found else None

    def folders_at(self, places: Sequence[bytes]) -> dict[bytes, KnownFolder]:
        """Give what is known of some folders, at most ROWS_A_STEP, by path; nothing of those never listed."""
        with self.database.read() as connection:
            rows = connection.execute(select(folders).where(folders.c.path_bytes.in_(places))).mappings().all()
        return {row["path_bytes"]: _folder_from_row(row) for row in rows}

    def folders_besides(self, library_id: str, folder: bytes, keys: Collection[int]) -> list[KnownFolder]:
        """Give the library's folders at and under a path, but for those of certain keys, by path."""
        place = or_(folders.c.path_bytes == folder, below(folders.c.path_bytes, folder))
        query = select(folders.c.pk).where(folders.c.library_id == library_id, place)
        with self.database.read() as connection:
            # Of nearly all nothing but the key is wanted, and a scan asks for every folder there is.
            others = [pk for (pk,) in connection.execute(query) if pk not in keys]
            rows = [
                row
                for step in steps(others)
                for row in connection.execute(select(folders).where(folders.c.pk.in_(step))).mappings()
            ]
        return sorted(map(_folder_from_row, rows), key=lambda found: found.path)

    def files_in(self, folder_pk: int) -> dict[bytes, KnownFile]:
        """Give all that is known directly in one folder, by path."""
        # Of several that were at one path, the one that is there, else the one that was there last, comes last.
        order = (videos.c.state != "missing", videos.c.missing_since, videos.c.pk)
        known_videos = select(*KNOWN_COLUMNS).where(videos.c.folder_pk == folder_pk).order_by(*order)
        with self.database.read() as connection:
            found = {row.path_bytes: known_video(row) for row in connection.execute(known_videos)}
            for row in connection.execute(select(rejects).where(rejects.c.folder_pk == folder_pk)):
                found[row.path_bytes] = known_reject(row)
        return found

    def rejected_in(self, folder_pk: int) -> list[KnownFile]:
        """Give the files directly in one folder that were found not to be usable videos, broken ones included."""
        files = self.files_in(folder_pk).values()
        return [known for known in files if known.reject_outcome is not None and known.state != "missing"]


def forget(connection: Connection, rows: Sequence[RowMapping]) -> None:
    """Forget videos, given with their pk, id, path_bytes, state, folder_pk and library_id; at most ROWS_A_STEP."""
    pks = [row["pk"] for row in rows]
    grams.remove(connection, pks)
    # A key may be given to a new video, which a scan that is under way must not take as gone.
    connection.execute(delete(gone).where(gone.c.video_pk.in_(pks)))
    connection.execute(delete(videos).where(videos.c.pk.in_(pks)))
    # Without the digest, the next scan compares the folder file by file and sees that one is not known.
    places = {row["folder_pk"] for row in rows}
    connection.execute(update(folders).where(folders.c.pk.in_(places)).values(digest=None))
    for library_id in {row["library_id"] for row in rows}:
        count = libraries.c.video_count - sum(row["library_id"] == library_id for row in rows)
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(video_count=count))
    changes.append(connection, [("removed", row["id"], row["path_bytes"], row["state"]) for row in rows], now_us())


def new_library(path: bytes, max_loss_fraction: float, settle_seconds: float = SETTLE_SECONDS) -> Library:
    """Give a library that is not kept yet; its name is its folder's."""
    shown = paths.display(path)
    return Library(
        id=str(uuid7()),
        name=shown.rstrip("/").rpartition("/")[2] or shown,
        path_bytes=path,
        state="online",
        max_loss_fraction=max_loss_fraction,
        settle_seconds=settle_seconds,
        video_count=0,
        created_at=now_us(),
    )


def steps(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a long list of keys or paths into pieces that fit one statement."""
    for start in range(0, len(items), ROWS_A_STEP):
        yield items[start : start + ROWS_A_STEP]


def _library_row(connection: Connection, library_id: str) -> RowMapping:
    row = connection.execute(select(libraries).where(libraries.c.id == library_id)).mappings().first()
    if row is None:
        raise LibraryNotFoundError(f"There is no library with the id {library_id}.")
    return row


def _video_row(connection: Connection, video_id: str) -> RowMapping:
    columns = [*VIDEO_COLUMNS, videos.c.pk, videos.c.folder_pk]
    row = connection.execute(select(*columns).where(videos.c.id == literal(video_id))).mappings().first()
    if row is None:
        raise VideoNotFoundError(f"There is no video with the id {video_id}.")
    return row


def _folder_from_row(row: Mapping[str, Any] | RowMapping) -> KnownFolder:
    same = {name: row[name] for name in ("pk", "digest", "unchanged_count", "reject_count")}
    return KnownFolder(path=row["path_bytes"], **same)
