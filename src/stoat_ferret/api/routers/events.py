"""Jobs as streams of events: one until it ends, or all of them."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from stoat_ferret.api.dependencies import JobIdPath, StreamsDep, refuse_unknown_parameters
from stoat_ferret.api.problems import reading
from stoat_ferret.api.streams import MEDIA_TYPE
from stoat_ferret.errors import InvalidCursorError

MOST_REVISION = 2**63 - 1
EXAMPLE = (
    'event: job\nid: 42\ndata: {"job_id":"01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11","type":"scan","status":"running",'
    '"progress":0.42,…}\n\n'
)
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `job`, of which each has a job's record as `data` and its revision as `id`.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}

router = APIRouter(tags=["events"], dependencies=[Depends(refuse_unknown_parameters)])


async def _last_event_id(
    given: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The `id` of the last event that arrived, which browsers send by themselves when they come "
            "back: the stream then begins with the present state of every job that has changed since.",
            examples=["42"],
        ),
    ] = None,
) -> int | None:
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", given) or int(given) > MOST_REVISION:
        msg = f"The Last-Event-ID {given[:60]!r} is not the id of an event. Leave it out to begin anew."
        raise InvalidCursorError(msg)
    return int(given)


LastEventId = Annotated[int | None, Depends(_last_event_id)]


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        **reading(400, 404, 422),
        **STREAM,
        204: {"description": "The job has ended, and `Last-Event-ID` says that its end has been seen."},
    },
)
async def follow_job(job_id: JobIdPath, streams: StreamsDep, after: LastEventId) -> Response:
    """Stream a job (`text/event-stream`): how it stands, then every change, and close after its end.

    A comment comes every 15 seconds where there is nothing else. A client that reads slowly gets the newest state and
    not each one before it; one that does not read is let go.
    """
    return streams.of_job(job_id, after)


@router.get(
    "/events",
    summary="Follow all jobs",
    response_class=Response,
    responses={**reading(400, 422), **STREAM},
)
async def follow_jobs(
    streams: StreamsDep,
    after: LastEventId,
    parts: Annotated[bool, Query(description="Also jobs that are parts of others.")] = False,
) -> Response:
    """Stream all jobs (`text/event-stream`): those that have not ended and the newest 50, then every change.

    Events come in the order of their ids. That a job was deleted is not told.
    """
    return streams.of_all(after, parts=parts)
