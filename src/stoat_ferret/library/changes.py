"""The change feed: every change of the catalogue, in order, written in the transaction that makes it."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import change_numbers, changes
from stoat_ferret.db.upsert import insert
from stoat_ferret.library.models import Change

Entry = tuple[str, str, bytes, str]
"""Kind, video id, path, state after the change."""


def append(connection: Connection, entries: Sequence[Entry], at: int) -> None:
    """Add changes; part of the caller's transaction, so that the feed never disagrees with the catalogue.

    The transaction holds the write lock, so that numbers follow the order of commits, without a gap.
    """
    if entries:
        first = _take_numbers(connection, len(entries))
        rows = [
            {
                "seq": seq,
                "kind": kind,
                "video_id": video_id,
                "path_bytes": path,
                "path": paths.display(path),
                "state": state,
                "at": at,
            }
            for seq, (kind, video_id, path, state) in enumerate(entries, first)
        ]
        connection.execute(insert(connection, changes), rows)


def _take_numbers(connection: Connection, count: int) -> int:
    """Give the first of `count` numbers that were never given before."""
    statement = insert(connection, change_numbers).values(id=1, last=count)
    statement = statement.on_conflict_do_update(
        index_elements=[change_numbers.c.id], set_={"last": change_numbers.c.last + statement.excluded.last}
    )
    last: int = connection.execute(statement.returning(change_numbers.c.last)).scalar_one()
    return last - count + 1


def read(database: Database, after: int, limit: int) -> list[Change]:
    """Give the changes that follow number `after`, in order; every number once given out stays in its place."""
    query = select(changes).where(changes.c.seq > after).order_by(changes.c.seq).limit(limit)
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [Change(**{name: row[name] for name in Change.__dataclass_fields__}) for row in rows]


def replay(entries: Iterable[Change]) -> dict[str, tuple[bytes, str]]:
    """Rebuild id → (path, state) from a feed read from its start."""
    present: dict[str, tuple[bytes, str]] = {}
    for entry in entries:
        if entry.kind == "removed":
            present.pop(entry.video_id, None)
        else:
            present[entry.video_id] = (entry.path_bytes, entry.state)
    return present
