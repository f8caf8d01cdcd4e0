"""The change feed: every change of the catalogue, in order, written in the transaction that makes it."""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, and_, delete, func, select, update

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import change_numbers, changes
from stoat_ferret.db.upsert import insert, insert_all
from stoat_ferret.errors import ChangesCompactedError
from stoat_ferret.library.models import Change

CHANGES_A_STEP = 500

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
        insert_all(connection, changes, rows)


def _take_numbers(connection: Connection, count: int) -> int:
    """Give the first of `count` numbers that were never given before."""
    statement = insert(connection, change_numbers).values(id=1, last=count)
    statement = statement.on_conflict_do_update(
        index_elements=[change_numbers.c.id], set_={"last": change_numbers.c.last + statement.excluded.last}
    )
    last: int = connection.execute(statement.returning(change_numbers.c.last)).scalar_one()
    return last - count + 1


def position(database: Database) -> tuple[int, int]:
    """Give the number of the last change, and up to which one the feed was compacted; 0 where there is none."""
    with database.read() as connection:
        row = connection.execute(select(change_numbers.c.last, change_numbers.c.compacted)).first()
    return (0, 0) if row is None else (row.last, row.compacted)


def read_after(database: Database, after: int, limit: int) -> list[Change]:
    """Give the changes that follow number `after`, as `read` does, to one who may have been away for long.

    Of each video the newest change is never taken out, so whoever goes on from any number ends with the present list;
    what was taken out is a step in between that was told once and that he has missed. So a number that there is no
    change of any more is refused, unless he begins with 0: he was not there. One who is in the midst of reading from 0
    while the feed is compacted is refused only where his very last change was taken out.

    Raises:
        ChangesCompactedError: that part of the feed was compacted.
    """
    found = read(database, after, limit)
    if 0 < after < position(database)[1]:
        with database.read() as connection:
            if connection.execute(select(changes.c.seq).where(changes.c.seq == after)).first() is None:
                msg = (
                    f"The change {after} is older than the feed goes back: steps that later ones replaced were taken "
                    "out. Begin again with after=0, which gives the present state of everything."
                )
                raise ChangesCompactedError(msg)
    return found


def compact(database: Database, before: int, *, between: Callable[[], None] = lambda: None) -> int:
    """Take out changes that happened before a moment and that a later one before it replaces; gives how many.

    In small transactions, oldest first; what raises in between may be taken up again.

    Args:
        database: the catalogue.
        before: microseconds since 1970 UTC.
        between: called between two transactions; what it raises ends the work.

    Raises:
        StorageError: the catalogue could not be written.
    """
    taken = 0
    horizon = select(func.max(changes.c.seq)).where(changes.c.at < before)
    with database.read() as connection:
        last = connection.execute(horizon).scalar_one() or 0
    while (start := position(database)[1]) < last:
        with database.write(durable=False) as connection:
            some = select(changes.c.seq, changes.c.video_id).where(changes.c.seq > start, changes.c.seq <= last)
            rows = connection.execute(some.order_by(changes.c.seq).limit(CHANGES_A_STEP)).all()
            later = changes.alias()
            newest = select(func.max(later.c.seq)).where(later.c.video_id == changes.c.video_id, later.c.seq <= last)
            replaced = and_(
                changes.c.video_id.in_({row.video_id for row in rows}),
                changes.c.seq < newest.scalar_subquery(),
            )
            taken += connection.execute(delete(changes).where(replaced)).rowcount
            reached = rows[-1].seq if rows else last
            connection.execute(update(change_numbers).values(compacted=reached))
        between()
    return taken


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
