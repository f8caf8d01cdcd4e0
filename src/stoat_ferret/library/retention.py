"""Forgetting what jobs have left in the catalogue beside its videos: ledgers, costs, notes, and rights to write.

All in small transactions, so that whoever else wants to write never waits long.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, func, select

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import gone, job_claims, ledger, scan_costs, videos
from stoat_ferret.db.tables import libraries as library_table

ROWS_A_TRANSACTION = 500
WITH_ONE_ROW = (scan_costs, job_claims)
"""Tables with one row a job."""
WITH_ROWS: dict[Table, ColumnElement[Any]] = {ledger: ledger.c.path_bytes, gone: gone.c.video_pk}
"""Tables with many rows a job, and what tells these apart."""


def forget_job(database: Database, job_id: str) -> int:
    """Delete all that a job has left, and give how many lines its ledger had; as `forget_jobs`."""
    return forget_jobs(database, [job_id])


def forget_jobs(database: Database, job_ids: Sequence[str], *, between: Callable[[], None] = lambda: None) -> int:
    """Delete all that some jobs have left, and give how many lines their ledgers had; videos are not touched.

    For jobs whose records are gone: one that still runs would lose its right to write.

    Args:
        database: the catalogue.
        job_ids: whose; a few hundred at most.
        between: called between two transactions; what it raises ends the work, which may be taken up again.

    Raises:
        StorageError: the catalogue could not be written.
    """
    deleted = 0
    for table, which in WITH_ROWS.items():
        for job_id in job_ids:
            while rows := _delete_some(database, table, which, job_id):
                deleted += rows if table is ledger else 0
                between()
    # Not durable, here and below: rows that a power cut brings back are found again, their job's record stays gone.
    with database.write(durable=False) as connection:
        for table in WITH_ONE_ROW:
            connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))
    return deleted


def _delete_some(database: Database, table: Table, which: ColumnElement[Any], job_id: str) -> int:
    some = select(which).where(table.c.job_id == job_id).limit(ROWS_A_TRANSACTION)
    with database.read() as connection:
        if connection.execute(some.limit(1)).first() is None:  # most jobs left nothing here: no need to lock
            return 0
    with database.write(durable=False) as connection:
        return connection.execute(delete(table).where(table.c.job_id == job_id, which.in_(some))).rowcount


def jobs_with_remains(database: Database, after: str, limit: int) -> tuple[str, ...]:
    """Give ids of jobs that have left anything, in order, those behind `after` ("" for the first); () at the end."""
    found: set[str] = set()
    with database.read() as connection:
        for table in WITH_ONE_ROW:
            query = select(table.c.job_id).where(table.c.job_id > after).order_by(table.c.job_id).limit(limit)
            found.update(connection.execute(query).scalars())
        for table in WITH_ROWS:
            # From one job to the next by the index: a ledger may have a million lines of one job.
            last = after
            for _ in range(limit):
                following = connection.execute(_next_id(table, last)).scalar_one()
                if not following:
                    break
                last = following
                found.add(last)
    return tuple(sorted(found)[:limit])


def _next_id(table: Table, after: str) -> Select[Any]:
    return select(func.min(table.c.job_id)).where(table.c.job_id > after)


def miscounted(database: Database) -> list[str]:
    """Give the ids of libraries whose counter of videos is not the number of their videos."""
    counted = select(func.count()).where(videos.c.library_id == library_table.c.id).scalar_subquery()
    query = select(library_table.c.id).where(library_table.c.video_count != counted).order_by(library_table.c.id)
    with database.read() as connection:
        return list(connection.execute(query).scalars())
