"""The change feed: what has become of the catalogue since a client last looked."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from stoat_ferret.api.changes import ChangeStream
from stoat_ferret.api.dependencies import ChangesDep, StreamsDep, refuse_unknown_parameters
from stoat_ferret.api.problems import reading
from stoat_ferret.api.routers.events import LastEventId
from stoat_ferret.api.schemas.change import ChangeListResponse, ChangeResponse
from stoat_ferret.api.streams import MEDIA_TYPE

MOST_SEQ = 2**63 - 1
EXAMPLE = (
    'event: change\nid: 4711\ndata: {"seq":4711,"kind":"moved","video_id":"01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11",'
    '"path":"/videos/2024/a.mp4",…}\n\n'
)

router = APIRouter(prefix="/changes", tags=["changes"], dependencies=[Depends(refuse_unknown_parameters)])

AfterParam = Annotated[
    int, Query(ge=0, le=MOST_SEQ, description="The last number that was seen, `next_after`; 0: from the start.")
]


@router.get("", summary="What has changed", responses=reading(410, 422))
async def list_changes(
    feed: ChangesDep,
    after: AfterParam = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Changes at most.")] = 200,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change where there is none.")] = 0.0,
) -> ChangeListResponse:
    """Give the changes that follow number `after`, in order.

    A client that reads from 0 until nothing more comes, and keeps `video_id` → (`path`, `state`), forgetting what is
    `removed`, has exactly the present list. It goes on from `next_after` whenever it likes. Steps that a later one has
    replaced are taken out after a month (`STOAT_RETENTION_DAYS`): 410 `CHANGES_COMPACTED` then tells a client that was
    away for longer to begin again with 0.
    """
    found = await feed.take(after, limit, wait)
    return ChangeListResponse(
        changes=[ChangeResponse.of(change) for change in found], next_after=found[-1].seq if found else after
    )


@router.get(
    "/events",
    summary="Follow the changes",
    response_class=Response,
    responses={
        **reading(400, 410, 422),
        200: {
            "description": "Events `change`, of which each has a change as `data` and its number as `id`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
        },
    },
)
async def follow_changes(
    feed: ChangesDep, streams: StreamsDep, last_event_id: LastEventId, after: AfterParam = 0
) -> Response:
    """Stream the changes that follow number `after`, or the `Last-Event-ID`, and then each as it happens."""
    return ChangeStream(feed, streams, after if last_event_id is None else last_event_id)
