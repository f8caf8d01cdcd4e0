"""Videos: scan, list, search, show, picture, forget."""

from collections.abc import Sequence
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from stoat_ferret import cursors, paths
from stoat_ferret.api.dependencies import (
    CursorParam,
    JobsDep,
    LibraryDep,
    LimitParam,
    RuntimeDep,
    SettingsDep,
    link_next,
    not_modified,
    refuse_unknown_parameters,
)
from stoat_ferret.api.negotiation import prefers, takes
from stoat_ferret.api.problems import reading, writing
from stoat_ferret.api.schemas.explain import (
    ExplainResponse,
    QuarantineResponse,
    QuarantineRetryRequest,
    QuarantineRetryResponse,
    SetAsideResponse,
)
from stoat_ferret.api.schemas.job import JobSubmitResponse
from stoat_ferret.api.schemas.scan import FileScanRequest, ScanRequest
from stoat_ferret.api.schemas.video import (
    VideoDetailResponse,
    VideoListResponse,
    VideoPatch,
    VideoResponse,
    VideoSearchResponse,
)
from stoat_ferret.api.services.explain import explain
from stoat_ferret.api.services.previews import PreviewService, Thumbnail
from stoat_ferret.api.services.quarantine import retry
from stoat_ferret.api.services.scan import prepare_file_scan, prepare_scan, scan_rules
from stoat_ferret.api.submission import ENDED, SUBMITTED, SubmittingDep
from stoat_ferret.errors import InvalidCursorError, InvalidPathError, NotSupportedError, PreconditionFailedError
from stoat_ferret.jobs.model import OnceKey, Submission
from stoat_ferret.library.fixity import checksum_of
from stoat_ferret.library.history import former_places_of, set_aside
from stoat_ferret.library.models import Page, Video, VideoDetail, VideoState
from stoat_ferret.library.own import set_own
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.search import DEFAULT_SORT, find
from stoat_ferret.media.tasks import ImageFormat

router = APIRouter(prefix="/videos", tags=["videos"], dependencies=[Depends(refuse_unknown_parameters)])

QUERY_HELP = (
    "Words and quoted phrases that the name, path, title, labels or tags hold; case and accents do not matter. "
    "`is:missing`, `is:available` and `is:broken` find what stands so."
)
WITH_LOCATION = "-location"
"""Ends the `ETag` of what is shown with the place: another answer, of the same state."""
CHANGED = "The video was changed since it was read. Read it again, and decide anew."
VideoIdPath = Annotated[str, Path(description="The video's id, as lists and searches give it.")]
StateParam = Annotated[VideoState | None, Query(description="Only videos that stand so.")]
IncludeParam = Annotated[
    Sequence[Literal["location"]],
    Query(description="What is left out otherwise: `location`, where the video was filmed."),
]
SortParam = Annotated[
    str,
    Query(
        pattern="^-?(name|added|modified|duration|size)$",
        description="`name`, `added`, `modified`, `duration` or `size`; a leading `-` turns the order round.",
    ),
]


@router.post(
    "/scan",
    status_code=202,
    summary="Scan a folder",
    response_model=JobSubmitResponse,
    responses={**writing(400, 403, 422), 200: ENDED, 202: SUBMITTED},
)
async def scan(
    body: ScanRequest, jobs: JobsDep, library: LibraryDep, settings: SettingsDep, submitting: SubmittingDep
) -> object:
    """Put a scan on the queue and answer at once, with the id of the job that does it.

    The job is on disk when this answers. An equal scan that is still pending is joined: the answer is that job's id.
    """

    async def submit(once: OnceKey | None) -> Submission:
        return await jobs.submit(await prepare_scan(body.options(), settings, library), once)

    job, answer = await submitting("POST /videos/scan", body.model_dump(), submit)
    return answer or JobSubmitResponse(job_id=job.id)


@router.get("", summary="List videos", responses=reading(400, 422))
def list_videos(
    request: Request,
    response: Response,
    library: LibraryDep,
    q: Annotated[str | None, Query(description=QUERY_HELP)] = None,
    sort: SortParam = DEFAULT_SORT,
    state: StateParam = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> VideoListResponse:
    """Give one page of videos; missing and broken ones are among them, unless `state` says which."""
    return VideoListResponse(**_page(request, response, library, q or None, state, sort, cursor, limit))


@router.get("/search", summary="Search videos", responses=reading(400, 422))
def search_videos(
    request: Request,
    response: Response,
    library: LibraryDep,
    q: Annotated[str, Query(min_length=1, description=QUERY_HELP, examples=["beach 2024"])],
    state: StateParam = None,
    sort: SortParam = DEFAULT_SORT,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> VideoSearchResponse:
    """Give one page of the videos that hold every word and quoted phrase of the query, from one letter on."""
    return VideoSearchResponse(query=q, **_page(request, response, library, q, state, sort, cursor, limit))


@router.get("/explain", summary="Why a path is known or not", responses=reading(400, 422))
async def explain_path(
    library: LibraryDep,
    jobs: JobsDep,
    settings: SettingsDep,
    path: Annotated[str | None, Query(description="An absolute path.", examples=["/videos/a.mp4"])] = None,
    path_bytes: Annotated[str | None, Query(description="The same in base64, where it is not valid UTF-8.")] = None,
) -> ExplainResponse:
    """Say of any path which rule, error or stage decided about it, since when, and what happened to it before."""
    if (path is None) == (path_bytes is None):
        raise InvalidPathError("Give either path or path_bytes.")
    wanted = paths.decode_base64(path_bytes or "") if path is None else path.encode("utf-8", "replace")
    return ExplainResponse.of(await explain(wanted, settings, library, jobs, scan_rules(settings)))


@router.get("/quarantine", summary="Files that were set aside", responses=reading(400, 422))
def list_quarantine(
    request: Request, response: Response, library: LibraryDep, cursor: CursorParam = None, limit: LimitParam = 50
) -> QuarantineResponse:
    """Give the files that ended the process which examined them, twice: they wait until they change or someone asks."""
    try:
        after = bytes.fromhex(cursors.decode(cursor, ["quarantine"])[0]) if cursor else b""
    except (ValueError, TypeError, IndexError) as error:
        raise InvalidCursorError from error
    found = set_aside(library.database, after, limit + 1)
    following = None
    if len(found) > limit:
        following = cursors.encode(["quarantine"], [found[limit - 1].path_bytes.hex()])
    link_next(request, response, following)
    return QuarantineResponse(files=[SetAsideResponse.of(each) for each in found[:limit]], next_cursor=following)


@router.post("/quarantine/retry", status_code=202, summary="Examine again", responses=writing(400, 403, 422))
async def retry_quarantine(
    body: QuarantineRetryRequest, jobs: JobsDep, library: LibraryDep, settings: SettingsDep
) -> QuarantineRetryResponse:
    """Put a scan on the queue for each of the files, or for all."""
    wanted = None if body.all else [path.encode("utf-8", "replace") for path in body.paths]
    return QuarantineRetryResponse(job_ids=await retry(wanted, jobs, library, settings))


@router.post(
    "/{video_id}/scan",
    status_code=202,
    summary="Scan one file",
    response_model=JobSubmitResponse,
    responses={**writing(400, 403, 404, 422), 200: ENDED, 202: SUBMITTED},
)
async def scan_video(
    video_id: VideoIdPath,
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    submitting: SubmittingDep,
    body: FileScanRequest | None = None,
) -> object:
    """Put a scan of this one video's file on the queue: the rest of its folder is neither listed nor settled."""
    wanted = body or FileScanRequest()

    async def submit(once: OnceKey | None) -> Submission:
        video = await to_thread.run_sync(library.video, video_id)
        request = await prepare_file_scan(
            video.path_bytes, settings, library, force=wanted.force, dry_run=wanted.dry_run
        )
        return await jobs.submit(request, once)

    asked = {"video_id": video_id, **wanted.model_dump()}
    job, answer = await submitting("POST /videos/{video_id}/scan", asked, submit)
    return answer or JobSubmitResponse(job_id=job.id)


@router.get("/{video_id}", summary="Show a video", response_model=VideoDetailResponse, responses=reading(404, 422))
def get_video(
    request: Request, response: Response, video_id: VideoIdPath, library: LibraryDep, include: IncludeParam = ()
) -> object:
    """Give everything that is known of a video; where it was filmed only with `include=location`."""
    detail = library.video_detail(video_id)
    with_location = "location" in include
    etag = _etag(library, detail.video) + (WITH_LOCATION if with_location else "")
    if (unchanged := not_modified(request, response, etag)) is not None:
        return unchanged
    return _in_full(library, detail, with_location=with_location)


@router.patch(
    "/{video_id}",
    summary="Set title, notes, rating and labels",
    responses=writing(404, 412, 422),
    openapi_extra={
        "requestBody": {
            "content": {"application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/VideoPatch"}}}
        }
    },
)
def patch_video(
    video_id: VideoIdPath, body: VideoPatch, request: Request, response: Response, library: LibraryDep
) -> VideoDetailResponse:
    """Merge what is given into what people have set of the video. No scan touches it, and it goes with a moved file.

    With `If-Match`, only where the video still is as one of its tags says: else 412 `PRECONDITION_FAILED`.
    """
    before = library.video(video_id)
    wanted = request.headers.get("If-Match")
    tags = None if wanted is None or wanted.strip() == "*" else {tag.strip() for tag in wanted.split(",")}
    present = _etag(library, before)
    if tags is not None and not tags & {f'"{present}"', f'"{present}{WITH_LOCATION}"'}:
        raise PreconditionFailedError(CHANGED)
    expected = None if tags is None else before.updated_at
    if not set_own(library.database, video_id, body.given(), expected_at=expected):
        raise PreconditionFailedError(CHANGED)
    detail = library.video_detail(video_id)
    response.headers["ETag"] = f'"{_etag(library, detail.video)}"'
    return _in_full(library, detail)


@router.delete("/{video_id}", status_code=204, summary="Forget a video", responses=writing(400, 404, 422))
def delete_video(
    video_id: VideoIdPath,
    library: LibraryDep,
    delete_file: Annotated[bool, Query(description="Always refused: footage is never deleted.")] = False,
) -> None:
    """Forget the entry. The file is never touched; the next scan of its folder finds it as a new one."""
    if delete_file:
        raise NotSupportedError("This program never deletes footage. Leave out delete_file to forget the entry only.")
    library.delete_video(video_id)


@router.get(
    "/{video_id}/thumbnail",
    summary="A picture of a video",
    response_class=Response,
    responses={
        **reading(404, 422),
        200: {"content": {"image/jpeg": {}, "image/webp": {}}, "description": "The picture."},
    },
)
async def get_thumbnail(
    request: Request,
    video_id: VideoIdPath,
    runtime: RuntimeDep,
    width: Annotated[int, Query(ge=16, le=1280, description="Pixels; rounded up to 160, 320, 640 or 1280.")] = 320,
) -> Response:
    """Give a picture, WebP where `Accept` prefers it and JPEG otherwise; made when it is first asked for.

    Where WebP is preferred and only the JPEG is there already, as of pictures made ahead, the JPEG is given to who
    takes it.
    """
    formats = _image_formats(request.headers.get("accept"))

    def look() -> tuple[Video, Thumbnail | None]:
        video = runtime.repository.video(video_id)
        return video, runtime.previews.kept(video, width, formats)

    video, picture = await to_thread.run_sync(look)
    etag = PreviewService.etag(video, width, formats[0]) if picture is None else picture.etag
    headers = Response(headers={"Cache-Control": "private, no-cache", "Vary": "Accept"})
    unchanged = not_modified(request, headers, etag)
    if unchanged is not None:
        return unchanged
    if picture is None:
        picture = await runtime.previews.make(video, width, formats[0])
    del headers.headers["content-length"]
    headers.headers["ETag"] = f'"{picture.etag}"'
    return Response(picture.data, media_type=picture.media_type, headers=dict(headers.headers))


def _image_formats(accept: str | None) -> list[ImageFormat]:
    """Give the formats in which a picture is given to a client, what it would rather have first."""
    if not prefers(accept, "image/webp", "image/jpeg"):
        return ["jpeg"]
    return ["webp", "jpeg"] if takes(accept, "image/jpeg") else ["webp"]


def _etag(library: LibraryRepository, video: Video) -> str:
    """Name the state of all that is shown of a video: what is known of its content changes by itself."""
    checksum = checksum_of(library.database, video.id)
    return f"{video.id}-{video.updated_at}" + (f"-{checksum.checked_at}" if checksum else "")


def _in_full(library: LibraryRepository, detail: VideoDetail, *, with_location: bool = False) -> VideoDetailResponse:
    database, video_id = library.database, detail.video.id
    return VideoDetailResponse.of_detail(
        detail, former_places_of(database, video_id), checksum_of(database, video_id), with_location=with_location
    )


def _page(
    request: Request,
    response: Response,
    library: LibraryRepository,
    query: str | None,
    state: VideoState | None,
    sort: str,
    cursor: str | None,
    limit: int,
) -> dict[str, object]:
    page: Page = find(library.database, query=query, state=state, sort=sort, cursor=cursor, limit=limit)
    link_next(request, response, page.next_cursor)
    return {
        "videos": [VideoResponse.of(video) for video in page.videos],
        "next_cursor": page.next_cursor,
        "total": page.total,
        "total_is_lower_bound": page.total_is_lower_bound,
    }
