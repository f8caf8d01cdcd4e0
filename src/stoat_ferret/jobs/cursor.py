"""The cursor of a list of jobs: opaque to clients, and bound to the filters it was made for."""

import base64
import binascii
import json

from stoat_ferret.errors import InvalidCursorError
from stoat_ferret.jobs.model import JobStatus


def encode_cursor(last_id: str, status: JobStatus | None, job_type: str | None) -> str:
    """Give the cursor that continues after the job with this id."""
    text = json.dumps([last_id, status, job_type])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, status: JobStatus | None, job_type: str | None) -> str:
    """Give the id to continue after.

    Raises:
        InvalidCursorError: it is not a cursor, or belongs to another list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        last_id, *filters = json.loads(raw)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError from error
    if not isinstance(last_id, str) or not last_id.isascii() or filters != [status, job_type]:
        raise InvalidCursorError
    return last_id
