"""A job's whole ledger as lines of JSON (application/x-ndjson), however long it is."""

from collections.abc import AsyncIterator

from anyio import to_thread

from stoat_ferret.api.schemas.job import LedgerEntry
from stoat_ferret.db.engine import Database
from stoat_ferret.library import ledger
from stoat_ferret.library.models import Outcome

NDJSON = "application/x-ndjson"
ROWS_A_STEP = 1_000
"""Rows read, and lines held, at a time. Each step is a read of its own: a long one would keep the database from tidying
up behind those who write."""


async def stream_ledger(
    database: Database, job_id: str, outcome: Outcome | None, cursor: str | None
) -> AsyncIterator[bytes]:
    """Give the lines, many at a time; the first have been read when this returns, so that it can still be refused.

    Raises:
        InvalidCursorError: the cursor belongs to another job or filter.
        StorageError: the catalogue could not be read.
    """

    def step(after: str | None) -> tuple[bytes, str | None]:
        # Written here as well, in a thread: a thousand entries would hold up everybody else's requests.
        rows, following = ledger.page(database, job_id, outcome=outcome, cursor=after, limit=ROWS_A_STEP)
        lines = [LedgerEntry.of(row).model_dump_json() + "\n" for row in rows]
        return "".join(lines).encode(), following

    first = await to_thread.run_sync(step, cursor)

    async def steps() -> AsyncIterator[bytes]:
        lines, following = first
        yield lines
        while following is not None:
            lines, following = await to_thread.run_sync(step, following)
            yield lines

    return steps()
