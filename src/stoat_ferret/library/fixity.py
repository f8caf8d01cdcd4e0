"""Hashes of whole contents: what they were when they were first taken, and whether they still are.

A checksum holds for a file of a certain size and time. If these are the same and the content is not, the file is
damaged, and stays so until it reads right again or a person accepts it. If they are others, somebody has changed the
file, and its checksum is taken anew once a scan has seen that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import checksums, videos
from stoat_ferret.db.upsert import insert
from stoat_ferret.library.repository import below, now_us

Mode = Literal["new", "check"]
PREFIX = "blake3:"
ROWS_A_PAGE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is to be read."""

    video_pk: int
    video_id: str
    path_bytes: bytes
    size: int
    mtime_ns: int
    folder_pk: int
    digest: str | None
    """What its content is known to be; None where that does not hold any more."""
    damaged: bool


@dataclass(frozen=True, slots=True)
class Checksum:
    """What is known of a video's content."""

    digest: str
    hashed_at: int
    checked_at: int
    damaged_at: int | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A video whose content is not what it was."""

    video_id: str
    path_bytes: bytes
    checksum: Checksum


def _holds() -> ColumnElement[bool]:
    """SQL: the checksum is of the file as it is known."""
    return and_(checksums.c.size == videos.c.size, checksums.c.mtime_ns == videos.c.mtime_ns)


def _within(place: bytes | None, video_id: str | None) -> list[ColumnElement[bool]]:
    if video_id is not None:
        return [videos.c.id == video_id]
    if place is None:
        return []
    return [or_(below(videos.c.path_bytes, place), videos.c.path_bytes == place)]


def _due(mode: Mode, before: int) -> ColumnElement[bool]:
    unhashed = or_(checksums.c.video_pk.is_(None), ~_holds())
    return unhashed if mode == "new" else or_(unhashed, checksums.c.checked_at < before)


def count_due(
    database: Database, place: bytes | None, video_id: str | None, mode: Mode, before: int
) -> tuple[int, int]:
    """Count the files that are to be read, and their bytes; what was checked after the moment `before` is not."""
    query = select(func.count(), func.coalesce(func.sum(videos.c.size), 0))
    query = query.select_from(videos.outerjoin(checksums, checksums.c.video_pk == videos.c.pk))
    with database.read() as connection:
        count, size = connection.execute(
            query.where(videos.c.state != "missing", _due(mode, before), *_within(place, video_id))
        ).one()
    return count, int(size)


def due(
    database: Database, place: bytes | None, video_id: str | None, mode: Mode, before: int, skip: frozenset[int]
) -> list[Wanted]:
    """Give some of those files: the ones that were never hashed first, then what was checked longest ago."""
    columns = (videos.c.pk, videos.c.id, videos.c.path_bytes, videos.c.size, videos.c.mtime_ns, videos.c.folder_pk)
    holds = _holds().label("holds")
    query = select(*columns, checksums.c.digest, checksums.c.damaged_at, holds)
    query = query.select_from(videos.outerjoin(checksums, checksums.c.video_pk == videos.c.pk))
    query = query.where(videos.c.state != "missing", _due(mode, before), *_within(place, video_id))
    order = (checksums.c.checked_at.is_not(None), checksums.c.checked_at, videos.c.pk)
    with database.read() as connection:
        rows = connection.execute(query.order_by(*order).limit(ROWS_A_PAGE + len(skip))).all()
    return [
        Wanted(
            video_pk=row.pk,
            video_id=row.id,
            path_bytes=row.path_bytes,
            size=row.size,
            mtime_ns=row.mtime_ns,
            folder_pk=row.folder_pk,
            digest=row.digest if row.holds else None,
            damaged=row.damaged_at is not None,
        )
        for row in rows
        if row.pk not in skip
    ]


def record(connection: Connection, wanted: Wanted, digest: str) -> bool | None:
    """Store what a file's content was found to be, and tell whether it is right.

    None, and nothing is stored, where the entry was changed or forgotten since it was read.

    One without a checksum that holds is taken as it is. One with another content than it had is damaged from now on.
    """
    now = now_us()
    known = select(videos.c.size, videos.c.mtime_ns).where(videos.c.pk == wanted.video_pk)
    row = connection.execute(known).first()
    if row is None or (row.size, row.mtime_ns) != (wanted.size, wanted.mtime_ns):
        return None
    if wanted.digest is not None and wanted.digest != digest:
        values = {"checked_at": now, "damaged_at": func.coalesce(checksums.c.damaged_at, now), "found": digest}
        connection.execute(update(checksums).where(checksums.c.video_pk == wanted.video_pk).values(values))
        return False
    first = {"hashed_at": now} if wanted.digest is None else {}
    statement = insert(connection, checksums).values(
        video_pk=wanted.video_pk,
        digest=digest,
        size=wanted.size,
        mtime_ns=wanted.mtime_ns,
        hashed_at=now,
        checked_at=now,
    )
    changed = {"digest": digest, "size": wanted.size, "mtime_ns": wanted.mtime_ns, "checked_at": now}
    changed |= first | {"damaged_at": None, "found": None}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_pk"], set_=changed))
    connection.execute(update(videos).where(videos.c.pk == wanted.video_pk).values(content_id=PREFIX + digest))
    return True


def accept(database: Database, video_id: str) -> bool:
    """Take the content that a damaged video was found to have for the right one; False where it is not damaged."""
    pk = select(videos.c.pk).where(videos.c.id == video_id).scalar_subquery()
    with database.write() as connection:
        row = connection.execute(select(checksums).where(checksums.c.video_pk == pk)).first()
        if row is None or row.damaged_at is None or row.found is None:
            return False
        values = {"digest": row.found, "hashed_at": now_us(), "damaged_at": None, "found": None}
        connection.execute(update(checksums).where(checksums.c.video_pk == row.video_pk).values(values))
        content_id = PREFIX + row.found
        connection.execute(update(videos).where(videos.c.pk == row.video_pk).values(content_id=content_id))
    return True


def checksum_of(database: Database, video_id: str) -> Checksum | None:
    """Give what is known of a video's content; None where nothing is that holds for the file as it is."""
    query = select(checksums).join(videos, videos.c.pk == checksums.c.video_pk).where(videos.c.id == video_id, _holds())
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else Checksum(row.digest, row.hashed_at, row.checked_at, row.damaged_at, row.found)


def damaged(database: Database, after: bytes = b"", limit: int = 200) -> list[Damaged]:
    """Give the videos that are damaged, by path, those behind `after`."""
    query = select(videos.c.id, videos.c.path_bytes, *checksums.c).join(checksums, checksums.c.video_pk == videos.c.pk)
    query = query.where(checksums.c.damaged_at.is_not(None), videos.c.path_bytes > after, _holds())
    with database.read() as connection:
        rows = connection.execute(query.order_by(videos.c.path_bytes).limit(limit)).all()
    return [
        Damaged(
            row.id,
            row.path_bytes,
            Checksum(row.digest, row.hashed_at, row.checked_at, row.damaged_at, row.found),
        )
        for row in rows
    ]


def count_unhashed(database: Database, folder: bytes) -> int:
    """Count the videos below a folder that are there and have no checksum that holds."""
    return count_due(database, folder, None, "new", 0)[0]


def manifest(database: Database, folder: bytes) -> Iterator[bytes]:
    """Give a line for each video below a folder whose content is known, as `b3sum --check` reads it.

    Two spaces follow the hash, then the path as seen from the folder. Where that holds a backslash or a line break, the
    line begins with a backslash, and they are written as two characters each (as GNU coreutils do). Names are bytes.
    Those that b3sum cannot take, and at the first of which it stops, come last.
    """
    last = b""
    unreadable: list[bytes] = []
    start = len(folder.rstrip(b"/")) + 1
    while True:
        query = select(videos.c.path_bytes, checksums.c.digest).join(checksums, checksums.c.video_pk == videos.c.pk)
        query = query.where(videos.c.state != "missing", _holds(), videos.c.path_bytes > last, *_within(folder, None))
        with database.read() as connection:
            rows = connection.execute(query.order_by(videos.c.path_bytes).limit(ROWS_A_PAGE)).all()
        for row in rows:
            line = manifest_line(row.digest, row.path_bytes[start:])
            if _is_readable(line):
                yield line
            else:
                unreadable.append(line)
        if len(rows) < ROWS_A_PAGE:
            yield from unreadable
            return
        last = rows[-1].path_bytes


def _is_readable(line: bytes) -> bool:
    """Tell whether b3sum takes a line: it must be UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def manifest_line(digest: str, name: bytes) -> bytes:
    """Give a manifest's line for a file."""
    # A carriage return is written by coreutils as two characters too, which b3sum does not read (tried with 1.2.0).
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    mark = b"\\" if escaped != name else b""
    return mark + digest.encode() + b"  " + escaped + b"\n"
