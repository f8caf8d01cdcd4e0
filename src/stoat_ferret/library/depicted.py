"""The videos of which there may be a picture: those that are there, by path."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import videos
from stoat_ferret.library.repository import below

ROWS_A_PAGE = 500


@dataclass(frozen=True, slots=True)
class Depictable:
    """A video of which there may be a picture, and its file as the last scan saw it."""

    video_id: str
    path_bytes: bytes
    folder_pk: int
    size: int
    mtime_ns: int
    device: int
    fingerprint: str | None

    @property
    def content(self) -> str:
        """What pictures of it are kept by."""
        return self.fingerprint or self.video_id


_COLUMNS = [videos.c[name] for name in "path_bytes folder_pk size mtime_ns device fingerprint".split()]


def _within(place: bytes | None) -> list[ColumnElement[bool]]:
    available = videos.c.state == "available"
    if place is None:
        return [available]
    # The range alone makes use of the index; what lies in it beside the folder and below it is left out again.
    at = or_(videos.c.path_bytes == place, below(videos.c.path_bytes, place))
    return [available, videos.c.path_bytes >= place, videos.c.path_bytes < place.rstrip(b"/") + b"0", at]


def count_depictable(database: Database, place: bytes | None) -> int:
    """Count the videos that are there, in a folder or at a path; None: everywhere."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(videos).where(*_within(place))).scalar_one()


def depictable(database: Database, place: bytes | None, after: bytes) -> list[Depictable]:
    """Give some of them by path, behind `after`; none at the end."""
    query = select(videos.c.id, *_COLUMNS).where(*_within(place), videos.c.path_bytes > after)
    with database.read() as connection:
        rows = connection.execute(query.order_by(videos.c.path_bytes).limit(ROWS_A_PAGE)).all()
    return [Depictable(row[0], *row[1:]) for row in rows]
