"""What people set of videos: title, notes, rating, labels. A scan never touches it; it goes with the entry."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import labels, video_details, videos
from stoat_ferret.errors import VideoNotFoundError
from stoat_ferret.library import changes, grams
from stoat_ferret.library.models import Video
from stoat_ferret.library.repository import now_us, steps
from stoat_ferret.library.text import searchable_text


def set_own(database: Database, video_id: str, given: dict[str, Any], *, expected_at: int | None = None) -> bool:
    """Set what is given of a video's `own_title`, `notes`, `rating` and `labels`; what is not given stays.

    Gives False, having changed nothing, where the video was changed after the moment it was `expected_at`, in
    microseconds since 1970 UTC.

    Raises:
        VideoNotFoundError: there is none with this id.
    """
    now = now_us()
    columns = (videos.c.pk, videos.c.path_bytes, videos.c.state, videos.c.updated_at)
    with database.write() as connection:
        row = connection.execute(select(*columns).where(videos.c.id == video_id)).first()
        if row is None:
            raise VideoNotFoundError(f"There is no video with the id {video_id}.")
        if expected_at is not None and row.updated_at != expected_at:
            return False
        if not given:
            return True
        values = {name: value for name, value in given.items() if name != "labels"}
        # Later than before in any case, so that nobody takes one for the other.
        moment = max(now, row.updated_at + 1)
        connection.execute(update(videos).where(videos.c.pk == row.pk).values(**values, updated_at=moment))
        if "labels" in given:
            connection.execute(delete(labels).where(labels.c.video_pk == row.pk))
            if given["labels"]:
                rows = [{"video_pk": row.pk, "label": label} for label in given["labels"]]
                connection.execute(insert(labels), rows)
        describe(connection, [row.pk])
        changes.append(connection, [("updated", video_id, row.path_bytes, row.state)], now)
    return True


def describe(connection: Connection, pks: Sequence[int]) -> None:
    """Let videos that are indexed be found by what is known of them now."""
    texts = []
    for step in steps(pks):
        named = _labels(connection, step)
        columns = (videos.c.pk, videos.c.path_bytes, videos.c.title, videos.c.own_title, video_details.c.tags)
        query = select(*columns).join(video_details, video_details.c.video_pk == videos.c.pk)
        texts += [
            (
                row.pk,
                searchable_text(row.path_bytes, row.title, row.tags, own=(row.own_title, *named.get(row.pk, ()))),
            )
            for row in connection.execute(query.where(videos.c.pk.in_(step)))
        ]
    grams.replace(connection, texts)


def with_labels(connection: Connection, found: Sequence[Video]) -> tuple[Video, ...]:
    """Give videos with their labels, in the order of letters."""
    ids: dict[str, list[str]] = {video.id: [] for video in found}
    for step in steps(list(ids)):
        query = select(videos.c.id, labels.c.label).join(labels, labels.c.video_pk == videos.c.pk)
        for row in connection.execute(query.where(videos.c.id.in_(step)).order_by(labels.c.label)):
            ids[row.id].append(row.label)
    return tuple(replace(video, labels=tuple(ids[video.id])) for video in found)


def _labels(connection: Connection, pks: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    query = select(labels).where(labels.c.video_pk.in_(pks)).order_by(labels.c.label)
    for row in connection.execute(query):
        found.setdefault(row.video_pk, []).append(row.label)
    return found
