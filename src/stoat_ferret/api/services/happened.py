"""What happened to a path, in the words of the jobs that did it."""

from dataclasses import replace

from anyio import to_thread

from stoat_ferret.api.services.verify import VERIFY_JOB_TYPE
from stoat_ferret.db.engine import Database
from stoat_ferret.errors import JobNotFoundError
from stoat_ferret.jobs.model import Job
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library import history
from stoat_ferret.library.fixity import checksum_of
from stoat_ferret.library.history import EVENTS, Event
from stoat_ferret.library.models import Outcome
from stoat_ferret.scan.verify import DAMAGED

VERIFIED = "verified"
VERIFICATION: dict[str, str] = {
    Outcome.NEW: "hashed",
    Outcome.RESTORED: "recovered",
    Outcome.FAILED: "unverified",
    Outcome.SKIPPED: "unverified",
}
"""What the outcomes of a verification are called, which uses those of a scan."""


async def happened(path: bytes, video_id: str | None, database: Database, queue: AsyncJobQueue) -> list[Event]:
    """Give what happened to a path in the newest jobs, and to a video, the latest first.

    What a dry run has told did not happen. Of a verification it is said what was found about the content.
    """
    found: list[Event] = []
    jobs: dict[str, Job | None] = {}
    for event in await to_thread.run_sync(history.events_of, database, path, video_id):
        if event.job_id is None:
            found.append(event)
            continue
        if event.job_id not in jobs:
            jobs[event.job_id] = await _job(queue, event.job_id)
        job = jobs[event.job_id]
        if job is not None and job.payload.get("dry_run"):
            continue
        found.append(_of_verification(event) if job is not None and job.type == VERIFY_JOB_TYPE else event)
        if len(found) >= EVENTS:
            break
    if video_id is not None:
        found = await to_thread.run_sync(_with_last_check, found, path, video_id, database)
    return found[:EVENTS]


async def _job(queue: AsyncJobQueue, job_id: str) -> Job | None:
    try:
        return await queue.get(job_id)
    except JobNotFoundError:  # forgotten; what it did follows soon
        return None


def _of_verification(event: Event) -> Event:
    return replace(event, what="damaged" if event.code == DAMAGED else VERIFICATION.get(event.what, event.what))


def _with_last_check(found: list[Event], path: bytes, video_id: str, database: Database) -> list[Event]:
    """Add when the content was last found right: ledgers only count the files of a folder of which that is so."""
    checksum = checksum_of(database, video_id)
    if checksum is None or checksum.damaged_at is not None or checksum.checked_at <= checksum.hashed_at:
        return found
    told = [event.at for event in found if event.what in (*VERIFICATION.values(), "damaged")]
    if any(at >= checksum.checked_at for at in told):
        return found
    check = Event(checksum.checked_at, VERIFIED, path, video_id=video_id)
    return sorted([*found, check], key=lambda event: event.at, reverse=True)
