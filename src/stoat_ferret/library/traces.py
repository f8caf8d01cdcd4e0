"""By what a file is found again elsewhere: its inode, its content; and which volumes lay where."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from stoat_ferret.db.engine import Database
from stoat_ferret.db.prepared import Prepared, among
from stoat_ferret.db.tables import rejects, videos, volumes
from stoat_ferret.db.upsert import insert
from stoat_ferret.library.known import KNOWN_COLUMNS, known_reject, known_video
from stoat_ferret.library.models import FileKey, KnownFile
from stoat_ferret.library.repository import below, now_us, steps


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """What the catalogue has recorded of the volume that begins at a folder."""

    source: str
    kind: str
    name: str
    root: str


MOST_ALIKE = 64
STORED = Prepared(select(videos.c.fingerprint).where(among(videos.c.fingerprint, "fingerprints")).distinct())
ALIKE = (
    select(*KNOWN_COLUMNS)
    .where(videos.c.fingerprint == bindparam("fingerprint"))
    .order_by(videos.c.state != "missing", videos.c.missing_since.desc(), videos.c.pk)
    .limit(MOST_ALIKE)
)


def by_inode(database: Database, inodes: Collection[int]) -> Mapping[int, list[KnownFile]]:
    """Give what is known of files with these inodes, wherever they are or were; videos first."""
    found: dict[int, list[KnownFile]] = defaultdict(list)
    with database.read() as connection:
        for step in steps(sorted(inodes)):
            for row in connection.execute(select(*KNOWN_COLUMNS).where(videos.c.inode.in_(step))):
                found[row.inode].append(known_video(row))
            for row in connection.execute(select(rejects).where(rejects.c.inode.in_(step))):
                found[row.inode].append(known_reject(row))
    return found


def by_fingerprint(database: Database, fingerprints: Collection[str]) -> Mapping[str, list[KnownFile]]:
    """Give the videos with these fingerprints, those that are missing first, the latest of them foremost.

    Of each content `MOST_ALIKE` at most: there may be thousands of copies of one file.
    """
    with database.read() as connection:
        # Most files are like no other.
        stored = [row["fingerprint"] for row in STORED.rows(connection, fingerprints=sorted(fingerprints))]
        return {
            fingerprint: [known_video(row) for row in connection.execute(ALIKE, {"fingerprint": fingerprint})]
            for fingerprint in sorted(stored)
        }


def present_at(database: Database, paths: Collection[bytes]) -> dict[bytes, KnownFile]:
    """Give the videos that are at these paths, missing ones left out."""
    found = {}
    with database.read() as connection:
        for step in steps(sorted(paths)):
            query = select(*KNOWN_COLUMNS).where(videos.c.path_bytes.in_(step), videos.c.state != "missing")
            found.update({row.path_bytes: known_video(row) for row in connection.execute(query)})
    return found


def sample_below(database: Database, folder: bytes, limit: int) -> list[tuple[bytes, FileKey]]:
    """Give some of the videos that should be anywhere under a folder, picked over all of it: path and key."""
    columns = [videos.c[name] for name in ("path_bytes", "size", "mtime_ns", "inode", "device")]
    query = select(*columns).where(below(videos.c.path_bytes, folder), videos.c.state != "missing")
    # Fingerprints are as good as random, and the same ones are picked each time.
    with database.read() as connection:
        rows = connection.execute(query.order_by(videos.c.fingerprint, videos.c.pk).limit(limit)).all()
    return [(row.path_bytes, FileKey(row.size, row.mtime_ns, row.inode, row.device)) for row in rows]


def recorded_volumes(database: Database) -> dict[bytes, VolumeRow]:
    """Give the volumes of all libraries by the folder that each begins at."""
    with database.read() as connection:
        rows = connection.execute(select(volumes)).all()
    return {row.path_bytes: VolumeRow(row.source, row.kind, row.name, row.root) for row in rows}


def record_volumes(
    connection: Connection, library_id: str, found: Mapping[bytes, VolumeRow], dropped: Iterable[bytes]
) -> None:
    """Record which volumes lie in a library now, and forget where one begins no longer."""
    for step in steps(sorted(dropped)):
        connection.execute(delete(volumes).where(volumes.c.path_bytes.in_(step)))
    now = now_us()
    rows = [
        {
            "path_bytes": path,
            "library_id": library_id,
            "source": row.source,
            "kind": row.kind,
            "name": row.name,
            "root": row.root,
            "seen_at": now,
        }
        for path, row in found.items()
    ]
    if rows:
        statement = insert(connection, volumes)
        changed = {name: statement.excluded[name] for name in rows[0] if name != "path_bytes"}
        connection.execute(statement.on_conflict_do_update(index_elements=["path_bytes"], set_=changed), rows)
