"""Files that are elsewhere now: the entry goes with them, and where it was is remembered.

Two entries may change places, and a file may have been moved over another one. So first all entries that move let go of
their paths, then those in the way are marked missing, then each takes its new path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from stoat_ferret import paths
from stoat_ferret.db.tables import folders, former_places, gone, libraries, rejects, videos
from stoat_ferret.db.upsert import insert
from stoat_ferret.library import changes, own
from stoat_ferret.library.models import FileKey
from stoat_ferret.library.repository import steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An entry that goes to another path."""

    video_pk: int
    from_path: bytes
    """Where the scan knew it; if it is no longer there, it stays where it is."""
    path: bytes
    key: FileKey
    folder_pk: int
    library_id: str


def move(connection: Connection, wanted: Sequence[Move], entries: list[changes.Entry], now: int) -> dict[bytes, str]:
    """Let entries go with their files; gives the ids of those that did by their new paths.

    One that another scan, or a person, has changed meanwhile is left alone.
    """
    origins = _origins(connection, wanted)
    moves = [each for each in wanted if each.video_pk in origins]
    if not moves:
        return {}
    _let_go(connection, moves)
    _displace(connection, moves, entries, now)
    rows = []
    for each in moves:
        row = origins[each.video_pk]
        state = "available" if row.probe_error is None else "broken"
        shown = paths.display(each.path)
        rows.append(
            {
                "video_pk": each.video_pk,
                "path_bytes": each.path,
                "path": shown,
                "filename": shown.rpartition("/")[2],
                "folder_pk": each.folder_pk,
                "library_id": each.library_id,
                "size": each.key.size,
                "mtime_ns": each.key.mtime_ns,
                "inode": each.key.inode,
                "device": each.key.device,
                "modified_at": each.key.mtime_ns // 1_000,
                "state": state,
                "missing_since": None,
                "updated_at": now,
            }
        )
        entries.append(("restored" if each.path == each.from_path else "moved", row.id, each.path, state))
    connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), rows)
    _remember_places(connection, moves, now)
    _settle_accounts(connection, moves, origins)
    own.describe(connection, [each.video_pk for each in moves])  # they are found by their new paths
    return {each.path: origins[each.video_pk].id for each in moves}


def _origins(connection: Connection, wanted: Sequence[Move]) -> dict[int, Any]:
    expected = {each.video_pk: each.from_path for each in wanted}
    columns = [videos.c[name] for name in ("pk", "id", "path_bytes", "folder_pk", "library_id", "probe_error")]
    found = {}
    for step in steps(sorted(expected)):
        for row in connection.execute(select(*columns).where(videos.c.pk.in_(step))):
            if row.path_bytes == expected[row.pk]:
                found[row.pk] = row
    return found


def _let_go(connection: Connection, moves: Sequence[Move]) -> None:
    """A missing entry holds no path."""
    for step in steps([each.video_pk for each in moves]):
        connection.execute(update(videos).where(videos.c.pk.in_(step)).values(state="missing"))


def _displace(connection: Connection, moves: Sequence[Move], entries: list[changes.Entry], now: int) -> None:
    """Mark as missing what was at a path that another file was moved to: it was written over, or turns up elsewhere."""
    for step in steps([each.path for each in moves]):
        in_the_way = (videos.c.path_bytes.in_(step), videos.c.state != "missing")
        rows = connection.execute(select(videos.c.pk, videos.c.id, videos.c.path_bytes).where(*in_the_way)).all()
        if rows:
            values = {"state": "missing", "missing_since": now, "updated_at": now}
            connection.execute(update(videos).where(videos.c.pk.in_([row.pk for row in rows])).values(values))
            entries += [("missing", row.id, row.path_bytes, "missing") for row in rows]
        connection.execute(delete(rejects).where(rejects.c.path_bytes.in_(step)))


def _remember_places(connection: Connection, moves: Sequence[Move], now: int) -> None:
    rows = [
        {
            "video_pk": each.video_pk,
            "path_bytes": each.from_path,
            "path": paths.display(each.from_path),
            "until": now,
        }
        for each in moves
        if each.from_path != each.path
    ]
    if rows:
        connection.execute(insert(connection, former_places), rows)


def _settle_accounts(connection: Connection, moves: Sequence[Move], origins: dict[int, Any]) -> None:
    """Nobody takes them for gone any more, the folders they left are looked at anew, and libraries count them right."""
    for step in steps([each.video_pk for each in moves]):
        connection.execute(delete(gone).where(gone.c.video_pk.in_(step)))
    for step in steps(sorted({origins[each.video_pk].folder_pk for each in moves})):
        connection.execute(update(folders).where(folders.c.pk.in_(step)).values(digest=None))
    crossing = [(origins[each.video_pk].library_id, each.library_id) for each in moves]
    for library_id in {library for pair in crossing for library in pair if pair[0] != pair[1]}:
        change = sum((new == library_id) - (old == library_id) for old, new in crossing)
        count = libraries.c.video_count + change
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(video_count=count))
