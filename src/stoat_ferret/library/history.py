"""What happened to one path, and to one video: from ledgers, the change feed, and where it was before."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import changes, former_places, ledger, rejects, videos
from stoat_ferret.library.known import known_reject
from stoat_ferret.library.models import QUARANTINED, KnownFile, Outcome, Video
from stoat_ferret.library.repository import VIDEO_COLUMNS, video_from_row

JOBS_LOOKED_AT = 200
"""Ledgers are kept by job: of one path, those of so many of the newest jobs are looked into."""
EVENTS = 50
"""Of the changes of a video, and of what is told of a path, so many."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a video was before."""

    path_bytes: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a path or a video."""

    at: int
    what: str
    """An outcome of a scan, or a kind of change."""
    path_bytes: bytes
    job_id: str | None = None
    video_id: str | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A file that was examined and is no usable video."""

    known: KnownFile
    at: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a video of the catalogue cannot be examined any more."""

    code: str
    at: int | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that is not examined again until it changes or somebody asks."""

    path_bytes: bytes
    code: str
    reason: str
    since: int | None
    video_id: str | None = None


def former_places_of(database: Database, video_id: str) -> list[Place]:
    """Give where a video was before, the latest first."""
    query = select(former_places.c.path_bytes, former_places.c.until)
    query = query.join(videos, videos.c.pk == former_places.c.video_pk).where(videos.c.id == video_id)
    with database.read() as connection:
        rows = connection.execute(query.order_by(former_places.c.pk.desc()).limit(EVENTS)).all()
    return [Place(row.path_bytes, row.until) for row in rows]


def videos_at(database: Database, path: bytes) -> list[Video]:
    """Give the videos that are or were last at a path: the one that is there first."""
    order = (videos.c.state == "missing", videos.c.missing_since.desc())
    query = select(*VIDEO_COLUMNS).where(videos.c.path_bytes == path).order_by(*order)
    with database.read() as connection:
        return [video_from_row(row) for row in connection.execute(query).mappings()]


def moved_from(database: Database, path: bytes) -> Video | None:
    """Give the video that was at a path last and has gone elsewhere; None where there is none."""
    query = select(*VIDEO_COLUMNS).join(former_places, former_places.c.video_pk == videos.c.pk)
    query = query.where(former_places.c.path_bytes == path).order_by(former_places.c.pk.desc()).limit(1)
    with database.read() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else video_from_row(row)


def reject_at(database: Database, path: bytes) -> Reject | None:
    """Give what is remembered of a file that is no usable video."""
    with database.read() as connection:
        row = connection.execute(select(rejects).where(rejects.c.path_bytes == path)).first()
    return None if row is None else Reject(known_reject(row), row.at)


def trouble_of(database: Database, video_id: str) -> Trouble | None:
    """Give why a video cannot be examined any more; None where it can, or was never said."""
    query = select(videos.c.probe_error_code, videos.c.probe_error_at).where(videos.c.id == video_id)
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None or row[0] is None else Trouble(row[0], row[1])


def events_of(database: Database, path: bytes, video_id: str | None) -> list[Event]:
    """Give what the newest jobs say of a path, dry runs too, and what happened to a video, the latest first.

    That a folder above it was left out happened to it too: the scan could not see it.
    """
    above = paths.with_ancestors(path)[:-1]
    here = or_(
        and_(ledger.c.path_bytes == path, ledger.c.outcome != Outcome.UNCHANGED),
        and_(ledger.c.path_bytes.in_(above), ledger.c.outcome == Outcome.SKIPPED),
    )
    found: list[Event] = []
    with database.read() as connection:
        for job_id in _newest_jobs(database):
            found += [
                Event(row.at, row.outcome, row.path_bytes, job_id, row.video_id, row.code, row.reason)
                for row in connection.execute(select(ledger).where(ledger.c.job_id == job_id, here))
            ]
        if video_id is not None:
            query = select(changes).where(changes.c.video_id == video_id).order_by(changes.c.seq.desc()).limit(EVENTS)
            told = {(event.at, event.what) for event in found}
            found += [
                Event(row.at, row.kind, row.path_bytes, video_id=video_id)
                for row in connection.execute(query)
                if (row.at, row.kind) not in told
            ]
    return sorted(found, key=lambda event: event.at, reverse=True)


def _newest_jobs(database: Database) -> Iterator[str]:
    """Give ids of jobs that have a ledger, the newest first: they sort by time."""
    last = "g"  # which follows every hexadecimal digit
    with database.read() as connection:
        for _ in range(JOBS_LOOKED_AT):
            query = select(func.max(ledger.c.job_id)).where(ledger.c.job_id < last)
            last = connection.execute(query).scalar_one()
            if last is None:
                return
            yield last


def set_aside(database: Database, after: bytes = b"", limit: int = 200) -> list[SetAside]:
    """Give files that are not examined again by themselves, by path, those behind `after`."""
    unusable = select(rejects.c.path_bytes, rejects.c.code, rejects.c.reason, rejects.c.at)
    unusable = unusable.where(rejects.c.code.in_(QUARANTINED), rejects.c.path_bytes > after)
    columns = ("path_bytes", "probe_error_code", "probe_error", "probe_error_at", "id")
    broken = select(*(videos.c[name] for name in columns)).where(
        videos.c.probe_error_code.in_(QUARANTINED), videos.c.state == "broken", videos.c.path_bytes > after
    )
    with database.read() as connection:
        rows = [
            *connection.execute(unusable.order_by(rejects.c.path_bytes).limit(limit)),
            *connection.execute(broken.order_by(videos.c.path_bytes).limit(limit)),
        ]
    found = [SetAside(*row) for row in rows]
    return sorted(found, key=lambda each: each.path_bytes)[:limit]
