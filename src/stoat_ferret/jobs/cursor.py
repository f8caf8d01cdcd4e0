"""Pages of a list of jobs: how far it is counted, and the cursor: where a page ended, bound to what it was made for."""

from stoat_ferret import cursors
from stoat_ferret.errors import InvalidCursorError
from stoat_ferret.jobs.model import JobStatus

MOST_COUNTED = 10_000
"""Jobs of a list are counted up to here, so that counting costs little however many there are."""


def encode_cursor(last_id: str, status: JobStatus | None, job_type: str | None, parent_id: str | None = None) -> str:
    """Give the cursor that continues after the job with this id."""
    return cursors.encode(["jobs", status, job_type, parent_id], [last_id])


def decode_cursor(cursor: str, status: JobStatus | None, job_type: str | None, parent_id: str | None = None) -> str:
    """Give the id to continue after.

    Raises:
        InvalidCursorError: it is not a cursor, or belongs to another list.
    """
    match cursors.decode(cursor, ["jobs", status, job_type, parent_id]):
        case [str(last_id)] if last_id.isascii():
            return last_id
    raise InvalidCursorError
