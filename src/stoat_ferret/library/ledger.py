"""The ledger: what each job did to each path. Unchanged files are counted, one row a folder."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, union_all

from stoat_ferret import cursors
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import ledger, rejects, scan_costs, videos
from stoat_ferret.db.upsert import insert_all
from stoat_ferret.errors import InvalidCursorError
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.repository import steps

STORED = (Outcome.NEW, Outcome.UPDATED, Outcome.MOVED, Outcome.RESTORED)
"""Outcomes after which the file, if it is met again by the same job, is found unchanged."""


def record(connection: Connection, job_id: str, rows: Sequence[tuple[int | None, LedgerRow]]) -> None:
    """Write rows, each with the folder it lies in; a later row about the same path replaces the earlier one."""
    insert_all(connection, ledger, _values(job_id, rows), over=("job_id", "path_bytes"))


def _values(job_id: str, rows: Sequence[tuple[int | None, LedgerRow]]) -> list[dict[str, Any]]:
    # Not by `asdict`, which copies each value, and is called for every folder there is.
    return [
        {"job_id": job_id, "folder_pk": folder_pk, **{name: getattr(row, name) for name in LedgerRow.__slots__}}
        for folder_pk, row in rows
    ]


def withdraw(connection: Connection, job_id: str, folders: Sequence[bytes]) -> None:
    """Take back what an earlier attempt said about folders as a whole."""
    whole = (ledger.c.job_id == job_id, ledger.c.outcome.in_((Outcome.UNCHANGED, Outcome.SKIPPED)))
    for step in steps(folders):
        connection.execute(delete(ledger).where(*whole, ledger.c.path_bytes.in_(step)))


def forget(connection: Connection, job_id: str, outcomes: Collection[Outcome]) -> None:
    """Take back what an earlier attempt said of files that came out so."""
    connection.execute(delete(ledger).where(ledger.c.job_id == job_id, ledger.c.outcome.in_(outcomes)))


def add_cost(connection: Connection, job_id: str, bytes_read: int, seconds: float) -> None:
    """Add to what the job has cost, over all its attempts."""
    cost = {"job_id": job_id, "bytes_read": bytes_read, "seconds": seconds}
    insert_all(connection, scan_costs, [cost], over=("job_id",), adding=("bytes_read", "seconds"))


def costs(database: Database, job_id: str) -> tuple[int, float]:
    """Give the bytes read and the seconds taken by a job so far."""
    query = select(scan_costs.c.bytes_read, scan_costs.c.seconds).where(scan_costs.c.job_id == job_id)
    with database.read() as connection:
        row = connection.execute(query).first()
    return (0, 0.0) if row is None else (row[0], row[1])


def stored_paths(database: Database, job_id: str, folder_pk: int) -> set[bytes]:
    """Give the paths directly in a folder that this job has stored, in this attempt or an earlier one."""
    query = select(ledger.c.path_bytes).where(
        ledger.c.job_id == job_id, ledger.c.folder_pk == folder_pk, ledger.c.outcome.in_(STORED)
    )
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def recorded_paths(database: Database, job_id: str, wanted: Sequence[bytes]) -> set[bytes]:
    """Give those of some paths of which this job has a row."""
    found: set[bytes] = set()
    for step in steps(wanted):
        query = select(ledger.c.path_bytes).where(ledger.c.job_id == job_id, ledger.c.path_bytes.in_(step))
        with database.read() as connection:
            found.update(connection.execute(query).scalars())
    return found


def folders_with(database: Database, job_id: str, code: str, limit: int) -> list[bytes]:
    """Give the folders of up to `limit` of the job's files to which this happened, in order, each once."""
    query = select(ledger.c.path_bytes).where(ledger.c.job_id == job_id, ledger.c.code == code)
    with database.read() as connection:
        found = connection.execute(query.order_by(ledger.c.path_bytes).limit(limit)).scalars().all()
    return sorted({path.rpartition(b"/")[0] or b"/" for path in found})


def folders_with_young(
    database: Database, job_id: str, codes: Collection[str], since_ns: int, limit: int
) -> list[bytes]:
    """Give the folders of up to `limit` of the job's files to which one of these happened and which are that young."""
    happened = (ledger.c.job_id == job_id, ledger.c.code.in_(codes))
    known = union_all(
        *(
            select(ledger.c.path_bytes)
            .join(files, files.c.path_bytes == ledger.c.path_bytes)
            .where(*happened, files.c.mtime_ns > since_ns)
            for files in (rejects, videos)
        )
    ).subquery()
    with database.read() as connection:
        found = connection.execute(select(known).order_by(known.c.path_bytes).limit(limit)).scalars().all()
    return sorted({path.rpartition(b"/")[0] or b"/" for path in found})


def count_with(database: Database, job_id: str, code: str) -> int:
    """Count the job's files to which this happened."""
    query = select(func.count()).where(ledger.c.job_id == job_id, ledger.c.code == code)
    with database.read() as connection:
        return connection.execute(query).scalar_one()


def count_up(connection: Connection, job_id: str, rows: Sequence[tuple[int, LedgerRow]]) -> None:
    """Add rows, each with the folder it lies in, to what is counted of their paths.

    Of unchanged files there is one line a folder.
    """
    insert_all(connection, ledger, _values(job_id, rows), over=("job_id", "path_bytes"), adding=("count",))


def totals(database: Database, job_id: str) -> dict[Outcome, int]:
    """Count the job's files by outcome; every outcome has a number."""
    # Grouped, SQLite would sort all rows in memory first: 50 MiB for a million.
    sums = [func.sum(ledger.c.count).filter(ledger.c.outcome == outcome) for outcome in Outcome]
    with database.read() as connection:
        row = connection.execute(select(*sums).where(ledger.c.job_id == job_id)).one()
    return {outcome: int(count or 0) for outcome, count in zip(Outcome, row, strict=True)}


def first_with(database: Database, job_id: str, outcome: Outcome, limit: int) -> list[LedgerRow]:
    """Give the first paths with an outcome, by path."""
    return page(database, job_id, outcome=outcome, cursor=None, limit=limit)[0]


def page(
    database: Database, job_id: str, *, outcome: Outcome | None, cursor: str | None, limit: int
) -> tuple[list[LedgerRow], str | None]:
    """Give some of a job's rows by path, and the cursor of the rest.

    Raises:
        InvalidCursorError: the cursor belongs to another job or filter.
    """
    about = [job_id, outcome]
    query = select(ledger).where(ledger.c.job_id == job_id).order_by(ledger.c.path_bytes).limit(limit + 1)
    if outcome is not None:
        query = query.where(ledger.c.outcome == outcome)
    if cursor is not None:
        try:
            query = query.where(ledger.c.path_bytes > bytes.fromhex(cursors.decode(cursor, about)[0]))
        except (ValueError, TypeError, IndexError) as error:
            raise InvalidCursorError from error
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
    found = [_row(row) for row in rows[:limit]]
    more = cursors.encode(about, [found[-1].path_bytes.hex()]) if len(rows) > limit else None
    return found, more


def _row(row: Any) -> LedgerRow:
    values = {name: row[name] for name in LedgerRow.__dataclass_fields__}
    return LedgerRow(**{**values, "outcome": Outcome(row["outcome"])})
