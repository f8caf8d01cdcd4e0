"""Forgetting a job: its record, then what it has left in the catalogue."""

from functools import partial

from anyio import from_thread, to_thread

from stoat_ferret.db.engine import Database
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.retention import forget_jobs

JOBS_A_PAGE = 200


async def delete_job(queue: AsyncJobQueue, catalogue: Database, job_id: str) -> None:
    """Delete a job that has ended, its parts, and the ledger of what they did; videos are not touched.

    The record goes first: from then on nobody can ask for the rest, and the daily maintenance deletes what is left of
    it where this is cut off.

    Raises:
        JobNotFoundError: there is none with this id.
        JobNotFinishedError: it, or what it is a part of, has not ended yet.
    """
    parts = await _parts(queue, job_id)
    await queue.delete(job_id)
    gone = [job_id, *parts]
    for start in range(0, len(gone), JOBS_A_PAGE):
        some = gone[start : start + JOBS_A_PAGE]
        await to_thread.run_sync(partial(forget_jobs, catalogue, some, between=from_thread.check_cancelled))


async def _parts(queue: AsyncJobQueue, job_id: str) -> list[str]:
    parts: list[str] = []
    cursor: str | None = None
    while True:
        page = await queue.list(parent_id=job_id, cursor=cursor, limit=JOBS_A_PAGE)
        parts += [part.id for part in page.jobs]
        cursor = page.next_cursor
        if cursor is None:
            return parts
